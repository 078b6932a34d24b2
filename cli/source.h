/* SPDX-License-Identifier: MIT */
/*
 * source.h - where the items come from: arguments, or stdin
 *
 * stdin may be a slow pipe, or endless. It is read only as far as is there and as fast as items are
 * worked off, into a buffer that never grows: an item that is longer than an argument can be is
 * handed out without its text.
 */
#ifndef SOURCE_H
#define SOURCE_H

#include <many.h>

struct item {
    char *text;   /* bytes, and a NUL behind them; an argument's own text if it is not owned */
    size_t bytes; /* of text */
    int owned;    /* 1: item_end() frees text */
    int too_long; /* 1: longer than any argument can be; text is its beginning */
};

void item_end(const struct item *item);

struct source {
    char *const *words; /* the items, or NULL: they come from fd */
    size_t word_count;
    int fd;           /* stdin; the map polls it */
    char separator;   /* after each item; the last one may lack it */
    size_t item_most; /* bytes; longer ones are too long */
    many_bar *bar;    /* learns how many there are, as soon as that is known; or NULL */
    char *buffer;     /* of SOURCE_BYTES */
    size_t begin;     /* what was read and not yet handed out: [begin, end) of buffer */
    size_t end;
    size_t searched; /* [begin, searched) holds no separator */
    int skipping;    /* 1: in a line that is too long, whose beginning was handed out */
    int ended;       /* 1: nothing more comes */
    int error;       /* why, if it is not the end of the input: errno */
    uint64_t pulled; /* items handed out */
    uint64_t total;  /* how many there are in all; 0: not known yet, or none */
};

/* words: the items, or NULL to read fd. 0 or -ENOMEM. source_end() also after a failure. */
int source_begin(struct source *source, char *const *words, size_t count, int fd, char separator,
                 size_t item_most);
void source_end(struct source *source);

/* A many_next_fn: fills an item; the context is the source. Never blocks. */
int source_next(void *room, void *context);

#endif
