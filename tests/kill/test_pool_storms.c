/* SPDX-License-Identifier: MIT */
/*
 * test_pool_storms.c - parties of a pool of processes are stopped, or come late, at the worst moment
 *
 * A kill is one thing that may happen between two steps of a protocol; that somebody is slow there is another: then
 * he goes on later, and all that he believes is old. Fault points put him there.
 */
#include "pool/supervised.h"
#include "pool/table_made.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/fault.h"
#include "kill/ledger.h"
#include "pool/process_pool.h"

#define STORMS_WORKERS 3
#define STORMS_ROUNDS  15
#define STORMS_TASKS   60
#define STORMS_BLOCKS  40

/* In shared memory, for hooks in whatever process. */
static struct storms {
    _Atomic int armed;
    _Atomic pid_t stopped;
    _Atomic int submitted;
    _Atomic int count;
    _Atomic int over;
    many_worker_record_ *record; /* of the workers, at the same address in all forks */
} * storms;

static many_pool *storms_pool; /* in the owner */

static void storms_begin(many_fault_hook_fn_ *hook)
{
    storms = test_shared(sizeof *storms);
    many_fault_hook_ = hook;
}

static const many_table_ *storms_table(many_pool *pool)
{
    return ((many_process_pool_ *)pool)->table;
}

/* ---- a ready ticket is in no lane, while its submitter tidies ---- */

static many_table_ *storms_looker;

static int storms_look(const char *point)
{
    if (strcmp(point, "lane.tidy.out") == 0 && storms_looker != NULL) {
        /* A worker that is about to sleep finds nothing, and clears the mark. */
        CHECK_EQUAL(many_table_work_(storms_looker), 0);
        storms_looker = NULL;
    }
    return 0;
}

TEST(what_was_tidied_is_found_by_who_looked_meanwhile)
{
    many_table_ *owner = table_made(1, 0);
    many_table_ *worker = table_as(owner, 1);
    _Atomic uint64_t intent = 0;
    const uint64_t key = table_submit(owner, 3, 0);

    storms_begin(storms_look);
    storms_looker = worker;
    many_lanes_tidy_(owner);
    many_fault_hook_ = NULL;
    CHECK(storms_looker == NULL);
    CHECK(many_table_work_(worker) == 1);
    CHECK(many_table_claim_(worker, 0, &intent) == key);
    many_table_close_(worker);
    many_table_close_(owner);
}

/* ---- news of one who is slow ---- */

/* A task is submitted, and done: its key. */
static uint64_t storms_pass(many_table_ *owner, many_table_ *worker)
{
    _Atomic uint64_t intent = 0;
    const uint64_t key = table_submit(owner, 3, MANY_TICKET_NOTIFY_);

    CHECK(many_table_claim_(worker, worker->worker, &intent) == key);
    CHECK_EQUAL(many_ticket_end_(worker, key), 1);
    return key;
}

static many_table_ *storms_owner, *storms_other;

static int storms_outrun(const char *point)
{
    uint64_t key;

    if (strcmp(point, "news.put.tail") != 0 || storms_other == NULL)
        return 0;
    many_fault_hook_ = NULL;
    /* Once round the ring, and one more, which stays there. */
    for (uint32_t i = 0; i < storms_owner->region[0].news_slots; i++) {
        key = storms_pass(storms_owner, storms_other);
        CHECK(many_news_take_(storms_owner) == key);
        many_ticket_free_(storms_owner, key);
    }
    (void)storms_pass(storms_owner, storms_other);
    return 0;
}

TEST(news_of_who_was_outrun_by_a_whole_ring_find_their_place)
{
    uint64_t key, told[2];

    storms_owner = table_made(2, 0);
    storms_looker = table_as(storms_owner, 1);
    storms_other = table_as(storms_owner, 2);
    many_fault_hook_ = storms_outrun;
    key = storms_pass(storms_owner, storms_looker);
    many_fault_hook_ = NULL;
    CHECK_EQUAL(atomic_load(&storms_owner->region[0].news.scan), 0);
    told[0] = many_news_take_(storms_owner);
    told[1] = many_news_take_(storms_owner);
    CHECK(told[0] != 0 && told[1] == key);
    CHECK(many_news_take_(storms_owner) == 0);
    many_table_close_(storms_looker);
    many_table_close_(storms_other);
    many_table_close_(storms_owner);
    storms_looker = storms_other = storms_owner = NULL;
}

