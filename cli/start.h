/* SPDX-License-Identifier: MIT */
/*
 * start.h - what the process found at its start, and what a job gets back
 *
 * The command catches and ignores signals, and may raise the number of descriptors; its jobs are to
 * see nothing of that.
 */
#ifndef START_H
#define START_H

#include <many.h>
#include <signal.h>
#include <sys/resource.h>

#define START_SIGNALS 6

struct start {
    int closed[3]; /* 1: stdin, stdout or stderr was closed; the number is taken by /dev/null now */
    int nothing;   /* /dev/null for reading */
    sigset_t mask;
    struct sigaction found[START_SIGNALS];
    struct rlimit files;
    int files_raised; /* 1: jobs get files back */
};

/* See what there is; descriptors 0 to 2 are taken afterwards. 0, or the exit status with words. */
int start_begin(struct start *start);

/*
 * From now on Ctrl-C (SIGINT), SIGTERM and SIGHUP set the token; the second of a kind acts as if
 * nobody had caught it. 0 or a negative code.
 */
int start_catch(const struct start *start, many_cancel *token);

/* Which of them it was, SIGINT if none. */
int start_caught(void);

/* Have room for so many descriptors; returns for how many there is. */
unsigned long start_make_room(struct start *start, unsigned long files);

/* In a child, before exec: all as it was. Safe between vfork and exec. */
void start_give_back(const struct start *start);

#endif
