/* SPDX-License-Identifier: MIT */
/*
 * process_circle.c - who waits for whom among the workers of a pool; declared in table.h
 *
 * A worker does one thing at a time: where its innermost task waits, all of it waits. So the graph has one edge a
 * worker: from it to the worker that has claimed what it waits for. Each publishes its own (record.waits) before
 * it looks; of those that close a circle together at least the last one sees it whole.
 *
 * Promise    Of the tasks that wait in a circle the youngest gets -EDEADLK, whoever finds the circle first: the one
 *            with the highest number, and then the highest key. The others go on to wait, for it will end.
 * Invariant  A circle that was seen twice, edge by edge, with nothing changed between, is there, and stays until its
 *            victim gives way: nobody in it can do anything but run into its own time limit.
 * Death      A worker that is killed has no edge any more when it is settled, and what it was in is over or ready.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/text.h"
#include "pool/table.h"

/* Longer circles are there, and are found; but not all of their names. */
#define CIRCLE_WORDS 400

/* A worker on the way, and what its innermost task waits for. */
typedef struct circle_step {
    int w;
    uint64_t task; /* key of its innermost task */
    uint64_t waits;
} circle_step;

/* Who has claimed it; -1: nobody, or it is over. */
static int circle_claimant(const many_table_ *table, uint64_t key)
{
    const uint64_t claim =
        atomic_load_explicit(&many_table_ticket_(table, key)->claim, memory_order_acquire);
    const uint64_t phase = many_claim_phase_(claim);

    if (!many_key_is_(key, claim) || phase == MANY_TICKET_FREE_ || phase == MANY_TICKET_READY_ ||
        phase == MANY_TICKET_OVER_)
        return -1;
    return many_claim_worker_(claim);
}

static circle_step circle_step_of(const many_table_ *table, int w)
{
    const many_worker_record_ *record = &table->record[w];
    const uint32_t depth = atomic_load_explicit(&record->depth, memory_order_acquire);
    circle_step step = {w, 0, atomic_load(&record->waits)};

    if (depth > 0)
        step.task =
            atomic_load_explicit(&many_table_stack_(table, w)[depth - 1].key, memory_order_relaxed);
    return step;
}

/*
 * The way from this worker, whose innermost task waits for key, back to it: at most as many steps as there are
 * workers. How many; 0: there is none.
 */
static int circle_walk(const many_table_ *table, uint64_t key, circle_step *steps)
{
    const int me = table->worker;
    int count = 1;

    steps[0] = circle_step_of(table, me);
    steps[0].waits = key;
    for (;;) {
        const int w = circle_claimant(table, key);

        if (w < 0 || w >= table->head->workers)
            return 0;
        if (w == me)
            return count;
        if (count == table->head->workers) /* a circle of others, who will end it */
            return 0;
        steps[count] = circle_step_of(table, w);
        key = steps[count].waits;
        if (key == 0 || steps[count].task == 0)
            return 0;
        count++;
    }
}

/* Is every edge still what it was? */
static int circle_holds(const many_table_ *table, const circle_step *steps, int count)
{
    for (int i = 0; i < count; i++) {
        const circle_step now = circle_step_of(table, steps[i].w);

        if (i > 0 && (now.waits != steps[i].waits || now.task != steps[i].task))
            return 0;
        if (circle_claimant(table, steps[i].waits) != steps[(i + 1) % count].w)
            return 0;
    }
    return 1;
}

static uint64_t circle_serial(const many_table_ *table, uint64_t key)
{
    return many_table_ticket_(table, key)->serial;
}

/* Is the innermost task of this worker the youngest of them? */
static int circle_is_victim(const many_table_ *table, const circle_step *steps, int count)
{
    const uint64_t mine = circle_serial(table, steps[0].task);

    for (int i = 1; i < count; i++) {
        const uint64_t other = circle_serial(table, steps[i].task);

        if (other > mine || (other == mine && steps[i].task > steps[0].task))
            return 0;
    }
    return 1;
}

/* ---- words ---- */