/* ---- the process of a taker is killed while it gathers, or gives back what is its own ---- */

static const char *storms_die_at;
static int storms_die_hit;

static int storms_die(const char *point)
{
    if (storms_die_at != NULL && strcmp(point, storms_die_at) == 0 && storms_die_hit-- == 0)
        kill(getpid(), SIGKILL);
    return 0;
}

/* Take so many blocks, give all back, and take as many again. */
static void storms_turn_over(void *argument)
{
    many_table_ *table = argument;
    uint64_t block[STORMS_BLOCKS];

    many_fault_hook_ = storms_die;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < STORMS_BLOCKS; i++) {
            block[i] = many_arena_take_(table, 1000, 0);
            CHECK(block[i] != 0);
        }
        for (int i = 0; i < STORMS_BLOCKS; i++)
            many_arena_give_(table, block[i]);
    }
}

TEST(no_block_is_lost_with_who_gathered_blocks)
{
    static const char *const points[] = {"arena.gather.noted", "arena.gather.free",
                                         "arena.give.returned"};
    const int hits[] = {0, 1, STORMS_BLOCKS / 2};

    for (size_t p = 0; p < sizeof points / sizeof points[0]; p++) {
        many_table_ *owner = table_made(1, 0);
        uint64_t bump = 0;

        for (int life = 0; life < 20; life++) {
            many_table_ *worker = table_as(owner, 1);
            int ended;

            storms_die_at = points[p];
            storms_die_hit = life % 2 == 0 ? hits[p] : 2 * hits[p];
            ended = test_in_child(storms_turn_over, worker);
            CHECK(ended == SIGKILL || (ended == 0 && p == 0));
            many_table_close_(worker);
            /* The first life has taken what all need. */
            if (life == 0)
                bump = atomic_load(&owner->region[1].arena.bump);
            CHECK_EQUAL(atomic_load(&owner->region[1].arena.bump), bump);
        }
        many_table_close_(owner);
    }
}

/* ---- a worker is stopped ---- */

/* Is this a worker that is about to sleep, and has nothing? */
static int storms_is_sleepy(void)
{
    for (int w = 0; w < 2; w++)
        if (atomic_load(&storms->record[w].pid) == getpid())
            return atomic_load(&storms->record[w].idle) == MANY_IDLE_SLEEPS_;
    return 0;
}

/* armed: 1: who comes first; 2: he has found a lane empty; 3: he has cleared its mark. */
static int storms_stop_behind_the_mark(const char *point)
{
    int armed = 1;

    if (strcmp(point, "lane.mark.empty") == 0) {
        if (atomic_load(&storms->armed) != 1 || !storms_is_sleepy() ||
            !atomic_compare_exchange_strong(&storms->armed, &armed, 2))
            return 0;
        atomic_store(&storms->stopped, getpid());
        UNTIL(atomic_load(&storms->submitted) != 0);
    } else if (strcmp(point, "lane.mark.cleared") == 0 &&
               atomic_load(&storms->stopped) == getpid()) {
        atomic_store(&storms->armed, 3);
        raise(SIGSTOP);
    } else if (strcmp(point, "rest.wake.cleared") == 0 && atomic_load(&storms->armed) == 2 &&
               storms_pool != NULL) {
        /* The owner: it has seen the mark set, and has not woken the other one yet. */
        atomic_store(&storms->submitted, 1);
        UNTIL(atomic_load(&storms->armed) == 3);
    }
    return 0;
}

