/* SPDX-License-Identifier: MIT */
/* test_queue_ends.c - the end of a stream, by those who leave, those who die, and those who never
 * came */
#include "test.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <many/channel.h>

#include "channel/ends.h"
#include "channel/queue.h"

static many_queue *queue_of(size_t capacity)
{
    many_queue *queue = NULL;

    CHECK_CODE(many_queue_open(&queue, .capacity = capacity), 0);
    return queue;
}

/* In shared memory: a child that registers, and then lives until it is told to end. */
typedef struct member {
    many_queue *queue;
    int ends;
    int messages;
    _Atomic int ready;
    _Atomic int leave;  /* 1: finish by the rules */
    _Atomic int result; /* of its own wait, + 1 */
} member;

static void member_body(void *argument)
{
    member *self = argument;

    CHECK_CODE(many_queue_register(self->queue, self->ends), 0);
    for (int k = 0; k < self->messages; k++)
        CHECK_CODE(many_queue_put(self->queue, &k, sizeof k, MANY_FOREVER), 0);
    self->ready = 1;
    UNTIL(self->leave);
    CHECK_CODE(many_queue_finish(self->queue, self->ends), 0);
    self->ready = 2;
    for (;;)
        pause();
}

static pid_t member_start(member *self, many_queue *queue, int ends, int messages)
{
    pid_t child;

    self->queue = queue;
    self->ends = ends;
    self->messages = messages;
    child = test_child_start(member_body, self);
    UNTIL(self->ready);
    return child;
}

static void end(pid_t child)
{
    kill(child, SIGKILL);
    CHECK_EQUAL(test_child_wait(child), SIGKILL);
}

TEST(a_stream_without_registered_producers_does_not_end)
{
    many_queue *queue = queue_of(0);
    char byte;

    CHECK_CODE(many_queue_get(queue, &byte, 1, 0.12), -ETIMEDOUT);
    many_queue_close(queue);
}

TEST(the_stream_ends_when_the_last_producer_has_finished)
{
    member *members = test_shared(2 * sizeof *members);
    many_queue *queue = queue_of(0);
    pid_t first = member_start(&members[0], queue, MANY_PRODUCER, 2);
    pid_t second = member_start(&members[1], queue, MANY_PRODUCER, 1);
    int got;

    members[0].leave = 1;
    UNTIL(members[0].ready == 2);
    for (int k = 0; k < 3; k++)
        CHECK_EQUAL(many_queue_get(queue, &got, sizeof got, MANY_FOREVER), sizeof got);
    CHECK_CODE(many_queue_get(queue, &got, sizeof got, 0.12), -ETIMEDOUT);
    members[1].leave = 1;
    CHECK_CODE(many_queue_get(queue, &got, sizeof got, MANY_FOREVER), -EPIPE);
    CHECK_CODE(many_queue_get_nowait(queue, &got, sizeof got), -EPIPE);
    end(first);
    end(second);
    many_queue_close(queue);
}

TEST(the_stream_ends_when_the_last_producer_is_dead_and_what_it_put_is_there)
{
    member *members = test_shared(sizeof *members);
    many_queue *queue = queue_of(0);
    pid_t child = member_start(members, queue, MANY_PRODUCER, 2);
    int got;

    CHECK_EQUAL(many_queue_get(queue, &got, sizeof got, MANY_FOREVER), sizeof got);
    CHECK_CODE(many_queue_get(queue, &got, sizeof got, 0), sizeof got);
    CHECK_CODE(many_queue_get(queue, &got, sizeof got, 0), -ETIMEDOUT);
    kill(child, SIGKILL); /* and nobody reaps it */
    CHECK_CODE(many_queue_get(queue, &got, sizeof got, MANY_FOREVER), -EPIPE);
    CHECK_EQUAL(test_child_wait(child), SIGKILL);
    many_queue_close(queue);
}

