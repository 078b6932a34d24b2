# libmany_remote: listener and client (include/many/remote.h), a library of its own because it needs
# libcrypto. It is a user of libmany like any other, so it sees include/ alone. To be included after
# the targets of the core.

set(MANY_REMOTE AUTO CACHE STRING
    "Build libmany_remote: ON, OFF, or AUTO (if OpenSSL's libcrypto is there)")

if(NOT MANY_REMOTE)
    return()
endif()

if(MANY_REMOTE STREQUAL "AUTO")
    find_package(OpenSSL 1.1.1 QUIET COMPONENTS Crypto)
else()
    find_package(OpenSSL 1.1.1 REQUIRED COMPONENTS Crypto)
endif()

# Found is not enough: it may be that of another libc, or of another processor.
if(TARGET OpenSSL::Crypto)
    include(CheckCSourceCompiles)
    set(CMAKE_REQUIRED_LIBRARIES OpenSSL::Crypto)
    check_c_source_compiles("
        #include <openssl/evp.h>
        #include <openssl/hmac.h>
        int main(void)
        {
            unsigned char out[64];
            return HMAC(EVP_sha256(), out, 1, out, 1, out, 0) == 0;
        }" MANY_REMOTE_CRYPTO)
    unset(CMAKE_REQUIRED_LIBRARIES)
endif()
if(NOT MANY_REMOTE_CRYPTO)
    if(NOT MANY_REMOTE STREQUAL "AUTO")
        message(FATAL_ERROR "MANY_REMOTE is ON, and no program can be linked with libcrypto "
                            "(Debian: libssl-dev)")
    endif()
    message(STATUS "No libmany_remote is built: libcrypto is not there (Debian: libssl-dev)")
    return()
endif()

file(GLOB many_remote_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/remote/*.c)
add_library(many_remote_objects OBJECT ${many_remote_sources})
set_target_properties(many_remote_objects PROPERTIES POSITION_INDEPENDENT_CODE ON)
target_compile_definitions(many_remote_objects PRIVATE _GNU_SOURCE)
target_include_directories(many_remote_objects PRIVATE ${PROJECT_SOURCE_DIR}/include
    $<TARGET_PROPERTY:OpenSSL::Crypto,INTERFACE_INCLUDE_DIRECTORIES>)
add_library(many_remote_static STATIC $<TARGET_OBJECTS:many_remote_objects>)
add_library(many_remote_shared SHARED $<TARGET_OBJECTS:many_remote_objects>)
target_link_libraries(many_remote_static PUBLIC many_static PRIVATE OpenSSL::Crypto)
target_link_libraries(many_remote_shared PUBLIC many_shared PRIVATE OpenSSL::Crypto)
target_link_options(many_remote_shared PRIVATE -Wl,-z,relro,-z,now)
set_target_properties(many_remote_static PROPERTIES OUTPUT_NAME many_remote
    EXPORT_NAME remote_static)
set_target_properties(many_remote_shared PROPERTIES OUTPUT_NAME many_remote EXPORT_NAME remote
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
    INSTALL_RPATH "$ORIGIN") # libmany lies beside it
add_library(many::remote ALIAS many_remote_shared)
add_library(many::remote_static ALIAS many_remote_static)

# An export of its own: who does not use it does not need OpenSSL to find libmany.
install(TARGETS many_remote_static many_remote_shared EXPORT many-remote-targets)
install(EXPORT many-remote-targets NAMESPACE many::
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/many)
configure_file(${PROJECT_SOURCE_DIR}/cmake/many_remote.pc.in many_remote.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/many_remote.pc
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
