/* SPDX-License-Identifier: MIT */
/*
 * test_left_behind.c - after each kind of ending there are the same descriptors, threads, children,
 * mappings, dispositions and mask as before, and closed streams are still closed
 */
#include "kind.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

typedef struct left_scene {
    const pool_kind *kind;
    int ending; /* an index into left_endings */
    size_t next;
    many_cancel token;
    _Atomic uint32_t entered;
} left_scene;

enum left_way {
    LEFT_DONE,
    LEFT_FAILED,  /* one item fails */
    LEFT_TIMEOUT, /* one item does not end */
    LEFT_CANCEL,  /* one item has the token set by a thread, and waits */
    LEFT_ON_RESULT,
    LEFT_NEXT
};

static const struct left_ending {
    enum left_way way;
    int source;
    int go_on;
    int bar;
    int code;
} left_endings[] = {
    {LEFT_DONE, 0, 0, 0, 0},
    {LEFT_DONE, 0, 0, 1, 0},
    {LEFT_DONE, 1, 0, 0, 0},
    {LEFT_DONE, 1, 0, 1, 0},
    {LEFT_FAILED, 0, 0, 0, -MANY_ETASK},
    {LEFT_FAILED, 0, 1, 1, 1},
    {LEFT_FAILED, 1, 0, 1, -MANY_ETASK},
    {LEFT_FAILED, 1, 1, 0, 1},
    {LEFT_TIMEOUT, 0, 0, 0, -ETIMEDOUT},
    {LEFT_TIMEOUT, 0, 1, 0, 1},
    {LEFT_TIMEOUT, 1, 0, 0, -ETIMEDOUT},
    {LEFT_TIMEOUT, 1, 1, 0, 1},
    {LEFT_CANCEL, 0, 0, 0, -ECANCELED},
    {LEFT_CANCEL, 1, 0, 1, -ECANCELED},
    {LEFT_ON_RESULT, 1, 0, 0, -EXDEV},
    {LEFT_NEXT, 1, 0, 0, -EXDEV},
};
#define LEFT_ENDINGS (sizeof left_endings / sizeof left_endings[0])

static int left_task(const void *item, void *result, void *context)
{
    left_scene *scene = context;
    enum left_way way = left_endings[scene->ending].way;

    (void)item;
    *(size_t *)result = many_item_index();
    if (many_item_index() != 20)
        return 0;
    atomic_fetch_add(&scene->entered, 1);
    if (way == LEFT_FAILED)
        return many_fail(-EIO, "no");
    if (way == LEFT_TIMEOUT || way == LEFT_CANCEL)
        UNTIL(many_cancelled());
    return 0;
}

static int left_next(void *item, void *context)
{
    left_scene *scene = context;

    if (left_endings[scene->ending].way == LEFT_NEXT && scene->next == 30)
        return -EXDEV;
    if (scene->next == 40)
        return 0;
    *(size_t *)item = scene->next++;
    return 1;
}

static int left_take(const many_outcome *outcome, void *context)
{
    const left_scene *scene = context;

    return left_endings[scene->ending].way == LEFT_ON_RESULT && outcome->index == 20 ? -EXDEV : 0;
}

static void *left_cancel(void *argument)
{
    left_scene *scene = argument;

    UNTIL(atomic_load(&scene->entered) > 0);
    many_cancel_set(&scene->token);
    return NULL;
}

static void left_run(const pool_kind *kind, size_t e)
{
    const struct left_ending *ending = &left_endings[e];
    left_scene *scene = test_shared(sizeof *scene);
    many_bar *bar = NULL;
    pthread_t thread;
    size_t in[40], out[40];
    int codes[40], code;

    memset(in, 0, sizeof in);
    scene->ending = (int)e;
    if (ending->bar)
        CHECK_CODE(many_bar_open(&bar, .total = 40, .quiet = 1), 0);
    if (ending->way == LEFT_CANCEL)
        CHECK(pthread_create(&thread, NULL, left_cancel, scene) == 0);
    code = kind->map(left_task, ending->source ? NULL : in, sizeof *in, out, sizeof *out,
                     MANY_MAP_OPTIONS_(40, .workers = 3, .retries = ending->go_on,
                                       .on_error = ending->go_on ? MANY_GO_ON : MANY_STOP,
                                       .item_limit_s = ending->way == LEFT_TIMEOUT ? 0.1 : 0,
                                       .context = scene, .codes = codes, .bar = bar,
                                       .cancel = ending->way == LEFT_CANCEL ? &scene->token : NULL,
                                       .next = ending->source ? left_next : NULL,
                                       .next_context = ending->source ? scene : NULL, .window = 7,
                                       .on_result = ending->source ? left_take : NULL,
                                       .on_result_context = ending->source ? scene : NULL));
    if (ending->way == LEFT_CANCEL)
        CHECK(pthread_join(thread, NULL) == 0);
    many_bar_close(bar);
    CHECK_CODE(code, ending->code);
}

