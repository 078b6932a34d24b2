/* SPDX-License-Identifier: MIT */
/*
 * bar.c - progress bars: the public functions
 *
 * Adding goes to the board and never waits. Whoever adds, or calls many_bar_draw(), looks at the
 * clock now and then; when a redraw is due, the one who gets the drawing lock draws, and the others
 * go on. The lock lies in the opener's private memory, and a forked child neither takes nor awaits
 * it: no death of another process can leave it held. Whoever holds it may take the stage's (stage.h),
 * never the other way round.
 */
#include "bar/bar.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bar/board.h"
#include "bar/draw.h"
#include "bar/own.h"
#include "bar/plain.h"
#include "bar/rate.h"
#include "bar/screen.h"
#include "base/options.h"
#include "base/text.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/terminal.h"

#define BAR_INTERVAL_S 0.1

/* A hidden bar comes back so soon: long enough that lines printed one after another do not make it
 * flicker. */
#define BAR_BACK_NS (20 * MANY_MILLISECOND_NS)

/* The last line of a log is worth so much patience. */
#define BAR_LAST_NS MANY_SECOND_NS

#define BAR_PLAIN_COLUMNS 80

enum bar_lock {
    BAR_FREE = 0,
    BAR_HELD = 1,
    BAR_AWAITED = 2 /* held, and somebody sleeps until it is not */
};

struct many_bar {
    /* Read at every addition; nothing that is written often may share its lines. */
    _Alignas(MANY_CACHE_LINE) many_board_ board;

    _Alignas(MANY_CACHE_LINE) _Atomic int64_t due_ns; /* of the next redraw */
    _Atomic uint32_t lock;                            /* protects all that follows */
    int terminal;                                     /* constant after open, down to unit */
    int ascii;
    int leave;
    int columns; /* of plain lines */
    int64_t interval_ns;
    char desc[MANY_DRAW_WORDS_BYTES];
    char unit[MANY_DRAW_UNIT_BYTES];
    many_rate_ rate;
    many_screen_ screen;
    many_plain_ plain;

    many_bar *next; /* of this process's open bars; the lock of own.h protects both */
    uint32_t pins;  /* threads that draw it from the list: it stays there */
};

_Static_assert(sizeof(many_bar_options) == offsetof(many_bar_options, terminal) + sizeof(int) &&
                   offsetof(many_bar_options, ascii) ==
                       offsetof(many_bar_options, interval_s) + sizeof(double),
               "padding in a literal holds dirty bytes");

static int bar_try_lock(many_bar *bar)
{
    uint32_t free_lock = BAR_FREE;

    return atomic_compare_exchange_strong_explicit(&bar->lock, &free_lock, BAR_HELD,
                                                   memory_order_acquire, /* release in unlock */
                                                   memory_order_relaxed);
}

static void bar_lock(many_bar *bar)
{
    if (bar_try_lock(bar))
        return;
    while (atomic_exchange_explicit(&bar->lock, BAR_AWAITED, memory_order_acquire) != BAR_FREE)
        many_futex_wait_(&bar->lock, BAR_AWAITED, MANY_NEVER_NS);
}

static void bar_unlock(many_bar *bar)
{
    if (atomic_exchange_explicit(&bar->lock, BAR_FREE, memory_order_release) == BAR_AWAITED)
        many_futex_wake_(&bar->lock, 1);
}

static int64_t bar_after(int64_t now_ns, int64_t wait_ns)
{
    return wait_ns > MANY_NEVER_NS - now_ns ? MANY_NEVER_NS : now_ns + wait_ns;
}

/* When the redraw after the one at now_ns is due. */
static int64_t bar_next_due(const many_bar *bar, int64_t now_ns)
{
    int64_t due = bar_after(now_ns, bar->interval_ns);
    int64_t line = bar->terminal ? 0 : many_plain_due_ns_(bar->rate.begun_ns, now_ns);

    return line > due ? line : due;
}

