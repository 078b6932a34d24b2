/* SPDX-License-Identifier: MIT */
/*
 * shared_map.h - what the supervisor and the workers of one process map share
 *
 * One anonymous mapping holds it all, made before the fork, so that every process has it at the
 * same address:
 *
 *   head          a few words of the map
 *   records       one a worker (pool/record.h)
 *   buffers       one a worker: the results of its open chunk ("hot": small, written again and
 *                 again)
 *   codes         one int an item of the round; touched only where an item fails
 *   tries         16 bits an item, with .retries; touched only where a worker died in an item
 *   marks, area   one byte and one result an item; touched only where a worker may not write into
 *                 its parent
 *
 * Results go home in one of three ways:
 *   in place   out is shared memory, as the caller says: fn writes there.
 *   reach      fn writes into the worker's buffer; at the end of the chunk the worker copies it to
 *              the parent's out (process_vm_writev). The buffer is shared: what a dying worker had
 *              finished, the parent takes from it.
 *   area       where that is not permitted (Yama, another uid, a sandbox): fn writes into the area,
 *              the worker marks what is done, and the parent copies marked results at the end of
 *              the round. Needs no permission.
 */
#ifndef MANY_MAP_SHARED_MAP_H
#define MANY_MAP_SHARED_MAP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "map/call.h"
#include "map/record.h"

#define MANY_IN_PLACE_ 0U
#define MANY_REACH_    1U
#define MANY_AREA_     2U

typedef struct many_shared_head_ {
    _Alignas(MANY_CACHE_LINE) _Atomic uint32_t attention;
    _Alignas(MANY_CACHE_LINE) _Atomic uint32_t area_used; /* 1: some results wait in the area */
} many_shared_head_;

typedef struct many_shared_map_ {
    const many_call_ *call;
    uint64_t first; /* index of the round's first item */
    uint32_t n;     /* items in the round */
    pid_t parent;   /* whom the workers write to */
    int bell;       /* what they ring */

    void *memory;
    size_t bytes;
    many_shared_head_ *head;
    many_record_ *records; /* [workers] */
    char *buffers;
    size_t buffer_bytes;  /* of one worker */
    int *codes;           /* [n] */
    uint16_t *tries;      /* [n], or NULL */
    unsigned char *marks; /* [n] */
    char *area;           /* [n * out_bytes] */
} many_shared_map_;

/*
 * Make the memory for the round that begins at item first: as many of the rest as go into one
 * round. Needs call; sets the others. 0 or -ENOMEM with words.
 */
int many_shared_open_(many_shared_map_ *map, uint64_t first);

void many_shared_close_(many_shared_map_ *map);

/* The life of worker w, in its own process. */
_Noreturn void many_shared_work_(many_shared_map_ *map, int w);

#endif
