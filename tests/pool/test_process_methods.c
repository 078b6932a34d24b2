/* SPDX-License-Identifier: MIT */
/* test_process_methods.c - tasks of workers that are no forks of the test */
#include "process/main_first.h"

#include "supervised.h"

typedef struct words {
    char text[200];
} words;

static int turn(const void *item, void *result, void *context)
{
    const words *in = item;
    const char *prefix = context;
    words *out = result;

    snprintf(out->text, sizeof out->text, "%.90s %.90s", prefix, in->text);
    return 0;
}

static int turn_nested(const void *item, void *result, void *context)
{
    return many_pool_apply_with(
        many_pool_current(), turn, item, sizeof(words), result, sizeof(words),
        &(many_submit_options){
            .size = sizeof(many_submit_options), .context = context, .context_bytes = 6});
}

static void tasks_by(int method)
{
    static char greeting[6] = "Hello";
    many_pool *pool = NULL;
    many_future *future = NULL;
    words in = {"there"}, out = {""};

    CHECK_CODE(many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = 2, .method = method), 0);
    for (int i = 0; i < 20; i++) {
        CHECK_CODE(many_pool_submit(pool, i % 2 == 0 ? turn : turn_nested, &in, &future,
                                    .arg_bytes = sizeof in, .result_bytes = sizeof out,
                                    .context = greeting, .context_bytes = sizeof greeting),
                   0);
        CHECK_CODE(many_future_result(future, &out, sizeof out, MANY_FOREVER), (long)sizeof out);
        CHECK_STRING(out.text, "Hello there");
        many_future_close(future);
    }
    CHECK_CODE(many_pool_submit(pool, turn, &in, &future, .arg_bytes = sizeof in,
                                .result_bytes = sizeof out, .context = greeting),
               method == MANY_FORK ? 0 : -EINVAL);
    many_future_close(future);
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
}

TEST(forked_workers_find_functions_contexts_and_their_pool)
{
    tasks_by(MANY_FORK);
}

TEST(workers_of_the_fork_server_find_functions_contexts_and_their_pool)
{
    tasks_by(MANY_FORKSERVER);
}

TEST(spawned_workers_find_functions_contexts_and_their_pool)
{
    tasks_by(MANY_SPAWN);
}
