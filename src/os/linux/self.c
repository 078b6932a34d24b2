/* SPDX-License-Identifier: MIT */
/*
 * self.c - which process and which thread this is; who else is alive; see os/self.h
 *
 * Promise    The identity of a thread is asked of the kernel once in each thread of each process,
 *            and then read from thread-local memory: a load and a comparison. A forked child never
 *            takes its parent's identity for its own.
 * Invariant  A cached identity counts only while the number that was cached with it is the one in
 *            the wiped page. The kernel has wiped the page before the child's first instruction, so
 *            there is no instant at which the old number is seen in it.
 *
 * Where no page can be wiped (before Linux 4.14, under tools, without memory) the page is an
 * ordinary one: its number stays 0, so that no cache counts, and each call asks getpid() and, when
 * that has changed, empties the page. A grandchild that has the process id of an ancestor who
 * touched the page last would be taken for it: ids are given again only after all the others.
 */
#include "os/self.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fault.h"
#include "os/clock.h"
#include "os/local.h"
#include "os/memory.h"
#include "os/stream.h"

typedef struct self_page {
    _Atomic uint64_t process; /* this process's number; 0: not known yet, or not a wiped page */
    _Atomic(void *) own[MANY_OWN_COUNT_];
} self_page;

/* In place of a page, until there is one, and where none can be wiped. */
static self_page self_none;
static struct {
    self_page page;           /* its .process stays 0 */
    _Atomic uint64_t process; /* in place of that */
    _Atomic pid_t pid;        /* whose page it is; negative: being emptied for that process */
} self_counted;

/* The one global: where the page is. Set once by compare-and-swap, the same in all children. */
static _Atomic(self_page *) self_place = &self_none;

/* Its first word once more, for many_self_is_(). */
_Atomic(const _Atomic uint64_t *) many_self_word_ = &self_none.process;

#define SELF_NO_PROCESS 1 /* no process has this number: it was born after the clock's zero */

static _Thread_local MANY_LOCAL_FAST_ struct {
    uint64_t process;
    many_identity_ identity;
} self_cache = {SELF_NO_PROCESS, 0};

/* ---- the page ---- */

/* A number that no other process has: 2^42 ns, in which no process id is given twice, and the
 * id. */
static uint64_t self_new_number(pid_t pid)
{
    return (uint64_t)many_clock_ns_() << 22 | ((uint64_t)pid & 0x3fffff);
}

static self_page *self_find_page(void)
{
    self_page *page = atomic_load_explicit(&self_place, memory_order_acquire);
    void *memory;

    if (page != &self_none)
        return page;
    if (many_memory_map_wiped_(&memory, sizeof *page) < 0)
        memory = &self_counted.page;
    if (atomic_compare_exchange_strong(&self_place, &page, memory)) {
        page = memory;
        atomic_store_explicit(&many_self_word_, &page->process, memory_order_release);
        return page;
    }
    if (memory != &self_counted.page) /* another thread was first */
        many_memory_unmap_(memory, sizeof *page);
    return page;
}

/* Without a wiped page: notice the fork. */
static uint64_t self_count(void)
{
    const pid_t mine = getpid();
    pid_t seen = atomic_load_explicit(&self_counted.pid, memory_order_acquire);

    while (seen != mine) {
        if (seen == -mine) { /* another thread is at it, for moments */
            seen = atomic_load_explicit(&self_counted.pid, memory_order_acquire);
            continue;
        }
        if (!atomic_compare_exchange_weak(&self_counted.pid, &seen, -mine))
            continue;
        for (int which = 0; which < MANY_OWN_COUNT_; which++)
            atomic_store(&self_counted.page.own[which], NULL);
        atomic_store(&self_counted.process, self_new_number(mine));
        atomic_store_explicit(&self_counted.pid, mine, memory_order_release);
        break;
    }
    return atomic_load(&self_counted.process);
}

uint64_t many_self_process_(void)
{
    self_page *page = self_find_page();
    uint64_t process = atomic_load_explicit(&page->process, memory_order_relaxed);
    uint64_t fresh;

    if (page == &self_counted.page)
        return self_count();
    if (process != 0)
        return process;
    fresh = self_new_number(getpid());
    if (atomic_compare_exchange_strong(&page->process, &process, fresh))
        return fresh;
    return process;
}

_Atomic(void *) *many_self_own_(int which)
{
    self_page *page = self_find_page();

    if (page == &self_counted.page)
        self_count();
    return &page->own[which];
}

/* ---- threads ---- */

/* path = before, number, after; 64 bytes are enough. */
static void self_path(char *path, const char *before, uint32_t number, const char *after)
{
    char digits[12];
    size_t at = sizeof digits;

    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    memcpy(path, before, strlen(before));
    path += strlen(before);
    memcpy(path, digits + at, sizeof digits - at);
    path += sizeof digits - at;
    memcpy(path, after, strlen(after) + 1);
}

/* The text of a file, at most bytes - 1 of it: 0 or a negative errno. */
static int self_read(const char *path, char *text, size_t bytes)
{
    int code = MANY_FAULT_ERROR("self.open");
    ssize_t got;
    int fd;

    if (code < 0)
        return code;
    do
        fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    fd = many_stream_lift_(fd);
    if (fd < 0)
        return -errno;
    do
        got = read(fd, text, bytes - 1);
    while (got < 0 && errno == EINTR);
    code = got < 0 ? -errno : 0;
    close(fd);
    text[got < 0 ? 0 : got] = '\0';
    return code;
}

