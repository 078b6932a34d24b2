/* SPDX-License-Identifier: MIT */
/*
 * test_server.c - the fork server, its owner and its children, each killed at each step of a start
 *
 * A trap names a point and which arrival at it dies, or kills the owner. The test adopts what its owner
 * leaves behind (PR_SET_CHILD_SUBREAPER), so that "nobody is left" is when it has no children any more.
 */
#include "process/process_cases.h"

#include <sys/prctl.h>

#include <many/channel.h>

#include "base/fault.h"
#include "process/process.h"

/* In shared memory. */
typedef struct server_trap {
    char point[48];
    int arrival; /* from 1 */
    int owner;   /* 1: the owner dies of it, not who arrives */
    pid_t owner_pid, test;
    _Atomic int arrivals, kills;
    _Atomic int runs; /* how often fn was entered */
    int method, daemon;
    int code, ended; /* what the start returned; the exit code, or MANY_EXIT_UNKNOWN */
} server_trap;

static server_trap *server_set;

static int server_spring(const char *point)
{
    if (server_set == NULL || strcmp(point, server_set->point) != 0 ||
        atomic_fetch_add(&server_set->arrivals, 1) + 1 != server_set->arrival)
        return 0;
    atomic_fetch_add(&server_set->kills, 1);
    kill(server_set->owner ? server_set->owner_pid : getpid(), SIGKILL);
    return 0;
}

/* A trap for this TEST. */
static server_trap *server_lay(const char *point, int arrival, int method, int daemon)
{
    server_trap *trap = test_shared(sizeof *trap);

    snprintf(trap->point, sizeof trap->point, "%s", point);
    trap->arrival = arrival;
    trap->method = method;
    trap->daemon = daemon;
    trap->test = getpid();
    server_set = trap;
    many_fault_hook_ = server_spring;
    return trap;
}

/* What is shared with all forks is so with the server, which is one, and with its children. */
static int server_count(void *argument)
{
    (void)argument;
    atomic_fetch_add(&server_set->runs, 1);
    return 0;
}

static int server_count_and_stay(void *argument)
{
    server_count(argument);
    UNTIL(!case_runs(server_set->test));
    return 0;
}

/* An owner: one start, and its end. */
static void server_own(void *argument)
{
    server_trap *trap = argument;
    many_process *process;

    trap->owner_pid = getpid();
    trap->code = many_process_start(&process, server_count, NULL, .method = trap->method,
                                    .daemon = trap->daemon);
    if (trap->code < 0)
        return;
    CHECK_CODE(many_process_join(process, MANY_FOREVER), 0);
    CHECK_CODE(many_process_exit_code(process, &trap->ended), 0);
    many_process_close(process);
}

/* An owner that leaves a process that lasts, and goes. */
static void server_own_one_that_stays(void *argument)
{
    server_trap *trap = argument;
    many_process *process;

    trap->owner_pid = getpid();
    trap->code = many_process_start(&process, server_count_and_stay, NULL, .method = trap->method,
                                    .daemon = trap->daemon);
    if (trap->code == 0)
        UNTIL(atomic_load(&trap->runs) > 0 || !many_process_is_alive(process));
    raise(SIGKILL);
}

/* All that came from the owner has ended: adopted by us, and reaped. */
static void server_check_nobody_left(void)
{
    int looks = 0;

    for (;;) {
        pid_t pid = waitpid(-1, NULL, WNOHANG);

        if (pid < 0 && errno == ECHILD)
            return;
        if (pid == 0)
            test_pause_(looks++);
    }
}

static void server_adopt(void)
{
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
}

static const char *const server_owner_points[] = {"server.make.before", "server.make.made",
                                                  "server.ask.before", "server.ask.sent",
                                                  "server.ask.answered"};

TEST(an_owner_killed_in_a_start_leaves_no_daemon_behind)
{
    server_adopt();
    for (size_t i = 0; i < sizeof server_owner_points / sizeof server_owner_points[0]; i++) {
        server_trap *trap = server_lay(server_owner_points[i], 1, MANY_FORKSERVER, 1);

        CHECK_EQUAL(test_in_child(server_own_one_that_stays, trap), SIGKILL);
        CHECK_EQUAL(atomic_load(&trap->kills), 1);
        server_check_nobody_left();
    }
}

/* Where the one who dies is the server, or a child, at that moment. */
static const char *const server_steps[] = {
    "server.greeted",      "server.received",       "server.start.before_fork",
    "server.start.forked", "server.start.answered", "server.child.committed",
    "arrival.unpacked",    "arrival.answered",      "process.child.begins"};

