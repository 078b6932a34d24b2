/* SPDX-License-Identifier: MIT */
/*
 * test_surroundings.c - workers die while the program around the map does as it likes
 *
 * Each case is a program of its own (a child of the test): what it does with its signals, its
 * threads, its descriptors and other people's children must neither disturb the map nor be
 * disturbed by it.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sched.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <many/map.h>

#include "base/fault.h"
#include "kill/ledger.h"
#include "test.h"

#define AROUND_ITEMS 120
#define AROUND_EVERY 10 /* one item in so many kills its worker */
#define AROUND_MORE  50 /* so many times the rounds, until a cause is told */

static int around_task(const void *item, void *result, void *context)
{
    size_t i = many_item_index();
    int code = ledger_task(item, result, context);

    if (i % AROUND_EVERY == 3)
        kill(getpid(), SIGKILL);
    return code;
}

static int around_no_pidfd(const char *point)
{
    return strcmp(point, "pidfd.open") == 0 ? -ENOSYS : 0;
}

/* Is it known how a worker died? */
typedef enum around_known {
    AROUND_NEVER_MIND = 0,
    AROUND_ALWAYS = 1, /* nobody else takes its status */
    AROUND_MOSTLY = 2  /* the kernel tells; but for a worker that is gone before it has a pidfd,
                        * and on a busy machine that is many */
} around_known;

/* Does the kernel tell how a process ended after somebody else took its status? */
static around_known around_told(void)
{
    struct utsname name;
    int major = 0, minor = 0;

    uname(&name);
    return sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
                   (major > 6 || (major == 6 && minor >= 15))
               ? AROUND_MOSTLY
               : AROUND_NEVER_MIND;
}

/* Some maps with some deaths; signals and census as before. */
static void around_maps(int rounds, around_known known)
{
    ledger *book = ledger_open(AROUND_ITEMS);
    test_signals signals;
    test_census census;
    int unknown = 0, told = 0, most = rounds;

    book->most_us = 100;
    census = test_census_take();
    test_signals_take(&signals);
    if (known == AROUND_MOSTLY)
        most *= AROUND_MORE;
    for (int round = 0; round < rounds || (told == 0 && round < most); round++) {
        many_cause cause = {.code = 0};
        ledger_rule rule = {.most = AROUND_ITEMS / AROUND_EVERY};

        ledger_clear(book);
        if (round % 2 == 0)
            rule.code = many_process_map(around_task, book->in, book->out, AROUND_ITEMS,
                                         .workers = 3, .context = book, .codes = book->codes,
                                         .cause = &cause, .on_error = MANY_GO_ON);
        else
            rule.code = many_process_map(around_task, (uint64_t *)NULL, (ledger_result *)NULL, 0,
                                         .workers = 3, .context = book, .next = ledger_next,
                                         .next_context = book, .on_result = ledger_take,
                                         .on_result_context = book, .cause = &cause,
                                         .on_error = MANY_GO_ON);
        ledger_check(book, &rule);
        CHECK_CODE(rule.code, AROUND_ITEMS / AROUND_EVERY);
        for (size_t i = 0; i < AROUND_ITEMS; i++)
            CHECK_CODE(book->codes[i], i % AROUND_EVERY == 3 ? -MANY_EDIED : 0);
        CHECK_CODE(cause.code, -MANY_EDIED);
        if (cause.signal == 0) {
            CHECK_CONTAINS(cause.text, "how is unknown");
            unknown++;
        } else {
            CHECK_EQUAL(cause.signal, SIGKILL);
        }
        told += cause.signal != 0;
        CHECK_CENSUS(census);
    }
    CHECK_SIGNALS(signals);
    CHECK(known != AROUND_ALWAYS || unknown == 0);
    CHECK(known != AROUND_MOSTLY || told > 0);
}

static void around_run(void (*body)(void *argument))
{
    CHECK_EQUAL(test_in_child(body, NULL), 0);
}

/* ---- SIGCHLD ---- */

static void around_ignored(void *argument)
{
    (void)argument;
    signal(SIGCHLD, SIG_IGN);
    around_maps(20, around_told());
}

TEST(death_is_seen_where_sigchld_is_ignored)
{
    around_run(around_ignored);
}

static void around_ignored_blind(void *argument)
{
    (void)argument;
    signal(SIGCHLD, SIG_IGN);
    many_fault_hook_ = around_no_pidfd;
    around_maps(4, AROUND_NEVER_MIND);
}

TEST(death_is_seen_where_sigchld_is_ignored_and_there_are_no_pidfds)
{
    around_run(around_ignored_blind);
}

static volatile sig_atomic_t around_reaped;

static void around_reap(int signal)
{
    int saved = errno, status;

    (void)signal;
    while (waitpid(-1, &status, WNOHANG) > 0)
        around_reaped++;
    errno = saved;
}

static void around_handle(int flags)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = around_reap;
    action.sa_flags = flags;
    sigaction(SIGCHLD, &action, NULL);
}

static void around_handled(void *argument)
{
    (void)argument;
    around_handle(0);
    around_maps(20, around_told());
    CHECK(around_reaped > 0);
}

TEST(death_is_seen_where_a_handler_reaps_everybody)
{
    around_run(around_handled);
}

static void around_handled_blind(void *argument)
{
    (void)argument;
    around_handle(SA_RESTART | SA_NOCLDSTOP);
    many_fault_hook_ = around_no_pidfd;
    around_maps(4, AROUND_NEVER_MIND);
    CHECK(around_reaped > 0);
}

TEST(death_is_seen_where_a_handler_reaps_everybody_and_there_are_no_pidfds)
{
    around_run(around_handled_blind);
}

