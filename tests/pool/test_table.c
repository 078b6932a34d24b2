/* SPDX-License-Identifier: MIT */
/* test_table.c - tickets, lanes and news of a table, without the processes that share it */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "os/clock.h"
#include "table_made.h"

#define NORMAL (-MANY_PRIORITY_LOWEST)

TEST(keys_and_claim_words_hold_what_was_put_in)
{
    const int submitters[] = {0, 1, 4097};
    const uint32_t indexes[] = {0, 1, 77777, (1U << 23) - 1};
    const uint32_t generations[] = {0, 1, (1U << 27) - 1};

    for (size_t s = 0; s < 3; s++)
        for (size_t i = 0; i < 4; i++)
            for (size_t g = 0; g < 3; g++) {
                const uint64_t key = many_key_(submitters[s], indexes[i], generations[g]);
                const uint64_t claim = many_claim_(MANY_TICKET_CLAIMED_, 4095, generations[g]);

                CHECK((key & MANY_KEY_FULL_) != 0);
                CHECK_EQUAL(many_key_submitter_(key), submitters[s]);
                CHECK_EQUAL(many_key_index_(key), indexes[i]);
                CHECK(many_key_is_(key, claim));
                CHECK(!many_key_is_(key, claim + (UINT64_C(1) << 32)));
                CHECK_EQUAL(many_claim_worker_(claim), 4095);
                CHECK_EQUAL(many_claim_generation_(claim), generations[g]);
            }
}

TEST(tickets_are_claimed_in_order_and_once)
{
    many_table_ *owner = table_made(2, 0), *worker = table_as(owner, 1),
                *other = table_as(owner, 2);
    _Atomic uint64_t intent = 0;
    uint64_t key[100];

    CHECK_EQUAL(many_table_claim_(worker, 0, &intent), 0);
    for (int i = 0; i < 100; i++)
        key[i] = table_submit(owner, NORMAL, 0);
    for (int i = 0; i < 100; i++) {
        CHECK_EQUAL(table_phase(owner, key[i]), MANY_TICKET_READY_);
        CHECK_EQUAL(many_table_claim_(i % 2 == 0 ? worker : other, i % 2, &intent), key[i]);
        CHECK_EQUAL(atomic_load(&intent), key[i]);
        CHECK_EQUAL(many_claim_worker_(atomic_load(&many_table_ticket_(owner, key[i])->claim)),
                    i % 2);
        CHECK_EQUAL(many_ticket_cancel_(owner, key[i], MANY_VERDICT_CANCELLED_), 0);
    }
    CHECK_EQUAL(many_table_claim_(worker, 0, &intent), 0);
    CHECK_EQUAL(many_table_work_(worker), 0);
    for (int i = 0; i < 100; i++) {
        CHECK_EQUAL(many_ticket_end_(worker, key[i]), 1);
        many_ticket_free_(owner, key[i]);
    }
    /* Used again, with another generation. */
    CHECK_EQUAL(many_key_index_(table_submit(owner, NORMAL, 0)), many_key_index_(key[99]));
    CHECK(many_table_claim_(worker, 0, &intent) != key[99]);
    many_table_close_(worker);
    many_table_close_(other);
    many_table_close_(owner);
}

