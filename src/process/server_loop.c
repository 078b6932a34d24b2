/* SPDX-License-Identifier: MIT */
/*
 * server_loop.c - the fork server: makes processes for its owner, and ends the owner's daemons
 *
 * It polls four kinds of things: the line, where requests come; the owner's descriptor; one that tells
 * of the end of its own children; and those of the processes that it keeps. Its end of the line was
 * made by itself, so nobody else ever had it: who is at the other end is told when the server is dead.
 *
 * A start: the owner sends where to answer, the parcel, and a pipe for the status. The server forks, and
 * answers with the number and the descriptor of the child. The child waits until the answer is sent
 * before it runs anything, and dies with the server until then. When the child has ended the server
 * reaps it and writes its status into the pipe.
 *
 * A keep: a child of the owner sends where to answer, and a descriptor of itself. From the answer on it is
 * killed when the owner has ended.
 *
 * Promise    A process runs if, and only if, its start was answered or the owner is dead. So an owner
 *            that got no answer may start it anew by another server, and nothing runs twice. A daemon
 *            is not left behind: not when the owner is killed, nor when its server is.
 * Invariant  Nothing is at rest here with a descriptor of LOOP_SPARE below the limit or above it: so
 *            there is always room for the descriptors of a request, and none is lost unanswered.
 *            committed only grows, and not before the answer to the start of that number was sent.
 * Death      of the owner, at any instruction: its descriptor is readable, or it is no longer the
 *            parent. The daemons are killed, and the server leaves without waiting; what was asked and
 *            not done is dropped, and a kept one that waits for its answer sees the end of the socket.
 *            Of the server: a child that is not yet committed is killed by the kernel (it was forked by
 *            the one thread that there is), and so is a daemon, always. Others live on, their ends
 *            unknown: the pipe for the status ends without one. A daemon that the owner forked itself
 *            and the server only kept lives, too, but nobody ends it any more, unless the owner starts
 *            another server, which is given those that still live (server.c). So it takes two kills, of the
 *            server and then of the owner before that looks at its server again, to leave it behind.
 *            Of a child: between its fork and its commit, as at any other time: its status is written.
 */
#include "process/server_loop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "os/atomic.h"
#include "os/clock.h"
#include "os/descriptors.h"
#include "os/futex.h"
#include "os/launch.h"
#include "os/memory.h"
#include "os/process.h"
#include "os/self.h"
#include "process/arrival.h"
#include "process/child.h"
#include "process/departure.h"
#include "process/parcel.h"

/* More than a request brings, and answering it takes. */
#define LOOP_SPARE 16

/* Where something has no descriptor, look this often whether it lives. */
#define LOOP_LOOK_MS 50

/* The child looks so often whether it may run, before it sleeps: mostly it may. */
#define LOOP_COMMIT_LOOKS 200
#define LOOP_COMMIT_SLICE (50 * MANY_MILLISECOND_NS)

/* Places in the poll. */
enum { LOOP_LINE, LOOP_OWNER, LOOP_ENDS, LOOP_FIXED };

typedef struct loop_made {
    pid_t pid;
    int status; /* where its status goes */
    int daemon;
} loop_made;

typedef struct loop_kept {
    many_child_ child;
    many_identity_ identity;
} loop_kept;

typedef struct loop_state {
    pid_t self, owner;
    int line;        /* -1: nobody is at the other end any more */
    int owner_fd;    /* -1: this system has none */
    int ends;        /* many_launch_ends_open_() */
    int ignores;     /* 1: the owner ignores SIGCHLD, and so do its children */
    int highest;     /* no descriptor at rest may be this or more */
    uint32_t starts; /* numbers them */
    _Atomic uint32_t
        *committed; /* shared: the last start that was answered; release, with acquire in
                                    the child */
    const many_module_ *modules;
    size_t modules_count;
    loop_made *made;
    size_t made_count, made_room;
    loop_kept *kept;
    struct pollfd *poll; /* room for LOOP_FIXED + kept_room */
    size_t kept_count, kept_room;
} loop_state;

/* ---- the end of the owner ---- */

