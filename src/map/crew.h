/* SPDX-License-Identifier: MIT */
/*
 * crew.h - the worker processes of one map, and the one place where their supervisor sleeps
 *
 * The supervisor is the thread that called the map. It sleeps in one poll on: a bell that workers
 * ring, the pidfd of each worker, the cancel token, perhaps a descriptor of the caller's source.
 * Also serves maps whose workers are threads (then without children).
 */
#ifndef MANY_MAP_CREW_H
#define MANY_MAP_CREW_H

#include <poll.h>
#include <stdint.h>

#include <many/task.h>

#include "os/process.h"

/* What many_crew_wait_() has seen. */
#define MANY_SAW_BELL_   1U
#define MANY_SAW_DEATH_  2U /* maybe: ask many_child_ended_() of each */
#define MANY_SAW_CANCEL_ 4U
#define MANY_SAW_FD_     8U

/* How long one try has been running, as far as the supervisor has seen it. */
typedef struct many_watch_ {
    uint64_t state;
    int64_t since_ns;
} many_watch_;

typedef struct many_crew_ {
    int places;          /* of workers */
    many_child_ *child;  /* [places]; pid 0: nobody */
    many_watch_ *watch;  /* [places] */
    struct pollfd *poll; /* [places + 3] */
    int bell;
    int cancel_fd; /* -1: none */
    many_cancel *token;
} many_crew_;

/* Nothing is forked yet. 0 or a negative code with words for function. */
int many_crew_open_(many_crew_ *crew, const char *function, int places, many_cancel *token);

/* Sleep until something happens or deadline_ns; fd: one more descriptor to read from, or -1.
 * MANY_SAW_... */
unsigned many_crew_wait_(many_crew_ *crew, int fd, int64_t deadline_ns);

/* Kill those who live; the deaths are still to be seen. */
void many_crew_kill_(const many_crew_ *crew);

/* In a child that was just forked: let go of what leads to its siblings. */
void many_crew_forget_(many_crew_ *crew);

/* How many live. */
int many_crew_living_(const many_crew_ *crew);

/* No child may live any more. */
void many_crew_close_(many_crew_ *crew);

/*
 * Look at a worker's state word at time now_ns: is its try over limit_ns? Then it is condemned, and
 * 1 is returned: the worker will not go on to another item. Ends no try before its limit, because
 * its age counts from when it was first seen.
 */
int many_watch_look_(many_watch_ *watch, _Atomic uint64_t *state, int64_t now_ns, int64_t limit_ns);

/* How often to look, so that a try ends no later than 1.25 x limit + 50 ms. */
int64_t many_watch_period_ns_(int64_t limit_ns);

#endif
