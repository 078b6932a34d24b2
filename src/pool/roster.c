/* SPDX-License-Identifier: MIT */
/* roster.c - the page that tells what a pool is doing; see pool/roster.h */
#include "pool/roster.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/text.h"
#include "os/clock.h"

/* So often a reader looks again at a line that changes under its eyes. A change takes some
 * nanoseconds; a writer that is not through by then is stopped or dead. */
#define ROSTER_LOOKS 1000

/* A line's numbers as a reader has got them. */
typedef struct roster_line {
    uint32_t depth;
    uint64_t task;
    int64_t since_ns;
    uint64_t waits_for;
    int32_t waits, waits_for_worker;
    char name[MANY_ROSTER_NAME_BYTES_];
    char waits_for_name[MANY_ROSTER_NAME_BYTES_];
} roster_line;

/* ---- writing ---- */

void many_roster_begin_(many_roster_ *roster, int kind, int workers, const char *name)
{
    many_text_ text;

    roster->version = MANY_ROSTER_VERSION_;
    roster->kind = kind;
    roster->pid = getpid();
    roster->workers = workers;
    many_text_begin_(&text, roster->name, sizeof roster->name);
    many_text_add_(&text, name);
    for (int w = 0; w < workers; w++)
        atomic_store_explicit(&roster->place[w].waits_for_worker, -1, memory_order_relaxed);
    /* Pairs with the acquire in many_roster_check_(). */
    atomic_store_explicit(&roster->magic, MANY_ROSTER_MAGIC_, memory_order_release);
}

static void roster_write_name(many_roster_name_ *place, const char *name)
{
    uint64_t words[MANY_ROSTER_NAME_BYTES_ / 8] = {0};
    size_t length = 0;

    if (name == NULL || *name == '\0') {
        atomic_store_explicit(&place->word[0], 0, memory_order_relaxed);
        return;
    }
    length = strnlen(name, MANY_ROSTER_NAME_BYTES_ - 1);
    memcpy(words, name, length);
    for (size_t i = 0; i <= length / 8; i++)
        atomic_store_explicit(&place->word[i], words[i], memory_order_relaxed);
}

/* The version to end the change with. A predecessor may have died and left it odd. */
static uint32_t roster_change(many_roster_place_ *place)
{
    const uint32_t odd = atomic_load_explicit(&place->version, memory_order_relaxed) | 1U;

    atomic_store_explicit(&place->version, odd, memory_order_relaxed);
    /* The change is not seen before the version is odd; pairs with the fence in
     * roster_read_line(). */
    atomic_thread_fence(memory_order_release);
    return odd + 1;
}

static void roster_changed(many_roster_place_ *place, uint32_t version)
{
    MANY_FAULT_POINT("roster.changing");
    /* Pairs with the acquire in roster_read_line(). */
    atomic_store_explicit(&place->version, version, memory_order_release);
}

/* The worker may be at its first task by now: its line is not touched. */
void many_roster_arrive_(many_roster_place_ *place, int pid, int thread)
{
    atomic_store_explicit(&place->thread, thread, memory_order_relaxed);
    atomic_store_explicit(&place->pid, pid, memory_order_relaxed);
}

void many_roster_leave_(many_roster_place_ *place)
{
    const uint32_t version = roster_change(place);

    atomic_store_explicit(&place->depth, 0, memory_order_relaxed);
    atomic_store_explicit(&place->waits, 0, memory_order_relaxed);
    atomic_store_explicit(&place->pid, 0, memory_order_relaxed);
    atomic_store_explicit(&place->thread, 0, memory_order_relaxed);
    roster_changed(place, version);
}

void many_roster_mend_(many_roster_place_ *place)
{
    const uint64_t begun = atomic_load_explicit(&place->begun, memory_order_relaxed);
    const uint64_t failed = atomic_load_explicit(&place->failed, memory_order_relaxed);
    const uint64_t over = atomic_load_explicit(&place->done, memory_order_relaxed) + failed +
                          atomic_load_explicit(&place->cancelled, memory_order_relaxed);

    /* A task that was put back before it was counted leaves one too few. */
    if ((int64_t)(begun - over) > 0)
        atomic_store_explicit(&place->failed, failed + (begun - over), memory_order_relaxed);
    else
        atomic_store_explicit(&place->begun, over, memory_order_relaxed);
}

void many_roster_task_(many_roster_place_ *place, uint64_t task, const char *name, int64_t now_ns)
{
    uint32_t version;

    /* What was the task's is not read at depth 0; the next change of version is early enough. */
    if (now_ns == 0) {
        atomic_store_explicit(&place->depth, 0, memory_order_relaxed);
        return;
    }
    version = roster_change(place);
    atomic_store_explicit(&place->task, task, memory_order_relaxed);
    atomic_store_explicit(&place->since_ns, now_ns, memory_order_relaxed);
    atomic_store_explicit(&place->waits, 0, memory_order_relaxed);
    roster_write_name(&place->name, name);
    atomic_store_explicit(&place->depth, 1, memory_order_relaxed);
    roster_changed(place, version);
}

