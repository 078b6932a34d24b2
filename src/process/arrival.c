/* SPDX-License-Identifier: MIT */
/* arrival.c - the new process's side of a start that is no fork; see process/arrival.h */
#include "process/arrival.h"

#include <unistd.h>

#include "base/fault.h"
#include "os/launch.h"
#include "process/cargo.h"
#include "process/child.h"
#include "process/departure.h"
#include "process/server.h"

_Noreturn void many_arrive_lost_(int code, int socket)
{
    many_answer_send_(socket, MANY_ANSWER_READY_, code, getpid(), -1);
    _exit(MANY_CHILD_LOST_);
}

/* A spawned daemon asks for its end by itself: it does not matter when its parent is killed. */
static int arrival_keep(const many_parcel_ *parcel)
{
    int code;

    if (parcel->line < 0)
        return 0;
    code = many_server_keep_(parcel->line, parcel->parent);
    close(parcel->line);
    if (code < 0)
        return many_fail(code,
                         "many_process_start: '%s' is a daemon, and its parent or the fork server "
                         "that would end it is dead",
                         parcel->name);
    return 0;
}

/* The queue at a place of the cargo; NULL for -1. */
static many_queue *arrival_queue(const many_inherit *handles, int32_t place)
{
    return handles != NULL && place >= 0 ? handles[place].queue : NULL;
}

static int arrival_enlist(const many_child_plan_ *plan)
{
    int code = many_child_enlist_(plan);

    if (code < 0)
        many_fail(code, "many_process_start: '%s' could not be registered at its queue (%s)",
                  plan->name, many_error_name(code));
    return code;
}

void many_arrive_(many_parcel_ *parcel, int socket, const many_module_ *modules,
                  size_t modules_count)
{
    many_any_fn_ *fn;
    many_inherit *handles = NULL;
    many_child_plan_ plan;
    int code =
        many_reference_find_(&parcel->reference, modules, modules_count, &fn, "many_process_start");

    if (code == 0)
        code = many_cargo_unpack_(parcel, socket, &handles);
    if (code == 0)
        code = arrival_keep(parcel);
    if (code < 0)
        many_arrive_lost_(code, socket);
    plan = (many_child_plan_){
        .name = parcel->name,
        .method = parcel->method,
        .daemon = parcel->daemon,
        .fn = (many_process_fn *)fn,
        .argument = (void *)(uintptr_t)parcel->argument,
        .produces = arrival_queue(handles, parcel->produces),
        .consumes = arrival_queue(handles, parcel->consumes),
        .inherits = handles,
        .inherits_count = parcel->inherits_count,
        .parent_name = parcel->parent_name,
        .parent = parcel->parent,
        .parent_identity = parcel->parent_identity,
    };
    MANY_FAULT_POINT("arrival.unpacked");
    code = arrival_enlist(&plan);
    if (code < 0)
        many_arrive_lost_(code, socket);
    if (parcel->answers)
        many_answer_send_(socket, MANY_ANSWER_READY_, 0, getpid(), -1);
    MANY_FAULT_POINT("arrival.answered");
    close(socket);
    many_launch_set_mask_(parcel->mask);
    many_child_run_(&plan);
}
