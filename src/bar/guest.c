/* SPDX-License-Identifier: MIT */
/*
 * guest.c - what a started process prints by stdio appears above the bars; see stages.h
 *
 * Its stdout and stderr become streams of glibc's fopencookie(), which hand whole lines to the stage.
 * musl's cannot be replaced: there, and in what prints past stdio, text appears where the cursor is.
 * The stream says fileno() as before, and asks at each write where that descriptor leads: who gives it
 * another file prints there.
 *
 * A line without an end is kept in the stage, where it outlives its process: whoever looks for the dead
 * prints it. Its bytes are there before their number says so.
 */
#include "bar/guest.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "bar/stage.h"
#include "bar/stages.h"
#include "base/fault.h"
#include "os/clock.h"

/* A line that is not ended, and flushed again after so long, is printed as one. */
#define GUEST_PART_NS MANY_SECOND_NS

/* The streams' cookies say which they are. */
static const int guest_descriptor[2] = {STDOUT_FILENO, STDERR_FILENO};

/* Is it dead, and was nothing kept for it? */
static int guest_has_left(const many_stage_ *stage, const many_guest_ *guest)
{
    return atomic_load_explicit(&guest->bytes[0], memory_order_relaxed) == 0 &&
           atomic_load_explicit(&guest->bytes[1], memory_order_relaxed) == 0 &&
           many_stage_is_dead_(stage, atomic_load_explicit(&guest->owner, memory_order_relaxed));
}

/* This process's place among the guests; -1: there is none left. */
static int guest_claim(many_stage_ *stage)
{
    many_stage_shared_ *shared = stage->shared;
    int free_place = -1;

    for (int i = 0; i < MANY_STAGE_GUESTS; i++) {
        uint64_t owner = atomic_load_explicit(&shared->guest[i].owner, memory_order_relaxed);

        if (owner == stage->owner)
            return i;
        if (owner == 0 && free_place < 0)
            free_place = i;
    }
    for (int i = free_place > 0 ? free_place : 0; i < MANY_STAGE_GUESTS; i++) {
        many_guest_ *guest = &shared->guest[i];
        uint32_t used = atomic_load_explicit(&shared->guests_used, memory_order_relaxed);
        uint64_t before = atomic_load_explicit(&guest->owner, memory_order_relaxed);

        if (before != 0 && (free_place >= 0 || !guest_has_left(stage, guest)))
            continue;

        /* Count it in first: a dead one beyond the count would be kept for ever. */
        while (used < (uint32_t)i + 1 &&
               !atomic_compare_exchange_weak_explicit(&shared->guests_used, &used, (uint32_t)i + 1,
                                                      memory_order_relaxed, memory_order_relaxed)) {
        }
        if (!atomic_compare_exchange_strong_explicit(&guest->owner, &before, stage->owner,
                                                     memory_order_acquire, /* release in frame.c */
                                                     memory_order_relaxed))
            continue;
        MANY_FAULT_POINT("stage.guest.claimed");
        atomic_store_explicit(&guest->bytes[0], 0, memory_order_relaxed);
        atomic_store_explicit(&guest->bytes[1], 0, memory_order_relaxed);
        return i;
    }
    return -1;
}

#if defined(__GLIBC__)

/* A fork copies them with the streams. */
static FILE *guest_stream[2];

int many_guest_is_(int fd)
{
    return (fd == STDOUT_FILENO && guest_stream[0] != NULL && stdout == guest_stream[0]) ||
           (fd == STDERR_FILENO && guest_stream[1] != NULL && stderr == guest_stream[1]);
}

/* Print what was kept, these bytes, and the end of the line, if they lack it. */
static int guest_print(many_stage_ *stage, int place, int which, const char *text, size_t bytes,
                       const char *end)
{
    many_stage_shared_ *shared = stage->shared;
    _Atomic uint32_t *kept = place >= 0 ? &shared->guest[place].bytes[which] : NULL;
    many_span_ spans[MANY_STAGE_SPANS] = {{NULL, 0}, {text, bytes}, {end, strlen(end)}};

    if (kept != NULL) {
        spans[0] = (many_span_){shared->part[place][which],
                                atomic_load_explicit(kept, memory_order_relaxed)};
        if (spans[0].bytes > MANY_STAGE_PART_BYTES) /* never, but others write here */
            spans[0].bytes = 0;
    }
    return many_stage_print_(stage, guest_descriptor[which], spans, kept, NULL);
}

/* Is the part that is kept to be printed as a line? */
static int guest_is_over(const many_guest_ *guest, int which, size_t more)
{
    uint32_t kept = atomic_load_explicit(&guest->bytes[which], memory_order_relaxed);

    return kept + more > MANY_STAGE_PART_BYTES ||
           (kept > 0 &&
            many_clock_ns_() > GUEST_PART_NS + atomic_load_explicit(&guest->since_ns[which],
                                                                    memory_order_relaxed));
}

