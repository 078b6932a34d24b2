/* SPDX-License-Identifier: MIT */
/*
 * queue.h - messages among many (Python's multiprocessing.Queue, SimpleQueue, JoinableQueue, queue.Queue)
 *
 * What all of many/channel.h have in common stands there.
 */
#ifndef MANY_QUEUE_H
#define MANY_QUEUE_H

#include <many/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct many_queue many_queue;

typedef struct many_queue_options {
    size_t size;                /* sizeof this struct; the macro fills it */
    many_queue **queue;         /* receives the handle; required, the macro's first argument */
    struct many_named_ *named_; /* keeps options named; leave it alone */
    size_t capacity;       /* messages it holds before put waits; 0: no bound on their number */
    size_t capacity_bytes; /* bytes it holds before put waits; 0: as much as memory allows. A
                                   longer message passes all the same, when it is alone. There
                                   are never more messages than that either, so that empty ones
                                   are bounded, too. */
    size_t message_max;    /* bytes a message may have; 0: no bound but memory */
} many_queue_options;

/*
 * many_queue_open - begin a queue: many producers, many consumers, first in first out
 *
 *   queue    receives the handle; NULL after a failure
 *   options  by name: many_queue_open(&queue, .capacity = 64)
 *
 * returns   0
 *           -EINVAL  options make no sense
 *           -E2BIG   an option is set that this library is too old for
 *           -ENOMEM  not so much memory
 *           -EMFILE, -ENFILE  no descriptors to be had (a queue needs two)
 * blocks    never
 * threads   any
 * fork      children that are forked later share it
 * signals   not from a signal handler
 * source    Python multiprocessing.Queue(maxsize), queue.Queue; POSIX mq_open
 */
MANY_API int many_queue_open_with(const many_queue_options *options);

#ifndef __cplusplus
#define many_queue_open(...)                                                                       \
    many_queue_open_with(                                                                          \
        &(many_queue_options){.size = sizeof(many_queue_options), .queue = __VA_ARGS__})
#endif

/*
 * many_queue_put - append one message, waiting for room while the queue is full
 *
 *   queue      open
 *   message    bytes bytes; copied before return. NULL with 0 bytes
 *   bytes      0 .. message_max
 *   timeout_s  seconds to wait for room; 0: do not wait; MANY_FOREVER: no limit
 *
 * returns   0           the message is visible to every consumer
 *           -ETIMEDOUT  still full
 *           -EPIPE      it was shut down, or the last registered consumer is gone
 *           -EMSGSIZE   more than message_max
 *           -ENOMEM     no memory for it
 *           -EINTR      a signal handler ran on this thread; nothing was put
 *           -EINVAL     queue is NULL, message is NULL and bytes is not 0, or the timeout makes no sense
 * order     first in first out for each producer; between producers as they came
 * blocks    at most timeout_s, or until there is room, or the last registered consumer is gone
 * threads   any number of producers and consumers, in any process that has it
 * fork      usable in a forked child
 * signals   not from a signal handler
 * death     a producer killed in this call leaves the queue as before it or as after it
 * source    Python Queue.put, POSIX mq_timedsend
 */
MANY_API int many_queue_put(many_queue *queue, const void *message, size_t bytes, double timeout_s);

/*
 * many_queue_put_nowait - append one message if there is room now
 *
 * As many_queue_put() with a timeout of 0, but for the code.
 *
 * returns   0, or as many_queue_put(); -EAGAIN: full (Python's queue.Full)
 * source    Python Queue.put_nowait, POSIX mq_send with O_NONBLOCK
 */
MANY_API int many_queue_put_nowait(many_queue *queue, const void *message, size_t bytes);

