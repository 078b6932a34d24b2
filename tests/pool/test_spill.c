/* SPDX-License-Identifier: MIT */
/*
 * test_spill.c - results in an unnamed file: what goes in comes out, in the order of the runs, and the disk has it
 * back
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pool/spill.h"
#include "test.h"

/* Item x: some bytes, each of which says which item it is. */
static size_t item_bytes(size_t x)
{
    return x % 11 == 10 ? 200000 : x % 5 * 7;
}

static int32_t item_code(size_t x)
{
    return x % 6 == 5 ? -(int32_t)x : 0;
}

/* A record of the items from .. to. */
static int put(many_spill_ *spill, many_spill_run_ *run, size_t from, size_t to)
{
    static char bytes[200000];
    int code = many_spill_begin_(spill);

    for (size_t x = from; code == 0 && x < to; x++) {
        memset(bytes, (int)(x % 100), item_bytes(x));
        code = many_spill_add_(spill, item_code(x), bytes, item_bytes(x));
    }
    return code < 0 ? code : many_spill_end_(spill, run);
}

/* The next item of run is x. */
static void get(many_spill_ *spill, many_spill_run_ *run, size_t x, int wanted)
{
    static char bytes[200000];
    int32_t code = 1;
    size_t count = 1;

    for (int again = 0; again < 2; again++) {
        CHECK_CODE(many_spill_look_(spill, run, &code, &count), 0);
        CHECK_EQUAL(code, item_code(x));
        CHECK_EQUAL(count, item_bytes(x));
    }
    memset(bytes, 101, sizeof bytes);
    CHECK_CODE(many_spill_take_(spill, run, wanted ? bytes : NULL), 0);
    for (size_t i = 0; wanted && i < count; i++)
        CHECK_EQUAL(bytes[i], x % 100);
}

static uint64_t disk_bytes(const many_spill_ *spill)
{
    struct stat status;

    CHECK(fstat(spill->fd, &status) == 0);
    return (uint64_t)status.st_blocks * 512;
}

TEST(a_record_comes_back_as_it_was)
{
    many_spill_ spill;
    many_spill_run_ run;

    many_spill_open_(&spill, NULL, UINT64_MAX);
    CHECK_EQUAL(spill.fd, -1); /* nothing is opened before there is need */
    for (size_t round = 0; round < 3; round++) {
        CHECK_CODE(put(&spill, &run, 0, 100), 0);
        for (size_t x = 0; x < 100; x++)
            get(&spill, &run, x, x % 3 != 2);
        CHECK_EQUAL(spill.held, 0);
        CHECK_EQUAL(disk_bytes(&spill), 0);
    }
    many_spill_close_(&spill);
}

TEST(runs_are_joined_wherever_their_records_lie)
{
    enum { PARTS = 40, EACH = 25 };
    many_spill_run_ run[PARTS];
    many_spill_ spill;
    size_t order[PARTS];

    many_spill_open_(&spill, NULL, UINT64_MAX);
    for (size_t k = 0; k < PARTS; k++)
        order[k] = k * 17 % PARTS; /* every part once, in no order */
    for (size_t k = 0; k < PARTS; k++)
        CHECK_CODE(put(&spill, &run[order[k]], order[k] * EACH, order[k] * EACH + EACH), 0);
    /* By pairs, by fours ...: all the same. */
    for (size_t step = 1; step < PARTS; step *= 2)
        for (size_t k = 0; k + step < PARTS; k += 2 * step)
            CHECK_CODE(many_spill_join_(&spill, &run[k], &run[k + step]), 0);
    for (size_t x = 0; x < PARTS * EACH; x++)
        get(&spill, &run[0], x, 1);
    CHECK_EQUAL(spill.held, 0);
    many_spill_close_(&spill);
}

TEST(a_run_that_is_being_read_can_grow_at_its_end_only)
{
    many_spill_run_ first, second, third;
    many_spill_ spill;

    many_spill_open_(&spill, NULL, UINT64_MAX);
    CHECK_CODE(put(&spill, &second, 10, 20), 0);
    get(&spill, &second, 10, 1);
    CHECK_CODE(put(&spill, &first, 0, 10), 0);
    CHECK_CODE(put(&spill, &third, 20, 30), 0);
    CHECK_CODE(many_spill_join_(&spill, &first, &second), -EIO);
    CHECK_CODE(many_spill_join_(&spill, &second, &third), 0);
    for (size_t x = 0; x < 10; x++)
        get(&spill, &first, x, 1);
    for (size_t x = 11; x < 30; x++)
        get(&spill, &second, x, 1);
    CHECK_EQUAL(spill.held, 0);
    many_spill_close_(&spill);
}

