/* SPDX-License-Identifier: MIT */
/*
 * test_progress.c - a map's bar counts what was done, no more and no less, and shows it
 */
#include "kind.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct progress_scene {
    many_bar *bar;
    size_t fail_below; /* items below this one fail */
    size_t wait_at;    /* this item waits until the bar says so many */
    uint64_t wait_for;
    size_t next, end;
    many_cancel token;
} progress_scene;

static int progress_task(const void *item, void *result, void *context)
{
    progress_scene *scene = context;
    size_t index = many_item_index();

    (void)item;
    (void)result;
    if (index == scene->wait_at)
        UNTIL(many_bar_count(scene->bar) >= scene->wait_for);
    return index < scene->fail_below ? -EIO : 0;
}

static int progress_next(void *item, void *context)
{
    progress_scene *scene = context;

    if (scene->next == scene->end)
        return 0;
    *(size_t *)item = scene->next++;
    return 1;
}

static progress_scene progress_of(many_bar *bar)
{
    progress_scene scene = {.bar = bar, .wait_at = SIZE_MAX};

    return scene;
}

BOTH(a_callers_bar_counts_every_item_of_every_map)
{
    many_bar *bar = NULL;
    progress_scene scene;

    CHECK_CODE(many_bar_open(&bar, .total = 30500, .quiet = 1), 0);
    scene = progress_of(bar);
    for (int round = 0; round < 3; round++)
        CHECK_CODE(EACH(kind, progress_task, POOL_NOTHING, 10000, .workers = 3, .bar = bar,
                        .context = &scene),
                   0);
    CHECK_EQUAL(many_bar_count(bar), 30000);
    scene.end = 500;
    CHECK_CODE(EACH(kind, progress_task, (size_t *)NULL, 0, .workers = 3, .bar = bar,
                    .next = progress_next, .next_context = &scene, .context = &scene),
               0);
    CHECK_EQUAL(many_bar_count(bar), 30500);
    many_bar_close(bar);
}

BOTH(failed_items_are_counted_once)
{
    many_bar *bar = NULL;
    progress_scene scene;

    CHECK_CODE(many_bar_open(&bar, .quiet = 1), 0);
    scene = progress_of(bar);
    scene.fail_below = 700;
    CHECK_CODE(EACH(kind, progress_task, POOL_NOTHING, 1000, .workers = 2, .bar = bar,
                    .on_error = MANY_GO_ON, .context = &scene),
               700);
    CHECK_EQUAL(many_bar_count(bar), 1000);
    scene.end = 1000;
    CHECK_CODE(EACH(kind, progress_task, (size_t *)NULL, 0, .workers = 2, .bar = bar,
                    .on_error = MANY_GO_ON, .next = progress_next, .next_context = &scene,
                    .context = &scene),
               700);
    CHECK_EQUAL(many_bar_count(bar), 2000);
    many_bar_close(bar);
}

/* The chunk has to be seen while it is open: item 90 of 100 waits for it. What failed in it was
 * counted as done by then, and must not be counted again when the chunk ends. */
BOTH(failed_items_of_a_chunk_that_was_shown_half_done_are_counted_once)
{
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    many_bar *bar = NULL;
    progress_scene scene;

    CHECK(nowhere >= 0);
    CHECK_CODE(many_bar_open(&bar, .total = 100, .fd = nowhere, .terminal = 1, .interval_s = 0.01),
               0);
    scene = progress_of(bar);
    scene.fail_below = 60;
    scene.wait_at = 90;
    scene.wait_for = 90;
    CHECK_CODE(EACH(kind, progress_task, POOL_NOTHING, 100, .workers = 1, .chunk = 100, .bar = bar,
                    .on_error = MANY_GO_ON, .context = &scene),
               60);
    CHECK_EQUAL(many_bar_count(bar), 100);
    many_bar_close(bar);
    close(nowhere);
}

