/* SPDX-License-Identifier: MIT */
/* test_queue.c - what the documentation of queue.Queue and multiprocessing.Queue promises of a
 * queue */
#include "test.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <many/channel.h>

static many_queue *queue_of(size_t capacity)
{
    many_queue *queue = NULL;

    CHECK_CODE(many_queue_open(&queue, .capacity = capacity), 0);
    return queue;
}

static void put_text(many_queue *queue, const char *text)
{
    CHECK_CODE(many_queue_put(queue, text, strlen(text) + 1, MANY_FOREVER), 0);
}

static void expect_text(many_queue *queue, const char *text)
{
    char got[64];

    CHECK_EQUAL(many_queue_get(queue, got, sizeof got, MANY_FOREVER), strlen(text) + 1);
    CHECK_STRING(got, text);
}

/* ---- order, copies, lengths ---- */

TEST(what_is_put_first_comes_out_first)
{
    many_queue *queue = queue_of(0);
    int got;

    for (int k = 0; k < 1000; k++)
        CHECK_CODE(many_queue_put(queue, &k, sizeof k, 0), 0);
    for (int k = 0; k < 1000; k++) {
        CHECK_EQUAL(many_queue_get(queue, &got, sizeof got, 0), sizeof got);
        CHECK_EQUAL(got, k);
    }
    CHECK_CODE(many_queue_get(queue, &got, sizeof got, 0), -ETIMEDOUT);
    many_queue_close(queue);
}

TEST(a_message_is_copied_before_put_returns)
{
    many_queue *queue = queue_of(0);
    char text[] = "as it was";

    CHECK_CODE(many_queue_put(queue, text, sizeof text, 0), 0);
    memset(text, 'x', sizeof text);
    expect_text(queue, "as it was");
    many_queue_close(queue);
}

TEST(messages_of_every_length_come_out_as_they_went_in)
{
    static unsigned char in[70000], out[70000];
    many_queue *queue = queue_of(0);

    for (size_t k = 0; k < sizeof in; k++)
        in[k] = (unsigned char)(k * 31 + k / 256);
    for (size_t bytes = 0; bytes <= sizeof in; bytes += bytes < 300 ? 1 : 997) {
        memset(out, 0xEE, sizeof out);
        CHECK_CODE(many_queue_put(queue, in, bytes, 0), 0);
        CHECK_EQUAL(many_queue_get(queue, out, sizeof out, 0), bytes);
        CHECK_BYTES(out, in, bytes);
        CHECK_EQUAL(bytes == sizeof out ? 0xEE : out[bytes], 0xEE);
    }
    many_queue_close(queue);
}

TEST(an_empty_message_is_a_message)
{
    many_queue *queue = queue_of(0);

    CHECK_CODE(many_queue_put(queue, NULL, 0, 0), 0);
    CHECK_CODE(many_queue_put(queue, "", 0, 0), 0);
    CHECK_EQUAL(many_queue_size(queue), 2);
    CHECK_EQUAL(many_queue_get(queue, NULL, 0, 0), 0);
    CHECK_EQUAL(many_queue_peek(queue, NULL, 0, 0), 0);
    CHECK_EQUAL(many_queue_get(queue, NULL, 0, 0), 0);
    CHECK_CODE(many_queue_get_nowait(queue, NULL, 0), -EAGAIN);
    many_queue_close(queue);
}

TEST(a_message_that_does_not_fit_the_buffer_stays)
{
    many_queue *queue = queue_of(0);
    char got[8];

    put_text(queue, "more than eight");
    CHECK_CODE(many_queue_get(queue, got, sizeof got, 0), -EMSGSIZE);
    CHECK_CONTAINS(many_error_message(), "many_queue_peek");
    CHECK_CODE(many_queue_get(queue, got, sizeof got, 0), -EMSGSIZE);
    CHECK_EQUAL(many_queue_peek(queue, NULL, 0, 0), sizeof "more than eight");
    CHECK_EQUAL(many_queue_peek(queue, got, 4, 0), sizeof "more than eight");
    CHECK(memcmp(got, "more", 4) == 0);
    CHECK_EQUAL(many_queue_size(queue), 1);
    expect_text(queue, "more than eight");
    many_queue_close(queue);
}

