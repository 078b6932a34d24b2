/* SPDX-License-Identifier: MIT */
/*
 * test_cancel_map.c - a map ends when its token is set, keeps what is done, and ends for no other
 * signal
 */
#include "kind.h"

#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

/* What tasks and the outside tell each other; in shared memory. */
typedef struct cancel_scene {
    uint32_t hold_from;          /* items from here on wait until they are told to end */
    _Atomic uint32_t held;       /* how many do */
    _Atomic uint32_t wrong;      /* checks in tasks that failed */
    _Atomic uint32_t entered_at; /* how often anything was entered */
    _Atomic uint32_t entered[];
} cancel_scene;

static cancel_scene *cancel_scene_of(size_t n)
{
    return test_shared(sizeof(cancel_scene) + n * sizeof(_Atomic uint32_t));
}

static int cancel_hold(const void *item, void *result, void *context)
{
    cancel_scene *scene = context;
    size_t index = many_item_index();

    (void)item;
    atomic_fetch_add(&scene->entered_at, 1);
    atomic_fetch_add(&scene->entered[index], 1);
    if (index >= scene->hold_from) {
        atomic_fetch_add(&scene->held, 1);
        UNTIL(many_cancelled()); /* processes are killed here */
    }
    if (result != NULL)
        *(size_t *)result = index + 1;
    return 0;
}

/* codes tell what was entered, and results of what is done are there. Returns how many are done. */
static size_t cancel_check_outcomes(const cancel_scene *scene, const int *codes, const size_t *out,
                                    size_t n)
{
    size_t done = 0;

    for (size_t i = 0; i < n; i++) {
        CHECK(codes[i] == 0 || codes[i] == -ECANCELED);
        CHECK(atomic_load(&scene->entered[i]) <= 1);
        if (codes[i] != 0)
            continue;
        CHECK(atomic_load(&scene->entered[i]) == 1 && i < scene->hold_from && out[i] == i + 1);
        done++;
    }
    return done;
}

BOTH(a_token_that_is_set_already_lets_nothing_begin)
{
    test_census before = pool_census();
    cancel_scene *scene = cancel_scene_of(500);
    many_cancel token = {0};
    int codes[500];

    scene->hold_from = 500;
    many_cancel_set(&token);
    memset(codes, 0x11, sizeof codes);
    CHECK_CODE(EACH(kind, cancel_hold, POOL_NOTHING, 500, .workers = 3, .codes = codes,
                    .cancel = &token, .context = scene),
               -ECANCELED);
    CHECK_CONTAINS(many_error_message(), kind->map_name);
    CHECK_CONTAINS(many_error_message(), ".cancel");
    CHECK_EQUAL(atomic_load(&scene->entered_at), 0);
    for (size_t i = 0; i < 500; i++)
        CHECK_EQUAL(codes[i], -ECANCELED);
    CHECK_CENSUS(before);
}

/* ---- from another thread ---- */

typedef struct cancel_canceller {
    cancel_scene *scene;
    many_cancel *token;
    uint32_t held; /* set it when so many wait */
} cancel_canceller;

static void *cancel_when_held(void *argument)
{
    cancel_canceller *canceller = argument;

    UNTIL(atomic_load(&canceller->scene->held) >= canceller->held);
    many_cancel_set(canceller->token);
    return NULL;
}

static void cancel_from_thread(const pool_kind *kind, double limit_s)
{
    const size_t n = 1000;
    cancel_scene *scene = cancel_scene_of(n);
    many_cancel token = {0};
    cancel_canceller canceller = {scene, &token, 1};
    many_cause cause;
    pthread_t thread;
    size_t out[1000] = {0}, done;
    int codes[1000];

    /* Worker 0 gets through its first 100 items, and into the next; the others into their first. */
    scene->hold_from = 100;
    canceller.held = 4;
    memset(&cause, 0, sizeof cause);
    memset(codes, 0x11, sizeof codes);
    CHECK(pthread_create(&thread, NULL, cancel_when_held, &canceller) == 0);
    CHECK_CODE(MAP(kind, cancel_hold, POOL_NOTHING, out, n, .workers = 4, .codes = codes,
                   .cause = &cause, .cancel = &token, .item_limit_s = limit_s, .context = scene),
               -ECANCELED);
    CHECK(pthread_join(thread, NULL) == 0);
    done = cancel_check_outcomes(scene, codes, out, n);
    CHECK_EQUAL(done, 100);
    CHECK_EQUAL(atomic_load(&scene->entered_at), 104);
    CHECK_EQUAL(cause.tries, 0); /* nothing has failed */
}