TEST(an_owner_killed_at_any_step_of_its_server_leaves_no_daemon_behind)
{
    server_adopt();
    for (size_t i = 0; i < sizeof server_steps / sizeof server_steps[0]; i++) {
        server_trap *trap = server_lay(server_steps[i], 1, MANY_FORKSERVER, 1);

        trap->owner = 1;
        CHECK_EQUAL(test_in_child(server_own_one_that_stays, trap), SIGKILL);
        CHECK_EQUAL(atomic_load(&trap->kills), 1);
        server_check_nobody_left();
    }
}

TEST(a_server_killed_before_it_answered_has_run_nothing_and_the_start_is_made_by_another)
{
    static const char *const points[] = {"server.greeted", "server.received",
                                         "server.start.before_fork", "server.start.forked"};

    server_adopt();
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++)
        for (int daemon = 0; daemon < 2; daemon++) {
            server_trap *trap = server_lay(points[i], 1, MANY_FORKSERVER, daemon);

            CHECK_EQUAL(test_in_child(server_own, trap), 0);
            CHECK_EQUAL(atomic_load(&trap->kills), 1);
            CHECK_CODE(trap->code, 0);
            CHECK_EQUAL(trap->ended, 0);
            CHECK_EQUAL(atomic_load(&trap->runs), 1);
            server_check_nobody_left();
        }
}

static int server_spring_always(const char *point)
{
    if (strcmp(point, server_set->point) == 0) {
        atomic_fetch_add(&server_set->kills, 1);
        raise(SIGKILL);
    }
    return 0;
}

TEST(when_each_server_is_killed_the_start_is_epipe)
{
    server_trap *trap = server_lay("server.start.forked", 1, MANY_FORKSERVER, 0);

    server_adopt();
    many_fault_hook_ = server_spring_always;
    CHECK_EQUAL(test_in_child(server_own, trap), 0);
    CHECK_CODE(trap->code, -EPIPE);
    CHECK_EQUAL(atomic_load(&trap->kills), 2);
    CHECK_EQUAL(atomic_load(&trap->runs), 0);
    server_check_nobody_left();
}

TEST(a_server_killed_after_its_answer_costs_the_process_that_had_not_run_yet)
{
    server_trap *trap;

    server_adopt();
    trap = server_lay("server.start.answered", 1, MANY_FORKSERVER, 0);
    CHECK_EQUAL(test_in_child(server_own, trap), 0);
    CHECK_EQUAL(atomic_load(&trap->kills), 1);
    CHECK_CODE(trap->code, 0);
    CHECK(trap->ended == -SIGKILL || trap->ended == MANY_EXIT_UNKNOWN);
    CHECK_EQUAL(atomic_load(&trap->runs), 0);
    server_check_nobody_left();
}

TEST(a_server_killed_when_it_has_reaped_costs_the_status_alone)
{
    server_trap *trap = server_lay("server.reaped", 1, MANY_FORKSERVER, 0);

    server_adopt();
    CHECK_EQUAL(test_in_child(server_own, trap), 0);
    CHECK_EQUAL(atomic_load(&trap->kills), 1);
    CHECK_CODE(trap->code, 0);
    CHECK(trap->ended == 0 || trap->ended == MANY_EXIT_UNKNOWN);
    CHECK_EQUAL(atomic_load(&trap->runs), 1);
    server_check_nobody_left();
}

TEST(a_child_killed_on_its_way_is_a_process_that_died_of_it)
{
    static const char *const points[] = {"server.child.committed", "arrival.unpacked",
                                         "arrival.answered", "process.child.begins"};

    server_adopt();
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        server_trap *trap = server_lay(points[i], 1, MANY_FORKSERVER, 0);

        CHECK_EQUAL(test_in_child(server_own, trap), 0);
        CHECK_EQUAL(atomic_load(&trap->kills), 1);
        CHECK_CODE(trap->code, 0);
        CHECK_EQUAL(trap->ended, -SIGKILL);
        CHECK_EQUAL(atomic_load(&trap->runs), 0);
        server_check_nobody_left();
    }
}

/* A consumer that waits for a producer which never came to be counted would wait for ever. */
static void server_own_producer(void *argument)
{
    server_trap *trap = argument;
    many_process *process;
    many_queue *queue;
    char byte;

    trap->owner_pid = getpid();
    CHECK_CODE(many_queue_open(&queue), 0);
    trap->code =
        many_process_start(&process, server_count, NULL, .method = trap->method, .produces = queue);
    CHECK_CODE(trap->code, 0);
    CHECK_CODE(many_queue_get(queue, &byte, 1, MANY_FOREVER), -EPIPE);
    CHECK_CODE(many_process_join(process, MANY_FOREVER), 0);
    many_process_close(process);
    many_queue_close(queue);
}

