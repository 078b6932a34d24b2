/* SPDX-License-Identifier: MIT */
/*
 * spill.c - finished results in an unnamed file; see spill.h
 *
 *   record   header {next, bytes, items}, then for each item {code, count} and its bytes
 *
 * Invariant  end lies behind every record that was ended; a record that could not be written to its end lies
 *            behind end, where the next one overwrites it. Only the owner's thread reads and writes.
 * Death      the file has no name from the beginning: it goes with its last descriptor.
 */
#include "pool/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "os/stream.h"

#define SPILL_BUFFER ((size_t)64 << 10) /* bytes that are written or read at a time */

typedef struct spill_header {
    uint64_t next;  /* the record that follows in the order of items; read only if there is one */
    uint64_t bytes; /* of the record, this header included */
    uint64_t items;
} spill_header;

typedef struct spill_item {
    int32_t code;
    uint32_t reserved;
    uint64_t count;
} spill_item;

void many_spill_open_(many_spill_ *spill, const char *folder, uint64_t most)
{
    memset(spill, 0, sizeof *spill);
    spill->folder = folder;
    spill->most = most;
    spill->fd = -1;
}

void many_spill_close_(many_spill_ *spill)
{
    if (spill->fd >= 0)
        close(spill->fd);
    spill->fd = -1;
    free(spill->out);
    free(spill->in);
    spill->out = spill->in = NULL;
}

/* A file without a name in folder. The descriptor or -1. */
static int spill_make(const char *folder)
{
    char path[PATH_MAX];
    int fd = -1;

    if (MANY_FAULT_ERROR("spill.open") < 0)
        return -1;
#ifdef O_TMPFILE
    fd = many_stream_lift_(open(folder, O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600));
    if (fd >= 0)
        return fd;
#endif
    if ((size_t)snprintf(path, sizeof path, "%s/many-XXXXXX", folder) >= sizeof path)
        return -1;
    fd = many_stream_lift_(mkostemp(path, O_CLOEXEC));
    if (fd >= 0)
        unlink(path);
    return fd;
}

/* The file and the buffers. 0 or -ENOSPC. */
static int spill_ready(many_spill_ *spill)
{
    if (spill->out == NULL)
        spill->out = malloc(SPILL_BUFFER);
    if (spill->in == NULL)
        spill->in = malloc(SPILL_BUFFER);
    if (spill->out == NULL || spill->in == NULL)
        return -ENOSPC;
    if (spill->fd < 0 && spill->folder != NULL)
        spill->fd = spill_make(spill->folder);
    else if (spill->fd < 0 && (spill->fd = spill_make("/var/tmp")) < 0)
        spill->fd = spill_make("/tmp");
    return spill->fd < 0 ? -ENOSPC : 0;
}