BOTH(another_thread_cancels_and_what_is_done_is_kept)
{
    cancel_from_thread(kind, 0);
}

BOTH(another_thread_cancels_a_map_with_limits)
{
    cancel_from_thread(kind, 1000);
}

typedef struct cancel_job {
    const pool_kind *kind;
    cancel_scene *scene;
    many_cancel *token;
    int code;
} cancel_job;

static void *cancel_run_job(void *argument)
{
    cancel_job *job = argument;

    job->code = EACH(job->kind, cancel_hold, POOL_NOTHING, 100, .workers = 2, .cancel = job->token,
                     .context = job->scene);
    return NULL;
}

BOTH(one_token_ends_many_maps)
{
    test_census before = pool_census();
    many_cancel token = {0};
    cancel_job jobs[4];
    pthread_t threads[4];

    for (int j = 0; j < 4; j++) {
        jobs[j] = (cancel_job){kind, cancel_scene_of(100), &token, 1};
        CHECK(pthread_create(&threads[j], NULL, cancel_run_job, &jobs[j]) == 0);
    }
    for (int j = 0; j < 4; j++)
        UNTIL(atomic_load(&jobs[j].scene->held) == 2);
    many_cancel_set(&token);
    for (int j = 0; j < 4; j++) {
        CHECK(pthread_join(threads[j], NULL) == 0);
        CHECK_CODE(jobs[j].code, -ECANCELED);
    }
    CHECK_CENSUS(before);
}

BOTH(a_token_serves_one_map_after_another)
{
    cancel_scene *scene = cancel_scene_of(100);
    many_cancel token = {0};

    scene->hold_from = 100;
    for (int round = 0; round < 20; round++)
        CHECK_CODE(EACH(kind, cancel_hold, POOL_NOTHING, 100, .workers = 2, .cancel = &token,
                        .context = scene),
                   0);
    CHECK_EQUAL(atomic_load(&scene->entered_at), 2000);
    CHECK_EQUAL(token.watch, 0);
}

/* ---- from a signal handler ---- */

static many_cancel *cancel_handler_token;
static _Atomic uint32_t *cancel_alarms; /* how often one rang; in shared memory */

static void cancel_handler(int signal)
{
    (void)signal;
    many_cancel_set(cancel_handler_token);
}

typedef struct cancel_sender {
    pid_t to;
    int signal;
    _Atomic uint32_t sent;
    _Atomic uint32_t workers_have_handler;
    _Atomic uint32_t workers_ignore_int;
} cancel_sender;

/* Item 0 sends the signal; all of them wait until they are told to end. */
static int cancel_send(const void *item, void *result, void *context)
{
    cancel_sender *sender = context;

    (void)item;
    (void)result;
    if (many_item_index() == 0 && atomic_exchange(&sender->sent, 1) == 0)
        kill(sender->to, sender->signal);
    UNTIL(many_cancelled());
    return 0;
}

BOTH(a_signal_handler_of_the_callers_cancels)
{
    cancel_sender *sender = test_shared(sizeof *sender);
    struct sigaction action, old;
    many_cancel token = {0};

    memset(&action, 0, sizeof action);
    action.sa_handler = cancel_handler;
    CHECK(sigaction(SIGUSR1, &action, &old) == 0);
    cancel_handler_token = &token;
    sender->to = getpid();
    sender->signal = SIGUSR1;
    CHECK_CODE(EACH(kind, cancel_send, POOL_NOTHING, 10, .workers = 2, .cancel = &token,
                    .context = sender),
               -ECANCELED);
    CHECK(sigaction(SIGUSR1, &old, NULL) == 0);
}

