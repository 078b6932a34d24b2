/* SPDX-License-Identifier: MIT */
/*
 * stream.c - a map over a source, or with .on_result: the supervisor of a window of slots
 *
 * One loop in the caller's thread: hand outcomes out, pull items into the slots that became free,
 * sleep. It calls the source, and on_result, and nobody else does. The same for threads and
 * processes; a worker is only made when there is an item for it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bar/stages.h"
#include "os/clock.h"
#include "os/process.h"
#include "os/stream.h"
#include "os/thread.h"
#include "map/crew.h"
#include "map/first.h"
#include "map/map.h"
#include "map/progress.h"
#include "map/run.h"
#include "map/slots.h"
#include "task/cause.h"

/* Slots if the caller does not say: some for each worker, so that it finds the next item at once.
 */
#define STREAM_WINDOW            64
#define STREAM_WINDOW_PER_WORKER 8

/* After an outcome the next ones are waited for so long without a bell. */
#define STREAM_NAP_NS (2 * MANY_MILLISECOND_NS)

/* A source that says "not now", and has no descriptor, is asked again after so long. */
#define STREAM_ASK_NS (10 * MANY_MILLISECOND_NS)

/* So many deaths in a row of workers that had begun nothing: no work is done here. */
#define STREAM_BARREN_MOST 1000

typedef struct stream_place {
    struct stream_map *stream;
    pthread_t thread;
    int worker;
} stream_place;

typedef struct stream_map {
    const many_call_ *call;
    many_slots_ slots;
    many_crew_ crew;
    many_progress_ progress;
    many_first_ first;
    stream_place *places;
    int hired;                        /* threads started, or places that were ever staffed */
    uint64_t pulled;                  /* items taken from the source */
    uint64_t delivered;               /* outcomes handed out */
    uint64_t failed;                  /* of them */
    uint64_t cancelled;               /* of them; neither failed nor done */
    uint32_t fill_from, collect_from; /* where to look for a free or a done slot first */
    uint32_t barren;                  /* deaths in a row that nothing was delivered between */
    uint64_t barren_delivered;        /* at the last of them */
    int dismissed;                    /* there is nothing more to do: workers leave */
    int ended;                        /* the source has no more */
    int starved;                      /* the source has none now */
    int stop; /* the map ends early; reason says why, if it is not a failed item */
    int reason;
} stream_map;

static void *stream_thread(void *argument)
{
    stream_place *place = argument;

    many_slots_work_(&place->stream->slots, place->worker);
    many_bell_ring_(place->stream->crew.bell);
    return NULL;
}

/* Make worker w. 0 or a negative code. */
static int stream_hire(stream_map *stream, int w)
{
    int code;

    if (!stream->call->processes) {
        stream->places[w] = (stream_place){.stream = stream, .worker = w};
        return many_thread_start_(&stream->places[w].thread, stream_thread, &stream->places[w]);
    }
    code = many_child_fork_(&stream->crew.child[w]);
    stream->crew.watch[w].state = 0;
    if (code != 0)
        return code < 0 ? code : 0;
    many_crew_forget_(&stream->crew);
    many_stage_child_();
    many_slots_work_(&stream->slots, w);
    many_bell_ring_(stream->crew.bell);
    many_stage_exit_();
    many_child_exit_(0);
}

/* One worker more for what was just filled, if there may be one more. None at all is a failure. */
static void stream_staff(stream_map *stream)
{
    const char *what = stream->call->processes ? "process" : "thread";
    int code = 0, working = stream->hired, w = stream->hired;

    if (stream->call->processes) {
        working = many_crew_living_(&stream->crew);
        for (w = 0; w < stream->call->workers && stream->crew.child[w].pid != 0;)
            w++;
    }
    if (w >= stream->call->workers)
        return;
    code = stream_hire(stream, w);
    if (code == 0) {
        stream->hired = w >= stream->hired ? w + 1 : stream->hired;
    } else if (working == 0) {
        stream->stop = 1;
        stream->reason = many_fail(
            code, "%s: no worker %s could be made (%s): fewer .workers, or raise ulimit -u",
            stream->call->function, what, many_error_name(code));
    }
}

