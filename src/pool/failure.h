/* SPDX-License-Identifier: MIT */
/*
 * failure.h - why a task of a pool failed, in words
 */
#ifndef MANY_POOL_FAILURE_H
#define MANY_POOL_FAILURE_H

#include <many/task.h>

#include <stdint.h>

/* What the words need besides the cause. Zero is valid. */
typedef struct many_failure_words_ {
    int task;             /* 1: a task, cause->item its number; 0: an item of a map */
    const char *name;     /* of the task; NULL or "": it has none */
    const char *said;     /* by the task, with many_fail(); NULL or "": nothing */
    double limit_s;       /* its limit, where it was over it */
    uint64_t limit_bytes; /* likewise; not 0: it was over this one */
} many_failure_words_;

/* Write cause->text from cause's other fields: "task 'x' (17) died of SIGSEGV (worker 3, pid 4711)". */
void many_failure_write_(many_cause *cause, const many_failure_words_ *words);

#endif
