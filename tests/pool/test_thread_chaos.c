/* SPDX-License-Identifier: MIT */
/* test_thread_chaos.c - thousands of random operations on pools of threads; with threads that lose their CPU at
 * the worst moments: test_thread_faults.c */
#include "thread_chaos.h"

TEST(thread_chaos_gives_each_task_one_outcome)
{
    const int rounds = test_slowness() > 1 ? 2 : 6;

    for (int round = 0; round < rounds; round++)
        chaos((uint64_t)round + 1, 1500);
}

TEST(thread_chaos_with_pools_that_end_in_the_middle_hangs_nobody)
{
    chaos_with_ends(60);
}
