/* SPDX-License-Identifier: MIT */
/*
 * test_lock_points.c - a party kills itself at each named point of the locks' protocols
 *
 * One victim and four others go round with one kind of object. The victim dies at its first, second
 * or seventh arrival at the point; the others go on, and at the end everything can be had again.
 * For the points that only who finds a dead holder comes to, the victim finds one before the others
 * begin.
 */
#include <pthread.h>
#include <stdio.h>

#include <many/lock_debug.h>

#include "base/fault.h"
#include "kill/killer.h"
#include "kill/locks.h"
#include "sync/tables.h"

/* In shared memory. */
static struct points_trap {
    const char *point;
    uint32_t at;
    pid_t victim; /* who dies of it; 0: nobody */
    _Atomic uint32_t arrivals;
} * points_trap;

static int points_hook(const char *point)
{
    if (points_trap->victim != getpid() || strcmp(point, points_trap->point) != 0)
        return 0;
    if (atomic_fetch_add(&points_trap->arrivals, 1) + 1 == points_trap->at)
        raise(SIGKILL);
    return 0;
}

static void points_victim(void *argument)
{
    points_trap->victim = getpid();
    locks_run(argument);
}

/* ---- what the dead hold before the victim comes ---- */

static void points_die_with_all(void *argument)
{
    locks_area *area = argument;

    many_lock_acquire(&area->lock, MANY_FOREVER);
    many_rlock_acquire(&area->rlock, MANY_FOREVER);
    for (int k = 0; k < LOCKS_PERMITS; k++)
        many_bounded_semaphore_acquire(&area->bounded, MANY_FOREVER);
    raise(SIGKILL);
}

typedef struct points_case {
    const char *point;
    locks_turn *turn;
    int dead_first; /* 1: the victim comes alone, and finds a dead holder */
    int number;     /* which worker the victim is: it may be one that sets, or one that waits */
} points_case;

/* A waiter that is killed when it was woken takes the notification along, and one who waits to
 * drain may then wait until the other side comes again: the victim's place is taken, as by a user
 * who replaces it. */
static void points_go_on(locks_area *area, locks_worker *workers, int dead)
{
    uint32_t before[LOCKS_WORKERS];

    if (workers[dead].turn == locks_turn_barrier)
        CHECK_CODE(many_barrier_reset(&area->barrier), 0);
    atomic_store(&area->inside[dead], 0);
    atomic_store(&area->left[dead], atomic_load(&area->entered[dead]));
    locks_start(&workers[dead], area, workers[dead].turn, dead, 99);
    for (int k = 0; k < LOCKS_WORKERS; k++)
        before[k] = atomic_load(&area->turns[k]);
    for (int k = 0; k < LOCKS_WORKERS; k++)
        UNTIL(atomic_load(&area->turns[k]) > before[k] + 3);
}

static void points_try(const points_case *this, uint32_t at)
{
    locks_area *area = locks_open();
    locks_worker workers[LOCKS_WORKERS];
    const int victim = this->number;

    points_trap->point = this->point;
    points_trap->at = at;
    points_trap->victim = 0;
    atomic_store(&points_trap->arrivals, 0);
    if (this->dead_first)
        CHECK_EQUAL(test_in_child(points_die_with_all, area), SIGKILL);
    for (int k = 0; k < LOCKS_WORKERS; k++) {
        workers[k] = (locks_worker){area, this->turn, k, at * 100 + (uint64_t)k, 0};
        if (k != victim && !this->dead_first)
            workers[k].process = test_child_start(locks_run, &workers[k]);
    }
    workers[victim].process = test_child_start(points_victim, &workers[victim]);
    CHECK_EQUAL(test_child_wait(workers[victim].process), SIGKILL);
    CHECK_EQUAL(atomic_load(&points_trap->arrivals), at);
    for (int k = 0; k < LOCKS_WORKERS && this->dead_first; k++)
        if (k != victim)
            workers[k].process = test_child_start(locks_run, &workers[k]);
    points_go_on(area, workers, victim);
    locks_stop(area, workers, LOCKS_WORKERS);
    locks_check_usable(area);
}

static void points_each(const points_case *cases, size_t count)
{
    static const uint32_t at[] = {1, 2, 7};

    points_trap = test_shared(sizeof *points_trap);
    many_fault_hook_ = points_hook;
    for (size_t k = 0; k < count; k++)
        for (size_t i = 0; i < sizeof at / sizeof at[0]; i++)
            if (!cases[k].dead_first || i == 0)
                points_try(&cases[k], at[i]);
    many_fault_hook_ = NULL;
}

#define POINTS_EACH(...)                                                                           \
    do {                                                                                           \
        const points_case cases[] = {__VA_ARGS__};                                                 \
        points_each(cases, sizeof cases / sizeof cases[0]);                                        \
    } while (0)

