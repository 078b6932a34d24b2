/* SPDX-License-Identifier: MIT */
/*
 * process.c - child processes by fork and pidfd; see os/process.h
 *
 * We wait for our own pids only, never for "any". If somebody else in the program took the status,
 * or SIGCHLD is ignored, the pidfd still tells that the child is dead, and (Linux 6.15)
 * PIDFD_GET_INFO how it ended. Sources: pidfd_open(2), prctl(2), waitid(2), linux/pidfd.h.
 */
#include "os/process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "os/clock.h"
#include "os/signal.h"
#include "os/stream.h"

/* In the kernel's headers since 5.3 and 6.15; Debian 12's are older. Values of the kernel's UAPI.
 */
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef P_PIDFD
#define P_PIDFD 3
#endif

typedef struct process_pidfd_info { /* struct pidfd_info, first published size and the exit code
                                       behind it */
    uint64_t mask;
    uint64_t cgroupid;
    uint32_t pid, tgid, ppid;
    uint32_t ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
    int32_t exit_code;
} process_pidfd_info;

_Static_assert(sizeof(process_pidfd_info) == 64, "the kernel's PIDFD_INFO_SIZE_VER0");

#define PROCESS_PIDFD_GET_INFO  _IOWR(0xFF, 11, process_pidfd_info)
#define PROCESS_PIDFD_INFO_EXIT (UINT64_C(1) << 3)

/* How often to ask for a note of the kernel's that is a moment late, a millisecond apart. */
#define PROCESS_NOTE_TRIES 1000

/* How long to sleep between two looks where there is no pidfd. */
#define PROCESS_LOOK_MS 5

void many_flush_standard_(void)
{
    FILE *const streams[] = {stdout, stderr};

    for (int i = 0; i < 2; i++) {
        /* A look at the lock would copy its page in a worker that has printed nothing. */
        if (__fpending(streams[i]) == 0 || ftrylockfile(streams[i]) != 0)
            continue;
        fflush(streams[i]);
        funlockfile(streams[i]);
    }
}

