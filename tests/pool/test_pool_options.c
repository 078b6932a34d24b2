/* SPDX-License-Identifier: MIT */
/* test_pool_options.c - what is said of pools and tasks: defaults, and what makes no sense */
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "os/self.h"
#include "pool/pool_options.h"

static many_pool *place;

static int initialize(void *argument)
{
    (void)argument;
    return 0;
}

static int work(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    (void)context;
    return 0;
}

static int heard(many_future *future, void *context)
{
    (void)future;
    (void)context;
    return 0;
}

/* Read the options that follow; 0 or a code. */
#define READ(begun, ...)                                                                           \
    (memset(begun, 0, sizeof *(begun)),                                                            \
     many_pool_read_(                                                                              \
         begun,                                                                                    \
         &(many_pool_options){.size = sizeof(many_pool_options), .pool = &place, __VA_ARGS__},     \
         "many_pool_open"))

TEST(a_pool_of_which_nothing_is_said_has_sane_defaults)
{
    many_pool begun;

    place = (many_pool *)&begun;
    CHECK_CODE(READ(&begun, .kind = MANY_THREADS), 0);
    CHECK(place == NULL); /* until it is open */
    CHECK_EQUAL(begun.kind, MANY_THREADS);
    CHECK_EQUAL(begun.workers, many_usable_cpus());
    CHECK_EQUAL(begun.option.waiting_most, 65536);
    CHECK_EQUAL(begun.limit_ns, 0);
    CHECK_EQUAL(begun.option.tasks_per_worker, 0);
}

TEST(pools_without_a_name_are_numbered)
{
    many_pool one, other, named;
    int first;

    CHECK_CODE(READ(&one, .workers = 1), 0);
    CHECK_CODE(READ(&named, .workers = 1, .name = "letters"), 0);
    CHECK_CODE(READ(&other, .workers = 1), 0);
    CHECK_STRING(named.name, "letters");
    CHECK(strncmp(one.name, "Pool-", 5) == 0);
    first = atoi(one.name + 5);
    CHECK(first >= 1);
    CHECK(strncmp(other.name, "Pool-", 5) == 0);
    CHECK_EQUAL(atoi(other.name + 5), first + 1);
}

TEST(a_long_name_is_cut_at_a_character)
{
    many_pool begun;
    char name[100];

    memset(name, 'n', sizeof name);
    memcpy(name + 62, "\xc3\xa4", 3);
    CHECK_CODE(READ(&begun, .name = name), 0);
    CHECK_EQUAL(strlen(begun.name), 62);
    memset(name, 'n', sizeof name);
    name[99] = '\0';
    CHECK_CODE(READ(&begun, .name = name), 0);
    CHECK_EQUAL(strlen(begun.name), 63);
}

TEST(what_is_said_of_a_pool_is_kept)
{
    many_pool begun;

    CHECK_CODE(READ(&begun, .kind = MANY_PROCESSES, .workers = 4096, .method = MANY_SPAWN,
                    .item_limit_s = 1.5, .item_limit_bytes = 1 << 20, .waiting_most = 7,
                    .tasks_per_worker = 3, .initializer = initialize, .callback_thread = 1),
               0);
    CHECK_EQUAL(begun.workers, 4096);
    CHECK_EQUAL(begun.limit_ns, 1500000000);
    CHECK_EQUAL(begun.option.item_limit_bytes, 1 << 20);
    CHECK_EQUAL(begun.option.waiting_most, 7);
    CHECK_EQUAL(begun.option.tasks_per_worker, 3);
    CHECK(begun.option.initializer == initialize);
    CHECK_CODE(READ(&begun, .item_limit_s = 1e-12), 0);
    CHECK_EQUAL(begun.limit_ns, 1); /* a limit, however short, is one */
}

/* It is refused with -EINVAL, and the message says so. */
#define REFUSED(part, ...)                                                                         \
    do {                                                                                           \
        many_pool begun_;                                                                          \
        CHECK_CODE(READ(&begun_, __VA_ARGS__), -EINVAL);                                           \
        CHECK_CONTAINS(many_error_message(), "many_pool_open: ");                                  \
        CHECK_CONTAINS(many_error_message(), part);                                                \
    } while (0)

