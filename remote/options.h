/* SPDX-License-Identifier: MIT */
/*
 * options.h - what a library beside the core reads for itself: options, timeouts, the clock,
 * descriptors
 */
#ifndef MANY_REMOTE_OPTIONS_H
#define MANY_REMOTE_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

/* Copy a sized options struct into local, which is ours; what is beyond it has to be zero. 0,
 * -EINVAL, -E2BIG, with words. */
int many_remote_options_(void *local, size_t local_bytes, const void *given, const char *function);

/* 0; -EINVAL, with words: neither 0 or more nor MANY_FOREVER. */
int many_remote_timeout_(double timeout_s, const char *function);

/* Monotonic time; a deadline; INT64_MAX for never. */
int64_t many_remote_now_(void);
int64_t many_remote_deadline_(double timeout_s);

/* Milliseconds until then as poll(2) wants them. */
int many_remote_poll_ms_(int64_t deadline_ns);

/* Move a fresh descriptor above 2: ours never takes the place of a closed stdin, stdout or stderr.
 * Negative (with errno) if fd was, or if there is none left. */
int many_remote_lift_(int fd);

/* Keys: 1 .. 4096 bytes, or none. 0 or -EINVAL, with words. */
int many_remote_key_(const void *key, size_t key_bytes, const char *function);

#endif
