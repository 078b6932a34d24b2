/* SPDX-License-Identifier: MIT */
/*
 * bar.h - progress bars
 *
 *   many_bar *bar = NULL;
 *   many_bar_open(&bar, .total = n, .desc = "files", .unit = "file");
 *   for (size_t i = 0; i < n; i++) {
 *       work(i);
 *       many_bar_add(bar, 1);
 *   }
 *   many_bar_close(bar);
 *
 * On a terminal the bar is one line on stderr that redraws itself, at most ten times a second:
 *
 *   files:  42%|████▏     | 420/1000 [00:01<00:02, 311.0file/s]
 *
 * The layout is tqdm's. Failures stand beside the count (420/1000, 3 failed), a rate below one a
 * second is turned round (3.21s/file), and without a total, or past it, the bar only counts:
 *
 *   files: 420file [00:01, 311.0file/s]
 *
 * It fits the terminal's width and follows a resize: with less room first the bar goes, then what
 * is in brackets, then the words are cut. Where stderr is no terminal, a whole line is printed now
 * and then (after 1, 2, 4, 8, 16, 32 and 60 s, then every 60 s) and one at the end, so that a log
 * stays readable. Nothing is drawn by a thread of its own: a redraw happens inside many_bar_add()
 * when one is due, or in the map that waits. The counters lie in shared memory: children that are
 * forked after open may add too. Only the process that opened the bar draws it.
 *
 * What is drawn on may be slow, full or gone: a redraw that finds no room is dropped, the last line
 * waits for room for a second at most, a pipe without reader raises no SIGPIPE, and nothing of it
 * is an error.
 *
 * Several bars on one terminal stand below each other, in the order of their opening, those of a child
 * process below those of its parent. That holds for bars of one process, of its threads, and of
 * processes forked from it (by whatever call) while it had a bar there. A bar that ends goes above those
 * that go on, or vanishes (.leave = -1); so does that of a process that ended or was killed without
 * closing it, within a second of the others' redraws. What finds no room, because the terminal is
 * not high enough or has 32 lines already, is counted: "(3 more)". Text between bars is printed by
 * many_bar_print() and many_bar_write(). In a process that this library has started while its parent had
 * a bar on the terminal of stdout or stderr, also what is printed by stdio (printf, fprintf(stderr)) appears
 * above the bars, line by line (with glibc; with musl, and for what writes past stdio, as before).
 *
 * Every function takes NULL for a bar, and then does nothing: a quiet mode needs no branches.
 */
#ifndef MANY_BAR_H
#define MANY_BAR_H

#include <many/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct many_bar many_bar;

typedef struct many_bar_options {
    size_t size;                /* sizeof this struct; the macro fills it */
    many_bar **bar;             /* receives the handle; required, the macro's first argument */
    struct many_named_ *named_; /* keeps options named; leave it alone */
    uint64_t total;    /* how many there will be; 0: not known, the bar counts without an end */
    const char *desc;  /* words before the bar, UTF-8; NULL: none. Copied, 511 bytes at most;
                          control characters show as a space or '?'. */
    const char *unit;  /* one of what is counted, UTF-8; NULL: "it". Copied, 63 bytes at most. */
    double interval_s; /* least seconds between two redraws; 0: 0.1 */
    int ascii;         /* 1: draw with '#' and digits; 0: Unicode eighths if the locale has UTF-8 */
    int leave;         /* 0: the finished bar stays on the screen, above those that go on; -1: it is
                          wiped */
    int quiet;         /* 1: count, draw nothing at all */
    int columns;       /* width in columns; 0: that of the terminal (80 where there is none) */
    int fd;            /* descriptor to draw on; 0: stderr. Closed: as if quiet. */
    int terminal;      /* is fd a terminal? 0: ask the system; 1: treat it as one; -1: as none */
} many_bar_options;

/*
 * many_bar_open - begin a bar
 *
 *   bar      receives the handle; close it with many_bar_close(). NULL after a failure
 *   options  by name, in any order: many_bar_open(&bar, .total = 1000, .desc = "files")
 *
 * returns   0
 *           -EINVAL  options or options->bar is NULL, options->size is none, an option is out of
 *                    range, or has no name
 *           -E2BIG   an option is set that this library is too old for
 *           -ENOMEM  no memory for the counters, or for the terminal's lines
 * blocks    only for the write of the first line, and then for others on the terminal, 50 ms at most
 * threads   any
 * fork      children forked later may add to it
 * signals   not from a signal handler
 * source    Python tqdm.tqdm
 */
MANY_API int many_bar_open_with(const many_bar_options *options);

#ifndef __cplusplus
/* The last required argument opens the struct, so the list of options may be empty. */
#define many_bar_open(...)                                                                         \
    many_bar_open_with(&(many_bar_options){.size = sizeof(many_bar_options), .bar = __VA_ARGS__})
