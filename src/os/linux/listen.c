/* SPDX-License-Identifier: MIT */
/* listen.c - one descriptor that is readable while one of several is; see os/listen.h */
#include "os/listen.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/fault.h"
#include "os/clock.h"
#include "os/stream.h"

int many_listen_open_(void)
{
    int code = MANY_FAULT_ERROR("listen.open");
    int listen;

    if (code < 0)
        return code;
    listen = many_stream_lift_(epoll_create1(EPOLL_CLOEXEC));
    return listen < 0 ? -errno : listen;
}

int many_listen_add_(int listen, int descriptor)
{
    int code = MANY_FAULT_ERROR("listen.add");
    struct epoll_event event;

    if (code < 0)
        return code;
    memset(&event, 0, sizeof event);
    event.events = EPOLLIN; /* level-triggered: readable as long as descriptor is */
    return epoll_ctl(listen, EPOLL_CTL_ADD, descriptor, &event) == 0 ? 0 : -errno;
}

void many_listen_remove_(int listen, int descriptor)
{
    const int saved = errno;
    struct epoll_event event; /* kernels before 2.6.9 wanted one */

    memset(&event, 0, sizeof event);
    epoll_ctl(listen, EPOLL_CTL_DEL, descriptor, &event);
    errno = saved;
}

int many_tick_open_(int64_t every_ns)
{
    const struct timespec every = {(time_t)(every_ns / MANY_SECOND_NS),
                                   (long)(every_ns % MANY_SECOND_NS)};
    const struct itimerspec times = {every, every};
    int code = MANY_FAULT_ERROR("tick.open");
    int tick;

    if (code < 0)
        return code;
    tick = many_stream_lift_(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (tick < 0)
        return -errno;
    if (timerfd_settime(tick, 0, &times, NULL) != 0) {
        code = -errno;
        close(tick);
        return code;
    }
    return tick;
}