TEST(requeued_ones_come_first_then_levels_then_ones_own)
{
    many_table_ *owner = table_made(2, 0), *worker = table_as(owner, 1),
                *other = table_as(owner, 2);
    many_table_ *supervisor = table_as(owner, 3);
    _Atomic uint64_t intent = 0;
    uint64_t low, high, own, others, back;

    back = table_submit(owner, 0, 0);
    CHECK_EQUAL(many_table_claim_(worker, 0, &intent), back);
    low = table_submit(owner, NORMAL, 0);
    own = table_submit(worker, NORMAL, 0);
    others = table_submit(other, NORMAL, 0);
    high = table_submit(owner, NORMAL + 1, 0);
    CHECK_EQUAL(many_ticket_put_back_(supervisor, back, 1), 0);
    CHECK_EQUAL(many_ticket_put_back_(supervisor, back, 0), 1);
    CHECK_CODE(many_requeue_(supervisor, back), 0);
    CHECK_EQUAL(many_table_claim_(worker, 0, &intent), back);
    CHECK_EQUAL(many_table_claim_(worker, 0, &intent), high);
    CHECK_EQUAL(many_table_claim_(worker, 0, &intent), own);
    CHECK_EQUAL(many_table_claim_(worker, 0, &intent), low);
    CHECK_EQUAL(many_table_claim_(worker, 0, &intent), others);
    CHECK_EQUAL(many_table_claim_(worker, 0, &intent), 0);
    many_table_close_(worker);
    many_table_close_(other);
    many_table_close_(supervisor);
    many_table_close_(owner);
}

TEST(a_lane_grows_and_keeps_its_order)
{
    enum { COUNT = 20000 };
    many_table_ *owner = table_made(1, 0), *worker = table_as(owner, 1);
    _Atomic uint64_t intent = 0;
    uint64_t *key = malloc(COUNT * sizeof *key);

    CHECK(key != NULL);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COUNT; i++)
            key[i] = table_submit(owner, NORMAL, 0);
        CHECK_EQUAL(many_lanes_length_(owner, 0), COUNT);
        for (int i = 0; i < COUNT; i++) {
            CHECK_EQUAL(many_table_claim_(worker, 0, &intent), key[i]);
            CHECK_EQUAL(many_ticket_end_(worker, key[i]), 1);
            many_ticket_free_(owner, key[i]);
        }
        CHECK_EQUAL(many_lanes_length_(owner, 0), 0);
    }
    free(key);
    many_table_close_(worker);
    many_table_close_(owner);
}

TEST(cancelled_tickets_are_passed_over_and_tidied_away)
{
    many_table_ *owner = table_made(1, 0), *worker = table_as(owner, 1);
    _Atomic uint64_t intent = 0;
    uint64_t key[1000];

    for (int i = 0; i < 1000; i++)
        key[i] = table_submit(owner, i % MANY_PRIORITIES_, 0);
    for (int i = 0; i < 1000; i++)
        if (i % 10 != 0)
            CHECK_EQUAL(many_ticket_cancel_(owner, key[i], MANY_VERDICT_CANCELLED_), 1);
    CHECK_EQUAL(many_lanes_length_(owner, 0), 1000);
    many_lanes_tidy_(owner);
    CHECK_EQUAL(many_lanes_length_(owner, 0), 100);
    for (int level = MANY_PRIORITIES_ - 1; level >= 0; level--)
        for (int i = 0; i < 1000; i += 10)
            if (i % MANY_PRIORITIES_ == level)
                CHECK_EQUAL(many_table_claim_(worker, 0, &intent), key[i]);
    CHECK_EQUAL(many_table_claim_(worker, 0, &intent), 0);
    many_table_close_(worker);
    many_table_close_(owner);
}

/* Submitted and cancelled for ever behind one that stays: the lane must not grow for ever. */
TEST(a_lane_full_of_cancelled_tickets_is_used_again)
{
    many_table_ *owner = table_made(1, 0), *worker = table_as(owner, 1);
    _Atomic uint64_t intent = 0;
    const uint64_t first = table_submit(owner, NORMAL, 0);

    for (int i = 0; i < 100000; i++) {
        const uint64_t key = table_submit(owner, NORMAL, 0);

        CHECK_EQUAL(many_ticket_cancel_(owner, key, MANY_VERDICT_CANCELLED_), 1);
        many_ticket_free_(owner, key);
    }
    CHECK(many_lanes_length_(owner, 0) <= 1U << 18);
    CHECK_EQUAL(many_table_claim_(worker, 0, &intent), first);
    CHECK_EQUAL(many_table_claim_(worker, 0, &intent), 0);
    many_table_close_(worker);
    many_table_close_(owner);
}

