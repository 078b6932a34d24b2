/* SPDX-License-Identifier: MIT */
/*
 * process_map.c - the supervisor of a map over arrays in processes: fork, watch, balance, replace
 *
 * The thread that called the map does all of it; it sleeps in one poll. Only it moves ranges from
 * worker to worker, so that no thief can die with its loot: a worker that runs dry asks, and gets
 * half of the richest word. What a dead worker had not begun stays in its word, which its successor
 * takes over, and which others are helped from.
 *
 * Every item of the round is, at every instant, in exactly one of: a word, an open chunk, the done
 * counts. When it is over the counts and what is left in the words must add up to all.
 */
#include "map/process_map.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "bar/stages.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/process.h"
#include "map/map.h"
#include "task/seat.h"

/* A range that its owner would work off in this time is not worth a hand-over (two wake-ups). */
#define PROCESS_WORTH_NS (20 * MANY_MICROSECOND_NS)

/* ... but if it is still there after this time, its items are longer than they were, and it is. */
#define PROCESS_AGAIN_NS MANY_MILLISECOND_NS

/* The richest word, in items; NULL if all are empty. */
static many_record_ *process_richest(const many_shared_map_ *map, int workers)
{
    many_record_ *richest = NULL;
    uint64_t most = 0;

    for (int w = 0; w < workers; w++) {
        many_record_ *record = &map->records[w];
        uint64_t left = many_range_left_(atomic_load_explicit(&record->word, memory_order_relaxed));

        if (left > most) {
            most = left;
            richest = record;
        }
    }
    return richest;
}

static int process_is_worth_it(const many_record_ *record)
{
    uint64_t left = many_range_left_(atomic_load_explicit(&record->word, memory_order_relaxed));

    return left * atomic_load_explicit(&record->item_ns, memory_order_relaxed) >= PROCESS_WORTH_NS;
}

static void process_tell(many_record_ *record, uint32_t idle)
{
    /* Release: the word is filled before. */
    atomic_store_explicit(&record->idle, idle, memory_order_release);
    many_futex_wake_(&record->idle, INT_MAX);
}

/*
 * Give those who ask something to do. again: what was not worth it has been lying about for a while
 * now. Returns how many living workers have nothing to do.
 */
static int process_serve(many_supervisor_ *supervisor, int again)
{
    const many_shared_map_ *map = &supervisor->map;
    const int workers = supervisor->call->workers;
    uint32_t hungry = 0;
    int idle = 0;

    for (int w = 0; w < workers; w++) {
        many_record_ *record = &map->records[w], *richest;
        uint32_t begin, end;

        if (supervisor->crew.child[w].pid == 0 ||
            atomic_load_explicit(&record->idle, memory_order_acquire) != MANY_ASKS_)
            continue;
        richest = process_richest(map, workers);
        if (richest != NULL &&
            (again || supervisor->crew.child[richest - map->records].pid == 0 ||
             process_is_worth_it(richest)) &&
            many_record_cut_(richest, &begin, &end)) {
            many_record_fill_(record, begin, end);
            process_tell(record, MANY_WORKS_);
            continue;
        }
        idle++;
        hungry = MANY_ATTENTION_HUNGRY_;
    }
    if (hungry != 0)
        atomic_fetch_or_explicit(&map->head->attention, hungry, memory_order_relaxed);
    else
        atomic_fetch_and_explicit(&map->head->attention, ~MANY_ATTENTION_HUNGRY_,
                                  memory_order_relaxed);
    return idle;
}

static int process_any_left(const many_supervisor_ *supervisor)
{
    return process_richest(&supervisor->map, supervisor->call->workers) != NULL;
}

/* Fork worker w. 1 if there is one now; 0 or a negative code if not. In the child it does not
 * return. */
static int process_hire(many_supervisor_ *supervisor, int w)
{
    int code = many_child_fork_(&supervisor->crew.child[w]);

    supervisor->crew.watch[w].state = 0;
    if (code == 0) {
        many_crew_forget_(&supervisor->crew);
        many_stage_child_();
        many_shared_work_(&supervisor->map, w);
    }
    return code;
}

/* Workers for all places that have something to do. Fewer than wanted are enough; none is a
 * failure. */
static void process_staff(many_supervisor_ *supervisor)
{
    const many_call_ *call = supervisor->call;
    int code = 1;

    for (int w = 0; w < call->workers && code > 0; w++)
        if (supervisor->crew.child[w].pid == 0 && process_any_left(supervisor))
            code = process_hire(supervisor, w);
    if (code < 0 && many_crew_living_(&supervisor->crew) == 0)
        supervisor->reason = many_fail(
            code, "%s: no worker process could be made (%s): fewer .workers, or raise ulimit -u",
            call->function, many_error_name(code));
}

