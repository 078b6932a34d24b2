/* SPDX-License-Identifier: MIT */
/*
 * test_families.c - parents that die, maps inside maps, and cancelling amid deaths
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <many/map.h>

#include "kill/ledger.h"
#include "test.h"

#define FAMILIES_ITEMS 120
#define FAMILIES_EVERY 10 /* one item in so many kills its worker */

static int families_task(const void *item, void *result, void *context)
{
    size_t i = many_item_index();
    int code = ledger_task(item, result, context);

    if (i % FAMILIES_EVERY == 3)
        kill(getpid(), SIGKILL);
    return code;
}

/* ---- the parent dies ---- */

/* In shared memory. */
static struct families_shared {
    _Atomic uint32_t workers;
    _Atomic int pid[64];
} * families_shared;

static void families_register(void)
{
    uint32_t at = atomic_fetch_add(&families_shared->workers, 1);

    if (at < 64)
        atomic_store(&families_shared->pid[at], getpid());
}

static int families_for_ever(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    (void)context;
    families_register();
    while (1)
        pause();
    return 0;
}

/* Gives up its uid, and with it the kernel's promise to kill it; then short items without end. */
static int families_other_uid(const void *item, void *result, void *context)
{
    static int registered;

    (void)item;
    (void)result;
    (void)context;
    if (!registered && setuid(65534) == 0)
        families_register();
    registered = 1;
    return 0;
}

static int families_map_for_ever(const void *item, void *result, void *context)
{
    char in[2] = {0};

    families_register();
    (void)item;
    (void)result;
    (void)context;
    return many_process_each(families_for_ever, in, 2, .workers = 2);
}

static void families_parent(void *argument)
{
    const int kind = *(int *)argument;
    ledger *book = ledger_open(4);
    char in[4] = {0};

    if (kind == 0)
        many_process_each(families_for_ever, in, 4, .workers = 4);
    else if (kind == 1)
        many_process_map(families_for_ever, (uint64_t *)NULL, (char *)NULL, 0, .workers = 4,
                         .next = ledger_next, .next_context = book);
    else if (kind == 3)
        many_process_each(families_other_uid, (char *)NULL, SIZE_MAX / 4, .workers = 2);
    else
        many_process_each(families_map_for_ever, in, 2, .workers = 2);
}

