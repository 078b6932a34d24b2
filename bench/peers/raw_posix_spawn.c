/* SPDX-License-Identifier: MIT */
/*
 * raw_posix_spawn.c - the least a runner of jobs can do: posix_spawn, and wait for any of them
 *
 * `raw_posix_spawn WORKERS PROGRAM`: one job a line of stdin, with the line as its argument,
 * WORKERS at a time. No bar, no output collected, the status of a job only counted.
 */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

extern char **environ;

static int raw_failed;

static void raw_wait_for_one(void)
{
    int status;

    if (wait(&status) < 0 || status != 0)
        raw_failed++;
}

int main(int argc, char **argv)
{
    char line[4096];
    int workers = argc == 3 ? atoi(argv[1]) : 0;
    int running = 0;

    if (workers < 1)
        return 2;
    while (fgets(line, sizeof line, stdin) != NULL) {
        char *job[] = {argv[2], line, NULL};
        pid_t pid;

        line[strcspn(line, "\n")] = '\0';
        if (running == workers) {
            raw_wait_for_one();
            running--;
        }
        if (posix_spawn(&pid, argv[2], NULL, NULL, job, environ) != 0)
            return 1;
        running++;
    }
    for (; running > 0; running--)
        raw_wait_for_one();
    return raw_failed != 0;
}
