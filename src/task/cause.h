/* SPDX-License-Identifier: MIT */
/*
 * cause.h - why an item failed, in words
 */
#ifndef MANY_TASK_CAUSE_H
#define MANY_TASK_CAUSE_H

#include <many/task.h>

/*
 * Write cause->text from cause's other fields. words: what the task said by many_fail(), or "".
 * limit_s: the item's limit, for one that was over it.
 */
void many_cause_write_(many_cause *cause, const char *words, double limit_s);

/*
 * The same for the end of a process of this name: cause has its signal, exit_status and pid. unknown: why
 * there is neither of the first two, where that is so.
 */
void many_cause_end_(many_cause *cause, const char *name, const char *unknown);

/* "SIGSEGV"; "signal 40" for one without a name, written into text. */
const char *many_signal_name_(int signal, char *text, size_t bytes);

#endif
