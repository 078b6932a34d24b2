/* SPDX-License-Identifier: MIT */
/*
 * spawn.c - processes that are no copies of this one: by the fork server, and by exec of this program
 *
 * They start from little, whatever this program has become by then: the argument goes as bytes, and a
 * segment and a queue by .inherits.
 */
#include <many.h>

#include <stdio.h>

/* In the new process: what it inherits, by the place that it had in .inherits. */
static int square(void *argument)
{
    const int *number = argument;
    int *total = many_segment_data(many_inherited(0).segment);
    char text[64];
    int length = snprintf(text, sizeof text, "%s: %d", many_process_name(many_process_current()),
                          *number * *number);

    *total += *number * *number;
    return many_queue_put(many_inherited(1).queue, text, (size_t)length, MANY_FOREVER) == 0 ? 0 : 1;
}

static int run(int method, const char *name, int number, const many_inherit *inherits)
{
    many_process *process = NULL;
    char text[64];
    ssize_t length;
    int status = 0;
    int code = many_process_start(&process, square, &number, .argument_bytes = sizeof number,
                                  .method = method, .name = name, .inherits = inherits,
                                  .inherits_count = 2);

    if (code == 0)
        code = many_process_join(process, MANY_FOREVER);
    if (code == 0)
        code = many_process_exit_code(process, &status);
    many_process_close(process);
    length = many_queue_get_nowait(inherits[1].queue, text, sizeof text);
    if (code != 0 || status != 0 || length < 0)
        return -1;
    printf("%.*s\n", (int)length, text);
    return 0;
}

int main(int argc, char **argv)
{
    many_segment *segment = NULL;
    many_queue *queue = NULL;
    int failed;

    many_main(argc, argv); /* first of all: a spawned process goes its own way here */
    failed = many_segment_open(&segment, .bytes = sizeof(int)) != 0 || many_queue_open(&queue) != 0;
    if (!failed) {
        const many_inherit inherits[] = {{.segment = segment}, {.queue = queue}};

        failed = run(MANY_FORKSERVER, "by the fork server", 3, inherits) != 0 ||
                 run(MANY_SPAWN, "by exec", 4, inherits) != 0;
    }
    if (failed)
        fprintf(stderr, "%s\n", many_error_message());
    else
        printf("together: %d\n", *(int *)many_segment_data(segment));
    many_queue_close(queue);
    many_segment_close(segment);
    return failed;
}
