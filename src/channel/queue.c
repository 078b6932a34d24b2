/* SPDX-License-Identifier: MIT */
/*
 * queue.c - many producers, many consumers: a ring, who is registered at its ends, and what is
 * open
 *
 * Promise    Messages come out once, whole, in order (ring.c). A wait ends when the other side,
 *            where it is registered, is gone. Open messages are those put, less those dropped and
 *            those done: all three are counted with the very store that puts, drops, or says
 *            done, so that no death miscounts.
 * Noticing   Who waits looks for the dead about every 50 ms; a put to a queue that has registered
 *            consumers looks, too, at most as often. Who leaves by the rules wakes the others.
 * Descriptor An eventfd that the ring rings before it has its first message, and silences when it
 * is
 *            empty (ring.h); so it is never silent while there is something.
 * Death      The ring's, the ends' and the park's own arguments; task_done is one
 *            compare-and-swap, and its wake is made good for by the slices of those who join.
 */
#include "channel/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fault.h"
#include "base/options.h"
#include "channel/ends.h"
#include "channel/park.h"
#include "channel/ring.h"
#include "os/clock.h"
#include "os/local.h"
#include "os/stream.h"

#define QUEUE_MAGIC   UINT64_C(0x657565752e796e6d) /* "mny.ueue" */
#define QUEUE_VERSION 1

/* Between two looks for the dead. */
#define QUEUE_LOOK_NS (50 * MANY_MILLISECOND_NS)

_Static_assert(sizeof(many_queue_options) == 48, "no padding that dirty bytes could hide in");

/* In shared memory; the ring lies behind it. */
typedef struct queue_shared {
    uint64_t magic;
    uint64_t version;
    uint64_t message_max;
    many_ends_ ends;
    _Alignas(MANY_CACHE_LINE) _Atomic uint64_t done; /* messages */
    many_park_ joiners;
} queue_shared;

/* A process's own. */
struct many_queue {
    many_ring_area_ area;
    many_ring_ ring;
    queue_shared *shared;
    int bell;
    int reserved;
    _Atomic int64_t looked_ns[2]; /* when somebody was last seen alive: producers, consumers */
    many_park_habit_ join_habit;
};

/* ---- opening ---- */

static void queue_announce(void *argument)
{
    const many_queue *queue = argument;

    (void)many_bell_ring_(queue->bell);
}

/* A caller may close all that is not its own, and get the number again for a file: an eventfd has
 * no type, and what has one is neither read nor closed. */
static int queue_is_bell(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 && (status.st_mode & S_IFMT) == 0;
}

static void queue_hush(void *argument)
{
    const many_queue *queue = argument;

    if (queue_is_bell(queue->bell))
        many_bell_silence_(queue->bell);
}

static void queue_begin(many_queue *queue, int bell)
{
    queue->shared = (queue_shared *)(void *)queue->area.memory;
    queue->bell = bell;
    queue->ring.announce = queue_announce;
    queue->ring.hush = queue_hush;
    queue->ring.argument = queue;
}

static int queue_open(many_queue *queue, const many_queue_options *options)
{
    const many_ring_limits_ limits = {.messages = options->capacity,
                                      .bytes = options->capacity_bytes,
                                      .longest = options->message_max};
    int bell, code;

    bell = many_bell_open_();
    if (bell < 0)
        return bell;
    code = many_ring_area_open_(&queue->area, sizeof(queue_shared), &queue->ring, 1, &limits);
    if (code < 0) {
        many_bell_close_(bell);
        return code;
    }
    queue_begin(queue, bell);
    queue->shared->magic = QUEUE_MAGIC;
    queue->shared->version = QUEUE_VERSION;
    queue->shared->message_max = options->message_max;
    return 0;
}

static many_queue *queue_new(void)
{
    return MANY_FAULT_ERROR("queue.new") < 0 ? NULL : calloc(1, sizeof(many_queue));
}

