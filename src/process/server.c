/* SPDX-License-Identifier: MIT */
/*
 * server.c - the owner's side of the fork server; the protocol stands in server_loop.c
 *
 * Promise    Requests need no lock: each brings the socket that its answer comes by, and the line keeps
 *            messages whole. So any number of threads, and forked children of the owner, ask at once.
 * Invariant  The line keeps its number for the life of the process (unless the program closes what is not
 *            its own): who has it from many_server_line_() talks to a server, or to none.
 * Death      A server that is found dead is replaced: by the start that finds it so, once. Where it was
 *            killed before it answered, what it was asked for has not run and will not, so it is asked
 *            for again. With no answer from the second one either, the start is -EPIPE.
 *            One that was stopped (SIGSTOP) is not dead: after a second it is told to go on. Only while it is
 *            frozen, or in the hands of a tracer, a start waits as long as that lasts.
 */
#include "process/server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "os/clock.h"
#include "os/descriptors.h"
#include "os/launch.h"
#include "os/module.h"
#include "os/stream.h"
#include "os/thread.h"
#include "process/children.h"
#include "process/current.h"
#include "process/departure.h"
#include "process/own.h"
#include "process/parcel.h"
#include "process/process.h"
#include "process/server_loop.h"
#include "process/spawn.h"
#include "sync/lock.h"

/* A look at the server while an answer is awaited, should its descriptor not tell. */
#define SERVER_LOOK_MS 50

/* An answer comes in less than a millisecond, unless the machine is busy, or the server was stopped. */
#define SERVER_ROUSE_NS MANY_SECOND_NS

typedef struct server_client {
    many_lock lock;      /* protects all below */
    int up;              /* 1: child and line are a server that was not seen dead */
    unsigned generation; /* of servers, counted */
    many_child_ child;
    int line; /* 0: there never was one */
    dev_t device;
    ino_t inode; /* of the line: the number may be another file's, if the program closed it */
} server_client;

/* ---- the server of this process ---- */

static int server_has_line(const server_client *client)
{
    struct stat status;

    return client->line > 0 && fstat(client->line, &status) == 0 &&
           status.st_ino == client->inode && status.st_dev == client->device;
}

/* In a new process: what is there is the parent's, and so are the descriptors. */
static void server_begin(void *memory)
{
    server_client *client = memory;

    if (server_has_line(client)) {
        close(client->line);
        if (client->up)
            many_child_close_(&client->child);
    }
    memset(client, 0, sizeof *client);
    client->child.fd = -1;
}

static server_client *server_own(void)
{
    static server_client client;

    return many_own_(MANY_OWN_SERVER_, &client, server_begin);
}

static void server_acquire(server_client *client)
{
    int code;

    do
        code = many_lock_take_(&client->lock, MANY_NEVER_NS);
    while (code == -EINTR);
    if (code ==
        -EOWNERDEAD) /* the thread was ended in here: each word is still true or not there */
        many_lock_mend_(&client->lock);
}

static void server_release(server_client *client)
{
    many_lock_give_(&client->lock);
}

/* Has the server closed its end? One that is dying does, before it is dead. */
static int server_hung_up(const server_client *client)
{
    struct pollfd poller = {client->line, 0, 0};

    return poll(&poller, 1, 0) > 0 && (poller.revents & (POLLHUP | POLLERR)) != 0;
}

/* Under the lock: does it live? */
static int server_is_up(server_client *client)
{
    many_ending_ ending;

    if (!client->up)
        return 0;
    if (!server_has_line(client)) {
        /* The program has closed it, and the descriptor of the server as well: both numbers may be its
         * own files' by now. The server goes when those that it made have ended. */
        client->child = (many_child_){0, -1};
    } else if (server_hung_up(client)) {
        many_child_signal_(&client->child, SIGKILL);
        many_child_ended_(&client->child, 1, &ending);
    } else if (!many_child_reap_(&client->child, &ending)) {
        return 1;
    } else {
        many_child_close_(&client->child);
    }
    client->up = 0;
    return 0;
}

/* ---- should it have been stopped ---- */

