/* SPDX-License-Identifier: MIT */
/*
 * segment.c - memory that processes share, and that may grow
 *
 * Promise    All of the reserve is mapped when the segment is opened or attached, so growing moves
 *            nothing: what one process adds is there for the others at once, at the same place.
 * Invariant  The length is that of the file, and nowhere else; a seal keeps it from shrinking. Two
 *            that grow it at once leave the larger length, in whatever order they run, because
 *            neither call can make it less.
 * Death      Growing is one system call: killed before it or after it.
 *
 * The file begins with a head that says how far it may grow; what the user has begins behind it. An
 * attacher has to know the reserve, and the kernel keeps no such number with a file. It is read
 * from the head once, by a process that may have got the descriptor from a stranger: so it is a
 * copy, at least as large as what is there, and at most SEGMENT_MOST_BYTES. A lie within these
 * bounds costs address space, which the attach fails for want of, or which it gives back when it
 * is closed; no memory, for pages that lie behind the end of the file cannot be touched, whatever
 * the head said. (A reserve guessed by the attacher would be too small for somebody; the name of a
 * memfd, which could hold it too, needs /proc to be read.) Who may write to the segment may write
 * what he likes to it at any time; that is the user's matter, here it only decides about the one
 * number.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <many/channel.h>

#include "base/fault.h"
#include "base/options.h"
#include "os/memory.h"

_Static_assert(sizeof(many_segment_options) == 3 * sizeof(size_t) + 2 * sizeof(void *),
               "no padding in an options struct");

/* The same for every page size that Linux has, so that data lie at a page. */
#define SEGMENT_HEAD_BYTES 65536

/* 16 TiB of the 128 that 48 bits of address give a process; a quarter of what 32 bits give. */
#define SEGMENT_MOST_BYTES ((size_t)1 << (sizeof(size_t) > 4 ? 44 : 30))

#define SEGMENT_MAGIC UINT64_C(0x316765736d796e6d) /* "mnymseg1" where the low byte is first */

typedef struct segment_head {
    uint64_t magic;
    uint64_t max_bytes;
} segment_head;

struct many_segment {
    unsigned char *memory; /* the head; the data follow at SEGMENT_HEAD_BYTES */
    size_t max_bytes;      /* of data */
    size_t open_bytes;     /* of data, when it was opened; there are never fewer */
    int fd;
    uint64_t inode; /* a task may have closed all that it did not open: is fd still this file? */
};

/* The file's length, if fd is still our file; else a negative errno. */
static int64_t segment_length(int fd, uint64_t inode)
{
    const int saved = errno;
    struct stat status;
    int64_t length = -EBADF;

    if (fstat(fd, &status) == 0 && (inode == 0 || (uint64_t)status.st_ino == inode))
        length = (int64_t)status.st_size;
    errno = saved;
    return length;
}

static uint64_t segment_inode(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 ? (uint64_t)status.st_ino : 0;
}

/* A handle over fd, with the reserve mapped; fd is its own with success alone. */
static int segment_make(many_segment **made, int fd, size_t bytes, size_t max_bytes)
{
    many_segment *segment = malloc(sizeof *segment);
    void *memory;

    if (segment == NULL)
        return -ENOMEM;
    if (many_memory_file_map_(&memory, fd, SEGMENT_HEAD_BYTES + max_bytes) < 0) {
        free(segment);
        return -ENOMEM;
    }
    *segment = (many_segment){memory, max_bytes, bytes, fd, segment_inode(fd)};
    *made = segment;
    return 0;
}

static int segment_write_head(int fd, size_t max_bytes)
{
    const segment_head head = {SEGMENT_MAGIC, max_bytes};
    ssize_t wrote;

    do
        wrote = pwrite(fd, &head, sizeof head, 0);
    while (wrote < 0 && errno == EINTR);
    return wrote == (ssize_t)sizeof head ? 0 : -ENOMEM;
}

int many_segment_open_with(const many_segment_options *options)
{
    many_segment_options o;
    int fd, code = many_options_read_(&o, sizeof o, options, "many_segment_open");

    if (code < 0)
        return code;
    if (o.segment == NULL)
        return many_fail(-EINVAL, "many_segment_open: segment is NULL: give it a place");
    *o.segment = NULL;
    if (o.bytes == 0)
        return many_fail(-EINVAL, "many_segment_open: .bytes is 0: say how much memory");
    if (o.max_bytes == 0)
        o.max_bytes = o.bytes;
    if (o.bytes > o.max_bytes)
        return many_fail(-EINVAL, "many_segment_open: .bytes is %zu, and .max_bytes only %zu",
                         o.bytes, o.max_bytes);
    if (o.max_bytes > SEGMENT_MOST_BYTES)
        return many_fail(-ENOMEM,
                         "many_segment_open: %zu bytes are more than the %zu that can be "
                         "set aside",
                         o.max_bytes, SEGMENT_MOST_BYTES);
    fd = many_memory_file_open_("many-segment", SEGMENT_HEAD_BYTES + o.bytes);
    if (fd < 0)
        return many_fail(fd, "many_segment_open: no %s for %zu bytes",
                         fd == -ENOMEM || fd == -EFBIG ? "memory" : "descriptor", o.bytes);
    code = segment_write_head(fd, o.max_bytes);
    if (code == 0)
        code = segment_make(o.segment, fd, o.bytes, o.max_bytes);
    if (code < 0) {
        close(fd);
        return many_fail(code, "many_segment_open: %zu bytes of address space are not to be had",
                         o.max_bytes);
    }
    return 0;
}

