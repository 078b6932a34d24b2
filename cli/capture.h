/* SPDX-License-Identifier: MIT */
/*
 * capture.h - what a job prints: a pipe, emptied into a nameless file while the job runs
 *
 * A pipe, because a job that opens /dev/stdout or /dev/stderr anew would truncate a file, and with it
 * what it had printed before. The file is only made when there is something. We hold the writing end,
 * too, until the job is over: so the end of the job is one event, not two.
 */
#ifndef CAPTURE_H
#define CAPTURE_H

#include <sys/types.h>

struct capture {
    int from, to; /* the pipe's ends; -1: none */
    int file;     /* -1: nothing was printed so far */
    off_t bytes;  /* in it */
    int error;    /* negative code of a file that could not take it, or 0 */
};

/* Nothing is open: capture_close() may be called. */
void capture_begin(struct capture *capture);

/* 0 or a negative code. */
int capture_open(struct capture *capture);

/* Take what is there, without waiting. */
void capture_drain(struct capture *capture);

/* The job is over: take the rest, close the pipe. The file stays. */
void capture_finish(struct capture *capture);

void capture_close(struct capture *capture);

#endif