/* May the file be so long? A write beyond RLIMIT_FSIZE would be a SIGXFSZ. */
static int spill_permitted(const many_spill_ *spill, uint64_t end)
{
    struct rlimit limit;
    uint64_t more = end > spill->end ? end - spill->end : 0;

    if (more == 0) /* a link in a record that is there */
        return 1;
    if ((spill->gives_back ? spill->held + more : end) > spill->most || end > INT64_MAX)
        return 0;
    return getrlimit(RLIMIT_FSIZE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY ||
           end <= limit.rlim_cur;
}

static int spill_write(const many_spill_ *spill, const void *bytes, size_t count, uint64_t at)
{
    const char *from = bytes;

    if (MANY_FAULT_ERROR("spill.write") < 0 || !spill_permitted(spill, at + count))
        return -ENOSPC;
    while (count > 0) {
        ssize_t wrote = pwrite(spill->fd, from, count, (off_t)at);

        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return -ENOSPC;
        from += wrote;
        at += (uint64_t)wrote;
        count -= (size_t)wrote;
    }
    return 0;
}

static int spill_read(const many_spill_ *spill, void *bytes, size_t count, uint64_t at)
{
    char *to = bytes;

    if (MANY_FAULT_ERROR("spill.read") < 0)
        return -EIO;
    while (count > 0) {
        ssize_t got = pread(spill->fd, to, count, (off_t)at);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return -EIO;
        to += got;
        at += (uint64_t)got;
        count -= (size_t)got;
    }
    return 0;
}

/* ---- writing ---- */

static int spill_refuse(many_spill_ *spill)
{
    spill->full = 1;
    return -ENOSPC;
}

static int spill_flush(many_spill_ *spill)
{
    if (spill_write(spill, spill->out, spill->out_bytes, spill->out_at) < 0)
        return spill_refuse(spill);
    spill->out_at += spill->out_bytes;
    spill->out_bytes = 0;
    return 0;
}

static int spill_append(many_spill_ *spill, const void *bytes, size_t count)
{
    if (count > SPILL_BUFFER - spill->out_bytes && spill_flush(spill) < 0)
        return -ENOSPC;
    if (count > SPILL_BUFFER) {
        if (spill_write(spill, bytes, count, spill->out_at) < 0)
            return spill_refuse(spill);
        spill->out_at += count;
        return 0;
    }
    if (count > 0)
        memcpy(spill->out + spill->out_bytes, bytes, count);
    spill->out_bytes += count;
    return 0;
}

int many_spill_begin_(many_spill_ *spill)
{
    const spill_header header = {0, 0, 0}; /* known at the end */

    if (spill->full || spill_ready(spill) < 0)
        return spill_refuse(spill);
    if (spill->end == 0)
        spill->gives_back = 1; /* until it is seen that it does not */
    spill->out_at = spill->end;
    spill->out_bytes = 0;
    spill->out_items = 0;
    return spill_append(spill, &header, sizeof header);
}

int many_spill_add_(many_spill_ *spill, int32_t code, const void *bytes, size_t count)
{
    const spill_item item = {code, 0, count};

    spill->out_items++;
    if (spill_append(spill, &item, sizeof item) < 0)
        return -ENOSPC;
    return spill_append(spill, bytes, count);
}

int many_spill_end_(many_spill_ *spill, many_spill_run_ *run)
{
    spill_header header = {0, spill->out_at + spill->out_bytes - spill->end, spill->out_items};

    if (spill->out_at == spill->end)
        memcpy(spill->out, &header, sizeof header);
    else if (spill_write(spill, &header, sizeof header, spill->end) < 0)
        return spill_refuse(spill);
    if (spill_flush(spill) < 0)
        return -ENOSPC;
    *run = (many_spill_run_){spill->end, spill->end, 0, 0};
    spill->end += header.bytes;
    spill->held += header.bytes;
    spill->written += header.bytes;
    return 0;
}

int many_spill_join_(many_spill_ *spill, many_spill_run_ *run, const many_spill_run_ *next)
{
    if (next->at != 0 || /* it is being read: its header is of no use any more */
        spill_write(spill, &next->record, sizeof next->record,
                    run->last + offsetof(spill_header, next)) < 0)
        return -EIO;
    run->last = next->last;
    return 0;
}

/* ---- reading ---- */

/* count bytes at a place in the file, by way of the buffer; count is at most its size. NULL: not to be read. */
static const char *spill_view(many_spill_ *spill, uint64_t at, size_t count)
{
    uint64_t most = spill->end - at;

    if (at >= spill->in_at && at + count <= spill->in_at + spill->in_bytes)
        return spill->in + (at - spill->in_at);
    if (at > spill->end || most < count)
        return NULL;
    if (most > SPILL_BUFFER)
        most = SPILL_BUFFER;
    spill->in_bytes = 0;
    if (spill_read(spill, spill->in, (size_t)most, at) < 0)
        return NULL;
    spill->in_at = at;
    spill->in_bytes = (size_t)most;
    return spill->in;
}

static int spill_enter(many_spill_ *spill, many_spill_run_ *run)
{
    const char *bytes = spill_view(spill, run->record, sizeof(spill_header));
    spill_header header;

    if (bytes == NULL)
        return -EIO;
    memcpy(&header, bytes, sizeof header);
    run->at = run->record + sizeof header;
    run->left = header.items;
    return 0;
}

/* The first record of run was read to its end, at: the disk has it back. */
static void spill_give_back(many_spill_ *spill, uint64_t record, uint64_t at)
{
    spill->full = 0;
    spill->held -= at - record;
    if (spill->held == 0) {
        spill->end = 0;
        spill->in_bytes = 0;
        if (ftruncate(spill->fd, 0) < 0)
            spill->gives_back = 0; /* then its end is where it was, and is overwritten */
        return;
    }
#ifdef FALLOC_FL_PUNCH_HOLE
    if (spill->gives_back && fallocate(spill->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                       (off_t)record, (off_t)(at - record)) < 0)
        spill->gives_back = 0;
#else
    spill->gives_back = 0;
#endif
}

int many_spill_look_(many_spill_ *spill, many_spill_run_ *run, int32_t *code, size_t *count)
{
    const char *bytes;
    spill_item item;

    if (run->at == 0 && spill_enter(spill, run) < 0)
        return -EIO;
    bytes = spill_view(spill, run->at, sizeof item);
    if (bytes == NULL)
        return -EIO;
    memcpy(&item, bytes, sizeof item);
    *code = item.code;
    *count = (size_t)item.count;
    return 0;
}

int many_spill_take_(many_spill_ *spill, many_spill_run_ *run, void *room)
{
    uint64_t at, record = run->record;
    const char *bytes;
    int32_t code;
    size_t count;

    if (many_spill_look_(spill, run, &code, &count) < 0)
        return -EIO;
    at = run->at + sizeof(spill_item);
    if (room != NULL && count > SPILL_BUFFER / 2) {
        if (spill_read(spill, room, count, at) < 0)
            return -EIO;
    } else if (room != NULL && count > 0) {
        bytes = spill_view(spill, at, count);
        if (bytes == NULL)
            return -EIO;
        memcpy(room, bytes, count);
    }
    run->at = at + count;
    if (--run->left > 0)
        return 0;
    /* Not through the buffer: the link may be younger than what is there. */
    if (record != run->last && spill_read(spill, &run->record, sizeof run->record,
                                          record + offsetof(spill_header, next)) < 0)
        return -EIO;
    at = run->at;
    run->at = 0;
    spill_give_back(spill, record, at);
    return 0;
}