TEST(a_task_is_found_though_who_cleared_the_mark_was_stopped)
{
    many_future *future = NULL;
    many_pool *pool;
    long number = 7, square = 0;

    storms_begin(storms_stop_behind_the_mark);
    pool = supervised_open(2);
    supervised_check_whole(pool, 2);
    storms->record = storms_table(pool)->record;
    atomic_store(&storms->armed, 1);
    /* Each marks its lane, which is empty soon. */
    while (atomic_load(&storms->stopped) == 0)
        CHECK_CODE(many_pool_apply(pool, supervised_square, &number, &square), 0);
    storms_pool = pool;
    CHECK_CODE(many_pool_submit(pool, supervised_square, &number, &future,
                                .arg_bytes = sizeof number, .result_bytes = sizeof square),
               0);
    atomic_store(&storms->submitted, 1);
    CHECK_CODE(many_future_result(future, &square, sizeof square, MANY_FOREVER),
               (long)sizeof square);
    CHECK_EQUAL(square, 49);
    many_future_close(future);
    CHECK(kill(atomic_load(&storms->stopped), SIGCONT) == 0);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
    many_fault_hook_ = NULL;
    storms_pool = NULL;
}

static int storms_stop_as_searcher(const char *point)
{
    int armed = 1;

    if (strcmp(point, "worker.searches") == 0 && atomic_load(&storms->armed) == 1 &&
        atomic_compare_exchange_strong(&storms->armed, &armed, 2)) {
        atomic_store(&storms->stopped, getpid());
        raise(SIGSTOP);
    }
    return 0;
}

TEST(a_stopped_searcher_does_not_keep_others_asleep_for_ever)
{
    many_pool *pool;
    uint32_t searcher;
    long number = 7, square = 0;

    if (many_usable_cpus() < 2)
        test_skip("nobody searches where there is one CPU");
    storms_begin(storms_stop_as_searcher);
    pool = supervised_open(2);
    supervised_check_whole(pool, 2);
    atomic_store(&storms->armed, 1);
    CHECK_CODE(many_pool_apply(pool, supervised_square, &number, &square), 0);
    UNTIL(atomic_load(&storms->stopped) != 0);
    searcher = atomic_load(&storms_table(pool)->head->rest.searcher);
    CHECK(searcher != 0);
    do
        CHECK_CODE(many_pool_apply(pool, supervised_square, &number, &square), 0);
    while (atomic_load(&storms_table(pool)->head->rest.searcher) == searcher);
    CHECK(kill(atomic_load(&storms->stopped), SIGCONT) == 0);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
    many_fault_hook_ = NULL;
}

/* ---- the supervisor is stopped, and the owner killed ---- */

static void storms_be_owner(void *argument)
{
    many_pool *pool = supervised_open(2);

    (void)argument;
    atomic_store(&storms->stopped, supervised_by(pool));
    for (;;)
        pause();
}

static void storms_kill_owner(void *argument)
{
    pid_t owner;

    (void)argument;
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    owner = test_child_start(storms_be_owner, NULL);
    UNTIL(atomic_load(&storms->stopped) != 0);
    CHECK(kill(atomic_load(&storms->stopped), SIGSTOP) == 0);
    CHECK(kill(owner, SIGKILL) == 0);
    /* All of them come to us. */
    while (waitpid(-1, NULL, 0) > 0) {
    }
    CHECK_EQUAL(errno, ECHILD);
}

TEST(a_stopped_supervisor_goes_on_when_its_owner_dies_and_nobody_is_left)
{
    storms_begin(NULL);
    CHECK_EQUAL(test_in_child(storms_kill_owner, NULL), 0);
}

/* ---- a fork that comes back ---- */

static int storms_fork(void *argument)
{
    /* An exec that failed, say, and that nobody looked at. */
    const pid_t parent = getpid(), child = fork();

    (void)argument;
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        return getppid() == parent ? 0 : -ESRCH;
    }
    waitpid(child, NULL, 0);
    return 0;
}

TEST(a_fork_made_by_the_initializer_is_no_second_worker)
{
    many_pool *pool = NULL;
    pid_t supervisor;

    storms_begin(NULL);
    CHECK_CODE(
        many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = 2, .initializer = storms_fork), 0);
    supervisor = ((many_process_pool_ *)pool)->supervision.supervisor->pid;
    for (int i = 0; i < 200; i++)
        CHECK_EQUAL(supervised_by(pool), supervisor);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

/* ---- who ends a task by its id is late ---- */

