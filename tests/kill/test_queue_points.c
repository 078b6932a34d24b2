/* SPDX-License-Identifier: MIT */
/*
 * test_queue_points.c - somebody is killed at each step of each protocol of the queue
 *
 * A victim and a survivor put and get at the same queue. The victim dies on its n-th arrival at
 * the point. The survivor has to go on at once, and what is left in the queue has to add up. What
 * a signal handler interrupts costs nothing at all.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "kill/queue_book.h"

#define POINTS_VICTIM   0 /* seats */
#define POINTS_SURVIVOR 1
#define POINTS_TURNS    120
#define POINTS_MORE     100 /* so often more, where nobody came */

typedef struct points_scene {
    const char *name;
    size_t capacity, capacity_bytes;
    int polled;
    int shut;  /* the victim ends with an immediate shutdown, which drops what is there */
    int burst; /* the victim begins with so many puts */
    uint32_t long_every;
} points_scene;

static const points_scene points_scenes[] = {
    {.name = "one message", .capacity = 1, .long_every = 7},
    {.name = "bytes, polled", .capacity_bytes = 300000, .polled = 1, .long_every = 3},
    {.name = "growing", .capacity_bytes = 4000000, .burst = 12, .long_every = 1},
    {.name = "shut", .capacity_bytes = 100000, .polled = 1, .shut = 1, .long_every = 50},
};
#define POINTS_SCENES (int)(sizeof points_scenes / sizeof points_scenes[0])

static const char *const points_names[] = {
    "ring.put.locked",      "ring.put.piece",          "ring.put.copied",    "ring.put.announced",
    "ring.move.ready",      "ring.move.moved",         "ring.put.committed", "ring.put.given",
    "ring.get.locked",      "ring.get.copied",         "ring.get.piece",     "ring.get.committed",
    "ring.get.given",       "ring.grow.filled",        "ring.grow.spread",   "ring.grow.done",
    "ring.rewind.begun",    "ring.rewind.done",        "ring.hush.begun",    "ring.hush.silent",
    "ring.shut.announced",  "ring.shut.done",          "ring.shut.dropped",  "ring.polled.set",
    "park.sleep.announced", "park.sleep.woken",        "park.wake.cleared",  "ends.add.stored",
    "ends.remove.stored",   "queue.task_done.counted", "owner.take.claimed",
};
#define POINTS (int)(sizeof points_names / sizeof points_names[0])

/* In shared memory. */
typedef struct points_run {
    book us;
    many_queue *queue;
    const points_scene *scene;
    _Atomic uint32_t arrivals;
    _Atomic uint32_t turns;   /* of the survivor */
    _Atomic uint32_t started; /* the victim has begun to share the queue */
    _Atomic uint32_t over;    /* it is dead */
    _Atomic uint32_t slow;    /* the survivor lingers in the middle of long messages */
} points_run;

static points_run *points_all;
static const char *points_point; /* in the victim */
static uint32_t points_at;

static int points_hook(const char *point)
{
    /* Who reads along needs a writer that is not through before it has been given a CPU. */
    if (points_point == NULL && points_all->slow && strcmp(point, "ring.put.piece") == 0)
        usleep(1000);
    if (points_point != NULL && strcmp(point, points_point) == 0 &&
        atomic_fetch_add(&points_all->arrivals, 1) + 1 == points_at)
        kill(getpid(), SIGKILL);
    return 0;
}

static void points_allow(long code)
{
    if (code < 0 && code != -ETIMEDOUT && code != -EAGAIN && code != -EPIPE && code != -EINTR &&
        code != -EALREADY && code != -EINVAL)
        book_refuse(&points_all->us, code);
}

/* One round of all that can be done with a queue. */
static void points_turn(uint64_t seat, uint64_t *last, uint64_t turn)
{
    many_queue *queue = points_all->queue;
    const int both = MANY_PRODUCER | MANY_CONSUMER;

    points_allow(book_put(&points_all->us, seat, queue, 0.005));
    if (turn % 3 == 0)
        points_allow(book_put(&points_all->us, seat, queue, 0.005));
    points_allow((long)book_get(&points_all->us, seat, queue, last, turn % 4 == 0 ? 0 : 0.005));
    points_allow(many_queue_task_done(queue));
    if (turn % 2 == 0)
        points_allow((long)book_get(&points_all->us, seat, queue, last, 0.002));
    if (turn % 8 == 7) {
        points_allow(many_queue_finish(queue, both));
        points_allow(many_queue_register(queue, both));
        if (points_all->scene->polled)
            CHECK(many_queue_descriptor(queue) >= 0);
    }
}

