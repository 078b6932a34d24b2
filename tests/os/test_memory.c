/* SPDX-License-Identifier: MIT */
/* test_memory.c - shared memory is shared, wiped memory is wiped, and all of it goes away again */
#include "test.h"

#include <string.h>
#include <sys/mman.h>

#include "os/memory.h"

static void write_over(void *memory)
{
    CHECK_STRING(memory, "from the parent");
    strcpy(memory, "from the child");
}

TEST(a_child_and_its_parent_see_each_others_writes)
{
    void *memory;

    CHECK_CODE(many_memory_map_shared_(&memory, 100), 0);
    strcpy(memory, "from the parent");
    CHECK_EQUAL(test_in_child(write_over, memory), 0);
    CHECK_STRING(memory, "from the child");
    many_memory_unmap_(memory, 100);
}

TEST(new_memory_is_zero)
{
    static const char zeros[100000];
    void *shared, *wiped;

    CHECK_CODE(many_memory_map_shared_(&shared, sizeof zeros), 0);
    CHECK_BYTES(shared, zeros, sizeof zeros);
    many_memory_unmap_(shared, sizeof zeros);
    if (many_memory_map_wiped_(&wiped, sizeof zeros) == 0) {
        CHECK_BYTES(wiped, zeros, sizeof zeros);
        many_memory_unmap_(wiped, sizeof zeros);
    }
}

static void expect_zero(void *memory)
{
    CHECK_EQUAL(*(uint32_t *)memory, 0);
    *(uint32_t *)memory = 1;
}

TEST(a_forked_child_finds_wiped_memory_zero_and_the_parent_keeps_its_own)
{
    void *memory;

    if (many_memory_map_wiped_(&memory, 4096) == -ENOSYS)
        test_skip("no MADV_WIPEONFORK here");
    *(uint32_t *)memory = 7;
    CHECK_EQUAL(test_in_child(expect_zero, memory), 0);
    CHECK_EQUAL(*(uint32_t *)memory, 7);
    many_memory_unmap_(memory, 4096);
}

TEST(what_cannot_be_had_is_said_and_leaves_nothing)
{
    void *memory = &memory;

    CHECK_CODE(many_memory_map_shared_(&memory, SIZE_MAX / 2), -ENOMEM);
    CHECK(memory == NULL);
    memory = &memory;
    CHECK_CODE(many_memory_map_wiped_(&memory, SIZE_MAX / 2), -ENOMEM);
    CHECK(memory == NULL);
}

TEST(unmapping_leaves_nothing_behind)
{
    test_census before = test_census_take();
    void *memory;

    many_memory_unmap_(NULL, 100);
    for (int i = 0; i < 2 * TEST_MAPPINGS_SLACK; i++) {
        CHECK_CODE(many_memory_map_shared_(&memory, 5000), 0);
        many_memory_unmap_(memory, 5000);
        if (many_memory_map_wiped_(&memory, 5000) == 0)
            many_memory_unmap_(memory, 5000);
    }
    CHECK_CENSUS(before);
}

TEST(a_large_area_costs_nothing_until_it_is_touched)
{
    void *memory;
    int code = many_memory_map_shared_(&memory, (size_t)1 << 36);

    if (code == -ENOMEM)
        test_skip("this system lends no memory that it does not have");
    CHECK_CODE(code, 0);
    ((char *)memory)[(size_t)1 << 35] = 1;
    many_memory_unmap_(memory, (size_t)1 << 36);
}

TEST(touching_maps_pages_in_and_changes_nothing)
{
    size_t page = many_memory_page_();
    unsigned char resident[4];
    char *memory;

    CHECK_CODE(many_memory_map_shared_((void **)&memory, 4 * page), 0);
    memory[page + 1] = 7;
    many_memory_touch_(memory + page + 1, 2 * page);
    CHECK_EQUAL(memory[page + 1], 7);
    CHECK(mincore(memory, 4 * page, resident) == 0);
    CHECK((resident[1] & 1) != 0);
    many_memory_touch_(memory, 0);
    many_memory_unmap_(memory, 4 * page);
}

TEST(a_page_is_a_power_of_two)
{
    size_t page = many_memory_page_();

    CHECK(page >= 4096 && (page & (page - 1)) == 0);
}
