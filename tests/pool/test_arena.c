/* SPDX-License-Identifier: MIT */
/* test_arena.c - blocks of shared memory, taken by one and given back by others */
#include <stdlib.h>
#include <sys/stat.h>

#include "table_made.h"

static void *data_of(const many_table_ *table, uint64_t block)
{
    return many_block_data_(many_table_at_(table, block));
}

static long pages_of(const many_table_ *table)
{
    struct stat status;

    CHECK(fstat(table->memory, &status) == 0);
    return (long)(status.st_blocks / 8);
}

TEST(blocks_of_every_size_are_apart_and_aligned)
{
    many_table_ *table = table_made(1, 0);
    uint64_t block[600];
    size_t bytes[600];

    for (int i = 0; i < 600; i++) {
        bytes[i] = (size_t)i * (size_t)i / 2 + (size_t)i % 3;
        block[i] = many_arena_take_(table, bytes[i], 0);
        CHECK(block[i] != 0);
        CHECK_EQUAL((uintptr_t)data_of(table, block[i]) % 16, 0);
        memset(data_of(table, block[i]), i & 255, bytes[i]);
    }
    for (int i = 0; i < 600; i++) {
        const unsigned char *data = data_of(table, block[i]);

        for (size_t k = 0; k < bytes[i]; k++)
            if (data[k] != (i & 255))
                CHECK_EQUAL(k, bytes[i]);
        many_arena_give_(table, block[i]);
    }
    many_arena_give_(table, 0);
    many_table_close_(table);
}

TEST(what_is_given_back_is_used_again)
{
    many_table_ *owner = table_made(1, 0), *worker = table_as(owner, 1);
    long before = 0;

    for (int round = 0; round < 1000; round++) {
        uint64_t block[20];

        for (int i = 0; i < 20; i++) {
            block[i] = many_arena_take_(i % 2 == 0 ? owner : worker,
                                        (size_t)(100 + i * 700 + round % 64), 0);
            CHECK(block[i] != 0);
        }
        /* By whomever. */
        for (int i = 0; i < 20; i++)
            many_arena_give_((i / 2 + round) % 2 == 0 ? owner : worker, block[i]);
        if (round == 100)
            before = pages_of(owner);
    }
    CHECK_EQUAL(pages_of(owner), before);
    many_table_close_(worker);
    many_table_close_(owner);
}

TEST(large_blocks_give_their_memory_back)
{
    const size_t bytes = (size_t)48 << 20;
    many_table_ *table = table_made(1, 0);
    const long before = pages_of(table);

    for (int round = 0; round < 5; round++) {
        const uint64_t block = many_arena_take_(table, bytes - (size_t)round * 100000, 0);

        CHECK(block != 0);
        memset(data_of(table, block), 1, bytes - (size_t)round * 100000);
        CHECK(pages_of(table) - before >= (long)(bytes >> 12) - 1000);
        many_arena_give_(table, block);
        CHECK(pages_of(table) - before < 100);
    }
    many_table_close_(table);
}

TEST(what_does_not_fit_is_refused_and_harms_nothing)
{
    many_table_ *table = table_made(1, 0);
    const uint64_t small = many_arena_take_(table, 100, 0);

    CHECK(small != 0);
    memset(data_of(table, small), 7, 100);
    CHECK_EQUAL(many_arena_take_(table, table->region[0].arena_bytes, 0), 0);
    CHECK_EQUAL(many_arena_take_(table, SIZE_MAX, 0), 0);
    CHECK_EQUAL(many_arena_take_(table, SIZE_MAX - 31, 0), 0);
    CHECK_EQUAL(many_arena_take_(table, SIZE_MAX / 2, 0), 0);
    CHECK_EQUAL(((unsigned char *)data_of(table, small))[99], 7);
    CHECK(many_arena_take_(table, 100, 0) != 0);
    many_table_close_(table);
}

TEST(a_block_is_given_back_once_and_only_by_who_knows_its_owner)
{
    many_table_ *table = table_made(1, 0);
    const uint64_t key = table_submit(table, 3, 0), other = table_submit(table, 3, 0);
    const uint64_t block = many_arena_take_(table, 500, key);

    many_arena_give_of_(table, block, other);
    CHECK(many_arena_take_(table, 500, key) != block);
    many_arena_give_of_(table, block, key);
    many_arena_give_of_(table, block, key);
    CHECK_EQUAL(many_arena_take_(table, 500, other), block);
    CHECK(many_arena_take_(table, 500, other) != block);
    many_arena_give_of_(table, block, key);
    CHECK(many_arena_take_(table, 500, other) != block);
    many_table_close_(table);
}

TEST(a_successor_frees_what_nobody_refers_to)
{
    many_table_ *owner = table_made(1, 0), *first = table_as(owner, 1), *second;
    const uint64_t live = table_submit(first, 3, 0), dead = table_submit(first, 3, 0);
    const uint64_t kept = many_arena_take_(first, 1000, live);
    const uint64_t freed = many_arena_take_(first, 1000, dead);
    const uint64_t nobodys = many_arena_take_(first, 1000, 0);
    const uint64_t owners = many_arena_take_(owner, 1000, live);
    uint64_t again[3], end;

    CHECK(kept != 0 && freed != 0 && nobodys != 0 && owners != 0);
    many_arena_give_(owner, many_arena_take_(first, 1000, live));
    CHECK_EQUAL(many_ticket_cancel_(owner, dead, MANY_VERDICT_CANCELLED_), 1);
    many_ticket_free_(first, dead);
    end = atomic_load(&first->region[1].arena.bump);
    many_table_close_(first);
    second = table_as(owner, 1);
    for (int i = 0; i < 3; i++) {
        again[i] = many_arena_take_(second, 1000, live);
        CHECK(again[i] != 0 && again[i] != kept);
    }
    CHECK(again[0] != again[1] && again[1] != again[2] && again[0] != again[2]);
    CHECK_EQUAL(atomic_load(&second->region[1].arena.bump), end);
    CHECK(many_arena_take_(second, 1000, live) >= end);
    many_table_close_(second);
    many_table_close_(owner);
}
