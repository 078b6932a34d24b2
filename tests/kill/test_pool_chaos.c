/* SPDX-License-Identifier: MIT */
/*
 * test_pool_chaos.c - workers of a pool are killed at random times, and now and then what makes them
 *
 * Meanwhile the owner submits tasks (some of which submit), maps and iterates, and keeps book: each outcome is there,
 * and true; nothing is begun more often than it may be; no more is lost than the killed can have had; and in the
 * end the pool is whole, with no more descriptors and memory than before. The random times are the experiment;
 * nothing is synchronised by them. MANY_SOAK in the environment makes it ten times as long.
 */
#include "pool/supervised.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <many/imap.h>
#include <many/pool_map.h>

#include "kill/killer.h"

#define CHAOS_WORKERS 4
#define CHAOS_TASKS   300
#define CHAOS_NESTED  2
#define CHAOS_ITEMS   3000
#define CHAOS_RETRIES 3

/* Six regions, each with some tickets, lanes and blocks. */
#define CHAOS_STEPS_BYTES ((uint64_t)16 << 20)

#define CHAOS_SPARE 6

/* One kill in so many is the supervisor's. */
#define CHAOS_SUPERVISORS 40

/* In shared memory. */
typedef struct chaos {
    killer hunt;
    _Atomic uint32_t workers_killed, supervisors_killed;
    _Atomic uint32_t begun; /* tasks and items of all rounds */
    _Atomic uint32_t task[CHAOS_TASKS * (CHAOS_NESTED + 1)];
    _Atomic uint32_t item[CHAOS_ITEMS];
    _Atomic uint32_t called[CHAOS_TASKS];
} chaos;

static chaos *chaos_book;
static uint64_t chaos_lost; /* tasks and items that died with a worker */

/* ---- the killer ---- */

static void chaos_kill_one(killer *hunt, pid_t owner, int supervisor)
{
    pid_t made[8], pids[KILLER_PIDS_MOST];
    int count = killer_children(owner, made, 8);
    int fd;

    /* Its children are the killer itself, which does not count itself, and the supervisor. */
    if (count == 0)
        return;
    hunt->parent = supervisor ? owner : made[0];
    if (supervisor) {
        fd = killer_hit(hunt, made[0]);
    } else {
        count = killer_children(made[0], pids, KILLER_PIDS_MOST);
        if (count == 0)
            return;
        fd = killer_hit(hunt, pids[ledger_random(&hunt->seed, (uint64_t)count)]);
    }
    if (fd < 0)
        return;
    atomic_fetch_add(supervisor ? &chaos_book->supervisors_killed : &chaos_book->workers_killed, 1);
    killer_bury(hunt, fd);
}

static void chaos_kill(void *argument)
{
    killer *hunt = argument;
    const pid_t owner = getppid();
    uint32_t begun = 0;

    while (!atomic_load(&hunt->over)) {
        killer_doze((double)(1 + ledger_random(&hunt->seed, 2 * hunt->mean_us)));
        chaos_kill_one(hunt, owner, ledger_random(&hunt->seed, CHAOS_SUPERVISORS) == 0);
        /* Else a busy machine lets nobody get to work between two kills. */
        UNTIL(atomic_load(&hunt->over) || atomic_load(&chaos_book->begun) != begun);
        begun = atomic_load(&chaos_book->begun);
    }
}

/* ---- tasks ---- */

typedef struct chaos_item {
    uint32_t number;
    int nests;
} chaos_item;

typedef struct chaos_result {
    uint64_t hash, number;
} chaos_result;

static void chaos_spin(uint32_t us)
{
    const double until = test_seconds() + us / 1e6;

    while (test_seconds() < until) {
    }
}

static int chaos_task(const void *given, void *result, void *context)
{
    const chaos_item *item = given;
    many_future *inner[CHAOS_NESTED];

    (void)context;
    atomic_fetch_add(&chaos_book->task[item->number], 1);
    atomic_fetch_add(&chaos_book->begun, 1);
    chaos_spin(item->number % 7 * 10);
    for (int k = 0; item->nests && k < CHAOS_NESTED; k++) {
        const chaos_item less = {CHAOS_TASKS + item->number * CHAOS_NESTED + (uint32_t)k, 0};

        CHECK_CODE(many_pool_submit(many_pool_current(), chaos_task, &less, &inner[k],
                                    .arg_bytes = sizeof less, .result_bytes = sizeof(chaos_result)),
                   0);
    }
    for (int k = 0; item->nests && k < CHAOS_NESTED; k++) {
        chaos_result got;
        long code = (long)many_future_result(inner[k], &got, sizeof got, MANY_FOREVER);

        CHECK(code == -MANY_EDIED || (code == sizeof got && got.hash == ledger_hash(got.number)));
        many_future_close(inner[k]);
    }
    *(chaos_result *)result = (chaos_result){ledger_hash(item->number), item->number};
    return 0;
}

