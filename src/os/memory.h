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

/* 0 or -ENOMEM. */
int many_memory_map_shared_(void **memory, size_t bytes);

/* Private memory that a forked child finds zeroed; 0, -ENOMEM or -ENOSYS (before Linux 4.14). */
int many_memory_map_wiped_(void **memory, size_t bytes);

/* NULL does nothing. */
void many_memory_unmap_(void *memory, size_t bytes);

/*
 * Have the pages of shared memory mapped in, before they are written, by reading a byte here and there:
 * a read fault maps 16 pages at a time, a write fault one; and pages of anonymous shared memory are
 * writable at once (measured: 80 MB in 3 ms; page by page 19 ms, with MADV_POPULATE_WRITE 15 ms).
 */
void many_memory_touch_(const void *memory, size_t bytes);

/* The page size in bytes. */
size_t many_memory_page_(void);

#endif
