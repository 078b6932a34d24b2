/* SPDX-License-Identifier: MIT */
/* child.c - what every started process does around fn; see child.h */
#include "process/child.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "bar/stages.h"
#include "base/fault.h"
#include "channel/pipe.h"
#include "channel/queue.h"
#include "os/descriptors.h"
#include "os/process.h"
#include "process/current.h"

int many_child_enlist_(const many_child_plan_ *plan)
{
    many_identity_ me;
    int code = 0;

    if (plan->produces == NULL && plan->consumes == NULL)
        return 0;
    me = many_self_();
    if (plan->produces != NULL)
        code = many_queue_enlist_(plan->produces, me, MANY_PRODUCER);
    if (code == 0 && plan->consumes != NULL)
        code = many_queue_enlist_(plan->consumes, me, MANY_CONSUMER);
    MANY_FAULT_POINT("process.child.enlisted");
    return code;
}

/*
 * ---- the ends at the end ----
 *
 * fn may close the queue that it is registered for, as it may close what it inherited. So the end is said by
 * a handle of our own. Where there is none to be had nobody says it, and it is noticed as a death is.
 */
static many_queue *child_hold(const many_queue *queue)
{
    many_queue *held = NULL;
    int fds[MANY_QUEUE_FDS_];
    int code = 0;

    if (queue == NULL)
        return NULL;
    many_queue_share_(queue, fds);
    for (size_t i = 0; i < MANY_QUEUE_FDS_; i++) {
        fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        code = fds[i] < 0 ? -EMFILE : code;
    }
    if (code == 0)
        code = many_queue_adopt_(&held, fds);
    if (code < 0)
        many_descriptors_close_(fds, MANY_QUEUE_FDS_);
    return held;
}

/* What this thread has been there, it is no more. */
static void child_let_go(many_queue *held)
{
    many_queue_close(held);
}

/* It has these ends of pipes, and they end with it, whoever has copies. */
static void child_hold_pipes(const many_child_plan_ *plan)
{
    for (size_t i = 0; i < plan->inherits_count; i++)
        if (plan->inherits[i].pipe != NULL)
            many_pipe_hold_(plan->inherits[i].pipe, many_self_());
}

void many_child_run_(const many_child_plan_ *plan)
{
    many_queue *produces = child_hold(plan->produces);
    many_queue *consumes = plan->consumes != plan->produces ? child_hold(plan->consumes) : NULL;
    int status;

    many_current_become_(plan);
    child_hold_pipes(plan);
    many_stage_child_();
    MANY_FAULT_POINT("process.child.begins");
    status = plan->fn(plan->argument);
    MANY_FAULT_POINT("process.child.returned");
    child_let_go(produces);
    child_let_go(consumes);
    many_stage_exit_();
    many_child_exit_(status);
}
