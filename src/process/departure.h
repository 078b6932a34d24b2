/* SPDX-License-Identifier: MIT */
/*
 * departure.h - the starter's side of a start that is no fork: pack, and hear what became of it
 *
 *   many_departure_pack_(&departure, process, options, line);
 *   ... hand departure.parcel and departure.theirs to the new process ...
 *   many_departure_wait_(&departure, ...);      // only if departure.answers
 *   many_departure_end_(&departure);
 */
#ifndef MANY_PROCESS_DEPARTURE_H
#define MANY_PROCESS_DEPARTURE_H

#include <stdint.h>

#include "process/process.h"

/* What comes back by the socket. */
enum {
    MANY_ANSWER_MADE_ = 1, /* from the server: code, or pid; its descriptor may go with it */
    MANY_ANSWER_READY_     /* from the new process, if it was asked to answer: code, and words */
};

typedef struct many_answer_ {
    uint32_t magic;
    int32_t stage, code, pid;
    char words[256]; /* sent as far as its NUL */
} many_answer_;

typedef struct many_departure_ {
    int parcel;       /* the sealed file */
    int ours, theirs; /* the socket; cargo lies in theirs */
    int answers;      /* 1: the new process says when it is ready, or what is wrong */
} many_departure_;

/* line: of the server that a spawned daemon is to ask, else -1. 0, or a negative code with words; there
 * is nothing to end then. */
int many_departure_pack_(many_departure_ *departure, const many_process *process,
                         const many_process_options *options, int line);

/* The new process has its copies of what goes with it. */
void many_departure_let_go_(many_departure_ *departure);

void many_departure_end_(many_departure_ *departure);

/*
 * Wait for the new process, whose pid, child and status_fd are filled in, to be ready. 0: it is, or was
 * killed before it could say so, and then it counts at its queues as one that was there and is gone; or a
 * negative code with words: it could not become what it was to be, and has ended.
 */
int many_departure_wait_(const many_departure_ *departure, many_process *process);

/* code: negative, words those of many_fail(). Waits for nothing. */
int many_answer_send_(int socket, int stage, int code, pid_t pid, int descriptor);

/* The next answer that is there; descriptor: receives what came with it, or -1. 0; -EAGAIN: none yet;
 * -EPIPE: nobody will; -EBADMSG. */
int many_answer_receive_(int socket, many_answer_ *answer, int *descriptor);

#endif