TEST(the_stream_goes_on_when_another_producer_registers)
{
    many_queue *queue = queue_of(0);
    char byte;

    CHECK_CODE(many_queue_register(queue, MANY_PRODUCER), 0);
    CHECK_CODE(many_queue_finish(queue, MANY_PRODUCER), 0);
    CHECK_CODE(many_queue_get(queue, &byte, 1, 0), -EPIPE);
    CHECK_CODE(many_queue_register(queue, MANY_PRODUCER), 0);
    CHECK_CODE(many_queue_get(queue, &byte, 1, 0), -ETIMEDOUT);
    CHECK_CODE(many_queue_put(queue, "x", 1, 0), 0);
    CHECK_EQUAL(many_queue_get(queue, &byte, 1, 0), 1);
    many_queue_close(queue);
}

TEST(put_fails_when_the_last_consumer_is_gone)
{
    member *members = test_shared(sizeof *members);
    many_queue *queue = queue_of(1);
    pid_t child = member_start(members, queue, MANY_CONSUMER, 0);

    CHECK_CODE(many_queue_put(queue, "x", 1, 0), 0);
    kill(child, SIGKILL);
    CHECK_CODE(many_queue_put(queue, "y", 1, MANY_FOREVER), -EPIPE);
    CHECK_CODE(many_queue_put_nowait(queue, "y", 1), -EPIPE);
    CHECK_EQUAL(test_child_wait(child), SIGKILL);
    CHECK_EQUAL(many_queue_size(queue), 1);
    many_queue_close(queue);
}

TEST(put_to_a_queue_with_room_fails_soon_after_the_last_consumer_died)
{
    member *members = test_shared(sizeof *members);
    many_queue *queue = queue_of(0);
    pid_t child = member_start(members, queue, MANY_CONSUMER, 0);

    CHECK_CODE(many_queue_put(queue, "x", 1, 0), 0);
    end(child);
    UNTIL(many_queue_put(queue, "y", 1, 0) == -EPIPE);
    many_queue_look_(queue);
    CHECK_CODE(many_queue_put(queue, "y", 1, 0), -EPIPE);
    many_queue_close(queue);
}

TEST(a_look_shows_a_death_at_once)
{
    member *members = test_shared(sizeof *members);
    many_queue *queue = queue_of(0);
    pid_t child = member_start(members, queue, MANY_PRODUCER, 0);
    char byte;

    CHECK_CODE(many_queue_get(queue, &byte, 1, 0), -ETIMEDOUT); /* and it was seen alive */
    end(child);
    many_queue_look_(queue);
    CHECK_CODE(many_queue_get(queue, &byte, 1, 0), -EPIPE);
    many_queue_close(queue);
}

TEST(a_dead_producer_does_not_end_the_stream_of_the_living)
{
    member *members = test_shared(sizeof *members);
    many_queue *queue = queue_of(0);
    pid_t child = member_start(members, queue, MANY_PRODUCER, 0);
    char byte;

    CHECK_CODE(many_queue_register(queue, MANY_PRODUCER), 0);
    end(child);
    CHECK_CODE(many_queue_get(queue, &byte, 1, 0.12), -ETIMEDOUT);
    CHECK_CODE(many_queue_finish(queue, MANY_PRODUCER), 0);
    CHECK_CODE(many_queue_get(queue, &byte, 1, MANY_FOREVER), -EPIPE);
    many_queue_close(queue);
}

static void *thread_register(void *argument)
{
    CHECK_CODE(many_queue_register(argument, MANY_PRODUCER), 0);
    return NULL;
}

TEST(a_thread_that_ends_is_gone)
{
    many_queue *queue = queue_of(0);
    pthread_t thread;
    char byte;

    CHECK_EQUAL(pthread_create(&thread, NULL, thread_register, queue), 0);
    pthread_join(thread, NULL);
    CHECK_CODE(many_queue_get(queue, &byte, 1, MANY_FOREVER), -EPIPE);
    many_queue_close(queue);
}

