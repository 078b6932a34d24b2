/* SPDX-License-Identifier: MIT */
/*
 * test_output.c - what tasks and their parent print appears exactly once, wherever stdout goes
 */
#include "kind.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define OUTPUT_ITEMS 200

typedef struct output_scene {
    const pool_kind *kind;
    int fd;   /* where stdout goes */
    int mode; /* _IOFBF, _IOLBF or _IONBF */
    int workers;
    int fails; /* 1: MANY_GO_ON, and each third item fails after it printed */
    size_t next;
} output_scene;

static int output_print(const void *item, void *result, void *context)
{
    const output_scene *scene = context;
    size_t index = many_item_index();

    (void)item;
    (void)result;
    printf("item %zu of %d\n", index, OUTPUT_ITEMS);
    return scene->fails && index % 3 == 0;
}

static int output_next(void *item, void *context)
{
    output_scene *scene = context;

    if (scene->next == OUTPUT_ITEMS)
        return 0;
    *(size_t *)item = scene->next++;
    return 1;
}

/* In a child, so that stdout can be turned round. */
static void output_run(void *argument)
{
    static char buffer[65536]; /* holds all that one process prints: what stdio cuts may tear */
    output_scene *scene = argument;

    CHECK(dup2(scene->fd, STDOUT_FILENO) == STDOUT_FILENO);
    setvbuf(stdout, buffer, scene->mode, sizeof buffer);
    printf("before ");
    printf("the map\n");
    CHECK_CODE(EACH(scene->kind, output_print, POOL_NOTHING, OUTPUT_ITEMS,
                    .workers = scene->workers, .on_error = scene->fails ? MANY_GO_ON : MANY_STOP,
                    .context = scene),
               scene->fails ? (OUTPUT_ITEMS + 2) / 3 : 0);
    printf("between the maps\n");
    CHECK_CODE(EACH(scene->kind, output_print, (size_t *)NULL, 0, .workers = scene->workers,
                    .on_error = scene->fails ? MANY_GO_ON : MANY_STOP, .next = output_next,
                    .next_context = scene, .context = scene),
               scene->fails ? (OUTPUT_ITEMS + 2) / 3 : 0);
    printf("after the maps\n");
}

/* How often line stands in text, as a whole line. */
static int output_count(const char *text, const char *line)
{
    size_t length = strlen(line);
    int count = 0;

    for (const char *at = text; (at = strstr(at, line)) != NULL; at += length)
        count += (at == text || at[-1] == '\n') && at[length] == '\n';
    return count;
}

static void output_check(const char *text)
{
    size_t lines = 0;
    char line[64];

    CHECK_EQUAL(output_count(text, "before the map"), 1);
    CHECK_EQUAL(output_count(text, "between the maps"), 1);
    CHECK_EQUAL(output_count(text, "after the maps"), 1);
    for (int i = 0; i < OUTPUT_ITEMS; i++) {
        snprintf(line, sizeof line, "item %d of %d", i, OUTPUT_ITEMS);
        CHECK_EQUAL(output_count(text, line), 2); /* once in each map */
    }
    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    CHECK_EQUAL(lines, 3 + 2 * OUTPUT_ITEMS); /* nothing else, and nothing torn */
}

static void output_through(const pool_kind *kind, int through_pipe, int mode, int fails)
{
    output_scene *scene = test_shared(sizeof *scene);
    static char text[65536];
    size_t used = 0;
    ssize_t got;
    int ends[2];
    pid_t child;

    *scene = (output_scene){.kind = kind, .mode = mode, .workers = 3, .fails = fails};
    if (through_pipe) {
        CHECK(pipe(ends) == 0);
    } else {
        char path[4200];

        snprintf(path, sizeof path, "%s/out", test_directory());
        ends[1] = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        ends[0] = open(path, O_RDONLY | O_CLOEXEC);
        CHECK(ends[0] >= 0 && ends[1] >= 0);
    }
    scene->fd = ends[1];
    child = test_child_start(output_run, scene);
    close(ends[1]);
    if (!through_pipe)
        CHECK_EQUAL(test_child_wait(child), 0);
    while ((got = read(ends[0], text + used, sizeof text - 1 - used)) > 0)
        used += (size_t)got;
    text[used] = '\0';
    close(ends[0]);
    if (through_pipe)
        CHECK_EQUAL(test_child_wait(child), 0);
    output_check(text);
}

BOTH(lines_through_a_pipe_appear_once)
{
    output_through(kind, 1, _IOFBF, 0);
}

BOTH(lines_into_a_file_appear_once)
{
    output_through(kind, 0, _IOFBF, 0);
}

BOTH(lines_appear_once_where_stdout_is_flushed_at_each_line)
{
    output_through(kind, 1, _IOLBF, 0);
}

BOTH(lines_of_items_that_failed_appear_once)
{
    output_through(kind, 1, _IOFBF, 1);
}

/* ---- what a FILE of the caller's holds is the caller's to flush ---- */

#if !TEST_TSAN
static int output_nothing(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    (void)context;
    return 0;
}

TEST(what_another_file_holds_is_written_once_by_its_owner)
{
    char path[4200], text[64] = "";
    FILE *file;

    snprintf(path, sizeof path, "%s/log", test_directory());
    file = fopen(path, "we");
    CHECK(file != NULL);
    fprintf(file, "held back\n");
    CHECK_CODE(many_process_each(output_nothing, POOL_NOTHING, 10, .workers = 3), 0);
    CHECK(fclose(file) == 0);
    file = fopen(path, "re");
    CHECK(file != NULL);
    CHECK_EQUAL(fread(text, 1, sizeof text - 1, file), strlen("held back\n"));
    CHECK_STRING(text, "held back\n");
    fclose(file);
}

static pthread_barrier_t output_barrier;

static void *output_hold(void *argument)
{
    (void)argument;
    flockfile(stdout);
    pthread_barrier_wait(&output_barrier);
    pthread_barrier_wait(&output_barrier);
    funlockfile(stdout);
    return NULL;
}

/* A thread that sits in stdin or holds stdout must not hold up the map. */
TEST(a_map_does_not_wait_for_a_thread_that_holds_stdout)
{
    pthread_t thread;

    CHECK(pthread_barrier_init(&output_barrier, NULL, 2) == 0);
    CHECK(pthread_create(&thread, NULL, output_hold, NULL) == 0);
    pthread_barrier_wait(&output_barrier);
    CHECK_CODE(many_process_each(output_nothing, POOL_NOTHING, 10, .workers = 3), 0);
    pthread_barrier_wait(&output_barrier);
    CHECK(pthread_join(thread, NULL) == 0);
    pthread_barrier_destroy(&output_barrier);
}
#endif
