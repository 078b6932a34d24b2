/* SPDX-License-Identifier: MIT */
/*
 * children.h - the children of this process: the list, and the numbers of their names
 */
#ifndef MANY_PROCESS_CHILDREN_H
#define MANY_PROCESS_CHILDREN_H

#include <many/process.h>

void many_children_add_(many_process *process);

/* Nothing if it is not in the list. */
void many_children_remove_(many_process *process);

/* visit() each child in the list, with the list's lock held: it comes to no function of children.h. */
void many_children_each_(void (*visit)(const many_process *process, void *argument),
                         void *argument);

/* 1, 2, 3, ... in this process: for the name of one that was given none. */
unsigned many_children_number_(void);

#endif