TEST(a_verdict_says_how_it_ended)
{
    many_table_ *owner = table_made(1, 0), *worker = table_as(owner, 1);
    _Atomic uint64_t intent = 0;
    uint64_t key = table_submit(owner, NORMAL, 0), claim;

    CHECK_EQUAL(many_ticket_ask_(owner, key), 0);
    CHECK_EQUAL(many_table_claim_(worker, 0, &intent), key);
    CHECK_EQUAL(many_ticket_ask_(owner, key), 1);
    CHECK_EQUAL(many_ticket_ask_(owner, key), 0);
    CHECK_EQUAL(many_ticket_put_back_(owner, key, 0), 0);
    CHECK_EQUAL(many_ticket_end_(worker, key), 1);
    claim = atomic_load(&many_table_ticket_(owner, key)->claim);
    CHECK_EQUAL(claim & MANY_VERDICTS_, MANY_VERDICT_CANCELLED_);
    many_ticket_free_(owner, key);

    key = table_submit(owner, NORMAL, 0);
    CHECK_EQUAL(many_table_claim_(worker, 0, &intent), key);
    CHECK_EQUAL(many_ticket_condemn_(owner, key, 1, MANY_VERDICT_TIMEOUT_), 0);
    CHECK_EQUAL(many_ticket_condemn_(owner, key, 0, MANY_VERDICT_TIMEOUT_), 1);
    CHECK_EQUAL(many_ticket_end_(worker, key), 0);
    CHECK_EQUAL(many_ticket_settle_(owner, key, 1U << MANY_TICKET_CONDEMNED_, 0), 1);
    claim = atomic_load(&many_table_ticket_(owner, key)->claim);
    CHECK_EQUAL(claim & MANY_VERDICTS_, MANY_VERDICT_TIMEOUT_);
    CHECK_EQUAL(many_ticket_settle_(owner, key, 1U << MANY_TICKET_CONDEMNED_, 0), 0);
    many_table_close_(worker);
    many_table_close_(owner);
}

TEST(news_come_in_order_and_what_has_no_room_is_told_by_scan)
{
    many_table_ *owner = table_made(1, 0), *worker = table_as(owner, 1);
    many_news_ *news = &owner->region[0].news;
    const uint32_t slots = owner->region[0].news_slots;
    _Atomic uint64_t intent = 0;
    uint64_t *key = malloc(2 * slots * sizeof *key);

    CHECK(key != NULL);
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 2 * slots; i++)
            key[i] = table_submit(owner, NORMAL, i % 2 == 0 ? MANY_TICKET_NOTIFY_ : 0);
        for (uint32_t i = 0; i < 2 * slots; i++) {
            CHECK_EQUAL(many_table_claim_(worker, 0, &intent), key[i]);
            CHECK_EQUAL(many_ticket_end_(worker, key[i]), 1);
        }
        CHECK_EQUAL(atomic_load(&news->scan), 0);
        for (uint32_t i = 0; i < 2 * slots; i += 2)
            CHECK_EQUAL(many_news_take_(owner), key[i]);
        CHECK_EQUAL(many_news_take_(owner), 0);
        for (uint32_t i = 0; i < 2 * slots; i++)
            many_ticket_free_(owner, key[i]);
    }
    for (uint32_t i = 0; i <= slots; i++) {
        CHECK_EQUAL(atomic_load(&news->scan), 0);
        key[i] = table_submit(owner, NORMAL, MANY_TICKET_NOTIFY_);
        CHECK_EQUAL(many_table_claim_(worker, 0, &intent), key[i]);
        CHECK_EQUAL(many_ticket_end_(worker, key[i]), 1);
    }
    CHECK_EQUAL(atomic_load(&news->scan), 1);
    for (uint32_t i = 0; i < slots; i++)
        CHECK_EQUAL(many_news_take_(owner), key[i]);
    CHECK_EQUAL(many_news_take_(owner), 0);
    free(key);
    many_table_close_(worker);
    many_table_close_(owner);
}

