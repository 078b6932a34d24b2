/* SPDX-License-Identifier: MIT */
/*
 * bar.h - what the pool needs of a bar besides <many/bar.h>
 */
#ifndef MANY_BAR_BAR_H
#define MANY_BAR_BAR_H

#include <stdint.h>

#include <many/bar.h>

/*
 * The monotonic time from which many_bar_draw() has something to do, for one who sleeps meanwhile.
 * MANY_NEVER_NS for NULL, for a quiet bar, and in a process that did not open it. Never blocks.
 */
int64_t many_bar_due_ns_(const many_bar *bar);

#endif
