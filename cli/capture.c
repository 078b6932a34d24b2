/* SPDX-License-Identifier: MIT */
/* capture.c - what a job prints; see capture.h */
#include "capture.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "scratch.h"

#define CAPTURE_BUFFER 65536 /* what a pipe holds */

void capture_begin(struct capture *capture)
{
    *capture = (struct capture){-1, -1, -1, 0, 0};
}

static void capture_close_end(int *end)
{
    if (*end >= 0)
        close(*end);
    *end = -1;
}

int capture_open(struct capture *capture)
{
    int ends[2];

    capture_begin(capture);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -errno;
    capture->from = ends[0];
    capture->to = ends[1];
    /* Ours alone: the job's end is another open file, and blocks as jobs expect. */
    fcntl(capture->from, F_SETFL, O_NONBLOCK);
    return 0;
}

static int capture_keep(struct capture *capture, const char *bytes, size_t count)
{
    if (capture->file < 0)
        capture->file = scratch_memory();
    if (capture->file < 0)
        return capture->file;
    while (count > 0) {
        ssize_t wrote = write(capture->file, bytes, count);

        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return wrote < 0 ? -errno : -EIO;
        bytes += wrote;
        count -= (size_t)wrote;
        capture->bytes += wrote;
    }
    return 0;
}

void capture_drain(struct capture *capture)
{
    char buffer[CAPTURE_BUFFER];
    ssize_t got;

    while (capture->from >= 0) {
        got = read(capture->from, buffer, sizeof buffer);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return;
        /* What cannot be kept is taken all the same, lest the job waits for ever. */
        if (capture->error == 0)
            capture->error = capture_keep(capture, buffer, (size_t)got);
    }
}

void capture_finish(struct capture *capture)
{
    capture_drain(capture);
    capture_close_end(&capture->from);
    capture_close_end(&capture->to);
}

void capture_close(struct capture *capture)
{
    capture_close_end(&capture->from);
    capture_close_end(&capture->to);
    capture_close_end(&capture->file);
}
