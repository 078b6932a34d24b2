/* SPDX-License-Identifier: MIT */
/*
 * pool_map.c - many_pool_map: the calling thread hands out batches, and takes them back
 *
 * Guided self-scheduling: a batch is a share of what is left, so that the last ones are small. Some batches
 * for each worker are on their way at a time; whichever is over makes room for the next, so that one slow item
 * stops nobody.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "map/progress.h"
#include "os/clock.h"
#include "os/thread.h"
#include "pool/imap_wait.h"
#include "pool/pool_map_run.h"
#include "task/cancel.h"

/* Batches on their way: as guided shares, which become small, and for .chunk, which may be 1. */
#define MAP_FLYING_PER_WORKER 8
#define MAP_FLYING_LEAST      64
#define MAP_MANY              16

/* A wait that is refused because of a circle, which others have to break: look again after so long. */
#define MAP_NAP_MS 5

typedef struct pool_map_drive {
    many_map_run_ *run;
    many_sent_ *part; /* [most] */
    many_sent_ **flying, **spare;
    size_t most, opened, flying_count, spare_count;
    many_sent_waiter_ wait;
    many_progress_ progress;
    int cut; /* what runs was told to end */
} pool_map_drive;

static size_t pool_map_most(const many_map_run_ *run)
{
    size_t most = (size_t)run->pool->workers * MAP_FLYING_PER_WORKER;

    if (most < MAP_FLYING_LEAST)
        most = MAP_FLYING_LEAST;
    return run->n < most ? (size_t)run->n : most;
}

/* A batch that is free. 0, or a code of the backend's. */
static int pool_map_part(pool_map_drive *drive, many_sent_ **part)
{
    int code;

    if (drive->spare_count > 0) {
        *part = drive->spare[--drive->spare_count];
        return 0;
    }
    *part = &drive->part[drive->opened];
    code =
        drive->run->pool->backend->batch_open(drive->run->pool, &drive->run->plan, &(*part)->batch);
    if (code < 0)
        return code;
    drive->opened++;
    return 0;
}

/* Send as much as may fly. */
static void pool_map_send(pool_map_drive *drive)
{
    many_map_run_ *run = drive->run;

    while (!run->stop && run->next < run->n && drive->flying_count < drive->most) {
        many_sent_ *part;
        int code = pool_map_part(drive, &part);

        if (code == 0) {
            code = many_map_run_send_(run, part->batch, many_map_run_chunk_(run));
            if (code < 0)
                drive->spare[drive->spare_count++] = part;
        }
        /* What flies will leave room; a pool that takes no new maps may still take what this one has open. */
        if (code < 0 && (code == -ENOMEM || code == -ESHUTDOWN) && drive->flying_count > 0)
            return;
        if (code < 0) {
            many_map_run_end_(run, code);
            return;
        }
        drive->flying[drive->flying_count++] = part;
    }
}

/* Take what is over. */
static void pool_map_take(pool_map_drive *drive)
{
    size_t kept = 0;

    for (size_t k = 0; k < drive->flying_count; k++) {
        many_sent_ *part = drive->flying[k];

        if (!many_sent_is_over_(part)) {
            drive->flying[kept++] = part;
            continue;
        }
        many_sent_forget_(part);
        many_map_run_take_(drive->run, part->batch);
        drive->spare[drive->spare_count++] = part;
    }
    drive->flying_count = kept;
}

static void pool_map_cut(pool_map_drive *drive)
{
    drive->cut = 1;
    for (size_t k = 0; k < drive->flying_count; k++)
        drive->flying[k]->batch->ops->cancel(drive->flying[k]->batch, 1);
}

