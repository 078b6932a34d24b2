/* SPDX-License-Identifier: MIT */
/* test_cause.c - the sentence of a cause says what happened, to which item, where, and when */
#include "test.h"

#include <limits.h>
#include <string.h>

#include <many/task.h>

#include "task/cause.h"

/* Item 812 on worker 3; the rest is zero, as the library leaves what it does not know. */
static many_cause cause_of(int code)
{
    many_cause cause;

    memset(&cause, 0, sizeof cause);
    cause.item = 812;
    cause.code = code;
    cause.worker = 3;
    cause.exit_status = -1;
    cause.tries = 1;
    return cause;
}

/* The same, of a worker that died in it. */
static many_cause cause_of_death(void)
{
    many_cause cause = cause_of(-MANY_EDIED);

    cause.pid = 4711;
    return cause;
}

TEST(a_death_by_signal_names_signal_worker_pid_time_and_memory)
{
    many_cause cause = cause_of_death();

    cause.signal = SIGSEGV;
    cause.seconds = 3.1;
    cause.peak_bytes = UINT64_C(3) << 19; /* 1.5 MiB */
    many_cause_write_(&cause, "", 0);
    CHECK_STRING(cause.text,
                 "item 812 died of SIGSEGV (worker 3, pid 4711, after 3.1 s, at most 1.5 MiB)");
}

TEST(a_death_by_sigkill_says_who_sends_it)
{
    many_cause cause = cause_of_death();

    cause.signal = SIGKILL;
    many_cause_write_(&cause, "", 0);
    CHECK_STRING(cause.text, "item 812 died of SIGKILL: sent from outside, or by the kernel for "
                             "lack of memory (worker 3, pid 4711)");
}

TEST(a_worker_that_exits_is_told_with_its_status)
{
    many_cause cause = cause_of_death();

    cause.exit_status = 0;
    many_cause_write_(&cause, "", 0);
    CHECK_STRING(cause.text, "item 812 died: its worker exited with 0 (worker 3, pid 4711)");
}

TEST(a_status_that_somebody_took_is_unknown_and_not_zero)
{
    many_cause cause = cause_of_death();

    many_cause_write_(&cause, "", 0);
    CHECK_STRING(cause.text, "item 812 died: how is unknown, its worker's status was taken by the "
                             "caller (worker 3, pid 4711)");
}

TEST(an_item_over_its_limit_says_whether_it_was_killed)
{
    many_cause cause = cause_of(-ETIMEDOUT);

    cause.over_limit = 1;
    cause.pid = 4711;
    many_cause_write_(&cause, "", 2.5);
    CHECK_STRING(cause.text,
                 "item 812 was over its limit of 2.5 s and was killed (worker 3, pid 4711)");
    cause.pid = 0;
    many_cause_write_(&cause, "", 2.5);
    CHECK_STRING(cause.text, "item 812 was over its limit of 2.5 s (a thread cannot be killed; it "
                             "was told) (worker 3)");
}

TEST(a_task_that_returns_a_code_of_ours_has_failed_by_itself)
{
    many_cause cause = cause_of(-ETIMEDOUT);

    many_cause_write_(&cause, "connect: timed out", 60);
    CHECK_STRING(cause.text, "item 812 failed with -110: connect: timed out (worker 3)");
    cause.code = -MANY_EDIED;
    many_cause_write_(&cause, "the inner map's item 3 died", 0);
    CHECK_STRING(cause.text, "item 812 failed with -4097: the inner map's item 3 died (worker 3)");
    cause.code = -ECANCELED;
    many_cause_write_(&cause, "", 0);
    CHECK_STRING(cause.text, "item 812 failed with -125 (ECANCELED) (worker 3)");
}

TEST(an_item_that_nobody_began_has_no_worker)
{
    many_cause cause = cause_of(-ECANCELED);

    cause.worker = -1;
    cause.tries = 0;
    cause.cancelled = 1;
    many_cause_write_(&cause, "", 0);
    CHECK_STRING(cause.text, "item 812 was cancelled");
}

TEST(a_code_of_the_task_comes_with_its_words_or_its_name)
{
    many_cause cause = cause_of(-EIO);

    many_cause_write_(&cause, "a.txt: short read", 0);
    CHECK_STRING(cause.text, "item 812 failed with -5: a.txt: short read (worker 3)");
    many_cause_write_(&cause, "", 0);
    CHECK_STRING(cause.text, "item 812 failed with -5 (EIO) (worker 3)");
    cause.code = 5; /* the task's own number, which only looks like an errno */
    many_cause_write_(&cause, "", 0);
    CHECK_STRING(cause.text, "item 812 failed with 5 (worker 3)");
    cause.code = -31337;
    many_cause_write_(&cause, "", 0);
    CHECK_STRING(cause.text, "item 812 failed with -31337 (worker 3)");
}

TEST(the_try_is_named_from_the_second_on)
{
    many_cause cause = cause_of(-EIO);

    cause.tries = 3;
    many_cause_write_(&cause, "no", 0);
    CHECK_STRING(cause.text, "item 812 failed with -5: no (worker 3, try 3)");
}

TEST(the_longest_facts_stay_inside_the_text)
{
    many_cause cause = cause_of(INT_MIN);
    char words[4096];

    memset(words, 'w', sizeof words);
    words[sizeof words - 1] = '\0';
    cause.item = UINT64_MAX;
    cause.worker = INT_MAX;
    cause.tries = INT_MAX;
    cause.seconds = 1e300;
    cause.peak_bytes = UINT64_MAX;
    memset(cause.text, '#', sizeof cause.text);
    many_cause_write_(&cause, words, 0);
    CHECK_EQUAL(strlen(cause.text), sizeof cause.text - 1);
    CHECK_CONTAINS(cause.text, "item 18446744073709551615 failed with -2147483648: www");
    words[255] = '\0'; /* the longest that many_fail() keeps: nothing is cut here */
    cause = cause_of(-EIO);
    many_cause_write_(&cause, words, 0);
    CHECK_CONTAINS(cause.text, "www (worker 3)");
}

TEST(signals_have_their_names_and_others_their_numbers)
{
    char text[32];

    CHECK_STRING(many_signal_name_(SIGABRT, text, sizeof text), "SIGABRT");
    CHECK_STRING(many_signal_name_(SIGXCPU, text, sizeof text), "SIGXCPU");
    CHECK_STRING(many_signal_name_(40, text, sizeof text), "signal 40");
}