TEST(options_of_a_pool_that_make_no_sense_are_refused_in_words)
{
    many_inherit none;

    memset(&none, 0, sizeof none);
    REFUSED(".kind is 2", .kind = 2);
    REFUSED(".kind is -1", .kind = -1);
    REFUSED(".workers is -1", .workers = -1);
    REFUSED(".workers is 4097", .workers = 4097);
    REFUSED(".method is 3", .kind = MANY_PROCESSES, .method = 3);
    REFUSED(".method is -1", .method = -1);
    REFUSED(".method is for", .kind = MANY_THREADS, .method = MANY_SPAWN);
    REFUSED(".item_limit_s is -1", .item_limit_s = -1);
    REFUSED(".item_limit_s is", .item_limit_s = NAN);
    REFUSED(".item_limit_bytes is for", .item_limit_bytes = 1);
    REFUSED(".waiting_most is", .waiting_most = SIZE_MAX);
    REFUSED(".callback_thread is 2", .callback_thread = 2);
    REFUSED("needs .initializer", .initializer_argument = &none);
    REFUSED(".initializer_argument is NULL", .initializer = initialize, .initializer_bytes = 4);
    REFUSED("give .initializer_bytes", .kind = MANY_PROCESSES, .method = MANY_FORKSERVER,
            .initializer = initialize, .initializer_argument = &none);
    REFUSED(".inherits is for", .inherits = &none, .inherits_count = 1);
    REFUSED(".inherits is NULL", .kind = MANY_PROCESSES, .inherits_count = 1);
    REFUSED(".inherits[0] has 0", .kind = MANY_PROCESSES, .inherits = &none, .inherits_count = 1);
    REFUSED("a value without a name", .named_ = (struct many_named_ *)&none);
}

TEST(an_open_that_is_refused_gives_no_pool)
{
    many_pool_options options = {.size = sizeof options};
    unsigned char newer[sizeof options + 8];

    place = (many_pool *)&options;
    CHECK_CODE(many_pool_open(&place, .kind = 7), -EINVAL);
    CHECK(place == NULL);
    CHECK_CODE(many_pool_open_with(NULL), -EINVAL);
    CHECK_CODE(many_pool_open_with(&options), -EINVAL);
    CHECK_CONTAINS(many_error_message(), "pool is NULL");
    options.pool = &place;
    memset(newer, 0, sizeof newer);
    memcpy(newer, &options, sizeof options);
    *(size_t *)(void *)newer = sizeof newer;
    newer[sizeof options] = 1; /* an option that this library does not know */
    CHECK_CODE(many_pool_open_with((many_pool_options *)(void *)newer), -E2BIG);
    options.size = 0;
    CHECK_CODE(many_pool_open_with(&options), -EINVAL);
}

/* ---- tasks ---- */

static many_pool *pool_of(int kind, int method)
{
    static many_pool pool;

    memset(&pool, 0, sizeof pool);
    pool.process = many_self_process_();
    pool.kind = kind;
    pool.option.method = method;
    pool.limit_ns = 5;
    pool.option.item_limit_bytes = 6;
    return &pool;
}

#define SUBMIT(submit, pool_, ...)                                                                 \
    many_submit_read_(                                                                             \
        submit, &local,                                                                            \
        &(many_submit_options){                                                                    \
            .size = sizeof(many_submit_options), .pool = (pool_), .fn = work, __VA_ARGS__},        \
        "many_pool_submit")

TEST(limits_of_a_task_go_before_those_of_its_pool)
{
    many_submit_options local;
    many_submit_ submit;

    CHECK_CODE(SUBMIT(&submit, pool_of(MANY_PROCESSES, MANY_FORK), .arg = NULL), 0);
    CHECK_EQUAL(submit.limit_ns, 5);
    CHECK_EQUAL(submit.limit_bytes, 6);
    CHECK_CODE(SUBMIT(&submit, pool_of(MANY_PROCESSES, MANY_FORK), .item_limit_s = 2,
                      .item_limit_bytes = 9),
               0);
    CHECK_EQUAL(submit.limit_ns, 2000000000);
    CHECK_EQUAL(submit.limit_bytes, 9);
}