TEST(a_message_longer_than_allowed_is_refused)
{
    many_queue *queue = NULL;

    CHECK_CODE(many_queue_open(&queue, .message_max = 10), 0);
    CHECK_CODE(many_queue_put(queue, "01234567890", 11, 0), -EMSGSIZE);
    CHECK_CONTAINS(many_error_message(), "message_max");
    CHECK_CODE(many_queue_put(queue, "0123456789", 10, 0), 0);
    CHECK_EQUAL(many_queue_size(queue), 1);
    many_queue_close(queue);
}

/* ---- arguments ---- */

TEST(arguments_that_make_no_sense_are_refused)
{
    many_queue *queue = queue_of(1);
    many_message broken = {NULL, 3};
    char byte = 0;

    CHECK_CODE(many_queue_open(NULL), -EINVAL);
    CHECK_CODE(many_queue_open_with(NULL), -EINVAL);
    CHECK_CODE(many_queue_put(NULL, &byte, 1, 0), -EINVAL);
    CHECK_CODE(many_queue_put(queue, NULL, 1, 0), -EINVAL);
    CHECK_CODE(many_queue_put(queue, &byte, 1, -0.5), -EINVAL);
    CHECK_CODE(many_queue_put(queue, &byte, 1, NAN), -EINVAL);
    CHECK_CODE(many_queue_get(NULL, &byte, 1, 0), -EINVAL);
    CHECK_CODE(many_queue_get(queue, NULL, 1, 0), -EINVAL);
    CHECK_CODE(many_queue_get(queue, &byte, 1, -2), -EINVAL);
    CHECK_CODE(many_queue_peek(queue, NULL, 1, 0), -EINVAL);
    CHECK_CODE(many_queue_put_nowait(NULL, &byte, 1), -EINVAL);
    CHECK_CODE(many_queue_get_nowait(NULL, &byte, 1), -EINVAL);
    CHECK_CODE(many_queue_put_batch(queue, NULL, 1, 0), -EINVAL);
    CHECK_CODE(many_queue_put_batch(queue, &broken, 1, 0), -EINVAL);
    CHECK_CODE(many_queue_get_batch(queue, &broken, 1, 0), -EINVAL);
    CHECK_CODE(many_queue_put_batch(queue, NULL, 0, 0), 0);
    CHECK_CODE(many_queue_get_batch(queue, NULL, 0, 0), 0);
    CHECK_CODE(many_queue_size(NULL), -EINVAL);
    CHECK_CODE(many_queue_empty(NULL), -EINVAL);
    CHECK_CODE(many_queue_full(NULL), -EINVAL);
    CHECK_CODE(many_queue_register(queue, 0), -EINVAL);
    CHECK_CODE(many_queue_register(queue, 4), -EINVAL);
    CHECK_CODE(many_queue_register(NULL, MANY_PRODUCER), -EINVAL);
    CHECK_CODE(many_queue_finish(queue, 8), -EINVAL);
    CHECK_CODE(many_queue_shutdown(NULL, 0), -EINVAL);
    CHECK_CODE(many_queue_task_done(NULL), -EINVAL);
    CHECK_CODE(many_queue_join(NULL, 0), -EINVAL);
    CHECK_CODE(many_queue_join(queue, -3), -EINVAL);
    CHECK_CODE(many_queue_descriptor(NULL), -EINVAL);
    CHECK_EQUAL(many_queue_size(queue), 0);
    many_queue_close(queue);
    many_queue_close(NULL);
}

TEST(options_of_a_newer_library_are_refused)
{
    struct {
        many_queue_options options;
        uint64_t newer;
    } given = {.options = {.size = sizeof given}, .newer = 1};
    many_queue *queue = NULL;

    given.options.queue = &queue;
    CHECK_CODE(many_queue_open_with(&given.options), -E2BIG);
    given.newer = 0;
    CHECK_CODE(many_queue_open_with(&given.options), 0);
    many_queue_close(queue);
}

/* ---- full and empty ---- */

