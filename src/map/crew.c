/* SPDX-License-Identifier: MIT */
/* crew.c - the worker processes of one map; see crew.h */
#include "map/crew.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/stream.h"
#include "task/cancel.h"
#include "task/seat.h"

/* Without pidfds, deaths are looked for this often. */
#define CREW_LOOK_NS (10 * MANY_MILLISECOND_NS)

int many_crew_open_(many_crew_ *crew, const char *function, int places, many_cancel *token)
{
    memset(crew, 0, sizeof *crew);
    crew->places = places;
    crew->bell = -1;
    crew->cancel_fd = -1;
    crew->child = calloc((size_t)places + 1, sizeof *crew->child);
    crew->watch = calloc((size_t)places + 1, sizeof *crew->watch);
    crew->poll = calloc((size_t)places + 3, sizeof *crew->poll);
    if (crew->child == NULL || crew->watch == NULL || crew->poll == NULL) {
        many_crew_close_(crew);
        return many_fail(-ENOMEM, "%s: no memory for %d workers", function, places);
    }
    crew->bell = many_bell_open_();
    if (crew->bell < 0) {
        int code = crew->bell;

        many_crew_close_(crew);
        return many_fail(code,
                         "%s: no descriptor to wait with (%s): close some, or raise ulimit -n",
                         function, many_error_name(code));
    }
    if (token != NULL) {
        crew->cancel_fd = many_cancel_watch_(token);
        if (crew->cancel_fd < 0) {
            int code = crew->cancel_fd;

            many_crew_close_(crew);
            return many_fail(code,
                             "%s: no descriptor for .cancel (%s): close some, or raise ulimit -n",
                             function, many_error_name(code));
        }
        crew->token = token;
    }
    return 0;
}

void many_crew_close_(many_crew_ *crew)
{
    if (crew->token != NULL)
        many_cancel_unwatch_(crew->token);
    many_bell_close_(crew->bell);
    free(crew->child);
    free(crew->watch);
    free(crew->poll);
    memset(crew, 0, sizeof *crew);
    crew->bell = -1;
}

unsigned many_crew_wait_(many_crew_ *crew, int fd, int64_t deadline_ns)
{
    nfds_t count = 0;
    unsigned saw = 0;
    int blind = 0, got;

    crew->poll[count++] = (struct pollfd){crew->bell, POLLIN, 0};
    crew->poll[count++] = (struct pollfd){crew->cancel_fd, POLLIN, 0};
    crew->poll[count++] = (struct pollfd){fd, POLLIN, 0};
    for (int w = 0; w < crew->places; w++) {
        if (crew->child[w].pid == 0)
            continue;
        if (crew->child[w].fd < 0)
            blind = 1;
        else
            crew->poll[count++] = (struct pollfd){crew->child[w].fd, POLLIN, 0};
    }
    if (blind) {
        int64_t look = many_clock_ns_() + CREW_LOOK_NS;

        if (look < deadline_ns)
            deadline_ns = look;
    }
    if (many_cancel_is_set(crew->token))
        return MANY_SAW_CANCEL_;
    /* A signal handler of the caller's may end the poll early: look round, then sleep on. */
    got = poll(crew->poll, count, many_poll_ms_(deadline_ns));
    if (got > 0 && crew->poll[0].revents != 0) {
        many_bell_silence_(crew->bell);
        saw |= MANY_SAW_BELL_;
    }
    if (many_cancel_is_set(crew->token))
        saw |= MANY_SAW_CANCEL_;
    if (got > 0 && crew->poll[2].revents != 0)
        saw |= MANY_SAW_FD_;
    for (nfds_t k = 3; got > 0 && k < count; k++)
        if (crew->poll[k].revents != 0)
            saw |= MANY_SAW_DEATH_;
    return blind ? saw | MANY_SAW_DEATH_ : saw;
}

void many_crew_kill_(const many_crew_ *crew)
{
    for (int w = 0; w < crew->places; w++)
        many_child_kill_(&crew->child[w]);
}

void many_crew_forget_(many_crew_ *crew)
{
    for (int w = 0; w < crew->places; w++)
        if (crew->child[w].pid != 0 && crew->child[w].fd >= 0)
            close(crew->child[w].fd);
}

int many_crew_living_(const many_crew_ *crew)
{
    int living = 0;

    for (int w = 0; w < crew->places; w++)
        living += crew->child[w].pid != 0;
    return living;
}

int many_watch_look_(many_watch_ *watch, _Atomic uint64_t *state, int64_t now_ns, int64_t limit_ns)
{
    uint64_t seen = atomic_load_explicit(state, memory_order_acquire);

    /* Condemned, and not dead yet: since when it ran is asked for when it is. */
    if ((seen & MANY_PHASES_) == MANY_CONDEMNED_)
        return 0;
    if ((seen & MANY_PHASES_) != MANY_RUNNING_) {
        watch->state = 0;
        return 0;
    }
    if (seen != watch->state) {
        watch->state = seen;
        watch->since_ns = now_ns;
        return 0;
    }
    if (now_ns - watch->since_ns < limit_ns)
        return 0;
    /* If the swap fails the worker has gone on, and this try is not over its limit after all. */
    return atomic_compare_exchange_strong_explicit(state, &seen,
                                                   (seen & ~MANY_PHASES_) | MANY_CONDEMNED_,
                                                   memory_order_acq_rel, memory_order_acquire);
}

int64_t many_watch_period_ns_(int64_t limit_ns)
{
    int64_t period = limit_ns / 10;

    if (period < MANY_MILLISECOND_NS)
        return MANY_MILLISECOND_NS;
    return period > 20 * MANY_MILLISECOND_NS ? 20 * MANY_MILLISECOND_NS : period;
}
