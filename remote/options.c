/* SPDX-License-Identifier: MIT */
/* options.c - options, timeouts, the clock; see options.h */
#include "options.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <many.h>

#define OPTIONS_SANE_BYTES 4096 /* no options struct comes near */
#define OPTIONS_KEY_MOST   4096
#define OPTIONS_SECOND_NS  INT64_C(1000000000)

int many_remote_options_(void *local, size_t local_bytes, const void *given, const char *function)
{
    const unsigned char *bytes = given;
    size_t size;

    memset(local, 0, local_bytes);
    if (given == NULL)
        return many_fail(-EINVAL, "%s: options is NULL, and they hold a required argument",
                         function);
    memcpy(&size, given, sizeof size);
    if (size < sizeof size || size > OPTIONS_SANE_BYTES)
        return many_fail(-EINVAL, "%s: options.size is %zu: use the macro, which sets it", function,
                         size);
    for (size_t i = local_bytes; i < size; i++)
        if (bytes[i] != 0)
            return many_fail(-E2BIG, "%s: the option at byte %zu needs a newer libmany_remote",
                             function, i);
    memcpy(local, given, size < local_bytes ? size : local_bytes);
    return 0;
}

int many_remote_timeout_(double timeout_s, const char *function)
{
    if (isnan(timeout_s) || (timeout_s < 0 && timeout_s != MANY_FOREVER))
        return many_fail(-EINVAL, "%s: the timeout is %g: give seconds from 0, or MANY_FOREVER",
                         function, timeout_s);
    return 0;
}

int64_t many_remote_now_(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * OPTIONS_SECOND_NS + now.tv_nsec;
}

int64_t many_remote_deadline_(double timeout_s)
{
    /* 2^33 seconds are 272 years. */
    if (timeout_s == MANY_FOREVER || timeout_s >= 0x1p33)
        return INT64_MAX;
    return many_remote_now_() + (int64_t)(timeout_s * 1e9);
}

int many_remote_poll_ms_(int64_t deadline_ns)
{
    int64_t left;

    if (deadline_ns == INT64_MAX)
        return -1;
    left = (deadline_ns - many_remote_now_() + 999999) / 1000000;
    return left <= 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

int many_remote_lift_(int fd)
{
    int lifted, saved;

    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    lifted = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    saved = errno;
    close(fd);
    errno = saved;
    return lifted;
}

int many_remote_key_(const void *key, size_t key_bytes, const char *function)
{
    if (key == NULL && key_bytes > 0)
        return many_fail(-EINVAL, "%s: .key is NULL, and .key_bytes %zu", function, key_bytes);
    if (key != NULL && (key_bytes < 1 || key_bytes > OPTIONS_KEY_MOST))
        return many_fail(-EINVAL, "%s: .key_bytes is %zu: a key has 1 to %d", function, key_bytes,
                         OPTIONS_KEY_MOST);
    return 0;
}