/* 1: now is the time; and the next is a second later. */
static int server_is_due(int64_t *due_ns)
{
    const int64_t now_ns = many_clock_ns_();
    const int due = *due_ns != 0 && now_ns >= *due_ns;

    if (due || *due_ns == 0)
        *due_ns = now_ns + SERVER_ROUSE_NS;
    return due;
}

void many_server_rouse_(int64_t *due_ns)
{
    server_client *client;
    int code;

    if (!server_is_due(due_ns))
        return;
    client = server_own();
    code = many_lock_take_(&client->lock, 0);
    if (code == -EOWNERDEAD)
        many_lock_mend_(&client->lock);
    else if (code < 0) /* who holds it for so long starts a server, and rouses that itself */
        return;
    if (client->up && server_has_line(client))
        many_child_signal_(&client->child, SIGCONT);
    server_release(client);
}

/* ---- starting it ---- */

/* Exec of the program, if it begins with many_main(): the server is small then, whatever we are. */
static int server_exec(many_child_ *child, int hello)
{
    many_parcel_ parcel;
    int file, code;

    memset(&parcel, 0, sizeof parcel);
    parcel.kind = MANY_PARCEL_SERVER_;
    parcel.socket = hello;
    parcel.line = -1;
    parcel.parent = getpid();
    parcel.produces = parcel.consumes = -1;
    file = many_parcel_write_(&parcel);
    if (file < 0)
        return file;
    code = many_spawn_(child, file, &hello, 1);
    close(file);
    return code;
}

/*
 * A fork of the owner as it is. What the loader has loaded is asked for before: a thread that is not in
 * the child could hold its lock. Where the owner is such a child itself only the program is known, and for
 * functions of libraries each child of the server asks, and takes the risk.
 */
static int server_fork(many_child_ *child, int hello)
{
    const pid_t owner = getpid();
    size_t count;
    many_module_ *modules =
        many_current_is_forked_() ? many_module_program_(&count) : many_module_list_(&count);
    int code;

    if (modules == NULL)
        return -ENOMEM;
    code = many_launch_fork_(child);
    if (code == 1) {
        many_thread_let_go_(PTHREAD_CANCEL_ENABLE); /* as it is in any process at first */
        many_launch_close_others_(&hello, 1);
        many_launch_defaults_();
        many_server_loop_(hello, owner, modules, count);
    }
    free(modules);
    return code;
}

/* The line, which the server sends; or a negative errno. */
static int server_greet(const many_child_ *child, int hello)
{
    const many_identity_ who = child->fd < 0 ? many_self_of_(child->pid) : 0;
    many_request_ greeting;
    int64_t due_ns = 0;
    int line;

    for (;;) {
        struct pollfd poller[2] = {{hello, POLLIN, 0}, {child->fd, POLLIN, 0}};
        size_t count = 1;
        ssize_t got;
        int over;

        poll(poller, 2, SERVER_LOOK_MS);
        over = child->fd >= 0 ? poller[1].revents != 0 : many_self_gone_(who);
        /* After the look at its end, so that what it said last is heard. */
        got = many_descriptors_receive_(hello, &greeting, sizeof greeting, &line, &count, NULL, 0);
        if (got == sizeof greeting && greeting.magic == MANY_SERVER_MAGIC_)
            return line >= 0 ? line : -EMFILE;
        if (got != -EAGAIN || over)
            return -EPIPE;
        if (server_is_due(&due_ns))
            many_child_signal_(child, SIGCONT);
    }
}

/* Its number stays; a number that is another file's by now is left alone. */
static int server_set_line(server_client *client, int line)
{
    struct stat status;

    if (client->line > 0 && server_has_line(client)) {
        int code = dup3(line, client->line, O_CLOEXEC) < 0 ? -errno : 0;

        close(line);
        if (code < 0)
            return code;
    } else {
        client->line = line;
    }
    if (fstat(client->line, &status) != 0)
        return -errno;
    client->device = status.st_dev;
    client->inode = status.st_ino;
    return 0;
}

/* Where a new server answers, and what is asked of it. */
typedef struct server_keeping {
    int line;
    int answers; /* nobody reads them */
} server_keeping;

