/* SPDX-License-Identifier: MIT */
/*
 * options.h - read a sized, zero-default options struct
 *
 * The version of such a struct is its size: an older caller's struct is shorter, and what it lacks
 * is zero; a newer caller's is longer, and what lies beyond ours has to be zero. Source: Linux
 * openat2(2), clone3(2).
 */
#ifndef MANY_BASE_OPTIONS_H
#define MANY_BASE_OPTIONS_H

#include <stddef.h>

/* Copy the caller's options into local, which is ours and the newest layout. 0, -EINVAL, -E2BIG,
 * with words. */
int many_options_read_(void *local, size_t local_bytes, const void *given, const char *function);

/* A timeout in seconds as callers give it: 0 or more, or MANY_FOREVER. 0 or -EINVAL, with words. */
int many_timeout_check_(double timeout_s, const char *function);

#endif