/* What the head of a stranger's file says, if it makes sense: 0 or -EBADMSG. */
static int segment_read_head(int fd, size_t length, size_t *max_bytes)
{
    segment_head head;
    ssize_t got;

    do
        got = pread(fd, &head, sizeof head, 0);
    while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof head || head.magic != SEGMENT_MAGIC || length <= SEGMENT_HEAD_BYTES)
        return -EBADMSG;
    if (head.max_bytes < length - SEGMENT_HEAD_BYTES || head.max_bytes > SEGMENT_MOST_BYTES)
        return -EBADMSG;
    *max_bytes = (size_t)head.max_bytes;
    return 0;
}

int many_segment_attach(many_segment **segment, int descriptor)
{
    size_t length = 0, max_bytes = 0;
    int fd, code;

    if (segment == NULL)
        return many_fail(-EINVAL, "many_segment_attach: segment is NULL: give it a place");
    *segment = NULL;
    code = many_memory_file_check_(descriptor, &length);
    if (code == -EBADF)
        return many_fail(code, "many_segment_attach: %d is not an open descriptor", descriptor);
    if (code == 0)
        code = segment_read_head(descriptor, length, &max_bytes);
    if (code < 0)
        return many_fail(code, "many_segment_attach: descriptor %d is no segment", descriptor);
    fd = fcntl(descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (fd < 0)
        return many_fail(-errno, "many_segment_attach: no descriptor to be had");
    code = segment_make(segment, fd, length - SEGMENT_HEAD_BYTES, max_bytes);
    if (code < 0) {
        close(fd);
        return many_fail(code, "many_segment_attach: %zu bytes of address space are not to be had",
                         max_bytes);
    }
    return 0;
}

void *many_segment_data(const many_segment *segment)
{
    return segment == NULL ? NULL : segment->memory + SEGMENT_HEAD_BYTES;
}

size_t many_segment_bytes(const many_segment *segment)
{
    int64_t length;
    size_t bytes;

    if (segment == NULL)
        return 0;
    length = segment_length(segment->fd, segment->inode);
    if (length < SEGMENT_HEAD_BYTES)
        return segment->open_bytes; /* its descriptor was closed; so much there is in any case */
    bytes = (size_t)length - SEGMENT_HEAD_BYTES;
    return bytes < segment->max_bytes ? bytes : segment->max_bytes;
}

int many_segment_grow(many_segment *segment, size_t bytes)
{
    const size_t end = SEGMENT_HEAD_BYTES + bytes;
    int code;

    if (segment == NULL)
        return many_fail(-EINVAL, "many_segment_grow: segment is NULL: open one first");
    if (bytes > segment->max_bytes)
        return many_fail(-EFBIG, "many_segment_grow: %zu bytes are more than .max_bytes, %zu",
                         bytes, segment->max_bytes);
    if (bytes <= segment->open_bytes)
        return 0;
    if (segment_length(segment->fd, segment->inode) < 0)
        return many_fail(-EBADF, "many_segment_grow: the segment's descriptor %d was closed",
                         segment->fd);
    MANY_FAULT_POINT("segment.grow.before");
    /* To have memory for the last byte makes the file so long, or leaves it longer; the pages
     * between come when they are touched. */
    code = many_memory_file_grow_(segment->fd, end - 1, end);
    MANY_FAULT_POINT("segment.grow.after");
    if (code < 0)
        return many_fail(code, "many_segment_grow: no memory for %zu bytes", bytes);
    return 0;
}

int many_segment_descriptor(const many_segment *segment)
{
    return segment == NULL ? -EINVAL : segment->fd;
}

void many_segment_close(many_segment *segment)
{
    if (segment == NULL)
        return;
    many_memory_unmap_(segment->memory, SEGMENT_HEAD_BYTES + segment->max_bytes);
    if (segment_length(segment->fd, segment->inode) >= 0)
        close(segment->fd);
    free(segment);
}