TEST(a_pointer_goes_where_it_means_something)
{
    many_submit_options local;
    many_submit_ submit;
    int item = 0;

    CHECK_CODE(SUBMIT(&submit, pool_of(MANY_THREADS, 0), .arg = &item, .context = &item), 0);
    CHECK_CODE(SUBMIT(&submit, pool_of(MANY_PROCESSES, MANY_FORK), .context = &item), 0);
    CHECK_CODE(SUBMIT(&submit, pool_of(MANY_PROCESSES, MANY_FORK), .arg = &item), -EINVAL);
    CHECK_CONTAINS(many_error_message(), "give .arg_bytes");
    CHECK_CODE(SUBMIT(&submit, pool_of(MANY_PROCESSES, MANY_SPAWN), .context = &item), -EINVAL);
    CHECK_CONTAINS(many_error_message(), "give .context_bytes");
    CHECK_CODE(SUBMIT(&submit, pool_of(MANY_PROCESSES, MANY_SPAWN), .arg = &item,
                      .arg_bytes = sizeof item, .context = &item, .context_bytes = sizeof item),
               0);
}

#define TASK_REFUSED(code, part, ...)                                                              \
    do {                                                                                           \
        CHECK_CODE(SUBMIT(&submit, pool_of(MANY_THREADS, 0), .future = &future, __VA_ARGS__),      \
                   code);                                                                          \
        CHECK_CONTAINS(many_error_message(), "many_pool_submit: ");                                \
        CHECK_CONTAINS(many_error_message(), part);                                                \
        CHECK(future == NULL);                                                                     \
        future = (many_future *)&local;                                                            \
    } while (0)

TEST(options_of_a_task_that_make_no_sense_are_refused_in_words)
{
    many_submit_options local;
    many_submit_ submit;
    many_future *future = (many_future *)&local;
    int item = 0;

    TASK_REFUSED(-EINVAL, "arg is NULL", .arg_bytes = 4);
    TASK_REFUSED(-EINVAL, ".context is NULL", .context_bytes = 4);
    TASK_REFUSED(-EINVAL, ".priority is 4", .priority = 4);
    TASK_REFUSED(-EINVAL, ".priority is -4", .priority = -4);
    TASK_REFUSED(-EINVAL, ".retries is -1", .retries = -1);
    TASK_REFUSED(-EINVAL, ".no_wait is 2", .no_wait = 2);
    TASK_REFUSED(-E2BIG, ".reserved is 1", .reserved = 1);
    TASK_REFUSED(-EINVAL, ".item_limit_s is -1", .item_limit_s = -1);
    TASK_REFUSED(-EINVAL, ".item_limit_s is", .item_limit_s = NAN);
    TASK_REFUSED(-EINVAL, ".item_limit_bytes is for processes", .item_limit_bytes = 1);
    TASK_REFUSED(-EINVAL, "is too large", .result_bytes = SIZE_MAX);
    TASK_REFUSED(-EINVAL, "needs .on_done", .on_done_context = &item);
    TASK_REFUSED(-EINVAL, "a value without a name", .named_ = (struct many_named_ *)&item);
    CHECK_CODE(SUBMIT(&submit, pool_of(MANY_THREADS, 0), .on_done = heard, .priority = -3,
                      .retries = 10, .no_wait = 1),
               0);
    CHECK_CODE(many_pool_submit(pool_of(MANY_THREADS, 0), NULL, NULL, &future), -EINVAL);
    CHECK_CONTAINS(many_error_message(), "fn is NULL");
    CHECK_CODE(many_pool_submit(NULL, work, NULL, &future), -EINVAL);
    CHECK_CONTAINS(many_error_message(), "pool is NULL");
    CHECK_CODE(many_pool_submit_with(NULL), -EINVAL);
}

TEST(options_are_read_in_place_or_made_new)
{
    many_submit_options local, given = {.size = sizeof given, .fn = work, .retries = 3};
    unsigned char newer[sizeof given + 8];
    many_submit_ submit;

    given.pool = pool_of(MANY_THREADS, 0);
    CHECK_CODE(many_submit_read_(&submit, &local, &given, "f"), 0);
    CHECK(submit.option == &given);
    memset(newer, 0, sizeof newer);
    memcpy(newer, &given, sizeof given);
    *(size_t *)(void *)newer = sizeof newer;
    CHECK_CODE(many_submit_read_(&submit, &local, (many_submit_options *)(void *)newer, "f"), 0);
    CHECK(submit.option == &local);
    CHECK_EQUAL(submit.option->retries, 3);
    newer[sizeof given] = 1;
    CHECK_CODE(many_submit_read_(&submit, &local, (many_submit_options *)(void *)newer, "f"),
               -E2BIG);
    given.size = offsetof(many_submit_options, retries); /* of an older library */
    CHECK_CODE(many_submit_read_(&submit, &local, &given, "f"), 0);
    CHECK_EQUAL(submit.option->retries, 0);
}
