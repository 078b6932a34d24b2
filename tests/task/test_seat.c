/* SPDX-License-Identifier: MIT */
/* test_seat.c - what a task can ask about itself, and what it is told outside of a task */
#include "test.h"

#include <pthread.h>
#include <string.h>

#include "task/seat.h"

typedef struct seat_words {
    _Atomic uint64_t state;
    _Atomic uint32_t attention;
    _Atomic uint64_t index;
    many_cancel token;
} seat_words;

static many_seat_ seat_at(seat_words *words, int worker)
{
    return (many_seat_){.state = &words->state,
                        .attention = &words->attention,
                        .token = &words->token,
                        .worker = worker};
}

static void check_no_seat(void)
{
    CHECK(many_item_index() == (size_t)-1);
    CHECK_EQUAL(many_worker_index(), -1);
    CHECK_EQUAL(many_cancelled(), 0);
    CHECK_EQUAL(many_seat_taken_(), 0);
}

TEST(outside_a_task_there_is_no_item_no_worker_and_no_cancel)
{
    check_no_seat();
}

TEST(a_state_word_gives_back_what_was_put_in)
{
    static const uint64_t phases[] = {MANY_BETWEEN_, MANY_RUNNING_, MANY_CONDEMNED_, MANY_ENDED_};
    static const uint32_t items[] = {0, 1, 0x7FFFFFFF, 0xFFFFFFFF};
    static const uint32_t tries[] = {0, 1, 65000, 0xFFFF};

    for (size_t p = 0; p < 4; p++)
        for (size_t i = 0; i < 4; i++)
            for (size_t t = 0; t < 4; t++) {
                uint64_t state = many_state_(items[i], tries[t], phases[p]);

                CHECK(many_state_item_(state) == items[i]);
                CHECK(many_state_tries_(state) == tries[t]);
                CHECK((state & MANY_PHASES_) == phases[p]);
            }
}

TEST(an_index_counts_from_the_rounds_first_item)
{
    seat_words words;
    many_seat_ seat;

    memset(&words, 0, sizeof words);
    seat = seat_at(&words, 5);
    seat.first = UINT64_C(1) << 40;
    many_seat_take_(&seat);
    atomic_store(&words.state, many_state_(7, 2, MANY_RUNNING_));
    CHECK(many_item_index() == ((size_t)1 << 40) + 7);
    CHECK_EQUAL(many_worker_index(), 5);
    CHECK_EQUAL(many_seat_taken_(), 1);
    many_seat_leave_(&seat);
    check_no_seat();
}

TEST(an_item_in_a_slot_has_the_index_of_the_item)
{
    seat_words words;
    many_seat_ seat;

    memset(&words, 0, sizeof words);
    seat = seat_at(&words, 0);
    seat.slot_index = &words.index;
    many_seat_take_(&seat);
    atomic_store(&words.state, many_state_(7, 0, MANY_RUNNING_)); /* the slot's number */
    atomic_store(&words.index, UINT64_C(123456789012));
    CHECK(many_item_index() == (size_t)123456789012);
    many_seat_leave_(&seat);
}

TEST(each_reason_to_end_is_seen_and_hunger_is_none)
{
    seat_words words;
    many_seat_ seat;

    memset(&words, 0, sizeof words);
    seat = seat_at(&words, 0);
    many_seat_take_(&seat);
    atomic_store(&words.state, many_state_(7, 0, MANY_RUNNING_));
    atomic_store(&words.attention, MANY_ATTENTION_HUNGRY_);
    CHECK_EQUAL(many_cancelled(), 0);
    atomic_store(&words.attention, MANY_ATTENTION_STOP_);
    CHECK_EQUAL(many_cancelled(), 1);
    atomic_store(&words.attention, 0);
    atomic_store(&words.state, many_state_(7, 0, MANY_CONDEMNED_));
    CHECK_EQUAL(many_cancelled(), 1);
    atomic_store(&words.state, many_state_(8, 0, MANY_RUNNING_));
    CHECK_EQUAL(many_cancelled(), 0);
    many_cancel_set(&words.token);
    CHECK_EQUAL(many_cancelled(), 1);
    many_seat_leave_(&seat);
    CHECK_EQUAL(many_cancelled(), 0);
}

TEST(a_map_inside_a_task_gives_the_seat_back)
{
    seat_words outer_words, inner_words;
    many_seat_ outer, inner;

    memset(&outer_words, 0, sizeof outer_words);
    memset(&inner_words, 0, sizeof inner_words);
    outer = seat_at(&outer_words, 2);
    inner = seat_at(&inner_words, 9);
    atomic_store(&outer_words.state, many_state_(1, 0, MANY_RUNNING_));
    atomic_store(&inner_words.state, many_state_(4, 0, MANY_RUNNING_));
    many_seat_take_(&outer);
    many_seat_take_(&inner);
    CHECK_EQUAL(many_worker_index(), 9);
    CHECK(many_item_index() == 4);
    many_seat_leave_(&inner);
    CHECK_EQUAL(many_worker_index(), 2);
    CHECK(many_item_index() == 1);
    many_seat_leave_(&outer);
    check_no_seat();
}

static void *seat_look(void *argument)
{
    (void)argument;
    check_no_seat();
    return NULL;
}

TEST(a_thread_that_a_task_starts_is_not_the_task)
{
    seat_words words;
    many_seat_ seat;
    pthread_t thread;

    memset(&words, 0, sizeof words);
    seat = seat_at(&words, 0);
    many_seat_take_(&seat);
    CHECK(pthread_create(&thread, NULL, seat_look, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    many_seat_leave_(&seat);
}

static void seat_look_in_child(void *argument)
{
    (void)argument;
    CHECK(many_item_index() == 3);
    CHECK_EQUAL(many_worker_index(), 1);
}

TEST(a_child_that_a_task_forks_is_still_the_task)
{
    seat_words words;
    many_seat_ seat;

    memset(&words, 0, sizeof words);
    seat = seat_at(&words, 1);
    atomic_store(&words.state, many_state_(3, 0, MANY_RUNNING_));
    many_seat_take_(&seat);
    CHECK_EQUAL(test_in_child(seat_look_in_child, NULL), 0);
    many_seat_leave_(&seat);
}