/* ---- all at once ---- */

typedef struct crowd {
    many_table_ *table;
    _Atomic int *done; /* by index */
    _Atomic int *all;
    int wanted;
} crowd;

static void *claim_all(void *argument)
{
    crowd *self = argument;
    _Atomic uint64_t intent = 0;

    while (atomic_load(self->all) < self->wanted) {
        const uint64_t key = many_table_claim_(self->table, self->table->worker, &intent);

        if (key == 0) {
            (void)many_table_work_(self->table);
            continue;
        }
        atomic_fetch_add(&self->done[many_table_ticket_(self->table, key)->count], 1);
        CHECK_EQUAL(many_ticket_end_(self->table, key), 1);
        atomic_fetch_add(self->all, 1);
    }
    return NULL;
}

TEST(no_ticket_is_lost_or_claimed_twice_by_several_at_a_time)
{
    enum { WORKERS = 3 };
    const int count = 30000 / test_slowness();
    many_table_ *owner = table_made(WORKERS, 0);
    _Atomic int *done = calloc((size_t)count, sizeof *done), all = 0;
    int submitted = 0, freed = 0, cancelled = 0;
    uint64_t *key = malloc((size_t)count * sizeof *key), told;
    pthread_t thread[WORKERS];
    crowd self[WORKERS];

    CHECK(done != NULL && key != NULL);
    for (int w = 0; w < WORKERS; w++) {
        self[w] = (crowd){table_as(owner, w + 1), done, &all, count};
        CHECK(pthread_create(&thread[w], NULL, claim_all, &self[w]) == 0);
    }
    while (freed < count) {
        for (int burst = 0; burst < 37 && submitted < count && submitted - freed < 2000;
             burst++, submitted++) {
            const int level = submitted % 5 == 0 ? submitted % MANY_PRIORITIES_ : NORMAL;
            const uint64_t taken = many_ticket_take_(owner);

            CHECK(taken != 0);
            many_table_ticket_(owner, taken)->count = (uint32_t)submitted;
            CHECK_CODE(many_lane_reserve_(owner, level), 0);
            many_ticket_publish_(owner, taken, level, MANY_TICKET_NOTIFY_);
            if (submitted % 11 == 0 && many_ticket_cancel_(owner, taken, MANY_VERDICT_CANCELLED_)) {
                atomic_fetch_add(&done[submitted], 1);
                atomic_fetch_add(&all, 1);
                cancelled++;
            }
        }
        while ((told = many_news_take_(owner)) != 0) {
            CHECK_EQUAL(table_phase(owner, told), MANY_TICKET_OVER_);
            many_ticket_free_(owner, told);
            freed++;
        }
        CHECK_EQUAL(atomic_load(&owner->region[0].news.scan), 0);
    }
    for (int w = 0; w < WORKERS; w++) {
        pthread_join(thread[w], NULL);
        many_table_close_(self[w].table);
    }
    for (int i = 0; i < count; i++)
        CHECK_EQUAL(atomic_load(&done[i]), 1);
    free((void *)done);
    free(key);
    many_table_close_(owner);
}

/* ---- a successor ---- */

