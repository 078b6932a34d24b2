/* SPDX-License-Identifier: MIT */
/*
 * own.h - what each process has one of: set up at the first use, and again in each forked child
 *
 * The memory is the caller's, a static object: nothing to allocate, nothing that leaks. Whether it
 * has been set up is said by a pointer in the page that a fork wipes (os/self.h). So a child, whose
 * copy may have been made while another thread of the parent held its lock, begins it anew.
 */
#ifndef MANY_PROCESS_OWN_H
#define MANY_PROCESS_OWN_H

#include "os/self.h"

/*
 * memory, set up by begin(memory) in this process, before anybody gets it. begin does not fail, and
 * does not come back here.
 */
void *many_own_(int which, void *memory, void (*begin)(void *memory));

#endif