/* A daemon that is our own child, and so has lost who would end it. */
static void server_keep_one(const many_process *process, void *argument)
{
    const server_keeping *keeping = argument;
    const many_request_ request = {
        .magic = MANY_SERVER_MAGIC_, .verb = MANY_REQUEST_KEEP_, .pid = process->pid};
    const int descriptors[2] = {keeping->answers, process->child.fd};

    if (process->daemon && process->method != MANY_FORKSERVER &&
        !atomic_load_explicit(&process->ended, memory_order_acquire))
        many_descriptors_send_(keeping->line, &request, sizeof request, descriptors,
                               process->child.fd >= 0 ? 2 : 1, 1);
}

/* Under the lock: what the server before this one kept is this one's. */
static void server_keep_all(const server_client *client)
{
    server_keeping keeping = {client->line, -1};
    int ends[2];

    if (many_descriptors_pair_(ends) < 0)
        return;
    close(ends[0]);
    keeping.answers = ends[1];
    many_children_each_(server_keep_one, &keeping);
    close(ends[1]);
}

/* Under the lock. 0, or a negative errno. */
static int server_make(server_client *client)
{
    many_ending_ ending;
    int ends[2];
    int line, code;

    code = many_descriptors_pair_(ends);
    if (code < 0)
        return code;
    MANY_FAULT_POINT("server.make.before");
    code = many_main_name_() != NULL ? server_exec(&client->child, ends[1]) : -ENOSYS;
    if (code < 0) /* or what is not to be exec'ed here: after a chroot(), say */
        code = server_fork(&client->child, ends[1]);
    close(ends[1]);
    if (code == 0) {
        MANY_FAULT_POINT("server.make.made");
        line = server_greet(&client->child, ends[0]);
        code = line < 0 ? line : server_set_line(client, line);
        if (code < 0) {
            many_child_kill_(&client->child);
            many_child_ended_(&client->child, 1, &ending);
        }
    }
    close(ends[0]);
    if (code < 0)
        return code;
    client->up = 1;
    if (client->generation++ > 0)
        server_keep_all(client);
    return 0;
}

/* The number of the server that runs, which is started if there is none; or a negative code with
 * words. *line and *child (may be NULL) are its. */
static int server_ensure(const char *function, int *line, many_child_ *child, unsigned *generation)
{
    server_client *client = server_own();
    const int held = many_thread_hold_();
    int code = 0;

    server_acquire(client);
    if (!server_is_up(client))
        code = server_make(client);
    *line = client->line;
    *child = client->child;
    *generation = client->generation;
    server_release(client);
    many_thread_let_go_(held);
    if (code == -EPIPE && many_main_name_() != NULL)
        return many_fail(
            code,
            "%s: the fork server ended before it was ready: many_main(argc, argv) has to be "
            "the first line of main",
            function);
    if (code < 0)
        return many_fail(code, "%s: the fork server could not be started (%s)", function,
                         many_error_name(code));
    return 0;
}

/* Is it dead, the server of this generation? */
static int server_is_gone(unsigned generation)
{
    server_client *client = server_own();
    int gone;

    server_acquire(client);
    gone = client->generation != generation || !server_is_up(client);
    server_release(client);
    return gone;
}

int many_forkserver_start(void)
{
    many_child_ child;
    unsigned generation;
    int line;

    return server_ensure("many_forkserver_start", &line, &child, &generation);
}

int many_server_line_(void)
{
    many_child_ child;
    unsigned generation;
    int line;
    int code = server_ensure("many_process_start", &line, &child, &generation);

    return code < 0 ? code : line;
}

/* ---- keep: in a child of the owner ---- */

int many_server_keep_(int line, pid_t owner)
{
    const many_request_ request = {
        .magic = MANY_SERVER_MAGIC_, .verb = MANY_REQUEST_KEEP_, .pid = getpid()};
    many_answer_ answer;
    int descriptors[2], ends[2];
    int code = many_descriptors_pair_(ends);
    int none;

    if (code < 0)
        return code;
    descriptors[0] = ends[1];
    descriptors[1] = many_child_open_(request.pid);
    code = many_descriptors_send_(line, &request, sizeof request, descriptors,
                                  descriptors[1] >= 0 ? 2 : 1, 1);
    many_descriptors_close_(descriptors, 2);
    MANY_FAULT_POINT("server.keep.asked");
    /* The server's end of the line is its alone, and so is now what the answer comes by: when it dies,
     * both are closed. When the owner does, the server leaves. */
    while (code == 0) {
        struct pollfd poller = {ends[0], POLLIN, 0};

        poll(&poller, 1, SERVER_LOOK_MS);
        code = many_answer_receive_(ends[0], &answer, &none);
        if (code == -EAGAIN && !many_orphan_(owner))
            code = 0;
        else if (code == 0 && (code = answer.code) == 0)
            break;
    }
    close(ends[0]);
    if (code == 0 && many_orphan_(owner))
        code = -ESRCH;
    return code;
}

