/* SPDX-License-Identifier: MIT */
/*
 * pipe_wait.c - wait for several pipes at once, of either kind
 *
 * Spin for a moment where it may help, then poll their descriptors. All are looked at in the
 * beginning and once a slice (for the ends whose holders died: no descriptor tells that), in
 * between those alone whose descriptors tell something.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include <many/channel.h>

#include "base/options.h"
#include "channel/pass.h"
#include "channel/pipe_kind.h"
#include "os/clock.h"
#include "sync/wait.h"

#define WAIT_FEW           16             /* pipes that need no memory */
#define WAIT_CALM_NS       MANY_SECOND_NS /* after that slices are longer */
#define WAIT_SLICE_CALM_NS (250 * MANY_MILLISECOND_NS)

typedef struct wait_set {
    many_pipe *const *pipes;
    size_t n;
    int *ready; /* or NULL */
    struct pollfd *polls;
} wait_set;

/* Which are ready; all, or those of which poll said something. How many, or negative. */
static int wait_look(const wait_set *set, int all)
{
    int count = 0;

    for (size_t i = 0; i < set->n; i++) {
        many_pipe_call_ call = {0, NULL};
        int is = 0;

        if (set->pipes[i] != NULL && (all || set->polls[i].revents != 0))
            is = many_pipe_ready_(set->pipes[i], &call);
        if (is < 0)
            return is;
        if (set->ready != NULL)
            set->ready[i] = is;
        count += is;
    }
    return count;
}

/* For a moment, if something can come meanwhile. 1: a ring holds something. */
static int wait_spin(const wait_set *set)
{
    for (int pauses = many_wait_spin_(); many_wait_pause_(&pauses);)
        for (size_t i = 0; i < set->n; i++)
            if (set->pipes[i] != NULL && set->pipes[i]->ring != NULL &&
                !many_pipe_ring_empty_(set->pipes[i]->ring))
                return 1;
    return 0;
}

static void wait_watch(wait_set *set)
{
    for (size_t i = 0; i < set->n; i++)
        set->polls[i] = (struct pollfd){
            set->pipes[i] == NULL ? -1 : many_pipe_descriptor(set->pipes[i]), POLLIN, 0};
}

/* Poll for a slice at most: how many tell something; -EINTR. */
static int wait_poll(const wait_set *set, int64_t began_ns, int64_t deadline_ns)
{
    const int64_t now = many_clock_ns_();
    const int64_t slice = now - began_ns < WAIT_CALM_NS ? MANY_PASS_SLICE_NS_ : WAIT_SLICE_CALM_NS;
    const int64_t until = deadline_ns - now > slice ? now + slice : deadline_ns;
    int told = poll(set->polls, (nfds_t)set->n, many_poll_ms_(until));

    return told < 0 ? errno == EINTR ? -EINTR : -ENOMEM : told;
}

static int wait_for(wait_set *set, int64_t deadline_ns)
{
    const int64_t began_ns = many_clock_ns_();
    int told = 0, in_vain = 0;
    int count = wait_look(set, 1);

    if (count != 0 || deadline_ns == 0)
        return count;
    if (wait_spin(set) && (count = wait_look(set, 1)) != 0)
        return count;
    wait_watch(set);
    for (;;) {
        count = wait_look(set, told == 0 || in_vain > 2);
        if (count != 0 || many_clock_ns_() >= deadline_ns)
            return count;
        /* A bell that nobody can silence just now, or what another thread took before us. */
        in_vain = told > 0 ? in_vain + 1 : 0;
        if (in_vain > 2 && poll(NULL, 0, 1) < 0)
            return -EINTR;
        told = wait_poll(set, began_ns, deadline_ns);
        if (told < 0)
            return told;
    }
}

int many_pipe_wait(many_pipe *const *pipes, size_t n, int *ready, double timeout_s)
{
    struct pollfd few[WAIT_FEW];
    wait_set set = {pipes, n, ready, few};
    int code = many_timeout_check_(timeout_s, "many_pipe_wait");

    if (code < 0)
        return code;
    if (pipes == NULL || n == 0)
        return many_fail(-EINVAL, "many_pipe_wait: %s: give it pipes to wait for",
                         pipes == NULL ? "pipes is NULL" : "n is 0");
    for (size_t i = 0; i < n; i++)
        if (pipes[i] != NULL && !pipes[i]->receives)
            return many_fail(-EBADF, "many_pipe_wait: pipe %zu is an end that only sends", i);
    if (n > WAIT_FEW && (set.polls = malloc(n * sizeof *set.polls)) == NULL)
        return many_fail(-ENOMEM, "many_pipe_wait: no memory for %zu pipes", n);
    code = wait_for(&set, timeout_s == 0 ? 0 : many_deadline_ns_(timeout_s));
    if (set.polls != few)
        free(set.polls);
    if (code < 0)
        return many_fail(code, "many_pipe_wait: %s",
                         code == -EINTR ? "a signal handler ran" : "no memory");
    return code;
}