static int storms_is_cancelled(const void *item, void *result, void *context)
{
    (void)item;
    (void)context;
    atomic_fetch_add(&storms->count, 1);
    UNTIL(atomic_load(&storms->over) != 0);
    *(int *)result = many_cancelled();
    return 0;
}

static int storms_until_submitted(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    (void)context;
    atomic_fetch_add(&storms->count, 1);
    UNTIL(atomic_load(&storms->submitted) != 0);
    return 0;
}

static many_future *storms_first, *storms_second;

static int storms_reuse(const char *point)
{
    if (strcmp(point, "process.terminate.asked") != 0 || atomic_exchange(&storms->armed, 0) == 0)
        return 0;
    /* Meanwhile the task ends, is closed, and its ticket is another's. */
    atomic_store(&storms->submitted, 1);
    CHECK_CODE(many_future_wait(storms_first, MANY_FOREVER), 0);
    many_future_close(storms_first);
    CHECK_CODE(many_pool_submit(storms_pool, storms_is_cancelled, NULL, &storms_second,
                                .result_bytes = sizeof(int)),
               0);
    UNTIL(atomic_load(&storms->count) == 2);
    return 0;
}

TEST(who_ends_a_task_by_its_id_and_is_late_ends_no_other)
{
    many_future *guest = NULL;
    int cancelled = -1;

    storms_begin(storms_reuse);
    storms_pool = supervised_open(1);
    CHECK_CODE(many_pool_submit(storms_pool, storms_until_submitted, NULL, &storms_first,
                                .result_bytes = sizeof(int)),
               0);
    UNTIL(atomic_load(&storms->count) == 1);
    CHECK_CODE(many_future_from_id(&guest, many_future_id(storms_first)), 0);
    atomic_store(&storms->armed, 1);
    CHECK(many_future_terminate(guest, 60) >= 0);
    CHECK_EQUAL(atomic_load(&storms->armed), 0);
    atomic_store(&storms->over, 1);
    CHECK_CODE(many_future_result(storms_second, &cancelled, sizeof cancelled, MANY_FOREVER),
               (long)sizeof cancelled);
    CHECK_EQUAL(cancelled, 0);
    many_future_close(storms_second);
    many_future_close(guest);
    CHECK_CODE(many_pool_close(storms_pool, MANY_FOREVER), 0);
    many_fault_hook_ = NULL;
}

/* ---- who ends a try is late ---- */

static int storms_condemn_late(const char *point)
{
    int armed = 1;

    if (strcmp(point, "supervisor.condemn.task") == 0 &&
        atomic_compare_exchange_strong(&storms->armed, &armed, 2))
        UNTIL(atomic_load(&storms->count) == 2);
    else if (strcmp(point, "supervisor.round") == 0 && atomic_load(&storms->count) == 2)
        atomic_store(&storms->over, 1);
    return 0;
}

static int storms_try_twice(const void *item, void *result, void *context)
{
    (void)item;
    (void)context;
    if (atomic_fetch_add(&storms->count, 1) == 0) {
        UNTIL(atomic_load(&storms->armed) == 2);
        return -EAGAIN;
    }
    UNTIL(atomic_load(&storms->over) != 0);
    *(int *)result = 5;
    return 0;
}

TEST(a_try_is_not_ended_for_the_one_before_it)
{
    many_future *future = NULL;
    many_pool *pool;
    int result = 0;

    storms_begin(storms_condemn_late);
    atomic_store(&storms->armed, 1);
    pool = supervised_open(1);
    CHECK_CODE(many_pool_submit(pool, storms_try_twice, NULL, &future,
                                .result_bytes = sizeof result, .retries = 1, .item_limit_s = 2),
               0);
    CHECK_CODE(many_future_result(future, &result, sizeof result, MANY_FOREVER),
               (long)sizeof result);
    CHECK_EQUAL(result, 5);
    many_future_close(future);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
    many_fault_hook_ = NULL;
}

/* ---- descriptors ---- */

