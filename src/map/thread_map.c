/* SPDX-License-Identifier: MIT */
/*
 * thread_map.c - a map over arrays in threads: range words, and thieves that help themselves
 *
 * The caller's thread is worker 0, so that a small map starts one thread less; only where there is
 * a bar to draw or a limit to watch it supervises instead, asleep in a poll. A thread that runs dry
 * cuts the richest word in half; if all words are empty it asks those who are in the middle of a
 * chunk to give back what they have not begun, looks on for a moment, and sleeps until something is
 * given back or nothing is left.
 *
 * left    items of the round without an outcome. It falls to 0 exactly once, and who does it wakes
 *         everybody.
 * news    a futex that counts: something was given back, nothing is left, or the map is to stop. A
 *         sleeper reads it before it looks at the words; a giver changes the word first (release),
 *         then counts: the sleeper sees the range or does not sleep.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "os/clock.h"
#include "os/futex.h"
#include "os/stream.h"
#include "os/thread.h"
#include "map/crew.h"
#include "map/first.h"
#include "map/map.h"
#include "map/progress.h"
#include "map/run.h"

/* Look for work for so long before sleeping: waking a core takes about as long. */
#define THREAD_SPIN_NS (60 * MANY_MICROSECOND_NS)

/* A round has at most so many items: a range word has 32 bits for an index. */
#define THREAD_ROUND_ITEMS UINT64_C(0x40000000)

typedef struct thread_map {
    _Alignas(MANY_CACHE_LINE) _Atomic uint32_t attention;
    _Alignas(MANY_CACHE_LINE) _Atomic uint32_t left;
    _Alignas(MANY_CACHE_LINE) _Atomic uint32_t news;
    const many_call_ *call;
    many_record_ *records; /* [workers] */
    int *codes;            /* the caller's for this round, or NULL */
    uint64_t first;        /* index of the round's first item */
    int bell;              /* the supervisor's, or -1 if there is none */
} thread_map;

typedef struct thread_place {
    thread_map *map;
    pthread_t thread;
    int worker;
} thread_place;

static void thread_tell(thread_map *map)
{
    atomic_fetch_add_explicit(&map->news, 1, memory_order_release);
    many_futex_wake_(&map->news, INT_MAX);
}

static int thread_is_over(const thread_map *map)
{
    return (atomic_load_explicit(&map->attention, memory_order_acquire) & MANY_ATTENTION_STOP_) !=
               0 ||
           many_cancel_is_set(map->call->option.cancel);
}

/* Cut half of the richest word into the own one. 1 if there was something. */
static int thread_steal(thread_map *map, many_record_ *record)
{
    for (;;) {
        many_record_ *richest = NULL;
        uint32_t most = 0, begin, end;

        for (int w = 0; w < map->call->workers; w++) {
            uint32_t left =
                many_range_left_(atomic_load_explicit(&map->records[w].word, memory_order_relaxed));

            if (left > most) {
                most = left;
                richest = &map->records[w];
            }
        }
        if (richest == NULL)
            return 0;
        if (many_record_cut_(richest, &begin, &end)) {
            many_record_fill_(record, begin, end);
            /* Whoever looked in between saw the loot in neither word. */
            if (end - begin > 1)
                thread_tell(map);
            return 1;
        }
    }
}

/* The own word is empty. 1: there is something in it again; 0: there is nothing more to do. */
static int thread_find(thread_map *map, many_record_ *record)
{
    int64_t until = 0;

    for (;;) {
        uint32_t news = atomic_load_explicit(&map->news, memory_order_acquire);

        if (thread_steal(map, record)) {
            /* Others who are still hungry say so again. */
            atomic_fetch_and_explicit(&map->attention, ~MANY_ATTENTION_HUNGRY_,
                                      memory_order_relaxed);
            return 1;
        }
        if (atomic_load_explicit(&map->left, memory_order_acquire) == 0 || thread_is_over(map))
            return 0;
        if ((atomic_load_explicit(&map->attention, memory_order_relaxed) &
             MANY_ATTENTION_HUNGRY_) == 0)
            atomic_fetch_or_explicit(&map->attention, MANY_ATTENTION_HUNGRY_, memory_order_relaxed);
        if (until == 0)
            until = many_clock_ns_() + THREAD_SPIN_NS;
        if (many_clock_ns_() < until)
            many_pause_();
        else
            many_futex_wait_(&map->news, news, MANY_NEVER_NS);
    }
}

