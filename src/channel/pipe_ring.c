/* SPDX-License-Identifier: MIT */
/*
 * pipe_ring.c - a pipe in shared memory: a ring each way, and two pairs of sockets for what memory
 * cannot do
 *
 * The first pair (the line) carries no messages. It tells whether anybody has the other end: the
 * kernel says "hung up" when its last copy is closed or its last holder is dead. And it is the
 * bell for poll: a byte in it says that the ring towards this end may hold something. The second
 * pair carries descriptors, so that a bell and a descriptor never stand in each other's way.
 *
 * Promise    The line is readable while there is something to receive, once many_pipe_descriptor()
 *            was called; at other times a moment too long at most, never too short.
 * Invariant  many_pipe_open() puts a byte into the line, before the first message. Nobody takes it
 *            until the ring was told to be polled (many_ring_polled_): it is the bell of all
 *            messages that were there at that instant. Those that come later to an empty ring are
 *            announced by a byte from the sender, under the put-lock and before the message can be
 *            seen. So whoever is told, when the ring begins to be polled, that nothing is announced,
 *            may take the byte of the beginning. (That the ring is empty is not enough: the last
 *            message may have gone without a hush, and a sender that finds it announced is silent.)
 *            Bells are taken away by the ring's hush alone, under both locks and with nothing
 *            there; so no sender is between its byte and its message. The byte of the beginning is
 *            marked, and taken under bell_lock, which hush takes too: what looked like that byte
 *            is still that byte when it is taken.
 * Death      Killed between the byte and the message: a bell too many, which the next one who finds
 *            nothing takes away. Killed in hush: nothing was there, and the ring announces again.
 *            Killed with bell_lock: the next has it after a slice.
 *            The end of the stream is seen by who waits: before it sleeps, and then once a slice;
 *            by a sender that finds room, when an end was closed since, and some 250 times a
 *            second.
 * Holders    A copy of an end that a fork left in a sibling keeps the line up. So each process
 *            that uses an end is recorded in the shared memory, once; when all those recorded are
 *            dead (not: have closed it) the other end takes it for the end of the stream. Whoever
 *            uses the end later is recorded in its turn, and it lives again.
 */
#include "channel/pipe_kind.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "channel/pass.h"
#include "channel/ring.h"
#include "os/atomic.h"
#include "os/clock.h"
#include "os/local.h"
#include "os/self.h"
#include "os/stream.h"
#include "sync/lock.h"

#define PIPE_MAGIC        UINT64_C(0x316570697070796d) /* where the low byte is first: "myppipe1" */
#define PIPE_CAPACITY     (UINT64_C(1) << 20)          /* bytes each way, by default */
#define PIPE_HOLDERS      32
#define PIPE_BELL_WAIT_NS (100 * MANY_MILLISECOND_NS)

#define PIPE_BYTE_FIRST 'f' /* put in by open */
#define PIPE_BYTE_BELL  'b'

/* One end, for all who have either. */
typedef struct pipe_shared_end {
    uint64_t line_file; /* which file its sockets are: so a process knows which end it was given */
    uint64_t pass_file;
    _Alignas(MANY_CACHE_LINE) _Atomic uint64_t closes; /* how often somebody closed it */
    many_lock bell_lock;                               /* for who takes bytes from its line */
    _Atomic uint64_t holders[PIPE_HOLDERS];            /* identities; 0: free */
    _Atomic uint32_t unrecorded;                       /* 1: there are holders beyond those */
} pipe_shared_end;

typedef struct pipe_shared {
    uint64_t magic;
    uint64_t message_max;
    uint64_t one_way;
    pipe_shared_end ends[2];
} pipe_shared;

struct many_pipe_ring_ {
    many_ring_area_ area;
    many_ring_ rings[2]; /* towards end 0 and towards end 1 */
    pipe_shared *shared;
    int which; /* end it is */
    int line;
    int pass;
    uint64_t line_file, pass_file;
    _Atomic uint64_t recorded; /* the process that is recorded as a holder by this handle */
    /* What send knows of the other end. */
    _Atomic uint64_t seen_closes;
    _Atomic int64_t seen_tick;
    _Atomic int64_t
        bereft_ns; /* since when all recorded holders of the other end are dead; 0: no */
};