/* The outcome in slot s is whole: hand it out, and free the slot. */
static void stream_deliver(stream_map *stream, uint32_t s)
{
    const many_call_ *call = stream->call;
    many_slot_ *slot = many_slot_at_(&stream->slots, s);
    const void *result = many_slot_result_(&stream->slots, s);
    const void *zip[MANY_INPUTS_MOST_];
    many_outcome outcome = {.index = (size_t)slot->index, .code = slot->code, .result = result};

    if (call->option.codes != NULL)
        call->option.codes[slot->index] = slot->code;
    if (slot->code == 0 && call->out != NULL)
        memcpy(call->out + slot->index * call->out_bytes, result, call->out_bytes);
    if (slot->code != 0) {
        outcome.cause = many_slot_cause_(&stream->slots, s);
        if (!slot->cancelled) {
            stream->failed++;
            many_first_keep_(&stream->first, slot->failure_ns, outcome.cause);
            if (call->option.on_error == MANY_STOP)
                stream->stop = 1;
        }
    }
    stream->delivered++;
    stream->cancelled += slot->cancelled;
    if (call->option.on_result != NULL) {
        int code;

        outcome.item = call->option.next != NULL ? slot->item : many_call_item_(call, slot->index);
        if (call->option.inputs != NULL) {
            many_call_zip_(call, slot->index, zip);
            outcome.item = zip;
        }
        code = call->option.on_result(&outcome, call->option.on_result_context);
        if (code != 0 && stream->reason == 0) {
            stream->stop = 1;
            stream->reason = code < 0 ? code : -ECANCELED;
            many_fail(stream->reason, "%s: .on_result ended it at item %llu with %d",
                      call->function, (unsigned long long)slot->index, code);
        }
    }
    atomic_store_explicit(&stream->slots.status[s], MANY_SLOT_FREE_, memory_order_relaxed);
}

/* Hand out what is done. Returns how many. */
static uint32_t stream_collect(stream_map *stream)
{
    const uint32_t window = stream->slots.window, from = stream->collect_from;
    uint32_t count = 0;

    for (uint32_t k = 0; k < window; k++) {
        uint32_t s = (from + k) % window;

        if (atomic_load_explicit(&stream->slots.status[s], memory_order_seq_cst) != MANY_SLOT_DONE_)
            continue;
        stream_deliver(stream, s);
        stream->collect_from = (s + 1) % window;
        count++;
    }
    return count;
}

/* Ask the source for one item, into slot s. 1 if there is one. */
static int stream_pull(stream_map *stream, uint32_t s)
{
    const many_call_ *call = stream->call;
    many_slot_ *slot = many_slot_at_(&stream->slots, s);
    int code = 1;

    if (call->option.n > 0 && stream->pulled == call->option.n)
        code = 0;
    else if (call->option.next != NULL)
        code = call->option.next(slot->item, call->option.next_context);
    else if (call->option.n == 0)
        code = 0;
    if (code == 1) {
        slot->index = stream->pulled++;
        slot->code = 0;
        slot->tries = 0;
        slot->cancelled = 0;
        if (call->out_bytes > 0)
            memset(many_slot_result_(&stream->slots, s), 0, call->out_bytes);
        return 1;
    }
    if (code == -EAGAIN) {
        stream->starved = 1;
        return 0;
    }
    stream->ended = 1;
    if (code != 0)
        stream->reason =
            many_fail(code < 0 ? code : -EINVAL, "%s: .next failed with %d after %llu items",
                      call->function, code, (unsigned long long)stream->pulled);
    if (stream->progress.own)
        many_bar_total(stream->progress.bar, stream->pulled);
    return 0;
}