/* The state now as a line. last: of the whole time, not of late. */
static size_t bar_line(many_bar *bar, int64_t now_ns, int last, char line[MANY_DRAW_BYTES])
{
    many_draw_ draw = {
        .desc = bar->desc,
        .unit = bar->unit,
        .total = atomic_load_explicit(&bar->board.shared->total, memory_order_relaxed),
        .columns = bar->terminal ? many_screen_room_(&bar->screen) : bar->columns - 1,
        .ascii = bar->ascii,
    };

    draw.count = many_board_count_(&bar->board, &draw.failed);
    many_rate_see_(&bar->rate, now_ns, draw.count);
    draw.elapsed_s = many_rate_elapsed_s_(&bar->rate);
    draw.rate = last ? many_rate_overall_(&bar->rate) : many_rate_recent_(&bar->rate);
    return many_draw_line_(&draw, line);
}

/* The line as it is now, on the terminal. */
static void bar_show(many_bar *bar, int64_t now_ns, int first)
{
    char line[MANY_DRAW_BYTES];
    size_t bytes = bar_line(bar, now_ns, 0, line);
    int64_t again = many_screen_show_(&bar->screen, line, bytes, now_ns, first);

    if (again != 0 && again < atomic_load_explicit(&bar->due_ns, memory_order_relaxed))
        atomic_store_explicit(&bar->due_ns, again, memory_order_relaxed);
}

/* Draw, if that is due at now_ns and nobody else does. Called in the opener's process only. */
static MANY_SELDOM_ void bar_draw(many_bar *bar, int64_t now_ns)
{
    char line[MANY_DRAW_BYTES];
    int saved = errno;

    if (!bar_try_lock(bar))
        return;
    if (now_ns >= atomic_load_explicit(&bar->due_ns, memory_order_relaxed)) {
        /* First of all, so that the others stop trying. */
        atomic_store_explicit(&bar->due_ns, bar_next_due(bar, now_ns), memory_order_relaxed);
        if (bar->terminal) {
            bar_show(bar, now_ns, 0);
        } else {
            size_t bytes = bar_line(bar, now_ns, 0, line);

            many_plain_print_(&bar->plain, line, bytes, 0);
        }
    }
    bar_unlock(bar);
    errno = saved;
}

/* The clock is to be looked at, by who has added to a cell that has this count now. */
static MANY_APART_ void bar_look(many_bar *bar, many_cell_ *cell, uint64_t count)
{
    int64_t now;

    if (!many_board_is_opener_(&bar->board))
        return; /* it has added to a cell that is also the opener's */
    now = many_clock_ns_();
    many_cell_looked_(cell, count, now);
    if (now >= atomic_load_explicit(&bar->due_ns, memory_order_relaxed))
        bar_draw(bar, now);
}

static void bar_add_shared(many_bar *bar, many_cell_ *cell, uint64_t n)
{
    uint64_t count = many_cell_add_shared_(cell, n);

    if (many_cell_is_due_(cell, count))
        bar_look(bar, cell, count + n);
}

/* All that is not the plain case of adding to a cell that the thread knows. */
static MANY_APART_ void bar_add_apart(many_bar *bar, uint64_t n)
{
    const many_board_place_ *place = &many_board_mine_.place[bar->board.place];
    many_cell_ *cell =
        many_board_knows_(&bar->board, place) ? place->cell : many_board_claim_(&bar->board);
    uint64_t count;

    if (cell == NULL) {
        bar_add_shared(bar, &bar->board.shared->crowd, n);
        return;
    }
    count = many_cell_count_(cell);
    many_cell_put_(cell, count + n);
    if (many_cell_is_due_(cell, count))
        bar_look(bar, cell, count + n);
}

void many_bar_add(many_bar *bar, uint64_t n)
{
    const many_board_place_ *place;
    uint64_t count;

    if (bar == NULL)
        return;
    place = &many_board_mine_.place[bar->board.place];
    if (MANY_LIKELY_(many_board_knows_(&bar->board, place) && place->cell != NULL)) {
        /* The old count is compared, before the new one is made of it: so the processor forwards
         * the count from one call to the next at once (0.6 ns less here than the other way). */
        count = many_cell_count_(place->cell);
        if (MANY_LIKELY_(!many_cell_is_due_(place->cell, count))) {
            many_cell_put_(place->cell, count + n);
            return;
        }
    }
    bar_add_apart(bar, n);
}

void many_bar_add_failed(many_bar *bar, uint64_t n)
{
    if (bar != NULL)
        bar_add_shared(bar, &bar->board.shared->failed, n);
}

uint64_t many_bar_count(const many_bar *bar)
{
    uint64_t failed;

    return bar != NULL ? many_board_count_(&bar->board, &failed) : 0;
}

