/* SPDX-License-Identifier: MIT */
/*
 * stage.h - the lines at the foot of one terminal, which the bars of many processes share
 *
 * Promise    Each bar has a line of its own, in whatever process it was opened; no two redraws and
 *            no two printed texts get into each other; nobody waits for more than a second for
 *            another process.
 * Invariant  What is on the screen changes only under the lock, but for who has waited for it for a
 *            second. The cursor rests on the uppermost of the lines.
 * Death      stage.c says what each death leaves.
 *
 * The memory is made with the first bar on a terminal, and children have it by inheritance, or by a
 * descriptor where they did not fork from us. In each process a many_stage_ stands for it.
 */
#ifndef MANY_BAR_STAGE_H
#define MANY_BAR_STAGE_H

#include <stdatomic.h>
#include <stdint.h>

#include <many/sync.h>

#include "bar/device.h"
#include "bar/draw.h"
#include "os/self.h"

/* Bars on one terminal; those that come when all rows are taken are not shown before one is free. */
#define MANY_STAGE_ROWS 128

/* Of these at most so many are on the screen. */
#define MANY_STAGE_SHOWN 32

/* Started processes whose stdout and stderr go through the stage. */
#define MANY_STAGE_GUESTS 64

/* What is kept of a line until its end comes. */
#define MANY_STAGE_PART_BYTES 8192

/* Room for all lines on the screen, some that leave it, and for what is printed above them. */
#define MANY_STAGE_TEXT_BYTES (8 * MANY_STAGE_PART_BYTES)
#define MANY_STAGE_LEAVING    8
#define MANY_STAGE_FRAME_BYTES                                                                     \
    ((MANY_STAGE_SHOWN + MANY_STAGE_LEAVING + 2) * (MANY_DRAW_BYTES + 16) + MANY_STAGE_TEXT_BYTES)

/* A bar's line. The owner claims the row by one write and is the only one to change it while it lives;
 * the others let its rows go when it is dead. */
typedef struct many_row_ {
    _Atomic uint64_t owner;   /* identity of the main thread of its process; 0: a free row */
    _Atomic uint64_t key;     /* its place in the order, never given twice; 0: not on the screen */
    _Atomic uint32_t leave;   /* 1: its last line stays on the screen */
    _Atomic uint32_t columns; /* asked for; 0: those of the terminal */
    _Atomic uint32_t bytes;   /* of its line */
    uint32_t reserved;
} many_row_;

/* A process whose stdout (0) and stderr (1) go through the stage. */
typedef struct many_guest_ {
    _Atomic uint64_t owner;    /* as a row's */
    _Atomic uint32_t bytes[2]; /* kept of a line without end */
    _Atomic int64_t since_ns[2];
} many_guest_;

/* What all processes see. */
typedef struct many_stage_shared_ {
    uint64_t magic; /* these three are constant after open */
    uint64_t size;
    many_device_ device;
    many_lock lock;            /* to write to the terminal; protects the lines, drawn and frame */
    many_lock out;             /* to write to what is no terminal */
    _Atomic uint64_t turn;     /* how often the lock was taken */
    _Atomic uint64_t stuck;    /* the turn that somebody has waited out */
    _Atomic uint64_t sequence; /* of keys */
    _Atomic uint32_t rows_used, guests_used; /* those behind have never been claimed */
    _Atomic uint32_t dirty;                  /* enum many_stage_dirt_ */
    _Atomic int64_t hidden_until_ns;         /* somebody prints below the lines, which are wiped */
    _Atomic int64_t looked_ns;               /* when the dead were last looked for */

    /* What is on the screen. */
    uint32_t drawn_lines; /* below each other, the cursor on the first; 0: none */
    uint32_t drawn_count; /* those that are a bar's */
    uint32_t drawn_more;  /* bars that are only counted, in the last line */
    many_size_ drawn_size;
    uint64_t drawn_key[MANY_STAGE_SHOWN];

    /* What is being written: sent of it so far. bytes is the last to be set. */
    _Atomic uint32_t frame_bytes, frame_sent;

    many_row_ row[MANY_STAGE_ROWS];
    many_guest_ guest[MANY_STAGE_GUESTS];
    char line[MANY_STAGE_ROWS][MANY_DRAW_BYTES];
    char part[MANY_STAGE_GUESTS][2][MANY_STAGE_PART_BYTES];
    char frame[MANY_STAGE_FRAME_BYTES];
} many_stage_shared_;