static void thread_work(thread_map *map, int w)
{
    const many_call_ *call = map->call;
    many_record_ *record = &map->records[w];
    many_run_ run;

    run.first = map->first;
    run.codes = map->codes;
    run.tries = NULL;
    run.results = call->out != NULL ? call->out + map->first * call->out_bytes : NULL;
    run.results_from = 0;
    many_run_begin_(&run, call, record, &map->attention, w);
    while (!thread_is_over(map)) {
        uint64_t word = atomic_load_explicit(&record->word, memory_order_relaxed);
        uint32_t begin, end, count;

        count = many_record_claim_(record, many_run_chunk_(&run, many_range_left_(word)), &begin);
        if (count == 0) {
            if (!thread_find(map, record))
                break;
            run.clock_ns = many_clock_ns_();
            continue;
        }
        end = many_run_items_(&run, begin, begin + count);
        if (end < begin + count && thread_is_over(map))
            many_record_give_back_(record, end, begin + count); /* the words hold what is left */
        else if (end < begin + count)
            thread_tell(map);
        many_run_close_(&run, end - begin);
        /* Release: the last one's wake-up shows everybody all results. */
        if (atomic_fetch_sub_explicit(&map->left, end - begin, memory_order_acq_rel) == end - begin)
            break;
    }
    many_seat_leave_(&run.seat);
    thread_tell(map);
    if (map->bell >= 0)
        many_bell_ring_(map->bell);
}

static void *thread_map_body(void *argument)
{
    thread_place *place = argument;

    thread_work(place->map, place->worker);
    return NULL;
}

static void thread_show(const thread_map *map, many_progress_ *progress, uint64_t done,
                        uint64_t failed)
{
    if (progress->bar == NULL)
        return;
    for (int w = 0; w < map->call->workers; w++) {
        done += many_record_progress_(&map->records[w]);
        failed += many_record_failures_(&map->records[w]);
    }
    many_progress_show_(progress, done, failed);
}

/* The caller's thread, where it does not work itself: until nothing is left, or the map is to stop.
 */
static void thread_supervise(thread_map *map, many_crew_ *crew, many_progress_ *progress,
                             uint64_t done, uint64_t failed)
{
    const many_call_ *call = map->call;

    while (atomic_load_explicit(&map->left, memory_order_acquire) > 0 && !thread_is_over(map)) {
        int64_t deadline = many_progress_due_ns_(progress), now = many_clock_ns_();

        if (call->limit_ns > 0 && deadline > now + many_watch_period_ns_(call->limit_ns))
            deadline = now + many_watch_period_ns_(call->limit_ns);
        many_crew_wait_(crew, -1, deadline);
        now = many_clock_ns_();
        for (int w = 0; w < call->workers && call->limit_ns > 0; w++)
            many_watch_look_(&crew->watch[w], &map->records[w].state, now, call->limit_ns);
        thread_show(map, progress, done, failed);
    }
}

/* Start the workers, work or supervise, and wait for them. 0 or a negative code with words. */
static int thread_round(thread_map *map, thread_place *places, many_crew_ *crew,
                        many_progress_ *progress, uint64_t done, uint64_t failed)
{
    const many_call_ *call = map->call;
    const int supervises = crew != NULL;
    int started = supervises ? 0 : 1; /* worker 0 is the caller */
    int code = 0;

    for (; started < call->workers; started++) {
        places[started].map = map;
        places[started].worker = started;
        code = many_thread_start_(&places[started].thread, thread_map_body, &places[started]);
        if (code < 0)
            break; /* fewer will do: thieves come by the words of those who are missing */
    }
    if (started == 0)
        return many_fail(code,
                         "%s: no thread could be started (%s): raise ulimit -u, or free memory",
                         call->function, many_error_name(code));
    if (supervises)
        thread_supervise(map, crew, progress, done, failed);
    else
        thread_work(map, 0);
    for (int w = supervises ? 0 : 1; w < started; w++)
        many_thread_join_(places[w].thread);
    thread_show(map, progress, done, failed);
    return 0;
}

