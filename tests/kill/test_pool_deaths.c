/* SPDX-License-Identifier: MIT */
/*
 * test_pool_deaths.c - each party of a pool of processes is killed at each step of what it does
 *
 * A scene is run once with nobody killed, and the fault points that each party comes by are noted; then it is run
 * for each party and point again, and the party is killed there, at the first times and at one in the middle. What
 * has to hold: every future is over; a result is right; no task is begun twice; callbacks are called once; no more
 * tasks are lost than can have run; the pool is whole at the end; no process is left.
 */
#include "pool/supervised.h"

#include <signal.h>
#include <sys/prctl.h>

#include <many/pool_map.h>

#include "base/fault.h"

#define DEATHS_POINTS  256
#define DEATHS_TASKS   48
#define DEATHS_WORKERS 2
#define DEATHS_ITEMS   60
#define DEATHS_NESTED  2 /* by each task that submits */

enum deaths_party { DEATHS_OWNER, DEATHS_SUPERVISOR, DEATHS_WORKER, DEATHS_PARTIES };

static const char *const deaths_names[DEATHS_PARTIES] = {"the owner", "the supervisor", "a worker"};

/* In shared memory; strings are constants, at the same address in all forks. */
static struct deaths {
    const char *_Atomic point[DEATHS_POINTS]; /* seen, in the first run */
    _Atomic int hits[DEATHS_PARTIES][DEATHS_POINTS];
    _Atomic int record;
    const char *kill_at; /* NULL: nobody */
    int kill_party, kill_hit;
    _Atomic int met; /* hits of that so far */
    _Atomic int killed;
    _Atomic pid_t owner;
    _Atomic int begun[DEATHS_TASKS * (DEATHS_NESTED + 1)]; /* how often each task */
    _Atomic int called[DEATHS_TASKS];
    _Atomic int item[DEATHS_ITEMS]; /* how often each of the map */
    _Atomic int done;
} * deaths;

/* ---- the hook ---- */

static int deaths_party(void)
{
    const pid_t owner = atomic_load(&deaths->owner);

    return getpid() == owner    ? DEATHS_OWNER
           : getppid() == owner ? DEATHS_SUPERVISOR
                                : DEATHS_WORKER;
}

static void deaths_note(const char *point, int party)
{
    for (int i = 0; i < DEATHS_POINTS; i++) {
        const char *seen = atomic_load(&deaths->point[i]);

        if (seen == NULL && atomic_compare_exchange_strong(&deaths->point[i], &seen, point))
            seen = point;
        if (seen != NULL && strcmp(seen, point) == 0) {
            atomic_fetch_add(&deaths->hits[party][i], 1);
            return;
        }
    }
}

static int deaths_hook(const char *point)
{
    if (atomic_load(&deaths->owner) == 0)
        return 0;
    if (atomic_load(&deaths->record))
        deaths_note(point, deaths_party());
    else if (deaths->kill_at != NULL && strcmp(point, deaths->kill_at) == 0 &&
             deaths_party() == deaths->kill_party &&
             atomic_fetch_add(&deaths->met, 1) == deaths->kill_hit) {
        atomic_fetch_add(&deaths->killed, 1);
        kill(getpid(), SIGKILL);
    }
    return 0;
}

/* ---- the scene ---- */

typedef struct deaths_item {
    int number; /* of the counter */
    int way;
    long value;
} deaths_item;

enum {
    DEATHS_SQUARE,
    DEATHS_NEST,
    DEATHS_LIMIT,
    DEATHS_REPLY,
    DEATHS_DIE,
    DEATHS_FAIL,
    DEATHS_WAYS
};

static int deaths_nest(const deaths_item *item);

static int deaths_work(const void *given, void *result, void *context)
{
    const deaths_item *item = given;
    char long_reply[3000];

    (void)context;
    if (atomic_fetch_add(&deaths->begun[item->number], 1) != 0)
        return -EEXIST;
    switch (item->way) {
    case DEATHS_NEST:
        return deaths_nest(item);
    case DEATHS_REPLY:
        memset(long_reply, (int)item->value, sizeof long_reply);
        return many_reply(long_reply, sizeof long_reply);
    case DEATHS_DIE:
        raise(SIGKILL);
        return 0;
    case DEATHS_FAIL:
        return many_fail(-EDOM, "as it should");
    default:
        *(long *)result = item->value * item->value;
        return 0;
    }
}

