/* SPDX-License-Identifier: MIT */
/*
 * test_record.c - range words: what is claimed, cut and given back is handed out once, and the
 * record knows which chunk is open
 *
 * What a record says after a death at each step is tested in tests/kill/test_record.c.
 */
#include "map/record.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "task/seat.h"
#include "test.h"

static many_record_ record_of(uint32_t begin, uint32_t end)
{
    many_record_ record;

    memset(&record, 0, sizeof record);
    many_record_fill_(&record, begin, end);
    return record;
}

/* The chunk of count items is done, as pool/run.c ends it. */
static void record_close(many_record_ *record, uint32_t count)
{
    uint64_t closed = atomic_load(&record->closed);

    atomic_store(&record->closed, many_closed_(many_closed_done_(closed) + count, 0));
}

static void record_check_word(const many_record_ *record, uint32_t begin, uint32_t end)
{
    uint64_t word = atomic_load(&record->word);

    CHECK_EQUAL(many_range_begin_(word), begin);
    CHECK_EQUAL(many_range_end_(word), end);
    CHECK_EQUAL(many_range_left_(word), end - begin);
}

TEST(words_hold_two_numbers_of_32_bits)
{
    uint64_t word = many_range_(7, UINT32_MAX), closed = many_closed_(UINT32_MAX, 3);

    CHECK_EQUAL(many_range_begin_(word), 7);
    CHECK_EQUAL(many_range_end_(word), UINT32_MAX);
    CHECK_EQUAL(many_range_left_(word), UINT32_MAX - 7);
    CHECK_EQUAL(many_range_left_(many_range_(9, 9)), 0);
    CHECK_EQUAL(many_range_left_(many_range_(9, 8)), 0);
    CHECK_EQUAL(many_closed_done_(closed), UINT32_MAX);
    CHECK_EQUAL(many_closed_failed_(closed), 3);
}

TEST(claims_come_from_the_front_and_are_never_more_than_is_left)
{
    many_record_ record = record_of(10, 20);
    uint32_t begin = 0;

    CHECK_EQUAL(many_record_claim_(&record, 4, &begin), 4);
    CHECK_EQUAL(begin, 10);
    record_check_word(&record, 14, 20);
    record_close(&record, 4);
    CHECK_EQUAL(many_record_claim_(&record, 1, &begin), 1);
    CHECK_EQUAL(begin, 14);
    record_close(&record, 1);
    CHECK_EQUAL(many_record_claim_(&record, 32768, &begin), 5);
    CHECK_EQUAL(begin, 15);
    record_close(&record, 5);
    record_check_word(&record, 20, 20);
    begin = 77;
    CHECK_EQUAL(many_record_claim_(&record, 4, &begin), 0);
    CHECK_EQUAL(begin, 77);
    record = record_of(0, 5);
    CHECK_EQUAL(many_record_claim_(&record, 4, &begin), 4);
}

TEST(cuts_take_the_back_half_and_of_one_the_one)
{
    many_record_ record = record_of(0, 9);
    uint32_t begin, end;

    CHECK_EQUAL(many_record_cut_(&record, &begin, &end), 1);
    CHECK(begin == 4 && end == 9);
    record_check_word(&record, 0, 4);
    CHECK_EQUAL(many_record_cut_(&record, &begin, &end), 1);
    CHECK(begin == 2 && end == 4);
    CHECK_EQUAL(many_record_cut_(&record, &begin, &end), 1);
    CHECK(begin == 1 && end == 2);
    CHECK_EQUAL(many_record_cut_(&record, &begin, &end), 1);
    CHECK(begin == 0 && end == 1);
    record_check_word(&record, 0, 0);
    CHECK_EQUAL(many_record_cut_(&record, &begin, &end), 0);
}

TEST(the_end_of_a_chunk_can_be_given_back)
{
    many_record_ record = record_of(0, 100);
    uint32_t begin;

    CHECK_EQUAL(many_record_claim_(&record, 10, &begin), 10);
    CHECK_EQUAL(many_record_give_back_(&record, 3, 10), 1);
    record_check_word(&record, 3, 100);
    record_close(&record, 3);
    CHECK_EQUAL(many_record_claim_(&record, 10, &begin), 10);
    CHECK_EQUAL(begin, 3);
}

TEST(the_last_chunk_can_be_given_back_into_an_empty_word)
{
    many_record_ record = record_of(0, 10);
    uint32_t begin, end;

    CHECK_EQUAL(many_record_claim_(&record, 10, &begin), 10);
    record_check_word(&record, 10, 10);
    CHECK_EQUAL(many_record_give_back_(&record, 6, 10), 1);
    record_check_word(&record, 6, 10);
    CHECK_EQUAL(many_record_cut_(&record, &begin, &end), 1);
    CHECK(begin == 8 && end == 10);
}

