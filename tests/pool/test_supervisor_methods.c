/* SPDX-License-Identifier: MIT */
/* test_supervisor_methods.c - the processes of a pool, by every start method */
#include "process/main_first.h"

#include "pool/supervised.h"

static const int methods_all[] = {MANY_FORK, MANY_FORKSERVER, MANY_SPAWN};

#define METHODS (sizeof methods_all / sizeof methods_all[0])

static many_pool *methods_open(int method, const many_inherit *inherits, size_t count)
{
    many_pool *pool = NULL;

    CHECK_CODE(many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = 2, .method = method,
                              .inherits = inherits, .inherits_count = count),
               0);
    return pool;
}

TEST(a_pool_of_any_method_does_its_work_survives_deaths_and_leaves_nothing)
{
    for (size_t m = 0; m < METHODS; m++) {
        test_census before;
        many_pool *pool;
        pid_t supervisor;

        CHECK(methods_all[m] != MANY_FORKSERVER || many_forkserver_start() == 0);
        before = test_census_take();
        pool = methods_open(methods_all[m], NULL, 0);
        for (int round = 0; round < 3; round++) {
            many_future *future = NULL;
            const int signal = SIGSEGV;
            many_cause cause;

            supervised_check_whole(pool, 2);
            CHECK_CODE(many_pool_submit(pool, supervised_die, &signal, &future,
                                        .arg_bytes = sizeof signal),
                       0);
            CHECK_CODE(supervised_cause(future, &cause), -MANY_EDIED);
            CHECK_EQUAL(cause.signal, SIGSEGV);
            supervised_kill(pool);
            supervised_check_whole(pool, 2);
        }
        supervisor = supervised_by(pool);
        CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
        UNTIL(supervised_gone(supervisor));
        CHECK_CENSUS(before);
    }
}

/* The first is a queue, the second a segment. */
static int methods_use(const void *item, void *result, void *context)
{
    const int number = *(const int *)item;
    int *shared = many_segment_data(many_inherited(1).segment);

    (void)context;
    if (many_inherited(2).queue != NULL || many_inherited(2).segment != NULL ||
        many_inherited(2).pipe != NULL)
        return -EEXIST;
    *(int *)result = shared[number];
    return many_queue_put(many_inherited(0).queue, &number, sizeof number, MANY_FOREVER);
}

TEST(workers_have_what_they_inherit_and_their_replacements_as_well)
{
    for (size_t m = 0; m < METHODS; m++) {
        many_queue *queue = NULL;
        many_segment *segment = NULL;
        many_inherit inherits[2];
        many_pool *pool;
        int *shared;

        CHECK_CODE(many_queue_open(&queue), 0);
        CHECK_CODE(many_segment_open(&segment, .bytes = 64 * sizeof(int)), 0);
        shared = many_segment_data(segment);
        inherits[0] = (many_inherit){.queue = queue};
        inherits[1] = (many_inherit){.segment = segment};
        pool = methods_open(methods_all[m], inherits, 2);
        memset(inherits, 0, sizeof inherits); /* the array was copied */
        for (int i = 0; i < 30; i++) {
            int got = -1, put = -1;

            shared[i] = 7 * i;
            CHECK_CODE(many_pool_apply(pool, methods_use, &i, &got), 0);
            CHECK_EQUAL(got, 7 * i);
            CHECK_CODE((long)many_queue_get(queue, &put, sizeof put, MANY_FOREVER), sizeof put);
            CHECK_EQUAL(put, i);
            if (i % 10 == 5)
                supervised_kill(pool);
        }
        CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
        many_segment_close(segment);
        many_queue_close(queue);
    }
}

static long methods_number;

static int methods_set(void *argument)
{
    methods_number = *(const long *)argument;
    return methods_number == 13 ? many_fail(-EDOM, "thirteen is no number") : 0;
}

static int methods_get(const void *item, void *result, void *context)
{
    (void)item;
    (void)context;
    *(long *)result = methods_number;
    return 0;
}

TEST(initializers_get_the_bytes_of_their_argument)
{
    for (size_t m = 0; m < METHODS; m++) {
        long number = 4711, got = 0;
        const char none = 0;
        many_pool *pool = NULL;

        CHECK_CODE(many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = 2,
                                  .method = methods_all[m], .initializer = methods_set,
                                  .initializer_argument = &number,
                                  .initializer_bytes = sizeof number),
                   0);
        number = 0;
        for (int i = 0; i < 10; i++) {
            CHECK_CODE(many_pool_apply(pool, methods_get, &none, &got), 0);
            CHECK_EQUAL(got, 4711);
            if (i == 5)
                supervised_kill(pool);
        }
        CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);

        number = 13;
        CHECK_CODE(many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = 2,
                                  .method = methods_all[m], .initializer = methods_set,
                                  .initializer_argument = &number,
                                  .initializer_bytes = sizeof number),
                   0);
        CHECK_CODE(many_pool_apply(pool, methods_get, &none, &got), -MANY_EBROKEN);
        CHECK_CODE(many_pool_apply(pool, methods_get, &none, &got), -MANY_EBROKEN);
        CHECK_CONTAINS(many_error_message(), "thirteen is no number");
        many_pool_close(pool, 0);
    }
}

/* In shared memory by a segment: forks of nobody find it there. */
typedef struct methods_pids {
    _Atomic int supervisor, worker;
} methods_pids;

typedef struct methods_owner {
    int method;
    methods_pids *pids;
} methods_owner;

static int methods_stay(const void *item, void *result, void *context)
{
    methods_pids *pids = many_segment_data(many_inherited(0).segment);

    (void)item;
    (void)result;
    (void)context;
    atomic_store(&pids->supervisor, (int)getppid());
    atomic_store(&pids->worker, (int)getpid());
    for (;;)
        pause();
    return 0;
}

static void methods_own(void *argument)
{
    methods_owner *owner = argument;
    many_segment *segment = NULL;
    many_inherit inherit;
    many_future *future = NULL;
    many_pool *pool;
    methods_pids *pids;

    CHECK_CODE(many_segment_open(&segment, .bytes = sizeof *pids), 0);
    pids = many_segment_data(segment);
    inherit = (many_inherit){.segment = segment};
    pool = methods_open(owner->method, &inherit, 1);
    CHECK_CODE(many_pool_submit(pool, methods_stay, NULL, &future), 0);
    UNTIL(atomic_load(&pids->worker) != 0);
    atomic_store(&owner->pids->supervisor, atomic_load(&pids->supervisor));
    atomic_store(&owner->pids->worker, atomic_load(&pids->worker));
    raise(SIGKILL);
}

TEST(the_pool_of_an_owner_that_is_killed_ends_by_any_method)
{
    for (size_t m = 0; m < METHODS; m++) {
        methods_owner owner = {methods_all[m], test_shared(sizeof *owner.pids)};

        CHECK_EQUAL(test_in_child(methods_own, &owner), SIGKILL);
        UNTIL(supervised_gone(atomic_load(&owner.pids->worker)));
        UNTIL(supervised_gone(atomic_load(&owner.pids->supervisor)));
    }
}
