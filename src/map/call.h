/* SPDX-License-Identifier: MIT */
/*
 * call.h - one map call, read and checked: what every engine starts from
 */
#ifndef MANY_MAP_CALL_H
#define MANY_MAP_CALL_H

#include <stddef.h>
#include <stdint.h>

#include <many/map.h>

#define MANY_INPUTS_MOST_  64    /* arrays in a zip; their pointers lie on the worker's stack */
#define MANY_WORKERS_MOST_ 4096  /* workers of one map */
#define MANY_CHUNK_MOST_   32768 /* items in a chunk: its length has 16 bits in a record */
#define MANY_RETRIES_MOST_ 65000 /* tries have 16 bits in a state word */

typedef struct many_call_ {
    const char *function;    /* the public name, for messages */
    int processes;           /* 1: workers are processes; 0: threads */
    many_fn *fn;             /* NULL in the range form */
    many_range_fn *range_fn; /* NULL in the other */
    const char *in;          /* n items of in_bytes; NULL: none, zipped, or a source */
    size_t in_bytes;
    char *out; /* n results of out_bytes, or NULL */
    size_t out_bytes;
    int workers;             /* 1 or more, no more than there are items */
    int64_t limit_ns;        /* of an item; 0: none */
    many_map_options option; /* the caller's, in the newest layout */
} many_call_;

/* Read and check everything. 0, or -EINVAL or -E2BIG with words. */
int many_call_read_(many_call_ *call, const many_map_options *options);

/* The address of item i, or NULL where there are no inputs. Not for zips. */
static inline const void *many_call_item_(const many_call_ *call, uint64_t i)
{
    return call->in == NULL ? NULL : call->in + i * call->in_bytes;
}

/* Point zip[k] at item i of input k. */
static inline void many_call_zip_(const many_call_ *call, uint64_t i, const void **zip)
{
    for (size_t k = 0; k < call->option.inputs_count; k++)
        zip[k] = (const char *)call->option.inputs[k].items + i * call->option.inputs[k].item_bytes;
}

#endif