static int process_pidfd_open(pid_t pid)
{
    struct rlimit limit;
    int fd;

    if (MANY_FAULT_ERROR("pidfd.open") < 0)
        return -1;
    fd = many_stream_lift_((int)syscall(SYS_pidfd_open, pid, 0));
    /* The caller needs descriptors, too: the way without is there. */
    if (fd >= 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0 && (rlim_t)fd >= limit.rlim_cur / 4 * 3) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* To this child and no other: a pid may be somebody else's by now, a pidfd never is. */
static void process_send(const many_child_ *child, int signal)
{
    if (child->fd >= 0 &&
        (syscall(SYS_pidfd_send_signal, child->fd, signal, NULL, 0) == 0 || errno == ESRCH))
        return;
    kill(child->pid, signal); /* no pidfd; or a sandbox knows half of its calls */
}

int many_child_fork_(many_child_ *child)
{
    many_signal_state_ state;
    pid_t parent = getpid();
    pid_t pid;
    int code = MANY_FAULT_ERROR("fork");

    *child = (many_child_){0, -1};
    if (code < 0)
        return code;
    many_flush_standard_();
    many_signal_block_(&state); /* no handler of the caller may run in the child */
    pid = fork();
    if (pid < 0) {
        code = -errno;
        many_signal_unblock_(&state);
        return code;
    }
    if (pid > 0) {
        child->pid = pid;
        child->fd = process_pidfd_open(pid);
        many_signal_unblock_(&state);
        return 1;
    }
    /* The signal acts from now on; a parent that died before is no longer our parent. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (many_orphan_(parent))
        _exit(0);
    /* What another thread kept us from flushing is the parent's to print. */
    if (__fpending(stdout) != 0)
        __fpurge(stdout);
    if (__fpending(stderr) != 0)
        __fpurge(stderr);
    many_signal_reset_(&state);
    return 0;
}

void many_child_kill_(const many_child_ *child)
{
    if (child->pid != 0)
        process_send(child, SIGKILL);
}

/* wait(2)'s status word, taken apart. */
static void process_decode(int status, many_ending_ *ending)
{
    ending->known = 1;
    if (WIFSIGNALED(status))
        ending->signal = WTERMSIG(status);
    else
        ending->exit_status = WEXITSTATUS(status);
}

/*
 * Whose status was taken is dead, but for a moment yet the kernel has not noted how: between the
 * wake-up of the pidfd and the note lies the rest of its exit, which other work may hold up. Then
 * the answer lacks the bit, or is ESRCH. Before Linux 6.15 there is no note; 6.13 and 6.14 answer
 * ESRCH for ever, older ones do not know the question.
 */
static void process_ask_kernel(int fd, many_ending_ *ending)
{
    process_pidfd_info info;

    if (fd < 0)
        return;
    for (int tries = 0; tries < PROCESS_NOTE_TRIES; tries++) {
        memset(&info, 0, sizeof info);
        info.mask = PROCESS_PIDFD_INFO_EXIT;
        /* The raw call, because libcs do not agree on the type of ioctl()'s request. */
        if (syscall(SYS_ioctl, fd, PROCESS_PIDFD_GET_INFO, &info) != 0) {
            if (errno != ESRCH)
                return;
            tries += PROCESS_NOTE_TRIES / 20;
        } else if ((info.mask & PROCESS_PIDFD_INFO_EXIT) != 0) {
            process_decode(info.exit_code, ending);
            return;
        }
        poll(NULL, 0, 1);
    }
}

/* Readable pidfd: dead, whoever reaped it. */
static int process_pidfd_dead(int fd, int wait)
{
    struct pollfd poller = {fd, POLLIN, 0};
    int got;

    do
        got = poll(&poller, 1, wait ? -1 : 0);
    while (got < 0 && errno == EINTR);
    return got > 0;
}

int many_child_ended_(many_child_ *child, int wait, many_ending_ *ending)
{
    siginfo_t info;
    struct rusage usage;
    long got;

    memset(ending, 0, sizeof *ending);
    ending->exit_status = -1;
    if (child->pid == 0)
        return 1;
    for (;;) {
        memset(&info, 0, sizeof info);
        memset(&usage, 0, sizeof usage);
        /* The raw call also gives the child's resource usage. Never block in it: without a pidfd,
         * and with SIGCHLD ignored, it would last until the last of all children is gone. */
        got = syscall(SYS_waitid, child->fd >= 0 ? P_PIDFD : P_PID,
                      child->fd >= 0 ? child->fd : child->pid, &info, WEXITED | WNOHANG, &usage);
        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0 && info.si_pid != 0)
            break;
        if (got < 0 && (child->fd < 0 || process_pidfd_dead(child->fd, wait)))
            break; /* dead, and somebody else has its status */
        if (!wait)
            return 0;
        /* Alive; or dead and in the hands of a tracer, which leaves the pidfd readable. */
        if (child->fd < 0 || process_pidfd_dead(child->fd, 0))
            poll(NULL, 0, PROCESS_LOOK_MS);
        else
            process_pidfd_dead(child->fd, 1);
    }
    if (got < 0) {
        process_ask_kernel(child->fd, ending);
    } else {
        ending->known = 1;
        if (info.si_code == CLD_EXITED)
            ending->exit_status = info.si_status;
        else
            ending->signal = info.si_status;
        ending->peak_bytes = (uint64_t)usage.ru_maxrss * 1024;
    }
    if (child->fd >= 0)
        close(child->fd);
    *child = (many_child_){0, -1};
    return 1;
}

int many_orphan_(pid_t parent)
{
    pid_t now = getppid();

    return now != parent && now != 0; /* 0: it is outside of our pid namespace */
}

_Noreturn void many_child_exit_(int status)
{
    many_flush_standard_();
    _exit(status);
}
