/* SPDX-License-Identifier: MIT */
/* test_hostile.c - tasks that do to their worker what nobody should, and the map goes on */
#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <many.h>

#define ITEMS 200

static int next_number(void *item, void *context)
{
    long *next = context;

    if (*next == ITEMS)
        return 0;
    *(long *)item = (*next)++;
    return 1;
}

static int check_square(const many_outcome *outcome, void *context)
{
    int *bad = context;

    *bad += outcome->code != 0 ||
            *(const long *)outcome->result != (long)(outcome->index * outcome->index);
    return 0;
}

/* The child of a task that forks comes back out of fn: with a failure, or as if nothing were. */
static int return_twice(const void *item, void *result, void *context)
{
    long x = *(const long *)item;

    (void)context;
    *(long *)result = x * x;
    if (x % 10 == 3) {
        pid_t child = fork();

        if (child == 0)
            return x % 20 == 3 ? -1 : 0;
        waitpid(child, NULL, 0);
    }
    return 0;
}

/* Closes all that it did not open, as daemons do; its own file then has the number of our bell. */
static int close_everything(const void *item, void *result, void *context)
{
    long x = *(const long *)item;

    *(long *)result = x * x;
    if (x != 20)
        return 0;
    for (int fd = 3; fd < 256; fd++)
        close(fd);
    for (int k = 0; k < 16; k++)
        if (open(context, O_RDWR | O_CREAT, 0600) < 0)
            return -1;
    return 0;
}

static void run_both_kinds_of_map(many_fn *fn, void *context)
{
    static long in[ITEMS], out[ITEMS];
    int codes[ITEMS];

    for (long i = 0; i < ITEMS; i++)
        in[i] = i;
    for (int workers = 1; workers <= 3; workers++) {
        long next = 0;
        int bad = 0;

        memset(out, 0, sizeof out);
        CHECK_CODE(many_process_map(fn, in, out, ITEMS, .workers = workers, .codes = codes,
                                    .context = context, .on_error = MANY_GO_ON,
                                    .retries = workers - 1),
                   0);
        for (long i = 0; i < ITEMS; i++)
            CHECK(codes[i] == 0 && out[i] == i * i);
        CHECK_CODE(many_process_map(fn, (long *)NULL, (long *)NULL, 0, .workers = workers,
                                    .next = next_number, .next_context = &next,
                                    .on_result = check_square, .on_result_context = &bad,
                                    .context = context, .on_error = MANY_GO_ON),
                   0);
        CHECK_EQUAL(bad, 0);
    }
}

TEST(a_child_that_comes_back_out_of_a_task_does_not_become_a_second_worker)
{
    run_both_kinds_of_map(return_twice, NULL);
}

TEST(a_task_may_close_all_descriptors_and_its_own_files_stay_its_own)
{
    char path[512];
    struct stat status;

    snprintf(path, sizeof path, "%s/own", test_directory());
    run_both_kinds_of_map(close_everything, path);
    CHECK(stat(path, &status) == 0);
    CHECK_EQUAL(status.st_size, 0);
}