static void circle_add_name(const many_table_ *table, many_text_ *text, uint64_t key, int w)
{
    const many_ticket_ *ticket = many_table_ticket_(table, key);
    const char *given =
        (ticket->flags & MANY_TICKET_COLD_) != 0 ? many_table_cold_(table, key)->name : "";
    char name[sizeof((many_cold_ *)NULL)->name];

    many_text_tame_(name, sizeof name, given);
    many_text_add_(text, "task ");
    if (name[0] != '\0') {
        many_text_add_(text, "'");
        many_text_add_(text, name);
        many_text_add_(text, "'");
    } else {
        many_text_add_count_(text, ticket->serial);
    }
    if (w < 0)
        return;
    many_text_add_(text, " (worker ");
    many_text_add_count_(text, (uint64_t)w);
    many_text_add_(text, ")");
}

/* What worker w is in, from the task of key on (which others wait for) to the innermost: each waits for the next. */
static void circle_add_stack(const many_table_ *table, many_text_ *text, int w, uint64_t key,
                             uint64_t last)
{
    const many_stack_ *stack = many_table_stack_(table, w);
    const uint32_t depth = atomic_load_explicit(&table->record[w].depth, memory_order_acquire);
    int in = 0;

    for (uint32_t d = 0; d < depth && d < MANY_STACK_MOST_; d++) {
        const uint64_t at = atomic_load_explicit(&stack[d].key, memory_order_relaxed);

        in |= at == key;
        if (!in)
            continue;
        many_text_add_(text, " waits for ");
        circle_add_name(table, text, at, at == last ? -1 : w);
    }
}

/* "task 'b' (worker 1) waits for task 'a' (worker 0) waits for task 'b'" */
static int circle_fail(const many_table_ *table, const circle_step *steps, int count)
{
    char words[CIRCLE_WORDS];
    many_text_ text;

    many_text_begin_(&text, words, sizeof words);
    circle_add_name(table, &text, steps[0].task, steps[0].w);
    for (int i = 0; i < count; i++)
        circle_add_stack(table, &text, steps[(i + 1) % count].w, steps[i].waits, steps[0].task);
    return many_fail(-EDEADLK, "many_future_wait: it would never end: %s", words);
}

/* ---- for who waits ---- */

void many_circle_wait_(many_table_ *table, uint64_t key)
{
    const many_ticket_ *ticket = many_table_ticket_(table, key);
    const char *name =
        (ticket->flags & MANY_TICKET_COLD_) != 0 ? many_table_cold_(table, key)->name : NULL;

    /* Sequentially consistent, as the looks at it: of two that close a circle one sees the other. */
    atomic_store(&table->record[table->worker].waits, key);
    MANY_FAULT_POINT("circle.published");
    many_roster_wait_(&table->roster->place[table->worker], 1, ticket->serial, name,
                      circle_claimant(table, key));
}

void many_circle_through_(many_table_ *table)
{
    atomic_store_explicit(&table->record[table->worker].waits, 0, memory_order_release);
    many_roster_wait_(&table->roster->place[table->worker], 0, 0, NULL, -1);
}

/* The way back to this worker, seen twice; freed by the caller. NULL: there is none, or no memory to find it with,
 * and then somebody looks again. */
static circle_step *circle_find(const many_table_ *table, uint64_t key, int *count)
{
    circle_step *steps;

    /* Mostly who runs it waits for nothing. */
    const int w = circle_claimant(table, key);

    if (w < 0 || (w != table->worker && atomic_load(&table->record[w].waits) == 0))
        return NULL;
    steps = malloc((size_t)table->head->workers * sizeof *steps);
    if (steps == NULL)
        return NULL;
    *count = circle_walk(table, key, steps);
    if (*count > 0 && steps[0].task != 0 && circle_holds(table, steps, *count))
        return steps;
    free(steps);
    return NULL;
}

int many_circle_stuck_(many_table_ *table)
{
    const uint64_t key = atomic_load(&table->record[table->worker].waits);
    circle_step *steps;
    int count, victim;

    if (key == 0)
        return 0;
    steps = circle_find(table, key, &count);
    if (steps == NULL)
        return 0;
    victim = circle_is_victim(table, steps, count);
    if (victim)
        circle_fail(table, steps, count);
    free(steps);
    return victim;
}

int many_circle_would_(many_table_ *table, uint64_t key)
{
    int count;
    circle_step *steps = circle_find(table, key, &count);

    if (steps == NULL)
        return 0;
    circle_fail(table, steps, count);
    free(steps);
    return 1;
}