#endif

/*
 * many_bar_add - n more are done
 *
 *   bar  an open bar, or NULL
 *   n    how many more
 *
 * No lock, no contention: each thread counts in a cell of its own (the first 64 that add to the
 * bar; those that come later share one). Costs a nanosecond or two: the clock is looked at only as
 * often as takes 2 % of the time at the speed of late. So when additions have come faster than one
 * a microsecond and become slow, some of the slow ones may pass before the bar moves: at most as
 * many as had come in a microsecond, and never more than 1/8192 of all.
 *
 * blocks    only when a redraw is due, and then for one write; never waits for another thread
 * threads   any number at a time
 * fork      usable in a forked child: counts for the parent's bar
 * signals   not from a signal handler
 * death     what a killed process had added stays counted
 * source    Python tqdm.update
 */
MANY_API void many_bar_add(many_bar *bar, uint64_t n);

/*
 * many_bar_add_failed - n more are done, and they failed: the bar counts and shows them
 *
 * As many_bar_add() in all else.
 */
MANY_API void many_bar_add_failed(many_bar *bar, uint64_t n);

/*
 * many_bar_count - how many are done so far, failed ones included
 *
 * returns   the sum of all that was added; 0 for NULL
 * blocks    never
 * threads   any
 * fork      usable in a forked child
 * signals   safe in a signal handler
 * source    Python tqdm.n
 */
MANY_API uint64_t many_bar_count(const many_bar *bar);

/*
 * many_bar_total - set or change the total
 *
 *   total  the new total; 0: not known
 *
 * blocks    never
 * threads   any
 * fork      usable in a forked child
 * signals   not from a signal handler
 * source    Python tqdm.total
 */
MANY_API void many_bar_total(many_bar *bar, uint64_t total);

/*
 * many_bar_draw - draw now what is due
 *
 * For a thread that waits for others to add. Draws nothing if the last redraw was less than the
 * interval ago.
 *
 * blocks    for one write at most
 * threads   any; one draws, the others return at once
 * fork      does nothing in a forked child
 * signals   not from a signal handler
 * source    Python tqdm.refresh
 */
MANY_API void many_bar_draw(many_bar *bar);

/*
 * many_bar_hide - wipe the line, so that something else can be printed; the next redraw shows it
 * again
 *
 * With several bars on the terminal it wipes them all, for 20 ms. many_bar_print() is the safer way: no
 * other process's bar comes in between. Where the bar is no terminal line, it does nothing.
 *
 * blocks    for one write at most
 * threads   any; waits for a redraw that is under way in another thread
 * fork      does nothing in a forked child
 * signals   not from a signal handler
 * source    Python tqdm.clear
 */
MANY_API void many_bar_hide(many_bar *bar);

/*
 * many_bar_print - print text above the bars, on stdout
 *
 *   format  as for printf(); a line end is added if the text has none
 *
 * Whole lines, above all bars of the terminal, one text after another: from any thread, and any process
 * that shares the terminal's bars, no two get into each other. Where stdout is no terminal the text goes
 * there, whole, and the bars stay as they are; without bars it is just that. What stdio holds for stdout
 * (printf) is printed before.
 *
 * returns   0
 *           -EINVAL  format is NULL, or cannot be printed
 *           -ENOMEM  no memory for a long text
 *           another negative errno  stdout cannot be written to: -EPIPE (no SIGPIPE), -EBADF, -EIO, -ENOSPC
 * blocks    while stdout takes nothing, as printf() does, signal handlers or not; for another who draws or
 *           prints, a second
 * threads   any number at a time
 * fork      usable in a forked child
 * signals   not from a signal handler
 * death     one that is killed in this call has printed all of its text, or part of it, or nothing; the
 *           others' bars are whole again at their next redraw
 * source    Python tqdm.write
 */
MANY_API int many_bar_print(const char *format, ...) MANY_PRINTF_(1, 2);

/*
 * many_bar_write - the same for any bytes, on stdout, stderr or another descriptor
 *
 *   fd     1 for stdout, 2 for stderr, or any that can be written to
 *   text   what to print; a line end is added if it has none
 *   bytes  how many bytes text has
 *
 * As many_bar_print() in all else.
 */
MANY_API int many_bar_write(int fd, const void *text, size_t bytes);

/*
 * many_bar_close - draw the last state and end the bar
 *
 *   bar  an open bar; NULL does nothing
 *
 * No other thread may use the bar any more. In a forked child it only lets go of the memory.
 *
 * blocks    for one write at most, and no longer than about a second, or two where another process that
 *           draws on the terminal is stopped
 * threads   one, the last
 * fork      in a forked child: unmaps, draws nothing
 * signals   not from a signal handler
 * source    Python tqdm.close
 */
MANY_API void many_bar_close(many_bar *bar);

#ifdef __cplusplus
}
#endif

#endif