void many_roster_wait_(many_roster_place_ *place, int waits, uint64_t task, const char *name,
                       int worker)
{
    const uint32_t version = roster_change(place);

    if (waits) {
        atomic_store_explicit(&place->waits_for, task, memory_order_relaxed);
        atomic_store_explicit(&place->waits_for_worker, worker, memory_order_relaxed);
        roster_write_name(&place->waits_for_name, name);
    }
    atomic_store_explicit(&place->waits, waits != 0, memory_order_relaxed);
    roster_changed(place, version);
}

/* ---- reading ---- */

static void roster_read_name(const many_roster_name_ *place,
                             char name[static MANY_ROSTER_NAME_BYTES_])
{
    for (size_t i = 0; i < MANY_ROSTER_NAME_BYTES_ / 8; i++) {
        const uint64_t word = atomic_load_explicit(&place->word[i], memory_order_relaxed);

        memcpy(name + 8 * i, &word, sizeof word);
    }
    name[MANY_ROSTER_NAME_BYTES_ - 1] = '\0';
    /* What stood behind it is of older names. */
    memset(name + strlen(name), 0, MANY_ROSTER_NAME_BYTES_ - strlen(name));
}

/* 1: all of line belongs together; 0: its writer does not get through, and line is only what
 * there was. */
static int roster_read_line(const many_roster_place_ *place, roster_line *line)
{
    for (int looks = 0; looks < ROSTER_LOOKS; looks++) {
        /* Pairs with roster_changed(). */
        const uint32_t version = atomic_load_explicit(&place->version, memory_order_acquire);

        line->depth = atomic_load_explicit(&place->depth, memory_order_relaxed);
        line->task = atomic_load_explicit(&place->task, memory_order_relaxed);
        line->since_ns = atomic_load_explicit(&place->since_ns, memory_order_relaxed);
        line->waits = atomic_load_explicit(&place->waits, memory_order_relaxed);
        line->waits_for = atomic_load_explicit(&place->waits_for, memory_order_relaxed);
        line->waits_for_worker =
            atomic_load_explicit(&place->waits_for_worker, memory_order_relaxed);
        roster_read_name(&place->name, line->name);
        roster_read_name(&place->waits_for_name, line->waits_for_name);
        /* Pairs with the fence in roster_change(). */
        atomic_thread_fence(memory_order_acquire);
        if ((version & 1U) == 0 &&
            atomic_load_explicit(&place->version, memory_order_relaxed) == version)
            return 1;
        many_pause_();
    }
    return 0;
}

/* A name, or "task 17". */
static void roster_say_name(char name[static MANY_ROSTER_NAME_BYTES_], const char *given,
                            uint64_t task)
{
    many_text_ text;

    many_text_begin_(&text, name, MANY_ROSTER_NAME_BYTES_);
    if (*given != '\0') {
        many_text_add_(&text, given);
        return;
    }
    many_text_add_(&text, "task ");
    many_text_add_count_(&text, task);
}

static void roster_read_worker(const many_roster_place_ *place, int workers, int index,
                               int64_t now_ns, many_worker_status *worker)
{
    roster_line line;
    int whole;

    memset(worker, 0, sizeof *worker);
    worker->index = index;
    worker->waits_for_worker = -1;
    worker->pid = atomic_load_explicit(&place->pid, memory_order_relaxed);
    worker->thread = atomic_load_explicit(&place->thread, memory_order_relaxed);
    worker->tasks = atomic_load_explicit(&place->done, memory_order_relaxed) +
                    atomic_load_explicit(&place->failed, memory_order_relaxed) +
                    atomic_load_explicit(&place->cancelled, memory_order_relaxed);
    if (worker->pid <= 0 || worker->thread < 0)
        worker->pid = worker->thread = 0;
    whole = roster_read_line(place, &line);
    if (worker->pid == 0 || line.depth == 0)
        return;
    worker->depth = line.depth <= INT32_MAX ? (int32_t)line.depth : INT32_MAX;
    if (!whole) {
        /* It died, or was stopped, as it began or ended something: this much is known. */
        memcpy(worker->name, "?", 2);
        return;
    }
    worker->task = line.task;
    roster_say_name(worker->name, line.name, line.task);
    if (line.since_ns > 0 && line.since_ns < now_ns)
        worker->seconds = (double)(now_ns - line.since_ns) / (double)MANY_SECOND_NS;
    if (line.waits == 0)
        return;
    worker->waits = 1;
    worker->waits_for = line.waits_for;
    if (line.waits_for_worker >= 0 && line.waits_for_worker < workers)
        worker->waits_for_worker = line.waits_for_worker;
    roster_say_name(worker->waits_for_name, line.waits_for_name, line.waits_for);
}

