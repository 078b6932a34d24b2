/* SPDX-License-Identifier: MIT */
/* stream.c - stdout and stderr; see stream.h */
#include "stream.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STREAM_BUFFER (1 << 16)

/* A pipe that says it has room has room for PIPE_BUF bytes: a write of so many does not block, and
 * Ctrl-C is heard however slow the reader is. */
#define STREAM_PIECE PIPE_BUF

/* While there is no room, look for a cancel this often. */
#define STREAM_LOOK_MS 50

/* After a cancel, a reader that takes nothing for so many looks gets nothing more. */
#define STREAM_PATIENCE 20

void stream_begin(struct stream *stream, int fd, const many_cancel *cancel)
{
    struct stat status;

    memset(stream, 0, sizeof *stream);
    stream->fd = fd;
    stream->cancel = cancel;
    stream->terminal = isatty(fd);
    stream->paced = fstat(fd, &status) != 0 || !S_ISREG(status.st_mode);
}

int stream_is_same(const struct stream *one, const struct stream *other)
{
    struct stat a, b;

    return fstat(one->fd, &a) == 0 && fstat(other->fd, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

/* Wait until a write will not block, or will say what is wrong. 0 or -ECANCELED. */
static int stream_await_room(const struct stream *stream)
{
    struct pollfd poller = {stream->fd, POLLOUT, 0};
    int looks = 0, patience = 0;

    while (poll(&poller, 1, looks == 0 ? 0 : STREAM_LOOK_MS) <= 0) {
        looks++;
        if (many_cancel_is_set(stream->cancel) && ++patience > STREAM_PATIENCE)
            return -ECANCELED;
        many_bar_draw(stream->bar);
    }
    return 0;
}

int stream_write(const struct stream *stream, const void *bytes, size_t count)
{
    const char *from = bytes;

    while (count > 0) {
        size_t piece = stream->paced && count > STREAM_PIECE ? STREAM_PIECE : count;
        ssize_t wrote;

        if (stream->paced && stream_await_room(stream) < 0)
            return -ECANCELED;
        wrote = write(stream->fd, from, piece);
        if (wrote < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK))
            continue;
        if (wrote < 0)
            return -errno;
        from += wrote;
        count -= (size_t)wrote;
    }
    return 0;
}

int stream_copy(const struct stream *stream, int from, off_t offset, off_t bytes, char *last)
{
    static char buffer[STREAM_BUFFER]; /* the thread that called the map is the only one here */

    while (bytes > 0) {
        size_t most = bytes < STREAM_BUFFER ? (size_t)bytes : STREAM_BUFFER;
        ssize_t got = pread(from, buffer, most, offset);
        int code;

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : 0;
        code = stream_write(stream, buffer, (size_t)got);
        if (code < 0)
            return code;
        *last = buffer[got - 1];
        offset += got;
        bytes -= got;
    }
    return 0;
}