/* What it waits for may be cut off with the worker that it was given to: so it does not care. */
static int deaths_nest(const deaths_item *item)
{
    many_future *futures[DEATHS_NESTED];

    for (int k = 0; k < DEATHS_NESTED; k++) {
        deaths_item inner = {DEATHS_TASKS + item->number * DEATHS_NESTED + k, DEATHS_SQUARE, k};

        CHECK_CODE(many_pool_submit(many_pool_current(), deaths_work, &inner, &futures[k],
                                    .arg_bytes = sizeof inner, .result_bytes = sizeof(long)),
                   0);
    }
    for (int k = 0; k < DEATHS_NESTED; k++) {
        long square = -1;
        long code = (long)many_future_result(futures[k], &square, sizeof square, MANY_FOREVER);

        CHECK(code == -MANY_EDIED || (code == sizeof square && square == (long)k * k));
        many_future_close(futures[k]);
    }
    return 0;
}

static int deaths_on_done(many_future *future, void *context)
{
    CHECK_EQUAL(many_future_done(future), 1);
    atomic_fetch_add(&deaths->called[(intptr_t)context], 1);
    return 0;
}

static many_future *deaths_submit(many_pool *pool, int i)
{
    deaths_item item = {i, i % DEATHS_WAYS, i};
    size_t bytes = item.way == DEATHS_REPLY || item.way == DEATHS_NEST ? 0 : sizeof(long);
    many_future *future = NULL;

    CHECK_CODE(many_pool_submit(pool, deaths_work, &item, &future, .arg_bytes = sizeof item,
                                .result_bytes = bytes, .priority = i % 3 - 1,
                                .item_limit_s = item.way == DEATHS_LIMIT ? 1000 : 0,
                                .on_done = i % 2 == 0 ? deaths_on_done : NULL,
                                .on_done_context = i % 2 == 0 ? (void *)(intptr_t)i : NULL),
               0);
    return future;
}

/* Is it what it should be? 1: yes; 0: it was lost with a worker. */
static int deaths_check(many_future *future, int i)
{
    static char reply[3000];
    const int way = i % DEATHS_WAYS;
    long square = -1;
    long code =
        (long)many_future_result(future, way == DEATHS_REPLY ? (void *)reply : &square,
                                 way == DEATHS_REPLY ? sizeof reply : sizeof square, MANY_FOREVER);
    many_cause cause;

    CHECK_EQUAL(many_future_done(future), 1);
    CHECK(atomic_load(&deaths->begun[i]) <= 1);
    CHECK_CODE(many_future_cause(future, &cause), 0);
    if (way == DEATHS_DIE) {
        CHECK_CODE(code, -MANY_EDIED);
        CHECK_CONTAINS(cause.text, "died");
        return 1;
    }
    if (code == -MANY_EDIED)
        return 0;
    CHECK_EQUAL(atomic_load(&deaths->begun[i]), 1);
    if (way == DEATHS_FAIL) {
        CHECK_CODE(code, -MANY_ETASK);
        CHECK_EQUAL(cause.code, -EDOM);
        CHECK_CONTAINS(cause.text, "as it should");
    } else if (way == DEATHS_REPLY) {
        CHECK_CODE(code, sizeof reply);
        CHECK(reply[0] == (char)i && reply[sizeof reply - 1] == (char)i);
    } else if (way == DEATHS_NEST) {
        CHECK_CODE(code, 0);
    } else {
        CHECK_CODE(code, sizeof square);
        CHECK_EQUAL(square, (long)i * i);
    }
    return 1;
}

static int deaths_map(const void *item, void *result, void *context)
{
    const int number = *(const int *)item;

    (void)context;
    atomic_fetch_add(&deaths->item[number], 1);
    if (number == 7)
        raise(SIGKILL);
    if (number == 17)
        return -EDOM;
    *(int *)result = number * number;
    return 0;
}

/* How many items were lost. */
static int deaths_check_map(many_pool *pool)
{
    int in[DEATHS_ITEMS], out[DEATHS_ITEMS], codes[DEATHS_ITEMS], lost = 0;

    for (int i = 0; i < DEATHS_ITEMS; i++) {
        in[i] = i;
        codes[i] = 4711;
    }
    CHECK(many_pool_map(pool, deaths_map, in, out, DEATHS_ITEMS, .chunk = 6, .codes = codes,
                        .on_error = MANY_GO_ON, .item_limit_s = 1000) >= 2);
    for (int i = 0; i < DEATHS_ITEMS; i++) {
        CHECK(atomic_load(&deaths->item[i]) <= 1);
        if (i == 7)
            CHECK_CODE(codes[i], -MANY_EDIED);
        else if (codes[i] == -MANY_EDIED)
            lost++;
        else
            CHECK(i == 17 ? codes[i] == -EDOM : codes[i] == 0 && out[i] == i * i);
    }
    return lost;
}

static int deaths_initialize(void *argument)
{
    (void)argument;
    return 0;
}

