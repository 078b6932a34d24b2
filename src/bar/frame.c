/* SPDX-License-Identifier: MIT */
/*
 * frame.c - what is written to a terminal; see frame.h
 *
 * Lines stand below each other, the cursor rests on the uppermost. So a single bar needs nothing but
 * "\r"; text of others who know nothing of bars meets one line, not all; and everything from the
 * cursor down is ours to erase. One line is redrawn by "\n" as often as it lies below the first (which
 * makes room at the foot of the screen, where a movement would not), and by moving up again.
 *
 * A frame is built in shared memory, and counts from the store of frame_bytes on. What is redrawn
 * without patience must not block, and a terminal that has room may have it for one page, or for 256
 * bytes of a pseudoterminal's buffer that nobody empties: so more than a line is written in pieces.
 * What found no room is written by the next one before anything else.
 *
 * Death  A line that leaves the screen, and printed text, are taken from where they were kept when
 *        the frame is built, before it is sent. So whoever dies in between loses a last line or his
 *        own text, and nothing is printed twice. A frame that was sent in part is sent to its end.
 */
#include "bar/frame.h"

#include <errno.h>
#include <string.h>

#include "base/fault.h"
#include "base/text.h"
#include "os/clock.h"
#include "os/terminal.h"

/* ECMA-48: EL and ED, from the cursor to the end of the line, and of the screen. */
#define FRAME_ERASE       "\x1b[K"
#define FRAME_ERASE_BELOW "\x1b[J"

/* Where the terminal does not say. */
#define FRAME_COLUMNS 80
#define FRAME_ROWS    24

/* A pseudoterminal that has room at all has it for 256 bytes, "\n" may become two. */
#define FRAME_PIECE_BYTES 240

/* How often the dead are looked for, at 10 us for each living process. */
#define FRAME_LOOK_NS (250 * MANY_MILLISECOND_NS)

/* Which bars are where. */
typedef struct frame_layout {
    many_size_ size;
    uint32_t lines, count, more;
    uint32_t row[MANY_STAGE_SHOWN];
    uint64_t key[MANY_STAGE_SHOWN];
} frame_layout;

/* What the dead have left. */
typedef struct frame_leaving {
    uint32_t rows, parts;
    uint32_t row[MANY_STAGE_LEAVING];  /* to be printed for good */
    uint32_t part[MANY_STAGE_LEAVING]; /* 2 * guest + stream, likewise */
    uint32_t bytes[MANY_STAGE_LEAVING];
} frame_leaving;

typedef struct frame_text {
    char *bytes;
    size_t used;
} frame_text;

/* ---- building ---- */

static void frame_put(frame_text *text, const char *more, size_t bytes)
{
    if (bytes > MANY_STAGE_FRAME_BYTES - text->used)
        bytes = MANY_STAGE_FRAME_BYTES - text->used;
    if (bytes > 0)
        memcpy(text->bytes + text->used, more, bytes);
    text->used += bytes;
}

static void frame_add(frame_text *text, const char *more)
{
    frame_put(text, more, strlen(more));
}

/* A line over the one that the cursor is on, cut to the columns. */
static void frame_line(frame_text *text, const char *line, size_t bytes, int columns,
                       const char *erase)
{
    char whole[MANY_DRAW_BYTES];

    if (bytes > sizeof whole - 1)
        bytes = sizeof whole - 1;
    memcpy(whole, line, bytes);
    whole[bytes] = '\0';
    frame_add(text, "\r");
    frame_put(text, whole, many_text_fit_(whole, columns > 0 ? (size_t)columns : 0));
    frame_add(text, erase);
}

/* Columns for a line that asked for so many: never the last one, where terminals wrap. */
static int frame_room(const many_size_ *size, uint32_t asked)
{
    if (asked > 0)
        return asked < MANY_DRAW_COLUMNS ? (int)asked - 1 : MANY_DRAW_COLUMNS;
    return (size->columns > 0 ? size->columns : FRAME_COLUMNS) - 1;
}

static void frame_row(many_stage_shared_ *shared, frame_text *text, const many_size_ *size,
                      uint32_t row, const char *erase)
{
    const many_row_ *meta = &shared->row[row];

    frame_line(text, shared->line[row], atomic_load_explicit(&meta->bytes, memory_order_relaxed),
               frame_room(size, atomic_load_explicit(&meta->columns, memory_order_relaxed)), erase);
}

