/* SPDX-License-Identifier: MIT */
/*
 * output.h - what the jobs print, an item at a time, and what is told of those that fail
 *
 * Everything here is done by the thread that called the map, which hands out the outcomes.
 */
#ifndef OUTPUT_H
#define OUTPUT_H

#include <many.h>

#include "job.h"
#include "spill.h"
#include "stream.h"

struct output {
    struct stream out, err;
    many_bar *bar;       /* hidden while something is printed on its terminal; or NULL */
    int keep_order;      /* 1: in the order of the items */
    double limit_s;      /* for the message */
    const char *command; /* what is run for every item; NULL if it varies */
    int line_is_open;    /* 1: the terminal's cursor stands behind text that is no whole line */
    uint64_t next;       /* keep_order: the item whose turn it is */
    struct spill spill;

    uint64_t done;     /* items whose command exited with 0 */
    uint64_t failed;   /* others that have ended */
    uint64_t started;  /* items whose command was run */
    int broken;        /* why nothing can be printed any more: a negative code */
    const char *where; /* broken: what could not be written */
    int hopeless;      /* why COMMAND can never be run: a negative code */
};

void output_begin(struct output *output, const many_cancel *cancel, int keep_order);
void output_end(struct output *output);

/* stdout and stderr are one: print the two of an item as they came. */
int output_is_merged(const struct output *output);

/* A many_result_fn; items are `item`, results `job_result`, the context is the output. */
int output_take(const many_outcome *outcome, void *context);

/* A line on stderr, also when nothing else can be printed any more. */
void output_say(struct output *output, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
