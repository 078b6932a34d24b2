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
#include "os/thread.h"

/* glibc's, since 2.32: no other thread runs, and none can begin but by this one. */
#if defined(__has_include)
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define PROCESS_KNOWS_THREADS 1
#endif
#endif

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
#define PROCESS_LOOK_MS (int)(MANY_CHILD_LOOK_NS_ / MANY_MILLISECOND_NS)

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

/*
 * As process_send(), with an answer. Without pidfd the number is the child's as long as nobody has
 * reaped it, which is looked at first.
 */
int many_child_signal_(const many_child_ *child, int signal)
{
    int code = -ESRCH;
    siginfo_t info;

    if (child->fd >= 0) {
        if (syscall(SYS_pidfd_send_signal, child->fd, signal, NULL, 0) == 0)
            return 0;
        code = -errno;
        if (code == -ESRCH)
            return code;
    }
    memset(&info, 0, sizeof info);
    if (syscall(SYS_waitid, P_PID, child->pid, &info, WEXITED | WNOHANG | WNOWAIT, NULL) < 0)
        return code;
    return kill(child->pid, signal) == 0 ? 0 : -errno;
}

/*
 * ---- what is caught ----
 *
 * No call tells it of more than one signal, and 62 calls take 7 us here, in a new process 10, which is a
 * tenth of a fork. So the parent asks before the fork, where no other thread could change the answer
 * meanwhile; else the child does.
 */
static int process_is_single_threaded(void)
{
#ifdef PROCESS_KNOWS_THREADS
    return __libc_single_threaded;
#else
    return 0;
#endif
}

_Static_assert(NSIG <= 65, "a bit of 64 for each signal");

/* Bit signal - 1 of each signal that has a handler. */
static uint64_t process_caught(void)
{
    uint64_t caught = 0;

    for (int signal = 1; signal < NSIG; signal++) {
        struct sigaction action;

        if (signal != SIGKILL && signal != SIGSTOP && sigaction(signal, NULL, &action) == 0 &&
            action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN)
            caught |= UINT64_C(1) << (signal - 1);
    }
    return caught;
}

static void process_set_default(uint64_t caught)
{
    struct sigaction action;

    for (int signal = 1; caught != 0; signal++, caught >>= 1) {
        if ((caught & 1) == 0)
            continue;
        memset(&action, 0, sizeof action); /* no flags, an empty mask */
        action.sa_handler = SIG_DFL;
        sigaction(signal, &action, NULL);
    }
}

/* ---- fork ---- */

/* Signals are blocked from here on: by process_begin() in the parent, and in the child. */
static int process_begin(many_child_ *child, many_signal_state_ *state)
{
    int code = MANY_FAULT_ERROR("fork"), held;

    *child = (many_child_){0, -1};
    if (code < 0)
        return code;
    held = many_thread_hold_();
    many_flush_standard_();
    many_thread_let_go_(held); /* not held in the child, which would have to let go */
    many_signal_block_(state); /* no handler of the caller may run in the child */
    return 0;
}

/* 1 in the parent, which has its mask again; 0 in the child; or a negative errno. */
static int process_fork(many_child_ *child, const many_signal_state_ *state)
{
    pid_t pid = fork();
    int code = 1;

    if (pid == 0)
        return 0;
    if (pid > 0) {
        child->pid = pid;
        child->fd = process_pidfd_open(pid);
    } else {
        code = -errno;
    }
    many_signal_unblock_(state);
    return code;
}

/* Child: what another thread kept us from flushing is the parent's to print. */
static void process_drop_output(void)
{
    if (__fpending(stdout) != 0)
        __fpurge(stdout);
    if (__fpending(stderr) != 0)
        __fpurge(stderr);
}