/* ---- start ---- */

typedef struct server_call {
    int line;
    many_child_ server;
    unsigned generation;
    many_departure_ departure;
    int status[2]; /* read, write */
} server_call;

static int server_pipe(int ends[2])
{
    int code = MANY_FAULT_ERROR("server.pipe");

    ends[0] = ends[1] = -1;
    if (code < 0)
        return code;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -errno;
    return many_stream_lift_pair_(ends);
}

/* Send the request and hear what the server says. 0; -EPIPE: it is dead, and has made nothing that
 * runs; another negative errno. */
static int server_ask(many_process *process, server_call *call)
{
    const many_request_ request = {
        .magic = MANY_SERVER_MAGIC_, .verb = MANY_REQUEST_START_, .daemon = process->daemon};
    const int descriptors[3] = {call->departure.theirs, call->departure.parcel, call->status[1]};
    many_answer_ answer;
    int64_t due_ns = 0;
    int code = many_descriptors_send_(call->line, &request, sizeof request, descriptors, 3, 1);
    int fd;

    if (code < 0)
        return code;
    MANY_FAULT_POINT("server.ask.sent");
    for (;;) {
        struct pollfd poller[2] = {{call->departure.ours, POLLIN, 0}, {call->server.fd, POLLIN, 0}};
        int gone = 0;

        poll(poller, 2, SERVER_LOOK_MS);
        if (poller[0].revents == 0)
            gone = server_is_gone(call->generation);
        /* After the look at its end, so that what it said last is heard. */
        code = many_answer_receive_(call->departure.ours, &answer, &fd);
        if (code == -EAGAIN && gone)
            return -EPIPE;
        if (code == -EAGAIN) {
            many_server_rouse_(&due_ns);
            continue;
        }
        if (code == 0)
            code = answer.code;
        if (code < 0)
            return code;
        process->pid = answer.pid;
        process->child = (many_child_){answer.pid, fd};
        return 0;
    }
}

/* It is made; is it what it was to be? */
static int server_settle(many_process *process, server_call *call)
{
    MANY_FAULT_POINT("server.ask.answered");
    process->status_fd = call->status[0];
    call->status[0] = -1;
    many_departure_let_go_(&call->departure);
    many_descriptors_close_(&call->status[1], 1);
    return call->departure.answers ? many_departure_wait_(&call->departure, process) : 0;
}

/* Once. *again: the server is dead, and nothing runs. */
static int server_try(many_process *process, const many_process_options *options, int *again)
{
    server_call call;
    int code = server_ensure("many_process_start", &call.line, &call.server, &call.generation);

    *again = 0;
    if (code < 0)
        return code;
    code = many_departure_pack_(&call.departure, process, options, -1);
    if (code < 0)
        return code;
    code = server_pipe(call.status);
    if (code == 0) {
        MANY_FAULT_POINT("server.ask.before");
        code = server_ask(process, &call);
        *again = code == -EPIPE;
    }
    if (code == 0)
        code = server_settle(process, &call);
    else
        many_fail(code, "many_process_start: the fork server could not make '%s' (%s)",
                  process->name, many_error_name(code));
    many_descriptors_close_(call.status, 2);
    many_departure_end_(&call.departure);
    return code;
}

int many_process_start_server_(many_process *process, const many_process_options *options)
{
    const int held = many_thread_hold_(); /* a pthread_cancel() would leave descriptors behind */
    int again;
    int code;

    many_flush_standard_();
    code = server_try(process, options, &again);
    if (again)
        code = server_try(process, options, &again);
    many_thread_let_go_(held);
    return code;
}
