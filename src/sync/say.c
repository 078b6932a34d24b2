/* SPDX-License-Identifier: MIT */
/* say.c - the words of this room's failures; see say.h */
#include "sync/say.h"

#include <errno.h>

#include "base/options.h"
#include "os/local.h"

MANY_SELDOM_ int many_say_none_(const void *object, const char *function, const char *name)
{
    return many_fail(-EINVAL, "%s: %s is %s: give the address of one", function, name,
                     object == NULL ? "NULL" : "not aligned to 8 bytes");
}

int many_say_timeout_(double timeout_s, const char *function)
{
    if (MANY_LIKELY_(timeout_s >= 0 || timeout_s == MANY_FOREVER))
        return 0;
    return many_timeout_check_(timeout_s, function);
}

int many_say_waited_(int code, const char *function, const char *thing, double timeout_s)
{
    if (code == -EINTR)
        return many_fail(code, "%s: a signal handler ran while it waited for the %s", function,
                         thing);
    if (code != -ETIMEDOUT)
        return code;
    if (timeout_s == 0) /* who only tries, tries often: few words */
        return many_fail(code, "not to be had just now");
    return many_fail(code, "%s: the %s was not to be had in %g s", function, thing, timeout_s);
}