/* Sleep until something is to be done. */
static void pool_map_wait(pool_map_drive *drive)
{
    many_map_run_ *run = drive->run;
    /* Who only waits for all of them has nothing to do when another one is over. */
    int any = run->next < run->n || (run->option.on_error == MANY_STOP && !run->stop) ||
              drive->progress.bar != NULL;
    size_t n = any ? drive->flying_count : 1;
    /* While there are enough for the workers: some at a time, not one by one. */
    int code = many_sent_wait_(&drive->wait, drive->flying, n, n >= MAP_MANY ? n / 4 : 0,
                               many_progress_due_ns_(&drive->progress));

    if (code == -EDEADLK) {
        many_map_run_end_(run, code);
        if (drive->cut)
            poll(NULL, 0, MAP_NAP_MS);
    }
    if (!run->stop && many_cancel_is_set(run->option.cancel))
        many_map_run_end_(run, many_fail(-ECANCELED, "%s: cancelled by .cancel", run->function));
    if (run->stop)
        drive->wait.token = -1; /* it would end every wait from now on */
}

static void pool_map_run(pool_map_drive *drive)
{
    many_map_run_ *run = drive->run;

    for (;;) {
        pool_map_send(drive);
        many_progress_show_(&drive->progress, run->over - run->cancelled, run->failed);
        if (drive->flying_count == 0)
            return;
        if (run->stop && !drive->cut)
            pool_map_cut(drive);
        pool_map_wait(drive);
        pool_map_take(drive);
    }
}

/* 0, or -ENOMEM with words. */
static int pool_map_begin(pool_map_drive *drive, many_map_run_ *run)
{
    memset(drive, 0, sizeof *drive);
    drive->run = run;
    drive->most = pool_map_most(run);
    drive->part = calloc(drive->most, sizeof *drive->part);
    drive->flying = calloc(drive->most, sizeof(many_sent_ *));
    drive->spare = calloc(drive->most, sizeof(many_sent_ *));
    if (drive->part == NULL || drive->flying == NULL || drive->spare == NULL)
        return many_fail(-ENOMEM, "%s: no memory for %zu batches", run->function, drive->most);
    return 0;
}

static void pool_map_end(pool_map_drive *drive)
{
    for (size_t k = 0; k < drive->opened; k++)
        drive->part[k].batch->ops->close(drive->part[k].batch);
    many_sent_waiter_end_(&drive->wait);
    free(drive->spare);
    free(drive->flying);
    free(drive->part);
}

static int pool_map_with(many_map_run_ *run)
{
    many_call_ shown = {.function = run->function};
    int code, token = many_cancel_watch_(run->option.cancel);
    pool_map_drive drive;

    shown.option.bar = run->option.bar;
    shown.option.desc = run->option.desc;
    shown.option.unit = run->option.unit;
    code = pool_map_begin(&drive, run);
    many_sent_waiter_begin_(&drive.wait, token >= 0 ? token : -1);
    if (code == 0 && token < -1)
        code = many_fail(token, "%s: no descriptor to wait for .cancel with (%s)", run->function,
                         many_error_name(token));
    if (code == 0)
        code = many_progress_open_(&drive.progress, &shown, run->n);
    if (code == 0) {
        if (many_cancel_is_set(run->option.cancel))
            many_map_run_end_(run,
                              many_fail(-ECANCELED, "%s: cancelled by .cancel", run->function));
        pool_map_run(&drive);
        many_progress_close_(&drive.progress);
        code = many_map_run_return_(run);
    }
    pool_map_end(&drive);
    if (token >= 0)
        many_cancel_unwatch_(run->option.cancel);
    return code;
}

int many_pool_map_with(many_pool *pool, many_fn *fn, const void *in, size_t in_bytes, void *out,
                       size_t out_bytes, const many_pool_map_options *options)
{
    many_map_run_ run = {.function = "many_pool_map"};
    int hold, code = many_map_run_read_(&run, pool, fn, in, in_bytes, out, out_bytes, options);

    if (code < 0)
        return code;
    if (run.option.future != NULL || run.option.on_done != NULL ||
        run.option.on_done_context != NULL)
        return many_fail(-EINVAL,
                         "many_pool_map: .future and .on_done are many_pool_map_async()'s");
    if (run.n == 0)
        return 0;
    /* A thread that is cancelled half-way would leave batches behind that use its memory. */
    hold = many_thread_hold_();
    code = pool_map_with(&run);
    many_cancel_settle_(run.option.cancel);
    many_thread_let_go_(hold);
    return code;
}
