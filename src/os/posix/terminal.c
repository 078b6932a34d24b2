/* SPDX-License-Identifier: MIT */
/* terminal.c - what the terminal is like; see os/terminal.h */
#include "os/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

int many_terminal_is_open_(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

int many_terminal_is_(int fd)
{
    struct termios mode;

    return tcgetattr(fd, &mode) == 0;
}

int many_terminal_columns_(int fd)
{
    struct winsize size;

    if (ioctl(fd, TIOCGWINSZ, &size) != 0)
        return 0;
    return size.ws_col;
}

int many_terminal_utf8_(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    const char *codeset = nl_langinfo(CODESET);
    const char *set = setlocale(LC_CTYPE, NULL);

    if (codeset != NULL && strcasecmp(codeset, "UTF-8") == 0)
        return 1;
    if (set != NULL && strcmp(set, "C") != 0 && strcmp(set, "POSIX") != 0)
        return 0; /* the program has chosen another encoding */
    /* A program that never called setlocale() is in "C"; its terminal is what the environment says.
     */
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = getenv(names[i]);
        if (value == NULL || *value == '\0')
            continue;
        const char *dot = strchr(value, '.');
        return dot != NULL &&
               (strncasecmp(dot, ".UTF-8", 6) == 0 || strncasecmp(dot, ".utf8", 5) == 0);
    }
    return 0;
}

/*
 * A write to a pipe without readers sends SIGPIPE to the thread that wrote, and to no other. So it
 * is blocked in this thread around the write, and if there was none before, the one that is pending
 * after EPIPE is ours: it is taken away before the mask is put back. A SIGPIPE that kill(2) sends
 * meanwhile is the process's, not the thread's; sigtimedwait() takes the thread's own first. If the
 * caller had it blocked and pending already, the two are one, and it stays.
 */
typedef struct terminal_guard {
    sigset_t mask; /* of the caller */
    int pending;   /* 1: the caller had a SIGPIPE waiting */
    int cancel;    /* the caller's cancellation state: write(2) and poll(2) are places to cancel */
} terminal_guard;

static void terminal_guard_begin(terminal_guard *guard)
{
    sigset_t pipe, pending;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &guard->cancel);
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &guard->mask);
    guard->pending = sigismember(&guard->mask, SIGPIPE) == 1 && sigpending(&pending) == 0 &&
                     sigismember(&pending, SIGPIPE) == 1;
}

static void terminal_guard_end(const terminal_guard *guard, int raised)
{
    const struct timespec at_once = {0, 0};
    sigset_t pipe;
    int ignored;

    if (raised && !guard->pending) {
        sigemptyset(&pipe);
        sigaddset(&pipe, SIGPIPE);
        while (sigtimedwait(&pipe, NULL, &at_once) < 0 && errno == EINTR) {
        }
    }
    pthread_sigmask(SIG_SETMASK, &guard->mask, NULL);
    pthread_setcancelstate(guard->cancel, &ignored);
}

/* Wait for room in fd until the deadline; 0: now or never. 1: a write will not block, or will say
 * what is wrong. */
static int terminal_has_room(int fd, int64_t deadline_ns)
{
    struct pollfd poller = {fd, POLLOUT, 0};
    int got;

    do
        got = poll(&poller, 1, deadline_ns == 0 ? 0 : many_poll_ms_(deadline_ns));
    while (got < 0 && errno == EINTR);
    return got != 0;
}

ssize_t many_terminal_write_(int fd, const char *text, size_t bytes, int64_t patience_ns)
{
    int64_t deadline = patience_ns == 0 ? 0 : many_clock_ns_() + patience_ns;
    int saved = errno;
    size_t done = 0;
    ssize_t wrote = -1;
    terminal_guard guard;

    terminal_guard_begin(&guard);
    errno = 0;
    while (done < bytes) {
        errno = EAGAIN;
        wrote = terminal_has_room(fd, deadline) ? write(fd, text + done, bytes - done) : -1;
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            break;
        if (done == 0 && (size_t)wrote < bytes)
            deadline = many_clock_ns_() + patience_ns + MANY_TERMINAL_REST_NS;
        done += (size_t)wrote;
    }
    if (done == 0 && wrote < 0)
        wrote = -errno;
    terminal_guard_end(&guard, errno == EPIPE);
    errno = saved;
    return done > 0 ? (ssize_t)done : wrote;
}