/* Pull items into the free slots, in ring order, while the source has some. */
static void stream_fill(stream_map *stream)
{
    const uint32_t window = stream->slots.window, from = stream->fill_from;

    stream->starved = 0;
    for (uint32_t k = 0; k < window && !stream->ended && !stream->starved && !stream->stop; k++) {
        uint32_t s = (from + k) % window;

        if (atomic_load_explicit(&stream->slots.status[s], memory_order_relaxed) != MANY_SLOT_FREE_)
            continue;
        if (!stream_pull(stream, s))
            return;
        /* Behind the last item there was, so that workers find items in the order of the source. */
        stream->fill_from = (s + 1) % window;
        many_slots_publish_(&stream->slots, s);
        stream_staff(stream);
    }
}

/* Item in slot s will not be run any more. */
static void stream_cancel_slot(stream_map *stream, uint32_t s)
{
    many_slot_ *slot = many_slot_at_(&stream->slots, s);
    many_cause *cause = many_slot_cause_(&stream->slots, s);

    memset(cause, 0, sizeof *cause);
    cause->item = slot->index;
    cause->code = slot->code = -ECANCELED;
    cause->worker = -1;
    cause->exit_status = -1;
    cause->tries = (int32_t)slot->tries;
    slot->cancelled = 1;
    cause->cancelled = 1;
    many_cause_write_(cause, "", 0);
    atomic_store_explicit(&stream->slots.status[s], MANY_SLOT_DONE_, memory_order_relaxed);
}

/* Worker w is dead: what it was running fails, or is tried again; what it had not begun is ready
 * again. */
static void stream_recover(stream_map *stream, int w, pid_t pid, const many_ending_ *ending)
{
    const many_call_ *call = stream->call;
    many_record_ *record = &stream->slots.records[w];
    uint64_t state = atomic_load_explicit(&record->state, memory_order_acquire);
    int64_t claimed = many_slots_claimed_by_(&stream->slots, w), now = many_clock_ns_();
    many_slot_ *slot;
    many_cause *cause;
    uint32_t s;

    atomic_store_explicit(&record->state, 0, memory_order_relaxed);
    stream->barren = stream->delivered == stream->barren_delivered ? stream->barren + 1 : 1;
    stream->barren_delivered = stream->delivered;
    if (claimed < 0) {
        /* It may have been woken for an item that it did not live to claim. */
        many_slots_nudge_(&stream->slots);
        return;
    }
    s = (uint32_t)claimed;
    slot = many_slot_at_(&stream->slots, s);
    if (many_state_item_(state) != (uint32_t)slot->index ||
        (state & MANY_PHASES_) == MANY_BETWEEN_) {
        many_slots_publish_(&stream->slots, s);
        return;
    }
    stream->barren = 0;
    slot->tries = many_state_tries_(state) + 1;
    if ((state & MANY_PHASES_) != MANY_CONDEMNED_ && stream->stop) {
        stream_cancel_slot(stream, s);
        return;
    }
    if (slot->tries <= (uint32_t)call->option.retries && !stream->stop) {
        many_slots_publish_(&stream->slots, s);
        return;
    }
    slot->code = (state & MANY_PHASES_) == MANY_CONDEMNED_ ? -ETIMEDOUT : -MANY_EDIED;
    slot->failure_ns = now;
    cause = many_slot_cause_(&stream->slots, s);
    memset(cause, 0, sizeof *cause);
    cause->item = slot->index;
    cause->code = slot->code;
    cause->over_limit = slot->code == -ETIMEDOUT;
    cause->worker = w;
    cause->pid = (int32_t)pid;
    cause->signal = ending->signal;
    cause->exit_status = ending->exit_status;
    cause->peak_bytes = ending->peak_bytes;
    cause->tries = (int32_t)slot->tries;
    cause->seconds =
        (double)(now - atomic_load_explicit(&record->chunk_ns, memory_order_relaxed)) / 1e9;
    many_cause_write_(cause, "", call->option.item_limit_s);
    atomic_store_explicit(&stream->slots.status[s], MANY_SLOT_DONE_, memory_order_relaxed);
}

