/* SPDX-License-Identifier: MIT */
/* start.c - what the process found at its start; see start.h */
#include "start.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "options.h"

/* Those that the command touches, in the order of start.found. */
static const int start_signals[START_SIGNALS] = {SIGINT,  SIGTERM, SIGHUP,
                                                 SIGPIPE, SIGCHLD, SIGXFSZ};

/* A handler has nothing to go by but what is global. */
static many_cancel *start_token;
static volatile sig_atomic_t start_signal;
static volatile sig_atomic_t start_first_ms;

static void start_set(int signal, void (*handler)(int), int flags)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = flags;
    sigaction(signal, &action, NULL);
}

/* timeout(1) signals its child, then its group: two signals that are one wish. */
#define START_ONE_WISH_MS 200

/* Milliseconds since some moment, never 0. */
static sig_atomic_t start_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (sig_atomic_t)((now.tv_sec % 1000000 * 1000 + now.tv_nsec / 1000000) | 1);
}

/* SIGTERM and SIGHUP. The second one, if it is a second wish, acts as if nobody had caught it. */
static void start_handle(int signal)
{
    int saved = errno;

    if (start_signal == 0) {
        start_signal = signal;
        start_first_ms = start_now_ms();
        many_cancel_set(start_token);
    } else if (start_now_ms() - start_first_ms > START_ONE_WISH_MS) {
        start_set(signal, SIG_DFL, 0);
        raise(signal);
    }
    errno = saved;
}

static int start_fail(void)
{
    fprintf(stderr, "many: cannot open /dev/null: %s\n", strerror(errno));
    return STATUS_WRONG;
}

int start_begin(struct start *start)
{
    memset(start, 0, sizeof *start);
    for (int fd = 0; fd < 3; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        /* The lowest free number is this one. A stdout that cannot be written says so, once there
         * is output; a closed stderr is what the user wanted. */
        start->closed[fd] = 1;
        if (open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY) < 0)
            return start_fail();
    }
    start->nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (start->nothing < 0)
        return start_fail();
    for (int i = 0; i < START_SIGNALS; i++)
        sigaction(start_signals[i], NULL, &start->found[i]);
    pthread_sigmask(SIG_SETMASK, NULL, &start->mask);
    start_set(SIGPIPE, SIG_IGN, 0);
    start_set(SIGXFSZ, SIG_IGN, 0); /* a write past ulimit -f is an error like others */
    /* Who ignores SIGCHLD never learns how a child ended. */
    start_set(SIGCHLD, SIG_DFL, 0);
    return 0;
}

int start_catch(const struct start *start, many_cancel *token)
{
    const int flags = SA_RESTART;
    sigset_t ours;
    int code;

    start_token = token;
    sigemptyset(&ours);
    /* Also where they were ignored, as SIGINT is in `many map ... &` of a script: jobs in process
     * groups of their own would outlive a Ctrl-C. */
    start_set(SIGINT, SIG_DFL, 0);
    code = many_cancel_on_signal(token, SIGINT);
    if (code < 0)
        return code;
    start_set(SIGTERM, start_handle, flags);
    sigaddset(&ours, SIGINT);
    sigaddset(&ours, SIGTERM);
    /* But nohup means what it says. */
    for (int i = 0; i < START_SIGNALS; i++) {
        if (start_signals[i] != SIGHUP || start->found[i].sa_handler == SIG_IGN)
            continue;
        start_set(SIGHUP, start_handle, flags);
        sigaddset(&ours, SIGHUP);
    }
    pthread_sigmask(SIG_UNBLOCK, &ours, NULL);
    return 0;
}

int start_caught(void)
{
    return start_signal != 0 ? (int)start_signal : SIGINT;
}

unsigned long start_make_room(struct start *start, unsigned long files)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return files;
    if (limit.rlim_cur >= files)
        return limit.rlim_cur;
    start->files = limit;
    limit.rlim_cur =
        limit.rlim_max != RLIM_INFINITY && limit.rlim_max < files ? limit.rlim_max : (rlim_t)files;
    if (limit.rlim_cur == start->files.rlim_cur || setrlimit(RLIMIT_NOFILE, &limit) != 0)
        return start->files.rlim_cur;
    start->files_raised = 1;
    return limit.rlim_cur;
}

void start_give_back(const struct start *start)
{
    /* Handlers before the mask: one that ran in the child of a vfork would run in our memory. */
    for (int i = 0; i < START_SIGNALS; i++)
        sigaction(start_signals[i], &start->found[i], NULL);
    if (start->files_raised)
        setrlimit(RLIMIT_NOFILE, &start->files);
    sigprocmask(SIG_SETMASK, &start->mask, NULL);
}
