/* SPDX-License-Identifier: MIT */
/*
 * pool_options.h - what callers say of pools and tasks, read and checked
 */
#ifndef MANY_POOL_POOL_OPTIONS_H
#define MANY_POOL_POOL_OPTIONS_H

#include "pool/pool.h"

/* Read them into *begun: its option, kind, workers, name and limit_ns. 0 or a code with words. */
int many_pool_read_(many_pool *begun, const many_pool_options *given, const char *function);

/*
 * Read what was said of a task, with the pool and fn in it. *submit points at *given itself where
 * that is of the newest layout, else at *local. 0 or a code with words.
 */
int many_submit_read_(many_submit_ *submit, many_submit_options *local,
                      const many_submit_options *given, const char *function);

/* What threads, or processes that are no forks, cannot do. 0, or -EINVAL with words. */
int many_pool_check_kind_(const many_pool *pool, const void *context, size_t context_bytes,
                          uint64_t limit_bytes, const char *function);

#endif
