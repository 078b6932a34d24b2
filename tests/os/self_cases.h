/* SPDX-License-Identifier: MIT */
/*
 * self_cases.h - what test_self.c and test_self_faults.c (nothing can be wiped, /proc cannot be
 *                read) share
 */
#ifndef MANY_TEST_OS_SELF_CASES_H
#define MANY_TEST_OS_SELF_CASES_H

#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/self.h"

static inline uint32_t self_thread_id(void)
{
    return (uint32_t)syscall(SYS_gettid);
}

static inline void *self_in_thread(void *argument)
{
    many_identity_ *identity = argument;

    *identity = many_self_();
    CHECK_EQUAL(*identity & MANY_IDENTITY_THREAD_, self_thread_id());
    CHECK(many_self_() == *identity);
    return NULL;
}

/* In shared memory: what a child found. */
typedef struct self_found {
    many_identity_ identity, again;
    uint64_t process;
    void *own;
    _Atomic int live; /* the child has written, and waits */
    _Atomic int over;
} self_found;

static inline void self_in_child(void *argument)
{
    self_found *found = argument;
    many_identity_ thread;
    pthread_t other;

    found->own = atomic_load(many_self_own_(MANY_OWN_CHILDREN_));
    found->identity = many_self_();
    found->process = many_self_process_();
    found->again = many_self_();
    CHECK_EQUAL(found->identity & MANY_IDENTITY_THREAD_, self_thread_id());
    if (!TEST_TSAN) {
        CHECK_EQUAL(pthread_create(&other, NULL, self_in_thread, &thread), 0);
        CHECK_EQUAL(pthread_join(other, NULL), 0);
        CHECK(thread != found->identity);
    }
    CHECK(many_self_process_() == found->process);
    atomic_store(&found->live, 1);
    UNTIL(atomic_load(&found->over));
}

/* Threads and forked children, their children too, are others; pointers do not cross a fork. */
static inline void self_check_identities(void)
{
    self_found *found = test_shared(sizeof *found);
    many_identity_ me = many_self_(), other = 0;
    uint64_t process = many_self_process_();
    pthread_t thread;

    CHECK_EQUAL(me & MANY_IDENTITY_THREAD_, self_thread_id());
    CHECK(process != 0);
    CHECK(many_self_() == me && many_self_process_() == process);
    CHECK_EQUAL(pthread_create(&thread, NULL, self_in_thread, &other), 0);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    CHECK(other != me && other != 0);
    atomic_store(many_self_own_(MANY_OWN_CHILDREN_), found);
    atomic_store(&found->over, 1);
    CHECK_EQUAL(test_in_child(self_in_child, found), 0);
    CHECK(found->own == NULL);
    CHECK(found->identity != me && found->identity == found->again);
    CHECK(found->process != process && found->process != 0);
    CHECK(atomic_load(many_self_own_(MANY_OWN_CHILDREN_)) == found);
    CHECK(many_self_() == me && many_self_process_() == process);
    atomic_store(many_self_own_(MANY_OWN_CHILDREN_), NULL);
}

#endif
