/* SPDX-License-Identifier: MIT */
/* source.c - where the items come from; see source.h */
#include "source.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Read ahead so far: a list of some ten thousand names is known as a whole, and so is its end. More
 * would only take memory. Several times the longest argument (128 KiB). */
#define SOURCE_BYTES (1 << 20)

/* Do not ask the kernel for less than this. */
#define SOURCE_READ_LEAST (1 << 16)

int source_begin(struct source *source, char *const *words, size_t count, int fd, char separator,
                 size_t item_most)
{
    memset(source, 0, sizeof *source);
    source->words = words;
    source->word_count = count;
    source->fd = fd;
    source->separator = separator;
    source->item_most = item_most < SOURCE_BYTES / 2 ? item_most : SOURCE_BYTES / 2;
    if (words != NULL) {
        source->ended = 1;
        source->total = count;
        return 0;
    }
    source->buffer = malloc(SOURCE_BYTES);
    return source->buffer != NULL ? 0 : -ENOMEM;
}

void source_end(struct source *source)
{
    free(source->buffer);
    source->buffer = NULL;
}

void item_end(const struct item *item)
{
    if (item->owned)
        free(item->text);
}

/* The input has ended: what is in the buffer is all that is left. */
static void source_count(struct source *source)
{
    const char *at = source->buffer + source->begin, *end = source->buffer + source->end;
    uint64_t left = 0;

    if (source->skipping && at < end) {
        at = memchr(at, source->separator, (size_t)(end - at));
        at = at != NULL ? at + 1 : end;
    }
    while (at < end) {
        const char *next = memchr(at, source->separator, (size_t)(end - at));

        left++;
        at = next != NULL ? next + 1 : end;
    }
    source->total = source->pulled + left;
    many_bar_total(source->bar, source->total);
}

/* Read what is there, if there is room for it. 1 if that brought something new: bytes or the end.
 */
static int source_read(struct source *source)
{
    struct pollfd poller = {source->fd, POLLIN, 0};
    ssize_t got;

    if (source->ended)
        return 0;
    if (source->begin == source->end)
        source->begin = source->end = source->searched = 0;
    /* Half of the buffer is moved at most once for half of it that was handed out. */
    if (source->end == SOURCE_BYTES && source->begin >= SOURCE_BYTES / 2) {
        memmove(source->buffer, source->buffer + source->begin, source->end - source->begin);
        source->end -= source->begin;
        source->searched -= source->begin;
        source->begin = 0;
    }
    if (source->end == SOURCE_BYTES)
        return 0;
    if (poll(&poller, 1, 0) <= 0)
        return 0;
    do
        got = read(source->fd, source->buffer + source->end, SOURCE_BYTES - source->end);
    while (got < 0 && errno == EINTR);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 0;
    if (got > 0) {
        source->end += (size_t)got;
        return 1;
    }
    source->ended = 1;
    source->error = got < 0 ? errno : 0;
    source_count(source);
    return 1;
}

/* Hand out [begin, begin + bytes) of the buffer. 1 or -ENOMEM. */
static int source_take(struct source *source, struct item *item, size_t bytes, int too_long)
{
    char *text = malloc(bytes + 1);

    if (text == NULL)
        return -ENOMEM;
    memcpy(text, source->buffer + source->begin, bytes);
    text[bytes] = '\0';
    *item = (struct item){text, bytes, 1, too_long};
    source->pulled++;
    return 1;
}

/* Where the item at begin ends, in *bytes. 1, or 0 if that is not in the buffer. */
static int source_find(struct source *source, size_t *bytes)
{
    const char *found = memchr(source->buffer + source->searched, source->separator,
                               source->end - source->searched);

    if (found == NULL) {
        source->searched = source->end;
        return 0;
    }
    *bytes = (size_t)(found - source->buffer) - source->begin;
    return 1;
}

static void source_go_on_at(struct source *source, size_t at)
{
    source->begin = source->searched = at;
}

/* One item from the buffer. 1, 0 if there is no whole one, or -ENOMEM. */
static int source_cut(struct source *source, struct item *item)
{
    size_t bytes;
    int code;

    while (source->begin < source->end) {
        const int found = source_find(source, &bytes);

        if (!found)
            bytes = source->end - source->begin;
        if (source->skipping) {
            source_go_on_at(source, found ? source->begin + bytes + 1 : source->end);
            source->skipping = !found;
            continue;
        }
        if (bytes <= source->item_most) {
            if (!found && !source->ended)
                return 0;
            code = source_take(source, item, bytes, 0);
            if (code == 1)
                source_go_on_at(source, source->begin + bytes + (found ? 1 : 0));
            return code;
        }
        code = source_take(source, item, source->item_most, 1);
        if (code == 1) {
            source_go_on_at(source, source->begin + source->item_most);
            source->skipping = 1;
        }
        return code;
    }
    return 0;
}

int source_next(void *room, void *context)
{
    struct source *source = context;
    struct item *item = room;
    int code, more;

    if (source->words != NULL) {
        if (source->pulled == source->word_count)
            return 0;
        *item = (struct item){source->words[source->pulled], 0, 0, 0};
        item->bytes = strlen(item->text);
        item->too_long = item->bytes > source->item_most;
        source->pulled++;
        return 1;
    }
    do {
        /* Also if there are items enough: that the end is known early is worth the look. */
        more = source->end - source->begin < SOURCE_BYTES - SOURCE_READ_LEAST ? source_read(source)
                                                                              : 0;
        code = source_cut(source, item);
    } while (code == 0 && (more || (source->ended && source->begin < source->end)));
    if (code != 0 || source->ended)
        return code == 0 && source->error != 0 ? -source->error : code;
    return -EAGAIN;
}
