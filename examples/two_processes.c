/* SPDX-License-Identifier: MIT */
/*
 * two_processes.c - the same function with two arguments, in two processes
 *
 * In Python:
 *
 *     p1 = Process(target=funcname, args=("bob",))
 *     p2 = Process(target=funcname, args=("john",))
 *     p1.start()
 *     p2.start()
 */
#include <many.h>
#include <stdio.h>

static int funcname(void *argument)
{
    const char *name = argument;

    for (int i = 0; i < 100; i++)
        printf("%s %d\n", name, i);
    return 0;
}

int main(void)
{
    static char bob[] = "bob", john[] = "john";
    many_process *processes[2] = {NULL, NULL};
    int running = 2, ended[2];

    if (many_process_start(&processes[0], funcname, bob) < 0 ||
        many_process_start(&processes[1], funcname, john) < 0)
        fprintf(stderr, "two_processes: %s\n", many_error_message());
    while (running > 0 && many_process_wait(processes, 2, ended, MANY_FOREVER) > 0) {
        for (int i = 0; i < 2; i++) {
            if (ended[i]) { /* whichever ends first */
                many_process_close(processes[i]);
                processes[i] = NULL;
                running--;
            }
        }
    }
    many_process_close(processes[0]); /* nothing, but after a failure */
    many_process_close(processes[1]);
    return running;
}
