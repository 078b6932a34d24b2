/* SPDX-License-Identifier: MIT */
/*
 * spawn.c - start a process by exec of the same program
 *
 * Promise    The program is the one that runs (/proc/self/exe), whatever lies at its path by now. The new
 *            process has stdin, stdout, stderr, and what is meant for it.
 * Death      Killed before the exec, the starter leaves nothing. After it, a process that is left alone
 *            runs on, and a daemon asks the fork server for its end before it runs fn: when the starter
 *            is dead by then, so is the server, and the daemon leaves.
 */
#include "process/spawn.h"

#include <errno.h>
#include <stdio.h>

#include "base/fault.h"
#include "os/launch.h"
#include "os/thread.h"
#include "process/departure.h"
#include "process/server.h"

int many_spawn_(many_child_ *child, int parcel, const int *kept, size_t count)
{
    char name[] = MANY_SPAWNED_;
    char number[16];
    char *const argv[] = {(char *)(uintptr_t)many_main_name_(), name, number, NULL};
    int all[3] = {parcel};
    size_t n = 1;

    for (size_t i = 0; i < count && n < 3; i++)
        if (kept[i] >= 0)
            all[n++] = kept[i];
    snprintf(number, sizeof number, "%d", parcel);
    return many_launch_exec_(child, argv, all, n);
}

/* It is made; is it what it was to be? */
static int spawn_settle(many_process *process, many_departure_ *departure)
{
    MANY_FAULT_POINT("spawn.made");
    many_departure_let_go_(departure);
    process->pid = process->child.pid;
    return departure->answers ? many_departure_wait_(departure, process) : 0;
}

static int spawn_start(many_process *process, const many_process_options *options)
{
    many_departure_ departure;
    int line = -1;
    int code;

    if (many_main_name_() == NULL)
        return many_fail(
            -EINVAL,
            "many_process_start: MANY_SPAWN starts this program anew, and it would not know "
            "what for: call many_main(argc, argv) as the first line of main (a set-user-ID "
            "program cannot be spawned)");
    if (process->daemon) {
        line = many_server_line_();
        if (line < 0)
            return line;
    }
    code = many_departure_pack_(&departure, process, options, line);
    if (code < 0)
        return code;
    MANY_FAULT_POINT("spawn.packed");
    code = many_spawn_(&process->child, departure.parcel, (const int[]){departure.theirs, line}, 2);
    if (code < 0)
        many_fail(code, "many_process_start: '%s' cannot be started as this program anew (%s)",
                  process->name, many_error_name(code));
    else
        code = spawn_settle(process, &departure);
    many_departure_end_(&departure);
    return code;
}

int many_process_start_spawn_(many_process *process, const many_process_options *options)
{
    const int held = many_thread_hold_(); /* a pthread_cancel() would leave descriptors behind */
    int code = spawn_start(process, options);

    many_thread_let_go_(held);
    return code;
}
