/* SPDX-License-Identifier: MIT */
/* terminal.c - what the terminal is like; see os/terminal.h */
#include "os/terminal.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

int many_terminal_is_(int fd)
{
    struct termios mode;

    return tcgetattr(fd, &mode) == 0;
}

int many_terminal_columns_(int fd)
{
    struct winsize size;

    if (ioctl(fd, TIOCGWINSZ, &size) != 0)
        return 0;
    return size.ws_col;
}

int many_terminal_utf8_(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    const char *codeset = nl_langinfo(CODESET);
    const char *set = setlocale(LC_CTYPE, NULL);

    if (codeset != NULL && strcasecmp(codeset, "UTF-8") == 0)
        return 1;
    if (set != NULL && strcmp(set, "C") != 0 && strcmp(set, "POSIX") != 0)
        return 0; /* the program has chosen another encoding */
    /* A program that never called setlocale() is in "C"; its terminal is what the environment says.
     */
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = getenv(names[i]);
        if (value == NULL || *value == '\0')
            continue;
        const char *dot = strchr(value, '.');
        return dot != NULL &&
               (strncasecmp(dot, ".UTF-8", 6) == 0 || strncasecmp(dot, ".utf8", 5) == 0);
    }
    return 0;
}

int many_terminal_write_(int fd, const char *text, size_t bytes)
{
    while (bytes > 0) {
        ssize_t wrote = write(fd, text, bytes);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return -errno;
        text += wrote;
        bytes -= (size_t)wrote;
    }
    return 0;
}