TEST(registering_twice_and_finishing_unregistered_are_said)
{
    many_queue *queue = queue_of(0);

    CHECK_CODE(many_queue_finish(queue, MANY_PRODUCER), -ENOENT);
    CHECK_CODE(many_queue_register(queue, MANY_PRODUCER), 0);
    CHECK_CODE(many_queue_register(queue, MANY_PRODUCER), -EALREADY);
    CHECK_CODE(many_queue_finish(queue, MANY_CONSUMER), -ENOENT);
    CHECK_CODE(many_queue_register(queue, MANY_PRODUCER | MANY_CONSUMER), 0);
    CHECK_CODE(many_queue_register(queue, MANY_CONSUMER), -EALREADY);
    CHECK_CODE(many_queue_finish(queue, MANY_PRODUCER | MANY_CONSUMER), 0);
    CHECK_CODE(many_queue_finish(queue, MANY_PRODUCER | MANY_CONSUMER), -ENOENT);
    many_queue_close(queue);
}

static void expect_unregistered(void *argument)
{
    CHECK_CODE(many_queue_finish(argument, MANY_PRODUCER | MANY_CONSUMER), -ENOENT);
    CHECK_CODE(many_queue_register(argument, MANY_CONSUMER), 0);
}

TEST(a_forked_child_is_not_registered)
{
    many_queue *queue = queue_of(0);

    CHECK_CODE(many_queue_register(queue, MANY_CONSUMER), 0);
    CHECK_EQUAL(test_in_child(expect_unregistered, queue), 0);
    CHECK_CODE(many_queue_put(queue, "x", 1, 0), 0);
    many_queue_close(queue);
}

TEST(closing_takes_the_calling_thread_off_the_list)
{
    many_queue *queue = queue_of(0), *other = NULL;
    int fds[MANY_QUEUE_FDS_];
    char byte;

    many_queue_share_(queue, fds);
    for (int k = 0; k < MANY_QUEUE_FDS_; k++)
        fds[k] = dup(fds[k]);
    CHECK_CODE(many_queue_adopt_(&other, fds), 0);
    CHECK_CODE(many_queue_register(other, MANY_PRODUCER), 0);
    CHECK_CODE(many_queue_put(other, "x", 1, 0), 0);
    CHECK_CODE(many_queue_get(queue, &byte, 1, 0), 1);
    CHECK_CODE(many_queue_get(queue, &byte, 1, 0), -ETIMEDOUT);
    many_queue_close(other);
    CHECK_CODE(many_queue_get(queue, &byte, 1, 0), -EPIPE);
    many_queue_close(queue);
}

typedef struct registered {
    many_queue *queue;
    pthread_t thread;
    int result;
    _Atomic int ready;
    _Atomic int over;
} registered;

static void *registered_body(void *argument)
{
    registered *self = argument;

    self->result = many_queue_register(self->queue, MANY_CONSUMER);
    self->ready = 1;
    UNTIL(self->over);
    return NULL;
}

TEST(more_than_sixty_four_living_are_too_many_and_an_ended_one_makes_room)
{
    static registered threads[MANY_ENDS_MOST_];
    many_queue *queue = queue_of(0);

    for (int k = 0; k < MANY_ENDS_MOST_; k++) {
        threads[k] = (registered){.queue = queue};
        CHECK_EQUAL(pthread_create(&threads[k].thread, NULL, registered_body, &threads[k]), 0);
        UNTIL(threads[k].ready);
        CHECK_CODE(threads[k].result, 0);
    }
    CHECK_CODE(many_queue_register(queue, MANY_PRODUCER), -ENOSPC);
    threads[7].over = 1;
    pthread_join(threads[7].thread, NULL);
    CHECK_CODE(many_queue_register(queue, MANY_PRODUCER), 0);
    CHECK_CODE(many_queue_finish(queue, MANY_PRODUCER), 0);
    for (int k = 0; k < MANY_ENDS_MOST_; k++) {
        threads[k].over = 1;
        if (k != 7)
            pthread_join(threads[k].thread, NULL);
    }
    many_queue_close(queue);
}

