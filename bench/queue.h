/* SPDX-License-Identifier: MIT */
/*
 * queue.h - the queue cases, written once; each subject only brings its way to pass a message
 *
 * Messages are whole: what is a stream of bytes reads on until it has all of a message.
 */
#ifndef BENCH_QUEUE_H
#define BENCH_QUEUE_H

#include "bench.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * queue.64, queue.4k, queue.1m: two processes, 0 and 1, and two directions. Process 0 sends by
 * direction 0 and receives by 1, process 1 the other way round. All of these die on failure, and send
 * and receive may wait for ever.
 */
typedef struct bench_passage {
    const char *name;
    void (*open)(
        size_t bytes);        /* before the fork; every message has so many bytes. NULL: nothing */
    void (*begin)(int child); /* after it, in both (0, 1); NULL: nothing to do */
    void (*send)(int direction, const void *message, size_t bytes);
    void (*receive)(int direction, void *message, size_t bytes);
    size_t longest; /* bytes of a message; 0: no bound */
    int threads;    /* it has threads of its own: its processes are not tied to a processor each */
} bench_passage;

/*
 * The main function of a program with count subjects, called as `program CASE SUBJECT`. It forks the
 * second process.
 */
int bench_queue_main(int argc, char **argv, const bench_passage *subjects, size_t count);

/*
 * One process of the case, for subjects whose two processes are started by something else. Process 0
 * measures, and prints the figures.
 */
void bench_queue_process(const char *name, const bench_passage *passage, int process);

/* ---- queue.mpmc: several producers and consumers of one queue ---- */

enum {
    CROWD_PRODUCERS = 4,
    CROWD_CONSUMERS = 4,
    CROWD_BYTES = 64 /* of a message */
};

/* put and get are called by all of them at once. */
typedef struct bench_crowd {
    const char *name;
    void (*open)(void); /* before anybody starts */
    void (*put)(const void *message);
    void (*get)(void *message);
    int processes; /* 0: threads */
} bench_crowd;

/* The main function of a program with count subjects, called as `program queue.mpmc SUBJECT`. */
int bench_crowd_main(int argc, char **argv, const bench_crowd *subjects, size_t count);

#ifdef __cplusplus
}
#endif

#endif
