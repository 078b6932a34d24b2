/* SPDX-License-Identifier: MIT */
/* test_board.c - counters in shared memory, one writer a cell */
#include "test.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "bar/board.h"
#include "os/clock.h"

static many_board_ board;

static uint64_t counted(void)
{
    uint64_t failed;

    return many_board_count_(&board, &failed);
}

/* Add one as many_bar_add() does where it has to look for its cell. */
static void add_one(many_board_ *to)
{
    many_cell_ *cell = many_board_claim_(to);

    if (cell != NULL)
        many_cell_put_(cell, many_cell_count_(cell) + 1);
    else
        many_cell_add_shared_(&to->shared->crowd, 1);
}

TEST(a_thread_keeps_its_cell)
{
    many_cell_ *cell;

    CHECK_CODE(many_board_open_(&board, 5, 1), 0);
    cell = many_board_claim_(&board);
    CHECK(cell != NULL);
    for (int i = 0; i < 1000; i++)
        CHECK(many_board_claim_(&board) == cell);
    CHECK(many_board_knows_(&board, &many_board_mine_.place[board.place]));
    CHECK_EQUAL(atomic_load(&board.shared->used), 1);
    CHECK_EQUAL(atomic_load(&board.shared->total), 5);
    many_board_close_(&board);
}

TEST(more_boards_than_places_still_find_their_cells)
{
    enum { BOARDS = 3 * MANY_BOARD_PLACES };
    static many_board_ boards[BOARDS];
    many_cell_ *cells[BOARDS];

    for (int b = 0; b < BOARDS; b++) {
        CHECK_CODE(many_board_open_(&boards[b], 0, 1), 0);
        cells[b] = many_board_claim_(&boards[b]);
    }
    for (int i = 0; i < 100; i++)
        for (int b = 0; b < BOARDS; b++)
            CHECK(many_board_claim_(&boards[b]) == cells[b]);
    for (int b = 0; b < BOARDS; b++)
        many_board_close_(&boards[b]);
}

TEST(boards_opened_one_after_another_have_places_of_their_own)
{
    static many_board_ outer, inner;

    CHECK_CODE(many_board_open_(&outer, 0, 1), 0);
    CHECK_CODE(many_board_open_(&inner, 0, 1), 0);
    CHECK(outer.place != inner.place);
    add_one(&outer);
    add_one(&inner);
    CHECK(many_board_knows_(&outer, &many_board_mine_.place[outer.place]));
    CHECK(many_board_knows_(&inner, &many_board_mine_.place[inner.place]));
    many_board_close_(&inner);
    many_board_close_(&outer);
}

TEST(a_board_at_the_same_address_is_another_board)
{
    for (int i = 0; i < 1000; i++) {
        CHECK_CODE(many_board_open_(&board, 0, 1), 0);
        for (int p = 0; p < MANY_BOARD_PLACES; p++)
            CHECK(!many_board_knows_(&board, &many_board_mine_.place[p]));
        add_one(&board);
        CHECK_EQUAL(counted(), 1);
        many_board_close_(&board);
    }
}

TEST(boards_opened_at_the_same_instant_are_told_apart)
{
    static many_board_ first, second;
    const many_board_place_ *place;

    CHECK_CODE(many_board_open_(&first, 0, 1), 0);
    CHECK_CODE(many_board_open_(&second, 0, 1), 0);
    second.place = first.place;
    atomic_store(&second.local->stamp, atomic_load(&first.local->stamp));
    place = &many_board_mine_.place[first.place];
    many_board_claim_(&first);
    CHECK(many_board_knows_(&first, place));
    CHECK(!many_board_knows_(&second, place));
    many_board_close_(&first);
    many_board_close_(&second);
}

typedef struct crowd {
    pthread_barrier_t all_claimed;
    _Atomic int with_cell;
} crowd;

static void *claim_and_stay(void *argument)
{
    crowd *them = argument;

    if (many_board_claim_(&board) != NULL)
        atomic_fetch_add(&them->with_cell, 1);
    for (int i = 0; i < 1000; i++)
        add_one(&board);
    pthread_barrier_wait(&them->all_claimed);
    return NULL;
}

TEST(threads_beyond_the_64th_share_a_cell_and_nothing_is_lost)
{
    enum { THREADS = MANY_BOARD_CELLS + 10 };
    pthread_t threads[THREADS];
    crowd them = {.with_cell = 0};

    CHECK_CODE(many_board_open_(&board, 0, 1), 0);
    pthread_barrier_init(&them.all_claimed, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, claim_and_stay, &them) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&them.all_claimed);
    CHECK_EQUAL(atomic_load(&them.with_cell), MANY_BOARD_CELLS);
    CHECK_EQUAL(atomic_load(&board.shared->crowd.count), 10 * 1000);
    CHECK_EQUAL(counted(), THREADS * 1000);
    many_board_close_(&board);
}

static void child_has_a_cell_of_its_own(void *argument)
{
    many_cell_ *parents = argument;
    many_cell_ *ours = NULL;

    CHECK(!many_board_is_opener_(&board));
    CHECK(!many_board_knows_(&board, &many_board_mine_.place[board.place]));
    ours = many_board_claim_(&board);
    CHECK(ours != NULL);
    CHECK(ours != parents);
    CHECK(many_board_claim_(&board) == ours);
    CHECK(many_board_knows_(&board, &many_board_mine_.place[board.place]));
    CHECK_EQUAL(atomic_load(&ours->look_at), UINT64_MAX); /* it never draws */
    add_one(&board);
}

