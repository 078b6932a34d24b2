/* SPDX-License-Identifier: MIT */
/*
 * bench.c - clock, work of known length, memory, a terminal
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void bench_die(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

void bench_print(double value, const char *unit)
{
    printf("%.6g %s\n", value, unit);
    if (fflush(stdout) != 0)
        bench_die("stdout: %s", strerror(errno));
}

int64_t bench_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int bench_compare_ns(const void *left, const void *right)
{
    const int64_t *a = left;
    const int64_t *b = right;

    return (*a > *b) - (*a < *b);
}

int64_t bench_median_ns(int64_t *values, size_t count)
{
    qsort(values, count, sizeof *values, bench_compare_ns);
    return values[count / 2];
}

void *bench_memory(size_t bytes, int shared)
{
    int flags = MAP_ANONYMOUS | (shared ? MAP_SHARED : MAP_PRIVATE);
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);

    if (memory == MAP_FAILED)
        bench_die("mmap of %zu bytes: %s", bytes, strerror(errno));
    memset(memory, 0, bytes);
    return memory;
}

uint64_t bench_spin(uint64_t turns)
{
    uint64_t chain = turns;

    for (uint64_t i = 0; i < turns; i++)
        chain = chain * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX constants */
    return chain;
}

uint64_t bench_turns(double ns)
{
    const uint64_t turns = 1000000; /* about 2 ms: far above the clock's grain */
    volatile uint64_t end;
    int64_t least = INT64_MAX;

    for (int try = 0; try < 9; try++) {
        int64_t begin = bench_now_ns();
        int64_t taken;

        end = bench_spin(turns);
        taken = bench_now_ns() - begin;
        if (taken < least)
            least = taken;
    }
    (void)end;
    return (uint64_t)(ns * (double)turns / (double)least);
}

/* Of bench_fork(); 0: a free place. */
static volatile pid_t bench_children[16];

/* A child that failed has said why; nobody may wait for what it would have sent. */
static void bench_on_child(int signal_number)
{
    int saved = errno;

    (void)signal_number;
    for (size_t i = 0; i < sizeof bench_children / sizeof bench_children[0]; i++) {
        siginfo_t child = {0};

        /* Left for bench_join() to wait for. */
        if (bench_children[i] != 0 &&
            waitid(P_PID, (id_t)bench_children[i], &child, WEXITED | WNOHANG | WNOWAIT) == 0 &&
            child.si_pid != 0 && (child.si_code != CLD_EXITED || child.si_status != 0))
            _exit(1);
    }
    errno = saved;
}

pid_t bench_fork(void)
{
    struct sigaction action = {.sa_handler = bench_on_child, .sa_flags = SA_RESTART};
    pid_t parent = getpid();
    size_t place = 0;
    pid_t child;

    while (bench_children[place] != 0)
        if (++place == sizeof bench_children / sizeof bench_children[0])
            bench_die("too many children");
    if (sigaction(SIGCHLD, &action, NULL) != 0)
        bench_die("sigaction: %s", strerror(errno));
    child = fork();
    if (child < 0)
        bench_die("fork: %s", strerror(errno));
    if (child > 0) {
        bench_children[place] = child;
        raise(SIGCHLD); /* it may have ended before it had a place */
        return child;
    }
    signal(SIGCHLD, SIG_DFL);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        _exit(1);
    return 0;
}

void bench_join(pid_t child)
{
    int status = 0;

    while (waitpid(child, &status, 0) != child)
        if (errno != EINTR)
            bench_die("waitpid: %s", strerror(errno));
    for (size_t i = 0; i < sizeof bench_children / sizeof bench_children[0]; i++)
        if (bench_children[i] == child)
            bench_children[i] = 0;
    if (status != 0)
        bench_die("a child ended with status %#x", (unsigned)status);
}

static _Noreturn void bench_read_for_ever(int screen)
{
    char bytes[4096];

    while (read(screen, bytes, sizeof bytes) > 0)
        continue;
    _exit(0);
}

void bench_terminal_open(bench_terminal *terminal)
{
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    int screen = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    const char *name = NULL;

    if (screen < 0 || grantpt(screen) != 0 || unlockpt(screen) != 0)
        bench_die("posix_openpt: %s", strerror(errno));
    name = ptsname(screen);
    terminal->fd = name != NULL ? open(name, O_RDWR | O_NOCTTY | O_CLOEXEC) : -1;
    if (terminal->fd < 0 || ioctl(terminal->fd, TIOCSWINSZ, &size) != 0)
        bench_die("terminal: %s", strerror(errno));
    terminal->reader = fork();
    if (terminal->reader < 0)
        bench_die("fork: %s", strerror(errno));
    if (terminal->reader == 0) {
        close(terminal->fd); /* the read ends when the last writer has closed its side */
        bench_read_for_ever(screen);
    }
    close(screen);
}

void bench_terminal_close(bench_terminal *terminal)
{
    close(terminal->fd);
    kill(terminal->reader, SIGKILL);
    waitpid(terminal->reader, NULL, 0);
}
