/* SPDX-License-Identifier: MIT */
/*
 * start.c - start a process: read the options, make the handle, leave the rest to the method
 *
 * Death      A caller that is killed after the child was made, and before this returns, leaves a child
 *            that goes on: it has all that it needs, and counts itself at its queues.
 */
#include "process/process.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fault.h"
#include "base/options.h"
#include "base/text.h"
#include "os/clock.h"
#include "process/children.h"
#include "process/current.h"
#include "process/server.h"
#include "process/spawn.h"

_Static_assert(sizeof(many_process_options) == 12 * 8, "no padding in a public struct");

#define START_ARGUMENT_MOST ((size_t)1 << 30)

static int start_check_inherits(const many_process_options *options)
{
    if (options->inherits_count != 0 && options->inherits == NULL)
        return many_fail(-EINVAL, "many_process_start: .inherits is NULL, .inherits_count is %zu",
                         options->inherits_count);
    for (size_t i = 0; i < options->inherits_count; i++) {
        const many_inherit *one = &options->inherits[i];
        int set = (one->segment != NULL) + (one->queue != NULL) + (one->pipe != NULL);

        if (set != 1)
            return many_fail(
                -EINVAL, "many_process_start: .inherits[%zu] has %d of its members set: set one", i,
                set);
    }
    return 0;
}

static int start_check_options(const many_process_options *options)
{
    if (options->process == NULL || options->fn == NULL)
        return many_fail(-EINVAL, "many_process_start: %s is NULL",
                         options->process == NULL ? "process" : "fn");
    if (options->method < MANY_FORK || options->method > MANY_SPAWN)
        return many_fail(-EINVAL, "many_process_start: .method is %d: no such method",
                         options->method);
    if (options->argument == NULL && options->argument_bytes != 0)
        return many_fail(-EINVAL, "many_process_start: argument is NULL, .argument_bytes is %zu",
                         options->argument_bytes);
    if (options->argument_bytes > START_ARGUMENT_MOST)
        return many_fail(-E2BIG,
                         "many_process_start: .argument_bytes is %zu, more than 1 GiB: hand "
                         "over a segment",
                         options->argument_bytes);
    if (options->method != MANY_FORK && options->argument != NULL && options->argument_bytes == 0)
        return many_fail(-EINVAL,
                         "many_process_start: a pointer means nothing in a process that is "
                         "no fork of this one: give .argument_bytes, to copy what is there");
    return start_check_inherits(options);
}

static many_process *start_new(const many_process_options *options)
{
    many_process *process = MANY_FAULT_ERROR("process.new") < 0 ? NULL : calloc(1, sizeof *process);
    char numbered[32];
    many_text_ name;

    if (process == NULL)
        return NULL;
    if (options->name == NULL)
        snprintf(numbered, sizeof numbered, "Process-%u", many_children_number_());
    many_text_begin_(&name, process->name, sizeof process->name);
    many_text_add_(&name, options->name != NULL ? options->name : numbered);
    process->process = many_self_process_();
    process->kind = MANY_IS_CHILD_;
    process->method = options->method;
    process->daemon = options->daemon != 0;
    process->child.fd = -1;
    process->status_fd = -1;
    process->produces = options->produces;
    process->consumes = options->consumes;
    process->start_ns = many_clock_ns_();
    pthread_mutex_init(&process->lock, NULL);
    return process;
}

int many_process_start_with(const many_process_options *given)
{
    static many_process_method_ *const methods[] = {
        many_process_start_fork_, many_process_start_server_, many_process_start_spawn_};
    many_process_options options;
    many_process *process;
    int code = many_options_read_(&options, sizeof options, given, "many_process_start");

    if (code < 0)
        return code;
    if (options.process != NULL)
        *options.process = NULL;
    code = start_check_options(&options);
    if (code < 0)
        return code;
    (void)many_current_is_forked_(); /* what this process starts, shall know that it is */
    process = start_new(&options);
    if (process == NULL)
        return many_fail(-ENOMEM, "many_process_start: no memory for a handle");
    code = methods[options.method](process, &options);
    if (code < 0) {
        many_process_free_(process);
        return code;
    }
    /* Without a pidfd, what somebody else reaps is known by its start time. */
    if (process->status_fd >= 0 && process->child.fd < 0)
        process->identity = many_self_of_(process->pid);
    many_children_add_(process);
    *options.process = process;
    return 0;
}
