/* SPDX-License-Identifier: MIT */
/*
 * square_and_cube.c - two different functions in two processes
 *
 * In Python:
 *
 *     p1 = multiprocessing.Process(target=print_square, args=(10, ))
 *     p2 = multiprocessing.Process(target=print_cube, args=(10, ))
 *     p1.start(); p2.start(); p1.join(); p2.join()
 *     print("Done!")
 */
#include <many.h>
#include <stdio.h>

static int print_cube(void *argument)
{
    long num = *(const long *)argument;

    printf("Cube: %ld\n", num * num * num);
    return 0;
}

static int print_square(void *argument)
{
    long num = *(const long *)argument;

    printf("Square: %ld\n", num * num);
    return 0;
}

/* Wait for its end, and say so if it was not a good one. */
static int join(many_process *process)
{
    many_cause cause = {0};
    int code = many_process_join(process, MANY_FOREVER);

    if (code == 0)
        code = many_process_cause(process, &cause);
    if (code < 0) {
        fprintf(stderr, "square_and_cube: %s\n", many_error_message());
    } else if (cause.code != 0 || cause.exit_status != 0) {
        fprintf(stderr, "square_and_cube: %s\n", cause.text);
        code = -1;
    }
    many_process_close(process);
    return code;
}

int main(void)
{
    many_process *p1 = NULL, *p2 = NULL;
    long num = 10;

    if (many_process_start(&p1, print_square, &num, .name = "square") < 0 ||
        many_process_start(&p2, print_cube, &num, .name = "cube") < 0) {
        fprintf(stderr, "square_and_cube: %s\n", many_error_message());
        many_process_close(p1);
        return 1;
    }
    if (join(p1) < 0 || join(p2) < 0)
        return 1;
    printf("Done!\n");
    return 0;
}
