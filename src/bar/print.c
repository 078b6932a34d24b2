/* SPDX-License-Identifier: MIT */
/*
 * print.c - text above the bars: the public functions
 *
 * What stdio still holds for the descriptor comes first, as if it had been printed by it. Its lock is
 * tried, never awaited: whoever has it may be printing through the stage (guest.h).
 */
#include <many/bar.h>

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bar/guest.h"
#include "bar/stage.h"
#include "os/terminal.h"

/* Text up to this length is put together without memory from the heap. */
#define PRINT_BYTES 1024

static void print_flush(FILE *stream)
{
    if (__fpending(stream) == 0 || ftrylockfile(stream) != 0)
        return;
    fflush(stream);
    funlockfile(stream);
}

static void print_flush_out(void)
{
    print_flush(stdout);
}

static void print_flush_error(void)
{
    print_flush(stderr);
}

/* How to bring out what stdio holds for fd; NULL: it holds nothing. */
static void (*print_held(int fd))(void)
{
    if (fd == STDOUT_FILENO && __fpending(stdout) > 0)
        return print_flush_out;
    if (fd == STDERR_FILENO && __fpending(stderr) > 0)
        return print_flush_error;
    return NULL;
}

/* Text that ends with a line end. */
static int print_whole(int fd, const char *text, size_t bytes)
{
    const many_span_ spans[MANY_STAGE_SPANS] = {{text, bytes}};
    void (*flush)(void) = print_held(fd);
    many_stage_ *stage;
    int code;

    if (flush != NULL && many_guest_is_(fd)) { /* it prints above the bars by itself */
        flush();
        flush = NULL;
    }
    stage = many_stage_find_(fd);
    if (stage != NULL) {
        code = many_stage_print_(stage, fd, spans, NULL, flush);
        many_stage_drop_(stage);
        return code;
    }
    if (flush != NULL)
        flush();
    if (many_terminal_is_(fd))
        return many_stage_write_(fd, text, bytes);
    return many_stage_write_in_turn_(fd, text, bytes);
}

static int print_fail(const char *function, int fd, int code)
{
    return many_fail(code, "%s: descriptor %d cannot be written to: %s", function, fd,
                     many_strerror(code));
}

/* bytes of text, and a line end if there is none; room for one more byte behind them if room != 0. */
static int print_text(const char *function, int fd, char *text, size_t bytes)
{
    const int saved = errno;
    int cancel, code;

    if (bytes == 0 || text[bytes - 1] != '\n')
        text[bytes++] = '\n';
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel); /* not with the stage's lock held */
    code = print_whole(fd, text, bytes);
    pthread_setcancelstate(cancel, &cancel);
    errno = saved;
    return code < 0 ? print_fail(function, fd, code) : 0;
}

int many_bar_print(const char *format, ...)
{
    char small[PRINT_BYTES], *text = small;
    va_list arguments, again;
    int bytes, code;

    if (format == NULL)
        return many_fail(-EINVAL, "many_bar_print: format is NULL: give it as to printf()");
    va_start(arguments, format);
    va_copy(again, arguments);
    bytes = vsnprintf(small, sizeof small - 1, format, arguments);
    va_end(arguments);
    if (bytes >= (int)sizeof small - 1) {
        text = malloc((size_t)bytes + 2);
        if (text != NULL)
            bytes = vsnprintf(text, (size_t)bytes + 1, format, again);
    }
    va_end(again);
    if (text == NULL)
        return many_fail(-ENOMEM, "many_bar_print: no memory for a text of %d bytes", bytes);
    if (bytes < 0)
        code = many_fail(-EINVAL, "many_bar_print: format '%s' cannot be printed", format);
    else
        code = print_text("many_bar_print", STDOUT_FILENO, text, (size_t)bytes);
    if (text != small)
        free(text);
    return code;
}

int many_bar_write(int fd, const void *text, size_t bytes)
{
    char small[PRINT_BYTES], *copy = small;
    int code;

    if (fd < 0)
        return many_fail(-EINVAL, "many_bar_write: fd is %d: give 1 for stdout, 2 for stderr", fd);
    if (text == NULL && bytes > 0)
        return many_fail(-EINVAL, "many_bar_write: text is NULL");
    if (bytes >= sizeof small) {
        copy = bytes < SIZE_MAX ? malloc(bytes + 1) : NULL;
        if (copy == NULL)
            return many_fail(-ENOMEM, "many_bar_write: no memory for a text of %zu bytes", bytes);
    }
    if (bytes > 0)
        memcpy(copy, text, bytes);
    code = print_text("many_bar_write", fd, copy, bytes);
    if (copy != small)
        free(copy);
    return code;
}