TEST(what_does_not_border_on_the_word_cannot_be_given_back)
{
    many_record_ record = record_of(0, 100);
    uint32_t begin;

    CHECK_EQUAL(many_record_claim_(&record, 10, &begin), 10);
    many_record_fill_(&record, 500, 600);
    CHECK_EQUAL(many_record_give_back_(&record, 3, 10), 0);
    record_check_word(&record, 500, 600);
}

TEST(the_record_knows_the_open_chunk)
{
    many_record_ record = record_of(0, 100);
    uint32_t begin, end, at;

    CHECK_EQUAL(many_record_open_chunk_(&record, &begin, &end), 0);
    CHECK_EQUAL(many_record_claim_(&record, 8, &at), 8);
    CHECK_EQUAL(many_record_open_chunk_(&record, &begin, &end), 1);
    CHECK(begin == 0 && end == 8);
    CHECK_EQUAL(many_record_give_back_(&record, 5, 8), 1);
    CHECK_EQUAL(many_record_open_chunk_(&record, &begin, &end), 1);
    CHECK(begin == 0 && end == 5);
    record_close(&record, 5);
    CHECK_EQUAL(many_record_open_chunk_(&record, &begin, &end), 0);
    CHECK_EQUAL(many_record_claim_(&record, 1, &at), 1);
    CHECK_EQUAL(many_record_open_chunk_(&record, &begin, &end), 1);
    CHECK(begin == 5 && end == 6);
}

/* The tag is the low half of a count: it must hold over the point where that half begins anew. */
TEST(an_open_chunk_is_known_however_much_was_done_before)
{
    many_record_ record = record_of(0, 400000);
    uint32_t begin, end, at, done = 0;

    while (done < 400000) {
        uint32_t count = many_record_claim_(&record, 32768, &at);

        CHECK_EQUAL(at, done);
        CHECK_EQUAL(many_record_open_chunk_(&record, &begin, &end), 1);
        CHECK(begin == at && end == at + count);
        record_close(&record, count);
        CHECK_EQUAL(many_record_open_chunk_(&record, &begin, &end), 0);
        done += count;
    }
}

TEST(progress_counts_into_the_open_chunk)
{
    many_record_ record = record_of(0, 100);
    uint32_t at;

    CHECK_EQUAL(many_record_progress_(&record), 0);
    CHECK_EQUAL(many_record_claim_(&record, 10, &at), 10);
    CHECK_EQUAL(many_record_progress_(&record), 0);
    CHECK_EQUAL(many_record_ahead_(&record), 9); /* the first is begun, or as good as that */
    atomic_store(&record.state, many_state_(4, 0, MANY_RUNNING_));
    CHECK_EQUAL(many_record_progress_(&record), 4);
    CHECK_EQUAL(many_record_ahead_(&record), 5);
    atomic_store(&record.state, many_state_(10, 0, MANY_BETWEEN_));
    CHECK_EQUAL(many_record_progress_(&record), 10);
    CHECK_EQUAL(many_record_ahead_(&record), 0);
    record_close(&record, 10);
    CHECK_EQUAL(many_record_progress_(&record), 10);
    CHECK_EQUAL(many_record_claim_(&record, 10, &at), 10);
    atomic_store(&record.state, many_state_(13, 0, MANY_RUNNING_));
    CHECK_EQUAL(many_record_progress_(&record), 13);
}

/* ---- all at the same time ---- */

#define RECORD_OWNERS 4
#define RECORD_ITEMS  400000

typedef struct record_stress {
    many_record_ record[RECORD_OWNERS];
    _Atomic uint32_t left;
    pthread_barrier_t begin;
    _Atomic uint8_t handed_out[RECORD_ITEMS];
} record_stress;

typedef struct record_owner {
    record_stress *stress;
    uint32_t seed;
    int number;
    uint32_t claims, given_back, stolen;
} record_owner;

static uint32_t record_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

/* Claim, run a part, often give the rest back; when dry, cut somebody else's word. */
static void *record_own(void *argument)
{
    record_owner *owner = argument;
    record_stress *stress = owner->stress;
    many_record_ *record = &stress->record[owner->number];

    pthread_barrier_wait(&stress->begin);
    while (atomic_load(&stress->left) > 0) {
        uint32_t most = record_random(&owner->seed) % 64 + 1, begin, end;
        uint32_t count = many_record_claim_(record, most, &begin);

        if (count == 0) {
            uint32_t other = record_random(&owner->seed) % RECORD_OWNERS;

            if (many_record_cut_(&stress->record[other], &begin, &end)) {
                many_record_fill_(record, begin, end);
                owner->stolen++;
            }
            continue;
        }
        owner->claims++;
        end = begin + count;
        for (uint32_t i = begin; i < end; i++) {
            atomic_fetch_add_explicit(&stress->handed_out[i], 1, memory_order_relaxed);
            if (record_random(&owner->seed) % 8 == 0 && i + 1 < end &&
                many_record_give_back_(record, i + 1, end)) {
                owner->given_back++;
                end = i + 1;
            }
        }
        record_close(record, end - begin);
        atomic_fetch_sub(&stress->left, end - begin);
    }
    return NULL;
}

