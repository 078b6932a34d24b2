// SPDX-License-Identifier: MIT
//
// submit_async.cpp - submit.one with std::async, which starts a thread for each task
#include "submit.h"

#include <future>

static bench_fn *volatile task_kept = bench_submit_task; // read back, so that nobody inlines it

static void async_one(const long *x, long *y)
{
    bench_fn *task = task_kept;

    if (std::async(std::launch::async, task, x, y, nullptr).get() != 0)
        bench_die("the task failed");
}

int main(int argc, char **argv)
{
    static const bench_submitter subjects[] = {
        {"std-async", nullptr, nullptr, async_one, nullptr, 0, nullptr},
    };

    return bench_submit_main(argc, argv, subjects, sizeof subjects / sizeof subjects[0]);
}