BOTH(a_token_on_a_signal_cancels_and_the_signal_is_given_back)
{
    cancel_sender *sender = test_shared(sizeof *sender);
    many_cancel token = {0};
    test_signals before;

    signal(SIGUSR2, SIG_DFL); /* libc marks what was set once (SA_RESTORER): not our change */
    test_signals_take(&before);
    CHECK_CODE(many_cancel_on_signal(&token, SIGUSR2), 0);
    sender->to = getpid();
    sender->signal = SIGUSR2;
    CHECK_CODE(EACH(kind, cancel_send, POOL_NOTHING, 10, .workers = 2, .cancel = &token,
                    .context = sender),
               -ECANCELED);
    CHECK_CODE(many_cancel_on_signal(NULL, SIGUSR2), 0);
    CHECK_SIGNALS(before);
}

/* Two Ctrl-C: the second one comes from a task of the map that the first does not end. */
static int cancel_send_twice(const void *item, void *result, void *context)
{
    many_cancel *token = context;

    (void)item;
    (void)result;
    kill(getpid(), SIGINT);
    UNTIL(many_cancel_is_set(token));
    kill(getpid(), SIGINT);
    UNTIL(0);
    return 0;
}

static void cancel_stubborn(void *argument)
{
    many_cancel token = {0};

    (void)argument;
    CHECK_CODE(many_cancel_on_signal(&token, SIGINT), 0);
    many_thread_each(cancel_send_twice, POOL_NOTHING, 1, .workers = 1, .cancel = &token,
                     .context = &token);
}

TEST(the_second_signal_kills_a_program_whose_task_does_not_listen)
{
    CHECK_EQUAL(test_in_child(cancel_stubborn, NULL), SIGINT);
}

/* ---- signals that are none of our business ---- */

static void cancel_count_alarm(int signal)
{
    (void)signal;
    if (cancel_alarms != NULL)
        atomic_fetch_add(cancel_alarms, 1);
}

/* Until the caller's alarm rang twice during this item. */
static int cancel_sit_through_alarms(const void *item, void *result, void *context)
{
    cancel_scene *scene = context;
    const uint32_t before = atomic_load(cancel_alarms);

    (void)item;
    (void)result;
    UNTIL(atomic_load(cancel_alarms) >= before + 2);
    atomic_fetch_add(&scene->entered[many_item_index()], 1);
    return 0;
}

static int cancel_next_index(void *item, void *context)
{
    size_t *next = context;

    if (*next == 20)
        return 0;
    *(size_t *)item = (*next)++;
    return 1;
}

BOTH(an_alarm_that_rings_all_the_time_does_not_end_a_map)
{
    const struct itimerval often = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    cancel_scene *scene = cancel_scene_of(20);
    struct sigaction action, old;
    test_signals before;
    size_t next = 0;
    int codes[20];

    memset(&action, 0, sizeof action);
    action.sa_handler = cancel_count_alarm; /* without SA_RESTART */
    CHECK(sigaction(SIGALRM, &action, &old) == 0);
    cancel_alarms = test_shared(sizeof *cancel_alarms);
    CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
    test_signals_take(&before);
    for (int supervised = 0; supervised < 2; supervised++)
        CHECK_CODE(EACH(kind, cancel_sit_through_alarms, POOL_NOTHING, 20, .workers = 2,
                        .codes = codes, .item_limit_s = supervised ? 1000 : 0, .context = scene),
                   0);
    CHECK_CODE(EACH(kind, cancel_sit_through_alarms, (size_t *)NULL, 0, .workers = 2,
                    .next = cancel_next_index, .next_context = &next, .context = scene),
               0);
    CHECK_SIGNALS(before);
    CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
    CHECK(sigaction(SIGALRM, &old, NULL) == 0);
    cancel_alarms = NULL;
    CHECK_EQUAL(pool_sum(scene->entered, 20), 60);
}

/* ---- what a worker process does with signals ---- */

