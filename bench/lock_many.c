/* SPDX-License-Identifier: MIT */
/*
 * lock_many.c - lock with many: `lock_many many uncontended`, `lock_many many contended`
 */
#include "lock.h"

#include <many.h>

static void lock_prepare(void *lock)
{
    (void)lock; /* zero is valid */
}

static void lock_turn(void *memory, volatile uint64_t *counter, uint64_t times)
{
    many_lock *lock = memory;

    for (uint64_t i = 0; i < times; i++) {
        if (many_lock_acquire(lock, MANY_FOREVER) != 0)
            bench_die("%s", many_error_message());
        *counter = *counter + 1;
        if (many_lock_release(lock) != 0)
            bench_die("%s", many_error_message());
    }
}

int main(int argc, char **argv)
{
    static const bench_lock_subject subjects[] = {{"many", lock_prepare, lock_turn}};

    return bench_lock(subjects, sizeof subjects / sizeof subjects[0], argc, argv);
}