static int chaos_map(const void *given, void *result, void *context)
{
    const uint32_t number = *(const uint32_t *)given;

    (void)context;
    atomic_fetch_add(&chaos_book->item[number], 1);
    atomic_fetch_add(&chaos_book->begun, 1);
    chaos_spin(number % 5);
    *(chaos_result *)result = (chaos_result){ledger_hash(number), number};
    return 0;
}

static int chaos_called(many_future *future, void *context)
{
    CHECK_EQUAL(many_future_done(future), 1);
    atomic_fetch_add(&chaos_book->called[(uintptr_t)context - 1], 1);
    return 0;
}

/* ---- a round ---- */

static int chaos_retries(uint32_t number)
{
    return number % 4 == 1 ? CHAOS_RETRIES : 0;
}

static void chaos_check_task(many_future *future, uint32_t number)
{
    chaos_result got;
    long code = (long)many_future_result(future, &got, sizeof got, MANY_FOREVER);
    const uint32_t begun = atomic_load(&chaos_book->task[number]);

    CHECK(begun <= 1U + (uint32_t)chaos_retries(number));
    if (code == sizeof got) {
        CHECK(begun >= 1 && got.number == number && got.hash == ledger_hash(number));
        return;
    }
    CHECK_CODE(code, -MANY_EDIED);
    chaos_lost++;
}

static void chaos_submit(many_pool *pool)
{
    many_future *futures[CHAOS_TASKS];

    memset((void *)chaos_book->task, 0, sizeof chaos_book->task);
    memset((void *)chaos_book->called, 0, sizeof chaos_book->called);
    for (uint32_t i = 0; i < CHAOS_TASKS; i++) {
        const chaos_item item = {i, i % 4 == 0};

        CHECK_CODE(many_pool_submit(
                       pool, chaos_task, &item, &futures[i], .arg_bytes = sizeof item,
                       .result_bytes = sizeof(chaos_result), .retries = chaos_retries(i),
                       .priority = (int)(i % 3) - 1, .on_done = i % 3 == 0 ? chaos_called : NULL,
                       .on_done_context = i % 3 == 0 ? (void *)(uintptr_t)(i + 1) : NULL),
                   0);
    }
    for (uint32_t i = 0; i < CHAOS_TASKS; i++)
        chaos_check_task(futures[i], i);
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
    for (uint32_t i = 0; i < CHAOS_TASKS; i++) {
        CHECK_EQUAL(atomic_load(&chaos_book->called[i]), i % 3 == 0);
        many_future_close(futures[i]);
    }
    for (uint32_t i = CHAOS_TASKS; i < CHAOS_TASKS * (CHAOS_NESTED + 1); i++)
        CHECK(atomic_load(&chaos_book->task[i]) <= 1);
}

static void chaos_check_item(uint32_t number, long code, const chaos_result *got)
{
    CHECK(atomic_load(&chaos_book->item[number]) <= 1);
    if (code != 0) {
        CHECK_CODE(code, -MANY_EDIED);
        chaos_lost++;
        return;
    }
    CHECK_EQUAL(atomic_load(&chaos_book->item[number]), 1);
    CHECK(got->number == number && got->hash == ledger_hash(number));
}

static void chaos_map_all(many_pool *pool)
{
    static uint32_t in[CHAOS_ITEMS];
    static chaos_result out[CHAOS_ITEMS];
    static int codes[CHAOS_ITEMS];

    memset((void *)chaos_book->item, 0, sizeof chaos_book->item);
    for (uint32_t i = 0; i < CHAOS_ITEMS; i++) {
        in[i] = i;
        codes[i] = 4711;
    }
    (void)many_pool_map(pool, chaos_map, in, out, CHAOS_ITEMS, .on_error = MANY_GO_ON,
                        .codes = codes);
    for (uint32_t i = 0; i < CHAOS_ITEMS; i++)
        chaos_check_item(i, codes[i], &out[i]);
}

static int chaos_next(void *item, void *context)
{
    uint32_t *next = context;

    if (*next == CHAOS_ITEMS)
        return 0;
    *(uint32_t *)item = (*next)++;
    return 1;
}