#if !TEST_TSAN
static int cancel_look_at_signals(const void *item, void *result, void *context)
{
    struct sigaction action;
    sigset_t mask;

    (void)item;
    (void)result;
    (void)context;
    if (sigaction(SIGUSR1, NULL, &action) != 0 || action.sa_handler != SIG_DFL)
        return 1; /* was caught */
    if (sigaction(SIGUSR2, NULL, &action) != 0 || action.sa_handler != SIG_IGN)
        return 2; /* was ignored */
    if (sigaction(SIGINT, NULL, &action) != 0 || action.sa_handler != SIG_IGN)
        return 3; /* Ctrl-C is the parent's to see */
    if (pthread_sigmask(SIG_SETMASK, NULL, &mask) != 0 || !sigismember(&mask, SIGTERM) ||
        sigismember(&mask, SIGUSR1))
        return 4; /* the mask is the caller's */
    return 0;
}

TEST(workers_have_the_callers_mask_and_caught_signals_at_default)
{
    struct sigaction action, old_caught, old_ignored;
    sigset_t term, old_mask;
    test_signals before;

    memset(&action, 0, sizeof action);
    action.sa_handler = cancel_count_alarm;
    CHECK(sigaction(SIGUSR1, &action, &old_caught) == 0);
    action.sa_handler = SIG_IGN;
    CHECK(sigaction(SIGUSR2, &action, &old_ignored) == 0);
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    CHECK(pthread_sigmask(SIG_BLOCK, &term, &old_mask) == 0);
    test_signals_take(&before);
    CHECK_CODE(many_process_each(cancel_look_at_signals, POOL_NOTHING, 4, .workers = 2), 0);
    CHECK_SIGNALS(before);
    CHECK(pthread_sigmask(SIG_SETMASK, &old_mask, NULL) == 0);
    CHECK(sigaction(SIGUSR1, &old_caught, NULL) == 0);
    CHECK(sigaction(SIGUSR2, &old_ignored, NULL) == 0);
}
#endif

typedef struct cancel_meeting {
    pthread_barrier_t barrier;
    pthread_t caller;
} cancel_meeting;

/* In a worker thread that is not the caller's, no handler of the caller's runs. Each item waits for
 * the others, so that each has a thread of its own. */
static int cancel_look_at_mask(const void *item, void *result, void *context)
{
    cancel_meeting *meeting = context;
    sigset_t mask;

    (void)item;
    (void)result;
    pthread_barrier_wait(&meeting->barrier);
    if (pthread_equal(pthread_self(), meeting->caller))
        return 0;
    if (pthread_sigmask(SIG_SETMASK, NULL, &mask) != 0 || !sigismember(&mask, SIGALRM) ||
        !sigismember(&mask, SIGINT) || sigismember(&mask, SIGSEGV) || sigismember(&mask, SIGABRT))
        return 1;
    return 0;
}

TEST(worker_threads_leave_signals_to_the_callers_threads)
{
    cancel_meeting meeting = {.caller = pthread_self()};

    CHECK(pthread_barrier_init(&meeting.barrier, NULL, 4) == 0);
    CHECK_CODE(
        many_thread_each(cancel_look_at_mask, POOL_NOTHING, 4, .workers = 4, .context = &meeting),
        0);
    CHECK_CODE(many_thread_each(cancel_look_at_mask, POOL_NOTHING, 4, .workers = 4,
                                .item_limit_s = 1000, .context = &meeting),
               0);
    pthread_barrier_destroy(&meeting.barrier);
}

/* ---- the end ---- */

static int cancel_last(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    if (many_item_index() == 99)
        many_cancel_set(context);
    return 0;
}

TEST(a_token_set_by_a_task_ends_its_map_and_counts_that_item_as_cancelled)
{
    many_cancel token = {0};
    int codes[100];

    CHECK_CODE(many_thread_each(cancel_last, POOL_NOTHING, 100, .workers = 1, .codes = codes,
                                .cancel = &token, .context = &token),
               -ECANCELED);
    for (int i = 0; i < 99; i++)
        CHECK_EQUAL(codes[i], 0);
    CHECK_EQUAL(codes[99], -ECANCELED);
}