void many_bar_total(many_bar *bar, uint64_t total)
{
    if (bar != NULL)
        atomic_store_explicit(&bar->board.shared->total, total, memory_order_relaxed);
}

/* Is there anything to draw, and by us? */
static int bar_is_ours(const many_bar *bar)
{
    return bar != NULL && bar->board.watched && many_board_is_opener_(&bar->board);
}

void many_bar_draw(many_bar *bar)
{
    int64_t now;

    if (!bar_is_ours(bar))
        return;
    now = many_clock_ns_();
    if (now >= atomic_load_explicit(&bar->due_ns, memory_order_relaxed))
        bar_draw(bar, now);
}

int64_t many_bar_due_ns_(const many_bar *bar)
{
    int64_t due;

    if (!bar_is_ours(bar))
        return MANY_NEVER_NS;
    due = atomic_load_explicit(&bar->due_ns, memory_order_relaxed);
    /* Somebody holds the lock: whoever is woken now could only come again at once. */
    if (atomic_load_explicit(&bar->lock, memory_order_relaxed) != BAR_FREE) {
        int64_t soon = many_clock_ns_() + MANY_MILLISECOND_NS;

        return due > soon ? due : soon;
    }
    return due;
}

/* ---- the open bars of this process ---- */

static void bar_enlist(many_bar *bar)
{
    bar->next = many_bars_take_();
    many_bars_give_(bar);
}

static void bar_discharge(many_bar *bar)
{
    many_bar *first = many_bars_take_();
    many_bar **link = &first;

    while (bar->pins > 0) { /* a thread that waits for something draws it, for one write */
        many_bars_give_(first);
        sched_yield();
        first = many_bars_take_();
    }
    while (*link != bar)
        link = &(*link)->next;
    *link = bar->next;
    many_bars_give_(first);
}

int64_t many_bars_due_ns_(void)
{
    many_bar *first = many_bars_take_();
    int64_t due = MANY_NEVER_NS;

    for (const many_bar *bar = first; bar != NULL; bar = bar->next) {
        int64_t own = many_bar_due_ns_(bar);

        due = own < due ? own : due;
    }
    many_bars_give_(first);
    return due;
}

void many_bars_draw_(void)
{
    const int saved = errno;
    many_bar *first = many_bars_take_();
    int64_t now = first != NULL ? many_clock_ns_() : 0;

    for (many_bar *bar = first; bar != NULL; bar = bar->next) {
        if (!bar_is_ours(bar) || now < atomic_load_explicit(&bar->due_ns, memory_order_relaxed))
            continue;
        bar->pins++;
        many_bars_give_(first);
        bar_draw(bar, now);
        first = many_bars_take_();
        bar->pins--;
    }
    many_bars_give_(first);
    many_stage_tidy_();
    errno = saved;
}

/* ---- hide and close ---- */

void many_bar_hide(many_bar *bar)
{
    const int saved = errno;
    int64_t back;

    if (!bar_is_ours(bar) || !bar->terminal)
        return;
    bar_lock(bar);
    back = many_clock_ns_() + BAR_BACK_NS;
    if (many_screen_wipe_(&bar->screen, back) &&
        back < atomic_load_explicit(&bar->due_ns, memory_order_relaxed))
        atomic_store_explicit(&bar->due_ns, back, memory_order_relaxed);
    bar_unlock(bar);
    errno = saved;
}

void many_bar_close(many_bar *bar)
{
    const int saved = errno;
    char line[MANY_DRAW_BYTES];
    size_t bytes;

    if (bar == NULL)
        return;
    if (bar_is_ours(bar)) {
        bar_discharge(bar);
        bar_lock(bar);
        bytes = bar_line(bar, many_clock_ns_(), 1, line);
        if (bar->terminal)
            many_screen_finish_(&bar->screen, line, bytes);
        else if (bar->leave == 0)
            many_plain_print_(&bar->plain, line, bytes, BAR_LAST_NS);
        bar_unlock(bar);
        if (bar->terminal)
            many_screen_end_(&bar->screen);
    }
    many_board_close_(&bar->board);
    free(bar);
    errno = saved;
}

/* ---- open ---- */

