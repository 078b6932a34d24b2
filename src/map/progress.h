/* SPDX-License-Identifier: MIT */
/*
 * progress.h - a map's counts become its bar's
 */
#ifndef MANY_MAP_PROGRESS_H
#define MANY_MAP_PROGRESS_H

#include <stdint.h>

#include "map/call.h"

typedef struct many_progress_ {
    many_bar *bar;         /* NULL: nobody wants one */
    int own;               /* 1: opened here for .desc */
    uint64_t done, failed; /* told to the bar so far */
} many_progress_;

/* Use the caller's .bar, or open one for .desc with this total (0: unknown). 0 or a negative code
 * with words. */
int many_progress_open_(many_progress_ *progress, const many_call_ *call, uint64_t total);

/* So many are done by now, the failed among them; redraws if it is time. */
void many_progress_show_(many_progress_ *progress, uint64_t done, uint64_t failed);

/* When the bar wants to be drawn again; MANY_NEVER_NS without one. */
int64_t many_progress_due_ns_(const many_progress_ *progress);

/* Ends a bar that was opened here. */
void many_progress_close_(many_progress_ *progress);

#endif
