/* SPDX-License-Identifier: MIT */
/*
 * stage.c - a terminal's lines among processes: who has one, who may write; see stage.h
 *
 * A bar claims a row by one write of its owner into it, with the lock or without, and lists it by
 * writing the key. It redraws by trying the lock: who does not get it comes again some milliseconds
 * later, with what it counts then. Who has to be heard (a last line, printed text) waits for a
 * second, once for each turn of the lock's holder, and then writes all the same: such a holder is
 * stopped, or its terminal is, and at worst a line of it is torn when it goes on.
 *
 * Death  The lock is taken over from a dead owner (sync/lock.h); then nobody knows what is on the
 *        screen, and everything below the cursor is drawn anew. A row that was claimed and never
 *        listed, or whose owner is dead, is let go by whoever looks next: some bar draws every 100
 *        ms as a rule, and looks every 250 ms. If the bar was to leave its line, the last one that
 *        it had drawn is printed for good. A fork at any instant copies no lock: this one is in
 *        shared memory, and its holder lives in the parent.
 */
#include "bar/stage.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/fault.h"
#include "bar/frame.h"
#include "os/clock.h"
#include "os/terminal.h"
#include "sync/lock.h"

/* Who could not draw comes again so much later. */
#define STAGE_AGAIN_NS (10 * MANY_MILLISECOND_NS)

/* A holder of the lock gets so much time, and no more, from one who has to be heard. */
#define STAGE_PATIENCE_NS MANY_SECOND_NS

/* How often to look again whether the terminal takes something. */
#define STAGE_ROOM_MS 500

/* In the key, above the running number. */
#define STAGE_GENERATION_SHIFT 48
#define STAGE_GENERATIONS      0xFFFE

/* ECMA-48: to the begin of the line, ED from there on. */
#define STAGE_CLEAR "\r\x1b[J"

/* A bar's line, or printed text of ordinary length. */
#define STAGE_WHOLE_BYTES (MANY_DRAW_BYTES + 16)

/* ---- the lock ---- */

int many_stage_is_dead_(const many_stage_ *stage, uint64_t owner)
{
    return owner != 0 && owner != stage->owner && many_self_gone_(owner);
}

static void stage_begin_turn(many_stage_shared_ *shared)
{
    uint64_t turn = atomic_load_explicit(&shared->turn, memory_order_relaxed);

    atomic_store_explicit(&shared->turn, turn + 1, memory_order_relaxed);
    MANY_FAULT_POINT("stage.enter");
}

/*
 * The holder died. If no piece of its frame is known to be sent, nothing was, or all in one write: the
 * cursor is where it was, or is to be. After a first piece the rest is sent by whoever draws next, so
 * that the cursor comes to where it is to be; one piece may then be there twice.
 */
static void stage_mend(many_stage_shared_ *shared)
{
    if (atomic_load_explicit(&shared->frame_sent, memory_order_relaxed) == 0)
        atomic_store_explicit(&shared->frame_bytes, 0, memory_order_relaxed);
    atomic_store_explicit(&shared->dirty, MANY_STAGE_UNKNOWN_, memory_order_relaxed);
    many_lock_mend_(&shared->lock);
}

int many_stage_enter_(many_stage_ *stage, int64_t patience_ns)
{
    many_stage_shared_ *shared = stage->shared;
    uint64_t turn = atomic_load_explicit(&shared->turn, memory_order_relaxed);
    int64_t deadline = 0;
    int code;

    if (patience_ns > 0 && atomic_load_explicit(&shared->stuck, memory_order_relaxed) != turn)
        deadline = many_clock_ns_() + patience_ns;
    do
        code = many_lock_take_(&shared->lock, deadline);
    while (code == -EINTR);
    if (code == -EOWNERDEAD) {
        stage_mend(shared);
        code = 0;
    }
    if (code == 0) {
        stage_begin_turn(shared);
        return 0;
    }
    if (deadline != 0 && patience_ns >= STAGE_PATIENCE_NS &&
        atomic_load_explicit(&shared->turn, memory_order_relaxed) == turn)
        atomic_store_explicit(&shared->stuck, turn, memory_order_relaxed);
    return -EAGAIN;
}

