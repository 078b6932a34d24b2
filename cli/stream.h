/* SPDX-License-Identifier: MIT */
/* stream.h - stdout and stderr: all of it is written, or it is known why not */
#ifndef STREAM_H
#define STREAM_H

#include <many.h>
#include <sys/types.h>

struct stream {
    int fd;
    int paced;                 /* 1: no regular file: whoever reads it may be slow */
    int terminal;              /* 1: it is one */
    const many_cancel *cancel; /* when set, a reader that does not read is not waited for */
    many_bar *bar;             /* drawn while waiting for the reader; or NULL */
};

void stream_begin(struct stream *stream, int fd, const many_cancel *cancel);

/* Are the two the same file? */
int stream_is_same(const struct stream *one, const struct stream *other);

/* 0, or a negative code: -EPIPE if nobody reads any more, -ECANCELED if nobody did after a cancel.
 */
int stream_write(const struct stream *stream, const void *bytes, size_t count);

/* Write bytes of a file from an offset on; fewer if it is shorter by now. The same; *last receives
 * the last byte written, if there was one. */
int stream_copy(const struct stream *stream, int from, off_t offset, off_t bytes, char *last);

#endif
