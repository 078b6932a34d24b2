/* SPDX-License-Identifier: MIT */
/* guard.c - ends the jobs of a `many` that was killed; see guard.h */
#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The guard's descriptors: 0 to 2 are /dev/null, and the pipe. */
#define GUARD_PIPE 3

/* Close all from first on: a descriptor that the guard kept would keep the user's pipe open. */
static void guard_close_from(unsigned first)
{
    struct rlimit limit;

#ifdef SYS_close_range
    if (syscall(SYS_close_range, first, ~0U, 0U) == 0)
        return;
#endif
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > 65536)
        limit.rlim_cur = 65536;
    for (unsigned fd = first; fd < limit.rlim_cur; fd++)
        close((int)fd);
}

static void guard_hide(int pipe_end)
{
    static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2};
    struct sigaction action;
    int nothing = open("/dev/null", O_RDWR);

    /* Not in the terminal's foreground group, to which Ctrl-C goes, and deaf to polite signals. */
    setsid();
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_IGN;
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        sigaction(ignored[i], &action, NULL);
    prctl(PR_SET_NAME, "many-guard");
    for (int fd = 0; fd < GUARD_PIPE; fd++)
        dup2(nothing, fd);
    dup2(pipe_end, GUARD_PIPE);
    guard_close_from(GUARD_PIPE + 1);
}

_Noreturn static void guard_watch(const struct guard *guard)
{
    char byte;

    while (read(GUARD_PIPE, &byte, 1) < 0 && errno == EINTR) {
    }
    for (size_t i = 0; i < guard->count; i++) {
        int group = atomic_load(&guard->seats[i].group);

        if (group > 0)
            kill(-group, SIGKILL);
    }
    _exit(0);
}

int guard_begin(struct guard *guard, size_t seats)
{
    int ends[2];

    memset(guard, 0, sizeof *guard);
    guard->alive = -1;
    guard->seats = mmap(NULL, seats * sizeof *guard->seats, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (guard->seats == MAP_FAILED) {
        guard->seats = NULL;
        return -ENOMEM;
    }
    guard->count = seats;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return 0;
    guard->pid = fork();
    if (guard->pid == 0) {
        guard_hide(ends[0]);
        guard_watch(guard);
    }
    close(ends[0]);
    if (guard->pid > 0) {
        guard->alive = ends[1];
        return 0;
    }
    close(ends[1]);
    guard->pid = 0;
    return 0;
}

void guard_end(struct guard *guard)
{
    /* No job is left: the guard has nothing to do any more, and need not be waited for long. */
    if (guard->pid > 0) {
        kill(guard->pid, SIGKILL);
        while (waitpid(guard->pid, NULL, 0) < 0 && errno == EINTR) {
        }
        close(guard->alive);
    }
    if (guard->seats != NULL)
        munmap(guard->seats, guard->count * sizeof *guard->seats);
    memset(guard, 0, sizeof *guard);
}
