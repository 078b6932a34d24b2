/* SPDX-License-Identifier: MIT */
/*
 * segment.h - shared memory (Python's shared_memory, Value, Array, RawValue, RawArray)
 *
 * What all of many/channel.h have in common stands there.
 */
#ifndef MANY_SEGMENT_H
#define MANY_SEGMENT_H

#include <many/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct many_segment many_segment;

typedef struct many_segment_options {
    size_t size;                /* sizeof this struct; the macro fills it */
    many_segment **segment;     /* receives the handle; required, the macro's first argument */
    struct many_named_ *named_; /* keeps options named; leave it alone */
    size_t bytes;               /* how much there is at first, 1 or more */
    size_t max_bytes;           /* how far it may grow; 0: not beyond bytes */
} many_segment_options;

/*
 * many_segment_open - get zero-filled memory that children share
 *
 * Any C data may lie in it: an int is Value, an array is Array, with a many_lock beside it where more
 * than one word changes at a time. It lies at the same address in every child that is forked later;
 * processes that got it otherwise have it elsewhere, so what crosses to them holds offsets.
 *
 *   segment  receives the handle; NULL after a failure
 *   options  by name: many_segment_open(&segment, .bytes = sizeof(ledger))
 *
 * returns   0
 *           -EINVAL  bytes is 0, more than max_bytes, or options make no sense
 *           -E2BIG   an option is set that this library is too old for
 *           -ENOMEM  not so much address space or memory
 *           -EMFILE, -ENFILE  no descriptor to be had
 * blocks    never
 * threads   any
 * fork      children that are forked later share it
 * signals   not from a signal handler
 * source    Python multiprocessing.Value, Array, shared_memory.SharedMemory; memfd_create
 */
MANY_API int many_segment_open_with(const many_segment_options *options);

#ifndef __cplusplus
#define many_segment_open(...)                                                                     \
    many_segment_open_with(                                                                        \
        &(many_segment_options){.size = sizeof(many_segment_options), .segment = __VA_ARGS__})
#endif

/*
 * many_segment_attach - share the segment of a process that sent its descriptor
 *
 *   segment     receives the handle; NULL after a failure
 *   descriptor  from many_segment_descriptor() there, by many_pipe_receive_descriptor() here; stays
 *               the caller's, who may close it
 *
 * returns   0
 *           -EBADF    not an open descriptor
 *           -EBADMSG  no segment: it could shrink under us, and every access would be a SIGBUS
 *           -EINVAL   segment is NULL
 *           -ENOMEM   not so much address space
 *           -EMFILE, -ENFILE  no descriptor to be had
 * blocks    never
 * threads   any
 * fork      children that are forked later share it
 * signals   not from a signal handler
 * source    Python SharedMemory(name, create=False), mmap
 */
MANY_API int many_segment_attach(many_segment **segment, int descriptor);

/*
 * many_segment_data - where it lies
 *
 * returns   its first byte, aligned to a page; the same as long as it is open. NULL for NULL
 * blocks    never
 * threads   any
 * fork      the same address in forked children
 * signals   safe in a signal handler
 * source    Python SharedMemory.buf, Value.value
 */
MANY_API void *many_segment_data(const many_segment *segment);

/*
 * many_segment_bytes - how much of it there is now, whoever let it grow
 *
 * returns   bytes from many_segment_data() on; 0 for NULL
 * blocks    never
 * threads   any
 * fork      usable in a forked child
 * signals   safe in a signal handler
 * source    Python SharedMemory.size
 */
MANY_API size_t many_segment_bytes(const many_segment *segment);

/*
 * many_segment_grow - let there be more of it, for all who share it, at the same addresses
 *
 *   segment  open
 *   bytes    at least so much; less than there is does nothing
 *
 * returns   0; what is new is zero
 *           -EFBIG   more than max_bytes
 *           -ENOMEM, -ENOSPC  not so much memory
 *           -EINVAL  segment is NULL
 * blocks    never
 * threads   any number at once, in any process that has it
 * fork      usable in a forked child
 * signals   not from a signal handler
 * death     killed in this call: it has grown, or not
 */
MANY_API int many_segment_grow(many_segment *segment, size_t bytes);

/*
 * many_segment_descriptor - what another process can attach to
 *
 * returns   a descriptor, the segment's own: send it by many_pipe_send_descriptor(), do not close it.
 *           -EINVAL for NULL
 * blocks    never
 * threads   any
 * fork      usable in a forked child
 * signals   safe in a signal handler
 */
MANY_API int many_segment_descriptor(const many_segment *segment);

/*
 * many_segment_close - take it out of this process; the memory is gone when all have done so, or ended
 *
 * blocks    never
 * threads   the last one to use it; NULL does nothing
 * fork      a child closes its own
 * signals   not from a signal handler
 * source    Python SharedMemory.close and unlink
 */
MANY_API void many_segment_close(many_segment *segment);

#ifdef __cplusplus
}
#endif

#endif