int64_t many_stage_hidden_ns_(const many_stage_shared_ *shared, int64_t now_ns)
{
    int64_t until = atomic_load_explicit(&shared->hidden_until_ns, memory_order_relaxed);

    return now_ns < until && until - now_ns < MANY_SECOND_NS ? until : 0;
}

void many_stage_leave_(many_stage_ *stage)
{
    MANY_FAULT_POINT("stage.leave");
    many_lock_give_(&stage->shared->lock);
}

/* ---- rows ---- */

static void stage_raise(_Atomic uint32_t *used, uint32_t to)
{
    uint32_t seen = atomic_load_explicit(used, memory_order_relaxed);

    while (seen < to && !atomic_compare_exchange_weak_explicit(
                            used, &seen, to, memory_order_relaxed, memory_order_relaxed)) {
    }
}

static int place_is_ours(const many_place_ *place)
{
    const many_row_ *row;

    if (place->row < 0)
        return 0;
    row = &place->stage->shared->row[place->row];
    return atomic_load_explicit(&row->key, memory_order_relaxed) == place->key &&
           atomic_load_explicit(&row->owner, memory_order_relaxed) == place->stage->owner;
}

/* A row for the bar, if there is one. */
static void place_claim(many_place_ *place)
{
    many_stage_ *stage = place->stage;
    many_stage_shared_ *shared = stage->shared;
    uint64_t generation =
        stage->generation < STAGE_GENERATIONS ? stage->generation : STAGE_GENERATIONS;

    for (int i = 0; i < MANY_STAGE_ROWS; i++) {
        many_row_ *row = &shared->row[i];
        uint64_t nobody = 0;

        if (atomic_load_explicit(&row->owner, memory_order_relaxed) != 0 ||
            !atomic_compare_exchange_strong_explicit(&row->owner, &nobody, stage->owner,
                                                     memory_order_acquire, /* release when it was
                                                                              let go */
                                                     memory_order_relaxed))
            continue;
        MANY_FAULT_POINT("stage.row.claimed");
        stage_raise(&shared->rows_used, (uint32_t)i + 1);
        atomic_store_explicit(&row->bytes, 0, memory_order_relaxed);
        atomic_store_explicit(&row->leave, place->leave != 0, memory_order_relaxed);
        atomic_store_explicit(&row->columns, (uint32_t)place->columns, memory_order_relaxed);
        place->row = i;
        place->key = generation << STAGE_GENERATION_SHIFT |
                     (atomic_fetch_add_explicit(&shared->sequence, 1, memory_order_relaxed) + 1);
        return;
    }
    place->row = -1;
}

/* Nobody takes it for anyone's any more. */
static void place_free(many_place_ *place)
{
    many_row_ *row;

    if (place_is_ours(place)) {
        row = &place->stage->shared->row[place->row];
        atomic_store_explicit(&row->key, 0, memory_order_relaxed);
        atomic_store_explicit(&row->owner, 0, memory_order_release); /* acquire in claim */
    }
    place->row = -1;
}

/* The line is in the row, and the row in the order. 0: it was so before. */
static int place_set(many_place_ *place, const char *line, size_t bytes)
{
    many_stage_shared_ *shared = place->stage->shared;
    const int known = place_is_ours(place);
    many_row_ *row;

    if (!known)
        place_claim(place);
    if (place->row < 0)
        return 0;
    row = &shared->row[place->row];
    if (known && atomic_load_explicit(&row->bytes, memory_order_relaxed) == bytes &&
        memcmp(shared->line[place->row], line, bytes) == 0)
        return 0;
    memcpy(shared->line[place->row], line, bytes);
    MANY_FAULT_POINT("stage.row.copied");
    atomic_store_explicit(&row->bytes, (uint32_t)bytes, memory_order_relaxed);
    atomic_store_explicit(&row->key, place->key, memory_order_relaxed);
    return 1;
}