TEST(a_successor_takes_over_what_is_over_and_leaves_what_is_under_way)
{
    many_table_ *owner = table_made(2, 0), *first = table_as(owner, 1), *other = table_as(owner, 2);
    _Atomic uint64_t intent = 0;
    uint64_t over, claimed, ready, taken, seen[3];
    many_table_ *second;

    over = table_submit(first, NORMAL, 0);
    claimed = table_submit(first, NORMAL, 0);
    ready = table_submit(first, NORMAL, 0);
    taken = many_ticket_take_(first);
    CHECK_EQUAL(many_table_claim_(other, 1, &intent), over);
    CHECK_EQUAL(many_table_claim_(other, 1, &intent), claimed);
    CHECK_EQUAL(many_ticket_end_(other, over), 1);
    many_table_close_(first);
    second = table_as(owner, 1);
    CHECK_EQUAL(table_phase(owner, over), MANY_TICKET_OVER_);
    CHECK_EQUAL(table_phase(owner, claimed), MANY_TICKET_CLAIMED_);
    CHECK_EQUAL(table_phase(owner, ready), MANY_TICKET_READY_);
    for (int i = 0; i < 3; i++) {
        seen[i] = many_ticket_take_(second);
        CHECK(seen[i] != 0 && seen[i] != over && seen[i] != claimed && seen[i] != ready);
    }
    CHECK(seen[0] == taken || seen[1] == taken || seen[2] == taken);
    CHECK_EQUAL(many_table_claim_(other, 1, &intent), ready);
    many_table_close_(second);
    many_table_close_(other);
    many_table_close_(owner);
}

TEST(a_table_fits_into_what_address_space_there_is)
{
    for (size_t gibibytes = 16; gibibytes >= 1; gibibytes /= 4) {
        struct rlimit before, limit;
        many_table_ *table = NULL;
        many_pool begun;
        int code;

        CHECK(getrlimit(RLIMIT_AS, &before) == 0);
        limit = before;
        limit.rlim_cur = (rlim_t)gibibytes << 30;
        if (TEST_ASAN || TEST_TSAN)
            test_skip("a sanitizer needs all of the address space");
        CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
        memset(&begun, 0, sizeof begun);
        begun.workers = 4;
        code = many_table_open_(&table, &begun);
        CHECK(setrlimit(RLIMIT_AS, &before) == 0);
        CHECK_CODE(code, 0);
        CHECK(table->head->bytes < (uint64_t)gibibytes << 30);
        table_submit(table, NORMAL, 0);
        many_table_close_(table);
    }
}

TEST(a_table_of_thousands_of_workers_can_be_made)
{
    many_table_ *owner = table_made(MANY_POOL_WORKERS_MOST_, 0);
    many_table_ *last = table_as(owner, MANY_POOL_WORKERS_MOST_);
    many_table_ *first = table_as(owner, 1);
    _Atomic uint64_t intent = 0;
    const uint64_t one = table_submit(last, NORMAL, 0), other = table_submit(owner, NORMAL, 0);

    CHECK_EQUAL(many_table_claim_(first, 0, &intent), other);
    CHECK_EQUAL(many_table_claim_(first, 0, &intent), one);
    CHECK_EQUAL(many_table_claim_(first, 0, &intent), 0);
    many_table_close_(first);
    many_table_close_(last);
    many_table_close_(owner);
}

/* The kernel would have memory for all that is set aside, to write it into the core file. */
TEST(a_core_dump_leaves_the_table_out)
{
    many_table_ *owner = table_made(1, 0);
    FILE *file = fopen("/proc/self/smaps", "re");
    char line[512];
    int inside = 0, left_out = 0;

    CHECK(file != NULL);
    while (fgets(line, sizeof line, file) != NULL) {
        if (strstr(line, "memfd:many-pool") != NULL)
            inside = 1;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0) {
            left_out += strstr(line, " dd") != NULL;
            inside = 0;
        }
    }
    fclose(file);
    CHECK_EQUAL(left_out, 1);
    many_table_close_(owner);
}

TEST(memory_that_is_no_table_is_refused)
{
    many_table_ *owner = table_made(1, 0), *other = NULL;
    static _Alignas(MANY_CACHE_LINE) char zeros[1 << 16];

    CHECK_CODE(many_table_attach_(&other, zeros, -1, -1, -1, 1), -EBADMSG);
    CHECK_CODE(many_table_attach_(&other, owner->base, -1, -1, -1, 3), -EBADMSG);
    CHECK_CODE(many_table_attach_(&other, NULL, -1, -1, -1, 1), -EBADMSG);
    CHECK(other == NULL);
    many_table_close_(owner);
}
