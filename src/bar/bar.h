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

/*
 * The same over all open bars of this process, for one who waits for children or threads: when some bar
 * has something to draw (MANY_NEVER_NS: none), and draw those that have. The second also lets go of what
 * was kept for children that have died since: call it once more after the last one was reaped. Neither
 * waits for another thread or process.
 */
int64_t many_bars_due_ns_(void);
void many_bars_draw_(void);

#endif