TEST(every_index_is_handed_out_exactly_once_while_owners_and_thieves_pull)
{
    const int rounds = test_slowness() > 1 ? 2 : 5;
    record_stress *stress = aligned_alloc(MANY_CACHE_LINE, sizeof *stress);
    uint32_t given_back = 0, stolen = 0;

    CHECK(stress != NULL);
    for (int round = 0; round < rounds; round++) {
        record_owner owners[RECORD_OWNERS];
        pthread_t threads[RECORD_OWNERS];
        uint32_t done = 0;

        memset(stress, 0, sizeof *stress);
        atomic_store(&stress->left, RECORD_ITEMS);
        CHECK(pthread_barrier_init(&stress->begin, NULL, RECORD_OWNERS) == 0);
        /* All of it lies with one owner in some rounds: the others live on theft. */
        for (int w = 0; w < RECORD_OWNERS; w++) {
            uint32_t first =
                round % 2 ? (w > 0 ? RECORD_ITEMS : 0) : RECORD_ITEMS / RECORD_OWNERS * (uint32_t)w;
            uint32_t last =
                round % 2 ? RECORD_ITEMS : RECORD_ITEMS / RECORD_OWNERS * ((uint32_t)w + 1);

            many_record_fill_(&stress->record[w], first, last);
            owners[w] = (record_owner){
                .stress = stress, .seed = (uint32_t)(round * 7 + w + 1), .number = w};
        }
        for (int w = 0; w < RECORD_OWNERS; w++)
            CHECK(pthread_create(&threads[w], NULL, record_own, &owners[w]) == 0);
        for (int w = 0; w < RECORD_OWNERS; w++) {
            CHECK(pthread_join(threads[w], NULL) == 0);
            done += many_closed_done_(atomic_load(&stress->record[w].closed));
            given_back += owners[w].given_back;
            stolen += owners[w].stolen;
        }
        CHECK_EQUAL(done, RECORD_ITEMS);
        for (uint32_t i = 0; i < RECORD_ITEMS; i++)
            if (atomic_load(&stress->handed_out[i]) != 1)
                CHECK_EQUAL(atomic_load(&stress->handed_out[i]), 1);
        pthread_barrier_destroy(&stress->begin);
    }
    CHECK(given_back > 1000 && stolen > 0); /* or this tested nothing */
    free(stress);
}

/* ---- one owner and one thief, for the same few items, again and again ---- */

#define RECORD_DUEL 6

typedef struct record_duel {
    many_record_ record;
    _Alignas(MANY_CACHE_LINE) _Atomic uint32_t begun; /* rounds; the owner counts */
    _Alignas(MANY_CACHE_LINE) _Atomic uint32_t ended; /* rounds; the thief counts */
    _Atomic int over;
    uint32_t stolen[RECORD_DUEL]; /* in this round */
} record_duel;

/* Hot, so that both begin a round at the same instant: only then can they collide. */
static void record_duel_wait(const _Atomic uint32_t *word, uint32_t round)
{
    for (int look = 0; atomic_load(word) < round; look++)
        if (look > 20000)
            test_pause_(0); /* the other one needs this core */
}

static void *record_thief(void *argument)
{
    record_duel *duel = argument;

    for (uint32_t round = 1;; round++) {
        uint32_t begin, end;

        record_duel_wait(&duel->begun, round);
        if (atomic_load(&duel->over))
            return NULL;
        while (many_record_cut_(&duel->record, &begin, &end))
            for (uint32_t i = begin; i < end; i++)
                duel->stolen[i]++;
        atomic_store(&duel->ended, round);
    }
}

TEST(an_owner_and_a_thief_that_pull_at_once_never_get_the_same_item)
{
    const uint32_t rounds = 20000 / (uint32_t)test_slowness();
    const double end = test_seconds() + 5; /* where each has to wait for the core, this will do */
    record_duel *duel = aligned_alloc(MANY_CACHE_LINE, sizeof *duel);
    pthread_t thief;
    uint32_t round;

    CHECK(duel != NULL);
    memset(duel, 0, sizeof *duel);
    CHECK(pthread_create(&thief, NULL, record_thief, duel) == 0);
    for (round = 1; round <= rounds && (round < 100 || test_seconds() < end); round++) {
        uint32_t mine[RECORD_DUEL] = {0}, begin;

        many_record_fill_(&duel->record, 0, RECORD_DUEL);
        atomic_store(&duel->begun, round);
        while (many_record_claim_(&duel->record, 1, &begin) == 1) {
            mine[begin]++;
            record_close(&duel->record, 1);
        }
        record_duel_wait(&duel->ended, round);
        for (uint32_t i = 0; i < RECORD_DUEL; i++) {
            CHECK_EQUAL(mine[i] + duel->stolen[i], 1);
            duel->stolen[i] = 0;
        }
    }
    atomic_store(&duel->over, 1);
    atomic_store(&duel->begun, round);
    CHECK(pthread_join(thief, NULL) == 0);
    free(duel);
}
