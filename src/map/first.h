/* SPDX-License-Identifier: MIT */
/*
 * first.h - the first failure of a map, of those that workers and supervisor have noted
 */
#ifndef MANY_MAP_FIRST_H
#define MANY_MAP_FIRST_H

#include <stdint.h>

#include "map/call.h"
#include "map/record.h"

typedef struct many_first_ {
    int64_t at_ns; /* 0: there is none */
    many_cause cause;
} many_first_;

/* Keep cause if it is the earliest so far. */
void many_first_keep_(many_first_ *first, int64_t at_ns, const many_cause *cause);

/* Look at what workers have noted in their records. */
void many_first_gather_(many_first_ *first, const many_record_ *records, int count);

/*
 * The map is over: hand the first failure to the caller, and make the map's return of it. failed:
 * items that failed; reason: a negative code that ended the map, or 0; words: of that code, or NULL
 * to take the failure's.
 */
int many_first_return_(const many_first_ *first, const many_call_ *call, uint64_t failed,
                       int reason);

#endif
