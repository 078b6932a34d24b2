/* SPDX-License-Identifier: MIT */
/*
 * launch.c - begin a process that is to stand alone; see os/launch.h
 *
 * The child of a vfork(2) shares our memory until it execs, and our thread alone stands still
 * meanwhile: no page table is copied, however large we are. It calls nothing but system calls, and no
 * signal handler of ours runs in it, because all signals are blocked until after the exec, which takes
 * every handler back. What it has to tell (a failed exec) lies in memory that is shared for real: under
 * valgrind, qemu and TSan a vfork is a fork.
 *
 * Sources: vfork(2), close_range(2), proc(5), prctl(2), getauxval(3).
 */
#include "os/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "os/memory.h"
#include "os/signal.h"
#include "os/stream.h"

/* Of the kernel's UAPI; the headers of an older system lack them. */
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#define LAUNCH_CLOSE_ON_EXEC (1U << 2) /* CLOSE_RANGE_CLOEXEC, Linux 5.11 */

#define LAUNCH_PROGRAM "/proc/self/exe"

/* Where descriptors have to be gone through one by one in a vforked child: no further than this. */
#define LAUNCH_LAST_FD 65535

/* ---- exec ---- */

/* A vforked child: only what is meant passes the exec. System calls alone. */
static void launch_keep(const int *kept, size_t count)
{
    if (syscall(SYS_close_range, STDERR_FILENO + 1, UINT_MAX, LAUNCH_CLOSE_ON_EXEC) != 0) {
        struct rlimit limit;
        int last = LAUNCH_LAST_FD;

        if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < LAUNCH_LAST_FD)
            last = (int)limit.rlim_cur;
        for (int fd = STDERR_FILENO + 1; fd <= last; fd++)
            fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    for (size_t i = 0; i < count; i++)
        fcntl(kept[i], F_SETFD, 0);
}

int many_launch_exec_(many_child_ *child, char *const argv[], const int *kept, size_t count)
{
    _Atomic int *failed;
    many_signal_state_ state;
    void *memory;
    pid_t pid;
    int code = MANY_FAULT_ERROR("launch.exec");

    *child = (many_child_){0, -1};
    if (code < 0)
        return code;
    code = many_memory_map_shared_(&memory, sizeof *failed);
    if (code < 0)
        return code;
    failed = memory;
    many_flush_standard_();
    many_signal_block_(&state);
    /* The checkers know no way in which this can be right; the head of this file says why it is. */
    pid = vfork(); /* NOLINT(clang-analyzer-security.insecureAPI.vfork) */
    if (pid == 0) {
        launch_keep(kept, count); /* NOLINT(clang-analyzer-unix.Vfork) */
        execve(LAUNCH_PROGRAM, argv, environ);
        atomic_store(failed, errno);
        _exit(127); /* NOLINT(clang-analyzer-unix.Vfork) */
    }
    code = pid < 0 ? -errno : 0;
    if (code == 0)
        *child = (many_child_){pid, many_child_open_(pid)};
    many_signal_unblock_(&state);
    /* Where a vfork is a fork, the exec may be still to come: what fails then is an exit with 127. */
    if (code == 0 && atomic_load(failed) != 0) {
        many_ending_ ending;

        code = -atomic_load(failed);
        many_child_ended_(child, 1, &ending);
    }
    many_memory_unmap_(memory, sizeof *failed);
    return code;
}

int many_launch_was_execed_(void)
{
    const char *name = (const char *)(uintptr_t)getauxval(AT_EXECFN);

    return name != NULL && strcmp(name, LAUNCH_PROGRAM) == 0;
}

int many_launch_is_privileged_(void)
{
    return getauxval(AT_SECURE) != 0;
}

/* ---- fork ---- */

