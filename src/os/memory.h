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
 * Map the pages of shared memory in, before they are written: one call instead of a fault a page.
 * A hint: what cannot be done (Linux before 5.14, memory that is not mapped) is left to the faults.
 * 1 if it worked.
 */
int many_memory_populate_(void *memory, size_t bytes);

/* The page size in bytes. */
size_t many_memory_page_(void);

#endif