/* What was not done is cancelled, and says so. Returns how many items that is. */
static uint64_t thread_settle(const thread_map *map)
{
    uint64_t left = 0;

    for (int w = 0; w < map->call->workers; w++) {
        uint64_t word = atomic_load_explicit(&map->records[w].word, memory_order_relaxed);

        left += many_range_left_(word);
        if (map->codes != NULL)
            for (uint32_t i = many_range_begin_(word); i < many_range_end_(word); i++)
                map->codes[i] = -ECANCELED;
    }
    return left;
}

/* All rounds. failed receives how many items did. 0 or the negative code that ended the map early.
 */
static int thread_rounds(thread_map *map, thread_place *places, many_crew_ *crew,
                         many_progress_ *progress, many_first_ *first, uint64_t *failed)
{
    const many_call_ *call = map->call;
    const uint64_t workers = (uint64_t)call->workers;
    int *codes = call->option.codes;
    uint64_t left = 0;
    int code = 0;

    if (codes != NULL)
        memset(codes, 0, call->option.n * sizeof *codes);
    while (map->first < call->option.n && left == 0 && code == 0) {
        uint64_t n = call->option.n - map->first;

        if (n > THREAD_ROUND_ITEMS)
            n = THREAD_ROUND_ITEMS;
        memset(map->records, 0, (size_t)workers * sizeof *map->records);
        for (uint64_t w = 0; w < workers; w++)
            many_record_fill_(&map->records[w], (uint32_t)(n * w / workers),
                              (uint32_t)(n * (w + 1) / workers));
        atomic_store_explicit(&map->left, (uint32_t)n, memory_order_relaxed);
        map->codes = codes != NULL ? codes + map->first : NULL;
        code = thread_round(map, places, crew, progress, map->first, *failed);
        left = thread_settle(map);
        many_first_gather_(first, map->records, call->workers);
        for (uint64_t w = 0; w < workers; w++)
            *failed += many_closed_failed_(
                atomic_load_explicit(&map->records[w].closed, memory_order_relaxed));
        map->first += n;
    }
    for (uint64_t i = map->first; codes != NULL && i < call->option.n; i++)
        codes[i] = -ECANCELED;
    if (code == 0 && left > 0 && many_cancel_is_set(call->option.cancel))
        code = many_fail(-ECANCELED, "%s: cancelled by .cancel", call->function);
    return code;
}

int many_map_in_threads_(const many_call_ *call)
{
    const size_t workers = (size_t)call->workers;
    const size_t bytes = sizeof(thread_map) + workers * sizeof(many_record_);
    many_first_ first = {0};
    many_progress_ progress;
    thread_place *places = NULL;
    thread_map *map = NULL;
    many_crew_ crew;
    uint64_t failed = 0;
    int supervises, code;

    code = many_progress_open_(&progress, call, call->option.n);
    if (code < 0)
        return code;
    supervises = call->limit_ns > 0 || progress.bar != NULL;
    if (supervises) {
        code = many_crew_open_(&crew, call->function, call->workers, call->option.cancel);
        if (code < 0) {
            many_progress_close_(&progress);
            return code;
        }
    }
    places = calloc(workers, sizeof *places);
    if (places == NULL || posix_memalign((void **)&map, MANY_CACHE_LINE, bytes) != 0) {
        code = many_fail(-ENOMEM, "%s: no memory for %zu workers", call->function, workers);
    } else {
        memset(map, 0, sizeof *map);
        map->call = call;
        map->records = (many_record_ *)(map + 1);
        map->bell = supervises ? crew.bell : -1;
        code = thread_rounds(map, places, supervises ? &crew : NULL, &progress, &first, &failed);
    }
    free(map);
    free(places);
    if (supervises)
        many_crew_close_(&crew);
    many_progress_close_(&progress);
    return many_first_return_(&first, call, failed, code);
}
