/* SPDX-License-Identifier: MIT */
/*
 * job.h - one command line as a task
 *
 * A job runs in a process group of its own, with an empty stdin. What it prints goes through pipes
 * (capture.h) to files without names, so that it comes out in one piece. The worker thread starts it, waits for its end,
 * and ends it if its item is cancelled or over its limit: SIGTERM for the group, SIGKILL after a
 * moment.
 */
#ifndef JOB_H
#define JOB_H

#include <sys/types.h>

#include "guard.h"
#include "start.h"
#include "template.h"

typedef enum job_state {
    JOB_NOT_BEGUN = 0, /* a result's memory is zeroed before the first try */
    JOB_NOT_STARTED,   /* no process came to run the command; error says why */
    JOB_ENDED          /* status says how */
} job_state;

/* What became of an item. The one who gets it closes it. */
typedef struct job_result {
    job_state state;
    int error;          /* negative code */
    int status;         /* as waitpid(2) gives it */
    int cut_off;        /* 1: it was ended by us */
    int lost;           /* negative code: not all that it printed could be kept */
    int wants_terminal; /* 1: because it stood still, waiting for a terminal it cannot have */
    int out, err;       /* descriptors of what it printed; -1: nothing. Valid unless NOT_BEGUN */
    off_t out_bytes;    /* in out, from its beginning */
    off_t err_bytes;    /* in err */
} job_result;

void job_result_close(job_result *result);

/* Why a command could not be run lies in the item (it is too long, say), not in the command. */
int job_error_is_of_item(int error);

/* A worker's own. */
typedef struct job_bench {
    template_room room;
    char *path; /* of a COMMAND with '{}' in it */
} job_bench;

/* What all jobs share: the context of the map. */
typedef struct job_shop {
    const template_line *line;
    const struct start *start;
    const char *path;   /* of COMMAND; NULL: it varies, and is looked for each time */
    guard_seat *seats;  /* [workers] */
    job_bench *benches; /* [workers] */
    size_t workers;
    pid_t self;
    int merged;   /* 1: stdout and stderr are one file, in the order of what was printed */
    int slice_ms; /* a cancelled item is noticed so soon */
} job_shop;

/* limit_s: of an item, 0 if none. 0 or -ENOMEM. job_shop_end() also after a failure. */
int job_shop_begin(job_shop *shop, size_t workers, double limit_s);
void job_shop_end(job_shop *shop);

/* A many_fn: the item is an `item`, the result a `job_result`, the context the shop. 0 if the
 * command exited with 0. */
int job_run(const void *item, void *result, void *context);

#endif