TEST(a_child_is_enlisted_before_it_runs_and_delisted_by_its_parent)
{
    many_queue *queue = queue_of(0);
    pid_t child = fork();
    many_identity_ identity;
    char byte;

    if (child == 0) {
        for (;;)
            pause();
    }
    identity = many_self_of_((int)child);
    CHECK(identity != 0);
    CHECK_CODE(many_queue_enlist_(queue, identity, MANY_PRODUCER), 0);
    CHECK_CODE(many_queue_enlist_(queue, identity, MANY_PRODUCER), 0);
    CHECK_CODE(many_queue_get(queue, &byte, 1, 0.06), -ETIMEDOUT);
    CHECK_CODE(many_queue_delist_(queue, identity, MANY_PRODUCER), 0);
    CHECK_CODE(many_queue_delist_(queue, identity, MANY_PRODUCER), -ENOENT);
    CHECK_CODE(many_queue_get(queue, &byte, 1, MANY_FOREVER), -EPIPE);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    many_queue_close(queue);
}

TEST(join_ends_when_all_consumers_are_gone_and_something_is_open)
{
    member *members = test_shared(sizeof *members);
    many_queue *queue = queue_of(0);
    pid_t child = member_start(members, queue, MANY_CONSUMER, 0);

    CHECK_CODE(many_queue_put(queue, "x", 1, 0), 0);
    CHECK_CODE(many_queue_join(queue, 0.06), -ETIMEDOUT);
    kill(child, SIGKILL);
    CHECK_CODE(many_queue_join(queue, MANY_FOREVER), -EPIPE);
    CHECK_CODE(many_queue_task_done(queue), 0);
    CHECK_CODE(many_queue_join(queue, MANY_FOREVER), 0);
    CHECK_EQUAL(test_child_wait(child), SIGKILL);
    many_queue_close(queue);
}

/* ---- handed to others ---- */

TEST(what_is_no_queue_is_not_adopted)
{
    many_queue *queue = queue_of(0), *other = queue;
    int fds[MANY_QUEUE_FDS_], wrong[MANY_QUEUE_FDS_];
    int file = open("/dev/null", O_RDWR | O_CLOEXEC);
    char byte;

    many_queue_share_(queue, fds);
    wrong[0] = file;
    wrong[1] = fds[1];
    CHECK_CODE(many_queue_adopt_(&other, wrong), -EBADMSG);
    CHECK(other == NULL);
    wrong[0] = fds[0];
    wrong[1] = file;
    CHECK_CODE(many_queue_adopt_(&other, wrong), -EBADF);
    wrong[0] = -1;
    CHECK_CODE(many_queue_adopt_(&other, wrong), -EBADF);
    CHECK_CODE(many_queue_put(queue, "x", 1, 0), 0);
    CHECK_CODE(many_queue_get(queue, &byte, 1, 0), 1);
    CHECK_EQUAL(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
    CHECK_EQUAL(fcntl(fds[1], F_GETFD), FD_CLOEXEC);
    close(file);
    many_queue_close(queue);
}

TEST(a_queue_whose_descriptors_the_caller_closed_still_passes_messages)
{
    static char message[3000000], got[3000000];
    many_queue *queue = queue_of(0);
    int fds[MANY_QUEUE_FDS_];

    many_queue_share_(queue, fds);
    close(fds[0]);
    close(fds[1]);
    CHECK_EQUAL(open("/dev/zero", O_RDWR | O_CLOEXEC), fds[0] < fds[1] ? fds[0] : fds[1]);
    memset(message, 'm', sizeof message);
    CHECK_CODE(many_queue_put(queue, message, sizeof message, 0), 0);
    CHECK_EQUAL(many_queue_get(queue, got, sizeof got, 0), sizeof got);
    CHECK_BYTES(got, message, sizeof got);
    many_queue_close(queue);
    CHECK(fcntl(fds[0] < fds[1] ? fds[0] : fds[1], F_GETFD) >= 0); /* the caller's file */
    close(fds[0] < fds[1] ? fds[0] : fds[1]);
}