/* Run by a child of the test, the owner of the pool. */
static void deaths_scene(void *argument)
{
    test_census before = test_census_take();
    many_future *futures[DEATHS_TASKS];
    many_pool *pool = NULL;
    int lost = 0;

    (void)argument;
    alarm((unsigned)(60 * test_slowness()));
    atomic_store(&deaths->owner, getpid());
    CHECK_CODE(many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = DEATHS_WORKERS,
                              .initializer = deaths_initialize, .tasks_per_worker = 7),
               0);
    for (int i = 0; i < DEATHS_TASKS; i++)
        futures[i] = deaths_submit(pool, i);
    for (int i = 0; i < DEATHS_TASKS; i++)
        lost += !deaths_check(futures[i], i);
    lost += deaths_check_map(pool);
    CHECK(lost <= 2 * DEATHS_WORKERS); /* all that can have run, each with one that it waited for */
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
    for (int i = 0; i < DEATHS_TASKS; i++) {
        many_future_close(futures[i]);
        CHECK_EQUAL(atomic_load(&deaths->called[i]), i % 2 == 0);
    }
    for (int i = 0; i < DEATHS_TASKS * (DEATHS_NESTED + 1); i++)
        CHECK(atomic_load(&deaths->begun[i]) <= 1);
    if (!atomic_load(&deaths->record))
        atomic_store(&deaths->met, 1 << 20); /* what comes is not disturbed */
    supervised_check_whole(pool, DEATHS_WORKERS);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
    atomic_store(&deaths->owner, 0);
    CHECK_CENSUS(before);
    atomic_store(&deaths->done, 1);
}

/* What has lost its parent is the test's child now: until none is left. */
static void deaths_bury_all(void)
{
    while (waitpid(-1, NULL, 0) > 0 || errno != ECHILD) {
    }
}

static void deaths_begin(void)
{
    deaths = test_shared(sizeof *deaths);
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    many_fault_hook_ = deaths_hook;
}

static void deaths_clear(void)
{
    atomic_store(&deaths->owner, 0);
    atomic_store(&deaths->met, 0);
    atomic_store(&deaths->killed, 0);
    atomic_store(&deaths->done, 0);
    memset((void *)deaths->begun, 0, sizeof deaths->begun);
    memset((void *)deaths->called, 0, sizeof deaths->called);
    memset((void *)deaths->item, 0, sizeof deaths->item);
}

/* Kill this party at this point, at the hit of this number. */
static void deaths_kill_at(int party, int point, int hit)
{
    int ended;

    deaths_clear();
    deaths->kill_at = atomic_load(&deaths->point[point]);
    deaths->kill_party = party;
    deaths->kill_hit = hit;
    ended = test_in_child(deaths_scene, NULL);
    if (party != DEATHS_OWNER || !atomic_load(&deaths->killed)) {
        if (ended != 0 || !atomic_load(&deaths->done))
            fprintf(stderr, "%s was killed at %s, time %d: it ended with %d\n", deaths_names[party],
                    deaths->kill_at, hit, ended);
        CHECK_EQUAL(ended, 0);
        CHECK_EQUAL(atomic_load(&deaths->done), 1);
    } else {
        CHECK_EQUAL(ended, SIGKILL);
    }
    deaths_bury_all();
}

static void deaths_check_party(int party)
{
    static const int times[] = {0, 1, 2, 3, 5, 8};
    int points = 0, kills = 0;

    test_limit(600);
    deaths_begin();
    atomic_store(&deaths->record, 1);
    CHECK_EQUAL(test_in_child(deaths_scene, NULL), 0);
    deaths_bury_all();
    atomic_store(&deaths->record, 0);
    for (int i = 0; i < DEATHS_POINTS && atomic_load(&deaths->point[i]) != NULL; i++) {
        const int hits = atomic_load(&deaths->hits[party][i]);

        if (hits == 0)
            continue;
        points++;
        for (size_t k = 0; k < sizeof times / sizeof times[0] && times[k] < hits; k++) {
            deaths_kill_at(party, i, times[k]);
            kills += atomic_load(&deaths->killed);
        }
        if (hits > 2) {
            deaths_kill_at(party, i, hits / 2);
            kills += atomic_load(&deaths->killed);
        }
    }
    many_fault_hook_ = NULL;
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    CHECK(points > 5);
    CHECK(kills >= points); /* each was met, if not always twice */
}

TEST(a_worker_is_killed_at_each_step)
{
    deaths_check_party(DEATHS_WORKER);
}

TEST(the_supervisor_is_killed_at_each_step)
{
    deaths_check_party(DEATHS_SUPERVISOR);
}

TEST(the_owner_is_killed_at_each_step)
{
    deaths_check_party(DEATHS_OWNER);
}