TEST(what_was_read_is_given_back_while_more_is_written)
{
    enum { AHEAD = 8, ROUNDS = 200 };
    many_spill_run_ run[AHEAD];
    uint64_t most_held = 0, most_disk = 0;
    many_spill_ spill;

    /* Always some records ahead, so that the file is never empty; a hundred times what is held goes through. */
    many_spill_open_(&spill, NULL, UINT64_MAX);
    for (size_t k = 0; k < ROUNDS + AHEAD; k++) {
        if (k >= AHEAD)
            for (size_t x = 0; x < 22; x++)
                get(&spill, &run[k % AHEAD], (k - AHEAD) * 22 + x, 1);
        if (k < ROUNDS)
            CHECK_CODE(put(&spill, &run[k % AHEAD], k * 22, k * 22 + 22), 0);
        most_held = spill.held > most_held ? spill.held : most_held;
        most_disk = disk_bytes(&spill) > most_disk ? disk_bytes(&spill) : most_disk;
    }
    CHECK(spill.written > 20 * most_held);
    /* Blocks that lie across an edge of two records stay until both are read. */
    CHECK(!spill.gives_back || most_disk < 2 * most_held + (1 << 20));
    many_spill_close_(&spill);
}

TEST(what_does_not_fit_is_refused_and_the_rest_stays)
{
    many_spill_run_ run[50], more;
    many_spill_ spill;
    size_t count = 0;

    many_spill_open_(&spill, NULL, 100000);
    while (count < 50 &&
           put(&spill, &run[count], count * 9 + 900 * 11, count * 9 + 9 + 900 * 11) == 0)
        count++;
    CHECK(count < 50 && spill.held <= 100000);
    CHECK_CODE(put(&spill, &more, 0, 1),
               -ENOSPC); /* not even a small one, before something was read */
    for (size_t k = 0; k < count; k++)
        for (size_t x = 0; x < 9; x++)
            get(&spill, &run[k], k * 9 + x + 900 * 11, 1);
    CHECK_CODE(put(&spill, &more, 0, 9), 0);
    for (size_t x = 0; x < 9; x++)
        get(&spill, &more, x, 1);
    many_spill_close_(&spill);
}

TEST(a_record_that_fails_half_way_leaves_no_trace)
{
    many_spill_run_ run, big;
    many_spill_ spill;
    uint64_t end;

    many_spill_open_(&spill, NULL, 300000);
    CHECK_CODE(put(&spill, &run, 0, 10), 0);
    end = spill.end;
    CHECK_CODE(put(&spill, &big, 10, 40), -ENOSPC); /* two of 200000 bytes */
    CHECK_EQUAL(spill.end, end);
    for (size_t x = 0; x < 10; x++)
        get(&spill, &run, x, 1);
    CHECK_EQUAL(disk_bytes(&spill), 0);
    many_spill_close_(&spill);
}

TEST(a_folder_that_is_none_is_a_full_one)
{
    many_spill_run_ run;
    many_spill_ spill;

    many_spill_open_(&spill, "/nonexistent/folder", UINT64_MAX);
    CHECK_CODE(put(&spill, &run, 0, 10), -ENOSPC);
    CHECK_CODE(put(&spill, &run, 0, 10), -ENOSPC);
    many_spill_close_(&spill);
}

TEST(a_limit_on_files_is_kept)
{
    struct rlimit limit, small;
    many_spill_run_ run, more;
    many_spill_ spill;

    CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    small = limit;
    small.rlim_cur = 150000;
    CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    many_spill_open_(&spill, NULL, UINT64_MAX);
    CHECK_CODE(put(&spill, &run, 0, 10), 0);
    CHECK_CODE(put(&spill, &more, 10, 20), -ENOSPC);
    for (size_t x = 0; x < 10; x++)
        get(&spill, &run, x, 1);
    many_spill_close_(&spill);
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

TEST(the_file_has_no_name_and_is_not_inherited)
{
    const char *folder = test_directory();
    many_spill_run_ run;
    many_spill_ spill;
    struct stat status;

    many_spill_open_(&spill, folder, UINT64_MAX);
    CHECK_CODE(put(&spill, &run, 0, 10), 0);
    CHECK(spill.fd > 2 && (fcntl(spill.fd, F_GETFD) & FD_CLOEXEC) != 0);
    CHECK(fstat(spill.fd, &status) == 0 && status.st_nlink == 0 && (status.st_mode & 077) == 0);
    CHECK(rmdir(folder) == 0);
    for (size_t x = 0; x < 10; x++)
        get(&spill, &run, x, 1);
    many_spill_close_(&spill);
    many_spill_close_(&spill);
}