int many_launch_fork_(many_child_ *child)
{
    many_signal_state_ state;
    pid_t pid;
    int code = MANY_FAULT_ERROR("launch.fork");

    *child = (many_child_){0, -1};
    if (code < 0)
        return code;
    many_flush_standard_();
    many_signal_block_(&state);
    pid = fork();
    if (pid == 0) {
        if (__fpending(stdout) != 0)
            __fpurge(stdout);
        if (__fpending(stderr) != 0)
            __fpurge(stderr);
        return 1;
    }
    code = pid < 0 ? -errno : 0;
    if (code == 0)
        *child = (many_child_){pid, many_child_open_(pid)};
    many_signal_unblock_(&state);
    return code;
}

/* ---- descriptors ---- */

static int launch_compare(const void *left, const void *right)
{
    const int *a = left, *b = right;

    return (*a > *b) - (*a < *b);
}

static void launch_close_range(unsigned first, unsigned last)
{
    struct rlimit limit;

    if (first > last || syscall(SYS_close_range, first, last, 0) == 0)
        return;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > LAUNCH_LAST_FD)
        limit.rlim_cur = LAUNCH_LAST_FD;
    for (unsigned fd = first; fd <= last && fd <= limit.rlim_cur; fd++)
        close((int)fd);
}

void many_launch_close_others_(const int *kept, size_t count)
{
    unsigned next = STDERR_FILENO + 1;
    int sorted[8];

    if (count > sizeof sorted / sizeof sorted[0])
        count = sizeof sorted / sizeof sorted[0];
    memcpy(sorted, kept, count * sizeof *kept);
    qsort(sorted, count, sizeof *sorted, launch_compare);
    for (size_t i = 0; i < count; i++) {
        if (sorted[i] < (int)next)
            continue;
        launch_close_range(next, (unsigned)sorted[i] - 1);
        next = (unsigned)sorted[i] + 1;
    }
    launch_close_range(next, UINT_MAX);
}

/* ---- signals ---- */

uint64_t many_launch_mask_(void)
{
    uint64_t mask = 0;
    sigset_t set;

    pthread_sigmask(SIG_SETMASK, NULL, &set);
    for (int signal = 1; signal <= 64 && signal < NSIG; signal++)
        if (sigismember(&set, signal) == 1)
            mask |= UINT64_C(1) << (signal - 1);
    return mask;
}

void many_launch_set_mask_(uint64_t mask)
{
    sigset_t set;

    sigemptyset(&set);
    for (int signal = 1; signal <= 64 && signal < NSIG; signal++)
        if ((mask >> (signal - 1) & 1) != 0)
            sigaddset(&set, signal);
    pthread_sigmask(SIG_SETMASK, &set, NULL);
}

void many_launch_block_(void)
{
    many_signal_state_ state;

    many_signal_block_(&state);
}

void many_launch_defaults_(void)
{
    struct sigaction action, old;

    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_handler = SIG_DFL;
    for (int signal = 1; signal < NSIG; signal++)
        if (signal != SIGKILL && signal != SIGSTOP && sigaction(signal, NULL, &old) == 0 &&
            old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN)
            sigaction(signal, &action, NULL);
}

int many_launch_ends_open_(void)
{
    sigset_t set;
    int fd;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    fd = many_stream_lift_(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    return fd < 0 ? -errno : fd;
}

void many_launch_ends_quiet_(int fd)
{
    struct signalfd_siginfo info;

    /* Several ends make one signal, or some. */
    while (read(fd, &info, sizeof info) > 0) {
    }
}

static int launch_set_ends(void (*handler)(int))
{
    struct sigaction action, old;

    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_handler = handler;
    sigaction(SIGCHLD, &action, &old);
    return old.sa_handler == SIG_IGN;
}

int many_launch_reap_(void)
{
    return launch_set_ends(SIG_DFL);
}

void many_launch_ignore_ends_(void)
{
    launch_set_ends(SIG_IGN);
}

void many_launch_die_with_parent_(int off)
{
    prctl(PR_SET_PDEATHSIG, off ? 0 : SIGKILL);
}

void many_launch_rouse_with_parent_(void)
{
    prctl(PR_SET_PDEATHSIG, SIGCONT);
}