static int loop_is_orphan(const loop_state *server)
{
    if (server->owner_fd >= 0) {
        struct pollfd poller = {server->owner_fd, POLLIN, 0};

        if (poll(&poller, 1, 0) > 0)
            return 1;
    }
    return many_orphan_(server->owner);
}

/* What it made is not reaped yet, and what it keeps has a descriptor, or still its start time: no
 * stranger is hit. */
static _Noreturn void loop_leave(const loop_state *server)
{
    for (size_t i = 0; i < server->made_count; i++)
        if (server->made[i].daemon)
            kill(server->made[i].pid, SIGKILL);
    for (size_t i = 0; i < server->kept_count; i++) {
        if (server->kept[i].child.fd >= 0)
            many_child_signal_(&server->kept[i].child, SIGKILL);
        else if (!many_self_gone_(server->kept[i].identity))
            kill(server->kept[i].child.pid, SIGKILL);
    }
    _exit(0);
}

/* ---- a child of the server ---- */

/* Nothing that is the server's. */
static void loop_shed(const loop_state *server)
{
    for (size_t i = 0; i < server->made_count; i++)
        close(server->made[i].status);
    for (size_t i = 0; i < server->kept_count; i++)
        if (server->kept[i].child.fd >= 0)
            close(server->kept[i].child.fd);
    close(server->line);
    close(server->ends);
    if (server->owner_fd >= 0)
        close(server->owner_fd);
}

/* Until the start of this number was answered. Who waits here is killed if the server is. */
static void loop_await_commit(const loop_state *server, uint32_t number)
{
    uint32_t seen;

    for (int looks = 0;; looks++) {
        seen = atomic_load_explicit(server->committed, memory_order_acquire);
        if ((int32_t)(seen - number) >= 0)
            return;
        if (looks < LOOP_COMMIT_LOOKS)
            many_pause_();
        else
            many_futex_wait_(server->committed, seen, many_clock_ns_() + LOOP_COMMIT_SLICE);
    }
}

static _Noreturn void loop_become(loop_state *server, const many_request_ *request,
                                  int *descriptors)
{
    const int socket = descriptors[0];
    many_parcel_ parcel;
    int code;

    many_launch_die_with_parent_(0);
    if (many_orphan_(server->self)) /* dead before that could act */
        _exit(MANY_CHILD_LOST_);
    close(descriptors[2]);
    loop_shed(server);
    if (server->ignores)
        many_launch_ignore_ends_();
    loop_await_commit(server, server->starts);
    MANY_FAULT_POINT("server.child.committed");
    if (!request->daemon)
        many_launch_die_with_parent_(1);
    code = many_parcel_read_(&parcel, descriptors[1]);
    close(descriptors[1]);
    if (code == 0 && parcel.kind != MANY_PARCEL_PROCESS_)
        code = -EBADMSG;
    if (code < 0)
        many_arrive_lost_(many_fail(code, "many_process_start: the parcel does not hold what it "
                                          "should"),
                          socket);
    many_arrive_(&parcel, socket, server->modules, server->modules_count);
}

/* ---- requests ---- */

/* Room for one more of those made, or kept. 0; -ENOMEM: nothing has changed. */
static int loop_make_room(loop_state *server)
{
    if (server->made_count == server->made_room) {
        size_t room = server->made_room * 2 + 16;
        loop_made *more = realloc(server->made, room * sizeof *more);

        if (more == NULL)
            return -ENOMEM;
        server->made = more;
        server->made_room = room;
    }
    if (server->kept_count == server->kept_room) {
        size_t room = server->kept_room * 2 + 16;
        struct pollfd *polls = realloc(server->poll, (LOOP_FIXED + room) * sizeof *polls);
        loop_kept *more;

        if (polls == NULL)
            return -ENOMEM;
        server->poll = polls;
        more = realloc(server->kept, room * sizeof *more);
        if (more == NULL)
            return -ENOMEM;
        server->kept = more;
        server->kept_room = room;
    }
    return 0;
}

/* Done. Who asked waits for this: it gets it, or is not there any more. */
static void loop_answer(int socket, pid_t pid, int descriptor)
{
    int code = many_answer_send_(socket, MANY_ANSWER_MADE_, 0, pid, descriptor);

    while (code < 0 && code != -EPIPE) { /* too many descriptors on their way; no memory just now */
        poll(NULL, 0, 1);
        code = many_answer_send_(socket, MANY_ANSWER_MADE_, 0, pid, -1);
    }
}