/* An option that is a number from least to most. 0 or -EINVAL, with words. */
static int bar_check_choice(const char *name, int value, int least, int most)
{
    if (value < least || value > most)
        return many_fail(-EINVAL, "many_bar_open: options.%s is %d: give %d to %d", name, value,
                         least, most);
    return 0;
}

static int bar_check_options(const many_bar_options *option)
{
    int code;

    if (option->named_ != NULL)
        return many_fail(-EINVAL, "many_bar_open: a value without a name follows the bar: write "
                                  ".total = value");
    if (!(option->interval_s >= 0)) /* NaN, too */
        return many_fail(-EINVAL,
                         "many_bar_open: options.interval_s is %g: give seconds, 0 for 0.1",
                         option->interval_s);
    if ((code = bar_check_choice("ascii", option->ascii, 0, 1)) < 0 ||
        (code = bar_check_choice("leave", option->leave, -1, 0)) < 0 ||
        (code = bar_check_choice("quiet", option->quiet, 0, 1)) < 0 ||
        (code = bar_check_choice("columns", option->columns, 0, INT_MAX)) < 0 ||
        (code = bar_check_choice("fd", option->fd, 0, INT_MAX)) < 0)
        return code;
    return bar_check_choice("terminal", option->terminal, -1, 1);
}

/* tqdm's: "files" and "files: " look the same. */
static void bar_trim_words(char *words)
{
    size_t bytes = strlen(words);

    if (bytes >= 2 && strcmp(words + bytes - 2, ": ") == 0)
        words[bytes - 2] = '\0';
}

static void bar_begin(many_bar *bar, const many_bar_options *option, int fd)
{
    int64_t now = many_clock_ns_();

    bar->terminal = option->terminal > 0 || (option->terminal == 0 && many_terminal_is_(fd));
    bar->ascii = option->ascii || !many_terminal_utf8_();
    bar->leave = option->leave;
    bar->columns = option->columns > 0 ? option->columns : BAR_PLAIN_COLUMNS;
    bar->interval_ns =
        many_seconds_ns_(option->interval_s > 0 ? option->interval_s : BAR_INTERVAL_S);
    many_text_tame_(bar->desc, sizeof bar->desc, option->desc);
    bar_trim_words(bar->desc);
    many_text_tame_(bar->unit, sizeof bar->unit, option->unit != NULL ? option->unit : "it");
    many_rate_begin_(&bar->rate, now);
    many_plain_begin_(&bar->plain, fd);
    /* A terminal gets its first line at once, a log none before there is something to tell. */
    atomic_store_explicit(&bar->due_ns, bar_next_due(bar, now), memory_order_relaxed);
}

int many_bar_open_with(const many_bar_options *options)
{
    many_bar_options option;
    many_bar *bar;
    int fd, watched;
    int code = many_options_read_(&option, sizeof option, options, "many_bar_open");

    if (code == -E2BIG && options->bar != NULL)
        *options->bar = NULL;
    if (code < 0)
        return code;
    if (option.bar == NULL)
        return many_fail(-EINVAL, "many_bar_open: options.bar is NULL: give it the address of a "
                                  "many_bar *, which receives the handle");
    *option.bar = NULL;
    code = bar_check_options(&option);
    if (code < 0)
        return code;
    bar = aligned_alloc(_Alignof(many_bar), sizeof *bar);
    if (bar == NULL)
        return many_fail(-ENOMEM, "many_bar_open: no memory for the bar");
    memset(bar, 0, sizeof *bar);
    fd = option.fd != 0 ? option.fd : STDERR_FILENO;
    /* A number that is no descriptor now may become that of a file of the caller's. */
    watched = !option.quiet && many_terminal_is_open_(fd);
    code = many_board_open_(&bar->board, option.total, watched);
    if (code < 0) {
        free(bar);
        return many_fail(code, "many_bar_open: no memory for the counters");
    }
    bar_begin(bar, &option, fd);
    if (watched && bar->terminal) {
        code = many_screen_begin_(&bar->screen, fd, option.columns, option.leave == 0);
        if (code < 0) {
            many_board_close_(&bar->board);
            free(bar);
            return many_fail(code, "many_bar_open: no memory for the terminal's lines");
        }
        bar_show(bar, many_clock_ns_(), 1);
    }
    if (watched)
        bar_enlist(bar);
    *option.bar = bar;
    return 0;
}