/* a - b, where both moved on while they were read, one after the other. */
static uint64_t roster_rest(uint64_t a, uint64_t b)
{
    return a > b && a - b <= INT64_MAX ? a - b : 0;
}

/*
 * The sums. Ends are read before beginnings, and these before submissions, so that what moves on in
 * between makes tasks wait or run a moment longer, and does not make fewer than none.
 */
static void roster_read_sums(const many_roster_ *roster, int workers, many_pool_status *status)
{
    const uint64_t cancelled = atomic_load_explicit(&roster->cancelled, memory_order_acquire);
    const uint64_t lost = atomic_load_explicit(&roster->lost, memory_order_acquire);
    /* As many_roster_submitted_(), with the number of workers that was checked. */
    const char *behind = (const char *)(roster->place + workers);
    uint64_t begun = 0, submitted = 0, broken_off = 0;

    status->replaced = atomic_load_explicit(&roster->replaced, memory_order_relaxed);
    status->died = atomic_load_explicit(&roster->died, memory_order_relaxed);
    for (int w = 0; w < workers; w++) {
        const many_roster_place_ *place = &roster->place[w];

        status->done += atomic_load_explicit(&place->done, memory_order_acquire);
        status->failed += atomic_load_explicit(&place->failed, memory_order_acquire);
        broken_off += atomic_load_explicit(&place->cancelled, memory_order_acquire);
        status->alive += atomic_load_explicit(&place->pid, memory_order_relaxed) > 0;
    }
    for (int w = 0; w < workers; w++)
        begun += atomic_load_explicit(&roster->place[w].begun, memory_order_acquire);
    for (int w = 0; w < workers; w++)
        submitted += atomic_load_explicit(
            (const _Atomic uint64_t *)(const void *)(behind + (size_t)w * MANY_CACHE_LINE),
            memory_order_acquire);
    submitted += atomic_load_explicit(&roster->submitted, memory_order_acquire);
    status->failed += lost;
    status->cancelled = cancelled + broken_off;
    status->running = roster_rest(begun, status->done + status->failed + broken_off);
    status->waiting = roster_rest(submitted, begun + cancelled);
}

static void roster_read_status(const many_roster_ *roster, int workers, many_pool_status *status)
{
    memset(status, 0, sizeof *status);
    memcpy(status->name, roster->name, sizeof status->name);
    status->name[sizeof status->name - 1] = '\0';
    memset(status->name + strlen(status->name), 0, sizeof status->name - strlen(status->name));
    status->kind = roster->kind;
    status->workers = workers;
    status->pid = roster->pid;
    status->finished = atomic_load_explicit(&roster->finished, memory_order_relaxed) != 0;
    status->broken = atomic_load_explicit(&roster->broken, memory_order_relaxed);
    if (status->broken > 0 || status->broken < -65535)
        status->broken = -MANY_EBROKEN;
    roster_read_sums(roster, workers, status);
}

int many_roster_check_(const many_roster_ *roster)
{
    int workers;

    /* Pairs with the release in many_roster_begin_(). */
    if (atomic_load_explicit(&roster->magic, memory_order_acquire) != MANY_ROSTER_MAGIC_ ||
        roster->version != MANY_ROSTER_VERSION_ || roster->pid <= 0 ||
        (roster->kind != MANY_THREADS && roster->kind != MANY_PROCESSES))
        return -EBADMSG;
    workers = *(const volatile int32_t *)&roster->workers; /* once: it may change at any time */
    return workers > 0 && workers <= MANY_ROSTER_WORKERS_MOST_ ? workers : -EBADMSG;
}

ssize_t many_roster_read_(const many_roster_ *roster, size_t bytes, many_pool_status *status,
                          many_worker_status *workers, size_t room)
{
    const int64_t now_ns = many_clock_ns_();
    int count;

    if (bytes < sizeof *roster)
        return -EBADMSG;
    count = many_roster_check_(roster);
    if (count < 0 || bytes < many_roster_bytes_(count))
        return -EBADMSG;
    if (atomic_load_explicit(&roster->closed, memory_order_relaxed) != 0)
        return -ENOENT;
    if (status != NULL)
        roster_read_status(roster, count, status);
    for (int w = 0; w < count && workers != NULL && (size_t)w < room; w++)
        roster_read_worker(&roster->place[w], count, w, now_ns, &workers[w]);
    return count;
}