int many_queue_open_with(const many_queue_options *options)
{
    many_queue_options given;
    many_queue *queue;
    int code = many_options_read_(&given, sizeof given, options, "many_queue_open");

    if (code < 0)
        return code;
    if (given.queue == NULL)
        return many_fail(-EINVAL, "many_queue_open: queue is NULL: give the address of a handle");
    *given.queue = NULL;
    queue = queue_new();
    code = queue == NULL ? -ENOMEM : queue_open(queue, &given);
    if (code < 0) {
        free(queue);
        return many_fail(code, "many_queue_open: %s",
                         code == -ENOMEM ? "not enough memory or address space"
                                         : "no descriptors left: a queue needs two");
    }
    *given.queue = queue;
    return 0;
}

void many_queue_share_(const many_queue *queue, int fds[MANY_QUEUE_FDS_])
{
    fds[0] = queue->area.fd;
    fds[1] = queue->bell;
}

int many_queue_adopt_(many_queue **adopted, const int fds[MANY_QUEUE_FDS_])
{
    many_queue *queue = queue_new();
    int code;

    *adopted = NULL;
    if (queue == NULL)
        return -ENOMEM;
    code = many_ring_area_adopt_(&queue->area, sizeof(queue_shared), &queue->ring, 1, fds[0]);
    if (code == 0) {
        queue_begin(queue, fds[1]);
        if (queue->shared->magic != QUEUE_MAGIC || queue->shared->version != QUEUE_VERSION)
            code = -EBADMSG;
        else if (!queue_is_bell(fds[1]))
            code = -EBADF;
        if (code < 0) {
            queue->area.fd = -1; /* the caller's */
            many_ring_area_close_(&queue->area);
        }
    }
    if (code < 0) {
        free(queue);
        return code;
    }
    *adopted = queue;
    return 0;
}

void many_queue_close(many_queue *queue)
{
    if (queue == NULL)
        return;
    (void)many_queue_delist_(queue, many_self_(), MANY_PRODUCER | MANY_CONSUMER);
    if (queue_is_bell(queue->bell))
        many_bell_close_(queue->bell);
    many_ring_area_close_(&queue->area);
    free(queue);
}

/* ---- the ends ---- */

static void queue_wake(many_queue *queue)
{
    many_ring_wake_(&queue->ring);
    many_park_wake_all_(&queue->shared->joiners);
}

/* Have there been registered ones of this role, and is none of them left? */
static int queue_deserted(many_queue *queue, int role)
{
    _Atomic int64_t *looked = &queue->looked_ns[role == MANY_CONSUMER];
    int64_t now_ns;

    if (!many_ends_ever_(&queue->shared->ends, role))
        return 0;
    if (many_ends_none_(&queue->shared->ends, role))
        return many_ends_gone_(&queue->shared->ends, role);
    now_ns = many_clock_ns_();
    if (now_ns - atomic_load_explicit(looked, memory_order_relaxed) < QUEUE_LOOK_NS)
        return 0;
    if (many_ends_gone_(&queue->shared->ends, role))
        return 1;
    atomic_store_explicit(looked, now_ns, memory_order_relaxed);
    return 0;
}

void many_queue_look_(many_queue *queue)
{
    atomic_store_explicit(&queue->looked_ns[0], 0, memory_order_relaxed);
    atomic_store_explicit(&queue->looked_ns[1], 0, memory_order_relaxed);
    queue_wake(queue);
}

int many_queue_enlist_(many_queue *queue, many_identity_ identity, int ends)
{
    int code = many_ends_add_(&queue->shared->ends, identity, ends);

    return code == -EALREADY ? 0 : code;
}

int many_queue_delist_(many_queue *queue, many_identity_ identity, int ends)
{
    int had = many_ends_remove_(&queue->shared->ends, identity, ends);

    if (had < 0)
        return had;
    if (had == 0)
        return -ENOENT;
    queue_wake(queue);
    return 0;
}

static int queue_check_ends(const many_queue *queue, int ends, const char *function)
{
    if (queue == NULL)
        return many_fail(-EINVAL, "%s: queue is NULL: open it first", function);
    if (ends == 0 || (ends & ~(MANY_PRODUCER | MANY_CONSUMER)) != 0)
        return many_fail(-EINVAL, "%s: ends is %d: give MANY_PRODUCER, MANY_CONSUMER, or both",
                         function, ends);
    return 0;
}

