/* SPDX-License-Identifier: MIT */
/*
 * test_queue_chaos.c - four producers and four consumers, one of which is killed every few
 * milliseconds
 *
 * The killer knows nothing of the queue, and hits anywhere. Who was killed is replaced. In the
 * end the queue is drained, and it has to add up: nothing torn, nothing doubled, and for each
 * message that is missing somebody who was killed while he put it, or got it. MANY_SOAK in the
 * environment makes it ten times as long.
 */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kill/killer.h"
#include "kill/queue_book.h"

#define CHAOS_PRODUCERS 4 /* the first seats */

typedef struct chaos {
    book us;
    many_queue *queue;
    int polled;
    int mixed; /* everybody does both */
} chaos;

/* Private memory: each child has its own copy. */
typedef struct chaos_life {
    chaos *all;
    uint64_t seat;
} chaos_life;

/* What may be said to somebody while others die: that all at the other end are, just now. */
static int chaos_is_fate(long code)
{
    return code == -EPIPE || code == -ETIMEDOUT || code == -EALREADY;
}

static void chaos_produce(chaos *all, uint64_t seat)
{
    while (!all->us.over && all->us.seats[seat].begun < BOOK_NUMBERS - 2) {
        int code = book_put(&all->us, seat, all->queue, 0.2);

        if (code < 0 && !chaos_is_fate(code))
            book_refuse(&all->us, code);
    }
}

static void chaos_consume(chaos *all, uint64_t seat)
{
    uint64_t last[BOOK_SEATS] = {0};

    while (!all->us.over) {
        ssize_t bytes = book_get(&all->us, seat, all->queue, last, 0.2);

        if (bytes < 0 && !chaos_is_fate(bytes))
            book_refuse(&all->us, bytes);
    }
}

static void chaos_mix(chaos *all, uint64_t seat)
{
    uint64_t last[BOOK_SEATS] = {0};

    while (!all->us.over && all->us.seats[seat].begun < BOOK_NUMBERS - 2) {
        long code = book_put(&all->us, seat, all->queue, 0.001);

        if (code < 0 && !chaos_is_fate(code))
            book_refuse(&all->us, code);
        code = (long)book_get(&all->us, seat, all->queue, last, 0.001);
        if (code < 0 && !chaos_is_fate(code))
            book_refuse(&all->us, code);
    }
}

static void chaos_live(void *argument)
{
    const chaos_life *life = argument;
    chaos *all = life->all;
    const uint64_t seat = life->seat;
    int code;

    all->us.seats[seat].lives++;
    code = many_queue_register(all->queue, all->mixed               ? MANY_PRODUCER | MANY_CONSUMER
                                           : seat < CHAOS_PRODUCERS ? MANY_PRODUCER
                                                                    : MANY_CONSUMER);
    if (code < 0)
        book_refuse(&all->us, code);
    if (all->mixed)
        chaos_mix(all, seat);
    else if (seat < CHAOS_PRODUCERS)
        chaos_produce(all, seat);
    else
        chaos_consume(all, seat);
}

static pid_t chaos_seat(chaos *all, uint64_t seat)
{
    chaos_life life = {all, seat};

    return test_child_start(chaos_live, &life);
}

/* How many of those that are dead there were; they are replaced, unless it is over. */
static int chaos_replace(chaos *all, pid_t *children)
{
    int dead = 0;

    for (uint64_t seat = 0; seat < BOOK_SEATS; seat++) {
        int status;

        if (children[seat] == 0 || waitpid(children[seat], &status, WNOHANG) != children[seat])
            continue;
        if (WIFSIGNALED(status))
            CHECK_EQUAL(WTERMSIG(status), SIGKILL);
        else
            CHECK_EQUAL(WEXITSTATUS(status), 0);
        book_bury(&all->us, seat);
        dead++;
        children[seat] = all->us.over ? 0 : chaos_seat(all, seat);
    }
    return dead;
}

static void chaos_run(many_queue *queue, uint32_t kills, uint64_t seed, int polled, int mixed)
{
    chaos *all = test_shared(sizeof *all);
    uint64_t last[BOOK_SEATS] = {0};
    pid_t children[BOOK_SEATS] = {0};
    killer *hunt;
    int left = BOOK_SEATS;

    if (getenv("MANY_SOAK") != NULL) {
        test_limit(1200);
        kills *= 10;
    }
    all->queue = queue;
    all->mixed = mixed;
    if (polled)
        CHECK(many_queue_descriptor(queue) >= 0);
    for (uint64_t seat = 0; seat < BOOK_SEATS; seat++)
        children[seat] = chaos_seat(all, seat);
    hunt = killer_start(KILLER_ONE, seed, 3000, NULL);
    while (atomic_load(&hunt->kills) < kills) {
        chaos_replace(all, children);
        killer_doze(500);
    }
    killer_stop(hunt);
    all->us.over = 1;
    while (left > 0) {
        left = 0;
        chaos_replace(all, children);
        for (int seat = 0; seat < BOOK_SEATS; seat++)
            left += children[seat] != 0;
        killer_doze(500);
    }
    /* All who registered are gone, so the drain ends with the stream. */
    while (book_get(&all->us, 0, queue, last, MANY_FOREVER) >= 0) {
    }
    CHECK_CODE(many_queue_get(queue, NULL, 0, 0), -EPIPE);
    CHECK_EQUAL(many_queue_size(queue), 0);
    printf("%u kills, %llu messages\n", atomic_load(&hunt->kills), (unsigned long long)all->us.got);
    book_judge(&all->us);
    CHECK(all->us.got > kills); /* they did get to work */
    many_queue_close(queue);
}

TEST(a_bounded_queue_survives_the_death_of_anybody_at_any_time)
{
    many_queue *queue = NULL;

    CHECK_CODE(many_queue_open(&queue, .capacity = 64, .capacity_bytes = 300000), 0);
    chaos_run(queue, 600, 1, 0, 0);
}

TEST(a_queue_that_grows_and_is_polled_survives_the_death_of_anybody)
{
    many_queue *queue = NULL;

    CHECK_CODE(many_queue_open(&queue, .capacity_bytes = 4000000), 0);
    chaos_run(queue, 200, 2, 1, 0);
}

TEST(a_queue_of_one_message_at_which_everybody_does_both_survives)
{
    many_queue *queue = NULL;

    CHECK_CODE(many_queue_open(&queue, .capacity = 1), 0);
    chaos_run(queue, 200, 3, 0, 1);
}
