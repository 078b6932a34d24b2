/* SPDX-License-Identifier: MIT */
/*
 * map.c - `many map`: a command for each item
 *
 * A thread map over a source: the items flow in (source.c), a worker thread runs each as a job
 * (job.c), the outcomes flow out (output.c). Threads, because a job is a process already.
 */
#include "map.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "guard.h"
#include "job.h"
#include "options.h"
#include "output.h"
#include "source.h"
#include "template.h"

/* Items that are begun, or have ended and are not printed yet; each may hold two descriptors. */
#define MAP_WINDOW        64
#define MAP_WINDOW_FACTOR 2 /* at least so many times the workers */

/* Descriptors of a job that runs: two files and a pidfd. And our own, with some to spare. */
#define MAP_FILES_JOB  3
#define MAP_FILES_ITEM 2
#define MAP_FILES_OWN  24

struct map {
    struct options options;
    struct start *start;
    int workers;
    size_t window;
    char *path; /* of COMMAND, NULL if it varies */
    many_cancel cancel;
    template_line line;
    struct source source;
    struct guard guard;
    job_shop shop;
    struct output output;
    many_bar *bar;
};

static int map_fail(const char *what, int code)
{
    fprintf(stderr, "many map: %s: %s\n", what, strerror(-code));
    return STATUS_WRONG;
}

static int map_fail_command(const char *command, int code)
{
    const char *hint = "";

    if (code == -ENOENT && strchr(command, '/') == NULL)
        hint = " (it is not in PATH)";
    else if (code == -ENOENT && access(command, F_OK) == 0)
        hint = " (the interpreter in its first line is not there)";
    fprintf(stderr, "many map: cannot run '%s': %s%s\n", command, strerror(-code), hint);
    return STATUS_WRONG;
}

/* Which file COMMAND is, if it is the same for all. 0 or the exit status, as below. */
static int map_find_command(struct map *map)
{
    const char *command = map->line.words[0].text;
    int code;

    if (template_command_varies(&map->line))
        return 0;
    code = command_find(command, &map->path);
    return code < 0 ? map_fail_command(command, code) : 0;
}

/* How many at a time, and whether there are descriptors for so many. */
static int map_make_room(struct map *map)
{
    unsigned long workers, wanted, files, window;

    map->workers = map->options.workers > 0 ? map->options.workers : many_usable_cpus();
    if (map->options.items != NULL && (size_t)map->workers > map->options.item_count)
        map->workers = map->options.item_count > 0 ? (int)map->options.item_count : 1;
    workers = (unsigned long)map->workers;
    window = workers * MAP_WINDOW_FACTOR > MAP_WINDOW ? workers * MAP_WINDOW_FACTOR : MAP_WINDOW;
    wanted = MAP_FILES_OWN + MAP_FILES_JOB * workers + MAP_FILES_ITEM * window;
    files = start_make_room(map->start, wanted);
    if (files < wanted) {
        unsigned long least = MAP_FILES_OWN + (MAP_FILES_JOB + MAP_FILES_ITEM) * workers;

        if (files < least) {
            fprintf(stderr,
                    "many map: --workers %d needs %lu descriptors, and there are %lu: fewer "
                    "workers, or raise ulimit -n\n",
                    map->workers, least, files);
            return STATUS_WRONG;
        }
        window = (files - MAP_FILES_OWN - MAP_FILES_JOB * workers) / MAP_FILES_ITEM;
    }
    map->window = window;
    return 0;
}

static int map_begin_source(struct map *map)
{
    const struct options *options = &map->options;
    int code;

    if (options->items == NULL && map->start->closed[STDIN_FILENO]) {
        fprintf(stderr, "many map: stdin is closed: give items behind ':::', or by a pipe\n");
        return STATUS_WRONG;
    }
    if (options->items == NULL && isatty(STDIN_FILENO) && isatty(STDERR_FILENO))
        fprintf(stderr, "many map: the items are read from the terminal; Ctrl-D ends them\n");
    code = source_begin(&map->source, options->items, options->item_count, STDIN_FILENO,
                        options->null ? '\0' : '\n', map->line.word_most - 1);
    return code < 0 ? map_fail("the items", code) : 0;
}

static int map_begin_jobs(struct map *map)
{
    int code = guard_begin(&map->guard, (size_t)map->workers);

    if (code == 0)
        code = job_shop_begin(&map->shop, (size_t)map->workers, map->options.limit_s);
    if (code < 0)
        return map_fail("the workers", code);
    map->shop.line = &map->line;
    map->shop.start = map->start;
    map->shop.path = map->path;
    map->shop.seats = map->guard.seats;
    map->shop.merged = output_is_merged(&map->output);
    return 0;
}

