/* SPDX-License-Identifier: MIT */
/*
 * job.c - one command line as a task; see job.h
 *
 * Starting is what takes the time. The child of a vfork(2) shares our memory until it execs, and our
 * thread alone is stopped meanwhile: no page table is copied, however large `many` is. That is safe
 * because the child calls nothing but what is async-signal-safe: no malloc, no lock that another
 * thread could hold. And no signal handler of ours runs in it: all signals are blocked in a worker
 * thread, and are let through only when every handler has been taken back.
 *
 * What the child has to tell (its group, a failed exec) lies in memory that is shared for real, not
 * only for the moment: under valgrind, qemu and TSan a vfork is a fork.
 */
#include "job.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "capture.h"
#include "command.h"
#include "source.h"

/* A cancelled item is noticed so soon; a limit is kept as exactly as the library's, which looks
 * ten times in it. */
#define JOB_SLICE_MS 50

/* From SIGTERM to SIGKILL. */
#define JOB_GRACE_MS 1000

/* After the SIGKILL: who is still there is a zombie that its parent does not fetch. Dying takes time,
 * too, where others have the core. */
#define JOB_GONE_MS 1000

/* Where there is no pidfd, and for what is no child of ours: look so often. */
#define JOB_LOOK_MS 5

/* When processes, descriptors or memory run out, wait for others to give some back: first this
 * long, then twice as long, in all about five seconds. */
#define JOB_SHORTAGE_FIRST_MS 10
#define JOB_SHORTAGE_TIMES    9

/* What the child needs to know; it lies on our stack. */
typedef struct job_launch {
    const job_shop *shop;
    guard_seat *seat;
    const char *path;
    char **argv;
    struct capture out, err; /* err has no pipe where both go to one place */
} job_launch;

/* A job that runs. */
typedef struct job_watch {
    pid_t pid;
    int pidfd; /* readable when it has ended; -1: this kernel has none */
    struct capture *streams[2];
} job_watch;

int job_shop_begin(job_shop *shop, size_t workers, double limit_s)
{
    shop->self = getpid();
    shop->workers = workers;
    shop->slice_ms = JOB_SLICE_MS;
    if (limit_s > 0 && limit_s < JOB_SLICE_MS * 10 / 1e3)
        shop->slice_ms = (int)(limit_s * 100) + 1;
    shop->benches = calloc(workers, sizeof *shop->benches);
    return shop->benches != NULL ? 0 : -ENOMEM;
}

void job_shop_end(job_shop *shop)
{
    for (size_t i = 0; shop->benches != NULL && i < shop->workers; i++) {
        template_room_end(&shop->benches[i].room);
        free(shop->benches[i].path);
    }
    free(shop->benches);
    shop->benches = NULL;
}

void job_result_close(job_result *result)
{
    if (result->state == JOB_NOT_BEGUN)
        return;
    if (result->out >= 0)
        close(result->out);
    if (result->err >= 0)
        close(result->err);
    result->out = result->err = -1;
}

int job_error_is_of_item(int error)
{
    return error == -E2BIG || error == -EILSEQ || error == -ENOMEM || error == -EAGAIN ||
           error == -EMFILE || error == -ENFILE || error == -ETXTBSY || error == -EIO;
}

static void job_nap(int ms)
{
    const struct timespec nap = {ms / 1000, ms % 1000 * 1000000L};

    nanosleep(&nap, NULL);
}

static long job_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The child, until it is the command. */
_Noreturn static void job_become(const job_launch *launch)
{
    const job_shop *shop = launch->shop;

    atomic_store(&launch->seat->group, getpid());
    /* It does not act backwards: `many` may be gone already. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != shop->self)
        _exit(127);
    setpgid(0, 0);
    dup2(shop->start->nothing, STDIN_FILENO);
    dup2(launch->out.to, STDOUT_FILENO);
    dup2(launch->err.to >= 0 ? launch->err.to : launch->out.to, STDERR_FILENO);
    start_give_back(shop->start);
    execve(launch->path, launch->argv, environ);
    if (errno == ENOEXEC) {
        /* A script without "#!": sh runs it, as execvp(3) has it. */
        launch->argv[-1] = "/bin/sh";
        launch->argv[0] = (char *)launch->path;
        execve("/bin/sh", launch->argv - 1, environ);
    }
    atomic_store(&launch->seat->exec_error, errno);
    _exit(127);
}