BOTH(nothing_is_left_behind_whatever_the_ending)
{
    for (size_t e = 0; e < LEFT_ENDINGS; e++) {
        test_census before = pool_census();
        test_signals signals;

        test_signals_take(&signals);
        left_run(kind, e);
        CHECK_CENSUS(before);
        CHECK_SIGNALS(signals);
    }
}

/* So often that one mapping or descriptor a call could not hide. */
BOTH(nothing_is_left_behind_by_many_maps)
{
    test_census before = pool_census();
    left_scene scene = {.kind = kind};
    size_t in[4] = {0}, out[4];

    for (int round = 0; round < 3 * TEST_MAPPINGS_SLACK; round++) {
        scene.ending = round % 2 ? 0 : 2;
        scene.next = 36;
        CHECK_CODE(kind->map(left_task, round % 2 ? in : NULL, sizeof *in, out, sizeof *out,
                             MANY_MAP_OPTIONS_(4, .workers = 2, .context = &scene,
                                               .next = round % 2 ? NULL : left_next,
                                               .next_context = round % 2 ? NULL : &scene)),
                   0);
    }
    CHECK_CENSUS(before);
}

/* ---- closed streams ---- */

static void left_with_closed_streams(void *argument)
{
    const pool_kind *kind = argument;

    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    for (size_t e = 0; e < LEFT_ENDINGS; e++)
        left_run(kind, e);
    /* Nothing of ours took their numbers for good. */
    CHECK(fcntl(STDIN_FILENO, F_GETFD) == -1 && errno == EBADF);
    CHECK(fcntl(STDOUT_FILENO, F_GETFD) == -1 && errno == EBADF);
}

BOTH(maps_work_with_stdin_and_stdout_closed)
{
    CHECK_EQUAL(test_in_child(left_with_closed_streams, (void *)kind), 0);
}

static int left_look_at_stdin(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    (void)context;
    return fcntl(STDIN_FILENO, F_GETFD) != -1;
}

static int left_look_next(void *item, void *context)
{
    size_t *next = context;

    *(size_t *)item = *next;
    return fcntl(STDIN_FILENO, F_GETFD) != -1 ? -EEXIST : (*next)++ < 10;
}

static void left_look(void *argument)
{
    const pool_kind *kind = argument;
    many_cancel token = {0};
    size_t next = 0;

    close(STDIN_FILENO);
    CHECK_CODE(EACH(kind, left_look_at_stdin, POOL_NOTHING, 10, .workers = 2, .cancel = &token,
                    .item_limit_s = 1000),
               0);
    CHECK_CODE(EACH(kind, left_look_at_stdin, (size_t *)NULL, 0, .workers = 2, .cancel = &token,
                    .next = left_look_next, .next_context = &next),
               0);
}

BOTH(a_descriptor_of_ours_is_never_taken_for_stdin)
{
    CHECK_EQUAL(test_in_child(left_look, (void *)kind), 0);
}

/* ---- no descriptors ---- */

static void left_without_descriptors(void *argument)
{
    const pool_kind *kind = argument;
    size_t out[10], next = 0;
    int codes[10];

    for (rlim_t most = 3; most < 12; most++) {
        const struct rlimit few = {most, 1024};
        many_cancel token = {0};
        int code;

        CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
        memset(codes, 0x11, sizeof codes);
        code = MAP(kind, left_look_at_stdin, POOL_NOTHING, out, 10, .workers = 3,
                   .on_error = MANY_GO_ON, .cancel = &token, .item_limit_s = 1000, .codes = codes);
        if (most == 3)
            CHECK_CODE(code, -EMFILE);
        if (code < 0) {
            CHECK_CODE(code, -EMFILE);
            CHECK_CONTAINS(many_error_message(), kind->map_name);
            CHECK_CONTAINS(many_error_message(), "raise ulimit -n");
        } else {
            CHECK_EQUAL(code, 10); /* stdin is open, and each item says so */
        }
        next = 0;
        code = EACH(kind, left_look_at_stdin, (size_t *)NULL, 10, .workers = 3, .cancel = &token,
                    .on_error = MANY_GO_ON, .next = left_look_next, .next_context = &next);
        CHECK(code == -EMFILE || code == -EEXIST);
    }
    /* Nothing was left open on the way: the lowest number is still free. */
    CHECK_EQUAL(dup(STDIN_FILENO), 3);
}

static void left_alone(void *argument)
{
    for (int fd = 3; fd < 1024; fd++)
        close(fd);
    left_without_descriptors(argument);
}

BOTH(without_descriptors_there_is_a_clear_error_or_a_slower_map)
{
    CHECK_EQUAL(test_in_child(left_alone, (void *)kind), 0);
}