int many_child_fork_(many_child_ *child)
{
    many_signal_state_ state;
    pid_t parent = getpid();
    int code = process_begin(child, &state);

    if (code == 0)
        code = process_fork(child, &state);
    if (code != 0)
        return code;
    /* The signal acts from now on; a parent that died before is no longer our parent. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (many_orphan_(parent))
        _exit(0);
    process_drop_output();
    many_signal_reset_(&state);
    return 0;
}

int many_child_fork_free_(many_child_ *child)
{
    const int alone = process_is_single_threaded();
    many_signal_state_ state;
    uint64_t caught = 0;
    int code = process_begin(child, &state);

    if (code < 0)
        return code;
    if (alone)
        caught = process_caught();
    code = process_fork(child, &state);
    if (code != 0)
        return code;
    process_drop_output();
    process_set_default(alone ? caught : process_caught());
    many_signal_unblock_(&state);
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

/*
 * Its status, without waiting: 1 and *ending, reaped; 0: it lives, or is dead and in the hands of a
 * tracer; -1: somebody else has it, or will have.
 */
static int process_take(const many_child_ *child, many_ending_ *ending)
{
    siginfo_t info;
    struct rusage usage;
    long got;

    memset(ending, 0, sizeof *ending);
    ending->exit_status = -1;
    do {
        memset(&info, 0, sizeof info);
        memset(&usage, 0, sizeof usage);
        /* The raw call also gives the child's resource usage. Never block in it: without a pidfd,
         * and with SIGCHLD ignored, it would last until the last of all children is gone. */
        got = syscall(SYS_waitid, child->fd >= 0 ? P_PIDFD : P_PID,
                      child->fd >= 0 ? child->fd : child->pid, &info, WEXITED | WNOHANG, &usage);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return -1;
    if (info.si_pid == 0)
        return 0;
    ending->known = 1;
    if (info.si_code == CLD_EXITED)
        ending->exit_status = info.si_status;
    else
        ending->signal = info.si_status;
    ending->peak_bytes = (uint64_t)usage.ru_maxrss * 1024;
    return 1;
}

int many_child_ended_(many_child_ *child, int wait, many_ending_ *ending)
{
    if (child->pid == 0) {
        memset(ending, 0, sizeof *ending);
        ending->exit_status = -1;
        return 1;
    }
    for (;;) {
        int got = process_take(child, ending);

        if (got > 0)
            break;
        if (got < 0 && (child->fd < 0 || process_pidfd_dead(child->fd, wait))) {
            process_ask_kernel(child->fd, ending);
            break;
        }
        if (!wait)
            return 0;
        /* Alive; or dead and in the hands of a tracer, which leaves the pidfd readable. */
        if (child->fd < 0 || process_pidfd_dead(child->fd, 0))
            poll(NULL, 0, PROCESS_LOOK_MS);
        else
            process_pidfd_dead(child->fd, 1);
    }
    many_child_close_(child);
    return 1;
}

int many_child_reap_(const many_child_ *child, many_ending_ *ending)
{
    int got = process_take(child, ending);

    if (got >= 0)
        return got;
    if (child->fd >= 0 && !process_pidfd_dead(child->fd, 0))
        return 0; /* SIGCHLD is ignored, or it is another's child: it lives */
    process_ask_kernel(child->fd, ending);
    return 1;
}

int many_child_is_dead_(const many_child_ *child)
{
    return child->fd >= 0 && process_pidfd_dead(child->fd, 0);
}

int many_child_wait_(const many_child_ *child, int64_t deadline_ns)
{
    struct pollfd poller = {child->fd, POLLIN, 0};
    int64_t until = deadline_ns;
    int got;

    if (child->fd < 0) {
        int64_t look = many_clock_ns_() + MANY_CHILD_LOOK_NS_;

        until = look < deadline_ns ? look : deadline_ns;
    }
    got = poll(&poller, child->fd >= 0, many_poll_ms_(until));
    if (got < 0)
        return errno == EINTR ? -EINTR : 0;
    return got > 0 || until < deadline_ns ? 0 : -ETIMEDOUT;
}

int many_child_open_(pid_t pid)
{
    return process_pidfd_open(pid);
}

void many_child_close_(many_child_ *child)
{
    if (child->fd >= 0)
        close(child->fd);
    *child = (many_child_){0, -1};
}

void many_ending_from_(many_ending_ *ending, int status, int fd)
{
    memset(ending, 0, sizeof *ending);
    ending->exit_status = -1;
    if (status >= 0)
        process_decode(status, ending);
    else
        process_ask_kernel(fd, ending);
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