static int map_begin_bar(struct map *map)
{
    const struct options *options = &map->options;
    const int wanted = options->bar > 0 || (options->bar == 0 && map->output.err.terminal);

    if (wanted && many_bar_open(&map->bar, .total = options->item_count, .desc = options->desc) < 0)
        return map_fail("the bar", -ENOMEM);
    map->output.bar = map->source.bar = map->bar;
    if (!map->output.out.terminal)
        map->output.out.bar = map->bar;
    return 0;
}

/* Everything but the jobs. 0, or the exit status with words. */
static int map_begin(struct map *map)
{
    const struct options *options = &map->options;
    int status;

    if (template_begin(&map->line, options->words, options->word_count, options->shell) < 0)
        return map_fail("the command", -ENOMEM);
    output_begin(&map->output, &map->cancel, options->keep_order);
    map->output.limit_s = options->limit_s;
    if ((status = map_find_command(map)) != 0 || (status = map_make_room(map)) != 0 ||
        (status = map_begin_source(map)) != 0 || (status = map_begin_jobs(map)) != 0)
        return status;
    if (map->path != NULL)
        map->output.command = map->line.words[0].text;
    if (start_catch(map->start, &map->cancel) < 0) {
        fprintf(stderr, "many map: %s\n", many_error_message());
        return STATUS_WRONG;
    }
    return map_begin_bar(map);
}

static int map_run(struct map *map)
{
    const struct options *options = &map->options;

    return many_thread_map(
        job_run, (struct item *)NULL, (job_result *)NULL, 0, .workers = map->workers,
        .window = map->window, .retries = options->retries, .item_limit_s = options->limit_s,
        .on_error = options->stop ? MANY_STOP : MANY_GO_ON, .context = &map->shop,
        .cancel = &map->cancel, .bar = map->bar, .next = source_next, .next_context = &map->source,
        .next_fd = options->items == NULL ? &map->source.fd : NULL, .on_result = output_take,
        .on_result_context = &map->output);
}

/* "420 of 1000" or "420", if it is not known of how many. */
static const char *map_count(const struct map *map, uint64_t count, char *text, size_t bytes)
{
    if (map->source.total > 0)
        snprintf(text, bytes, "%llu of %llu", (unsigned long long)count,
                 (unsigned long long)map->source.total);
    else
        snprintf(text, bytes, "%llu", (unsigned long long)count);
    return text;
}

/* The end of it all in one line, if there is something to say. code is the map's. The exit status.
 */
static int map_conclude(struct map *map, int code)
{
    struct output *output = &map->output;
    char count[64], failures[64] = "";

    if (output->hopeless != 0)
        return map_fail_command(output->command, output->hopeless);
    if (output->broken == -EPIPE)
        return 128 + SIGPIPE;
    if (output->broken != 0 && output->broken != -ECANCELED) {
        output_say(output, "many map: cannot write to %s: %s", output->where,
                   strerror(-output->broken));
        return STATUS_WRONG;
    }
    if (output->failed > 0)
        snprintf(failures, sizeof failures, ", %llu failed", (unsigned long long)output->failed);
    if (many_cancel_is_set(&map->cancel)) {
        output_say(output, "many: %s: %s done%s",
                   start_caught() == SIGINT ? "interrupted" : "ended by a signal",
                   map_count(map, output->done, count, sizeof count), failures);
        return 128 + start_caught();
    }
    if (map->source.error != 0) {
        output_say(output, "many map: cannot read items from stdin: %s: %s done%s",
                   strerror(map->source.error), map_count(map, output->done, count, sizeof count),
                   failures);
        return STATUS_WRONG;
    }
    if (code < 0 && code != -MANY_ETASK && code != -ETIMEDOUT) {
        output_say(output, "many map: %s", many_error_message());
        return STATUS_WRONG;
    }
    if (output->failed == 0)
        return 0;
    if (code < 0)
        output_say(output, "many: stopped at the first failure: %s done%s",
                   map_count(map, output->done, count, sizeof count), failures);
    else
        output_say(output, "many: %s items failed",
                   map_count(map, output->failed, count, sizeof count));
    return output->failed < STATUS_FAILED_MOST ? (int)output->failed : STATUS_FAILED_MOST;
}

int map_main(int argc, char **argv, struct start *start)
{
    struct map map;
    int status;

    memset(&map, 0, sizeof map);
    status = options_read(&map.options, argc, argv);
    if (status != OPTIONS_RUN)
        return status;
    map.start = start;
    status = map_begin(&map);
    if (status == 0) {
        int code = map_run(&map);

        many_bar_close(map.bar);
        map.output.bar = NULL;
        status = map_conclude(&map, code);
    }
    guard_end(&map.guard);
    job_shop_end(&map.shop);
    output_end(&map.output);
    source_end(&map.source);
    template_end(&map.line);
    free(map.path);
    return status;
}
