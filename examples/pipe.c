/* SPDX-License-Identifier: MIT */
/*
 * pipe.c - processes that talk over pipes, each pipe between two of them
 *
 * In Python, with I1 at one end of a pipe, and I2 and I3 sharing the other end, it is a matter of luck
 * which of the two gets which message. What is meant is a pipe for each pair:
 *
 *     conn1, conn2 = mp.Pipe()
 *     mp.Process(target=func_pipe1, args=(conn1, conn3, "I1"))
 *     mp.Process(target=func_pipe2, args=(conn2, "I2"))
 *     mp.Process(target=func_pipe2, args=(conn4, "I3"))
 */
#define _POSIX_C_SOURCE 200809L
#include <many.h>
#include <stdio.h>
#include <string.h>

typedef struct talk {
    const char *id;
    many_pipe *first, *second; /* the second is I1's alone */
} talk;

static int say(const talk *self, many_pipe *to, const char *text, const char *what)
{
    int code = many_pipe_send(to, text, strlen(text), MANY_FOREVER);

    if (code == 0)
        printf("%s %s\n", self->id, what);
    return code;
}

static int hear(const talk *self, many_pipe *from)
{
    char text[32];
    ssize_t bytes = many_pipe_receive(from, text, sizeof text, MANY_FOREVER);

    if (bytes >= 0)
        printf("%s recv %.*s\n", self->id, (int)bytes, text);
    return bytes < 0 ? (int)bytes : 0;
}

static int func_pipe1(void *argument)
{
    const talk *self = argument;

    return say(self, self->first, "I1_send1", "send1") < 0 ||
           say(self, self->second, "I1_send2", "send2") < 0 || hear(self, self->first) < 0 ||
           hear(self, self->second) < 0;
}

static int func_pipe2(void *argument)
{
    const talk *self = argument;

    return say(self, self->first, self->id, "send") < 0 || hear(self, self->first) < 0;
}

int main(void)
{
    talk i1 = {"I1", NULL, NULL}, i2 = {"I2", NULL, NULL}, i3 = {"I3", NULL, NULL};
    many_process *processes[3] = {NULL, NULL, NULL};
    int code = many_pipe_open(&i1.first, &i2.first);
    int wrong = 0;

    if (code == 0)
        code = many_pipe_open(&i1.second, &i3.first);
    if (code == 0)
        code = many_process_start(&processes[0], func_pipe1, &i1);
    if (code == 0)
        code = many_process_start(&processes[1], func_pipe2, &i2);
    if (code == 0)
        code = many_process_start(&processes[2], func_pipe2, &i3);
    /* The processes have the ends now; with ours closed, the end of a process is the end of its
     * stream. */
    many_pipe_close(i1.first);
    many_pipe_close(i1.second);
    many_pipe_close(i2.first);
    many_pipe_close(i3.first);
    for (int i = 0; i < 3 && code == 0; i++) {
        int exit_code = 0;

        code = many_process_join(processes[i], MANY_FOREVER);
        if (code == 0)
            code = many_process_exit_code(processes[i], &exit_code);
        wrong |= exit_code;
    }
    if (code < 0)
        fprintf(stderr, "pipe: %s\n", many_error_message());
    for (int i = 0; i < 3; i++)
        many_process_close(processes[i]);
    return code < 0 || wrong != 0;
}
