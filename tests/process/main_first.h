/* SPDX-License-Identifier: MIT */
/*
 * main_first.h - many_main() before the tests' own main(), which knows nothing of it
 *
 * Included by the one file of a program that is to be spawned. A constructor gets argv from some C
 * libraries only, so it is read where the kernel shows it.
 */
#ifndef MANY_TEST_MAIN_FIRST_H
#define MANY_TEST_MAIN_FIRST_H

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <many/process.h>

__attribute__((constructor)) static void main_first(void)
{
    static char text[4096];
    static char *argv[64];
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    int argc = 0;

    if (fd >= 0)
        close(fd);
    for (char *at = text; at < text + got && argc < 63; at += strlen(at) + 1)
        argv[argc++] = at;
    many_main(argc, argv);
}

#endif