/* Bytes without a line end. */
static int guest_keep(many_stage_ *stage, int place, int which, const char *text, size_t bytes)
{
    many_guest_ *guest = place >= 0 ? &stage->shared->guest[place] : NULL;
    uint32_t kept;

    if (guest == NULL || guest_is_over(guest, which, bytes))
        return guest_print(stage, place, which, text, bytes, "\n");
    kept = atomic_load_explicit(&guest->bytes[which], memory_order_relaxed);
    if (kept == 0)
        atomic_store_explicit(&guest->since_ns[which], many_clock_ns_(), memory_order_relaxed);
    memcpy(stage->shared->part[place][which] + kept, text, bytes);
    MANY_FAULT_POINT("stage.guest.copied");
    atomic_store_explicit(&guest->bytes[which], kept + (uint32_t)bytes, memory_order_relaxed);
    return 0;
}

static int guest_put(many_stage_ *stage, int which, const char *text, size_t bytes)
{
    const int place = guest_claim(stage);
    const char *end = memrchr(text, '\n', bytes);
    const size_t whole = end != NULL ? (size_t)(end - text) + 1 : 0;
    int code = 0;

    if (whole > 0)
        code = guest_print(stage, place, which, text, whole, "");
    if (code == 0 && whole < bytes)
        code = guest_keep(stage, place, which, text + whole, bytes - whole);
    return code;
}

/* A cookie_write_function_t: all that stdio had gathered; 0 says that it failed. */
static ssize_t guest_write(void *cookie, const char *text, size_t bytes)
{
    const int fd = *(const int *)cookie;
    many_stage_ *stage;
    int cancel, code;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    stage = many_stage_find_(fd);
    code = stage != NULL ? guest_put(stage, fd == STDERR_FILENO, text, bytes)
                         : many_stage_write_(fd, text, bytes);
    many_stage_drop_(stage);
    pthread_setcancelstate(cancel, &cancel);
    if (code == 0)
        return (ssize_t)bytes;
    errno = -code;
    return 0;
}

/* A cookie_close_function_t: close(2) as the stream that was replaced would. */
static int guest_close(void *cookie)
{
    return close(*(const int *)cookie);
}

/*
 * fopencookie() makes a stream without a descriptor, on which fileno() fails, freopen() crashes and
 * wprintf() prints nothing (tried: glibc 2.36). The fields that say so are part of glibc's binary
 * interface since its getc() was a macro. With the descriptor, and the part for wide characters of the
 * stream that it replaces, all three do what they did: wide text goes straight to the descriptor.
 */
static void guest_dress(FILE *stream, int which, const FILE *replaced)
{
    stream->_fileno = guest_descriptor[which];
    stream->_wide_data = replaced->_wide_data;
    stream->_mode = 0; /* neither bytes nor wide characters yet */
}

/* A stream in place of the one that *standard is. */
static void guest_replace(int which, FILE **standard)
{
    const cookie_io_functions_t functions = {.write = guest_write, .close = guest_close};
    FILE *stream;

    if (many_guest_is_(guest_descriptor[which]) || fwide(*standard, 0) > 0)
        return; /* inherited: the parent is a guest, too; or it prints wide characters */
    stream = fopencookie((void *)(uintptr_t)&guest_descriptor[which], "w", functions);
    if (stream == NULL)
        return;
    guest_dress(stream, which, *standard);
    setvbuf(stream, NULL, which == 0 ? _IOLBF : _IONBF, BUFSIZ);
    guest_stream[which] = stream;
    *standard = stream;
}

static void guest_enter(int which)
{
    many_stage_ *stage = many_stage_find_(guest_descriptor[which]);

    if (stage == NULL)
        return;
    if (guest_claim(stage) >= 0)
        guest_replace(which, which == 0 ? &stdout : &stderr);
    many_stage_drop_(stage);
}

/* Print what is kept of a line. */
static void guest_flush(int which)
{
    FILE *stream = guest_stream[which];
    many_stage_ *stage;
    int place;

    if (!many_guest_is_(guest_descriptor[which]))
        return;
    if (ftrylockfile(stream) == 0) {
        fflush(stream);
        funlockfile(stream);
    }
    stage = many_stage_find_(guest_descriptor[which]);
    if (stage == NULL)
        return;
    place = guest_claim(stage);
    if (place >= 0 &&
        atomic_load_explicit(&stage->shared->guest[place].bytes[which], memory_order_relaxed) > 0)
        guest_print(stage, place, which, NULL, 0, "\n");
    many_stage_drop_(stage);
}

#else

int many_guest_is_(int fd)
{
    (void)fd;
    return 0;
}

/* It is counted among those that the stage is kept for. */
static void guest_enter(int which)
{
    many_stage_ *stage = many_stage_find_(guest_descriptor[which]);

    if (stage != NULL)
        guest_claim(stage);
    many_stage_drop_(stage);
}

static void guest_flush(int which)
{
    (void)which;
}

#endif

void many_stage_child_(void)
{
    guest_enter(0);
    guest_enter(1);
}

void many_stage_exit_(void)
{
    guest_flush(0);
    guest_flush(1);
    for (int which = 0; which < 2; which++) {
        many_stage_ *stage = many_stage_find_(guest_descriptor[which]);

        if (stage == NULL)
            continue;
        for (int i = 0; i < MANY_STAGE_GUESTS; i++)
            if (atomic_load_explicit(&stage->shared->guest[i].owner, memory_order_relaxed) ==
                stage->owner)
                atomic_store_explicit(&stage->shared->guest[i].owner, 0, memory_order_release);
        many_stage_drop_(stage);
    }
}
