/* SPDX-License-Identifier: MIT */
/*
 * fault.h - named places where a test can kill, delay or fail us; nothing at all in a normal build
 *
 * A torture build (MANY_TORTURE) calls many_fault_hook_ at each of them, if a test has set it. The
 * hook may kill the process, sleep or yield; for MANY_FAULT_ERROR it returns the negative code that
 * the place then fails with.
 *
 *   MANY_FAULT_POINT("claim");                      between two steps of a protocol
 *   if ((code = MANY_FAULT_ERROR("fork")) < 0) ...  instead of a system call
 */
#ifndef MANY_BASE_FAULT_H
#define MANY_BASE_FAULT_H

#ifdef MANY_TORTURE
typedef int many_fault_hook_fn_(const char *point);
extern many_fault_hook_fn_ *many_fault_hook_;
int many_fault_reach_(const char *point);
#define MANY_FAULT_POINT(point) ((void)many_fault_reach_(point))
#define MANY_FAULT_ERROR(point) (many_fault_reach_(point))
#else
#define MANY_FAULT_POINT(point) ((void)0)
#define MANY_FAULT_ERROR(point) 0
#endif

#endif