TEST(a_full_queue_does_not_take_more_and_says_so)
{
    many_queue *queue = queue_of(2);
    double begin;

    CHECK_EQUAL(many_queue_empty(queue), 1);
    CHECK_EQUAL(many_queue_full(queue), 0);
    put_text(queue, "one");
    CHECK_EQUAL(many_queue_full(queue), 0);
    put_text(queue, "two");
    CHECK_EQUAL(many_queue_empty(queue), 0);
    CHECK_EQUAL(many_queue_full(queue), 1);
    CHECK_CODE(many_queue_put(queue, "three", 6, 0), -ETIMEDOUT);
    CHECK_CODE(many_queue_put_nowait(queue, "three", 6), -EAGAIN);
    begin = test_seconds();
    CHECK_CODE(many_queue_put(queue, "three", 6, 0.05), -ETIMEDOUT);
    CHECK(test_seconds() - begin >= 0.05);
    CHECK_EQUAL(many_queue_size(queue), 2);
    expect_text(queue, "one");
    CHECK_CODE(many_queue_put_nowait(queue, "three", 6), 0);
    expect_text(queue, "two");
    expect_text(queue, "three");
    many_queue_close(queue);
}

TEST(an_empty_queue_gives_nothing_and_says_so)
{
    many_queue *queue = queue_of(0);
    double begin = test_seconds();
    char byte;

    CHECK_CODE(many_queue_get(queue, &byte, 1, 0.05), -ETIMEDOUT);
    CHECK(test_seconds() - begin >= 0.05);
    CHECK_CODE(many_queue_get_nowait(queue, &byte, 1), -EAGAIN);
    CHECK_CODE(many_queue_peek(queue, &byte, 1, 0), -ETIMEDOUT);
    CHECK_CODE(many_queue_get(queue, &byte, 1, 1e-9), -ETIMEDOUT);
    many_queue_close(queue);
}

TEST(bytes_are_bounded_and_a_longer_message_passes_alone)
{
    many_queue *queue = NULL;
    static char message[1000], got[1000];

    CHECK_CODE(many_queue_open(&queue, .capacity_bytes = 100), 0);
    for (int k = 0; k < 10; k++)
        CHECK_CODE(many_queue_put_nowait(queue, message, 10), 0);
    CHECK_EQUAL(many_queue_full(queue), 1);
    CHECK_CODE(many_queue_put_nowait(queue, message, 1), -EAGAIN);
    CHECK_CODE(many_queue_put_nowait(queue, message, 1000), -EAGAIN);
    for (int k = 0; k < 10; k++)
        CHECK_EQUAL(many_queue_get_nowait(queue, got, sizeof got), 10);
    CHECK_CODE(many_queue_put_nowait(queue, message, 1000), 0);
    CHECK_CODE(many_queue_put_nowait(queue, message, 1), -EAGAIN);
    CHECK_EQUAL(many_queue_get_nowait(queue, got, sizeof got), 1000);
    CHECK_CODE(many_queue_put_nowait(queue, message, 99), 0);
    CHECK_CODE(many_queue_put_nowait(queue, message, 2), -EAGAIN);
    CHECK_CODE(many_queue_put_nowait(queue, message, 1), 0);
    many_queue_close(queue);
}

/* ---- batches ---- */

TEST(a_batch_puts_what_there_is_room_for)
{
    many_queue *queue = queue_of(3);
    many_message in[5] = {{"a", 1}, {"bc", 2}, {"def", 3}, {"ghij", 4}, {"klmno", 5}};
    char bytes[5][8];
    many_message out[5];

    CHECK_EQUAL(many_queue_put_batch(queue, in, 5, 0), 3);
    CHECK_CODE(many_queue_put_batch(queue, in, 5, 0), -ETIMEDOUT);
    for (int k = 0; k < 5; k++)
        out[k] = (many_message){bytes[k], sizeof bytes[k]};
    CHECK_EQUAL(many_queue_get_batch(queue, out, 5, 0), 3);
    for (size_t k = 0; k < 3; k++) {
        CHECK_EQUAL(out[k].bytes, k + 1);
        CHECK_BYTES(out[k].data, in[k].data, k + 1);
    }
    CHECK_EQUAL(out[3].bytes, sizeof bytes[3]);
    CHECK_CODE(many_queue_get_batch(queue, out, 5, 0), -ETIMEDOUT);
    many_queue_close(queue);
}

