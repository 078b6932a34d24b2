/* SPDX-License-Identifier: MIT */
/* test_reference.c - functions named so that another process can call them */
#include "test.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <many/base.h>

#include "task/reference.h"

static int reference_here(void)
{
    return 17;
}

typedef int reference_fn(void);

static many_reference_ reference_of(many_any_fn_ *fn)
{
    many_reference_ reference;

    CHECK_CODE(many_reference_make_(fn, &reference, "test"), 0);
    return reference;
}

static many_any_fn_ *reference_back(const many_reference_ *reference)
{
    many_any_fn_ *fn;

    CHECK_CODE(many_reference_find_(reference, NULL, 0, &fn, "test"), 0);
    return fn;
}

TEST(a_function_of_the_program_is_found_again)
{
    many_reference_ reference = reference_of((many_any_fn_ *)reference_here);
    many_any_fn_ *fn = reference_back(&reference);

    CHECK(fn == (many_any_fn_ *)reference_here);
    CHECK_EQUAL(((reference_fn *)fn)(), 17);
    CHECK_EQUAL(reference.program, 1);
    CHECK(reference.id_bytes > 0);
}

TEST(a_function_of_a_library_is_found_again)
{
    many_any_fn_ *const atoi_fn = (many_any_fn_ *)atoi;
    many_reference_ reference = reference_of(atoi_fn);

    CHECK(reference_back(&reference) == atoi_fn);
    CHECK(reference.path[0] == '/');
}

TEST(the_known_modules_are_enough_to_find_it)
{
    many_reference_ reference = reference_of((many_any_fn_ *)reference_here);
    size_t count;
    many_module_ *modules = many_module_list_(&count);
    many_any_fn_ *fn;

    CHECK(modules != NULL && count > 0);
    for (size_t i = 0; i < count; i++) /* and it is they that are looked at */
        modules[i].base += 4096;
    CHECK_CODE(many_reference_find_(&reference, modules, count, &fn, "test"), 0);
    CHECK_EQUAL((uintptr_t)fn, (uintptr_t)reference_here + 4096);
    free(modules);
}

TEST(what_is_no_code_of_a_file_has_no_name)
{
    static int data;
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *const places[] = {memory, &data, (void *)16, &memory};

    CHECK(memory != MAP_FAILED);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        many_reference_ reference;
        many_any_fn_ *fn;

        memcpy(&fn, &places[i], sizeof fn);
        CHECK_CODE(many_reference_make_(fn, &reference, "test"), -ENOENT);
        CHECK_CONTAINS(many_error_message(), "test: fn lies in no file");
    }
    munmap(memory, 4096);
}

TEST(a_distance_that_is_not_in_the_code_is_refused)
{
    static const uint64_t distances[] = {0, UINT64_C(1) << 40, UINT64_MAX, UINT64_MAX / 2};

    for (size_t i = 0; i < sizeof distances / sizeof distances[0]; i++) {
        many_reference_ reference = reference_of((many_any_fn_ *)reference_here);
        many_any_fn_ *fn = (many_any_fn_ *)reference_here;

        reference.distance = distances[i];
        CHECK_CODE(many_reference_find_(&reference, NULL, 0, &fn, "test"), -ENOENT);
        CHECK(fn == NULL);
    }
}

TEST(a_program_of_another_version_is_refused_with_words)
{
    many_reference_ reference = reference_of((many_any_fn_ *)reference_here);
    many_any_fn_ *fn;

    reference.id[3] ^= 1;
    CHECK_CODE(many_reference_find_(&reference, NULL, 0, &fn, "test"), -ENOENT);
    CHECK_CONTAINS(many_error_message(), "in another version");
}

/* ---- libraries that are opened late ---- */

/* A library with `int answer(void)`; its path. Skips where there is no compiler. options: of cc. */
static const char *reference_library(const char *folder, int answer, const char *options)
{
    static char path[512];
    char text[256], command[2048];

    snprintf(text, sizeof text, "int answer(void);\nint answer(void) { return %d; }\n", answer);
    test_write_file(folder, "answer.c", text);
    snprintf(path, sizeof path, "%s/libanswer.so", folder);
    snprintf(command, sizeof command,
             "cc -shared -fPIC -o %s/new.so %s %s/answer.c 2>/dev/null && mv %s/new.so %s", folder,
             options, folder, folder, path);
    if (system(command) != 0)
        test_skip("there is no C compiler, or it makes no shared libraries");
    return path;
}

static many_any_fn_ *reference_open(const char *path, void **handle)
{
    many_any_fn_ *fn;
    void *symbol;

    *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (*handle == NULL)
        test_skip("libraries cannot be opened here");
    symbol = dlsym(*handle, "answer");
    CHECK(symbol != NULL);
    memcpy(&fn, &symbol, sizeof fn);
    return fn;
}

/* musl keeps what it has opened. */
static void reference_close(void *handle, many_any_fn_ *fn)
{
    many_module_ module;

    CHECK_EQUAL(dlclose(handle), 0);
    if (many_module_at_((uintptr_t)fn, &module) == 0)
        test_skip("libraries cannot be closed here");
}

static void reference_check_library(const char *options)
{
    const char *path = reference_library(test_directory(), 5, options);
    void *handle;
    many_reference_ reference = reference_of(reference_open(path, &handle));
    many_any_fn_ *fn;

    CHECK_STRING(reference.path, path);
    CHECK_EQUAL(reference.program, 0);
    CHECK_EQUAL(dlclose(handle), 0);
    fn = reference_back(&reference); /* opens it */
    CHECK_EQUAL(((reference_fn *)fn)(), 5);
}

TEST(a_library_that_is_not_loaded_is_opened_by_its_path)
{
    reference_check_library("");
}

TEST(one_without_a_build_id_is_known_by_headers_size_and_time)
{
    reference_check_library("-Wl,--build-id=none");
}

static void reference_check_replaced(const char *options)
{
    const char *folder = test_directory();
    const char *path = reference_library(folder, 6, options);
    void *handle;
    many_any_fn_ *fn = reference_open(path, &handle);
    many_reference_ reference = reference_of(fn);

    reference_close(handle, fn);
    reference_library(folder, 7, options);
    CHECK_CODE(many_reference_find_(&reference, NULL, 0, &fn, "test"), -ENOENT);
    CHECK_CONTAINS(many_error_message(), "in another version");
    CHECK_CONTAINS(many_error_message(), path);
}

TEST(a_library_that_was_replaced_by_another_version_is_refused)
{
    reference_check_replaced("");
    reference_check_replaced("-Wl,--build-id=none");
}

TEST(a_library_that_was_removed_is_refused_with_the_loaders_words)
{
    const char *path = reference_library(test_directory(), 8, "");
    void *handle;
    many_any_fn_ *fn = reference_open(path, &handle);
    many_reference_ reference = reference_of(fn);

    CHECK_EQUAL(unlink(path), 0);
    CHECK_CODE(many_reference_make_(fn, &reference, "test"), -ENOENT);
    CHECK_CONTAINS(many_error_message(), path);
    snprintf(reference.path, sizeof reference.path, "%s", path);
    reference_close(handle, fn);
    CHECK_CODE(many_reference_find_(&reference, NULL, 0, &fn, "test"), -ENOENT);
    CHECK_CONTAINS(many_error_message(), "cannot open");
}