/* Back from the last of the lines, so many below the first. */
static void frame_up(frame_text *text, uint32_t lines)
{
    char up[32];
    many_text_ number;

    if (lines == 0)
        return;
    many_text_begin_(&number, up, sizeof up);
    many_text_add_(&number, "\x1b[");
    many_text_add_count_(&number, lines);
    many_text_add_(&number, "A");
    frame_add(text, up);
}

static void frame_more(frame_text *text, const many_size_ *size, uint32_t more, const char *erase)
{
    char words[48];
    many_text_ line;

    many_text_begin_(&line, words, sizeof words);
    many_text_add_(&line, "(");
    many_text_add_count_(&line, more);
    many_text_add_(&line, " more)");
    frame_line(text, words, line.used, frame_room(size, 0), erase);
}

/* ---- sending ---- */

/* 1: all of it; 2: a part; 0: nothing; negative errno: nothing will ever be. */
static int frame_send(many_stage_shared_ *shared, int fd, size_t piece, int64_t patience_ns)
{
    uint32_t bytes = atomic_load_explicit(&shared->frame_bytes, memory_order_relaxed);
    uint32_t sent = atomic_load_explicit(&shared->frame_sent, memory_order_relaxed);
    ssize_t wrote = 0;

    if (bytes > MANY_STAGE_FRAME_BYTES) /* never, but others write here */
        bytes = sent = 0;
    while (sent < bytes) {
        size_t part = bytes - sent < piece ? bytes - sent : piece;

        if (patience_ns == MANY_NEVER_NS) {
            wrote = many_stage_write_(fd, shared->frame + sent, part);
            wrote = wrote < 0 ? wrote : (ssize_t)part;
        } else {
            wrote = many_terminal_write_(fd, shared->frame + sent, part, patience_ns);
        }
        if (wrote < 0)
            break;
        sent += (uint32_t)wrote;
        atomic_store_explicit(&shared->frame_sent, sent, memory_order_relaxed);
        MANY_FAULT_POINT("stage.frame.piece");
        if ((size_t)wrote < part)
            break;
    }
    if (sent > 0 && sent < bytes && (wrote >= 0 || wrote == -EAGAIN))
        return 2;
    atomic_store_explicit(&shared->frame_bytes, 0, memory_order_relaxed);
    if (sent == bytes)
        return 1;
    return wrote == -EAGAIN ? 0 : (int)wrote;
}

static int frame_commit(many_stage_shared_ *shared, const frame_text *text)
{
    atomic_store_explicit(&shared->frame_sent, 0, memory_order_relaxed);
    atomic_store_explicit(&shared->frame_bytes, (uint32_t)text->used, memory_order_relaxed);
    MANY_FAULT_POINT("stage.frame.built");
    return text->used > 0;
}

int many_frame_rest_(many_stage_shared_ *shared, int fd, int64_t patience_ns)
{
    return frame_send(shared, fd, FRAME_PIECE_BYTES, patience_ns) != 2;
}

/* ---- what is to be seen ---- */

/* Lines that bars may have. */
static uint32_t frame_height(const many_size_ *size)
{
    int rows = size->rows > 0 ? size->rows : FRAME_ROWS;

    if (rows - 1 > MANY_STAGE_SHOWN)
        return MANY_STAGE_SHOWN;
    return rows > 2 ? (uint32_t)rows - 1 : 1;
}

/* Put a row among the first ones. */
static void frame_insert(frame_layout *layout, uint32_t found, uint32_t row, uint64_t key)
{
    uint32_t at = found < MANY_STAGE_SHOWN ? found : MANY_STAGE_SHOWN;

    if (at == MANY_STAGE_SHOWN && key > layout->key[at - 1])
        return;
    if (at == MANY_STAGE_SHOWN)
        at--;
    for (; at > 0 && layout->key[at - 1] > key; at--) {
        layout->key[at] = layout->key[at - 1];
        layout->row[at] = layout->row[at - 1];
    }
    layout->key[at] = key;
    layout->row[at] = row;
}

static int frame_leaves(const frame_leaving *leaving, uint32_t row)
{
    for (uint32_t i = 0; i < leaving->rows; i++)
        if (leaving->row[i] == row)
            return 1;
    return 0;
}

