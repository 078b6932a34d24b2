/* SPDX-License-Identifier: MIT */
/*
 * bench.h - what the measured programs share: clock, work of known length, memory, a terminal
 *
 * A measured program is called with the name of its subject, measures once, and prints one line
 * for each unit of its case, "0.8312 ns/item". It exits 0 only if the work it timed was also right. Repeating, taking turns
 * and judging is done by run.py, so that every figure comes from a process of its own.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#define BENCH_NORETURN [[noreturn]]
#else
#define BENCH_NORETURN _Noreturn
#endif

/* The signature of many_fn, so that peers call the very function that many calls. */
typedef int bench_fn(const void *item, void *result, void *context);

/* Says what is wrong on stderr and exits 1: the subject is broken. */
BENCH_NORETURN void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints a figure of this process. */
void bench_print(double value, const char *unit);

/* CLOCK_MONOTONIC. */
int64_t bench_now_ns(void);

/* The middle of count values, which are sorted by this call; of an even count the upper one. */
int64_t bench_median_ns(int64_t *values, size_t count);

/* Memory whose every page was written, zeroed; shared: with children forked later. Never freed. */
void *bench_memory(size_t bytes, int shared);

/*
 * A dependent chain of multiplications, so that its time is the same on every core, however many
 * of them are busy: it touches no memory. Returns what the chain ends in.
 */
uint64_t bench_spin(uint64_t turns);

/* How many turns take so many ns on this machine, now: the least of several tries. */
uint64_t bench_turns(double ns);

/*
 * fork(), for a measured program that cannot go on without its children: a child is killed when this
 * process ends, and if a child ends with another status than 0, this process exits 1.
 */
pid_t bench_fork(void);

/* Waits until the child of bench_fork() has ended well. */
void bench_join(pid_t child);

/* A pseudoterminal of 80 columns whose other side is read by a child, as a screen would. */
typedef struct bench_terminal {
    int fd;       /* the side to draw on */
    pid_t reader; /* the child */
} bench_terminal;

void bench_terminal_open(bench_terminal *terminal);
void bench_terminal_close(bench_terminal *terminal);

#ifdef __cplusplus
}
#endif

#endif