TEST(death_at_a_point_of_the_lock)
{
    POINTS_EACH(
        {"owner.take.claimed", locks_turn_lock, 0, 0}, {"owner.take.asleep", locks_turn_lock, 0, 0},
        {"owner.give.free", locks_turn_lock, 0, 0}, {"owner.take.dead", locks_turn_lock, 1, 0},
        {"owner.take.claimed", locks_turn_lock, 1, 0}, {"owner.mend", locks_turn_lock, 1, 0});
}

TEST(death_at_a_point_of_the_rlock)
{
    POINTS_EACH(
        {"owner.take.claimed", locks_turn_rlock, 0, 0},
        {"owner.take.asleep", locks_turn_rlock, 0, 0}, {"owner.give.free", locks_turn_rlock, 0, 0},
        {"owner.take.dead", locks_turn_rlock, 1, 0}, {"owner.mend", locks_turn_rlock, 1, 0});
}

TEST(death_at_a_point_of_the_semaphore)
{
    POINTS_EACH({"semaphore.acquire.taken", locks_turn_bounded, 0, 0},
                {"semaphore.acquire.asleep", locks_turn_bounded, 0, 0},
                {"semaphore.release.free", locks_turn_bounded, 0, 0},
                {"semaphore.release.quiet", locks_turn_bounded, 0, 0},
                {"semaphore.acquire.dead", locks_turn_bounded, 1, 0});
}

TEST(death_at_a_point_of_the_event)
{
    POINTS_EACH({"event.set.unseen", locks_turn_event, 0, 0},
                {"event.set.changed", locks_turn_event, 0, 0},
                {"event.wait.asleep", locks_turn_event, 0, 3});
}

TEST(death_at_a_point_of_the_condition)
{
    POINTS_EACH({"condition.wait.released", locks_turn_condition, 0, 0},
                {"condition.wait.woken", locks_turn_condition, 0, 0},
                {"condition.notify.granted", locks_turn_condition, 0, 0},
                {"condition.notify.changed", locks_turn_condition, 0, 0},
                {"owner.take.claimed", locks_turn_condition, 0, 0});
}

static void points_overtake(void *argument)
{
    locks_area *area = argument;

    points_trap->victim = getpid();
    many_lock_acquire(&area->lock, MANY_FOREVER);
    many_condition_wait(&area->filled, &area->lock, LOCKS_LONG_S);
}

/* A waiter that comes while a grant is not taken yet, and is killed before it takes one. */
TEST(death_between_overtaking_and_taking_a_grant)
{
    locks_area *area = locks_open();
    pid_t victim;

    points_trap = test_shared(sizeof *points_trap);
    points_trap->point = "condition.wait.overtaken";
    points_trap->at = 1;
    many_fault_hook_ = points_hook;
    area->filled.changes_ = 5;
    area->filled.waiters_ = area->filled.granted_ = 1;
    victim = test_child_start(points_overtake, area);
    UNTIL(__atomic_load_n(&area->filled.waiters_, __ATOMIC_SEQ_CST) == 2);
    CHECK_CODE(many_lock_acquire(&area->lock, LOCKS_LONG_S), 0);
    CHECK_CODE(many_condition_notify(&area->filled, 1), 0);
    CHECK_EQUAL(test_child_wait(victim), SIGKILL);
    CHECK_EQUAL(area->filled.granted_, 2);
    CHECK_CODE(many_condition_wait(&area->filled, &area->lock, 0.02), -ETIMEDOUT);
    CHECK_CODE(many_lock_release(&area->lock), 0);
    locks_check_usable(area);
    many_fault_hook_ = NULL;
}

TEST(death_at_a_point_of_the_barrier)
{
    POINTS_EACH({"barrier.locked", locks_turn_barrier, 0, 0},
                {"barrier.recorded", locks_turn_barrier, 0, 0},
                {"barrier.asleep", locks_turn_barrier, 0, 0},
                {"barrier.left", locks_turn_barrier, 0, 0},
                {"barrier.changed", locks_turn_barrier, 0, 0},
                {"owner.take.claimed", locks_turn_barrier, 0, 0});
}

/* ---- the debug mode's tables ---- */

static void points_use_tables(void *argument)
{
    locks_area *area = argument;

    points_trap->victim = getpid();
    many_lock_name(&area->lock, "a name that takes more than one word");
    many_lock_acquire(&area->lock, MANY_FOREVER);
}

static void points_watched(void *argument)
{
    locks_area *area = argument;
    static const char *const points[] = {"tables.claim", "tables.name", "owner.take.claimed"};

    CHECK_CODE(many_lock_debug(NULL, NULL), 0);
    for (size_t k = 0; k < sizeof points / sizeof points[0]; k++) {
        points_trap->point = points[k];
        points_trap->at = 1;
        atomic_store(&points_trap->arrivals, 0);
        CHECK_EQUAL(test_in_child(points_use_tables, area), SIGKILL);
        points_trap->victim = 0;
        locks_check_usable(area);
    }
}

