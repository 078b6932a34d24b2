/* SPDX-License-Identifier: MIT */
/* map.c - the public map calls: read the call, choose the engine; see include/many/map.h */
#include "map/map.h"

#include <string.h>

#include <many/map.h>

#include "os/thread.h"
#include "task/cancel.h"

static int map_run(many_call_ *call, const void *in, size_t in_bytes, void *out, size_t out_bytes,
                   const many_map_options *options)
{
    int code, hold;

    call->in = in;
    call->in_bytes = in_bytes;
    call->out = out;
    call->out_bytes = out_bytes;
    code = many_call_read_(call, options);
    if (code < 0)
        return code;
    /* A thread that is cancelled half-way would leave workers behind, and its stack to them. */
    hold = many_thread_hold_();
    if (call->option.next != NULL || call->option.on_result != NULL)
        code = many_map_stream_(call);
    else
        code = call->processes ? many_map_in_processes_(call) : many_map_in_threads_(call);
    many_cancel_settle_(call->option.cancel);
    many_thread_let_go_(hold);
    return code;
}

int many_process_map_with(many_fn *fn, const void *in, size_t in_bytes, void *out, size_t out_bytes,
                          const many_map_options *options)
{
    many_call_ call = {.function = "many_process_map", .processes = 1, .fn = fn};

    return map_run(&call, in, in_bytes, out, out_bytes, options);
}

int many_thread_map_with(many_fn *fn, const void *in, size_t in_bytes, void *out, size_t out_bytes,
                         const many_map_options *options)
{
    many_call_ call = {.function = "many_thread_map", .fn = fn};

    return map_run(&call, in, in_bytes, out, out_bytes, options);
}

int many_process_map_range_with(many_range_fn *fn, const void *in, size_t in_bytes, void *out,
                                size_t out_bytes, const many_map_options *options)
{
    many_call_ call = {.function = "many_process_map_range", .processes = 1, .range_fn = fn};

    return map_run(&call, in, in_bytes, out, out_bytes, options);
}

int many_thread_map_range_with(many_range_fn *fn, const void *in, size_t in_bytes, void *out,
                               size_t out_bytes, const many_map_options *options)
{
    many_call_ call = {.function = "many_thread_map_range", .range_fn = fn};

    return map_run(&call, in, in_bytes, out, out_bytes, options);
}
