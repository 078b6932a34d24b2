/* SPDX-License-Identifier: MIT */
/* test_process_future_faults.c - ends that come between two steps of who waits for them */
#include "supervised.h"

#include "base/fault.h"

typedef struct between_board {
    _Atomic int gate; /* the task may return */
    _Atomic int over; /* its ticket is over, and nobody was told */
    _Atomic int told; /* its worker may go on */
    _Atomic int called;
} between_board;

static between_board *between_shared;
static pid_t between_owner;

static int between_hook(const char *point)
{
    if (getpid() == between_owner && strcmp(point, "process.sleep.listens") == 0) {
        atomic_store(&between_shared->gate, 1);
        UNTIL(atomic_load(&between_shared->over));
    } else if (getpid() != between_owner && strcmp(point, "ticket.end.over") == 0) {
        atomic_store(&between_shared->over, 1);
        UNTIL(atomic_load(&between_shared->told));
    }
    return 0;
}

static int between_task(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    (void)context;
    UNTIL(atomic_load(&between_shared->gate));
    return 0;
}

static int between_done(many_future *future, void *context)
{
    (void)future;
    (void)context;
    atomic_fetch_add(&between_shared->called, 1);
    return 0;
}

/* The task is over when the join wants to hear of it, and its worker is held up before it tells. */
TEST(a_join_has_called_the_callback_of_a_task_that_ends_as_it_begins_to_listen)
{
    many_pool *pool = NULL;

    between_shared = test_shared(sizeof *between_shared);
    between_owner = getpid();
    many_fault_hook_ = between_hook;
    CHECK_CODE(many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = 1), 0);
    CHECK_CODE(many_pool_submit(pool, between_task, NULL, NULL, .on_done = between_done), 0);
    CHECK_CODE(many_pool_join(pool, MANY_FOREVER), 0);
    CHECK_EQUAL(atomic_load(&between_shared->called), 1);
    atomic_store(&between_shared->told, 1);
    many_fault_hook_ = NULL;
    CHECK_CODE(many_pool_close(pool, MANY_FOREVER), 0);
    CHECK_EQUAL(atomic_load(&between_shared->called), 1);
}
