/* SPDX-License-Identifier: MIT */
/*
 * test_record.c - range word and record say the truth, wherever their owner dies
 *
 * One thread plays both parts. The owner claims, runs, gives back and closes as a worker does; at
 * each of its steps (the fault points in between included) the supervisor may cut its word, and the
 * owner may die. All combinations are tried. After the death every item has to be in one place
 * only: done, running, to be run by somebody.
 */
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "map/record.h"
#include "task/seat.h"
#include "test.h"

#define RECORD_ITEMS 24
#define RECORD_NEVER 1000000

/* What the supervisor has to give, besides what it cuts. */
typedef struct record_range {
    uint32_t begin, end;
} record_range;

static struct record_play {
    many_record_ record;
    record_range spare[64];
    int spares;
    int ran[RECORD_ITEMS]; /* how often the owner's fn was entered */
    int step;              /* how many there were */
    int dies_at, cuts_at;  /* steps; RECORD_NEVER */
    int cuts_on;           /* and at every step after cuts_at */
    int gives_back_at;     /* item after which the owner gives the rest of the chunk back */
    int fills_highest;     /* what is given first: the highest spare range, or the lowest */
    uint32_t chunk;
    jmp_buf death;
} record_play;

static void record_step(void)
{
    struct record_play *play = &record_play;
    uint32_t begin, end;

    play->step++;
    if (play->step == play->cuts_at || (play->cuts_on && play->step > play->cuts_at))
        if (many_record_cut_(&play->record, &begin, &end))
            play->spare[play->spares++] = (record_range){begin, end};
    if (play->step == play->dies_at)
        longjmp(play->death, 1);
}

static int record_hook(const char *point)
{
    (void)point;
    record_step();
    return 0;
}

/* The supervisor fills the word of an owner that asks. 0: there is nothing left. */
static int record_serve(void)
{
    struct record_play *play = &record_play;
    int best = 0;

    if (play->spares == 0)
        return 0;
    for (int k = 1; k < play->spares; k++)
        if (play->fills_highest ? play->spare[k].begin > play->spare[best].begin
                                : play->spare[k].begin < play->spare[best].begin)
            best = k;
    many_record_fill_(&play->record, play->spare[best].begin, play->spare[best].end);
    play->spare[best] = play->spare[--play->spares];
    return 1;
}

static void record_own(void)
{
    struct record_play *play = &record_play;
    many_record_ *record = &play->record;

    for (;;) {
        uint32_t begin, count = many_record_claim_(record, play->chunk, &begin);
        uint32_t end = begin + count, i;

        if (count == 0) {
            record_step();
            if (!record_serve())
                return;
            record_step();
            continue;
        }
        for (i = begin; i < end; i++) {
            atomic_store(&record->state, many_state_(i, 0, MANY_RUNNING_));
            record_step();
            play->ran[i]++;
            record_step();
            atomic_store(&record->state, many_state_(i + 1, 0, MANY_BETWEEN_));
            record_step();
            if ((int)i == play->gives_back_at && i + 1 < end &&
                many_record_give_back_(record, i + 1, end))
                end = i + 1;
        }
        atomic_store(&record->closed,
                     many_closed_(many_closed_done_(atomic_load(&record->closed)) + i - begin, 0));
        record_step();
    }
}

/* Who has each item now? Each has to be in one place. */
static void record_judge(int died)
{
    const struct record_play *play = &record_play;
    const many_record_ *record = &play->record;
    uint64_t state = atomic_load(&record->state), word = atomic_load(&record->word);
    uint32_t begin = 0, end = 0, done = many_closed_done_(atomic_load(&record->closed));
    int places[RECORD_ITEMS] = {0}, ran = 0, open = 0;

    if (died)
        open = many_record_open_chunk_(record, &begin, &end);
    for (uint32_t i = many_range_begin_(word); i < many_range_end_(word); i++)
        places[i]++;
    for (int k = 0; k < play->spares; k++)
        for (uint32_t i = play->spare[k].begin; i < play->spare[k].end; i++)
            places[i]++;
    if (open) {
        uint32_t from = many_state_item_(state);

        CHECK(from >= begin && from <= end && end <= RECORD_ITEMS);
        done += from - begin;
        if ((state & MANY_PHASES_) != MANY_BETWEEN_) {
            CHECK(from < end);
            places[from] +=
                100; /* it was running: it may have been entered, and is entered no more */
            from++;
        }
        for (uint32_t i = from; i < end; i++)
            places[i]++;
    }
    for (uint32_t i = 0; i < RECORD_ITEMS; i++) {
        CHECK(play->ran[i] <= 1);
        if (places[i] == 100)
            continue;
        ran += play->ran[i];
        CHECK_EQUAL(places[i], 1 - play->ran[i]);
    }
    CHECK_EQUAL(done, ran);
}

static void record_run(uint32_t chunk, int gives_back_at, int fills_highest, int dies_at,
                       int cuts_at, int cuts_on)
{
    struct record_play *play = &record_play;
    int died;

    memset(play, 0, sizeof *play);
    play->chunk = chunk;
    play->gives_back_at = gives_back_at;
    play->fills_highest = fills_highest;
    play->dies_at = dies_at;
    play->cuts_at = cuts_at;
    play->cuts_on = cuts_on;
    play->spare[play->spares++] = (record_range){0, 4};
    play->spare[play->spares++] = (record_range){14, RECORD_ITEMS};
    many_record_fill_(&play->record, 4, 14);
    died = setjmp(play->death);
    if (died == 0)
        record_own();
    record_judge(died);
}

TEST(record_says_who_has_each_item_wherever_its_owner_dies)
{
    long deaths = 0;

    many_fault_hook_ = record_hook;
    for (uint32_t chunk = 1; chunk <= 5; chunk += 2)
        for (int highest = 0; highest < 2; highest++)
            for (int on = 0; on < 2; on++)
                for (int back = -1; back < RECORD_ITEMS; back += 2) {
                    int steps;

                    record_run(chunk, back, highest, RECORD_NEVER, RECORD_NEVER, 0);
                    steps = record_play.step;
                    CHECK(steps > 3 * RECORD_ITEMS);
                    for (int cuts_at = 1; cuts_at <= steps; cuts_at++)
                        for (int dies_at = 1; dies_at <= steps + 8; dies_at++) {
                            record_run(chunk, back, highest, dies_at, cuts_at, on);
                            deaths++;
                        }
                }
    many_fault_hook_ = NULL;
    printf("  deaths tried: %ld\n", deaths);
}