/* descriptors[2] becomes the server's own after success. */
static int loop_start(loop_state *server, const many_request_ *request, int *descriptors)
{
    int fd, code;
    pid_t pid;

    if (descriptors[2] < 0)
        return -EBADMSG;
    if (descriptors[2] >= server->highest)
        return -EMFILE;
    code = loop_make_room(server);
    if (code < 0)
        return code;
    MANY_FAULT_POINT("server.start.before_fork");
    server->starts++;
    pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0)
        loop_become(server, request, descriptors);
    MANY_FAULT_POINT("server.start.forked");
    server->made[server->made_count++] = (loop_made){pid, descriptors[2], request->daemon};
    descriptors[2] = -1;
    fd = many_child_open_(pid); /* it is not reaped before we look for ends */
    loop_answer(descriptors[0], pid, fd);
    MANY_FAULT_POINT("server.start.answered");
    if (fd >= 0)
        close(fd);
    atomic_store_explicit(server->committed, server->starts, memory_order_release);
    many_futex_wake_(server->committed, 1);
    return 0;
}

/* descriptors[1] becomes the server's own after success. */
static int loop_keep(loop_state *server, const many_request_ *request, int *descriptors)
{
    loop_kept kept = {{request->pid, descriptors[1]}, many_self_of_(request->pid)};
    int code = loop_make_room(server);

    if (code < 0)
        return code;
    if (request->pid <= 0)
        return -EBADMSG;
    if (kept.child.fd >= server->highest)
        return -EMFILE;
    MANY_FAULT_POINT("server.keep.before");
    server->kept[server->kept_count++] = kept;
    descriptors[1] = -1;
    loop_answer(descriptors[0], request->pid, -1);
    MANY_FAULT_POINT("server.keep.answered");
    return 0;
}

/* One request, if there is one. 0: there was none. */
static int loop_serve(loop_state *server)
{
    int descriptors[3];
    size_t count = 3;
    many_request_ request;
    int lost, code;
    ssize_t got = many_descriptors_receive_(server->line, &request, sizeof request, descriptors,
                                            &count, &lost, 0);

    if (got == -EAGAIN)
        return 0;
    if (got < 0 && got != -EMSGSIZE) { /* nobody is there */
        close(server->line);
        server->line = -1;
        return 0;
    }
    MANY_FAULT_POINT("server.received");
    if (lost)
        code = -EMFILE;
    else if (got != sizeof request || request.magic != MANY_SERVER_MAGIC_ || descriptors[0] < 0)
        code = -EBADMSG;
    else if (request.verb == MANY_REQUEST_START_)
        code = loop_start(server, &request, descriptors);
    else if (request.verb == MANY_REQUEST_KEEP_)
        code = loop_keep(server, &request, descriptors);
    else
        code = -EBADMSG;
    if (code < 0 && descriptors[0] >= 0)
        many_answer_send_(descriptors[0], MANY_ANSWER_MADE_, code, 0, -1);
    many_descriptors_close_(descriptors, 3);
    return 1;
}

/* ---- ends ---- */

/* What process.h says that a status descriptor gives. */
static void loop_tell(int status_fd, int status, const struct rusage *usage)
{
    struct {
        unsigned char bytes[sizeof(int) + sizeof(uint64_t)];
    } news;
    uint64_t peak = (uint64_t)usage->ru_maxrss * 1024;
    ssize_t wrote;

    memcpy(news.bytes, &status, sizeof status);
    memcpy(news.bytes + sizeof status, &peak, sizeof peak);
    wrote = write(status_fd, news.bytes, sizeof news.bytes); /* an empty pipe; or nobody reads it */
    (void)wrote;
    close(status_fd);
}

static void loop_reap(loop_state *server)
{
    struct rusage usage;
    int status;
    pid_t pid;

    many_launch_ends_quiet_(server->ends);
    while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0) {
        MANY_FAULT_POINT("server.reaped");
        for (size_t i = 0; i < server->made_count; i++) {
            if (server->made[i].pid != pid)
                continue;
            loop_tell(server->made[i].status, status, &usage);
            server->made[i] = server->made[--server->made_count];
            break;
        }
    }
}

