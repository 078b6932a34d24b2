/* SPDX-License-Identifier: MIT */
/*
 * reference.h - a function named so that another process can call it
 *
 * It lies in a file (the program, or a library), at some distance from where that file was mapped: the
 * file's path, its identity (os/module.h) and the distance are its name. A process that has another
 * version of the file refuses it: what lies at the same distance there may be anything.
 */
#ifndef MANY_TASK_REFERENCE_H
#define MANY_TASK_REFERENCE_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include "os/module.h"

typedef void many_any_fn_(void); /* cast to what it is before the call */

typedef struct many_reference_ {
    uint64_t distance;
    int32_t program; /* 1: it lies in the program itself */
    uint32_t id_bytes;
    uint8_t id[MANY_MODULE_ID_BYTES_];
    char path[PATH_MAX]; /* absolute */
} many_reference_;

/* Name fn. 0, or -ENOENT with words that begin with function: it lies in no file that another process
 * could open (compiled at run time, or its file was removed). */
int many_reference_make_(many_any_fn_ *fn, many_reference_ *reference, const char *function);

/*
 * The function of this name in this process; a library that is not loaded yet is. modules: those known
 * already, so that the loader need not be asked (in a fork of a process with threads its lock may be
 * held for ever); may be NULL. 0, or -ENOENT with words that begin with function.
 */
int many_reference_find_(const many_reference_ *reference, const many_module_ *modules,
                         size_t modules_count, many_any_fn_ **fn, const char *function);

#endif
