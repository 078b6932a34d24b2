/* SPDX-License-Identifier: MIT */
/* departure.c - the starter's side of a start that is no fork; see process/departure.h */
#include "process/departure.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/text.h"
#include "channel/queue.h"
#include "os/descriptors.h"
#include "os/launch.h"
#include "process/cargo.h"
#include "process/parcel.h"
#include "process/server.h"
#include "task/reference.h"

#define ANSWER_MAGIC UINT32_C(0x796e616d)

/* How often to look for an end that no descriptor tells of; and for a server that was stopped. */
#define DEPARTURE_LOOK_MS  20
#define DEPARTURE_ROUSE_MS 200

/* ---- answers ---- */

int many_answer_send_(int socket, int stage, int code, pid_t pid, int descriptor)
{
    many_answer_ answer = {ANSWER_MAGIC, stage, code, pid, ""};
    many_text_ words;

    many_text_begin_(&words, answer.words, sizeof answer.words);
    if (code < 0)
        many_text_add_(&words, many_error_words_(code));
    return many_descriptors_send_(socket, &answer, offsetof(many_answer_, words) + words.used + 1,
                                  &descriptor, descriptor >= 0, 0);
}

int many_answer_receive_(int socket, many_answer_ *answer, int *descriptor)
{
    size_t count = 1;
    ssize_t got =
        many_descriptors_receive_(socket, answer, sizeof *answer, descriptor, &count, NULL, 0);

    if (got < 0)
        return (int)got;
    if ((size_t)got > offsetof(many_answer_, words) && answer->magic == ANSWER_MAGIC &&
        ((const char *)answer)[got - 1] == '\0')
        return 0;
    many_descriptors_close_(descriptor, 1);
    return -EBADMSG;
}

/* ---- packing ---- */

static void departure_fill(many_parcel_ *parcel, const many_process *process,
                           const many_process_options *options, const many_cargo_ *cargo)
{
    parcel->kind = MANY_PARCEL_PROCESS_;
    parcel->socket = -1;
    parcel->line = -1;
    parcel->method = process->method;
    parcel->daemon = process->daemon;
    parcel->parent = getpid();
    parcel->mask = many_launch_mask_();
    memcpy(parcel->name, process->name, sizeof parcel->name);
    memset(parcel->parent_name, 0, sizeof parcel->parent_name);
    memcpy(parcel->parent_name, many_process_current()->name, strlen(many_process_current()->name));
    parcel->argument = options->argument_bytes > 0 ? options->argument : NULL;
    parcel->argument_bytes = options->argument_bytes;
    parcel->cargo = cargo->kinds;
    parcel->cargo_count = cargo->count;
    parcel->inherits_count = options->inherits_count;
    parcel->produces = cargo->produces;
    parcel->consumes = cargo->consumes;
}

/* Of this process's main thread: known already if that is the caller. */
static many_identity_ departure_identity(pid_t self)
{
    many_identity_ me = many_self_();

    return (me & MANY_IDENTITY_THREAD_) == (uint32_t)self ? me : many_self_of_(self);
}

/* The socket with the cargo in it, and the parcel. 0 or a negative errno. */
static int departure_seal(many_departure_ *departure, many_parcel_ *parcel,
                          const many_cargo_ *cargo, int line)
{
    int ends[2];
    int code = many_descriptors_pair_(ends);

    if (code < 0)
        return code;
    departure->ours = ends[0];
    departure->theirs = ends[1];
    code = many_cargo_send_(cargo, departure->ours);
    if (code < 0)
        return code;
    if (parcel->method == MANY_SPAWN) {
        parcel->socket = departure->theirs;
        parcel->line = line;
        parcel->parent_identity = 0;
    } else {
        parcel->parent_identity = departure_identity(parcel->parent);
    }
    departure->parcel = many_parcel_write_(parcel);
    return departure->parcel < 0 ? departure->parcel : 0;
}

int many_departure_pack_(many_departure_ *departure, const many_process *process,
                         const many_process_options *options, int line)
{
    many_parcel_ parcel;
    many_cargo_ cargo;
    int code;

    *departure = (many_departure_){-1, -1, -1, 0};
    code =
        many_reference_make_((many_any_fn_ *)options->fn, &parcel.reference, "many_process_start");
    if (code < 0)
        return code;
    code = many_cargo_pack_(&cargo, options);
    if (code < 0)
        return code;
    departure_fill(&parcel, process, options, &cargo);
    /* Without any of these nothing can go wrong that the starter could be told of. */
    departure->answers = cargo.count > 0 || !parcel.reference.program || line >= 0;
    parcel.answers = departure->answers;
    code = departure_seal(departure, &parcel, &cargo, line);
    if (code < 0) {
        many_fail(code, "many_process_start: '%s' cannot be told what to do (%s)", process->name,
                  many_error_name(code));
        many_departure_end_(departure);
    }
    many_cargo_drop_(&cargo);
    return code;
}

void many_departure_let_go_(many_departure_ *departure)
{
    many_descriptors_close_(&departure->parcel, 1);
    many_descriptors_close_(&departure->theirs, 1);
}

void many_departure_end_(many_departure_ *departure)
{
    many_departure_let_go_(departure);
    many_descriptors_close_(&departure->ours, 1);
}

/* ---- waiting ---- */

/* 1: it has answered, and *code is what; 0: it has not. */
static int departure_look(const many_departure_ *departure, int *code)
{
    many_answer_ answer;
    int descriptor;

    *code = many_answer_receive_(departure->ours, &answer, &descriptor);
    if (*code == -EAGAIN || *code == -EPIPE)
        return 0;
    if (*code < 0) {
        many_fail(*code, "many_process_start: the new process says what makes no sense");
        return 1;
    }
    many_descriptors_close_(&descriptor, 1);
    if (answer.code < 0)
        *code = many_fail(answer.code, "%s", answer.words);
    return 1;
}

/* Where it had come to count itself, it is the same twice. No thread but the first ones of the system
 * started in the first tick. */
static void departure_enlist_dead(const many_process *process)
{
    const many_identity_ ghost = UINT64_C(1) << 32 | (uint32_t)process->pid;

    if (process->produces != NULL)
        many_queue_enlist_(process->produces, ghost, MANY_PRODUCER);
    if (process->consumes != NULL)
        many_queue_enlist_(process->consumes, ghost, MANY_CONSUMER);
}

int many_departure_wait_(const many_departure_ *departure, many_process *process)
{
    const int ended = process->child.fd >= 0 ? process->child.fd : process->status_fd;
    const many_identity_ who = ended < 0 ? many_self_of_(process->pid) : 0;
    struct pollfd poller[2] = {{departure->ours, POLLIN, 0}, {ended, POLLIN, 0}};
    int64_t due_ns = 0;
    int code, over;

    do {
        poller[1].revents = 0;
        poll(poller, 2, ended >= 0 ? DEPARTURE_ROUSE_MS : DEPARTURE_LOOK_MS);
        many_server_rouse_(&due_ns);
        over = ended >= 0 ? poller[1].revents != 0 : who == 0 || many_self_gone_(who);
        /* After the look at its end, so that what it said last is heard. */
        if (departure_look(departure, &code)) {
            if (code < 0)
                many_process_put_down_(process);
            return code;
        }
        /* It has closed the socket: what is left is its end. */
        if ((poller[0].revents & POLLHUP) != 0)
            poller[0].fd = -1;
    } while (!over);
    departure_enlist_dead(process);
    return 0;
}
