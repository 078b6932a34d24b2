/* SPDX-License-Identifier: MIT */
/*
 * lock_posix.c - lock with POSIX: pthread (private), pshared, robust (and pshared), sem
 *
 * The private mutex cannot be contended for by two processes: there only uncontended is measured.
 */
#include "lock.h"

#include <pthread.h>
#include <semaphore.h>
#include <string.h>

static void mutex_prepare(pthread_mutex_t *mutex, int shared, int robust)
{
    pthread_mutexattr_t attributes;

    if (pthread_mutexattr_init(&attributes) != 0 ||
        pthread_mutexattr_setpshared(&attributes, shared) != 0 ||
        pthread_mutexattr_setrobust(&attributes, robust) != 0 ||
        pthread_mutex_init(mutex, &attributes) != 0)
        bench_die("no mutex of this kind");
}

static void private_prepare(void *lock)
{
    mutex_prepare(lock, PTHREAD_PROCESS_PRIVATE, PTHREAD_MUTEX_STALLED);
}

static void pshared_prepare(void *lock)
{
    mutex_prepare(lock, PTHREAD_PROCESS_SHARED, PTHREAD_MUTEX_STALLED);
}

static void robust_prepare(void *lock)
{
    mutex_prepare(lock, PTHREAD_PROCESS_SHARED, PTHREAD_MUTEX_ROBUST);
}

static void sem_prepare(void *lock)
{
    if (sem_init(lock, 1, 1) != 0)
        bench_die("sem_init failed");
}

static void mutex_turn(void *lock, volatile uint64_t *counter, uint64_t times)
{
    for (uint64_t i = 0; i < times; i++) {
        if (pthread_mutex_lock(lock) != 0)
            bench_die("pthread_mutex_lock failed");
        *counter = *counter + 1;
        if (pthread_mutex_unlock(lock) != 0)
            bench_die("pthread_mutex_unlock failed");
    }
}

static void sem_turn(void *lock, volatile uint64_t *counter, uint64_t times)
{
    for (uint64_t i = 0; i < times; i++) {
        while (sem_wait(lock) != 0)
            continue;
        *counter = *counter + 1;
        if (sem_post(lock) != 0)
            bench_die("sem_post failed");
    }
}

int main(int argc, char **argv)
{
    static const bench_lock_subject subjects[] = {{"pthread", private_prepare, mutex_turn},
                                                  {"pshared", pshared_prepare, mutex_turn},
                                                  {"robust", robust_prepare, mutex_turn},
                                                  {"sem", sem_prepare, sem_turn}};

    if (argc == 3 && strcmp(argv[1], "pthread") == 0 && strcmp(argv[2], "contended") == 0)
        bench_die("a private mutex is not for two processes");
    return bench_lock(subjects, sizeof subjects / sizeof subjects[0], argc, argv);
}
