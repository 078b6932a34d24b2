/* SPDX-License-Identifier: MIT */
/*
 * bigparent_many.c - map.bigparent with many: `bigparent_many many-forkserver`, `... many-spawn`
 */
#include "bigparent.h"

#include <many.h>

#include <string.h>

static many_segment *bigparent_segment;
static int bigparent_method;

static int bigparent_item(void *argument)
{
    const long *i = argument;
    long *results = many_segment_data(many_inherited(0).segment);

    results[*i] = *i + 1;
    return 0;
}

static void bigparent_run(void)
{
    const many_inherit segment = {.segment = bigparent_segment};
    many_process *processes[BIGPARENT_ITEMS];

    for (long i = 0; i < BIGPARENT_ITEMS; i++)
        if (many_process_start(&processes[i], bigparent_item, &i, .argument_bytes = sizeof i,
                               .method = bigparent_method, .inherits = &segment,
                               .inherits_count = 1) != 0)
            bench_die("%s", many_error_message());
    for (long i = 0; i < BIGPARENT_ITEMS; i++) {
        if (many_process_join(processes[i], MANY_FOREVER) != 0)
            bench_die("%s", many_error_message());
        many_process_close(processes[i]);
    }
}

int main(int argc, char **argv)
{
    many_main(argc, argv);
    if (argc != 2 ||
        (strcmp(argv[1], "many-forkserver") != 0 && strcmp(argv[1], "many-spawn") != 0))
        bench_die("usage: %s many-forkserver|many-spawn", argv[0]);
    bigparent_method = strcmp(argv[1], "many-spawn") == 0 ? MANY_SPAWN : MANY_FORKSERVER;
    if (many_segment_open(&bigparent_segment, .bytes = BIGPARENT_ITEMS * sizeof(long)) != 0 ||
        many_forkserver_start() != 0)
        bench_die("%s", many_error_message());
    return bench_bigparent(many_segment_data(bigparent_segment), bigparent_run);
}
