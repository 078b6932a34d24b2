/* SPDX-License-Identifier: MIT */
/*
 * supervised.h - what the tests of the processes behind a pool share: tasks, and ways to find who is who
 */
#ifndef MANY_TEST_POOL_SUPERVISED_H
#define MANY_TEST_POOL_SUPERVISED_H

#include "test.h"

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <many.h>

/* Shared with workers that are forks of the test. */
typedef struct supervised_word {
    _Atomic int begun;
    _Atomic int gate; /* tasks that stay go on when it is set */
    _Atomic int pid;  /* of the last that began */
    _Atomic int child;
    _Atomic int count[64];
} supervised_word;

/* ---- tasks; context is a supervised_word, or NULL ---- */

typedef struct supervised_who {
    pid_t pid, parent, group;
    int worker;
    size_t item;
} supervised_who;

static inline int supervised_tell(const void *item, void *result, void *context)
{
    supervised_who *who = result;

    (void)item;
    (void)context;
    *who = (supervised_who){getpid(), getppid(), getpgrp(), many_worker_index(), many_item_index()};
    return 0;
}

static inline int supervised_square(const void *item, void *result, void *context)
{
    const long number = *(const long *)item;

    (void)context;
    *(long *)result = number * number;
    return 0;
}

static inline int supervised_stay(const void *item, void *result, void *context)
{
    supervised_word *word = context;

    (void)item;
    (void)result;
    atomic_store(&word->pid, (int)getpid());
    atomic_fetch_add(&word->begun, 1);
    while (!atomic_load(&word->gate))
        poll(NULL, 0, 1);
    return 0;
}

/* item: a signal's number. */
static inline int supervised_die(const void *item, void *result, void *context)
{
    (void)result;
    (void)context;
    raise(*(const int *)item);
    return 0;
}

static inline int supervised_exit(const void *item, void *result, void *context)
{
    (void)result;
    (void)context;
    _exit(*(const int *)item);
}

/* SIGTERM is no end for it. */
static inline int supervised_be_stubborn(const void *item, void *result, void *context)
{
    signal(SIGTERM, SIG_IGN);
    return supervised_stay(item, result, context);
}

static inline many_pool *supervised_open(int workers)
{
    many_pool *pool = NULL;

    CHECK_CODE(many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = workers), 0);
    return pool;
}

/* The outcome of a future that fails: its code, and *cause. */
static inline long supervised_cause(many_future *future, many_cause *cause)
{
    long code = (long)many_future_result(future, NULL, 0, MANY_FOREVER);

    CHECK_CODE(many_future_cause(future, cause), 0);
    many_future_close(future);
    return code;
}

/* ---- who is who ---- */

/* The pid of the process that makes the workers of pool. */
static inline pid_t supervised_by(many_pool *pool)
{
    supervised_who who;
    const char none = 0;

    CHECK_CODE(many_pool_apply(pool, supervised_tell, &none, &who), 0);
    return who.parent;
}

/* Is there no such process (a zombie counts as none)? */
static inline int supervised_gone(pid_t pid)
{
    char path[64], text[256], state = 'Z';
    const char *after;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    if (file == NULL)
        return 1;
    if (fgets(text, sizeof text, file) != NULL && (after = strrchr(text, ')')) != NULL)
        state = after[2];
    fclose(file);
    return state == 'Z' || state == 'X';
}

static inline int supervised_alive(many_pool *pool)
{
    many_pool_status status;

    CHECK(many_pool_look(pool, &status, NULL, 0) > 0);
    return status.alive;
}

static inline uint64_t supervised_died(many_pool *pool)
{
    many_pool_status status;

    CHECK(many_pool_look(pool, &status, NULL, 0) > 0);
    return status.died;
}

/* The pool does what it is for. */
static inline void supervised_check_whole(many_pool *pool, int workers)
{
    for (long i = 0; i < 20; i++) {
        long square = -1;

        CHECK_CODE(many_pool_apply(pool, supervised_square, &i, &square), 0);
        CHECK_EQUAL(square, i * i);
    }
    UNTIL(supervised_alive(pool) == workers);
}

/* Kill what makes the workers of pool; until another one has made others. What just runs is lost by it. */
static inline void supervised_kill(many_pool *pool)
{
    const pid_t before = supervised_by(pool);
    supervised_who who = {.parent = before};
    const char none = 0;

    CHECK(kill(before, SIGKILL) == 0);
    UNTIL(many_pool_apply(pool, supervised_tell, &none, &who) == 0 && who.parent != before);
}

/* Submit a task that stays, and wait until it is in it. */
static inline many_future *supervised_begin(many_pool *pool, supervised_word *word, many_fn *fn)
{
    const int begun = atomic_load(&word->begun);
    many_future *future = NULL;

    CHECK_CODE(many_pool_submit(pool, fn, NULL, &future, .context = word, .name = "stay"), 0);
    UNTIL(atomic_load(&word->begun) > begun);
    return future;
}

#endif
