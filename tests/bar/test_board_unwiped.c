/* SPDX-License-Identifier: MIT */
/* test_board_unwiped.c - counters where the kernel cannot wipe a page for a child */
#include "test.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bar/bar.h"
#include "bar/board.h"
#include "os/clock.h"

/* In the place of the C library's: Linux before 4.14. */
int madvise(void *address, size_t bytes, int advice)
{
    if (advice == MADV_WIPEONFORK) {
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_madvise, address, bytes, advice);
}

enum { EACH = 20000 };

static many_bar *bar;

static void add_each(void *argument)
{
    (void)argument;
    for (int i = 0; i < EACH; i++)
        many_bar_add(bar, 1);
    CHECK(many_bar_due_ns_(bar) == MANY_NEVER_NS);
    many_bar_close(bar);
}

static void *add_in_thread(void *argument)
{
    (void)argument;
    for (int i = 0; i < EACH; i++)
        many_bar_add(bar, 1);
    return NULL;
}

TEST(nobody_has_a_cell_of_his_own)
{
    many_board_ board;

    CHECK_CODE(many_board_open_(&board, 0, 1), 0);
    CHECK(many_board_claim_(&board) == NULL);
    CHECK(many_board_is_opener_(&board));
    many_board_close_(&board);
}

TEST(threads_and_children_count_exactly)
{
    enum { THREADS = 3, CHILDREN = 3 };
    pid_t children[CHILDREN];
    pthread_t threads[THREADS];
    int ends[2];

    CHECK(pipe(ends) == 0);
    CHECK_CODE(many_bar_open(&bar, .total = 1, .fd = ends[1]), 0);
    many_bar_add(bar, 1);
    for (int i = 0; i < CHILDREN; i++)
        children[i] = test_child_start(add_each, NULL);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, add_in_thread, NULL) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < CHILDREN; i++)
        CHECK(test_child_wait(children[i]) == 0);
    CHECK_EQUAL(many_bar_count(bar), 1 + (THREADS + CHILDREN) * EACH);
    CHECK(many_bar_due_ns_(bar) != MANY_NEVER_NS);
    many_bar_close(bar);
    close(ends[0]);
    close(ends[1]);
}
