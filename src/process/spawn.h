/* SPDX-License-Identifier: MIT */
/*
 * spawn.h - a process by exec of the same program
 *
 * It is exec'ed as {argv[0], "--many-spawned", "N"}, with N the descriptor of a parcel. many_main() takes
 * these words for its own only when N is one, or when it was exec'ed under the name that many_launch_exec_()
 * uses; so a program may have an option of that name.
 */
#ifndef MANY_PROCESS_SPAWN_H
#define MANY_PROCESS_SPAWN_H

#include "os/process.h"
#include "process/process.h"

/* Start a process by vfork and exec: a start method (process/process.h). */
int many_process_start_spawn_(many_process *process, const many_process_options *options);

/*
 * Exec this program with a parcel, and kept: descriptors that it has, too; at most 2, -1 are left out. 0,
 * and *child is filled; or a negative errno.
 */
int many_spawn_(many_child_ *child, int parcel, const int *kept, size_t count);

/* argv[0] as many_main() was given it; NULL: it was not called in this program. */
const char *many_main_name_(void);

#define MANY_SPAWNED_ "--many-spawned"

#endif
