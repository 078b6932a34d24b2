/* SPDX-License-Identifier: MIT */
/* fault.c - the hook of the torture build; see fault.h */
#include "base/fault.h"

#include <stddef.h>

#ifdef MANY_TORTURE
many_fault_hook_fn_ *many_fault_hook_ = NULL;

/* A test sets and takes back the hook while threads come by: each sees the one or the other. */
#if defined(__GNUC__)
__attribute__((no_sanitize("thread")))
#endif
int many_fault_reach_(const char *point)
{
    many_fault_hook_fn_ *hook = many_fault_hook_;

    return hook != NULL ? hook(point) : 0;
}
#else
/* ISO C wants a file to declare something. */
typedef int fault_unused;
#endif