int many_queue_register(many_queue *queue, int ends)
{
    int code = queue_check_ends(queue, ends, "many_queue_register");

    if (code < 0)
        return code;
    code = many_ends_add_(&queue->shared->ends, many_self_(), ends);
    if (code == -EALREADY)
        return many_fail(code, "many_queue_register: the calling thread is registered already");
    if (code == -ENOSPC)
        return many_fail(code,
                         "many_queue_register: %d living threads are registered: let some "
                         "finish first",
                         MANY_ENDS_MOST_);
    return code;
}

int many_queue_finish(many_queue *queue, int ends)
{
    int code = queue_check_ends(queue, ends, "many_queue_finish");

    if (code < 0)
        return code;
    code = many_queue_delist_(queue, many_self_(), ends);
    if (code == -ENOENT)
        return many_fail(code, "many_queue_finish: the calling thread is not registered: "
                               "many_queue_register() first");
    return code;
}

int many_queue_shutdown(many_queue *queue, int immediate)
{
    if (queue == NULL)
        return many_fail(-EINVAL, "many_queue_shutdown: queue is NULL: open it first");
    (void)many_ring_shut_(&queue->ring, immediate);
    many_park_wake_all_(&queue->shared->joiners);
    return 0;
}

/* ---- messages ---- */

static int queue_watch_put(void *argument)
{
    many_queue *queue = argument;

    return many_ring_is_shut_(&queue->ring) || queue_deserted(queue, MANY_CONSUMER) ? -EPIPE : 0;
}

static int queue_watch_get(void *argument)
{
    many_queue *queue = argument;

    /* After it was shut: the ring itself knows whether anything is left. */
    return queue_deserted(queue, MANY_PRODUCER) ? -EPIPE : 0;
}

/* What a call failed with, in words. */
static MANY_SELDOM_ int queue_fail(const many_queue *queue, const char *function, long code,
                                   size_t bytes)
{
    switch (code) {
    case -ETIMEDOUT: /* who asks again and again does not pay for words */
    case -EAGAIN:
        return (int)code;
    case -EPIPE:
        return many_fail(-EPIPE, "%s: the queue was shut down, or all at its other end are gone",
                         function);
    case -EINTR:
        return many_fail(-EINTR, "%s: a signal handler ran while it waited", function);
    case -ENOMEM:
        return many_fail(-ENOMEM, "%s: no memory for a message of %zu bytes", function, bytes);
    case -EMSGSIZE:
        if (queue->shared->message_max != 0 && bytes > queue->shared->message_max)
            return many_fail(-EMSGSIZE,
                             "%s: the message has %zu bytes, and the queue was opened "
                             "with .message_max = %llu",
                             function, bytes, (unsigned long long)queue->shared->message_max);
        return many_fail(-EMSGSIZE,
                         "%s: the message is longer than %zu bytes: many_queue_peek() "
                         "tells its length",
                         function, bytes);
    default:
        return many_fail((int)code, "%s: the queue's memory is damaged", function);
    }
}

static int queue_check(const many_queue *queue, const void *message, size_t bytes, double timeout_s,
                       const char *function)
{
    if (queue == NULL)
        return many_fail(-EINVAL, "%s: queue is NULL: open it first", function);
    if (message == NULL && bytes != 0)
        return many_fail(-EINVAL, "%s: message is NULL, and not 0 bytes long", function);
    return many_timeout_check_(timeout_s, function);
}

static inline int queue_is_plain(const many_queue *queue, const void *message, size_t bytes,
                                 double timeout_s)
{
    return queue != NULL && (message != NULL || bytes == 0) &&
           (timeout_s >= 0 || timeout_s == MANY_FOREVER);
}

/* A deadline that costs no look at the clock where none is needed. */
static inline int64_t queue_deadline_ns(double timeout_s)
{
    return timeout_s == MANY_FOREVER ? MANY_NEVER_NS
           : timeout_s == 0          ? 0
                                     : many_deadline_ns_(timeout_s);
}

