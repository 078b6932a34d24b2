/* SPDX-License-Identifier: MIT */
/*
 * current.h - what a process knows of itself: its name, its parent, what it inherited
 */
#ifndef MANY_PROCESS_CURRENT_H
#define MANY_PROCESS_CURRENT_H

#include "process/child.h"
#include "process/process.h"

/* In a new child, before anybody asks: it is what the plan says. */
void many_current_become_(const many_child_plan_ *plan);

/* 1: this process is a fork of one in which this was asked before; the first answer is 0. */
int many_current_is_forked_(void);

/* Is it gone, the parent that this handle is for? Looks, does not wait. */
int many_current_orphaned_(const many_process *parent);

#endif