static many_ring_ *pipe_inward(many_pipe_ring_ *end)
{
    return &end->rings[end->which];
}

static many_ring_ *pipe_outward(many_pipe_ring_ *end)
{
    return &end->rings[1 - end->which];
}

/* ---- holders ---- */

void many_pipe_ring_hold_(many_pipe_ring_ *end, many_identity_ who)
{
    pipe_shared_end *mine = &end->shared->ends[end->which];

    if (who == 0)
        return;
    for (int i = 0; i < PIPE_HOLDERS; i++)
        if (atomic_load(&mine->holders[i]) == who)
            return;
    for (int i = 0; i < PIPE_HOLDERS; i++) {
        uint64_t holder = atomic_load(&mine->holders[i]);

        if ((holder == 0 || many_self_gone_(holder)) &&
            atomic_compare_exchange_strong(&mine->holders[i], &holder, who))
            return;
    }
    atomic_store(&mine->unrecorded, 1);
}

/* This process uses the end. */
static MANY_SELDOM_ void pipe_record(many_pipe_ring_ *end, uint64_t process)
{
    many_pipe_ring_hold_(end, many_self_of_(getpid()));
    atomic_store_explicit(&end->recorded, process, memory_order_relaxed);
}

static inline void pipe_use(many_pipe_ring_ *end)
{
    uint64_t process = many_self_process_();

    if (!MANY_LIKELY_(atomic_load_explicit(&end->recorded, memory_order_relaxed) == process))
        pipe_record(end, process);
}

static void pipe_forget(many_pipe_ring_ *end)
{
    pipe_shared_end *mine = &end->shared->ends[end->which];
    const uint64_t me = many_self_of_(getpid());

    for (int i = 0; i < PIPE_HOLDERS; i++) {
        uint64_t holder = me;

        if (me != 0)
            atomic_compare_exchange_strong(&mine->holders[i], &holder, 0);
    }
}

static int pipe_looks_bereft(const pipe_shared_end *other)
{
    int dead = 0;

    if (atomic_load(&other->unrecorded))
        return 0;
    for (int i = 0; i < PIPE_HOLDERS; i++) {
        uint64_t holder = atomic_load(&other->holders[i]);

        if (holder == 0)
            continue;
        if (!many_self_gone_(holder))
            return 0;
        dead = 1;
    }
    return dead;
}

/* Were some recorded, and are all of them dead? Whoever died while we looked may have recorded a
 * successor before, in a place that had been looked at: a second look sees it. */
static int pipe_is_bereft(const pipe_shared_end *other)
{
    return pipe_looks_bereft(other) && pipe_looks_bereft(other);
}

/* One of several that share an end may be through, and gone, before another has begun: that one has so
 * long to be recorded. */
#define PIPE_HEIR_NS (250 * MANY_MILLISECOND_NS)

/* Has nobody the other end any more? Also the watch of our waits. 0 or -EPIPE. */
static int pipe_watch(void *argument)
{
    many_pipe_ring_ *end = argument;
    int64_t since_ns, now_ns;

    if (many_pass_is_over_(end->line))
        return -EPIPE;
    if (!pipe_is_bereft(&end->shared->ends[1 - end->which])) {
        atomic_store_explicit(&end->bereft_ns, 0, memory_order_relaxed);
        return 0;
    }
    now_ns = many_clock_ns_();
    since_ns = atomic_load_explicit(&end->bereft_ns, memory_order_relaxed);
    if (since_ns == 0)
        atomic_store_explicit(&end->bereft_ns, now_ns, memory_order_relaxed);
    return since_ns != 0 && now_ns - since_ns >= PIPE_HEIR_NS ? -EPIPE : 0;
}

/* The same for a sender that does not wait, so cheap that it can be asked each time. */
static inline int pipe_glance(many_pipe_ring_ *end)
{
    const uint64_t closes = atomic_load_explicit(&end->shared->ends[1 - end->which].closes,
                                                 memory_order_acquire); /* of close */
    struct timespec now = {0, 0};
    int64_t tick;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    tick = now.tv_sec * MANY_SECOND_NS + now.tv_nsec;
    if (MANY_LIKELY_(tick == atomic_load_explicit(&end->seen_tick, memory_order_relaxed) &&
                     closes == atomic_load_explicit(&end->seen_closes, memory_order_relaxed)))
        return 0;
    if (pipe_watch(end) < 0)
        return -EPIPE;
    atomic_store_explicit(&end->seen_tick, tick, memory_order_relaxed);
    atomic_store_explicit(&end->seen_closes, closes, memory_order_relaxed);
    return 0;
}