TEST(a_message_that_does_not_fit_its_place_ends_the_batch)
{
    many_queue *queue = queue_of(0);
    char bytes[3][4];
    many_message out[3] = {{bytes[0], 4}, {bytes[1], 4}, {bytes[2], 4}};

    put_text(queue, "one");
    put_text(queue, "three");
    CHECK_EQUAL(many_queue_get_batch(queue, out, 3, 0), 1);
    out[0].bytes = 4;
    CHECK_CODE(many_queue_get_batch(queue, out, 3, 0), -EMSGSIZE);
    CHECK_EQUAL(many_queue_size(queue), 1);
    many_queue_close(queue);
}

/* ---- waiting ---- */

typedef struct waiter {
    many_queue *queue;
    pthread_t thread;
    double timeout_s;
    long result;
    char got[64];
    _Atomic int about; /* to make the call */
    _Atomic int over;
} waiter;

static void *waiter_get(void *argument)
{
    waiter *self = argument;

    self->about = 1;
    self->result = many_queue_get(self->queue, self->got, sizeof self->got, self->timeout_s);
    self->over = 1;
    return NULL;
}

static void *waiter_put(void *argument)
{
    waiter *self = argument;

    self->about = 1;
    self->result = many_queue_put(self->queue, "late", 5, self->timeout_s);
    self->over = 1;
    return NULL;
}

static void *waiter_join(void *argument)
{
    waiter *self = argument;

    self->about = 1;
    self->result = many_queue_join(self->queue, self->timeout_s);
    self->over = 1;
    return NULL;
}

static void waiter_start(waiter *self, many_queue *queue, void *(*body)(void *))
{
    const struct timespec moment = {0, 2000000};

    memset(self, 0, sizeof *self);
    self->queue = queue;
    self->timeout_s = MANY_FOREVER;
    CHECK_EQUAL(pthread_create(&self->thread, NULL, body, self), 0);
    UNTIL(self->about);
    nanosleep(&moment, NULL); /* most of them sleep by then; all the same if not */
    CHECK_EQUAL(self->over, 0);
}

TEST(a_getter_waits_until_something_is_put)
{
    many_queue *queue = queue_of(0);
    waiter getter;

    waiter_start(&getter, queue, waiter_get);
    put_text(queue, "here");
    pthread_join(getter.thread, NULL);
    CHECK_EQUAL(getter.result, 5);
    CHECK_STRING(getter.got, "here");
    many_queue_close(queue);
}

TEST(a_putter_waits_until_there_is_room)
{
    many_queue *queue = queue_of(1);
    waiter putter;

    put_text(queue, "first");
    waiter_start(&putter, queue, waiter_put);
    expect_text(queue, "first");
    pthread_join(putter.thread, NULL);
    CHECK_CODE(putter.result, 0);
    expect_text(queue, "late");
    many_queue_close(queue);
}

TEST(each_of_several_getters_gets_one_of_several_messages)
{
    enum { GETTERS = 8 };
    many_queue *queue = queue_of(0);
    waiter getters[GETTERS];

    for (int k = 0; k < GETTERS; k++)
        waiter_start(&getters[k], queue, waiter_get);
    for (int k = 0; k < GETTERS; k++)
        put_text(queue, "one");
    for (int k = 0; k < GETTERS; k++) {
        pthread_join(getters[k].thread, NULL);
        CHECK_EQUAL(getters[k].result, 4);
    }
    CHECK_EQUAL(many_queue_size(queue), 0);
    many_queue_close(queue);
}

