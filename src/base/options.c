/* SPDX-License-Identifier: MIT */
/* options.c - read a sized, zero-default options struct; see options.h */
#include "base/options.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include <many/base.h>

/* No options struct comes near this; a larger size is a struct that nobody filled in. */
#define OPTIONS_SANE_BYTES 4096

int many_options_read_(void *local, size_t local_bytes, const void *given, const char *function)
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
            return many_fail(-E2BIG,
                             "%s: the option at byte %zu needs a newer libmany than " MANY_VERSION,
                             function, i);
    memcpy(local, given, size < local_bytes ? size : local_bytes);
    return 0;
}

int many_timeout_check_(double timeout_s, const char *function)
{
    if (isnan(timeout_s) || (timeout_s < 0 && timeout_s != MANY_FOREVER))
        return many_fail(-EINVAL, "%s: the timeout is %g: give seconds from 0, or MANY_FOREVER",
                         function, timeout_s);
    return 0;
}