TEST(death_at_a_point_of_the_debug_mode)
{
    points_trap = test_shared(sizeof *points_trap);
    many_fault_hook_ = points_hook;
    CHECK_EQUAL(test_in_child(points_watched, locks_open()), 0);
    many_fault_hook_ = NULL;
}

/* ---- what waiting costs ---- */

#define POINTS_CROWD  24
#define POINTS_WAIT_S 0.6

static _Atomic uint32_t points_looks;

static int points_count_looks(const char *point)
{
    if (strcmp(point, "self.open") == 0)
        atomic_fetch_add(&points_looks, 1);
    return 0;
}

static void *points_wait_for_permit(void *semaphore)
{
    CHECK_CODE(many_semaphore_acquire(semaphore, POINTS_WAIT_S), -ETIMEDOUT);
    return NULL;
}

static void *points_wait_for_parties(void *barrier)
{
    CHECK(many_barrier_wait(barrier, POINTS_WAIT_S) < 0);
    return NULL;
}

/* However many wait, there is a look at each holder for each 25 ms or so, and not for each waiter:
 * that would be 24 times as many. At the very end each looks for itself. */
static void points_check_looks(void *(*wait)(void *object), void *object)
{
    const double begin = test_seconds();
    pthread_t crowd[POINTS_CROWD];
    double looks_at_all;

    atomic_store(&points_looks, 0);
    many_fault_hook_ = points_count_looks;
    for (int k = 0; k < POINTS_CROWD; k++)
        CHECK_EQUAL(pthread_create(&crowd[k], NULL, wait, object), 0);
    for (int k = 0; k < POINTS_CROWD; k++)
        CHECK_EQUAL(pthread_join(crowd[k], NULL), 0);
    many_fault_hook_ = NULL;
    looks_at_all = (test_seconds() - begin) / 0.025 + 27; /* the first slices are short */
    CHECK(atomic_load(&points_looks) > 32);
    CHECK(atomic_load(&points_looks) <= 2 * 32 * looks_at_all + 33 * POINTS_CROWD);
}

TEST(a_crowd_that_waits_for_permits_looks_at_their_holders_once)
{
    static many_semaphore semaphore = {.permits = MANY_SEMAPHORE_HOLDERS};
    const many_identity_ alive[] = {many_self_(), many_self_of_(getppid())};

    for (int k = 0; k < MANY_SEMAPHORE_HOLDERS; k++)
        semaphore.holders_[k] = alive[k % 2];
    points_check_looks(points_wait_for_permit, &semaphore);
}

TEST(a_crowd_at_a_barrier_looks_at_itself_once)
{
    static many_barrier barrier = {.parties = POINTS_CROWD + 1};

    points_check_looks(points_wait_for_parties, &barrier);
}

/* ---- forged and hostile ---- */

/* The number of a thread that lives, with the start time of one that had it before. */
TEST(the_number_of_the_dead_that_another_thread_has_now_deceives_nobody)
{
    locks_area *area = locks_open();
    const many_identity_ forged = many_self_of_(getppid()) + (UINT64_C(3) << 32);

    CHECK(forged >> 32 != 3);
    area->lock.owner_ = forged;
    CHECK_CODE(many_lock_acquire(&area->lock, LOCKS_LONG_S), -EOWNERDEAD);
    CHECK_CODE(many_lock_consistent(&area->lock), 0);
    CHECK_CODE(many_lock_release(&area->lock), 0);
    for (int k = 0; k < LOCKS_PERMITS; k++)
        area->bounded.semaphore.holders_[k] = forged;
    for (int k = 0; k < LOCKS_PERMITS; k++)
        CHECK_CODE(many_bounded_semaphore_acquire(&area->bounded, LOCKS_LONG_S), -EOWNERDEAD);
    CHECK_CODE(many_bounded_semaphore_release(&area->bounded, LOCKS_PERMITS), 0);
    area->barrier.holders_[3] = forged;
    area->barrier.arrived_ = 1;
    CHECK_CODE(many_barrier_wait(&area->barrier, LOCKS_LONG_S), -MANY_EBROKEN);
    CHECK_CONTAINS(many_error_message(), "is dead");
    locks_check_usable(area);
}

/* Without /proc a killed process is noticed when it is reaped. */
static int points_no_proc(const char *point)
{
    return strcmp(point, "self.open") == 0 ? -EMFILE : 0;
}

TEST(without_descriptors_the_dead_are_noticed_too)
{
    locks_area *area = locks_open();

    many_fault_hook_ = points_no_proc;
    CHECK_EQUAL(test_in_child(points_die_with_all, area), SIGKILL);
    CHECK_CODE(many_lock_acquire(&area->lock, LOCKS_LONG_S), -EOWNERDEAD);
    CHECK_CODE(many_lock_consistent(&area->lock), 0);
    CHECK_CODE(many_lock_release(&area->lock), 0);
    locks_check_usable(area);
    many_fault_hook_ = NULL;
}