TEST(a_batch_wakes_all_who_wait_for_one_of_it)
{
    enum { GETTERS = 6 };
    many_queue *queue = queue_of(0);
    waiter getters[GETTERS];
    many_message in[GETTERS];

    for (int k = 0; k < GETTERS; k++) {
        waiter_start(&getters[k], queue, waiter_get);
        in[k] = (many_message){"batch", 6};
    }
    CHECK_EQUAL(many_queue_put_batch(queue, in, GETTERS, 0), GETTERS);
    for (int k = 0; k < GETTERS; k++) {
        pthread_join(getters[k].thread, NULL);
        CHECK_EQUAL(getters[k].result, 6);
    }
    many_queue_close(queue);
}

static void noted(int signal)
{
    (void)signal;
}

static pthread_t interrupted_thread;
static _Atomic int interrupted_over;

/* A signal that comes just before the sleep is no interruption: again and again until it is one. */
static void *interrupt(void *argument)
{
    const struct timespec moment = {0, 1000000};

    (void)argument;
    while (!interrupted_over) {
        pthread_kill(interrupted_thread, SIGUSR1);
        nanosleep(&moment, NULL);
    }
    return NULL;
}

TEST(a_signal_handler_interrupts_a_wait_also_with_restart)
{
    struct sigaction action, before;
    many_queue *queue = queue_of(1);
    pthread_t thread;
    char byte;

    memset(&action, 0, sizeof action);
    action.sa_handler = noted;
    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR1, &action, &before);
    interrupted_thread = pthread_self();
    interrupted_over = 0;
    CHECK_EQUAL(pthread_create(&thread, NULL, interrupt, NULL), 0);
    CHECK_CODE(many_queue_get(queue, &byte, 1, MANY_FOREVER), -EINTR);
    CHECK_CODE(many_queue_get(queue, &byte, 1, 30), -EINTR);
    CHECK_CODE(many_queue_peek(queue, &byte, 1, 30), -EINTR);
    CHECK_CODE(many_queue_put(queue, "x", 1, 0), 0);
    CHECK_CODE(many_queue_put(queue, "y", 1, MANY_FOREVER), -EINTR);
    CHECK_CODE(many_queue_join(queue, MANY_FOREVER), -EINTR);
    CHECK_EQUAL(many_queue_size(queue), 1);
    interrupted_over = 1;
    pthread_join(thread, NULL);
    sigaction(SIGUSR1, &before, NULL);
    many_queue_close(queue);
}

/* ---- shutdown ---- */

TEST(after_shutdown_puts_fail_and_gets_drain_what_is_there)
{
    many_queue *queue = queue_of(0);
    char byte;

    put_text(queue, "one");
    put_text(queue, "two");
    CHECK_CODE(many_queue_shutdown(queue, 0), 0);
    CHECK_CODE(many_queue_put(queue, "three", 6, 0), -EPIPE);
    CHECK_CODE(many_queue_put_nowait(queue, "three", 6), -EPIPE);
    expect_text(queue, "one");
    expect_text(queue, "two");
    CHECK_CODE(many_queue_get(queue, &byte, 1, MANY_FOREVER), -EPIPE);
    CHECK_CODE(many_queue_get_nowait(queue, &byte, 1), -EPIPE);
    CHECK_CODE(many_queue_peek(queue, &byte, 1, 0), -EPIPE);
    CHECK_CODE(many_queue_shutdown(queue, 0), 0);
    many_queue_close(queue);
}

TEST(an_immediate_shutdown_drops_what_is_there)
{
    many_queue *queue = queue_of(0);
    waiter joiner;
    char byte;

    put_text(queue, "one");
    put_text(queue, "two");
    put_text(queue, "three");
    expect_text(queue, "one");
    waiter_start(&joiner, queue, waiter_join);
    CHECK_CODE(many_queue_shutdown(queue, 1), 0);
    CHECK_EQUAL(many_queue_size(queue), 0);
    CHECK_CODE(many_queue_get(queue, &byte, 1, MANY_FOREVER), -EPIPE);
    CHECK_CODE(many_queue_task_done(queue), 0);
    pthread_join(joiner.thread, NULL);
    CHECK_CODE(joiner.result, 0);
    CHECK_CODE(many_queue_task_done(queue), -EINVAL);
    many_queue_close(queue);
}