static uint32_t frame_used(const _Atomic uint32_t *used, uint32_t most)
{
    uint32_t seen = atomic_load_explicit(used, memory_order_relaxed);

    return seen < most ? seen : most;
}

static void frame_lay_out(frame_layout *layout, many_stage_shared_ *shared, int fd,
                          const frame_leaving *leaving)
{
    uint32_t used = frame_used(&shared->rows_used, MANY_STAGE_ROWS);
    uint32_t found = 0, most;

    memset(layout, 0, sizeof *layout);
    layout->size = many_device_size_(fd);
    if (many_stage_hidden_ns_(shared, many_clock_ns_()) != 0)
        return;
    for (uint32_t row = 0; row < used; row++) {
        uint64_t key = atomic_load_explicit(&shared->row[row].key, memory_order_relaxed);

        if (key == 0 || frame_leaves(leaving, row))
            continue;
        frame_insert(layout, found++, row, key);
    }
    most = frame_height(&layout->size);
    layout->count = found;
    if (found > most) {
        layout->count = most > 1 ? most - 1 : 1;
        layout->more = found - layout->count;
    }
    layout->lines = layout->count + (layout->more > 0 && most > 1);
}

static int frame_is_as_drawn(const frame_layout *layout, const many_stage_shared_ *shared)
{
    return atomic_load_explicit(&shared->dirty, memory_order_relaxed) == MANY_STAGE_CLEAN_ &&
           layout->lines == shared->drawn_lines && layout->count == shared->drawn_count &&
           layout->more == shared->drawn_more &&
           layout->size.columns == shared->drawn_size.columns &&
           layout->size.rows == shared->drawn_size.rows &&
           memcmp(layout->key, shared->drawn_key, layout->count * sizeof layout->key[0]) == 0;
}

static void frame_note_drawn(const frame_layout *layout, many_stage_shared_ *shared)
{
    shared->drawn_lines = layout->lines;
    shared->drawn_count = layout->count;
    shared->drawn_more = layout->more;
    shared->drawn_size = layout->size;
    memcpy(shared->drawn_key, layout->key, sizeof layout->key);
    atomic_store_explicit(&shared->dirty, MANY_STAGE_CLEAN_, memory_order_relaxed);
}

/* ---- the dead ---- */

static void frame_free_row(many_row_ *row)
{
    atomic_store_explicit(&row->key, 0, memory_order_relaxed);
    atomic_store_explicit(&row->owner, 0, memory_order_release); /* acquire in the next claim */
}

static void frame_find_dead_rows(many_stage_ *stage, frame_leaving *leaving)
{
    many_stage_shared_ *shared = stage->shared;
    uint32_t used = frame_used(&shared->rows_used, MANY_STAGE_ROWS);

    for (uint32_t i = 0; i < used; i++) {
        many_row_ *row = &shared->row[i];

        if (!many_stage_is_dead_(stage, atomic_load_explicit(&row->owner, memory_order_relaxed)))
            continue;
        if (atomic_load_explicit(&row->leave, memory_order_relaxed) == 0 ||
            atomic_load_explicit(&row->bytes, memory_order_relaxed) == 0)
            frame_free_row(row);
        else if (leaving->rows < MANY_STAGE_LEAVING)
            leaving->row[leaving->rows++] = i;
    }
}

static void frame_find_dead_guests(many_stage_ *stage, frame_leaving *leaving)
{
    many_stage_shared_ *shared = stage->shared;
    uint32_t used = frame_used(&shared->guests_used, MANY_STAGE_GUESTS);
    uint32_t room = MANY_STAGE_TEXT_BYTES / 2;

    for (uint32_t i = 0; i < used; i++) {
        many_guest_ *guest = &shared->guest[i];
        uint64_t owner = atomic_load_explicit(&guest->owner, memory_order_relaxed);
        uint32_t kept = 0;

        if (!many_stage_is_dead_(stage, owner))
            continue;
        for (uint32_t stream = 0; stream < 2; stream++) {
            uint32_t bytes = frame_used(&guest->bytes[stream], MANY_STAGE_PART_BYTES);

            kept += bytes;
            if (bytes == 0 || leaving->parts == MANY_STAGE_LEAVING || bytes + 1 > room)
                continue;
            room -= bytes + 1;
            leaving->bytes[leaving->parts] = bytes;
            leaving->part[leaving->parts++] = 2 * i + stream;
        }
        /* By comparing: another one that is started may take the place over just now. */
        if (kept == 0)
            atomic_compare_exchange_strong_explicit(&guest->owner, &owner, 0, memory_order_release,
                                                    memory_order_relaxed);
    }
}