/* The state (field 3) and the start time (field 22) of proc_pid_stat(5). 0 or a negative errno. */
static int self_stat(const char *path, char *state, uint32_t *start)
{
    char text[768]; /* a name of 64 bytes and 51 numbers: what we want is in the first half */
    uint64_t ticks = 0;
    const char *at;
    int code = self_read(path, text, sizeof text);

    if (code < 0)
        return code;
    at = strrchr(text, ')'); /* the name may hold anything, the numbers after it do not */
    if (at == NULL || at[1] != ' ' || at[2] == '\0')
        return -EIO;
    *state = at[2];
    for (int field = 2; field < 22 && at != NULL; field++)
        at = strchr(at + 1, ' ');
    if (at == NULL || at[1] < '0' || at[1] > '9')
        return -EIO;
    for (at++; *at >= '0' && *at <= '9'; at++)
        ticks = ticks * 10 + (uint64_t)(*at - '0');
    *start = (uint32_t)ticks == 0 ? 1 : (uint32_t)ticks;
    return 0;
}

static int self_stat_of(uint32_t thread, char *state, uint32_t *start)
{
    char path[64];

    /* A thread that leads no process has no entry in the listing of /proc, but can be looked up. */
    self_path(path, "/proc/", thread, "/stat");
    return self_stat(path, state, start);
}

/*
 * The start time of the calling thread, 0: unknown. Asked by way of "self", which is the reader in
 * the numbers of whoever mounted /proc: where that was done outside our PID namespace (a container
 * or sandbox that kept the host's), the number that we have is that of a stranger there, and is not
 * found among our own threads.
 */
static uint32_t self_start(uint32_t thread)
{
    char path[64], state;
    uint32_t start;

    self_path(path, "/proc/self/task/", thread, "/stat");
    return self_stat(path, &state, &start) < 0 ? 0 : start;
}

/* Is /proc there, and does it know threads by the numbers that we know them by? */
static int self_sees_proc(void)
{
    const many_identity_ me = many_self_();

    return me >> 32 != 0 || self_start((uint32_t)(me & MANY_IDENTITY_THREAD_)) != 0;
}

static MANY_SELDOM_ many_identity_ self_ask(void)
{
    const int saved = errno;
    uint64_t process;
    many_identity_ identity;

    do {
        uint32_t thread;

        process = many_self_process_();
        thread = (uint32_t)syscall(SYS_gettid);
        identity = (uint64_t)self_start(thread) << 32 | thread;
        /* A signal handler may have forked since, and this be the child. */
    } while (process != many_self_process_());
    self_cache.identity = identity;
    atomic_signal_fence(memory_order_release); /* the handler of a signal reads them, too */
    self_cache.process = process;
    errno = saved;
    return identity;
}

many_identity_ many_self_(void)
{
    const self_page *page = atomic_load_explicit(&self_place, memory_order_acquire);

    if (MANY_LIKELY_(atomic_load_explicit(&page->process, memory_order_relaxed) ==
                     self_cache.process))
        return self_cache.identity;
    if (page == &self_counted.page && self_count() == self_cache.process)
        return self_cache.identity;
    return self_ask();
}

/* Without /proc, with one of other numbers, without a descriptor to read it with, or where it hides
 * others' processes. */
static int self_unknown(uint32_t thread)
{
    return kill((pid_t)thread, 0) < 0 && errno == ESRCH;
}

int many_self_gone_(many_identity_ identity)
{
    const uint32_t thread = (uint32_t)(identity & MANY_IDENTITY_THREAD_);
    const uint32_t since = (uint32_t)(identity >> 32);
    const int saved = errno;
    uint32_t start;
    char state;
    int gone;

    if (thread == 0)
        return 1;
    if (self_sees_proc() && self_stat_of(thread, &state, &start) == 0)
        gone = state == 'Z' || state == 'X' || state == 'x' || (since != 0 && start != since);
    else
        gone = self_unknown(thread);
    errno = saved;
    return gone;
}

many_identity_ many_self_of_(int pid)
{
    const int saved = errno;
    many_identity_ identity = 0;
    uint32_t start = 0;
    char state = '?';

    if (pid <= 0)
        return 0;
    if (self_sees_proc() && self_stat_of((uint32_t)pid, &state, &start) == 0) {
        if (state != 'Z' && state != 'X' && state != 'x')
            identity = (uint64_t)start << 32 | (uint32_t)pid;
    } else if (!self_unknown((uint32_t)pid)) {
        identity = (uint32_t)pid;
    }
    errno = saved;
    return identity;
}

void many_self_name_(many_identity_ identity, char name[MANY_NAME_BYTES_])
{
    const int saved = errno;
    char path[64];

    self_path(path, "/proc/", (uint32_t)(identity & MANY_IDENTITY_THREAD_), "/comm");
    if (many_self_gone_(identity) || !self_sees_proc() ||
        self_read(path, name, MANY_NAME_BYTES_) < 0)
        memcpy(name, "?", sizeof "?");
    name[strcspn(name, "\n")] = '\0';
    errno = saved;
}
