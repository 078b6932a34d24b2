# Each examples/NAME.c is a program, written as a user would write it: strict C11, <many.h> alone,
# no definitions from here. Where examples/NAME.expected exists, a test compares its output; each
# tests/examples/check_NAME.sh is a test that gets the build folder in BUILD.

file(GLOB many_examples CONFIGURE_DEPENDS examples/*.c)
file(GLOB many_expected CONFIGURE_DEPENDS examples/*.expected examples/*.unordered)
file(GLOB many_example_checks CONFIGURE_DEPENDS tests/examples/check_*.sh)
math(EXPR many_example_seconds "300 * ${MANY_TEST_SLOWNESS}")
add_custom_target(examples)

# fetch_pages needs libcurl. Found is not enough: it may be that of another libc, or of another
# processor. Without it the example is not built, and its check is skipped.
find_package(CURL QUIET)
if(TARGET CURL::libcurl)
    include(CheckCSourceCompiles)
    set(CMAKE_REQUIRED_LIBRARIES CURL::libcurl)
    check_c_source_compiles("
        #include <curl/curl.h>
        int main(void)
        {
            return curl_easy_init() == NULL;
        }" MANY_EXAMPLES_CURL)
    unset(CMAKE_REQUIRED_LIBRARIES)
endif()
if(NOT MANY_EXAMPLES_CURL)
    message(STATUS "examples/fetch_pages is not built: no libcurl (Debian: libcurl4-openssl-dev)")
    list(FILTER many_examples EXCLUDE REGEX "/fetch_pages\\.c$")
endif()

foreach(source ${many_examples})
    get_filename_component(name ${source} NAME_WE)
    add_executable(example_${name} ${source})
    target_link_libraries(example_${name} PRIVATE many_static)
    if(name STREQUAL "fetch_pages")
        target_link_libraries(example_${name} PRIVATE CURL::libcurl)
    endif()
    set_target_properties(example_${name} PROPERTIES OUTPUT_NAME ${name}
        RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/examples)
    add_dependencies(examples example_${name})
    foreach(expected ${PROJECT_SOURCE_DIR}/examples/${name}.expected
                     ${PROJECT_SOURCE_DIR}/examples/${name}.unordered)
        if(${expected} IN_LIST many_expected)
            add_test(NAME examples/${name}
                COMMAND sh ${PROJECT_SOURCE_DIR}/tests/examples/run.sh
                        $<TARGET_FILE:example_${name}> ${expected}
                WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
            set_tests_properties(examples/${name} PROPERTIES LABELS examples
                TIMEOUT ${many_example_seconds} SKIP_RETURN_CODE 77)
        endif()
    endforeach()
endforeach()

foreach(script ${many_example_checks})
    get_filename_component(name ${script} NAME_WE)
    add_test(NAME examples/${name} COMMAND bash ${script})
    set_tests_properties(examples/${name} PROPERTIES LABELS examples
        TIMEOUT ${many_example_seconds} SKIP_RETURN_CODE 77
        ENVIRONMENT "BUILD=${PROJECT_BINARY_DIR};MANY_TEST_SLOWNESS=${MANY_TEST_SLOWNESS}")
endforeach()