TEST(the_stream_of_a_producer_that_was_killed_on_its_way_ends)
{
    static const char *const points[] = {"server.child.committed", "cargo.received",
                                         "arrival.unpacked", "process.child.enlisted",
                                         "arrival.answered"};

    server_adopt();
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        server_trap *trap = server_lay(points[i], 1, MANY_FORKSERVER, 0);

        CHECK_EQUAL(test_in_child(server_own_producer, trap), 0);
        CHECK_EQUAL(atomic_load(&trap->kills), 1);
        server_check_nobody_left();
    }
}

/* ---- forked daemons, which the server keeps ---- */

static const char *const server_keep_points[] = {"server.keep.asked", "server.keep.before",
                                                 "server.keep.answered"};

TEST(an_owner_killed_while_a_forked_daemon_asks_to_be_kept_leaves_none_behind)
{
    server_adopt();
    for (size_t i = 0; i < sizeof server_keep_points / sizeof server_keep_points[0]; i++) {
        server_trap *trap = server_lay(server_keep_points[i], 1, MANY_FORK, 1);

        trap->owner = 1;
        CHECK_EQUAL(test_in_child(server_own_one_that_stays, trap), SIGKILL);
        CHECK_EQUAL(atomic_load(&trap->kills), 1);
        server_check_nobody_left();
    }
}

/* The daemon, or the server: either it runs, kept, or it never runs. */
TEST(who_is_killed_while_a_forked_daemon_asks_to_be_kept_hangs_nobody)
{
    server_adopt();
    for (size_t i = 0; i < sizeof server_keep_points / sizeof server_keep_points[0]; i++) {
        server_trap *trap = server_lay(server_keep_points[i], 1, MANY_FORK, 1);

        CHECK_EQUAL(test_in_child(server_own, trap), 0);
        CHECK_EQUAL(atomic_load(&trap->kills), 1);
        CHECK_EQUAL(atomic_load(&trap->runs), trap->code == 0 && trap->ended == 0);
        server_check_nobody_left();
    }
}

/* ---- old kernels ---- */

static int server_no_pidfd(const char *point)
{
    server_spring(point);
    return strcmp(point, "pidfd.open") == 0 ? -ENOSYS : 0;
}

TEST(without_pidfds_it_does_the_same)
{
    server_trap *trap;

    server_adopt();
    for (int method = MANY_FORK; method <= MANY_FORKSERVER; method++) {
        trap = server_lay("", 1, method, 0);
        many_fault_hook_ = server_no_pidfd;
        CHECK_EQUAL(test_in_child(server_own, trap), 0);
        CHECK_CODE(trap->code, 0);
        CHECK_EQUAL(trap->ended, 0);
        CHECK_EQUAL(atomic_load(&trap->runs), 1);
        server_check_nobody_left();
        trap = server_lay("", 1, method, 1);
        many_fault_hook_ = server_no_pidfd;
        CHECK_EQUAL(test_in_child(server_own_one_that_stays, trap), SIGKILL);
        CHECK_EQUAL(atomic_load(&trap->runs), 1);
        server_check_nobody_left();
    }
    trap = server_lay("server.start.forked", 1, MANY_FORKSERVER, 0);
    many_fault_hook_ = server_no_pidfd;
    CHECK_EQUAL(test_in_child(server_own, trap), 0);
    CHECK_CODE(trap->code, 0);
    CHECK_EQUAL(atomic_load(&trap->runs), 1);
    server_check_nobody_left();
    trap = server_lay("process.child.enlisted", 1, MANY_FORKSERVER, 0);
    many_fault_hook_ = server_no_pidfd;
    CHECK_EQUAL(test_in_child(server_own_producer, trap), 0);
    server_check_nobody_left();
}

/* ---- what fails ---- */

static const char *server_failing;
static int server_failure;

static int server_fail(const char *point)
{
    return strcmp(point, server_failing) == 0 ? server_failure : 0;
}

TEST(what_cannot_be_had_is_said_and_leaves_nothing)
{
    static const struct {
        const char *point;
        int code;
    } failures[] = {{"descriptors.pair", -EMFILE},
                    {"sealed.open", -ENFILE},
                    {"server.pipe", -EMFILE},
                    {"launch.fork", -EAGAIN},
                    {"launch.fork", -ENOMEM}};

    server_adopt();
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        server_trap *trap = server_lay("", 1, MANY_FORKSERVER, 0);

        server_failing = failures[i].point;
        server_failure = failures[i].code;
        many_fault_hook_ = server_fail;
        CHECK_EQUAL(test_in_child(server_own, trap), 0);
        CHECK_CODE(trap->code, failures[i].code);
        server_check_nobody_left();
    }
    many_fault_hook_ = NULL;
}
