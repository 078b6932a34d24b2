/* SPDX-License-Identifier: MIT */
/*
 * start_raw.c - map.start by hand: four forks and four waits, four threads and four joins
 */
#include "start.h"

#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void raw_fork_wait(long *results)
{
    pid_t children[START_WORKERS];

    for (long i = 0; i < START_WORKERS; i++) {
        children[i] = fork();
        if (children[i] < 0)
            bench_die("fork failed");
        if (children[i] == 0) {
            results[i] = i + 1;
            _exit(0);
        }
    }
    for (long i = 0; i < START_WORKERS; i++)
        if (waitpid(children[i], NULL, 0) != children[i])
            bench_die("waitpid failed");
}

static void *raw_item(void *argument)
{
    long *result = argument;

    *result += 1;
    return NULL;
}

static void raw_pthread(long *results)
{
    pthread_t threads[START_WORKERS];

    for (long i = 0; i < START_WORKERS; i++) {
        results[i] = i;
        if (pthread_create(&threads[i], NULL, raw_item, &results[i]) != 0)
            bench_die("pthread_create failed");
    }
    for (long i = 0; i < START_WORKERS; i++)
        pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "raw-fork-wait") == 0)
        return bench_start(raw_fork_wait);
    if (argc == 2 && strcmp(argv[1], "raw-pthread") == 0)
        return bench_start(raw_pthread);
    bench_die("usage: %s raw-fork-wait|raw-pthread", argv[0]);
}
