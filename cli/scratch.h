/* SPDX-License-Identifier: MIT */
/* scratch.h - files without a name, gone with their last descriptor */
#ifndef SCRATCH_H
#define SCRATCH_H

/* In memory (on disk where the kernel has no such files); written at its end, by whoever writes.
 * The descriptor, or a negative code. */
int scratch_memory(void);

/* Below $TMPDIR or /tmp; in memory where that cannot be. The descriptor, or a negative code. */
int scratch_disk(void);

#endif
