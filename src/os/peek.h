/* SPDX-License-Identifier: MIT */
/*
 * peek.h - the shared memory that another process has open, found by its name
 */
#ifndef MANY_OS_PEEK_H
#define MANY_OS_PEEK_H

#include <stddef.h>
#include <sys/types.h>

/*
 * Open, to be read, each file of process pid that many_memory_file_open_() made with this name, by
 * whomever: one that it has open several times is there once. *files is an array of *count
 * descriptors (close-on-exec, above 2), to be closed and given to free(); NULL if there are none.
 * 0; -ESRCH: no such process; -EACCES: it is not ours to look into; -ENOMEM, -EMFILE, -ENFILE.
 *
 * What is in such a file is its writers' affair: read it with many_peek_read_(), and do not map it:
 * it may be made of pages that there are none of, and touching those is a SIGBUS.
 */
int many_peek_open_(pid_t pid, const char *name, int **files, size_t *count);

/* Read so many bytes from there on. 0, or -ENODATA: the file is shorter, or cannot be read. */
int many_peek_read_(int file, void *bytes, size_t count, size_t from);

/* Does the process count processes as we do, so that the numbers it writes are ours, too? 1 or
 * 0. */
int many_peek_kin_(pid_t pid);

#endif
