/* SPDX-License-Identifier: MIT */
/*
 * glib.c - GThreadPool, one push an item; the pool is opened and freed in the timed part, because
 * freeing it is GLib's own way to wait for all items
 *
 * A push costs hundreds of ns, so map.trivial has 1 million items here: the figure is per item.
 */
#include "map.h"

#include <glib.h>

static void glib_item(gpointer index_plus_one, gpointer context)
{
    const bench_map *map = context;
    size_t i = GPOINTER_TO_SIZE(index_plus_one) - 1; /* a pool refuses NULL */
    const char *in = map->in;
    char *out = map->out;

    map->fn(in + i * map->in_bytes, out + i * map->out_bytes, NULL);
}

static void glib_run(const bench_map *map)
{
    bench_map context = *map;
    GThreadPool *pool = g_thread_pool_new(glib_item, &context, map->workers, TRUE, NULL);

    if (pool == NULL)
        bench_die("g_thread_pool_new failed");
    for (size_t i = 0; i < map->n; i++)
        if (!g_thread_pool_push(pool, GSIZE_TO_POINTER(i + 1), NULL))
            bench_die("g_thread_pool_push failed");
    g_thread_pool_free(pool, FALSE, TRUE);
}

int main(int argc, char **argv)
{
    static const bench_subject subjects[] = {
        {.name = "glib", .run = glib_run, .trivial_items = 1000000},
    };

    return bench_map_main(argc, argv, subjects, sizeof subjects / sizeof subjects[0]);
}