static inline int queue_put(many_queue *queue, const void *message, size_t bytes, double timeout_s,
                            const char *function)
{
    many_ring_wait_ wait;
    int code;

    if (!MANY_LIKELY_(queue_is_plain(queue, message, bytes, timeout_s)))
        return queue_check(queue, message, bytes, timeout_s, function);
    wait = (many_ring_wait_){queue_deadline_ns(timeout_s), queue_watch_put, queue};
    if (!MANY_LIKELY_(!queue_deserted(queue, MANY_CONSUMER)))
        return queue_fail(queue, function, -EPIPE, bytes);
    code = many_ring_put_(&queue->ring, message, bytes, &wait);
    return MANY_LIKELY_(code == 0) ? 0 : queue_fail(queue, function, code, bytes);
}

int many_queue_put(many_queue *queue, const void *message, size_t bytes, double timeout_s)
{
    return queue_put(queue, message, bytes, timeout_s, "many_queue_put");
}

int many_queue_put_nowait(many_queue *queue, const void *message, size_t bytes)
{
    int code = queue_put(queue, message, bytes, 0, "many_queue_put_nowait");

    return code == -ETIMEDOUT ? -EAGAIN : code;
}

static inline ssize_t queue_get(many_queue *queue, void *message, size_t room, double timeout_s,
                                const char *function)
{
    many_ring_wait_ wait;
    ssize_t got;

    if (!MANY_LIKELY_(queue_is_plain(queue, message, room, timeout_s)))
        return queue_check(queue, message, room, timeout_s, function);
    wait = (many_ring_wait_){queue_deadline_ns(timeout_s), queue_watch_get, queue};
    got = many_ring_get_(&queue->ring, message, room, &wait);
    return MANY_LIKELY_(got >= 0) ? got : queue_fail(queue, function, got, room);
}

ssize_t many_queue_get(many_queue *queue, void *message, size_t room, double timeout_s)
{
    return queue_get(queue, message, room, timeout_s, "many_queue_get");
}

ssize_t many_queue_get_nowait(many_queue *queue, void *message, size_t room)
{
    ssize_t got = queue_get(queue, message, room, 0, "many_queue_get_nowait");

    return got == -ETIMEDOUT ? -EAGAIN : got;
}

ssize_t many_queue_peek(many_queue *queue, void *message, size_t room, double timeout_s)
{
    many_ring_wait_ wait;
    ssize_t got = queue_check(queue, message, room, timeout_s, "many_queue_peek");

    if (got < 0)
        return got;
    wait = (many_ring_wait_){queue_deadline_ns(timeout_s), queue_watch_get, queue};
    got = many_ring_peek_(&queue->ring, message, room, &wait);
    return got >= 0 ? got : queue_fail(queue, "many_queue_peek", got, room);
}

static int queue_check_batch(const many_queue *queue, const many_message *messages, size_t n,
                             double timeout_s, const char *function)
{
    int code = queue_check(queue, messages, n, timeout_s, function);

    for (size_t k = 0; k < n && code == 0; k++)
        if (messages[k].data == NULL && messages[k].bytes != 0)
            code = many_fail(-EINVAL, "%s: messages[%zu].data is NULL, and not 0 bytes long",
                             function, k);
    return code;
}

ssize_t many_queue_put_batch(many_queue *queue, const many_message *messages, size_t n,
                             double timeout_s)
{
    many_ring_wait_ wait;
    ssize_t put = queue_check_batch(queue, messages, n, timeout_s, "many_queue_put_batch");

    if (put < 0 || n == 0)
        return put;
    wait = (many_ring_wait_){queue_deadline_ns(timeout_s), queue_watch_put, queue};
    put = queue_deserted(queue, MANY_CONSUMER)
              ? -EPIPE
              : many_ring_put_batch_(&queue->ring, messages, n, &wait);
    return put >= 0 ? put : queue_fail(queue, "many_queue_put_batch", put, messages[0].bytes);
}