static void child_and_grandchild_have_cells_of_their_own(void *argument)
{
    child_has_a_cell_of_its_own(argument);
    CHECK(test_in_child(child_has_a_cell_of_its_own, many_board_claim_(&board)) == 0);
}

TEST(a_forked_child_never_writes_to_its_parents_cell)
{
    many_cell_ *cell;

    CHECK_CODE(many_board_open_(&board, 0, 1), 0);
    cell = many_board_claim_(&board);
    add_one(&board);
    CHECK(test_in_child(child_and_grandchild_have_cells_of_their_own, cell) == 0);
    CHECK(many_board_is_opener_(&board));
    CHECK(many_board_claim_(&board) == cell);
    CHECK_EQUAL(counted(), 3);
    CHECK_EQUAL(atomic_load(&board.shared->used), 3);
    many_board_close_(&board);
}

static void add_and_close(void *argument)
{
    (void)argument;
    CHECK(many_board_claim_(&board) != NULL);
    add_one(&board);
    many_board_close_(&board);
}

TEST(children_that_close_give_their_cells_back)
{
    enum { CHILDREN = 2 * MANY_BOARD_CELLS };

    CHECK_CODE(many_board_open_(&board, 0, 1), 0);
    add_one(&board);
    for (int i = 0; i < CHILDREN; i++)
        CHECK(test_in_child(add_and_close, NULL) == 0);
    CHECK_EQUAL(counted(), CHILDREN + 1);
    CHECK_EQUAL(atomic_load(&board.shared->used), 2);
    many_board_close_(&board);
}

static void add_and_die(void *argument)
{
    (void)argument;
    add_one(&board);
    raise(SIGKILL);
}

TEST(what_the_dead_have_counted_stays_and_when_their_cells_are_gone_the_crowd_serves)
{
    enum { CHILDREN = MANY_BOARD_CELLS + 6 };

    CHECK_CODE(many_board_open_(&board, 0, 1), 0);
    for (int i = 0; i < CHILDREN; i++)
        CHECK(test_in_child(add_and_die, NULL) == SIGKILL);
    CHECK_EQUAL(counted(), CHILDREN);
    CHECK_EQUAL(atomic_load(&board.shared->crowd.count), 6);
    many_board_close_(&board);
}

TEST(many_boards_leave_nothing_behind)
{
    test_census before = test_census_take();

    for (int i = 0; i < 2 * TEST_MAPPINGS_SLACK; i++) {
        CHECK_CODE(many_board_open_(&board, 0, 1), 0);
        add_one(&board);
        many_board_close_(&board);
    }
    CHECK_CENSUS(before);
}

/* Additions of one, each taking so long; how many pass between the last two looks at the clock. */
static uint64_t skipped_after(many_cell_ *cell, uint64_t additions, int64_t *now, int64_t each_ns)
{
    uint64_t count = many_cell_count_(cell), last = count, skipped = 0;

    for (uint64_t i = 0; i < additions; i++) {
        *now += each_ns;
        if (many_cell_is_due_(cell, count++)) {
            skipped = count - last - 1;
            last = count;
            many_cell_looked_(cell, count, *now);
        }
    }
    many_cell_put_(cell, count);
    return skipped;
}

TEST(additions_of_more_than_a_microsecond_are_never_skipped)
{
    static many_cell_ cell;
    int64_t now = 1;

    memset(&cell, 0, sizeof cell);
    CHECK_EQUAL(skipped_after(&cell, 100000, &now, 2000), 0);
    CHECK_EQUAL(many_cell_count_(&cell), 100000);
    CHECK(many_cell_is_due_(&cell, 100000));
}

TEST(fast_additions_skip_less_than_a_microsecond)
{
    static many_cell_ cell;
    int64_t now = 1;
    uint64_t skipped;

    memset(&cell, 0, sizeof cell);
    skipped = skipped_after(&cell, 100000000 / (uint64_t)test_slowness(), &now, 2);
    CHECK(skipped <= 500);
    CHECK(skipped >= 300);
}

TEST(a_short_fast_phase_hardly_delays_the_first_look_at_a_slow_one)
{
    static const uint64_t fast[] = {100, 10000, 100000, 1000000};

    for (size_t i = 0; i < sizeof fast / sizeof fast[0]; i++) {
        static many_cell_ cell;
        int64_t now = 1;
        uint64_t unseen = 0;

        memset(&cell, 0, sizeof cell);
        skipped_after(&cell, fast[i], &now, 2);
        while (!many_cell_is_due_(&cell, fast[i] + unseen))
            unseen++;
        CHECK(unseen <= fast[i] / 8192);
        /* From then on each is looked at. */
        many_cell_looked_(&cell, fast[i] + unseen + 1, now + MANY_SECOND_NS);
        CHECK(many_cell_is_due_(&cell, fast[i] + unseen + 1));
    }
}

TEST(large_and_strange_counts_do_not_stop_the_looking)
{
    static many_cell_ cell;

    memset(&cell, 0, sizeof cell);
    many_cell_looked_(&cell, UINT64_MAX / 2, 10);
    CHECK(many_cell_is_due_(&cell, UINT64_MAX / 2));
    many_cell_looked_(&cell, UINT64_MAX - 1, 11); /* overflows what a microsecond would bring */
    CHECK(many_cell_is_due_(&cell, UINT64_MAX - 1));
    many_cell_looked_(&cell, UINT64_MAX, 11); /* a clock that stands still */
    CHECK(many_cell_is_due_(&cell, UINT64_MAX));
}