/* See who is dead, and settle it; wait: until all are. Returns how many did not leave by
 * themselves. */
static int process_bury(many_supervisor_ *supervisor, int wait)
{
    int lost = 0;

    for (int w = 0; w < supervisor->call->workers; w++) {
        many_child_ *child = &supervisor->crew.child[w];
        many_ending_ ending;
        pid_t pid = child->pid;

        if (pid == 0 || !many_child_ended_(child, wait, &ending))
            continue;
        lost += atomic_load_explicit(&supervisor->map.records[w].idle, memory_order_acquire) !=
                MANY_LEAVES_;
        many_recover_(supervisor, w, pid, &ending);
    }
    return lost;
}

/* Tries that are over their limit are condemned, and their workers killed; never the next item's
 * worker. */
static void process_limit(many_supervisor_ *supervisor)
{
    const many_call_ *call = supervisor->call;
    int64_t now = many_clock_ns_();

    if (call->limit_ns == 0)
        return;
    for (int w = 0; w < call->workers; w++)
        if (supervisor->crew.child[w].pid != 0 &&
            many_watch_look_(&supervisor->crew.watch[w], &supervisor->map.records[w].state, now,
                             call->limit_ns))
            many_child_kill_(&supervisor->crew.child[w]);
}

static void process_show(many_supervisor_ *supervisor)
{
    uint64_t done = supervisor->done, failed = supervisor->failed;

    if (supervisor->progress.bar == NULL)
        return;
    for (int w = 0; w < supervisor->call->workers; w++) {
        const many_record_ *record = &supervisor->map.records[w];

        done += many_record_progress_(record);
        failed += many_record_failures_(record);
    }
    many_progress_show_(&supervisor->progress, done, failed);
}

/* Is work lying about that somebody who waits, or a place that is empty, could do? */
static int process_lies_about(const many_supervisor_ *supervisor, int idle)
{
    return (idle > 0 || many_crew_living_(&supervisor->crew) < supervisor->call->workers) &&
           process_any_left(supervisor);
}

/* When to wake without an event; look_ns: to look again at work that lies about, or 0. */
static int64_t process_deadline(const many_supervisor_ *supervisor, int64_t look_ns)
{
    int64_t deadline = many_progress_due_ns_(&supervisor->progress);
    int64_t limit_ns = supervisor->call->limit_ns;

    if (look_ns != 0 && deadline > look_ns)
        deadline = look_ns;
    if (limit_ns > 0) {
        int64_t look = many_clock_ns_() + many_watch_period_ns_(limit_ns);

        deadline = deadline > look ? look : deadline;
    }
    return deadline;
}

/* There is nothing more to do: the workers leave by themselves. */
static void process_dismiss(many_supervisor_ *supervisor)
{
    for (int w = 0; w < supervisor->call->workers; w++)
        if (supervisor->crew.child[w].pid != 0)
            process_tell(&supervisor->map.records[w], MANY_GO_HOME_);
}

/* Watch over the workers until every item has its outcome, or the map is to end. */
static void process_watch(many_supervisor_ *supervisor)
{
    const many_shared_map_ *map = &supervisor->map;
    int idle = 0, dismissed = 0;
    int64_t look_ns = 0;

    if (!many_cancel_is_set(supervisor->call->option.cancel)) /* else the first look ends it */
        process_staff(supervisor);
    while (supervisor->reason == 0) {
        int lost = 0, again;
        unsigned saw;

        if (many_crew_living_(&supervisor->crew) == 0 && !process_any_left(supervisor))
            return;
        if (!process_lies_about(supervisor, idle))
            look_ns = 0;
        else if (look_ns == 0)
            look_ns = many_clock_ns_() + PROCESS_AGAIN_NS;
        saw = many_crew_wait_(&supervisor->crew, -1, process_deadline(supervisor, look_ns));
        if ((saw & MANY_SAW_CANCEL_) != 0) {
            supervisor->reason =
                many_fail(-ECANCELED, "%s: cancelled by .cancel", supervisor->call->function);
            return;
        }
        if ((saw & MANY_SAW_DEATH_) != 0)
            lost = process_bury(supervisor, 0);
        if ((atomic_load_explicit(&map->head->attention, memory_order_acquire) &
             MANY_ATTENTION_STOP_) != 0)
            return;
        again = look_ns != 0 && many_clock_ns_() >= look_ns;
        if (again)
            look_ns = 0;
        if (!dismissed && (again || lost > 0 || many_crew_living_(&supervisor->crew) == 0))
            process_staff(supervisor);
        idle = dismissed ? 0 : process_serve(supervisor, again);
        if (!dismissed && idle > 0 && idle == many_crew_living_(&supervisor->crew) &&
            !process_any_left(supervisor)) {
            process_dismiss(supervisor);
            dismissed = 1;
        }
        process_limit(supervisor);
        process_show(supervisor);
    }
}