ssize_t many_queue_get_batch(many_queue *queue, many_message *messages, size_t n, double timeout_s)
{
    many_ring_wait_ wait;
    ssize_t got = queue_check_batch(queue, messages, n, timeout_s, "many_queue_get_batch");

    if (got < 0 || n == 0)
        return got;
    wait = (many_ring_wait_){queue_deadline_ns(timeout_s), queue_watch_get, queue};
    got = many_ring_get_batch_(&queue->ring, messages, n, &wait);
    return got >= 0 ? got : queue_fail(queue, "many_queue_get_batch", got, messages[0].bytes);
}

/* ---- states ---- */

ssize_t many_queue_size(const many_queue *queue)
{
    uint64_t messages, bytes;

    if (queue == NULL)
        return -EINVAL;
    many_ring_held_(&queue->ring, &messages, &bytes);
    return (ssize_t)messages;
}

int many_queue_empty(const many_queue *queue)
{
    return queue == NULL ? -EINVAL : many_ring_empty_(&queue->ring);
}

int many_queue_full(const many_queue *queue)
{
    return queue == NULL ? -EINVAL : many_ring_full_(&queue->ring);
}

int many_queue_descriptor(many_queue *queue)
{
    int code;

    if (queue == NULL)
        return many_fail(-EINVAL, "many_queue_descriptor: queue is NULL: open it first");
    code = many_ring_polled_(&queue->ring);
    if (code < 0)
        return many_fail(code, "many_queue_descriptor: who is putting a message is stopped");
    return queue->bell;
}

/* ---- what is open ---- */

/* Messages that were put, and not dropped, so far. */
static uint64_t queue_to_do(const many_queue *queue)
{
    uint64_t drops = many_ring_drops_(&queue->ring); /* first: they were all put before */

    return many_ring_puts_(&queue->ring) - drops;
}

int many_queue_task_done(many_queue *queue)
{
    uint64_t done;

    if (queue == NULL)
        return many_fail(-EINVAL, "many_queue_task_done: queue is NULL: open it first");
    done = atomic_load_explicit(&queue->shared->done, memory_order_relaxed);
    do {
        if (done >= queue_to_do(queue))
            return many_fail(-EINVAL,
                             "many_queue_task_done: all %llu messages are done already: "
                             "call it once for each that was got",
                             (unsigned long long)done);
    } while (!atomic_compare_exchange_weak_explicit(&queue->shared->done, &done, done + 1,
                                                    memory_order_seq_cst, memory_order_relaxed));
    MANY_FAULT_POINT("queue.task_done.counted");
    /* A locked instruction stands before the look for sleepers, as park.h wants it. */
    if (done + 1 == queue_to_do(queue) && many_park_wanted_(&queue->shared->joiners))
        many_park_wake_all_(&queue->shared->joiners);
    return 0;
}

/* Nobody is left who could finish what is open. */
static int queue_watch_join(void *argument)
{
    many_queue *queue = argument;

    if (atomic_load_explicit(&queue->shared->done, memory_order_acquire) >= queue_to_do(queue))
        return 0;
    return queue_deserted(queue, MANY_CONSUMER) ? -EPIPE : 0;
}

int many_queue_join(many_queue *queue, double timeout_s)
{
    many_park_wait_ waiting;
    int code = queue_check(queue, NULL, 0, timeout_s, "many_queue_join");

    if (code < 0)
        return code;
    memset(&waiting, 0, sizeof waiting);
    waiting.word = &queue->shared->done;
    waiting.deadline_ns = queue_deadline_ns(timeout_s);
    waiting.watch = queue_watch_join;
    waiting.argument = queue;
    for (;;) {
        waiting.seen = atomic_load_explicit(&queue->shared->done, memory_order_acquire);
        if (waiting.seen >= queue_to_do(queue))
            return 0;
        if (code < 0)
            break;
        code = many_park_wait_for_(&queue->shared->joiners, &queue->join_habit, &waiting);
    }
    if (code == -EPIPE)
        return many_fail(code,
                         "many_queue_join: %llu messages are open, and all registered "
                         "consumers are gone",
                         (unsigned long long)(queue_to_do(queue) - waiting.seen));
    return queue_fail(queue, "many_queue_join", code, 0);
}
