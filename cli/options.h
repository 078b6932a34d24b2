/* SPDX-License-Identifier: MIT */
/* options.h - the command line of `many map` */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdio.h>

/* Exit statuses of `many map`; 0 to 100 count failed items, and signals give 128 + their number. */
#define STATUS_FAILED_MOST 101 /* more than 100 items failed */
#define STATUS_WRONG       255 /* wrong usage, or many itself could not go on */

struct options {
    int workers;       /* 0: not given */
    int keep_order;    /* 1: output in the order of the items */
    int null;          /* 1: items of stdin end with NUL; 0: with a newline */
    int shell;         /* 1: COMMAND is a script for sh */
    int stop;          /* 1: the first failure ends it all */
    int bar;           /* 1: forced, -1: forbidden, 0: where stderr is a terminal */
    int retries;       /* further tries of a failed item */
    double limit_s;    /* seconds an item may take; 0: no limit */
    const char *desc;  /* words before the bar, or NULL */
    char **words;      /* COMMAND and its arguments; they lie in argv, as the items do */
    size_t word_count; /* 1 or more */
    char **items;      /* what stands behind ':::', NULL if ':::' is not there */
    size_t item_count;
};

/*
 * Read argv, whose first word is "map". OPTIONS_RUN if there is something to run; else the exit
 * status: help was printed, or what is wrong was said on stderr.
 */
#define OPTIONS_RUN (-1)
int options_read(struct options *read, int argc, char **argv);

/* Flush stdout, to which text was printed that was asked for. The exit status. */
int options_printed(void);

#endif
