/* SPDX-License-Identifier: MIT */
/*
 * main.c - the first line of main(): a process that was spawned goes its own way; see process/spawn.h
 *
 * Promise    A process that was spawned never runs main as the program: if it cannot tell what it is to be it
 *            ends, for else it would spawn what the program spawns, and so on without an end. It is known by
 *            the name under which it was exec'ed, which nobody types.
 *            In a program with more rights than its caller (set-user-ID, capabilities) nothing is believed:
 *            the caller could have any code run with them. So there is no spawn, and the fork server is a
 *            fork.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "os/launch.h"
#include "os/thread.h"
#include "process/arrival.h"
#include "process/child.h"
#include "process/parcel.h"
#include "process/server_loop.h"
#include "process/spawn.h"

/* What is true of the program, and stays so: its name, once main has called. */
static _Atomic(const char *) main_name;

const char *many_main_name_(void)
{
    return atomic_load(&main_name);
}

/* A decimal number, and nothing else; -1: not one. */
static int main_number(const char *text)
{
    int number = 0;

    if (text[0] == '\0' || strlen(text) > 9) /* as many as an int surely holds */
        return -1;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return -1;
        number = number * 10 + (*text - '0');
    }
    return number;
}

/* Only what is passed on is to pass another exec. */
static void main_close_on_exec(int fd)
{
    if (fd >= 0)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* The system calls it "exe", by which nobody finds it in a list. */
static void main_take_name(void)
{
    const char *name = many_main_name_(), *slash = strrchr(name, '/');

    many_thread_call_(slash != NULL ? slash + 1 : name);
}

static _Noreturn void main_become(many_parcel_ *parcel)
{
    main_take_name();
    main_close_on_exec(parcel->socket);
    main_close_on_exec(parcel->line);
    if (parcel->kind == MANY_PARCEL_SERVER_)
        many_server_loop_(parcel->socket, parcel->parent, NULL, 0);
    many_arrive_(parcel, parcel->socket, NULL, 0);
}

void many_main(int argc, char **argv)
{
    many_parcel_ parcel;
    int fd;

    if (many_launch_is_privileged_())
        return;
    atomic_store(&main_name, argc > 0 && argv[0] != NULL ? argv[0] : "many");
    if (argc != 3 || strcmp(argv[1], MANY_SPAWNED_) != 0)
        return;
    fd = main_number(argv[2]);
    if (fd <= STDERR_FILENO || many_parcel_read_(&parcel, fd) < 0) {
        if (many_launch_was_execed_())
            _exit(MANY_CHILD_LOST_);
        return;
    }
    close(fd);
    main_become(&parcel);
}