int64_t many_stage_show_(many_place_ *place, const char *line, size_t bytes, int64_t now_ns,
                         int64_t patience_ns)
{
    many_stage_ *stage = place->stage;
    const many_frame_ frame = {.fd = place->fd};
    int64_t again = now_ns + STAGE_AGAIN_NS, hidden;
    int changed;

    if (many_stage_enter_(stage, patience_ns) < 0)
        return again;
    changed = place_set(place, line, bytes);
    hidden = many_stage_hidden_ns_(stage->shared, now_ns);
    if (hidden != 0)
        again = hidden;
    else if (many_frame_rest_(stage->shared, place->fd, 0)) {
        many_frame_show_(stage, &frame, changed ? place->row : -1);
        again = 0;
    }
    many_stage_leave_(stage);
    return again;
}

/* ---- by one who has waited long enough ---- */

/* In one write, so that at worst somebody else's is torn. patience_ns: as a frame's. */
static int stage_write_regardless(many_stage_ *stage, int fd, const many_span_ *text, int count,
                                  int64_t patience_ns)
{
    char whole[STAGE_WHOLE_BYTES] = STAGE_CLEAR;
    size_t used = sizeof STAGE_CLEAR - 1;
    ssize_t wrote;
    int code = 0;

    for (int i = 0; i < count && code >= 0; i++) {
        if (text[i].bytes > sizeof whole - used) { /* longer than a line */
            code = many_stage_write_(fd, whole, used);
            if (code >= 0)
                code = many_stage_write_(fd, text[i].text, text[i].bytes);
            used = 0;
        } else if (text[i].bytes > 0) {
            memcpy(whole + used, text[i].text, text[i].bytes);
            used += text[i].bytes;
        }
    }
    if (code >= 0 && patience_ns == MANY_NEVER_NS) {
        code = many_stage_write_(fd, whole, used);
    } else if (code >= 0) {
        wrote = many_terminal_write_(fd, whole, used, patience_ns);
        code = wrote < 0 ? (int)wrote : 0;
    }
    atomic_store_explicit(&stage->shared->dirty, MANY_STAGE_UNKNOWN_, memory_order_relaxed);
    return code;
}

void many_stage_finish_(many_place_ *place, const char *line, size_t bytes, int64_t patience_ns)
{
    many_stage_ *stage = place->stage;
    many_frame_ frame = {.fd = place->fd, .patience_ns = patience_ns};
    const int entered = many_stage_enter_(stage, STAGE_PATIENCE_NS) == 0;

    place_free(place); /* before its last line is printed, or a death would print it again */
    MANY_FAULT_POINT("stage.finish.freed");
    if (place->leave)
        frame.last = (many_span_){line, bytes};
    if (entered) {
        atomic_store_explicit(&stage->shared->looked_ns, 0, memory_order_relaxed);
        if (many_frame_rest_(stage->shared, place->fd, patience_ns))
            many_frame_redraw_(stage, &frame);
        many_stage_leave_(stage);
    } else if (place->leave) {
        const many_span_ text[2] = {{line, bytes}, {"\n", 1}};

        stage_write_regardless(stage, place->fd, text, 2, patience_ns);
    } else {
        atomic_store_explicit(&stage->shared->dirty, MANY_STAGE_STALE_, memory_order_relaxed);
    }
}

int many_stage_hide_(const many_place_ *place, int64_t until_ns, int64_t patience_ns)
{
    many_stage_ *stage = place->stage;
    const many_frame_ frame = {.fd = place->fd, .patience_ns = patience_ns};
    int hidden;

    if (many_stage_enter_(stage, patience_ns) < 0)
        return 0;
    hidden = stage->shared->drawn_lines > 0;
    if (hidden && many_frame_rest_(stage->shared, place->fd, patience_ns)) {
        atomic_store_explicit(&stage->shared->hidden_until_ns, until_ns, memory_order_relaxed);
        many_frame_wipe_(stage, &frame);
    }
    many_stage_leave_(stage);
    return hidden;
}

