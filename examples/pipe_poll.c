/* SPDX-License-Identifier: MIT */
/*
 * pipe_poll.c - is there something to receive? And a pipe that goes one way
 *
 * In Python:
 *
 *     conn1, conn2 = Pipe(duplex=True)
 *     conn1.send('A')
 *     print(conn1.poll())                     # False: nothing waits to be received by conn1
 *     print(conn2.poll())                     # True
 *     print(conn2.recv(), conn2.poll(2))      # A False, after two seconds
 *
 * With duplex=False messages go from conn2 to conn1 only.
 */
#include <many.h>
#include <errno.h>
#include <stdio.h>

static const char *truth(int code)
{
    return code < 0 ? many_error_name(code) : code > 0 ? "True" : "False";
}

int main(void)
{
    many_pipe *conn1 = NULL, *conn2 = NULL;
    char text[8];
    ssize_t bytes;

    if (many_pipe_open(&conn1, &conn2) < 0) {
        fprintf(stderr, "pipe_poll: %s\n", many_error_message());
        return 1;
    }
    many_pipe_send(conn1, "A", 1, MANY_FOREVER);
    printf("%s\n", truth(many_pipe_poll(conn1, 0)));
    printf("%s\n", truth(many_pipe_poll(conn2, 0)));
    bytes = many_pipe_receive(conn2, text, sizeof text, MANY_FOREVER);
    printf("%.*s %s\n", (int)bytes, text, truth(many_pipe_poll(conn2, 2)));
    many_pipe_close(conn1);
    printf("closed: %s, %s\n", truth(many_pipe_poll(conn2, 0)),
           truth((int)many_pipe_receive(conn2, text, sizeof text, 0)));
    many_pipe_close(conn2);

    if (many_pipe_open(&conn1, &conn2, .one_way = 1) < 0) {
        fprintf(stderr, "pipe_poll: %s\n", many_error_message());
        return 1;
    }
    many_pipe_send(conn2, "B", 1, MANY_FOREVER);
    bytes = many_pipe_receive(conn1, text, sizeof text, MANY_FOREVER);
    printf("%.*s; the other way: %s\n", (int)bytes, text,
           truth(many_pipe_send(conn1, "C", 1, MANY_FOREVER)));
    many_pipe_close(conn1);
    many_pipe_close(conn2);
    return 0;
}