/* ---- the bell ---- */

/* The outward ring: a message is about to be there. */
static void pipe_announce(void *argument)
{
    const many_pipe_ring_ *end = argument;
    const char byte = PIPE_BYTE_BELL;
    const int saved = errno;

    /* No room: then there is a byte. No other end: then there is nobody to hear it. */
    while (send(end->line, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EINTR) {
    }
    errno = saved;
}

/* The inward ring, which begins to be polled, and has something: the byte of the beginning says
 * so. */
static void pipe_is_announced(void *argument)
{
    (void)argument;
}

static int pipe_take_bell(many_pipe_ring_ *end)
{
    many_lock *lock = &end->shared->ends[end->which].bell_lock;
    int code = many_lock_take_(lock, 0);

    if (code == -ETIMEDOUT)
        code = many_lock_take_(lock, many_clock_ns_() + PIPE_BELL_WAIT_NS);
    if (code == -EOWNERDEAD)
        many_lock_mend_(lock);
    return code == -EOWNERDEAD ? 0 : code;
}

/* The inward ring, with nothing in it. A holder of the lock that is stopped leaves the bell rung:
 * too long, until the next hush. */
static void pipe_hush(void *argument)
{
    many_pipe_ring_ *end = argument;
    const int saved = errno;
    char bytes[64];
    ssize_t got;

    if (pipe_take_bell(end) == 0) {
        do
            got = recv(end->line, bytes, sizeof bytes, MSG_DONTWAIT);
        while (got > 0 || (got < 0 && errno == EINTR));
        MANY_FAULT_POINT("pipe.hush.silent");
        many_lock_give_(&end->shared->ends[end->which].bell_lock);
    }
    errno = saved;
}

/* Take the byte of the beginning, if it is there still. */
static void pipe_take_first(many_pipe_ring_ *end)
{
    char byte = 0;

    if (pipe_take_bell(end) < 0)
        return;
    if (recv(end->line, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 1 && byte == PIPE_BYTE_FIRST)
        many_pass_drop_(end->line, 1);
    MANY_FAULT_POINT("pipe.first.taken");
    many_lock_give_(&end->shared->ends[end->which].bell_lock);
}

int many_pipe_ring_descriptor_(many_pipe_ring_ *end)
{
    many_ring_ *ring = pipe_inward(end);
    int code;

    pipe_use(end);
    do
        code = many_ring_polled_(ring);
    while (code == -EINTR);
    /* Nothing was announced, so what comes has a bell of its own. Not told in time (who holds a
     * lock is stopped): it is readable too long. */
    if (code == 1)
        pipe_take_first(end);
    return end->line;
}

/* ---- messages ---- */

int many_pipe_ring_send_(many_pipe_ring_ *end, const void *message, size_t bytes,
                         many_pipe_call_ *call)
{
    const many_ring_wait_ wait = {call->deadline_ns, pipe_watch, end};

    pipe_use(end);
    if (pipe_glance(end) < 0)
        return -EPIPE;
    return many_ring_put_(pipe_outward(end), message, bytes, &wait);
}

ssize_t many_pipe_ring_receive_(many_pipe_ring_ *end, void *message, size_t room,
                                many_pipe_call_ *call)
{
    const many_ring_wait_ wait = {call->deadline_ns, pipe_watch, end};

    pipe_use(end);
    return many_ring_get_(pipe_inward(end), message, room, &wait);
}

/* Memory for a message; the ring may ask again, for another message. */
static void *pipe_place(void *argument, size_t bytes)
{
    void **memory = argument;

    free(*memory);
    *memory = malloc(bytes > 0 ? bytes : 1);
    return *memory;
}

ssize_t many_pipe_ring_receive_new_(many_pipe_ring_ *end, void **message, many_pipe_call_ *call)
{
    const many_ring_wait_ wait = {call->deadline_ns, pipe_watch, end};
    void *memory = NULL;
    ssize_t got;

    pipe_use(end);
    got = many_ring_get_placed_(pipe_inward(end), pipe_place, &memory, &wait);
    if (got < 0)
        free(memory);
    else
        *message = memory;
    return got;
}

ssize_t many_pipe_ring_peek_(many_pipe_ring_ *end, many_pipe_call_ *call)
{
    const many_ring_wait_ wait = {call->deadline_ns, pipe_watch, end};

    pipe_use(end);
    return many_ring_peek_(pipe_inward(end), NULL, 0, &wait);
}

int many_pipe_ring_ready_(many_pipe_ring_ *end, many_pipe_call_ *call)
{
    const many_ring_wait_ wait = {call->deadline_ns, pipe_watch, end};

    pipe_use(end);
    return many_ring_poll_(pipe_inward(end), &wait);
}

int many_pipe_ring_empty_(const many_pipe_ring_ *end)
{
    return many_ring_empty_(&end->rings[end->which]);
}

/* ---- descriptors ---- */

int many_pipe_ring_send_descriptor_(many_pipe_ring_ *end, int descriptor, many_pipe_call_ *call)
{
    const char byte = 1;
    int code;

    pipe_use(end);
    do {
        if (pipe_watch(end) < 0)
            return -EPIPE;
        code = many_pass_send_(end->pass, &byte, 1, descriptor);
        if (code != -EAGAIN)
            return code;
        /* That too many descriptors are under way is no matter of room: no event tells its end. */
        code = many_pass_sleep_(-1, 0, call->deadline_ns, MANY_MILLISECOND_NS);
    } while (code == -EAGAIN);
    return code;
}

int many_pipe_ring_receive_descriptor_(many_pipe_ring_ *end, many_pipe_call_ *call)
{
    int over = 0, code;
    unsigned char byte;

    pipe_use(end);
    do {
        int got = many_pass_take_(end->pass, &byte);

        if (got != -EAGAIN && got != -ENOMSG)
            return got;
        if (over)
            return -EPIPE; /* and nothing was sent before */
        over = pipe_watch(end) < 0;
        code =
            over ? 0 : many_pass_sleep_(end->pass, POLLIN, call->deadline_ns, MANY_PASS_SLICE_NS_);
    } while (code == 0 || code == -EAGAIN);
    return code;
}

/* ---- open and close ---- */

/* Begin the handle of an end: who calls whom. */
static void pipe_wire(many_pipe *pipe, many_pipe_ring_ *end)
{
    end->shared = (pipe_shared *)(void *)end->area.memory;
    end->line_file = many_pass_file_(end->line);
    end->pass_file = many_pass_file_(end->pass);
    pipe_inward(end)->announce = pipe_is_announced;
    pipe_inward(end)->hush = pipe_hush;
    pipe_inward(end)->argument = end;
    pipe_outward(end)->announce = pipe_announce;
    pipe_outward(end)->argument = end;
    pipe->ring = end;
    /* The area is open. NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
    pipe->message_max = end->shared->message_max;
    pipe->receives = !end->shared->one_way || end->which == 0;
    pipe->sends = !end->shared->one_way || end->which == 1;
}

static int pipe_pair(int pair[2])
{
    int code = MANY_FAULT_ERROR("pipe.pair");

    pair[0] = pair[1] = -1;
    if (code < 0)
        return code;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return errno == EMFILE || errno == ENFILE ? -errno : -ENOMEM;
    return many_stream_lift_pair_(pair);
}

static void pipe_abandon(many_pipe_ring_ *ends[2], const int line[2], const int pass[2])
{
    for (int i = 0; i < 2; i++) {
        if (ends[i] != NULL && ends[i]->area.memory != NULL)
            many_ring_area_close_(&ends[i]->area);
        free(ends[i]);
        if (line[i] >= 0)
            close(line[i]);
        if (pass[i] >= 0)
            close(pass[i]);
    }
}

/* Both handles' views of one memory. */
static int pipe_map(many_pipe_ring_ *ends[2], const many_pipe_options *o)
{
    const many_ring_limits_ limits[2] = {
        {0, o->capacity_bytes == 0 ? PIPE_CAPACITY : o->capacity_bytes, o->message_max},
        {0, o->capacity_bytes == 0 ? PIPE_CAPACITY : o->capacity_bytes, o->message_max}};
    int fd, code;

    code = many_ring_area_open_(&ends[0]->area, sizeof(pipe_shared), ends[0]->rings, 2, limits);
    if (code < 0)
        return code;
    fd = fcntl(ends[0]->area.fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (fd < 0)
        return -errno;
    code = many_ring_area_adopt_(&ends[1]->area, sizeof(pipe_shared), ends[1]->rings, 2, fd);
    if (code < 0)
        close(fd);
    return code;
}

int many_pipe_ring_open_(many_pipe *one, many_pipe *other, const many_pipe_options *o)
{
    many_pipe_ring_ *ends[2] = {calloc(1, sizeof **ends), calloc(1, sizeof **ends)};
    int line[2] = {-1, -1}, pass[2] = {-1, -1};
    many_pipe *pipes[2] = {one, other};
    const char first = PIPE_BYTE_FIRST;
    pipe_shared *shared;
    int code = ends[0] == NULL || ends[1] == NULL ? -ENOMEM : pipe_map(ends, o);

    if (code == 0)
        code = pipe_pair(line);
    if (code == 0)
        code = pipe_pair(pass);
    if (code < 0) {
        pipe_abandon(ends, line, pass);
        return code;
    }
    shared = (pipe_shared *)(void *)ends[0]->area.memory;
    shared->magic = PIPE_MAGIC;
    shared->message_max = o->message_max == 0 ? UINT64_MAX : o->message_max;
    shared->one_way = (uint64_t)o->one_way;
    for (int i = 0; i < 2; i++) {
        shared->ends[i].line_file = many_pass_file_(line[i]);
        shared->ends[i].pass_file = many_pass_file_(pass[i]);
        ends[i]->which = i;
        ends[i]->line = line[i];
        ends[i]->pass = pass[i];
        pipe_wire(pipes[i], ends[i]);
        send(line[i], &first, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    return 0;
}

int many_pipe_ring_adopt_(many_pipe *pipe, const int fds[MANY_PIPE_FDS_])
{
    many_pipe_ring_ *end = calloc(1, sizeof *end);
    const uint64_t line = many_pass_file_(fds[1]), pass = many_pass_file_(fds[2]);
    int code;

    if (end == NULL)
        return -ENOMEM;
    code = many_ring_area_adopt_(&end->area, sizeof(pipe_shared), end->rings, 2, fds[0]);
    if (code < 0) {
        free(end);
        return code;
    }
    end->shared = (pipe_shared *)(void *)end->area.memory;
    end->which = line == end->shared->ends[1].line_file;
    if (end->shared->magic != PIPE_MAGIC || line != end->shared->ends[end->which].line_file ||
        pass != end->shared->ends[end->which].pass_file) {
        end->area.fd = -1; /* stays the caller's */
        many_ring_area_close_(&end->area);
        free(end);
        return -EBADMSG;
    }
    end->line = fds[1];
    end->pass = fds[2];
    for (int i = 0; i < MANY_PIPE_FDS_; i++)
        fcntl(fds[i], F_SETFD, FD_CLOEXEC);
    pipe_wire(pipe, end);
    pipe_use(end);
    return 0;
}

void many_pipe_ring_share_(const many_pipe_ring_ *end, int fds[MANY_PIPE_FDS_])
{
    fds[0] = end->area.fd;
    fds[1] = end->line;
    fds[2] = end->pass;
}

void many_pipe_ring_close_(many_pipe_ring_ *end)
{
    many_pass_close_(end->line, end->line_file);
    many_pass_close_(end->pass, end->pass_file);
    MANY_FAULT_POINT("pipe.close.hung_up");
    if (atomic_load(&end->recorded) == many_self_process_())
        pipe_forget(end);
    atomic_fetch_add_explicit(&end->shared->ends[end->which].closes, 1,
                              memory_order_release); /* pairs with acquire in glance */
    many_ring_wake_(&end->rings[0]);
    many_ring_wake_(&end->rings[1]);
    many_ring_area_close_(&end->area);
    free(end);
}
