/* SPDX-License-Identifier: MIT */
/*
 * test_server_spawn.c - an owner that is killed while it starts its own program anew: as its fork server,
 * or as a process
 */
#include "process/main_first.h"
#include "process/process_cases.h"

#include <sys/prctl.h>

#include <many/channel.h>

#include "base/fault.h"

static const char *spawn_point; /* where the owner dies */
static _Atomic int *spawn_kills;

static int spawn_spring(const char *point)
{
    if (spawn_point == NULL || strcmp(point, spawn_point) != 0)
        return 0;
    atomic_fetch_add(spawn_kills, 1);
    raise(SIGKILL);
    return 0;
}

/* The test's own process is in the argument: with it ends what is left behind all the same. */
static int spawn_stay(void *argument)
{
    const pid_t test = *(pid_t *)argument;

    UNTIL(!case_runs(test));
    return 0;
}

static void spawn_own(void *argument)
{
    const int method = *(int *)argument;
    pid_t test = getppid();
    many_process *process;

    CHECK_CODE(many_process_start(&process, spawn_stay, &test, .argument_bytes = sizeof test,
                                  .method = method, .daemon = 1),
               0);
}

static void spawn_check(const char *point, int method)
{
    int looks = 0;

    spawn_kills = test_shared(sizeof *spawn_kills);
    spawn_point = point;
    many_fault_hook_ = spawn_spring;
    CHECK_EQUAL(test_in_child(spawn_own, &method), SIGKILL);
    CHECK_EQUAL(atomic_load(spawn_kills), 1);
    for (pid_t pid = 0; !(pid < 0 && errno == ECHILD);) { /* nobody is left, adopted by us */
        pid = waitpid(-1, NULL, WNOHANG);
        if (pid == 0)
            test_pause_(looks++);
    }
}

TEST(an_owner_killed_in_a_spawn_leaves_no_daemon_behind)
{
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    spawn_check("spawn.packed", MANY_SPAWN);
    spawn_check("spawn.made", MANY_SPAWN);
    spawn_check("server.make.made", MANY_SPAWN);
}

TEST(an_owner_killed_in_a_start_by_a_server_that_is_the_program_anew_leaves_no_daemon_behind)
{
    static const char *const points[] = {"server.make.before", "server.make.made",
                                         "server.ask.before", "server.ask.sent",
                                         "server.ask.answered"};

    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++)
        spawn_check(points[i], MANY_FORKSERVER);
}
