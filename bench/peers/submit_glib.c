/* SPDX-License-Identifier: MIT */
/*
 * submit_glib.c - submit.one and submit.many with GThreadPool
 *
 * It has no futures. Who submits one task waits for it by a mutex and a condition; for all of them,
 * by freeing the pool, which is GLib's own way to wait for all, and in the time.
 */
#include "submit.h"

#include <glib.h>

typedef struct glib_task {
    const long *x;
    long *y;
    GMutex mutex;
    GCond condition;
    int over; /* under mutex */
} glib_task;

static bench_fn *volatile task_kept = bench_submit_task; /* read back, so that nobody inlines it */
static GThreadPool *glib_pool;
static glib_task glib_only;

static void glib_run_one(gpointer data, gpointer context)
{
    glib_task *task = data;

    (void)context;
    task_kept(task->x, task->y, NULL);
    g_mutex_lock(&task->mutex);
    task->over = 1;
    g_cond_signal(&task->condition);
    g_mutex_unlock(&task->mutex);
}

static void glib_push(GThreadPool *pool, gpointer data)
{
    if (!g_thread_pool_push(pool, data, NULL))
        bench_die("g_thread_pool_push failed");
}

static GThreadPool *glib_open(GFunc run, gpointer context)
{
    GThreadPool *pool = g_thread_pool_new(run, context, SUBMIT_WORKERS, TRUE, NULL);

    if (pool == NULL)
        bench_die("g_thread_pool_new failed");
    return pool;
}

static void glib_one(const long *x, long *y)
{
    if (glib_pool == NULL)
        glib_pool = glib_open(glib_run_one, NULL);
    glib_only.x = x;
    glib_only.y = y;
    glib_only.over = 0;
    glib_push(glib_pool, &glib_only);
    g_mutex_lock(&glib_only.mutex);
    while (!glib_only.over)
        g_cond_wait(&glib_only.condition, &glib_only.mutex);
    g_mutex_unlock(&glib_only.mutex);
}

static void glib_run_all(gpointer index_plus_one, gpointer context)
{
    size_t i = GPOINTER_TO_SIZE(index_plus_one) - 1; /* a pool refuses NULL */
    const glib_task *tasks = context;

    task_kept(tasks->x + i, tasks->y + i, NULL);
}

static void glib_all(const long *x, long *y, size_t n)
{
    glib_task tasks = {.x = x, .y = y};
    GThreadPool *pool = glib_open(glib_run_all, &tasks);

    for (size_t i = 0; i < n; i++)
        glib_push(pool, GSIZE_TO_POINTER(i + 1));
    g_thread_pool_free(pool, FALSE, TRUE);
}

int main(int argc, char **argv)
{
    static const bench_submitter subjects[] = {{.name = "glib", .one = glib_one, .all = glib_all}};

    return bench_submit_main(argc, argv, subjects, sizeof subjects / sizeof subjects[0]);
}