/*
 * many_queue_get - take the first message, waiting for one while the queue is empty
 *
 *   queue      open
 *   message    receives the message; room for room bytes
 *   room       when it is too small, the message stays in the queue
 *   timeout_s  seconds to wait for a message; 0: do not wait; MANY_FOREVER: no limit
 *
 * returns   0 or more   the length of the message
 *           -ETIMEDOUT  still empty
 *           -EPIPE      end of the stream: empty, and it was shut down, or all registered producers
 *                       are gone
 *           -EMSGSIZE   the first message is longer than room (many_queue_peek() tells its length)
 *           -EINTR      a signal handler ran on this thread; nothing was taken
 *           -EINVAL     queue is NULL, message is NULL and room is not 0, or the timeout makes no sense
 * blocks    at most timeout_s, or until there is a message, or the stream ends
 * threads   any number of producers and consumers, in any process that has it
 * fork      usable in a forked child
 * signals   not from a signal handler
 * death     a consumer killed in this call has taken the message or not; the others go on
 * source    Python Queue.get, POSIX mq_timedreceive
 */
MANY_API ssize_t many_queue_get(many_queue *queue, void *message, size_t room, double timeout_s);

/*
 * many_queue_get_nowait - take the first message if there is one now
 *
 * As many_queue_get() with a timeout of 0, but for the code.
 *
 * returns   the length, or as many_queue_get(); -EAGAIN: empty (Python's queue.Empty)
 * source    Python Queue.get_nowait, POSIX mq_receive with O_NONBLOCK
 */
MANY_API ssize_t many_queue_get_nowait(many_queue *queue, void *message, size_t room);

/*
 * many_queue_peek - copy the first message, and leave it there
 *
 * As many_queue_get(), but nothing is taken, and what does not fit is cut: the return value is the
 * length of the whole message, so peek with room 0 to ask how long it is.
 *
 * returns   0 or more   the length of the message, of which at most room bytes were copied
 *           -ETIMEDOUT, -EPIPE, -EINTR, -EINVAL  as many_queue_get()
 * source    C++ queue::front, MSG_PEEK | MSG_TRUNC of recv(2)
 */
MANY_API ssize_t many_queue_peek(many_queue *queue, void *message, size_t room, double timeout_s);

/* One message of a batch. */
typedef struct many_message {
    void *data;   /* its bytes; put: read only; get: room for them */
    size_t bytes; /* put: its length; get: the room, then the length */
} many_message;

/*
 * many_queue_put_batch - append several messages, waiting for room
 *
 * Cheaper than one by one, and not all or nothing: other producers' messages may come between them.
 *
 *   messages   n of them, in order
 *
 * returns   1 .. n      so many were put, the first ones; fewer than n: the time was over, a signal
 *                       handler ran, or it was shut down
 *           0           n is 0
 *           negative    none was put; as many_queue_put()
 * blocks    at most timeout_s
 * threads   any number
 * fork      usable in a forked child
 * signals   not from a signal handler
 * death     killed in this call: some of the messages have been put, each whole
 */
MANY_API ssize_t many_queue_put_batch(many_queue *queue, const many_message *messages, size_t n,
                                      double timeout_s);

/*
 * many_queue_get_batch - take up to n messages, waiting for the first one only
 *
 *   messages   n of them; .data and .bytes say where each may go, .bytes becomes its length
 *
 * returns   1 .. n      so many were taken; a message that is too long for its place ends the batch
 *           0           n is 0
 *           negative    none was taken; as many_queue_get()
 * blocks    at most timeout_s
 * threads   any number
 * fork      usable in a forked child
 * signals   not from a signal handler
 * death     killed in this call: all of what it would have returned may be lost
 */
MANY_API ssize_t many_queue_get_batch(many_queue *queue, many_message *messages, size_t n,
                                      double timeout_s);

/*
 * many_queue_size - how many messages it holds just now
 *
 * returns   0 or more; -EINVAL for NULL
 * blocks    never
 * threads   any
 * fork      usable in a forked child
 * signals   safe in a signal handler
 * source    Python Queue.qsize
 */
MANY_API ssize_t many_queue_size(const many_queue *queue);

/*
 * many_queue_empty, many_queue_full - does it hold nothing; would put have to wait, just now?
 *
 * returns   1 or 0; -EINVAL for NULL
 * blocks    never
 * threads   any
 * fork      usable in a forked child
 * signals   safe in a signal handler
 * source    Python Queue.empty, Queue.full
 */
MANY_API int many_queue_empty(const many_queue *queue);
MANY_API int many_queue_full(const many_queue *queue);

/* Which end of a queue, or both: MANY_PRODUCER | MANY_CONSUMER. */
#define MANY_PRODUCER 1
#define MANY_CONSUMER 2