/* The codes and late results of this round, for the caller. */
static void process_hand_over(const many_supervisor_ *supervisor, uint64_t failed)
{
    const many_shared_map_ *map = &supervisor->map;
    const many_call_ *call = supervisor->call;
    int *codes = call->option.codes;

    if (atomic_load_explicit(&map->head->area_used, memory_order_acquire))
        for (uint32_t i = 0; i < map->n; i++)
            if (map->marks[i])
                memcpy(call->out + (map->first + i) * call->out_bytes,
                       map->area + (size_t)i * call->out_bytes, call->out_bytes);
    if (codes == NULL)
        return;
    codes += map->first;
    if (failed > 0)
        memcpy(codes, map->codes, map->n * sizeof *codes);
    else
        memset(codes, 0, map->n * sizeof *codes);
    for (int w = 0; w < call->workers; w++) {
        uint64_t word = atomic_load_explicit(&map->records[w].word, memory_order_relaxed);

        for (uint32_t i = many_range_begin_(word); i < many_range_end_(word); i++)
            codes[i] = -ECANCELED;
    }
}

/* One round: as many items as one shared mapping serves. Returns 1 to go on with the next. */
static int process_round(many_supervisor_ *supervisor)
{
    many_shared_map_ *map = &supervisor->map;
    const int workers = supervisor->call->workers;
    uint64_t done = 0, failed = 0, left = 0;

    for (int w = 0; w < workers; w++)
        many_record_fill_(&map->records[w],
                          (uint32_t)((uint64_t)map->n * (uint64_t)w / (uint64_t)workers),
                          (uint32_t)((uint64_t)map->n * ((uint64_t)w + 1) / (uint64_t)workers));
    process_watch(supervisor);
    supervisor->cutting = 1;
    many_crew_kill_(&supervisor->crew);
    process_bury(supervisor, 1);
    process_show(supervisor);
    for (int w = 0; w < workers; w++) {
        const many_record_ *record = &map->records[w];
        uint64_t closed = atomic_load_explicit(&record->closed, memory_order_relaxed);

        done += many_closed_done_(closed);
        failed += many_closed_failed_(closed);
        left += many_range_left_(atomic_load_explicit(&record->word, memory_order_relaxed));
    }
    many_first_gather_(&supervisor->first, map->records, workers);
    process_hand_over(supervisor, failed);
    supervisor->done += done;
    supervisor->failed += failed;
    if (done + left != map->n && supervisor->reason == 0)
        supervisor->reason = many_fail(
            -EBADMSG, "%s: %llu of %lu items are accounted for: the shared memory was overwritten",
            supervisor->call->function, (unsigned long long)(done + left), (unsigned long)map->n);
    return supervisor->reason == 0 && left == 0 &&
           (failed == 0 || supervisor->call->option.on_error == MANY_GO_ON);
}

int many_map_in_processes_(const many_call_ *call)
{
    many_supervisor_ supervisor;
    uint64_t next = 0;
    int code, going = 1;

    memset(&supervisor, 0, sizeof supervisor);
    supervisor.call = call;
    code = many_crew_open_(&supervisor.crew, call->function, call->workers, call->option.cancel);
    if (code < 0)
        return code;
    code = many_progress_open_(&supervisor.progress, call, call->option.n);
    if (code < 0) {
        many_crew_close_(&supervisor.crew);
        return code;
    }
    supervisor.map.call = call;
    supervisor.map.parent = getpid();
    supervisor.map.bell = supervisor.crew.bell;
    while (going && next < call->option.n) {
        supervisor.cutting = 0;
        supervisor.reason = many_shared_open_(&supervisor.map, next);
        if (supervisor.reason < 0)
            break;
        going = process_round(&supervisor);
        next += supervisor.map.n;
        many_shared_close_(&supervisor.map);
    }
    if (call->option.codes != NULL)
        for (uint64_t i = next; i < call->option.n; i++)
            call->option.codes[i] = -ECANCELED;
    many_progress_close_(&supervisor.progress);
    many_crew_close_(&supervisor.crew);
    return many_first_return_(&supervisor.first, call, supervisor.failed, supervisor.reason);
}