static void storms_open_with_few(void *argument)
{
    int opened = 0;

    (void)argument;
    for (rlim_t most = 4; most < 20; most++) {
        const struct rlimit limit = {most, 64};
        many_pool *pool = NULL;
        long number = 3, square = 0;
        int code;

        CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        code = many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = 2);
        CHECK(code == 0 || code == -EMFILE);
        if (code < 0)
            continue;
        opened = 1;
        CHECK_CODE(many_pool_apply(pool, supervised_square, &number, &square), 0);
        CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
    }
    CHECK(opened);
}

TEST(a_pool_that_has_too_few_descriptors_does_not_open)
{
    storms_begin(NULL);
    CHECK_EQUAL(test_in_child(storms_open_with_few, NULL), 0);
}

/* ---- everybody, at random ---- */

static void storms_hit(pid_t pid, uint64_t *seed, int supervisor)
{
    const struct timespec doze = {0, (long)ledger_random(seed, 2000000)};

    if (pid <= 0)
        return;
    if (!supervisor && ledger_random(seed, 3) == 0) {
        kill(pid, SIGKILL);
        return;
    }
    kill(pid, SIGSTOP);
    nanosleep(&doze, NULL);
    kill(pid, SIGCONT);
}

/* In the process of the storm, which sees the table: pids there are of the pool until it ends. */
static void storms_blow(void *argument)
{
    many_pool *pool = argument;
    const many_table_ *table = storms_table(pool);
    const pid_t supervisor = ((many_process_pool_ *)pool)->supervision.supervisor->pid;
    uint64_t seed = 1;

    while (!atomic_load(&storms->over)) {
        const int w = (int)ledger_random(&seed, STORMS_WORKERS + 1);
        const struct timespec doze = {0, (long)ledger_random(&seed, 1000000)};

        storms_hit(w == STORMS_WORKERS ? supervisor : atomic_load(&table->record[w].pid), &seed,
                   w == STORMS_WORKERS);
        nanosleep(&doze, NULL);
    }
}

static int storms_task(const void *item, void *result, void *context)
{
    const long *number = item;
    long inner[2] = {*number, 0};

    (void)context;
    if (*number % 5 == 0)
        (void)many_pool_apply(many_pool_current(), supervised_square, &inner[0], &inner[1]);
    *(long *)result = *number * *number;
    return 0;
}

static void storms_round(many_pool *pool, uint64_t *seed)
{
    many_future *future[STORMS_TASKS];
    long number[STORMS_TASKS];

    for (int i = 0; i < STORMS_TASKS; i++) {
        number[i] = (long)ledger_random(seed, 100000);
        CHECK_CODE(many_pool_submit(pool, storms_task, &number[i], &future[i],
                                    .arg_bytes = sizeof number[i], .result_bytes = sizeof(long),
                                    .priority = (int)ledger_random(seed, 3) - 1,
                                    .retries = (int)ledger_random(seed, 2) * 3),
                   0);
        if (ledger_random(seed, 15) == 0)
            (void)many_future_cancel(future[i]);
        else if (ledger_random(seed, 15) == 0)
            (void)many_future_terminate(future[i], (double)ledger_random(seed, 2) / 500);
    }
    for (int i = 0; i < STORMS_TASKS; i++) {
        long square = -1;
        const long code = (long)many_future_result(future[i], &square, sizeof square, MANY_FOREVER);

        CHECK(code == -MANY_EDIED || code == -ECANCELED ||
              (code == (long)sizeof square && square == number[i] * number[i]));
        many_future_close(future[i]);
    }
}

TEST(a_storm_of_stops_and_kills_loses_nothing)
{
    uint64_t seed = 2;
    many_pool_status status;
    many_pool *pool;
    pid_t storm;

    storms_begin(NULL);
    pool = supervised_open(STORMS_WORKERS);
    supervised_check_whole(pool, STORMS_WORKERS);
    storm = test_child_start(storms_blow, pool);
    for (int round = 0; round < STORMS_ROUNDS; round++)
        storms_round(pool, &seed);
    atomic_store(&storms->over, 1);
    CHECK_EQUAL(test_child_wait(storm), 0);
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
    CHECK(many_pool_look(pool, &status, NULL, 0) > 0);
    CHECK_EQUAL(status.waiting, 0);
    CHECK_EQUAL(status.running, 0);
    supervised_check_whole(pool, STORMS_WORKERS);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}
