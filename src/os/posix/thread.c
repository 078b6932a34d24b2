/* SPDX-License-Identifier: MIT */
/* thread.c - start a thread with signals blocked; see os/thread.h */
#include "os/thread.h"

#include <stddef.h>

#include "base/fault.h"
#include "os/signal.h"

int many_thread_start_(pthread_t *thread, many_thread_body_ *body, void *argument)
{
    many_signal_state_ state;
    int code = MANY_FAULT_ERROR("thread.start");

    if (code < 0)
        return code;
    many_signal_block_for_thread_(
        &state); /* inherited, so that no handler of the caller runs in it */
    code = -pthread_create(thread, NULL, body, argument);
    many_signal_unblock_(&state);
    return code;
}

void many_thread_join_(pthread_t thread)
{
    pthread_join(thread, NULL);
}

int many_thread_hold_(void)
{
    int held = PTHREAD_CANCEL_ENABLE;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &held);
    return held;
}

void many_thread_let_go_(int held)
{
    int ours;

    pthread_setcancelstate(held, &ours);
}