static void chaos_iterate(many_pool *pool, int unordered)
{
    static char seen[CHAOS_ITEMS];
    uint32_t next = 0, count = 0;
    many_imap *it = NULL;
    chaos_result got;
    int code;

    memset((void *)chaos_book->item, 0, sizeof chaos_book->item);
    memset(seen, 0, sizeof seen);
    CHECK_CODE(many_pool_imap(pool, &it, chaos_map, chaos_next, &next,
                              .item_bytes = sizeof(uint32_t), .result_bytes = sizeof got,
                              .unordered = unordered),
               0);
    while ((code = many_imap_next(it, &got, sizeof got, NULL, MANY_FOREVER)) != 0) {
        const size_t index = many_imap_index(it);

        CHECK(code == 1 || many_imap_failed(it));
        CHECK(index < CHAOS_ITEMS && !seen[index] && (unordered || index == count));
        seen[index] = 1;
        count++;
        chaos_check_item((uint32_t)index, code == 1 ? 0 : code, &got);
    }
    CHECK_EQUAL(count, CHAOS_ITEMS);
    many_imap_close(it);
}

/* ---- what grows ---- */

/* Descriptors of a process. */
static int chaos_descriptors(pid_t pid)
{
    char path[64];
    DIR *folder;
    int count = 0;

    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    folder = opendir(path);
    while (folder != NULL && readdir(folder) != NULL)
        count++;
    if (folder != NULL)
        closedir(folder);
    return count;
}

/* Bytes that the shared memory of this process's pool takes. */
static uint64_t chaos_memory(void)
{
    uint64_t bytes = 0;

    for (int fd = 3; fd < 64; fd++) {
        char path[64], name[64] = "";
        struct stat status;

        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (readlink(path, name, sizeof name - 1) > 0 && strstr(name, "many-pool") != NULL &&
            fstat(fd, &status) == 0)
            bytes += (uint64_t)status.st_blocks * 512;
    }
    return bytes;
}

static void chaos_start_killer(uint64_t seed, uint32_t mean_us)
{
    const int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

    if (fd < 0 || access("/proc/thread-self/children", R_OK) != 0)
        test_skip("needs pidfds and /proc/PID/task/TID/children");
    close(fd);
    chaos_book->hunt.seed = seed;
    chaos_book->hunt.mean_us = mean_us;
    chaos_book->hunt.way = KILLER_ONE;
    chaos_book->hunt.process = test_child_start(chaos_kill, &chaos_book->hunt);
}

static void chaos_round(many_pool *pool)
{
    chaos_submit(pool);
    chaos_map_all(pool);
    chaos_iterate(pool, 0);
    chaos_iterate(pool, 1);
}

/* Until so many were killed. */
static void chaos_run(uint32_t kills, uint32_t mean_us, size_t share)
{
    test_census before = test_census_take();
    many_pool *pool = NULL;
    uint64_t memory = 0;
    int descriptors = 0;

    chaos_book = test_shared(sizeof *chaos_book);
    chaos_lost = 0;
    CHECK_CODE(many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = CHAOS_WORKERS,
                              .tasks_per_worker = share),
               0);
    chaos_start_killer(4711 + kills + mean_us, mean_us);
    for (int round = 0; atomic_load(&chaos_book->hunt.kills) < kills; round++) {
        chaos_round(pool);
        if (round == 1) {
            memory = chaos_memory();
            descriptors = chaos_descriptors(getpid());
        }
    }
    killer_stop(&chaos_book->hunt);
    /* A worker has at most a task and one that it waits for; a batch loses the item that ran. */
    CHECK(chaos_lost <=
          2 * (uint64_t)atomic_load(&chaos_book->workers_killed) +
              2 * CHAOS_WORKERS * (uint64_t)atomic_load(&chaos_book->supervisors_killed));
    supervised_check_whole(pool, CHAOS_WORKERS);
    chaos_round(pool);
    if (memory != 0) {
        /* Some come with what is used for the first time. */
        CHECK(chaos_descriptors(getpid()) <= descriptors + CHAOS_SPARE);
        CHECK(chaos_descriptors(supervised_by(pool)) <= descriptors + CHAOS_SPARE);
        /* It grows by steps, until every region has what it needs at most. */
        CHECK(chaos_memory() <= memory + CHAOS_STEPS_BYTES);
    }
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
    CHECK_CENSUS(before);
}

static uint32_t chaos_kills(uint32_t usual)
{
    return (getenv("MANY_SOAK") != NULL ? 10 * usual : usual) / (uint32_t)test_slowness();
}

TEST(nothing_is_lost_but_what_ran_and_nothing_runs_twice_however_workers_are_killed)
{
    test_limit(getenv("MANY_SOAK") != NULL ? 1400 : 400);
    chaos_run(chaos_kills(800), 1500, 0);
}

TEST(workers_that_are_replaced_all_the_time_may_be_killed_as_well)
{
    test_limit(getenv("MANY_SOAK") != NULL ? 1400 : 400);
    chaos_run(chaos_kills(200), 3000, 20);
}