static void around_no_wait(void *argument)
{
    struct sigaction action;

    (void)argument;
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_DFL;
    action.sa_flags = SA_NOCLDWAIT;
    sigaction(SIGCHLD, &action, NULL);
    around_maps(6, around_told());
}

TEST(death_is_seen_where_children_leave_no_status)
{
    around_run(around_no_wait);
}

static void around_blocked(void *argument)
{
    sigset_t all;

    (void)argument;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    around_maps(6, AROUND_ALWAYS);
}

TEST(death_is_seen_where_all_signals_are_blocked)
{
    around_run(around_blocked);
}

static void around_blind(void *argument)
{
    (void)argument;
    many_fault_hook_ = around_no_pidfd;
    around_maps(6, AROUND_ALWAYS);
}

TEST(death_is_seen_where_there_are_no_pidfds)
{
    around_run(around_blind);
}

static void around_nothing(int signal)
{
    (void)signal;
}

static void around_interrupted(void *argument)
{
    const struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
    struct sigaction action;

    (void)argument;
    memset(&action, 0, sizeof action);
    action.sa_handler = around_nothing;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    around_maps(20, AROUND_ALWAYS);
    many_fault_hook_ = around_no_pidfd;
    around_maps(2, AROUND_ALWAYS);
    setitimer(ITIMER_REAL, &never, NULL);
}

TEST(signal_handlers_of_the_caller_do_not_end_a_map)
{
    around_run(around_interrupted);
}

/* ---- threads ---- */

static _Atomic int around_over;

static void *around_waits(void *argument)
{
    int status;

    (void)argument;
    while (!atomic_load(&around_over))
        if (waitpid(-1, &status, 0) < 0)
            sched_yield();
    return NULL;
}

static void *around_allocates(void *argument)
{
    (void)argument;
    while (!atomic_load(&around_over)) {
        void *block[64];

        for (int i = 0; i < 64; i++)
            block[i] = malloc((size_t)1 << (i % 16));
        for (int i = 0; i < 64; i++)
            free(block[i]);
    }
    return NULL;
}

static void *around_prints(void *argument)
{
    (void)argument;
    while (!atomic_load(&around_over))
        fprintf(stderr, "%s", "");
    return NULL;
}

static void *around_reads(void *argument)
{
    (void)argument;
    CHECK_EQUAL(getchar(), EOF); /* holds the lock of stdin meanwhile */
    return NULL;
}

static void *around_locks(void *argument)
{
    (void)argument;
    flockfile(stdout);
    while (!atomic_load(&around_over))
        sched_yield();
    funlockfile(stdout);
    return NULL;
}

static void around_one_waits(void *argument)
{
    pthread_t thread;

    (void)argument;
    CHECK(pthread_create(&thread, NULL, around_waits, NULL) == 0);
    around_maps(10, around_told());
    many_fault_hook_ = around_no_pidfd;
    around_maps(2, AROUND_NEVER_MIND);
    atomic_store(&around_over, 1);
    pthread_join(thread, NULL);
}

TEST(death_is_seen_where_another_thread_waits_for_any_child)
{
    around_run(around_one_waits);
}

static void around_busy(void *argument)
{
    pthread_t thread[5];
    int ends[2];

    (void)argument;
    CHECK(pipe(ends) == 0);
    CHECK(dup2(ends[0], STDIN_FILENO) == STDIN_FILENO);
    CHECK(pthread_create(&thread[0], NULL, around_reads, NULL) == 0);
    CHECK(pthread_create(&thread[1], NULL, around_allocates, NULL) == 0);
    CHECK(pthread_create(&thread[2], NULL, around_allocates, NULL) == 0);
    CHECK(pthread_create(&thread[3], NULL, around_prints, NULL) == 0);
    CHECK(pthread_create(&thread[4], NULL, around_locks, NULL) == 0);
    around_maps(20, AROUND_ALWAYS);
    atomic_store(&around_over, 1);
    close(ends[1]);
    for (int k = 0; k < 5; k++)
        pthread_join(thread[k], NULL);
}

TEST(threads_of_the_caller_that_hold_locks_are_no_hindrance)
{
    if (TEST_ASAN)
        test_skip("the sanitizer's allocator may be locked by another thread at a fork");
    around_run(around_busy);
}

static void *around_maps_in_thread(void *argument)
{
    around_maps(5, AROUND_ALWAYS);
    return argument;
}

static void around_second_thread(void *argument)
{
    pthread_t thread;

    (void)argument;
    CHECK(pthread_create(&thread, NULL, around_maps_in_thread, NULL) == 0);
    pthread_join(thread, NULL);
}

TEST(map_in_a_second_thread_survives_deaths)
{
    around_run(around_second_thread);
}

/* ---- closed streams ---- */

static void around_closed(void *argument)
{
    (void)argument;
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    close(STDERR_FILENO);
    around_maps(4, AROUND_ALWAYS);
    /* Nothing of ours may be found where others look for their streams. */
    for (int fd = 0; fd <= 2; fd++)
        CHECK(fcntl(fd, F_GETFD) < 0 && errno == EBADF);
}

TEST(closed_standard_streams_stay_closed)
{
    around_run(around_closed);
}

/* The descriptors of a worker, as its task sees them: none of ours at 0, 1, 2. */
static int around_looks(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    (void)context;
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            return 1 + fd;
    return 0;
}

static void around_closed_for_tasks(void *argument)
{
    char in[8] = {0};

    (void)argument;
    for (int fd = 0; fd <= 2; fd++)
        close(fd);
    CHECK_CODE(many_process_each(around_looks, in, 8, .workers = 2, .item_limit_s = 9), 0);
    CHECK_CODE(many_process_each(around_looks, in, 8, .workers = 2, .desc = "closed"), 0);
}

TEST(task_finds_closed_streams_closed)
{
    around_run(around_closed_for_tasks);
}