/* Start it. The process, or a negative code. */
static pid_t job_fork(const job_launch *launch)
{
    pid_t pid;

    atomic_store(&launch->seat->exec_error, 0);
    /* The checkers know no way in which this can be right; the head of this file says why it is. */
    pid = vfork(); /* NOLINT(clang-analyzer-security.insecureAPI.vfork) */
    if (pid == 0)
        job_become(launch); /* NOLINT(clang-analyzer-unix.Vfork) */
    return pid < 0 ? -errno : pid;
}

/* A descriptor by which to wait for it, -1 where the kernel has none. It is not reaped yet, so the
 * number is its own. */
static int job_pidfd(pid_t pid)
{
#ifdef SYS_pidfd_open
    return (int)syscall(SYS_pidfd_open, pid, 0);
#else
    (void)pid;
    return -1;
#endif
}

/* Its status is there to be taken. It stays a zombie. */
static int job_is_zombie(pid_t pid)
{
    siginfo_t info;

    info.si_pid = 0;
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != 0;
}

/* Has it ended, within so many milliseconds? What it prints meanwhile is taken. */
static int job_has_ended(const job_watch *watch, int ms)
{
    const long until = job_now_ms() + ms;
    long left = ms;

    for (;;) {
        struct pollfd poller[3] = {{watch->pidfd, POLLIN, 0},
                                   {watch->streams[0]->from, POLLIN, 0},
                                   {watch->streams[1]->from, POLLIN, 0}};
        int slice = watch->pidfd < 0 && left > JOB_LOOK_MS ? JOB_LOOK_MS : (int)left;
        int got = poll(poller, 3, slice);

        for (int i = 0; got > 0 && i < 2; i++)
            if (poller[1 + i].revents != 0)
                capture_drain(watch->streams[i]);
        if (watch->pidfd >= 0 ? got > 0 && poller[0].revents != 0 : job_is_zombie(watch->pid))
            return 1;
        left = until - job_now_ms();
        if (left <= 0)
            return 0;
    }
}

/* It wants to read from the terminal, or to set it, and has no right to: it would stand still. */
static int job_wants_terminal(pid_t pid)
{
    siginfo_t info;

    info.si_pid = 0;
    return waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == pid && (info.si_status == SIGTTIN || info.si_status == SIGTTOU);
}

static void job_signal(pid_t pid, int signal)
{
    if (kill(-pid, signal) != 0)
        kill(pid, signal);
}

static void job_reap(pid_t pid, int *status)
{
    while (waitpid(pid, status, 0) < 0 && errno == EINTR) {
    }
}

/* Is the group empty, within so many milliseconds? A zombie is still in it. */
static int job_group_is_gone(pid_t group, int ms)
{
    const long until = job_now_ms() + ms;

    while (kill(-group, 0) == 0) {
        if (job_now_ms() >= until)
            return 0;
        job_nap(JOB_LOOK_MS);
    }
    return 1;
}

/*
 * End it and all that is in its group. First its own process, which we reap, then the others: from
 * then on the number of the group is only theirs as long as one of them lives, and a new process
 * that got it within JOB_LOOK_MS would need that all other numbers were used up meanwhile.
 */
static void job_cut_off(const job_watch *watch, int *status)
{
    const pid_t pid = watch->pid;
    const long until = job_now_ms() + JOB_GRACE_MS;
    long left;

    job_signal(pid, SIGTERM);
    job_signal(pid, SIGCONT); /* one that is stopped would not hear it */
    if (!job_has_ended(watch, JOB_GRACE_MS)) {
        job_signal(pid, SIGKILL);
        while (!job_has_ended(watch, JOB_GRACE_MS)) {
        }
    }
    job_reap(pid, status);
    left = until - job_now_ms();
    if (job_group_is_gone(pid, left > 0 ? (int)left : 0))
        return;
    kill(-pid, SIGKILL);
    job_group_is_gone(pid, JOB_GONE_MS);
}

