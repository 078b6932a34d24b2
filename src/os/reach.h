/* SPDX-License-Identifier: MIT */
/*
 * reach.h - write into another process's private memory
 */
#ifndef MANY_OS_REACH_H
#define MANY_OS_REACH_H

#include <stddef.h>
#include <sys/types.h>

/*
 * Copy bytes from here to address there in process pid. 0 when all of it was written; else a
 * negative errno: -EPERM (not allowed: Yama, another uid), -ENOSYS (not there: a sandbox), -EFAULT,
 * -ESRCH. Part may have been written.
 */
int many_reach_write_(pid_t pid, void *there, const void *here, size_t bytes);

#endif
