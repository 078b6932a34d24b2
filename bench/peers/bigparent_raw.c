/* SPDX-License-Identifier: MIT */
/*
 * bigparent_raw.c - map.bigparent by hand: `bigparent_raw raw-fork-wait`, `bigparent_raw posix-spawn`
 *
 * What is spawned is this program itself; it writes its result into a file in memory, whose descriptor
 * it inherits: `bigparent_raw item DESCRIPTOR I`.
 */
#include "bigparent.h"

#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static long *raw_results;
static int raw_file;

static void raw_wait(const pid_t *children)
{
    int status;

    for (long i = 0; i < BIGPARENT_ITEMS; i++)
        if (waitpid(children[i], &status, 0) != children[i] || status != 0)
            bench_die("waitpid failed");
}

static void raw_fork_wait(void)
{
    pid_t children[BIGPARENT_ITEMS];

    for (long i = 0; i < BIGPARENT_ITEMS; i++) {
        children[i] = fork();
        if (children[i] < 0)
            bench_die("fork failed");
        if (children[i] == 0) {
            raw_results[i] = i + 1;
            _exit(0);
        }
    }
    raw_wait(children);
}

static void raw_posix_spawn(void)
{
    char name[] = "bigparent_raw", word[] = "item", file[16], item[16];
    char *arguments[] = {name, word, file, item, NULL};
    pid_t children[BIGPARENT_ITEMS];

    snprintf(file, sizeof file, "%d", raw_file);
    for (long i = 0; i < BIGPARENT_ITEMS; i++) {
        snprintf(item, sizeof item, "%ld", i);
        if (posix_spawn(&children[i], "/proc/self/exe", NULL, NULL, arguments, environ) != 0)
            bench_die("posix_spawn failed");
    }
    raw_wait(children);
}

static int raw_item(int file, long i)
{
    const long result = i + 1;

    return pwrite(file, &result, sizeof result, (off_t)((size_t)i * sizeof result)) !=
           (ssize_t)sizeof result;
}

static int raw_open(void)
{
    const size_t bytes = BIGPARENT_ITEMS * sizeof *raw_results;

    raw_file = memfd_create("results", 0);
    if (raw_file < 0 || ftruncate(raw_file, (off_t)bytes) != 0)
        return -1;
    raw_results = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, raw_file, 0);
    return raw_results == MAP_FAILED ? -1 : 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "item") == 0)
        return raw_item(atoi(argv[2]), atol(argv[3]));
    if (raw_open() != 0)
        bench_die("no shared memory");
    if (argc == 2 && strcmp(argv[1], "raw-fork-wait") == 0)
        return bench_bigparent(raw_results, raw_fork_wait);
    if (argc == 2 && strcmp(argv[1], "posix-spawn") == 0)
        return bench_bigparent(raw_results, raw_posix_spawn);
    bench_die("usage: %s raw-fork-wait|posix-spawn", argv[0]);
}