/* See which processes are dead; wait: until all are. Living threads are not looked for. */
static void stream_bury(stream_map *stream, int wait)
{
    for (int w = 0; stream->call->processes && w < stream->call->workers; w++) {
        many_child_ *child = &stream->crew.child[w];
        many_ending_ ending;
        pid_t pid = child->pid;

        if (pid == 0 || !many_child_ended_(child, wait, &ending))
            continue;
        stream_recover(stream, w, pid, &ending);
        if (wait || stream->stop || stream->dismissed)
            continue; /* they leave because it is over */
        if (stream->pulled > stream->delivered)
            stream_staff(stream);
        if (stream->barren > STREAM_BARREN_MOST && stream->reason == 0) {
            stream->stop = 1;
            stream->reason =
                many_fail(-MANY_EDIED, "%s: %d workers in a row died before they began an item",
                          stream->call->function, STREAM_BARREN_MOST);
        }
    }
}

static void stream_limit(stream_map *stream)
{
    const many_call_ *call = stream->call;
    int64_t now;

    if (call->limit_ns == 0)
        return;
    now = many_clock_ns_();
    for (int w = 0; w < stream->hired; w++)
        if (many_watch_look_(&stream->crew.watch[w], &stream->slots.records[w].state, now,
                             call->limit_ns) &&
            call->processes)
            many_child_kill_(&stream->crew.child[w]);
}

/* What tells when the source has more; -1: nothing does. */
static int stream_source_fd(const stream_map *stream)
{
    const int *fd = stream->call->option.next_fd;

    return fd != NULL ? *fd : -1;
}

static int64_t stream_deadline(const stream_map *stream, int napping)
{
    int64_t deadline = many_progress_due_ns_(&stream->progress), now = many_clock_ns_();

    if (stream->call->limit_ns > 0 &&
        deadline > now + many_watch_period_ns_(stream->call->limit_ns))
        deadline = now + many_watch_period_ns_(stream->call->limit_ns);
    if (stream->starved && stream_source_fd(stream) < 0 && deadline > now + STREAM_ASK_NS)
        deadline = now + STREAM_ASK_NS;
    if (napping && deadline > now + STREAM_NAP_NS)
        deadline = now + STREAM_NAP_NS;
    return deadline;
}

static void stream_cancel(stream_map *stream)
{
    stream->stop = 1;
    stream->reason = many_fail(-ECANCELED, "%s: cancelled by .cancel", stream->call->function);
}

/* Until every item has its outcome, or the map is to end. */
static void stream_watch(stream_map *stream)
{
    const many_map_options *option = &stream->call->option;
    many_slots_head_ *head = stream->slots.head;
    int napping, again;

    if (many_cancel_is_set(option->cancel))
        stream_cancel(stream);
    while (!stream->stop) {
        uint32_t collected = stream_collect(stream);
        unsigned saw;
        int fd;

        stream_fill(stream);
        if (stream->stop || (stream->ended && stream->pulled == stream->delivered))
            return;
        many_progress_show_(&stream->progress, stream->delivered - stream->cancelled,
                            stream->failed);
        napping = collected > 0;
        atomic_store_explicit(&head->supervisor, napping ? MANY_NAPS_ : MANY_SLEEPS_,
                              memory_order_seq_cst);
        /* If something was done meanwhile (.next may be slow) there is no time to sleep; but a look
         * at deaths, limits and the token there has to be. */
        again = !napping && stream_collect(stream) > 0;
        fd = stream->starved ? stream_source_fd(stream) : -1;
        saw = many_crew_wait_(&stream->crew, fd, again ? 0 : stream_deadline(stream, napping));
        atomic_store_explicit(&head->supervisor, MANY_AWAKE_, memory_order_relaxed);
        if ((saw & MANY_SAW_CANCEL_) != 0)
            stream_cancel(stream);
        if ((atomic_load_explicit(&head->attention, memory_order_acquire) & MANY_ATTENTION_STOP_) !=
            0)
            stream->stop = 1;
        if ((saw & MANY_SAW_DEATH_) != 0)
            stream_bury(stream, 0);
        stream_limit(stream);
    }
}