static void points_victim(void *argument)
{
    uint64_t last[BOOK_SEATS] = {0};

    points_point = argument;
    points_allow(many_queue_register(points_all->queue, MANY_PRODUCER | MANY_CONSUMER));
    for (int put = 0; put < points_all->scene->burst; put++)
        points_allow(book_put(&points_all->us, POINTS_VICTIM, points_all->queue, 0.005));
    points_all->started = 1;
    for (uint64_t turn = 0; turn < POINTS_TURNS; turn++)
        points_turn(POINTS_VICTIM, last, turn);
    if (points_all->scene->shut)
        points_allow(many_queue_shutdown(points_all->queue, 1));
    many_queue_finish(points_all->queue, MANY_PRODUCER | MANY_CONSUMER);
}

static void points_survivor(void *argument)
{
    uint64_t last[BOOK_SEATS] = {0};

    (void)argument;
    UNTIL(points_all->started || points_all->over);
    points_allow(many_queue_register(points_all->queue, MANY_PRODUCER | MANY_CONSUMER));
    for (uint64_t turn = 0; !points_all->us.over; turn++) {
        points_turn(POINTS_SURVIVOR, last, turn);
        points_all->turns++;
        if (many_queue_put(points_all->queue, NULL, 0, -7) != -EINVAL)
            book_refuse(&points_all->us, -EINVAL);
    }
    CHECK_CODE(many_queue_finish(points_all->queue, MANY_PRODUCER | MANY_CONSUMER), 0);
}

/* 1: the victim died there. */
static int points_try(const points_scene *scene, const char *point, uint32_t at)
{
    uint64_t last[BOOK_SEATS] = {0};
    pid_t victim, survivor;
    uint32_t turns;
    int ending;

    for (int seat = 0; seat < BOOK_SEATS; seat++)
        memset((void *)points_all->us.times[seat], 0, points_all->us.seats[seat].begun + 1);
    memset(&points_all->us.seats, 0, sizeof points_all->us.seats);
    points_all->us.got = 0;
    points_all->us.over = 0;
    points_all->us.dropped = (uint32_t)scene->shut;
    points_all->us.long_every = scene->long_every;
    points_all->scene = scene;
    points_all->arrivals = 0;
    points_all->turns = 0;
    points_all->started = 0;
    points_all->over = 0;
    points_all->slow = strcmp(point, "ring.get.piece") == 0;
    points_at = at;
    CHECK_CODE(many_queue_open(&points_all->queue, .capacity = scene->capacity,
                               .capacity_bytes = scene->capacity_bytes),
               0);
    many_fault_hook_ = points_hook;
    survivor = test_child_start(points_survivor, NULL);
    victim = test_child_start(points_victim, (void *)(uintptr_t)point);
    ending = test_child_wait(victim);
    points_all->over = 1;
    CHECK(ending == SIGKILL || ending == 0);
    book_bury(&points_all->us, POINTS_VICTIM);
    turns = points_all->turns;
    UNTIL(points_all->turns >= turns + 20);
    points_all->us.over = 1;
    CHECK_EQUAL(test_child_wait(survivor), 0);
    many_fault_hook_ = NULL;
    if (scene->polled && many_queue_size(points_all->queue) > 0) {
        struct pollfd entry = {many_queue_descriptor(points_all->queue), POLLIN, 0};

        CHECK_EQUAL(poll(&entry, 1, 0), 1);
    }
    while (book_get(&points_all->us, 2, points_all->queue, last, MANY_FOREVER) >= 0) {
    }
    CHECK_EQUAL(many_queue_size(points_all->queue), 0);
    book_judge(&points_all->us);
    many_queue_close(points_all->queue);
    return ending == SIGKILL;
}