/* Orphans come to us, so that we see each of them end. */
static void families_subreaper(void *argument)
{
    static const uint32_t workers[] = {4, 4, 6, 2};
    const int kinds = getuid() == 0 ? 4 : 3; /* only root may give up its uid */

    (void)argument;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (int kind = 0; kind < kinds; kind++) {
        pid_t parent;
        int status;

        families_shared = test_shared(sizeof *families_shared);
        parent = test_child_start(families_parent, &kind);
        UNTIL(atomic_load(&families_shared->workers) == workers[kind]);
        for (uint32_t k = 0; k < workers[kind]; k++)
            UNTIL(atomic_load(&families_shared->pid[k]) != 0);
        kill(parent, SIGKILL);
        CHECK_EQUAL(test_child_wait(parent), SIGKILL);
        for (uint32_t k = 0; k < workers[kind]; k++) {
            CHECK_EQUAL(waitpid(families_shared->pid[k], &status, 0), families_shared->pid[k]);
            CHECK(kind == 3 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
        }
        CHECK(waitpid(-1, &status, 0) < 0 && errno == ECHILD);
    }
}

TEST(no_worker_outlives_its_parent)
{
    CHECK_EQUAL(test_in_child(families_subreaper, NULL), 0);
}

/* At any time, that of the fork too. */
static void families_early_death(void *argument)
{
    uint64_t seed = 7;

    (void)argument;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (int round = 0; round < 60; round++) {
        struct timespec moment = {0, (long)ledger_random(&seed, 3000000)};
        int kind = round % 3, status;
        pid_t parent;

        if (round % 20 == 0)
            families_shared = test_shared(sizeof *families_shared);
        parent = test_child_start(families_parent, &kind);
        nanosleep(&moment, NULL); /* a random time, as the experiment wants it */
        kill(parent, SIGKILL);
        while (waitpid(-1, &status, 0) > 0 || errno != ECHILD) {
        }
    }
}

TEST(no_worker_outlives_a_parent_that_dies_early)
{
    CHECK_EQUAL(test_in_child(families_early_death, NULL), 0);
}

/* ---- maps in maps ---- */

typedef struct families_outer {
    ledger *book;       /* [4 * FAMILIES_ITEMS]: the inner items of all four outer ones */
    int kill_the_outer; /* 1: outer item 1 dies while its inner map runs */
} families_outer;

static int families_inner(const void *item, void *result, void *context)
{
    families_outer *outer = context;
    size_t i = *(const size_t *)item;

    (void)result;
    atomic_fetch_add(&outer->book->cell[i].entered, 1);
    ledger_spin(100e-6);
    if (outer->kill_the_outer && i == FAMILIES_ITEMS + 30) {
        kill(getppid(), SIGKILL);
        for (;;)
            pause();
    }
    if (!outer->kill_the_outer && i % FAMILIES_EVERY == 3)
        _exit(9);
    return 0;
}

static int families_middle(const void *item, void *result, void *context)
{
    size_t in[FAMILIES_ITEMS];

    (void)result;
    for (size_t i = 0; i < FAMILIES_ITEMS; i++)
        in[i] = *(const size_t *)item * FAMILIES_ITEMS + i;
    return many_process_each(families_inner, in, FAMILIES_ITEMS, .workers = 3, .context = context,
                             .on_error = MANY_GO_ON);
}

TEST(nested_maps_survive_deaths_below)
{
    families_outer outer = {ledger_open(4 * FAMILIES_ITEMS), 0};
    size_t in[4] = {0, 1, 2, 3};
    int codes[4];
    test_census census = test_census_take();

    CHECK_CODE(many_process_each(families_middle, in, 4, .workers = 2, .context = &outer,
                                 .codes = codes, .on_error = MANY_GO_ON),
               4);
    for (int k = 0; k < 4; k++)
        CHECK_CODE(codes[k], FAMILIES_ITEMS / FAMILIES_EVERY); /* the inner map's own return */
    for (size_t i = 0; i < outer.book->n; i++)
        CHECK_EQUAL(outer.book->cell[i].entered, 1);
    CHECK_CENSUS(census);
}

TEST(death_of_a_worker_ends_the_map_inside_it)
{
    families_outer outer = {ledger_open(4 * FAMILIES_ITEMS), 1};
    size_t in[4] = {0, 1, 2, 3};
    int codes[4];
    test_census census = test_census_take();

    CHECK_CODE(many_process_each(families_middle, in, 4, .workers = 2, .context = &outer,
                                 .codes = codes, .on_error = MANY_GO_ON),
               1);
    for (int k = 0; k < 4; k++)
        CHECK_CODE(codes[k], k == 1 ? -MANY_EDIED : 0);
    CHECK_CENSUS(census);
}

/* ---- cancelling amid deaths ---- */

typedef struct families_canceller {
    ledger *book;
    many_cancel token;
} families_canceller;

/* The last item does not end: nobody gets to the end before the token is seen. */
static int families_no_end(const void *item, void *result, void *context)
{
    int code = families_task(item, result, context);

    while (many_item_index() == 1999)
        pause();
    return code;
}

static void *families_cancels(void *argument)
{
    families_canceller *canceller = argument;

    UNTIL(atomic_load(&canceller->book->cell[40].entered) > 0);
    many_cancel_set(&canceller->token);
    return NULL;
}

TEST(cancelling_amid_deaths_keeps_what_is_done)
{
    families_canceller canceller = {.book = ledger_open(2000)};
    ledger *book = canceller.book;
    test_census census = test_census_take();

    book->least_us = 100;
    book->most_us = 300;
    for (int round = 0; round < 20; round++) {
        pthread_t thread;
        size_t done;
        int code;

        ledger_clear(book);
        canceller.token = (many_cancel){0};
        CHECK(pthread_create(&thread, NULL, families_cancels, &canceller) == 0);
        if (round % 2 == 0)
            code = many_process_map(families_no_end, book->in, book->out, 2000, .workers = 3,
                                    .context = book, .codes = book->codes,
                                    .cancel = &canceller.token, .on_error = MANY_GO_ON);
        else
            code = many_process_map(families_no_end, (uint64_t *)NULL, (ledger_result *)NULL, 0,
                                    .workers = 3, .context = book, .next = ledger_next,
                                    .next_context = book, .on_result = ledger_take,
                                    .on_result_context = book, .cancel = &canceller.token,
                                    .on_error = MANY_GO_ON);
        pthread_join(thread, NULL);
        CHECK_CODE(code, -ECANCELED);
        done = ledger_count(book, 0);
        CHECK(done > 0 && done + ledger_count(book, -MANY_EDIED) < 2000);
        for (size_t i = 0; i < 2000; i++) {
            ledger_result answer = ledger_answer(book, i);

            CHECK(book->cell[i].entered <= 1);
            if (book->codes[i] == 0)
                CHECK_BYTES(&book->out[i], &answer, sizeof answer);
            else if (book->codes[i] == -MANY_EDIED)
                CHECK_EQUAL(i % FAMILIES_EVERY, 3);
            else
                CHECK(book->codes[i] == -ECANCELED ||
                      (round % 2 == 1 && book->codes[i] == LEDGER_NO_OUTCOME &&
                       book->cell[i].entered == 0));
        }
        CHECK_CENSUS(census);
    }
}
