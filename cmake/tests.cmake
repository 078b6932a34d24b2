# Each tests/ROOM/test_NAME.c is one program over tests/test.h and the ctest test ROOM/NAME. Those
# in tests/kill and tests/memory, and tests/ROOM/test_NAME_faults.c, get a library with fault
# points.
# Each tests/cli/NAME.sh and tests/package/NAME.sh is the ctest test cli/NAME or package/NAME;
# a name that begins with _ is a helper of the others. Each tests/ROOM/test_NAME.py tests our own
# tools. Exit code 77: skipped. The time limits are there to end what hangs: ten times what a test
# takes on a machine of two cores, and more.

if(NOT MANY_TESTS)
    return()
endif()

option(MANY_PLAIN_TESTS "Run the tests by tests/plain/cmocka.h, where there is no cmocka" OFF)

file(GLOB many_test_helpers CONFIGURE_DEPENDS tests/*.c)
add_library(many_test_main OBJECT EXCLUDE_FROM_ALL ${many_test_helpers})
target_compile_definitions(many_test_main PUBLIC _GNU_SOURCE)
target_include_directories(many_test_main PUBLIC tests src include)
if(MANY_PLAIN_TESTS)
    target_include_directories(many_test_main PRIVATE tests/plain)
else()
    find_path(MANY_CMOCKA_INCLUDE cmocka.h)
    find_library(MANY_CMOCKA_LIBRARY cmocka)
    if(MANY_CMOCKA_INCLUDE AND MANY_CMOCKA_LIBRARY)
        target_include_directories(many_test_main SYSTEM PRIVATE ${MANY_CMOCKA_INCLUDE})
        set(many_cmocka ${MANY_CMOCKA_LIBRARY})
    elseif(MANY_TESTS STREQUAL "AUTO")
        message(STATUS "No tests are built: cmocka is not there (Debian: libcmocka-dev)")
        return()
    else()
        message(FATAL_ERROR "MANY_TESTS is ON, and cmocka is not there (Debian: libcmocka-dev)")
    endif()
endif()

# many_add_test(NAME LABEL SECONDS COMMAND...)
function(many_add_test name label seconds)
    math(EXPR limit "${seconds} * ${MANY_TEST_SLOWNESS}")
    add_test(NAME ${name} COMMAND ${ARGN})
    set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT ${limit} SKIP_RETURN_CODE 77
        ENVIRONMENT "MANY_TEST_SLOWNESS=${MANY_TEST_SLOWNESS}")
endfunction()

add_custom_target(tests)
if(TARGET examples)
    add_dependencies(tests examples)
endif()

file(GLOB many_tests CONFIGURE_DEPENDS tests/*/test_*.c)
foreach(source ${many_tests})
    get_filename_component(folder ${source} DIRECTORY)
    get_filename_component(room ${folder} NAME)
    get_filename_component(file ${source} NAME_WE)
    string(REGEX REPLACE "^test_" "" name ${file})

    set(library many_static)
    set(seconds 300)
    if(room STREQUAL "remote")
        if(NOT TARGET many_remote_static)
            continue()
        endif()
        set(library many_remote_static)
    endif()
    if(room MATCHES "^(kill|memory)$")
        set(library many_torture)
        set(seconds 1500)
    elseif(name MATCHES "_faults$")
        set(library many_torture)
    endif()
    add_executable(test_${room}_${name} EXCLUDE_FROM_ALL ${source}
        $<TARGET_OBJECTS:many_test_main>)
    target_compile_definitions(test_${room}_${name} PRIVATE _GNU_SOURCE)
    target_include_directories(test_${room}_${name} PRIVATE tests src)
    target_link_libraries(test_${room}_${name} PRIVATE ${library} ${many_cmocka})
    set_target_properties(test_${room}_${name} PROPERTIES OUTPUT_NAME ${file}
        RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/${room})
    add_dependencies(tests test_${room}_${name})
    many_add_test(${room}/${name} ${room} ${seconds} $<TARGET_FILE:test_${room}_${name}>)
endforeach()

if(TARGET many_cli)
    add_dependencies(tests many_cli)
    file(GLOB many_cli_tests CONFIGURE_DEPENDS tests/cli/[!_]*.sh)
    file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/tests/cli)
    foreach(script ${many_cli_tests})
        get_filename_component(name ${script} NAME_WE)
        many_add_test(cli/${name} cli 300 bash ${script})
        set_tests_properties(cli/${name} PROPERTIES
            WORKING_DIRECTORY ${PROJECT_BINARY_DIR}/tests/cli
            ENVIRONMENT
            "MANY=$<TARGET_FILE:many_cli>;MANY_TEST_SLOWNESS=${MANY_TEST_SLOWNESS}")
    endforeach()
endif()

# A user's view of the installed package; a sanitizer would have to be in the user's build too.
if(NOT MANY_SANITIZE AND NOT MANY_PLAIN_TESTS AND NOT CMAKE_CROSSCOMPILING)
    add_dependencies(tests many_shared)
    file(GLOB many_package_tests CONFIGURE_DEPENDS tests/package/[!_]*.sh)
    foreach(script ${many_package_tests})
        get_filename_component(name ${script} NAME_WE)
        many_add_test(package/${name} package 300 bash ${script})
        set(environment SOURCE=${PROJECT_SOURCE_DIR} BUILD=${PROJECT_BINARY_DIR}
            CMAKE=${CMAKE_COMMAND} CC=${CMAKE_C_COMPILER} CMAKE_GENERATOR=${CMAKE_GENERATOR})
        set_tests_properties(package/${name} PROPERTIES ENVIRONMENT "${environment}")
    endforeach()

    find_program(MANY_PYTHON python3)
    file(GLOB many_tool_tests CONFIGURE_DEPENDS tests/*/test_*.py)
    foreach(script ${many_tool_tests})
        get_filename_component(folder ${script} DIRECTORY)
        get_filename_component(room ${folder} NAME)
        get_filename_component(file ${script} NAME_WE)
        string(REGEX REPLACE "^test_" "" name ${file})
        if(MANY_PYTHON)
            many_add_test(${room}/${name} ${room} 300 ${MANY_PYTHON} ${script})
        endif()
    endforeach()
    # Models of protocols, explored state by state.
    file(GLOB many_models CONFIGURE_DEPENDS tests/model/*_model.py)
    foreach(script ${many_models})
        get_filename_component(file ${script} NAME_WE)
        string(REGEX REPLACE "_model$" "" name ${file})
        if(MANY_PYTHON)
            many_add_test(model/${name} model 300 ${MANY_PYTHON} ${script})
        endif()
    endforeach()
endif()