/*
 * many_queue_register - say that the calling thread is a producer, or a consumer
 *
 * Once a producer was registered, the stream ends when all of them have said so or are dead; once a
 * consumer was, put fails with -EPIPE when all of those are gone. many_process_start() and
 * many_thread_start() register the child by .produces and .consumes, before it runs, so that there is no
 * moment in which it is not counted. Who is registered need not be who puts or gets.
 *
 *   queue  open
 *   ends   MANY_PRODUCER, MANY_CONSUMER, or both
 *
 * returns   0
 *           -EINVAL   queue is NULL, or ends is none of these
 *           -EALREADY the calling thread is registered for all of them already
 *           -ENOSPC   64 threads are registered, and all of them live
 * blocks    for moments
 * threads   the one that is registered; its end counts as its death
 * fork      a forked child is not registered
 * signals   not from a signal handler
 */
MANY_API int many_queue_register(many_queue *queue, int ends);

/*
 * many_queue_finish - say that the calling thread is a producer or consumer no longer
 *
 * As many_queue_register().
 *
 * returns   0; -EINVAL queue is NULL, or ends is none; -ENOENT the thread was not registered for any
 */
MANY_API int many_queue_finish(many_queue *queue, int ends);

/*
 * many_queue_shutdown - end the stream: no more puts
 *
 * Producers that wait wake with -EPIPE. Consumers get what is there, then -EPIPE.
 *
 *   queue      open
 *   immediate  not 0: what is there is dropped, and counts as done for many_queue_join()
 *
 * returns   0; -EINVAL for NULL
 * blocks    for moments
 * threads   any, of any process that has it
 * fork      usable in a forked child
 * signals   not from a signal handler
 * source    Python 3.13 queue.Queue.shutdown(immediate)
 */
MANY_API int many_queue_shutdown(many_queue *queue, int immediate);

/*
 * many_queue_task_done - say that the work on one message that was got is done
 *
 * returns   0
 *           -EINVAL  queue is NULL, or called more often than messages were put (Python raises
 *                    ValueError)
 * blocks    never
 * threads   any
 * fork      usable in a forked child
 * signals   not from a signal handler
 * source    Python JoinableQueue.task_done
 */
MANY_API int many_queue_task_done(many_queue *queue);

/*
 * many_queue_join - wait until all that was put has been got, and is done
 *
 * returns   0           every message put so far was followed by a many_queue_task_done()
 *           -EPIPE      messages are open that nobody can finish: the registered consumers are all
 *                       gone
 *           -ETIMEDOUT  not in time
 *           -EINTR      a signal handler ran on this thread
 *           -EINVAL     queue is NULL, or the timeout makes no sense
 * blocks    at most timeout_s, or until all is done
 * threads   any
 * fork      usable in a forked child
 * signals   not from a signal handler
 * death     a consumer that is killed between get and task_done leaves its message open; see -EPIPE
 * source    Python JoinableQueue.join (which has no timeout)
 */
MANY_API int many_queue_join(many_queue *queue, double timeout_s);

/*
 * many_queue_descriptor - a descriptor that is readable while there is something to get
 *
 * For poll, select, epoll (level triggered). It may be readable a moment too long, never too short: get
 * without waiting, and expect -ETIMEDOUT. Also readable at the end of the stream by many_queue_shutdown();
 * the death of the last producer is seen by get alone, so wake up now and then. From the first call on
 * each put costs a system call.
 *
 * returns   a descriptor, the queue's own: poll it, do not read or close it. -EINVAL for NULL
 * blocks    never
 * threads   any
 * fork      usable in a forked child
 * signals   not from a signal handler
 * source    Python Queue._reader.fileno, mq_notify
 */
MANY_API int many_queue_descriptor(many_queue *queue);

/*
 * many_queue_close - take it out of this process
 *
 * What was put stays for the others. The calling thread is no longer registered.
 *
 * blocks    never
 * threads   the last one to use it; NULL does nothing
 * fork      a child closes its own
 * signals   not from a signal handler
 * source    Python Queue.close
 */
MANY_API void many_queue_close(many_queue *queue);

#ifdef __cplusplus
}
#endif

#endif
