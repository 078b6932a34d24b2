/* SPDX-License-Identifier: MIT */
/* test_future_watch.c - nodes and callbacks as engines and gathers rely on them */
#include "fake_engine.h"

#include <sched.h>

typedef struct told_node {
    many_future_node_ node;
    _Atomic int told, entered, leave, left;
} told_node;

static told_node *node_of(many_future_node_ *node)
{
    return (told_node *)(void *)node;
}

static void tell(many_future_node_ *node)
{
    atomic_fetch_add(&node_of(node)->told, 1);
}

TEST(an_attached_node_is_told_once_and_a_detached_one_never)
{
    static fake_home home;
    many_future *future = &home.futures[0].head;
    told_node nodes[4];

    memset(nodes, 0, sizeof nodes);
    fake_begin(&home, &fake_near, -1);
    for (int i = 0; i < 3; i++)
        CHECK_CODE(many_future_attach_(future, &nodes[i].node, tell), 0);
    many_future_detach_(&nodes[1].node);
    many_future_detach_(&nodes[1].node); /* twice does no harm */
    many_future_detach_(&nodes[3].node); /* nor does one that was never attached */
    many_future_settle_(future, MANY_FUTURE_DONE_);
    CHECK_EQUAL(atomic_load(&nodes[0].told), 1);
    CHECK_EQUAL(atomic_load(&nodes[1].told), 0);
    CHECK_EQUAL(atomic_load(&nodes[2].told), 1);
    CHECK_CODE(many_future_attach_(future, &nodes[3].node, tell), 1); /* over: nobody will tell */
    for (int i = 0; i < 4; i++)
        many_future_detach_(&nodes[i].node);
    CHECK_EQUAL(atomic_load(&nodes[3].told), 0);
    many_future_close(future);
    CHECK_EQUAL(atomic_load(&home.futures[0].dropped), 1);
}

static void tell_and_use(many_future_node_ *node)
{
    many_future_node_ other = {0};

    /* No lock is held that these would take. */
    CHECK_CODE(many_future_attach_(node->future, &other, tell), 1);
    many_future_detach_(&other);
    CHECK_EQUAL(many_future_done(node->future), 1);
    tell(node);
}

TEST(who_is_told_may_use_the_future)
{
    static fake_home home;
    told_node node;

    memset(&node, 0, sizeof node);
    fake_begin(&home, &fake_near, -1);
    CHECK_CODE(many_future_attach_(&home.futures[0].head, &node.node, tell_and_use), 0);
    many_future_settle_(&home.futures[0].head, MANY_FUTURE_FAILED_);
    CHECK_EQUAL(atomic_load(&node.told), 1);
    many_future_close(&home.futures[0].head);
}

static void tell_slowly(many_future_node_ *node)
{
    told_node *self = node_of(node);

    atomic_store(&self->entered, 1);
    UNTIL(atomic_load(&self->leave));
    for (int i = 0; i < 2000; i++) /* so that who does not wait is elsewhere by now */
        sched_yield();
    atomic_store(&self->left, 1);
}

static void *settle_it(void *argument)
{
    many_future_settle_(argument, MANY_FUTURE_DONE_);
    return NULL;
}

TEST(after_detach_nobody_is_inside_the_node)
{
    static fake_home home;
    pthread_t thread;
    told_node node;

    for (int round = 0; round < 5; round++) {
        memset(&node, 0, sizeof node);
        fake_begin(&home, &fake_near, -1);
        CHECK_CODE(many_future_attach_(&home.futures[0].head, &node.node, tell_slowly), 0);
        CHECK_EQUAL(pthread_create(&thread, NULL, settle_it, &home.futures[0].head), 0);
        UNTIL(atomic_load(&node.entered));
        atomic_store(&node.leave, 1);
        many_future_detach_(&node.node);
        CHECK_EQUAL(atomic_load(&node.left), 1);
        pthread_join(thread, NULL);
        many_future_close(&home.futures[0].head);
    }
}

static int close_and_fail(many_future *future, void *context)
{
    (void)context;
    many_future_close(future);
    return -EIO;
}

TEST(a_callback_that_closes_and_fails_is_told_of_while_the_future_is_there)
{
    static fake_home home;

    fake_begin(&home, &fake_near, -1);
    CHECK_CODE(many_future_on_done(&home.futures[0].head, close_and_fail, NULL), 0);
    CHECK_EQUAL(many_future_settle_(&home.futures[0].head, MANY_FUTURE_DONE_), -EIO);
    many_future_settle_(&home.futures[1].head, MANY_FUTURE_DONE_);
    CHECK_CODE(many_future_on_done(&home.futures[1].head, close_and_fail, NULL), 0);
    for (int i = 0; i < 2; i++) {
        CHECK_EQUAL(atomic_load(&home.futures[i].failed), -EIO);
        CHECK_EQUAL(atomic_load(&home.futures[i].dropped), 1);
    }
}

TEST(a_callback_prepared_before_the_task_is_public_is_the_first)
{
    static fake_home home;
    many_future *future = &home.futures[0].head;

    fake_begin(&home, &fake_far, -1);
    CHECK_CODE(many_future_prepare_callback_(future, close_and_fail, NULL), 0);
    CHECK_EQUAL(atomic_load(&home.futures[0].watched), 0); /* its engine knows */
    fake_end(&home, 0, MANY_FUTURE_DONE_, 0);
    fake_look(future);
    CHECK_EQUAL(atomic_load(&home.futures[0].failed), -EIO);
    CHECK_EQUAL(atomic_load(&home.futures[0].dropped), 1);
}

TEST(a_name_in_a_sentence_has_quotes_if_somebody_gave_it)
{
    static fake_home home;
    char said[MANY_FUTURE_SAID_];
    many_future *hand = NULL;

    fake_begin(&home, &fake_near, -1);
    CHECK_STRING(many_future_say_(&home.futures[3].head, said), "'fake 3'");
    CHECK_CODE(many_future_open(&hand, .name = "task 17"), 0);
    CHECK_STRING(many_future_say_(hand, said), "task 17");
    many_future_close(hand);
    CHECK_CODE(many_future_open(&hand, .name = "task force"), 0);
    CHECK_STRING(many_future_say_(hand, said), "'task force'");
    many_future_close(hand);
    CHECK_CODE(many_future_open(&hand, .name = "01234567890123456789012345678901234567890123456789"
                                               "0123456789012"),
               0);
    CHECK_EQUAL(strlen(many_future_say_(hand, said)), 65);
    many_future_close(hand);
}