/* What is cancelled is not done. */
BOTH(a_map_that_stops_has_counted_what_was_done)
{
    many_bar *bar = NULL;
    progress_scene scene;
    int codes[2000];
    uint64_t outcomes = 0;

    CHECK_CODE(many_bar_open(&bar, .quiet = 1), 0);
    scene = progress_of(bar);
    scene.fail_below = 1;
    CHECK_CODE(EACH(kind, progress_task, POOL_NOTHING, 2000, .workers = 2, .bar = bar,
                    .codes = codes, .context = &scene),
               -MANY_ETASK);
    for (int i = 0; i < 2000; i++)
        outcomes += codes[i] != -ECANCELED;
    CHECK_EQUAL(many_bar_count(bar), outcomes);
    many_bar_close(bar);
}

/* ---- a bar of the map's own ---- */

typedef struct progress_shown {
    const pool_kind *kind;
    int out; /* where stderr goes */
    int source;
    int nested;
} progress_shown;

static int progress_nested(const void *item, void *result, void *context)
{
    const progress_shown *shown = context;
    progress_scene scene = progress_of(NULL);

    (void)item;
    (void)result;
    return EACH(shown->kind, progress_task, POOL_NOTHING, 10, .workers = 2, .desc = "inner",
                .context = &scene);
}

static void progress_show(void *argument)
{
    const progress_shown *shown = argument;
    progress_scene scene = progress_of(NULL);

    CHECK(dup2(shown->out, STDERR_FILENO) == STDERR_FILENO);
    scene.end = 321;
    if (shown->nested)
        CHECK_CODE(EACH(shown->kind, progress_nested, POOL_NOTHING, 321, .workers = 2,
                        .desc = "outer", .unit = "map", .context = argument),
                   0);
    else if (shown->source)
        CHECK_CODE(EACH(shown->kind, progress_task, (size_t *)NULL, 0, .workers = 2, .desc = "flow",
                        .unit = "drop", .next = progress_next, .next_context = &scene,
                        .context = &scene),
                   0);
    else
        CHECK_CODE(EACH(shown->kind, progress_task, POOL_NOTHING, 321, .workers = 2,
                        .desc = "files", .unit = "file", .context = &scene),
                   0);
}

/* What a child that runs the map writes to stderr, which is a pipe: the last state, as a line. */
static void progress_read(progress_shown *shown, char *text, size_t room)
{
    size_t used = 0;
    ssize_t got;
    int ends[2];

    CHECK(pipe(ends) == 0);
    shown->out = ends[1];
    CHECK_EQUAL(test_in_child(progress_show, shown), 0);
    close(ends[1]);
    while ((got = read(ends[0], text + used, room - 1 - used)) > 0)
        used += (size_t)got;
    text[used] = '\0';
    close(ends[0]);
}

BOTH(desc_draws_a_bar_that_ends_at_the_number_of_items)
{
    progress_shown shown = {.kind = kind};
    char text[4096];

    progress_read(&shown, text, sizeof text);
    CHECK_CONTAINS(text, "files: 100%");
    CHECK_CONTAINS(text, " 321/321 [");
    CHECK_CONTAINS(text, "file/s");
    CHECK(text[strlen(text) - 1] == '\n');
    CHECK(strstr(text, "322") == NULL);
}

BOTH(desc_draws_a_bar_for_a_source_that_learns_its_total)
{
    progress_shown shown = {.kind = kind, .source = 1};
    char text[4096];

    progress_read(&shown, text, sizeof text);
    CHECK_CONTAINS(text, "flow: 100%");
    CHECK_CONTAINS(text, " 321/321 [");
    CHECK_CONTAINS(text, "drop/s");
}

BOTH(a_map_inside_a_task_draws_nothing)
{
    progress_shown shown = {.kind = kind, .nested = 1};
    char text[65536];

    progress_read(&shown, text, sizeof text);
    CHECK_CONTAINS(text, "outer: 100%");
    CHECK(strstr(text, "inner") == NULL);
}