/* ---- printing ---- */

int many_stage_write_(int fd, const char *text, size_t bytes)
{
    while (bytes > 0) {
        ssize_t wrote = many_terminal_write_(fd, text, bytes, STAGE_PATIENCE_NS);

        if (wrote < 0 && wrote != -EAGAIN)
            return (int)wrote;
        if (wrote > 0) {
            text += wrote;
            bytes -= (size_t)wrote;
        }
    }
    return 0;
}

/* As long as the terminal takes nothing, its holder is not to blame, and waiting costs nothing: the write
 * would have to wait, too. -EAGAIN: it is stuck elsewhere. */
static int stage_enter_to_print(many_stage_ *stage, int fd)
{
    while (many_stage_enter_(stage, STAGE_PATIENCE_NS) < 0) {
        struct pollfd room = {fd, POLLOUT, 0};

        if (poll(&room, 1, 0) != 0)
            return -EAGAIN;
        poll(&room, 1, STAGE_ROOM_MS);
        atomic_store_explicit(&stage->shared->stuck, 0, memory_order_relaxed);
    }
    return 0;
}

/* More than a frame holds, or what stdio holds comes before it. */
static int stage_print_long(many_stage_ *stage, const many_frame_ *frame, const many_span_ *text,
                            void (*flush)(void))
{
    const many_frame_ lines = {.fd = frame->fd};
    int code = many_frame_wipe_(stage, frame);

    if (flush != NULL)
        flush();
    for (int i = 0; i < MANY_STAGE_SPANS && code >= 0; i++)
        code = many_stage_write_(frame->fd, text[i].text, text[i].bytes);
    many_frame_redraw_(stage, &lines);
    return code < 0 ? code : 0;
}

int many_stage_print_(many_stage_ *stage, int fd, const many_span_ text[MANY_STAGE_SPANS],
                      _Atomic uint32_t *taken, void (*flush)(void))
{
    many_frame_ frame = {.fd = fd, .patience_ns = MANY_NEVER_NS};
    size_t bytes = 0;
    int code;

    for (int i = 0; i < MANY_STAGE_SPANS; i++)
        bytes += text[i].bytes;

    if (stage_enter_to_print(stage, fd) < 0) {
        if (taken != NULL)
            atomic_store_explicit(taken, 0, memory_order_relaxed);
        return stage_write_regardless(stage, fd, text, MANY_STAGE_SPANS, MANY_NEVER_NS);
    }
    many_frame_rest_(stage->shared, fd, MANY_NEVER_NS);
    if (flush != NULL || bytes > MANY_STAGE_TEXT_BYTES / 2) {
        if (taken != NULL)
            atomic_store_explicit(taken, 0, memory_order_relaxed);
        code = stage_print_long(stage, &frame, text, flush);
    } else {
        memcpy(frame.text, text, sizeof frame.text);
        frame.taken = taken;
        code = many_frame_redraw_(stage, &frame);
    }
    many_stage_leave_(stage);
    return code < 0 ? code : 0;
}

int many_stage_write_in_turn_(int fd, const char *text, size_t bytes)
{
    many_stage_ *stage = many_stage_find_(-1);
    int taken = -EAGAIN, code;

    if (stage != NULL)
        do
            taken = many_lock_take_(&stage->shared->out, many_clock_ns_() + STAGE_PATIENCE_NS);
        while (taken == -EINTR);
    if (taken == -EOWNERDEAD)
        many_lock_mend_(&stage->shared->out);
    code = many_stage_write_(fd, text, bytes);
    if (taken == 0 || taken == -EOWNERDEAD)
        many_lock_give_(&stage->shared->out);
    many_stage_drop_(stage);
    return code;
}
