/* SPDX-License-Identifier: MIT */
/*
 * say.h - the words of this room's failures: which function, what is wrong, what to do
 */
#ifndef MANY_SYNC_SAY_H
#define MANY_SYNC_SAY_H

#include <stddef.h>
#include <stdint.h>

#include <many/base.h>

/* Every object of this room holds 64-bit words. */
static inline int many_say_is_none_(const void *object)
{
    return object == NULL || ((uintptr_t)object & 7) != 0;
}

/* -EINVAL: the argument of this name is NULL or not aligned. */
int many_say_none_(const void *object, const char *function, const char *name);

/* As many_timeout_check_(), without a call where all is well. */
int many_say_timeout_(double timeout_s, const char *function);

/* A wait ended with this code: what is not a failure is only passed on. */
int many_say_waited_(int code, const char *function, const char *thing, double timeout_s);

#endif
