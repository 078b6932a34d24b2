/* SPDX-License-Identifier: MIT */
/*
 * start_and_join.c - two processes, started side by side and waited for one after the other
 *
 * In Python:
 *
 *     process = [mp.Process(target=func, args=(1,)), mp.Process(target=func, args=(2,))]
 *     [p.start() for p in process]
 *     print("start")
 *     [p.join() for p in process]
 *     print("end")
 */
#include <many.h>
#include <stdio.h>

/* Runs in a process of its own; what it returns is that process's exit code. */
static int func(void *argument)
{
    printf("id %d\n", *(const int *)argument);
    return 0;
}

int main(void)
{
    many_process *processes[2] = {NULL, NULL};
    int ids[2] = {1, 2};
    int code = 0;

    for (int i = 0; i < 2 && code == 0; i++)
        code = many_process_start(&processes[i], func, &ids[i]);
    printf("start\n");
    for (int i = 0; i < 2 && code == 0; i++)
        code = many_process_join(processes[i], MANY_FOREVER);
    if (code < 0)
        fprintf(stderr, "start_and_join: %s\n", many_error_message());
    for (int i = 0; i < 2; i++)
        many_process_close(processes[i]); /* ends what is still running, after a failure */
    printf("end\n");
    return code < 0;
}