/* Let go of the kept ones that have ended. polled: how many of them the last poll has asked about. */
static void loop_forget(loop_state *server, size_t polled)
{
    for (size_t i = polled; i-- > 0;) {
        loop_kept *kept = &server->kept[i];
        int gone = kept->child.fd >= 0 ? server->poll[LOOP_FIXED + i].revents != 0
                                       : many_self_gone_(kept->identity);

        if (!gone)
            continue;
        if (kept->child.fd >= 0)
            close(kept->child.fd);
        *kept = server->kept[--server->kept_count];
    }
}

/* ---- the loop ---- */

/* Wait for anything. How many kept ones were asked about. */
static size_t loop_wait(loop_state *server)
{
    int slice = server->owner_fd < 0 ? LOOP_LOOK_MS : -1;

    server->poll[LOOP_LINE] = (struct pollfd){server->line, POLLIN, 0};
    server->poll[LOOP_OWNER] = (struct pollfd){server->owner_fd, POLLIN, 0};
    server->poll[LOOP_ENDS] = (struct pollfd){server->ends, POLLIN, 0};
    for (size_t i = 0; i < server->kept_count; i++) {
        server->poll[LOOP_FIXED + i] = (struct pollfd){server->kept[i].child.fd, POLLIN, 0};
        if (server->kept[i].child.fd < 0)
            slice = LOOP_LOOK_MS;
    }
    if (poll(server->poll, LOOP_FIXED + server->kept_count, slice) < 0)
        for (size_t i = 0; i < LOOP_FIXED + server->kept_count; i++)
            server->poll[i].revents = 0;
    return server->kept_count;
}

static _Noreturn void loop_run(loop_state *server)
{
    for (;;) {
        size_t polled = loop_wait(server);

        if (loop_is_orphan(server))
            loop_leave(server);
        if (server->poll[LOOP_ENDS].revents != 0)
            loop_reap(server);
        loop_forget(server, polled);
        if (server->poll[LOOP_LINE].revents != 0)
            loop_serve(server);
        /* The owner is another program by now (exec), and nothing is left to do for it. */
        if (server->line < 0 && server->made_count == 0 && server->kept_count == 0)
            loop_leave(server);
    }
}

/* Everything that may fail; the owner is told by the end of hello. 0 or a negative errno. */
static int loop_prepare(loop_state *server)
{
    struct rlimit limit;
    void *memory;
    int code = many_memory_map_shared_(&memory, sizeof *server->committed);

    if (code < 0)
        return code;
    server->committed = memory;
    server->highest = 1024;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        server->highest = limit.rlim_cur > INT32_MAX ? INT32_MAX : (int)limit.rlim_cur;
    server->highest -= LOOP_SPARE;
    server->ignores = many_launch_reap_();
    server->ends = many_launch_ends_open_();
    if (server->ends < 0)
        return server->ends;
    server->owner_fd = many_child_open_(server->owner);
    if (many_orphan_(server->owner))
        return -ECHILD;
    if (server->modules == NULL) /* if it fails, each child asks */
        server->modules = many_module_list_(&server->modules_count);
    return loop_make_room(server);
}

void many_server_loop_(int hello, pid_t owner, const many_module_ *modules, size_t modules_count)
{
    loop_state server = {.self = getpid(),
                         .owner = owner,
                         .line = -1,
                         .owner_fd = -1,
                         .ends = -1,
                         .modules = modules,
                         .modules_count = modules_count};
    const many_request_ greeting = {.magic = MANY_SERVER_MAGIC_};
    int ends[2];
    int code;

    many_launch_block_(); /* a constructor of the program may have let some through */
    code = loop_prepare(&server);
    if (code == 0)
        code = many_descriptors_pair_(ends);
    if (code < 0)
        _exit(MANY_CHILD_LOST_);
    server.line = ends[0];
    many_descriptors_send_(hello, &greeting, sizeof greeting, &ends[1], 1, 0);
    close(ends[1]);
    close(hello);
    MANY_FAULT_POINT("server.greeted");
    loop_run(&server);
}