static void points_each(int from, int to)
{
    static const uint32_t arrivals[] = {1, 2, 5, 17};
    uint32_t kills[POINTS] = {0};

    points_all = test_shared(sizeof *points_all);
    for (int point = from; point < to; point++)
        for (int scene = 0; scene < POINTS_SCENES; scene++)
            for (size_t k = 0; k < sizeof arrivals / sizeof arrivals[0]; k++) {
                /* What a whole life did not lead to will not be reached later either. */
                if (!points_try(&points_scenes[scene], points_names[point], arrivals[k]))
                    break;
                kills[point]++;
            }
    /* To read along with who writes takes two that run at the same time, which others may prevent for long. */
    for (int point = from; point < to; point++)
        for (int more = 0; more < POINTS_MORE && kills[point] == 0; more++)
            kills[point] +=
                (uint32_t)points_try(&points_scenes[more % POINTS_SCENES], points_names[point], 1);
    for (int point = from; point < to; point++)
        if (kills[point] == 0)
            test_fail_(__FILE__, __LINE__, "nobody came to %s", points_names[point]);
}

TEST(a_death_at_each_step_of_putting_costs_the_others_nothing)
{
    points_each(0, 8);
}

TEST(a_death_at_each_step_of_getting_costs_the_others_nothing)
{
    points_each(8, 13);
}

TEST(a_death_while_the_queue_changes_its_size_or_its_state_costs_the_others_nothing)
{
    points_each(13, 24);
}

TEST(a_death_at_each_step_of_waiting_and_registering_costs_the_others_nothing)
{
    points_each(24, POINTS);
}

/* ---- who finds the dead dies, too ---- */

static void points_put_and_get(void *argument)
{
    char byte;

    points_point = argument;
    for (int k = 0; k < 3; k++) {
        points_allow(many_queue_put(points_all->queue, "d", 1, MANY_FOREVER));
        points_allow((long)many_queue_get(points_all->queue, &byte, 1, MANY_FOREVER));
    }
}

TEST(a_death_while_another_death_is_made_good_for_costs_the_others_nothing)
{
    points_all = test_shared(sizeof *points_all);
    many_fault_hook_ = points_hook;
    for (points_at = 1; points_at <= 4; points_at++) { /* while it puts, while it gets */
        char bytes[8];
        ssize_t got;
        int deaths = 0;

        CHECK_CODE(many_queue_open(&points_all->queue), 0);
        points_all->arrivals = 0;
        CHECK_EQUAL(test_in_child(points_put_and_get, (void *)(uintptr_t) "ring.move.moved"),
                    SIGKILL);
        for (int k = 0; k < 3; k++) {
            points_all->arrivals = points_at - 1;
            deaths +=
                test_in_child(points_put_and_get, (void *)(uintptr_t) "ring.mend.done") == SIGKILL;
        }
        CHECK_EQUAL(deaths, 3);
        CHECK_CODE(many_queue_put(points_all->queue, "last", 4, 0), 0);
        while ((got = many_queue_get(points_all->queue, bytes, sizeof bytes, 0)) == 1)
            CHECK_EQUAL(bytes[0], 'd');
        CHECK_EQUAL(got, 4);
        CHECK_EQUAL(many_queue_size(points_all->queue), 0);
        CHECK_EQUAL(points_all->us.refused, 0);
        many_queue_close(points_all->queue);
    }
    many_fault_hook_ = NULL;
}

/* ---- the ring becomes small again ---- */

static void points_calm(void *argument)
{
    static char message[3000000];

    points_point = argument;
    CHECK_CODE(many_queue_put(points_all->queue, message, sizeof message, 0), 0);
    CHECK_EQUAL(many_queue_get(points_all->queue, message, sizeof message, 0), sizeof message);
    for (;;)
        CHECK_CODE(many_queue_get(points_all->queue, message, 1, 0.05), -ETIMEDOUT);
}

