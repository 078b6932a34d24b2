/* SPDX-License-Identifier: MIT */
/*
 * server_cases.h - the fork server as it is seen from outside: by its number
 */
#ifndef MANY_TEST_SERVER_CASES_H
#define MANY_TEST_SERVER_CASES_H

#include "process_cases.h"

#include "process/process.h"

/* A child that tells its parent in the system's sense, which is the server. */
static int server_tell_parent(void *argument)
{
    (void)argument;
    *(pid_t *)many_segment_data(many_inherited(0).segment) = getppid();
    return 0;
}

/* The number of this process's server. */
static inline pid_t server_pid(void)
{
    many_segment *segment;
    many_process *process;
    pid_t pid;

    CHECK_CODE(many_segment_open(&segment, .bytes = sizeof pid), 0);
    CHECK_CODE(many_process_start(&process, server_tell_parent, NULL, .method = MANY_FORKSERVER,
                                  .inherits = &(const many_inherit){.segment = segment},
                                  .inherits_count = 1),
               0);
    CHECK_CODE(many_process_join(process, MANY_FOREVER), 0);
    many_process_close(process);
    pid = *(pid_t *)many_segment_data(segment);
    many_segment_close(segment);
    CHECK(pid > 1 && pid != getpid());
    return pid;
}

static inline void server_kill(pid_t pid)
{
    CHECK(kill(pid, SIGKILL) == 0);
    UNTIL(!case_runs(pid));
}

#endif
