/* SPDX-License-Identifier: MIT */
/* call.c - read and check a map call; see call.h */
#include "map/call.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>

#include "base/options.h"
#include "os/clock.h"

#define CALL_BYTES_MOST  (SIZE_MAX / 8)    /* of one item: sums of them must not overflow */
#define CALL_WINDOW_MOST ((size_t)1 << 20) /* slots; their numbers have 32 bits */

_Static_assert(sizeof(many_map_options) == 4 * 4 + (sizeof(void *) == 8 ? 22 * 8 : 0) ||
                   sizeof(void *) != 8,
               "no padding in a public struct");

static int call_check_inputs(const many_call_ *call)
{
    const many_map_options *option = &call->option;

    if (option->inputs == NULL)
        return option->inputs_count == 0
                   ? 0
                   : many_fail(-EINVAL, "%s: .inputs_count is %zu but .inputs is NULL",
                               call->function, option->inputs_count);
    if (call->in != NULL)
        return many_fail(-EINVAL,
                         "%s: in and .inputs are both given: pass NULL for in, cast to any type",
                         call->function);
    if (option->next != NULL)
        return many_fail(-EINVAL,
                         "%s: .inputs and .next are both given: items come from one of them",
                         call->function);
    if (call->range_fn != NULL)
        return many_fail(-EINVAL,
                         "%s: .inputs does not go with the range form: make one array of structs",
                         call->function);
    if (option->inputs_count == 0 || option->inputs_count > MANY_INPUTS_MOST_)
        return many_fail(-EINVAL, "%s: .inputs_count is %zu: 1 to %d are possible", call->function,
                         option->inputs_count, MANY_INPUTS_MOST_);
    for (size_t k = 0; k < option->inputs_count; k++)
        if (option->inputs[k].items == NULL && option->n > 0)
            return many_fail(-EINVAL, "%s: .inputs[%zu].items is NULL", call->function, k);
    return 0;
}

static int call_check_source(const many_call_ *call)
{
    const many_map_options *option = &call->option;

    if (call->in_bytes > CALL_BYTES_MOST || call->out_bytes > CALL_BYTES_MOST)
        return many_fail(-EINVAL,
                         "%s: an item of %zu bytes, or a result of %zu, does not fit into memory",
                         call->function, call->in_bytes, call->out_bytes);

    if (option->next == NULL) {
        if (option->next_fd != NULL || option->next_context != NULL)
            return many_fail(-EINVAL, "%s: .next_fd and .next_context need .next", call->function);
        if (option->n >
            SIZE_MAX / 2 /
                (call->in_bytes > call->out_bytes ? call->in_bytes + 1 : call->out_bytes + 1))
            return many_fail(-EINVAL, "%s: %zu items of %zu bytes do not fit into memory",
                             call->function, option->n, call->in_bytes);
        return 0;
    }
    if ((call->out != NULL || option->codes != NULL) && option->n == 0)
        return many_fail(-EINVAL,
                         "%s: out and .codes need n, their length, also with .next; or take the "
                         "results by .on_result",
                         call->function);
    return 0;
}

static int call_check_numbers(const many_call_ *call)
{
    const many_map_options *option = &call->option;

    if (option->named_ != NULL)
        return many_fail(-EINVAL,
                         "%s: a value without a name follows n: write .workers = value, or the "
                         "name of the option that is meant",
                         call->function);
    if (option->workers < 0 || option->workers > MANY_WORKERS_MOST_)
        return many_fail(-EINVAL, "%s: .workers is %d: 1 to %d, or 0 for the CPUs that are usable",
                         call->function, option->workers, MANY_WORKERS_MOST_);
    if (option->retries < 0 || option->retries > MANY_RETRIES_MOST_)
        return many_fail(-EINVAL, "%s: .retries is %d: 0 to %d", call->function, option->retries,
                         MANY_RETRIES_MOST_);
    if (option->on_error != MANY_STOP && option->on_error != MANY_GO_ON)
        return many_fail(-EINVAL, "%s: .on_error is %d: MANY_STOP or MANY_GO_ON", call->function,
                         (int)option->on_error);
    if (isnan(option->item_limit_s) || option->item_limit_s < 0)
        return many_fail(-EINVAL, "%s: .item_limit_s is %g: seconds from 0, which is no limit",
                         call->function, option->item_limit_s);
    if (option->in_place != 0 && option->in_place != 1)
        return many_fail(-EINVAL, "%s: .in_place is %d: 0 or 1", call->function, option->in_place);
    if ((option->next != NULL || option->on_result != NULL) && option->window > CALL_WINDOW_MOST)
        return many_fail(-EINVAL, "%s: .window is %zu: at most %zu", call->function, option->window,
                         CALL_WINDOW_MOST);
    if (option->on_result == NULL && option->on_result_context != NULL)
        return many_fail(-EINVAL, "%s: .on_result_context needs .on_result", call->function);
    return 0;
}

int many_call_read_(many_call_ *call, const many_map_options *options)
{
    many_map_options *option = &call->option;
    int code = many_options_read_(option, sizeof *option, options, call->function);

    if (code < 0)
        return code;
    if (call->fn == NULL && call->range_fn == NULL)
        return many_fail(-EINVAL, "%s: fn is NULL", call->function);
    if (option->item_bytes != 0)
        call->in_bytes = option->item_bytes;
    if (option->result_bytes != 0)
        call->out_bytes = option->result_bytes;
    if (call->out == NULL && option->next == NULL && option->on_result == NULL)
        call->out_bytes = 0;
    if (call->out_bytes == 0)
        call->out = NULL;
    if ((code = call_check_inputs(call)) < 0 || (code = call_check_source(call)) < 0 ||
        (code = call_check_numbers(call)) < 0)
        return code;
    call->limit_ns = many_seconds_ns_(option->item_limit_s);
    if (option->item_limit_s > 0 && call->limit_ns == 0)
        call->limit_ns = 1;
    call->workers = option->workers != 0 ? option->workers : many_usable_cpus();
    if ((option->next == NULL || option->n > 0) && (size_t)call->workers > option->n)
        call->workers = option->n > 0 ? (int)option->n : 1;
    return 0;
}