static void frame_find_dead(many_stage_ *stage, frame_leaving *leaving)
{
    many_stage_shared_ *shared = stage->shared;
    int64_t now = many_clock_ns_();
    int64_t since = now - atomic_load_explicit(&shared->looked_ns, memory_order_relaxed);

    leaving->rows = leaving->parts = 0;
    if (since >= 0 && since < FRAME_LOOK_NS)
        return;
    atomic_store_explicit(&shared->looked_ns, now, memory_order_relaxed);
    frame_find_dead_rows(stage, leaving);
    frame_find_dead_guests(stage, leaving);
}

/* They are in the frame: keep it != 0: nothing was sent, and they stay where they were. */
static void frame_take_dead(many_stage_shared_ *shared, const frame_leaving *leaving, int keep)
{
    for (uint32_t i = 0; i < leaving->rows; i++)
        atomic_store_explicit(&shared->row[leaving->row[i]].leave, keep != 0, memory_order_relaxed);
    for (uint32_t i = 0; i < leaving->parts; i++)
        atomic_store_explicit(&shared->guest[leaving->part[i] / 2].bytes[leaving->part[i] % 2],
                              keep ? leaving->bytes[i] : 0, memory_order_relaxed);
}

/* ---- redraws ---- */

/* What goes above the lines; how many lines of the screen that has overwritten. */
static uint32_t frame_build_above(many_stage_shared_ *shared, const many_frame_ *frame,
                                  const frame_layout *layout, const frame_leaving *leaving,
                                  frame_text *text)
{
    uint32_t lines = 0;

    for (uint32_t i = 0; i < leaving->rows; i++, lines++) {
        frame_row(shared, text, &layout->size, leaving->row[i], FRAME_ERASE);
        frame_add(text, "\n");
    }
    for (uint32_t i = 0; i < leaving->parts; i++) {
        frame_put(text, shared->part[leaving->part[i] / 2][leaving->part[i] % 2],
                  leaving->bytes[i]);
        frame_add(text, "\n");
    }
    if (frame->last.text != NULL) {
        frame_line(text, frame->last.text, frame->last.bytes, MANY_DRAW_COLUMNS, FRAME_ERASE);
        frame_add(text, "\n");
        lines++;
    }
    for (int i = 0; i < MANY_STAGE_SPANS; i++)
        frame_put(text, frame->text[i].text, frame->text[i].bytes);
    return lines;
}

static void frame_build(many_stage_shared_ *shared, const many_frame_ *frame,
                        const frame_layout *layout, const frame_leaving *leaving, frame_text *text)
{
    const int unknown =
        atomic_load_explicit(&shared->dirty, memory_order_relaxed) == MANY_STAGE_UNKNOWN_;
    const int resized = layout->size.columns != shared->drawn_size.columns ||
                        layout->size.rows != shared->drawn_size.rows;
    size_t printed = leaving->parts;
    uint32_t old = unknown ? UINT32_MAX : shared->drawn_lines;
    uint32_t lines;

    for (int i = 0; i < MANY_STAGE_SPANS; i++)
        printed += frame->text[i].bytes;
    if ((printed > 0 && old > 0) || (resized && old > 1)) {
        frame_add(text, "\r" FRAME_ERASE_BELOW);
        old = 0;
    }
    lines = frame_build_above(shared, frame, layout, leaving, text) + layout->lines;
    for (uint32_t i = 0; i < layout->lines; i++) {
        const char *erase = i == layout->lines - 1 && old > lines ? FRAME_ERASE_BELOW : FRAME_ERASE;

        frame_add(text, i > 0 ? "\n" : "");
        if (i < layout->count)
            frame_row(shared, text, &layout->size, layout->row[i], erase);
        else
            frame_more(text, &layout->size, layout->more, erase);
    }
    if (layout->lines == 0 && old > lines)
        frame_add(text, old > 1 ? "\r" FRAME_ERASE_BELOW : "\r" FRAME_ERASE);
    if (layout->lines > 1) {
        frame_up(text, layout->lines - 1);
        frame_add(text, "\r");
    }
}