enum many_stage_dirt_ {
    MANY_STAGE_CLEAN_,
    MANY_STAGE_STALE_,  /* lines are newer than what is on the screen */
    MANY_STAGE_UNKNOWN_ /* nobody knows what is on the screen from the cursor downwards */
};

/* A process's view of it. Constant but for what the lock of own.h protects, down from process. */
typedef struct many_stage_ {
    many_stage_shared_ *shared;
    int fd; /* of the memory; -1: it has none */
    many_device_ file;
    struct many_stage_ *next;
    uint64_t process;     /* for which process the rest holds */
    uint32_t users;       /* bars and calls that need it */
    uint32_t generation;  /* 1 in the process that began it, more in its children */
    many_identity_ owner; /* of the process */
} many_stage_;

/* Some bytes of the caller's. */
typedef struct many_span_ {
    const char *text;
    size_t bytes;
} many_span_;

/* Printed text comes in so many pieces, some of which may be empty. */
#define MANY_STAGE_SPANS 3

/* The stage of the terminal (or what is treated as one) that fd leads to, begun if need be. Close it
 * again. 0, -ENOMEM, -EBADF. */
int many_stage_open_(many_stage_ **stage, int fd);

/* The last one in this process lets go of the memory, unless living others have lines there. NULL does
 * nothing. */
void many_stage_close_(many_stage_ *stage);

/* The stage of fd's terminal if this process knows one; give it back by many_stage_drop_(). */
many_stage_ *many_stage_find_(int fd);
void many_stage_drop_(many_stage_ *stage);

/* Let go of what was kept for others that have died since. Costs a load where there is nothing. */
void many_stage_tidy_(void);

/* ---- a bar's line ---- */

typedef struct many_place_ {
    many_stage_ *stage;
    int fd;       /* to write to */
    int columns;  /* asked for; 0: those of the terminal */
    int leave;    /* 1: the last line stays */
    int row;      /* -1: none yet */
    uint64_t key; /* of the row, while it is ours */
} many_place_;

/* Show this line. 0; else the time to come again: somebody else draws or prints just now. */
int64_t many_stage_show_(many_place_ *place, const char *line, size_t bytes, int64_t now_ns,
                         int64_t patience_ns);

/* The bar is at its end: the last line goes above the others (leave), or vanishes. */
void many_stage_finish_(many_place_ *place, const char *line, size_t bytes, int64_t patience_ns);

/* Wipe all lines until then. 1: there were some. */
int many_stage_hide_(const many_place_ *place, int64_t until_ns, int64_t patience_ns);

/* ---- text above the lines ---- */

/*
 * Print text that ends with a line end, through fd, which leads to the stage's terminal. Waits a second
 * for the lock, and then does without; then for as long as the terminal takes nothing. taken (or NULL)
 * becomes 0 just before it is written. flush (or NULL) is called with the lines out of the way. 0 or a
 * negative errno.
 */
int many_stage_print_(many_stage_ *stage, int fd, const many_span_ text[MANY_STAGE_SPANS],
                      _Atomic uint32_t *taken, void (*flush)(void));

/* Whole, waiting for room for as long as it takes. 0 or a negative errno. */
int many_stage_write_(int fd, const char *text, size_t bytes);

/* To what is no terminal: one after another among those that know a stage, whichever. */
int many_stage_write_in_turn_(int fd, const char *text, size_t bytes);

/* ---- inside: stage.c and frame.c ---- */

/* Is this row's or guest's owner dead? */
int many_stage_is_dead_(const many_stage_ *stage, uint64_t owner);

/* Take the lock, with what a dead owner left put in order. 0 or -EAGAIN. */
int many_stage_enter_(many_stage_ *stage, int64_t patience_ns);
void many_stage_leave_(many_stage_ *stage);

/* Until when nothing is to be drawn; 0: now is as good as ever (also where the time that was told is of
 * another clock: a process may have a time namespace of its own). */
int64_t many_stage_hidden_ns_(const many_stage_shared_ *shared, int64_t now_ns);

#endif
