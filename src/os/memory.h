/* SPDX-License-Identifier: MIT */
/*
 * memory.h - anonymous memory, shared with children that are forked later
 *
 * Nothing has a name, so nothing can be left behind; pages are zero and cost nothing until they are
 * touched.
 */
#ifndef MANY_OS_MEMORY_H
#define MANY_OS_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* 0 or -ENOMEM. */
int many_memory_map_shared_(void **memory, size_t bytes);

/* Private memory that a forked child finds zeroed; 0, -ENOMEM or -ENOSYS (before Linux 4.14). */
int many_memory_map_wiped_(void **memory, size_t bytes);

/* NULL does nothing. */
void many_memory_unmap_(void *memory, size_t bytes);

/*
 * Have the pages of shared memory mapped in, before they are written, by reading a byte here and
 * there: a read fault maps 16 pages at a time, a write fault one; and pages of anonymous shared
 * memory are writable at once (measured: 80 MB in 3 ms; page by page 19 ms, with
 * MADV_POPULATE_WRITE 15 ms).
 */
void many_memory_touch_(const void *memory, size_t bytes);

/* The page size in bytes. */
size_t many_memory_page_(void);

/* The machine's memory in bytes, as far as it can be told; 1 GiB or more. */
uint64_t many_memory_ram_(void);

/* ---- shared memory with a descriptor: for those who did not fork from us, and to grow ---- */

/*
 * A new anonymous file of so many zero bytes, none of which takes memory yet; it can never
 * shrink, so that what is mapped stays there. name is seen in /proc alone. A descriptor
 * (close-on-exec, above 2), or -ENOMEM, -EMFILE, -ENFILE, -EFBIG (RLIMIT_FSIZE is less).
 */
int many_memory_file_open_(const char *name, size_t bytes);

/* Is this one of those, by whomever it was made? 0 and its length; -EBADF; -EBADMSG: it may
 * shrink. */
int many_memory_file_check_(int fd, size_t *bytes);

/*
 * Map reserve bytes of it, from its beginning; what lies beyond its end may be touched when it
 * has grown so far. The kernel gives memory for a page when it is first touched; where there is
 * none the touch is a SIGBUS, which who cannot have that avoids by growing first. 0 or -ENOMEM.
 */
int many_memory_file_map_(void **memory, int fd, size_t reserve);

/*
 * Leave this mapping out of core dumps, also those of children that are forked later: the kernel would have
 * memory for every page that was set aside, to write it down.
 */
void many_memory_undumped_(void *memory, size_t bytes);

/*
 * Have memory for the bytes from .. to, and the file at least so long. 0; -ENOMEM, -ENOSPC, -EFBIG
 * (RLIMIT_FSIZE) with some of it there, perhaps; -EBADF. Not interrupted by signals.
 */
int many_memory_file_grow_(int fd, size_t from, size_t to);

/* Give the memory of the bytes from .. to back; they are zero then. Both are multiples of the
 * page. */
void many_memory_file_punch_(int fd, size_t from, size_t to);

/* The same two by the mapping, for who may have closed the descriptor: at whole pages. */
int many_memory_populate_(void *memory, size_t bytes); /* 0, -ENOMEM, -ENOSYS (before Linux 5.14) */
void many_memory_discard_(void *memory, size_t bytes);

/* At most so many bytes of address space should be set aside at once: RLIMIT_AS leaves no more. */
size_t many_memory_room_(void);

#endif