static int frame_redraw(many_stage_ *stage, const many_frame_ *frame, const frame_layout *layout,
                        const frame_leaving *leaving)
{
    many_stage_shared_ *shared = stage->shared;
    frame_text text = {shared->frame, 0};
    uint32_t taken = 0;
    size_t piece;
    int code;

    frame_build(shared, frame, layout, leaving, &text);
    frame_take_dead(shared, leaving, 0);
    if (frame->taken != NULL)
        taken = atomic_exchange_explicit(frame->taken, 0, memory_order_relaxed);
    if (!frame_commit(shared, &text)) {
        frame_note_drawn(layout, shared);
        return 1;
    }
    piece = layout->lines > 1 && frame->patience_ns == 0 ? FRAME_PIECE_BYTES : text.used;
    code = frame_send(shared, frame->fd, piece, frame->patience_ns);
    MANY_FAULT_POINT("stage.frame.sent");
    if (code == 0) {
        frame_take_dead(shared, leaving, 1);
        if (frame->taken != NULL)
            atomic_store_explicit(frame->taken, taken, memory_order_relaxed);
        if (atomic_load_explicit(&shared->dirty, memory_order_relaxed) == MANY_STAGE_CLEAN_)
            atomic_store_explicit(&shared->dirty, MANY_STAGE_STALE_, memory_order_relaxed);
        return 0;
    }
    for (uint32_t i = 0; i < leaving->rows; i++)
        frame_free_row(&shared->row[leaving->row[i]]);
    frame_note_drawn(layout, shared);
    return code < 0 ? code : 1;
}

int many_frame_redraw_(many_stage_ *stage, const many_frame_ *frame)
{
    frame_layout layout;
    frame_leaving leaving;

    frame_find_dead(stage, &leaving);
    frame_lay_out(&layout, stage->shared, frame->fd, &leaving);
    return frame_redraw(stage, frame, &layout, &leaving);
}

int many_frame_show_(many_stage_ *stage, const many_frame_ *frame, int row)
{
    many_stage_shared_ *shared = stage->shared;
    frame_text text = {shared->frame, 0};
    frame_layout layout;
    frame_leaving leaving;
    uint32_t at = 0;
    int code;

    frame_find_dead(stage, &leaving);
    frame_lay_out(&layout, shared, frame->fd, &leaving);
    if (leaving.rows + leaving.parts > 0 || !frame_is_as_drawn(&layout, shared))
        return frame_redraw(stage, frame, &layout, &leaving);
    while (at < layout.count && (int64_t)layout.row[at] != row)
        at++;
    if (at == layout.count)
        return 1;
    for (uint32_t i = 0; i < at; i++)
        frame_add(&text, "\n");
    frame_row(shared, &text, &layout.size, layout.row[at], FRAME_ERASE);
    frame_up(&text, at);
    if (layout.lines > 1)
        frame_add(&text, "\r");
    frame_commit(shared, &text);
    code = frame_send(shared, frame->fd, text.used, frame->patience_ns);
    MANY_FAULT_POINT("stage.frame.sent");
    if (code == 0)
        atomic_store_explicit(&shared->dirty, MANY_STAGE_STALE_, memory_order_relaxed);
    return code == 2 ? 1 : code;
}

int many_frame_wipe_(many_stage_ *stage, const many_frame_ *frame)
{
    many_stage_shared_ *shared = stage->shared;
    const int unknown =
        atomic_load_explicit(&shared->dirty, memory_order_relaxed) == MANY_STAGE_UNKNOWN_;
    frame_text text = {shared->frame, 0};
    int code;

    if (shared->drawn_lines == 0 && !unknown)
        return 1;
    frame_add(&text,
              shared->drawn_lines > 1 || unknown ? "\r" FRAME_ERASE_BELOW : "\r" FRAME_ERASE);
    frame_commit(shared, &text);
    code = frame_send(shared, frame->fd, text.used, frame->patience_ns);
    if (code != 0) {
        frame_layout none = {.size = shared->drawn_size};

        frame_note_drawn(&none, shared);
    }
    return code == 2 ? 1 : code;
}