/* Workers leave by themselves, unless one cannot (its stdout is full): then .cancel still ends it. */
static void stream_dismiss(stream_map *stream)
{
    stream->dismissed = 1;
    while (!stream->stop && many_crew_living_(&stream->crew) > 0) {
        unsigned saw = many_crew_wait_(&stream->crew, -1, many_progress_due_ns_(&stream->progress));

        if ((saw & MANY_SAW_CANCEL_) != 0)
            many_crew_kill_(&stream->crew);
        if ((saw & MANY_SAW_CANCEL_) != 0)
            return;
        stream_bury(stream, 0);
        many_progress_show_(&stream->progress, stream->delivered - stream->cancelled,
                            stream->failed);
    }
}

/* The map ends, in order or early: no worker is left, and every item that was pulled gets its
 * outcome. */
static void stream_settle(stream_map *stream)
{
    many_slots_ *slots = &stream->slots;

    if (stream->stop) {
        atomic_fetch_or(&slots->head->attention, MANY_ATTENTION_STOP_);
        many_crew_kill_(&stream->crew);
    }
    many_slots_finish_(slots);
    stream_dismiss(stream);
    stream_bury(stream, 1);
    for (int w = 0; !stream->call->processes && w < stream->hired; w++)
        many_thread_join_(stream->places[w].thread);
    for (uint32_t s = 0; s < slots->window; s++) {
        uint32_t status = atomic_load_explicit(&slots->status[s], memory_order_acquire);

        if (status != MANY_SLOT_FREE_ && status != MANY_SLOT_DONE_)
            stream_cancel_slot(stream, s);
    }
    stream_collect(stream);
    many_progress_show_(&stream->progress, stream->delivered - stream->cancelled, stream->failed);
    if ((stream->stop || stream->reason < 0) && stream->call->option.codes != NULL)
        for (uint64_t i = stream->pulled; i < stream->call->option.n; i++)
            stream->call->option.codes[i] = -ECANCELED;
}

static uint32_t stream_window(const many_call_ *call)
{
    size_t window = call->option.window;

    if (window == 0) {
        window = (size_t)call->workers * STREAM_WINDOW_PER_WORKER;
        if (window < STREAM_WINDOW)
            window = STREAM_WINDOW;
        if (call->option.n > 0 && window > call->option.n)
            window = call->option.n;
    }
    return (uint32_t)window;
}

int many_map_stream_(const many_call_ *call)
{
    stream_map stream;
    int code;

    memset(&stream, 0, sizeof stream);
    stream.call = call;
    stream.slots.memory = NULL;
    code = many_crew_open_(&stream.crew, call->function, call->workers, call->option.cancel);
    if (code < 0)
        return code;
    stream.places = calloc((size_t)call->workers, sizeof *stream.places);
    if (stream.places == NULL)
        code = many_fail(-ENOMEM, "%s: no memory for %d workers", call->function, call->workers);
    else
        code = many_slots_open_(&stream.slots, call, stream_window(call), stream.crew.bell);
    if (code == 0)
        code = many_progress_open_(&stream.progress, call, call->option.n);
    if (code == 0) {
        stream_watch(&stream);
        stream_settle(&stream);
        many_progress_close_(&stream.progress);
        code = many_first_return_(&stream.first, call, stream.failed, stream.reason);
    }
    many_slots_close_(&stream.slots);
    free(stream.places);
    many_crew_close_(&stream.crew);
    return code;
}
