/* SPDX-License-Identifier: MIT */
/*
 * run.h - the loop inside a worker: the items of one chunk, and how large the next chunk is
 */
#ifndef MANY_MAP_RUN_H
#define MANY_MAP_RUN_H

#include <stddef.h>
#include <stdint.h>

#include "map/call.h"
#include "map/record.h"
#include "task/seat.h"

/* What one worker of a map over arrays works with. */
typedef struct many_run_ {
    const many_call_ *call;
    many_record_ *record;
    _Atomic uint32_t *attention; /* the map's; MANY_ATTENTION_... */
    int *codes;            /* one an item of the round, or NULL; zero where there is none yet */
    const uint16_t *tries; /* how often dead workers had begun each item, or NULL */
    uint64_t first;        /* index of the round's first item */
    char *results;         /* where the result of item results_from of the round goes */
    uint32_t results_from;
    int careful;         /* 1: limits, retries, zips or tokens: the slower loop */
    int hands_over;      /* 1: results go home by a system call a chunk */
    uint32_t failed;     /* items of the open chunk that failed */
    uint32_t chunk;      /* size of the next chunk, as learned so far */
    uint32_t chunk_most; /* never more than this */
    int64_t clock_ns;    /* when the last chunk ended */
    many_seat_ seat;
} many_run_;

/* Set up everything but results; sit down on the seat. */
void many_run_begin_(many_run_ *run, const many_call_ *call, many_record_ *record,
                     _Atomic uint32_t *attention, int worker);

/* How many items to claim next, of left that are in the own range. */
uint32_t many_run_chunk_(const many_run_ *run, uint32_t left);

/*
 * Run items [begin, end) of the round. Returns the end of what was run, at most end. Less: the rest
 * was given back to the own word; or, if attention says STOP or (threads) the token is set, the
 * rest was not run, and is still in the chunk.
 */
uint32_t many_run_items_(many_run_ *run, uint32_t begin, uint32_t end);

/* The chunk of count items is home: close it in the record, learn from its time. */
void many_run_close_(many_run_ *run, uint32_t count);

/*
 * One item: fn, its retries, its limit, with the state word kept. 0 or the code of its failure;
 * *tries says how often it was begun. state holds (item, tries before) MANY_BETWEEN_ at the call. A
 * process that was condemned does not return.
 */
int many_run_one_(const many_call_ *call, many_record_ *record, const _Atomic uint32_t *attention,
                  const void *item, void *result, uint32_t number, uint32_t tries_before,
                  uint32_t *tries);

/*
 * A task that forks, and whose child comes back out of fn (an exec that failed, say), has made a twin
 * of the worker with the same record: it ends here. To be asked where fn has returned and before
 * the record is written to; by pid, since only a few times a chunk.
 */
void many_run_end_twin_(const many_call_ *call, const many_record_ *record);

/* Note a failure in the record, if it is the worker's first. */
void many_run_note_(const many_call_ *call, many_record_ *record, uint64_t index, int code,
                    uint32_t tries, int worker, double seconds);

#endif
