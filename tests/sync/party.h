/* SPDX-License-Identifier: MIT */
/*
 * party.h - another party to a lock: a thread, or a process, so that each test is made with both
 *
 *   FOR_BOTH(kind) {
 *       many_lock *lock = test_shared(sizeof *lock);
 *       party other = party_start(kind, hold_it, lock);
 *       ...
 *       party_join(&other);
 *   }
 */
#ifndef MANY_TEST_SYNC_PARTY_H
#define MANY_TEST_SYNC_PARTY_H

#include "test.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <many/base.h>

typedef enum party_kind { PARTY_THREAD = 0, PARTY_PROCESS = 1 } party_kind;

#define FOR_BOTH(kind) for (party_kind kind = PARTY_THREAD; (kind) <= PARTY_PROCESS; (kind)++)

typedef struct party {
    party_kind kind;
    pthread_t thread;
    pid_t process;
    void (*body)(void *argument);
    void *argument;
} party;

static inline void *party_run(void *argument)
{
    party *self = argument;

    self->body(self->argument);
    return NULL;
}

static inline void party_start(party *self, party_kind kind, void (*body)(void *argument),
                               void *argument)
{
    *self = (party){.kind = kind, .body = body, .argument = argument};
    if (kind == PARTY_PROCESS)
        self->process = test_child_start(body, argument);
    else
        CHECK_EQUAL(pthread_create(&self->thread, NULL, party_run, self), 0);
}

/* A failed CHECK in it fails the test. */
static inline void party_join(party *self)
{
    if (self->kind == PARTY_PROCESS)
        CHECK_EQUAL(test_child_wait(self->process), 0);
    else
        CHECK_EQUAL(pthread_join(self->thread, NULL), 0);
}

/* Kill a process, and wait until it is dead. */
static inline void party_kill(party *self)
{
    CHECK(kill(self->process, SIGKILL) == 0);
    CHECK_EQUAL(test_child_wait(self->process), SIGKILL);
}

/* A field of an object that others change. */
#define FIELD(field) __atomic_load_n(&(field), __ATOMIC_SEQ_CST)

static _Atomic int party_signals;

static inline void party_on_signal(int signal)
{
    (void)signal;
    atomic_fetch_add(&party_signals, 1);
}

/* From now on a handler runs in this process every 3 ms. Only for children. */
static inline void party_storm(void)
{
    struct itimerval often = {{0, 3000}, {0, 3000}};
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = party_on_signal;
    action.sa_flags = SA_RESTART; /* does not matter */
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
}

static inline void party_calm(void)
{
    struct itimerval never = {{0, 0}, {0, 0}};

    CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
}

/* The timeouts that make no sense, for any call. */
#define CHECK_TIMEOUTS(call_with)                                                                  \
    do {                                                                                           \
        const double party_bad[] = {-0.5, -2.0, -1e300, NAN, -INFINITY};                           \
        for (size_t party_k = 0; party_k < sizeof party_bad / sizeof party_bad[0]; party_k++) {    \
            double timeout = party_bad[party_k];                                                   \
            CHECK_CODE(call_with, -EINVAL);                                                        \
            CHECK_CONTAINS(many_error_message(), "timeout");                                       \
        }                                                                                          \
    } while (0)

#endif
