/* SPDX-License-Identifier: MIT */
/*
 * cli.c - cli.true, cli.static: jobs a second of a command that runs many jobs
 *
 * `cli JOBS INPUT COMMAND [ARG...]`: the command gets the file INPUT as stdin, /dev/null as stdout
 * and a pseudoterminal as stderr, where it may draw its bar. Timed from its start to its end,
 * loading it included.
 */
#include "bench.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv)
{
    posix_spawn_file_actions_t actions;
    bench_terminal terminal;
    pid_t command;
    int status;
    int error;
    int64_t begin;
    int64_t taken;
    long jobs = argc >= 4 ? atol(argv[1]) : 0;

    if (jobs <= 0)
        bench_die("usage: %s JOBS INPUT COMMAND [ARG...]", argv[0]);
    bench_terminal_open(&terminal);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, argv[2], O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, terminal.fd, STDERR_FILENO);
    begin = bench_now_ns();
    error = posix_spawnp(&command, argv[3], &actions, NULL, &argv[3], environ);
    if (error != 0)
        bench_die("%s: %s", argv[3], strerror(error));
    if (waitpid(command, &status, 0) != command)
        bench_die("waitpid failed");
    taken = bench_now_ns() - begin;
    posix_spawn_file_actions_destroy(&actions);
    bench_terminal_close(&terminal);
    if (status != 0)
        bench_die("%s: wait status %#x", argv[3], (unsigned)status);
    bench_print((double)jobs * 1e9 / (double)taken, "jobs/s");
    return 0;
}
