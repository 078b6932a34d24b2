/* SPDX-License-Identifier: MIT */
/*
 * killer.h - a process of its own that kills workers, and knows nothing of the library
 *
 * It looks for the children of the process that maps, in /proc/PID/task/TID/children, and is told
 * nothing by anybody. A child is killed through a pidfd that was opened before the child's parent
 * was looked at: a number that was given to another process meanwhile is never hit.
 */
#ifndef MANY_TESTS_KILL_KILLER_H
#define MANY_TESTS_KILL_KILLER_H

#include <dirent.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kill/ledger.h"
#include "test.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif

#define KILLER_PIDS_MOST    512
#define KILLER_VICTIMS_MOST 32768
#define KILLER_BARREN_MOST  8 /* kills in a row without an item begun in between */

typedef enum killer_way {
    KILLER_ONE = 0,  /* one worker, any, at random times */
    KILLER_ALL = 1,  /* all there are, at random times */
    KILLER_BORN = 2, /* each as soon as it is seen */
    KILLER_STOP = 3  /* SIGSTOP one, SIGCONT a moment later; kills nobody */
} killer_way;

/* Lies in shared memory. */
typedef struct killer {
    killer_way way;
    uint64_t seed;
    uint32_t mean_us;       /* between two kills, on average */
    const ledger *book;     /* what the workers do; NULL: never mind */
    pid_t parent;           /* whose children are hunted */
    _Atomic uint32_t over;  /* 1: come to an end */
    _Atomic uint32_t aimed; /* signals that were about to be sent: never fewer than deaths */
    _Atomic uint32_t kills; /* workers that were alive, and are dead */
    pid_t process;          /* the killer's own */
    pid_t victims[KILLER_VICTIMS_MOST];
} killer;

/* Children of all threads of the process, up to most. */
static inline int killer_children(pid_t parent, pid_t *pids, int most)
{
    char path[320];
    int count = 0, pid;
    DIR *folder;

    snprintf(path, sizeof path, "/proc/%d/task", (int)parent);
    folder = opendir(path);
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        FILE *file;

        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/%d/task/%s/children", (int)parent, entry->d_name);
        file = fopen(path, "re");
        while (file != NULL && count < most && fscanf(file, "%d", &pid) == 1)
            if (pid != getpid())
                pids[count++] = pid;
        if (file != NULL)
            fclose(file);
    }
    if (folder != NULL)
        closedir(folder);
    return count;
}

/* Is it alive, and the child of parent? */
static inline int killer_is_child(pid_t pid, pid_t parent)
{
    char path[64], text[512], state;
    const char *after;
    int of, is = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    if (file == NULL)
        return 0;
    if (fgets(text, sizeof text, file) != NULL && (after = strrchr(text, ')')) != NULL &&
        sscanf(after + 1, " %c %d", &state, &of) == 2)
        is = of == parent && state != 'Z' && state != 'X';
    fclose(file);
    return is;
}

static inline void killer_doze(double us)
{
    struct timespec time = {(time_t)(us / 1e6), (long)(us * 1e3) % 1000000000};

    clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

/* Send the signal. A descriptor of the victim to wait for, or -1 if there was none. */
static inline int killer_hit(killer *hunt, pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    uint32_t aimed;

    if (fd < 0)
        return -1;
    if (!killer_is_child(pid, hunt->parent)) {
        close(fd);
        return -1;
    }
    aimed = atomic_fetch_add(&hunt->aimed, 1);
    hunt->victims[aimed % KILLER_VICTIMS_MOST] = pid;
    if (hunt->way == KILLER_STOP) {
        syscall(SYS_pidfd_send_signal, fd, SIGSTOP, NULL, 0);
        killer_doze((double)ledger_random(&hunt->seed, 3000));
        syscall(SYS_pidfd_send_signal, fd, SIGCONT, NULL, 0);
        atomic_fetch_add(&hunt->kills, 1);
        close(fd);
        return -1;
    }
    syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
    return fd;
}

/* Until it is dead: nobody is to be counted twice. */
static inline void killer_bury(killer *hunt, int fd)
{
    struct pollfd grave = {fd, POLLIN, 0};

    if (fd < 0)
        return;
    while (poll(&grave, 1, -1) <= 0) {
    }
    atomic_fetch_add(&hunt->kills, 1);
    close(fd);
}

/* A busy machine may run the killer, who mostly sleeps, before any worker that it lets live: nobody
 * would ever get to work. */
static inline void killer_let_work(const killer *hunt, uint32_t *begun, int *barren)
{
    if (hunt->book == NULL)
        return;
    if (atomic_load(&hunt->book->begun) == *begun && ++*barren >= KILLER_BARREN_MOST)
        UNTIL(atomic_load(&hunt->over) || atomic_load(&hunt->book->begun) != *begun);
    if (atomic_load(&hunt->book->begun) != *begun)
        *barren = 0;
    *begun = atomic_load(&hunt->book->begun);
}

static inline void killer_body(void *argument)
{
    killer *hunt = argument;
    pid_t pids[KILLER_PIDS_MOST];
    int fds[KILLER_PIDS_MOST];
    uint32_t begun = 0;
    int barren = 0;

    while (!atomic_load(&hunt->over)) {
        int count, first = 0;

        if (hunt->way != KILLER_BORN)
            killer_doze((double)(1 + ledger_random(&hunt->seed, 2 * hunt->mean_us)));
        count = killer_children(hunt->parent, pids, KILLER_PIDS_MOST);
        if (count == 0)
            continue;
        if (hunt->way == KILLER_ONE || hunt->way == KILLER_STOP) {
            first = (int)ledger_random(&hunt->seed, (uint64_t)count);
            count = first + 1;
        }
        for (int k = first; k < count; k++)
            fds[k] = killer_hit(hunt, pids[k]);
        for (int k = first; k < count; k++)
            killer_bury(hunt, fds[k]);
        killer_let_work(hunt, &begun, &barren);
    }
}

/* Begin to hunt the children of this process, who work on the book (or NULL). Skips the TEST where
 * that cannot be done. */
static inline killer *killer_start(killer_way way, uint64_t seed, uint32_t mean_us,
                                   const ledger *book)
{
    killer *hunt = test_shared(sizeof *hunt);
    int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

    if (fd < 0 || access("/proc/thread-self/children", R_OK) != 0)
        test_skip("needs pidfds and /proc/PID/task/TID/children");
    close(fd);
    hunt->way = way;
    hunt->seed = seed;
    hunt->mean_us = mean_us;
    hunt->book = book;
    hunt->parent = getpid();
    hunt->process = test_child_start(killer_body, hunt);
    return hunt;
}

static inline void killer_stop(killer *hunt)
{
    atomic_store(&hunt->over, 1);
    CHECK_EQUAL(test_child_wait(hunt->process), 0);
}

static inline int killer_had(const killer *hunt, pid_t pid)
{
    uint32_t aimed = atomic_load(&hunt->aimed);

    for (uint32_t k = 0; k < aimed && k < KILLER_VICTIMS_MOST; k++)
        if (hunt->victims[k] == pid)
            return 1;
    return 0;
}

#endif