/* Until it has ended, by itself or by us. */
static void job_await(const job_shop *shop, guard_seat *seat, const job_watch *watch,
                      job_result *result)
{
    while (!job_has_ended(watch, shop->slice_ms)) {
        result->wants_terminal = job_wants_terminal(watch->pid);
        if (!many_cancelled() && !result->wants_terminal)
            continue;
        result->cut_off = 1;
        job_cut_off(watch, &result->status);
        break;
    }
    atomic_store(&seat->group, 0);
    if (!result->cut_off)
        job_reap(watch->pid, &result->status);
    if (watch->pidfd >= 0)
        close(watch->pidfd);
}

static int job_is_shortage(int error)
{
    return error == -EAGAIN || error == -EMFILE || error == -ENFILE || error == -ENOMEM;
}

/* Once: pipes for the output, and the process. It has ended when this returns. 0 or a negative
 * code if it was never the command. */
static int job_try(const job_shop *shop, job_launch *launch, job_result *result)
{
    int code;

    capture_begin(&launch->err);
    code = capture_open(&launch->out);
    if (code == 0 && !shop->merged)
        code = capture_open(&launch->err);
    if (code == 0) {
        job_watch watch = {job_fork(launch), -1, {&launch->out, &launch->err}};

        code = watch.pid < 0 ? watch.pid : 0;
        if (code == 0) {
            watch.pidfd = job_pidfd(watch.pid);
            job_await(shop, launch->seat, &watch, result);
            code = -atomic_load(&launch->seat->exec_error);
        }
    }
    capture_finish(&launch->out);
    capture_finish(&launch->err);
    if (code < 0) {
        capture_close(&launch->out);
        capture_close(&launch->err);
        return code;
    }
    result->out = launch->out.file;
    result->out_bytes = launch->out.bytes;
    result->err = launch->err.file;
    result->err_bytes = launch->err.bytes;
    result->lost = launch->out.error != 0 ? launch->out.error : launch->err.error;
    return 0;
}

/* Which file, which words, then run it. 0 or a negative code. */
static int job_start(const job_shop *shop, int worker, const struct item *item, job_result *result)
{
    job_bench *bench = &shop->benches[worker];
    job_launch launch = {.shop = shop, .seat = &shop->seats[worker], .path = shop->path};
    int code, nap = JOB_SHORTAGE_FIRST_MS;

    if (item->too_long)
        return -E2BIG;
    if (memchr(item->text, '\0', item->bytes) != NULL)
        return -EILSEQ; /* what no argument can hold: our own word, execve(2) does not use it */
    code = template_fill(shop->line, item->text, item->bytes, &bench->room);
    if (code < 0)
        return code;
    if (launch.path == NULL) {
        free(bench->path);
        code = command_find(bench->room.argv[0], &bench->path);
        if (code < 0)
            return code;
        launch.path = bench->path;
    }
    launch.argv = bench->room.argv;
    for (int time = 0;; time++) {
        code = job_try(shop, &launch, result);
        if (!job_is_shortage(code) || time == JOB_SHORTAGE_TIMES || many_cancelled())
            return code;
        job_nap(nap);
        nap *= 2;
    }
}

int job_run(const void *item_of_map, void *room, void *context)
{
    const job_shop *shop = context;
    job_result *result = room;
    int code;

    job_result_close(result); /* of the try before this one */
    memset(result, 0, sizeof *result);
    result->out = result->err = -1;
    result->state = JOB_NOT_STARTED;
    code = job_start(shop, many_worker_index(), item_of_map, result);
    if (code < 0) {
        result->error = code;
        return 1;
    }
    result->state = JOB_ENDED;
    return result->status == 0 && !result->wants_terminal && result->lost == 0 ? 0 : 1;
}
