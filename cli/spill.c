/* SPDX-License-Identifier: MIT */
/* spill.c - what was printed out of turn; see spill.h */
#include "spill.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scratch.h"

#define SPILL_SEGMENT  ((int64_t)1 << 20)
#define SPILL_BUFFER   (1 << 16)
#define SPILL_SEGMENTS 64 /* at first; then doubled */

/* The ledger's front is given back so many records at a time: 1 MiB. */
#define SPILL_LEDGER_STEP (SPILL_SEGMENT / (int64_t)sizeof(spill_record))

void spill_begin(struct spill *spill)
{
    memset(spill, 0, sizeof *spill);
    spill->data = spill->ledger = -1;
}

void spill_end(struct spill *spill)
{
    if (spill->data >= 0)
        close(spill->data);
    if (spill->ledger >= 0)
        close(spill->ledger);
    free(spill->live);
    spill_begin(spill);
}

static int spill_open(struct spill *spill)
{
    if (spill->data < 0)
        spill->data = scratch_disk();
    if (spill->data < 0)
        return spill->data;
    if (spill->ledger < 0)
        spill->ledger = scratch_disk();
    return spill->ledger < 0 ? spill->ledger : 0;
}

static int spill_write(int fd, const void *bytes, size_t count, off_t offset)
{
    const char *from = bytes;

    while (count > 0) {
        ssize_t wrote = pwrite(fd, from, count, offset);

        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return -errno;
        from += wrote;
        count -= (size_t)wrote;
        offset += wrote;
    }
    return 0;
}

int spill_put_text(struct spill *spill, const char *text, size_t bytes)
{
    int code = spill_open(spill);

    if (code == 0)
        code = spill_write(spill->data, text, bytes, spill->end);
    if (code == 0)
        spill->end += (int64_t)bytes;
    return code;
}

int spill_put_file(struct spill *spill, int from, off_t bytes)
{
    static char buffer[SPILL_BUFFER]; /* the thread that called the map is the only one here */
    off_t offset = 0;

    while (offset < bytes) {
        size_t most = bytes - offset < SPILL_BUFFER ? (size_t)(bytes - offset) : SPILL_BUFFER;
        ssize_t got = pread(from, buffer, most, offset);
        int code;

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0) {
            /* Somebody cut it short; the record says how long it was. */
            memset(buffer, 0, most);
            got = (ssize_t)most;
        }
        code = spill_put_text(spill, buffer, (size_t)got);
        if (code < 0)
            return code;
        offset += got;
    }
    return 0;
}

/* Count the segments that [from, to) touches up by 1 or down by -1. */
static void spill_count(struct spill *spill, int64_t from, int64_t to, int step)
{
    for (int64_t s = from / SPILL_SEGMENT; s * SPILL_SEGMENT < to; s++) {
        spill->live[s] += (uint32_t)step;
        /* The segment that is still filled waits until it is full. */
        if (step < 0 && spill->live[s] == 0 && (s + 1) * SPILL_SEGMENT <= spill->end)
            fallocate(spill->data, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, s * SPILL_SEGMENT,
                      SPILL_SEGMENT);
    }
}

static int spill_have_segments(struct spill *spill)
{
    size_t wanted = (size_t)(spill->end / SPILL_SEGMENT) + 1;
    size_t segments = spill->segments > 0 ? spill->segments : SPILL_SEGMENTS;
    uint32_t *live;

    if (wanted <= spill->segments)
        return 0;
    while (segments < wanted)
        segments *= 2;
    live = realloc(spill->live, segments * sizeof *live);
    if (live == NULL)
        return -ENOMEM;
    memset(live + spill->segments, 0, (segments - spill->segments) * sizeof *live);
    spill->live = live;
    spill->segments = segments;
    return 0;
}

int spill_put_record(struct spill *spill, uint64_t index, off_t out_bytes, off_t err_bytes)
{
    const spill_record record = {1, spill->begun, out_bytes, err_bytes};
    int code = spill_open(spill);

    if (code == 0)
        code = spill_have_segments(spill);
    if (code == 0)
        code = spill_write(spill->ledger, &record, sizeof record,
                           (off_t)((index - spill->base) * sizeof record));
    if (code < 0)
        return code;
    spill_count(spill, spill->begun, spill->end, 1);
    spill->begun = spill->end;
    spill->waiting++;
    return 0;
}

int spill_find(const struct spill *spill, uint64_t index, spill_record *record)
{
    ssize_t got;

    if (spill->waiting == 0)
        return 0;
    do
        got = pread(spill->ledger, record, sizeof *record,
                    (off_t)((index - spill->base) * sizeof *record));
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return -errno;
    return got == (ssize_t)sizeof *record && record->there == 1;
}

void spill_drop(struct spill *spill, uint64_t index, const spill_record *record)
{
    spill_count(spill, record->offset, record->offset + record->out_bytes + record->err_bytes, -1);
    spill->waiting--;
    if (spill->waiting == 0) {
        /* If that fails the files only stay larger than need be; the zeros matter, so the ledger
         * goes on behind what was. */
        if (ftruncate(spill->data, 0) == 0) {
            memset(spill->live, 0, spill->segments * sizeof *spill->live);
            spill->end = spill->begun = 0;
        }
        if (ftruncate(spill->ledger, 0) == 0)
            spill->base = index + 1;
    } else if ((index + 1 - spill->base) % SPILL_LEDGER_STEP == 0) {
        fallocate(spill->ledger, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  (off_t)((index + 1 - spill->base - SPILL_LEDGER_STEP) * sizeof(spill_record)),
                  SPILL_SEGMENT);
    }
}
