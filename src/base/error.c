/* SPDX-License-Identifier: MIT */
/* error.c - a code becomes a name and a sentence; the thread's last message */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <many/base.h>

/* One list gives number, name and text at once (libuv's idea). Only codes that many can return, and
 * those a task is likely to. */
#define ERROR_LIST(X)                                                                              \
    X(EPERM, "not permitted")                                                                      \
    X(ENOENT, "no such file or directory")                                                         \
    X(ESRCH, "no such process")                                                                    \
    X(EINTR, "a signal handler ran while the call waited")                                         \
    X(EIO, "input or output failed")                                                               \
    X(E2BIG, "an option is newer than this library")                                               \
    X(EBADF, "not an open descriptor")                                                             \
    X(ECHILD, "no such child process")                                                             \
    X(EAGAIN, "not now: try again, or no more processes or threads allowed")                       \
    X(ENOMEM, "not enough memory")                                                                 \
    X(EACCES, "access denied")                                                                     \
    X(EFAULT, "bad address")                                                                       \
    X(EBUSY, "busy")                                                                               \
    X(EEXIST, "exists already")                                                                    \
    X(ENOTDIR, "not a directory")                                                                  \
    X(EISDIR, "is a directory")                                                                    \
    X(ENXIO, "no such device or address")                                                          \
    X(EXDEV, "on another file system")                                                             \
    X(ENODEV, "no such device")                                                                    \
    X(ENOEXEC, "not a program")                                                                    \
    X(ETXTBSY, "the program file is being written")                                                \
    X(ESPIPE, "not a file that can be searched")                                                   \
    X(EMLINK, "too many links")                                                                    \
    X(ELOOP, "too many symbolic links")                                                            \
    X(ENOTEMPTY, "folder not empty")                                                               \
    X(EILSEQ, "not a valid character")                                                             \
    X(EPROTO, "protocol error")                                                                    \
    X(ENOTSOCK, "not a socket")                                                                    \
    X(EADDRNOTAVAIL, "address not available")                                                      \
    X(EADDRINUSE, "address in use")                                                                \
    X(ENETUNREACH, "network unreachable")                                                          \
    X(ECONNRESET, "connection reset")                                                              \
    X(ECONNREFUSED, "connection refused")                                                          \
    X(EHOSTUNREACH, "host unreachable")                                                            \
    X(EDQUOT, "over the quota")                                                                    \
    X(ESTALE, "stale file handle")                                                                 \
    X(EINVAL, "an argument makes no sense")                                                        \
    X(ENFILE, "the system has no descriptors left")                                                \
    X(EMFILE, "the process has no descriptors left")                                               \
    X(EFBIG, "file too large")                                                                     \
    X(ENOSPC, "no space left")                                                                     \
    X(EROFS, "read-only file system")                                                              \
    X(EPIPE, "the other side has closed")                                                          \
    X(EDOM, "outside the domain of the function")                                                  \
    X(ERANGE, "result out of range")                                                               \
    X(EDEADLK, "the wait would never end: it closes a circle")                                     \
    X(ENAMETOOLONG, "name too long")                                                               \
    X(ENOSYS, "the system lacks the call")                                                         \
    X(EBADMSG, "the shared memory does not hold what it should")                                   \
    X(EOVERFLOW, "value too large")                                                                \
    X(EMSGSIZE, "the message is larger than allowed")                                              \
    X(ENOTSUP, "not supported")                                                                    \
    X(ESHUTDOWN, "it takes no more")                                                               \
    X(ETIMEDOUT, "the time is over")                                                               \
    X(EALREADY, "already so")                                                                      \
    X(ECANCELED, "cancelled")                                                                      \
    X(EOWNERDEAD, "the owner died while it held this")                                             \
    X(ENOTRECOVERABLE, "not recoverable")                                                          \
    X(MANY_EDIED, "the worker died while it ran the item")                                         \
    X(MANY_ETASK, "a task failed with a code of its own")                                          \
    X(MANY_EFORKED, "the handle belongs to the process that opened it")                            \
    X(MANY_EBROKEN, "the barrier, or the pool, is broken")

typedef struct error_entry {
    int code;
    const char *name;
    const char *text;
} error_entry;

static const error_entry error_entries[] = {
#define X(code, text) {code, #code, text},
    ERROR_LIST(X)
#undef X
};

#define ERROR_MESSAGE_BYTES 256

static _Thread_local struct {
    int code;
    uint32_t item; /* that the words are about, where there are items */
    char text[ERROR_MESSAGE_BYTES];
} error_last;

static _Thread_local const _Atomic uint64_t *error_state;

static uint32_t error_item(void)
{
    return error_state == NULL ? 0
                               : (uint32_t)atomic_load_explicit(error_state, memory_order_relaxed);
}

static const error_entry *error_find(int code)
{
    for (size_t i = 0; i < sizeof error_entries / sizeof error_entries[0]; i++)
        if (error_entries[i].code == code || -error_entries[i].code == code)
            return &error_entries[i];
    return NULL;
}

/* Cut text at its end so that no UTF-8 character is left in half. */
static void error_trim(char *text)
{
    size_t end = strlen(text);
    size_t lead = end;

    while (lead > 0 && ((unsigned char)text[lead - 1] & 0xC0) == 0x80)
        lead--;
    if (lead == 0 || ((unsigned char)text[lead - 1] & 0x80) == 0)
        return; /* ends in ASCII, or is no UTF-8 at all */
    unsigned char first = (unsigned char)text[lead - 1];
    size_t need = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (end - (lead - 1) < need)
        text[lead - 1] = '\0';
}

const char *many_version(void)
{
    return MANY_VERSION;
}

const char *many_error_message(void)
{
    return error_last.text;
}

const char *many_error_name(int code)
{
    const error_entry *entry = error_find(code);

    if (code == 0)
        return "0";
    return entry ? entry->name : "unknown";
}

const char *many_strerror(int code)
{
    const error_entry *entry = error_find(code);

    if (code == 0)
        return "success";
    return entry ? entry->text : "unknown code";
}

int many_fail(int code, const char *format, ...)
{
    char text[ERROR_MESSAGE_BYTES]; /* the arguments may lie in the old message */
    va_list arguments;
    int written;

    va_start(arguments, format);
    written = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (written < 0)
        text[0] = '\0';
    if (written >= (int)sizeof text)
        error_trim(text);
    memcpy(error_last.text, text, sizeof text);
    error_last.code = code;
    error_last.item = error_item();
    return code;
}

const char *many_error_words_(int code)
{
    return error_last.code == code && error_last.item == error_item() ? error_last.text : "";
}

void many_error_expire_(void)
{
    error_last.code = 0;
}

void many_error_clear_(void)
{
    error_last.code = 0;
    error_last.text[0] = '\0';
}

void many_error_about_(const _Atomic uint64_t *state)
{
    error_state = state;
}
