/* SPDX-License-Identifier: MIT */
/* fault.c - the hook of the torture build; see fault.h */
#include "base/fault.h"

#include <stddef.h>

#ifdef MANY_TORTURE
many_fault_hook_fn_ *many_fault_hook_ = NULL;

int many_fault_reach_(const char *point)
{
    return many_fault_hook_ != NULL ? many_fault_hook_(point) : 0;
}
#else
/* ISO C wants a file to declare something. */
typedef int fault_unused;
#endif
