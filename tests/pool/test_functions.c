/* SPDX-License-Identifier: MIT */
/* test_functions.c - functions by their numbers */
#include <stdlib.h>
#include <sys/mman.h>

#include "pool/functions.h"
#include "table_made.h"

static void first(void)
{
}

static void second(void)
{
}

TEST(a_function_has_one_number_for_all)
{
    many_any_fn_ *const functions[] = {first, second, (many_any_fn_ *)abort, (many_any_fn_ *)qsort};
    many_table_ *owner = table_made(1, 0), *worker = table_as(owner, 1);
    many_any_fn_ *found = NULL;
    uint32_t number[4], again;

    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < 4; i++) {
            CHECK_CODE(many_function_number_(i % 2 == 0 ? owner : worker, functions[i], &number[i],
                                             "test"),
                       0);
            CHECK_CODE(
                many_function_number_(i % 2 == 0 ? worker : owner, functions[i], &again, "test"),
                0);
            CHECK_EQUAL(again, number[i]);
        }
    for (size_t i = 0; i < 4; i++) {
        for (size_t k = 0; k < i; k++)
            CHECK(number[i] != number[k]);
        CHECK_CODE(many_function_at_(worker, number[i], &found, "test"), 0);
        CHECK(found == functions[i]);
        CHECK_CODE(many_function_at_(worker, number[i], &found, "test"), 0);
        CHECK(found == functions[i]);
    }
    CHECK_CODE(many_function_at_(worker, 17, &found, "test"), -ENOENT);
    CHECK_CODE(many_function_at_(worker, UINT32_MAX, &found, "test"), -ENOENT);
    CHECK(found == NULL);
    many_table_close_(worker);
    many_table_close_(owner);
}

TEST(a_slot_whose_filler_was_killed_is_passed_over)
{
    many_table_ *owner = table_made(1, 0);
    many_function_slot_ *slots = many_table_at_(owner, owner->head->functions);
    many_any_fn_ *found = NULL;
    uint32_t number;

    CHECK_CODE(
        many_table_grow_(owner, owner->head->functions, owner->head->functions + sizeof *slots), 0);
    atomic_store(&slots[0].state, MANY_FUNCTION_FILLING_);
    CHECK_CODE(many_function_number_(owner, first, &number, "test"), 0);
    CHECK_EQUAL(number, 1);
    CHECK_CODE(many_function_at_(owner, 0, &found, "test"), -ENOENT);
    CHECK_CODE(many_function_at_(owner, 1, &found, "test"), 0);
    CHECK(found == first);
    many_table_close_(owner);
}

TEST(code_that_lies_in_no_file_has_no_number)
{
    many_table_ *owner = table_made(1, 0);
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint32_t number;

    CHECK(memory != MAP_FAILED);
    CHECK_CODE(many_function_number_(owner, (many_any_fn_ *)(uintptr_t)memory, &number, "test"),
               -ENOENT);
    CHECK_CONTAINS(many_error_message(), "test: ");
    munmap(memory, 4096);
    many_table_close_(owner);
}