static void points_calm_dies_at(const char *point)
{
    static char message[3000000], got[3000000];

    points_all = test_shared(sizeof *points_all);
    points_at = 1;
    CHECK_CODE(many_queue_open(&points_all->queue), 0);
    many_fault_hook_ = points_hook;
    CHECK_EQUAL(test_in_child(points_calm, (void *)(uintptr_t)point), SIGKILL);
    memset(message, 'm', sizeof message);
    for (int k = 0; k < 3; k++) {
        CHECK_CODE(many_queue_put(points_all->queue, message, sizeof message, 0), 0);
        CHECK_CODE(many_queue_put(points_all->queue, "s", 1, 0), 0);
        CHECK_EQUAL(many_queue_get(points_all->queue, got, sizeof got, 0), sizeof got);
        CHECK_BYTES(got, message, sizeof got);
        CHECK_EQUAL(many_queue_get(points_all->queue, got, sizeof got, 0), 1);
    }
    many_fault_hook_ = NULL;
    many_queue_close(points_all->queue);
}

TEST(a_death_while_the_memory_goes_back_costs_the_others_nothing)
{
    points_calm_dies_at("ring.calm.seen");
    points_calm_dies_at("ring.calm.sized");
}

/* ---- the ring begins anew ---- */

enum { POINTS_LONG = 200000 };

static void points_rewind(void *argument)
{
    static char message[POINTS_LONG];

    points_point = argument;
    (void)many_queue_put(points_all->queue, message, sizeof message, 0);
}

TEST(a_death_while_a_small_ring_begins_anew_leaves_room_for_a_message)
{
    static const char *const points[] = {"ring.rewind.begun", "ring.put.stepped"};
    static char message[POINTS_LONG], got[POINTS_LONG];

    points_all = test_shared(sizeof *points_all);
    points_at = 1;
    CHECK_CODE(many_queue_open(&points_all->queue, .capacity = 1, .message_max = POINTS_LONG), 0);
    /* Not so near to the beginning that it is not worth it. */
    for (int k = 0; k < 2; k++) {
        CHECK_CODE(many_queue_put(points_all->queue, message, 50000, 0), 0);
        CHECK_EQUAL(many_queue_get(points_all->queue, got, sizeof got, 0), 50000);
    }
    many_fault_hook_ = points_hook;
    for (size_t k = 0; k < 2; k++) {
        points_all->arrivals = 0;
        CHECK_EQUAL(test_in_child(points_rewind, (void *)(uintptr_t)points[k]), SIGKILL);
    }
    many_fault_hook_ = NULL;
    memset(message, 'm', sizeof message);
    CHECK_CODE(many_queue_put(points_all->queue, message, sizeof message, 0), 0);
    CHECK_EQUAL(many_queue_get(points_all->queue, got, sizeof got, 0), sizeof got);
    CHECK_BYTES(got, message, sizeof got);
    many_queue_close(points_all->queue);
}

/* ---- signals ---- */

static void points_noted(int signal)
{
    (void)signal;
}

/* A handler runs all the time, at any point. */
static void points_stormy(void *argument)
{
    const uint64_t seat = (uint64_t)(uintptr_t)argument;
    struct itimerval storm = {{0, 700}, {0, 700}}, calm = {{0, 0}, {0, 0}};
    struct sigaction action;
    uint64_t last[BOOK_SEATS] = {0};

    memset(&action, 0, sizeof action);
    action.sa_handler = points_noted;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &storm, NULL);
    for (uint64_t turn = 0; turn < 2000; turn++) {
        long code;

        do
            code = book_put(&points_all->us, seat, points_all->queue, MANY_FOREVER);
        while (code == -EINTR);
        CHECK_CODE(code, 0);
        do
            code = (long)book_get(&points_all->us, seat, points_all->queue, last, MANY_FOREVER);
        while (code == -EINTR);
        CHECK(code >= 0);
    }
    setitimer(ITIMER_REAL, &calm, NULL);
}

TEST(signal_handlers_cost_no_message)
{
    pid_t children[4];

    points_all = test_shared(sizeof *points_all);
    points_all->us.long_every = 20;
    CHECK_CODE(many_queue_open(&points_all->queue, .capacity = 3), 0);
    for (uint64_t k = 0; k < 4; k++)
        children[k] = test_child_start(points_stormy, (void *)(uintptr_t)k);
    for (int k = 0; k < 4; k++)
        CHECK_EQUAL(test_child_wait(children[k]), 0);
    CHECK_EQUAL(many_queue_size(points_all->queue), 0);
    CHECK_EQUAL(points_all->us.got, 8000);
    book_judge(&points_all->us);
    many_queue_close(points_all->queue);
}