TEST(shutdown_wakes_all_who_wait)
{
    many_queue *full = queue_of(1), *empty = queue_of(0);
    waiter putters[3], getters[3];

    put_text(full, "full");
    for (int k = 0; k < 3; k++) {
        waiter_start(&putters[k], full, waiter_put);
        waiter_start(&getters[k], empty, waiter_get);
    }
    CHECK_CODE(many_queue_shutdown(full, 0), 0);
    CHECK_CODE(many_queue_shutdown(empty, 0), 0);
    for (int k = 0; k < 3; k++) {
        pthread_join(putters[k].thread, NULL);
        pthread_join(getters[k].thread, NULL);
        CHECK_CODE(putters[k].result, -EPIPE);
        CHECK_CODE(getters[k].result, -EPIPE);
    }
    expect_text(full, "full");
    many_queue_close(full);
    many_queue_close(empty);
}

/* ---- task_done and join ---- */

TEST(join_waits_until_all_that_was_put_is_done)
{
    many_queue *queue = queue_of(0);
    waiter joiner;

    CHECK_CODE(many_queue_join(queue, MANY_FOREVER), 0);
    put_text(queue, "one");
    put_text(queue, "two");
    CHECK_CODE(many_queue_join(queue, 0), -ETIMEDOUT);
    CHECK_CODE(many_queue_join(queue, 0.01), -ETIMEDOUT);
    waiter_start(&joiner, queue, waiter_join);
    expect_text(queue, "one");
    expect_text(queue, "two");
    CHECK_CODE(many_queue_task_done(queue), 0);
    CHECK_CODE(many_queue_join(queue, 0), -ETIMEDOUT);
    CHECK_EQUAL(joiner.over, 0);
    CHECK_CODE(many_queue_task_done(queue), 0);
    pthread_join(joiner.thread, NULL);
    CHECK_CODE(joiner.result, 0);
    CHECK_CODE(many_queue_join(queue, 0), 0);
    many_queue_close(queue);
}

TEST(done_more_often_than_put_is_an_error)
{
    many_queue *queue = queue_of(0);

    CHECK_CODE(many_queue_task_done(queue), -EINVAL);
    CHECK_CONTAINS(many_error_message(), "many_queue_task_done");
    put_text(queue, "one");
    CHECK_CODE(many_queue_task_done(queue), 0);
    CHECK_CODE(many_queue_task_done(queue), -EINVAL);
    many_queue_close(queue);
}

/* ---- among processes ---- */

typedef struct family {
    many_queue *there, *back;
} family;

static void echo(void *argument)
{
    family *both = argument;
    static char message[300000];
    ssize_t bytes;

    while ((bytes = many_queue_get(both->there, message, sizeof message, MANY_FOREVER)) >= 0)
        CHECK_CODE(many_queue_put(both->back, message, (size_t)bytes, MANY_FOREVER), 0);
    CHECK_CODE(bytes, -EPIPE);
}

TEST(a_forked_child_has_the_queue_by_the_same_handle)
{
    static char in[300000], out[300000];
    family both = {queue_of(0), queue_of(0)};
    pid_t child = test_child_start(echo, &both);

    for (size_t k = 0; k < sizeof in; k++)
        in[k] = (char)(k * 7 + k / 251);
    for (size_t bytes = 0; bytes <= sizeof in; bytes = bytes * 2 + 1) {
        CHECK_CODE(many_queue_put(both.there, in, bytes, MANY_FOREVER), 0);
        CHECK_EQUAL(many_queue_get(both.back, out, sizeof out, MANY_FOREVER), bytes);
        CHECK_BYTES(out, in, bytes);
    }
    CHECK_CODE(many_queue_shutdown(both.there, 0), 0);
    CHECK_EQUAL(test_child_wait(child), 0);
    many_queue_close(both.there);
    many_queue_close(both.back);
}

TEST(nothing_is_left_behind)
{
    test_census before = test_census_take();

    for (int k = 0; k < 60; k++) {
        many_queue *queue = queue_of(0);

        put_text(queue, "left");
        CHECK(many_queue_descriptor(queue) > STDERR_FILENO);
        many_queue_close(queue);
    }
    CHECK_CENSUS(before);
}
