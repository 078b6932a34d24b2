/* SPDX-License-Identifier: MIT */
/*
 * channel.h - shared memory, queues and pipes: what passes between threads and processes
 *
 *   many_queue *queue = NULL;
 *   many_queue_open(&queue, .capacity = 64);
 *   many_process_start(&producer, produce, queue, .produces = queue);
 *   while ((n = many_queue_get(queue, &message, sizeof message, MANY_FOREVER)) >= 0)
 *       consume(&message, n);                      // ends with -EPIPE when the producer is gone
 *   many_queue_close(queue);
 *
 * Everything here is open to children that are forked after it was opened, by the same handle, and
 * to others by many_process_start's .inherits. Memory is anonymous: it has no name, and is gone with
 * the last who has it.
 *
 *   messages   bytes, any number from 0 up. What is put or sent is copied before the call returns.
 *   timeouts   timeout_s is in seconds: 0 does not wait, MANY_FOREVER has no limit, other negative
 *              values and NaN are -EINVAL. Not in time is -ETIMEDOUT, also with 0.
 *   signals    a wait that a signal handler of the caller interrupted returns -EINTR, with nothing
 *              put and nothing taken. Nothing here may be called from a signal handler.
 *   death      who is killed in the middle of a call costs at most the message of that call; nobody
 *              else waits for it, and nothing half-written is ever seen.
 *   handles    belong to the process: close one only when no other thread of it uses it. In a forked
 *              child the handle is a copy, to be closed by itself, or not at all.
 */
#ifndef MANY_CHANNEL_H
#define MANY_CHANNEL_H

#include <many/segment.h>
#include <many/queue.h>
#include <many/pipe.h>

#endif
