/* SPDX-License-Identifier: MIT */
/*
 * spawn_raw.c - spawn by hand: `spawn_raw raw-fork-wait`, `spawn_raw posix-spawn`
 *
 * What is spawned is this program itself, because another one would have other libraries to load.
 */
#include "spawn_loop.h"

#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int raw_wait(pid_t child)
{
    int status;

    if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
        bench_die("waitpid failed");
    return WEXITSTATUS(status);
}

static int raw_fork_wait(void)
{
    pid_t child = fork();

    if (child < 0)
        bench_die("fork failed");
    if (child == 0)
        _exit(SPAWN_STATUS);
    return raw_wait(child);
}

static int raw_posix_spawn(void)
{
    char name[] = "spawn_raw", word[] = "leave";
    char *arguments[] = {name, word, NULL};
    pid_t child;

    if (posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environ) != 0)
        bench_die("posix_spawn failed");
    return raw_wait(child);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "leave") == 0)
        return SPAWN_STATUS;
    if (argc == 2 && strcmp(argv[1], "raw-fork-wait") == 0)
        return bench_spawn(raw_fork_wait);
    if (argc == 2 && strcmp(argv[1], "posix-spawn") == 0)
        return bench_spawn(raw_posix_spawn);
    bench_die("usage: %s raw-fork-wait|posix-spawn", argv[0]);
}
