/* SPDX-License-Identifier: MIT */
/* test_process_sizes.c - arguments, results and replies of tasks of processes, of all sizes */
#include "supervised.h"

static many_pool *pool_of(int workers)
{
    many_pool *pool = NULL;

    CHECK_CODE(many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = workers), 0);
    return pool;
}

static unsigned char pattern(size_t i, size_t bytes)
{
    return (unsigned char)(i * 31 + i / 251 + bytes);
}

typedef struct sized {
    size_t bytes;
} sized;

/* Looks at an item of context->bytes, and replies with the same, turned round. */
static int turn_round(const void *item, void *result, void *context)
{
    const size_t bytes = ((const sized *)context)->bytes;
    const unsigned char *in = item;
    unsigned char *out = malloc(bytes + 1);
    int code = 0;

    (void)result;
    if (out == NULL || (bytes == 0) != (item == NULL))
        code = -EINVAL;
    for (size_t i = 0; i < bytes && code == 0; i++) {
        if (in[i] != pattern(i, bytes))
            code = -EBADMSG;
        out[bytes - 1 - i] = in[i];
    }
    if (code == 0)
        code = many_reply(out, bytes);
    free(out);
    return code;
}

static void there_and_back(many_pool *pool, size_t bytes)
{
    const sized context = {bytes};
    unsigned char *item = malloc(bytes + 1), *result = malloc(bytes + 1);
    many_future *future = NULL;

    CHECK(item != NULL && result != NULL);
    for (size_t i = 0; i < bytes; i++)
        item[i] = pattern(i, bytes);
    CHECK_CODE(many_pool_submit(pool, turn_round, bytes > 0 ? item : NULL, &future,
                                .arg_bytes = bytes, .context = (void *)(uintptr_t)&context,
                                .context_bytes = sizeof context),
               0);
    memset(item, 0, bytes);
    CHECK_CODE(many_future_result(future, result, bytes, MANY_FOREVER), (long)bytes);
    CHECK_CODE(many_future_result_bytes(future), (long)bytes);
    for (size_t i = 0; i < bytes; i++)
        if (result[bytes - 1 - i] != pattern(i, bytes))
            CHECK_EQUAL(i, bytes);
    if (bytes > 1)
        CHECK_CODE(many_future_result(future, result, bytes - 1, 0), -EMSGSIZE);
    many_future_close(future);
    free(item);
    free(result);
}

TEST(arguments_and_replies_may_have_any_length)
{
    const size_t bytes[] = {0,
                            1,
                            15,
                            16,
                            17,
                            23,
                            24,
                            25,
                            31,
                            32,
                            33,
                            64,
                            100,
                            1000,
                            4095,
                            4096,
                            4097,
                            9999,
                            65535,
                            65536,
                            1000000,
                            5000000,
                            (size_t)1 << 24};
    many_pool *pool = pool_of(2);

    for (int round = 0; round < 2; round++)
        for (size_t k = 0; k < sizeof bytes / sizeof bytes[0]; k++)
            there_and_back(pool, bytes[k]);
    CHECK_CODE(many_pool_close(pool, 5.0), 0);
}

TEST(sixty_four_mebibytes_go_there_and_back)
{
    many_pool *pool = pool_of(1);

    for (int round = 0; round < 3; round++)
        there_and_back(pool, (size_t)64 << 20);
    CHECK_CODE(many_pool_close(pool, 5.0), 0);
}

typedef struct block {
    long number[200];
} block;

static int fill_block(const void *item, void *result, void *context)
{
    const block *in = item;
    block *out = result;

    (void)context;
    if ((uintptr_t)result % 16 != 0 || (uintptr_t)item % 16 != 0)
        return -EFAULT;
    for (size_t i = 0; i < 200; i++)
        out->number[i] = in->number[i] + (long)i;
    return 0;
}

TEST(arguments_and_results_of_fixed_size_may_be_large_and_are_aligned)
{
    many_pool *pool = pool_of(2);
    block in, out;

    for (size_t i = 0; i < 200; i++)
        in.number[i] = (long)(i * i);
    for (int round = 0; round < 100; round++) {
        memset(&out, 0, sizeof out);
        CHECK_CODE(many_pool_apply(pool, fill_block, &in, &out), 0);
        for (size_t i = 0; i < 200; i++)
            CHECK_EQUAL(out.number[i], (long)(i * i + i));
    }
    CHECK_CODE(many_pool_close(pool, 5.0), 0);
}

static int reply_thrice(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    (void)context;
    if (many_reply("first, and longer than what is inline", 37) < 0 || many_reply(NULL, 0) < 0)
        return -EINVAL;
    return many_reply("last", 4);
}

static int reply_not(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    (void)context;
    return 0;
}

static int reply_although(const void *item, void *result, void *context)
{
    (void)item;
    (void)context;
    *(long *)result = many_reply("x", 1);
    return 0;
}

TEST(the_last_reply_counts_and_none_is_empty)
{
    many_pool *pool = pool_of(1);
    many_future *future = NULL;
    char text[64] = "";
    long code = 0;

    CHECK_CODE(many_pool_submit(pool, reply_thrice, NULL, &future), 0);
    CHECK_CODE(many_future_result(future, text, sizeof text, MANY_FOREVER), 4);
    CHECK_BYTES(text, "last", 4);
    many_future_close(future);
    CHECK_CODE(many_pool_submit(pool, reply_not, NULL, &future), 0);
    CHECK_CODE(many_future_result(future, text, sizeof text, MANY_FOREVER), 0);
    many_future_close(future);
    CHECK_CODE(many_pool_submit(pool, reply_although, NULL, &future, .result_bytes = sizeof code),
               0);
    CHECK_CODE(many_future_result(future, &code, sizeof code, MANY_FOREVER), (long)sizeof code);
    CHECK_EQUAL(code, -EINVAL);
    many_future_close(future);
    CHECK_CODE(many_reply("x", 1), -EINVAL);
    CHECK_CODE(many_pool_close(pool, 5.0), 0);
}
