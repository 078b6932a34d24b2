/* SPDX-License-Identifier: MIT */
/*
 * submit_dispatch.c - submit.one with libdispatch: a global queue, and a group to wait for
 */
#include "submit.h"

#include <dispatch/dispatch.h>

typedef struct dispatch_task {
    const long *x;
    long *y;
} dispatch_task;

static bench_fn *volatile task_kept = bench_submit_task; /* read back, so that nobody inlines it */
static dispatch_group_t dispatch_all;
static dispatch_queue_t dispatch_queue;

static void dispatch_open(size_t tasks_most)
{
    (void)tasks_most;
    dispatch_all = dispatch_group_create();
    dispatch_queue = dispatch_get_global_queue(DISPATCH_QUEUE_PRIORITY_DEFAULT, 0);
}

static void dispatch_run(void *context)
{
    const dispatch_task *task = context;

    task_kept(task->x, task->y, NULL);
}

static void dispatch_one(const long *x, long *y)
{
    dispatch_task task = {x, y};

    dispatch_group_async_f(dispatch_all, dispatch_queue, &task, dispatch_run);
    dispatch_group_wait(dispatch_all, DISPATCH_TIME_FOREVER);
}

int main(int argc, char **argv)
{
    static const bench_submitter subjects[] = {
        {.name = "libdispatch", .open = dispatch_open, .one = dispatch_one}};

    return bench_submit_main(argc, argv, subjects, sizeof subjects / sizeof subjects[0]);
}
