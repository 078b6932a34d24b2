/* SPDX-License-Identifier: MIT */
/*
 * queue.h - the queue seen from inside: who starts processes registers them, and hands queues to
 * them
 */
#ifndef MANY_CHANNEL_QUEUE_H
#define MANY_CHANNEL_QUEUE_H

#include <many/channel.h>

#include "os/self.h"

/*
 * many_queue_register() and many_queue_finish() for another thread, and without words: a child's
 * main thread is enlisted before it runs. What it is already counts as done. 0; -ENOSPC;
 * -ETIMEDOUT: who holds the table is stopped for seconds. delist: 0; -ENOENT: it is none of
 * these; -ETIMEDOUT.
 */
int many_queue_enlist_(many_queue *queue, many_identity_ identity, int ends);
int many_queue_delist_(many_queue *queue, many_identity_ identity, int ends);

/* Somebody that may be registered has died: look now. Not needed, but faster than to wait until
 * it is noticed. */
void many_queue_look_(many_queue *queue);

/* Descriptors that another process needs to have the queue; they stay the queue's. */
#define MANY_QUEUE_FDS_ 2
void many_queue_share_(const many_queue *queue, int fds[MANY_QUEUE_FDS_]);

/*
 * The queue that another process shares by copies of these, which are the new queue's own after
 * success (and the caller's after failure). 0; -EBADF; -EBADMSG: no queue; -ENOMEM.
 */
int many_queue_adopt_(many_queue **queue, const int fds[MANY_QUEUE_FDS_]);

#endif
