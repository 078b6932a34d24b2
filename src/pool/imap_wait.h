/* SPDX-License-Identifier: MIT */
/*
 * imap_wait.h - wait until one of several batches of a pool is over; for maps and iterators
 *
 * In a task the wait helps: it runs a batch that nobody has begun. Elsewhere it waits for the first batch for
 * a moment, the quick way; then it watches all of them, and sleeps in a poll.
 */
#ifndef MANY_POOL_IMAP_WAIT_H
#define MANY_POOL_IMAP_WAIT_H

#include "pool/batch.h"

/* A batch as its user keeps it. Zeroed but for batch before the first submit. */
typedef struct many_sent_ {
    many_batch_ *batch;
    many_future_node_ node;
    int watched; /* node is, or was, in the list of its future */
} many_sent_;

/* Who waits; nodes point at it. */
typedef struct many_sent_waiter_ {
    int bell;  /* rung when a watched batch is over; -1: there was no need yet */
    int token; /* ends a wait when it is readable; -1: none */
} many_sent_waiter_;

void many_sent_waiter_begin_(many_sent_waiter_ *wait, int token);
void many_sent_waiter_end_(many_sent_waiter_ *wait);

/* Is it over? 1 or 0. After 1 its settler is through with it. */
int many_sent_is_over_(many_sent_ *sent);

/* It was over, or is given up: no longer watched. Before the batch is submitted again, or closed. */
void many_sent_forget_(many_sent_ *sent);

/*
 * Until one of n (1 or more) batches that were submitted is over. The oldest comes first; number k is waited for
 * alone for a moment, before the others are looked at: who wants the next one says 0, who wants several at a
 * time a later one. 0: look again, one may be, or the token was set; -ETIMEDOUT; -EINTR; -EDEADLK with words:
 * each waits for the task that waits here. A deadline that has come does not help.
 */
int many_sent_wait_(many_sent_waiter_ *wait, many_sent_ *const *sent, size_t n, size_t k,
                    int64_t deadline_ns);

#endif
