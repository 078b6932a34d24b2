/* SPDX-License-Identifier: MIT */
/* thread.c - start a thread with signals blocked, name it, wait for its end; see os/thread.h */
#include "os/thread.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "os/clock.h"
#include "os/memory.h"

/* The least that pthread_attr_setstacksize() takes, or more; whole pages, which it may insist on. */
static size_t thread_stack(size_t bytes)
{
    const long least = sysconf(_SC_THREAD_STACK_MIN);
    const size_t page = many_memory_page_();

    if (least > 0 && bytes < (size_t)least)
        bytes = (size_t)least;
    return bytes > SIZE_MAX - page ? bytes / page * page : (bytes + page - 1) / page * page;
}

int many_thread_start_with_(pthread_t *thread, many_thread_body_ *body, void *argument,
                            size_t stack_bytes, many_signal_state_ *caller)
{
    int code = MANY_FAULT_ERROR("thread.start");
    pthread_attr_t attributes;

    if (code < 0)
        return code;
    code = -pthread_attr_init(&attributes);
    if (code < 0)
        return code;
    if (stack_bytes != 0)
        code = -pthread_attr_setstacksize(&attributes, thread_stack(stack_bytes));
    if (code == 0) {
        /* Inherited, so that no handler of the caller runs in it. */
        many_signal_block_for_thread_(caller);
        code = -pthread_create(thread, &attributes, body, argument);
        many_signal_unblock_(caller);
    }
    pthread_attr_destroy(&attributes);
    return code;
}

int many_thread_start_(pthread_t *thread, many_thread_body_ *body, void *argument)
{
    many_signal_state_ caller;

    return many_thread_start_with_(thread, body, argument, 0, &caller);
}

void many_thread_join_(pthread_t thread)
{
    pthread_join(thread, NULL);
}

int many_thread_join_by_(pthread_t thread, int64_t deadline_ns)
{
    struct timespec until;
    int64_t left;

    if (deadline_ns == MANY_NEVER_NS)
        return -pthread_join(thread, NULL);
    /* The call that takes the monotonic clock is glibc's alone. */
    left = deadline_ns - many_clock_ns_();
    left = left < 0 ? 0 : left;
    clock_gettime(CLOCK_REALTIME, &until);
    left += until.tv_nsec;
    until.tv_sec += (time_t)(left / MANY_SECOND_NS);
    until.tv_nsec = (long)(left % MANY_SECOND_NS);
    return -pthread_timedjoin_np(thread, NULL, &until);
}

void many_thread_detach_(pthread_t thread)
{
    pthread_detach(thread);
}

void many_thread_call_(const char *name)
{
    char shown[16];
    size_t bytes = strlen(name);

    if (bytes >= sizeof shown)
        for (bytes = sizeof shown - 1; bytes > 0 && ((unsigned char)name[bytes] & 0xC0) == 0x80;)
            bytes--;
    memcpy(shown, name, bytes);
    shown[bytes] = '\0';
    pthread_setname_np(pthread_self(), shown);
}

pid_t many_thread_number_(void)
{
    return (pid_t)syscall(SYS_gettid); /* gettid() is younger than the libraries we meet */
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
