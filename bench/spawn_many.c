/* SPDX-License-Identifier: MIT */
/*
 * spawn_many.c - spawn with many: `spawn_many many`, `many-forkserver`, `many-spawn`
 */
#include "spawn_loop.h"

#include <many.h>

#include <string.h>

static int spawn_leave(void *argument)
{
    (void)argument;
    return SPAWN_STATUS;
}

static int spawn_one(int method)
{
    many_process *process = NULL;
    int status = 0;

    if (many_process_start(&process, spawn_leave, NULL, .method = method) != 0 ||
        many_process_join(process, MANY_FOREVER) != 0 ||
        many_process_exit_code(process, &status) != 0)
        bench_die("%s", many_error_message());
    many_process_close(process);
    return status;
}

static int spawn_fork(void)
{
    return spawn_one(MANY_FORK);
}

static int spawn_forkserver(void)
{
    return spawn_one(MANY_FORKSERVER);
}

static int spawn_spawn(void)
{
    return spawn_one(MANY_SPAWN);
}

int main(int argc, char **argv)
{
    many_main(argc, argv);
    if (argc == 2 && strcmp(argv[1], "many") == 0)
        return bench_spawn(spawn_fork);
    if (argc == 2 && strcmp(argv[1], "many-forkserver") == 0)
        return bench_spawn(spawn_forkserver);
    if (argc == 2 && strcmp(argv[1], "many-spawn") == 0)
        return bench_spawn(spawn_spawn);
    bench_die("usage: %s many|many-forkserver|many-spawn", argv[0]);
}
