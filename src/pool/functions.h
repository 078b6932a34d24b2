/* SPDX-License-Identifier: MIT */
/*
 * functions.h - the functions of a pool's tasks: a number for each, the same in every process
 *
 * Promise    Who has a number can call the function, in a fork of the submitter or in a stranger (task/reference.h).
 * Invariant  A slot of the shared array is EMPTY, then FILLING, then READY, and does not change after that. Each
 *            process keeps two private maps: pointer to number, and number to pointer.
 * Death      of one that fills a slot: the slot stays FILLING, and is no function's; there are many.
 */
#ifndef MANY_POOL_FUNCTIONS_H
#define MANY_POOL_FUNCTIONS_H

#include <stdatomic.h>
#include <stdint.h>

#include "task/reference.h"

/* So many different functions a pool can be given. */
#define MANY_FUNCTIONS_MOST_ 4096

#define MANY_FUNCTION_EMPTY_   0U
#define MANY_FUNCTION_FILLING_ 1U
#define MANY_FUNCTION_READY_   2U

/* In shared memory. */
typedef struct many_function_slot_ {
    _Atomic uint32_t state;
    uint32_t reserved;
    many_reference_ reference;
} many_function_slot_;

struct many_table_;
typedef struct many_functions_ many_functions_;

/* The number of fn; under table->lock. 0; -ENOENT or -ENOMEM, with words that begin with function. */
int many_function_number_(struct many_table_ *table, many_any_fn_ *fn, uint32_t *number,
                          const char *function);

/* The function of this number in this process; the worker's thread alone. 0; -ENOENT, -ENOMEM with words. */
int many_function_at_(struct many_table_ *table, uint32_t number, many_any_fn_ **fn,
                      const char *function);

/* What this process knows, nothing so far; table->functions. 0 or -ENOMEM. */
int many_functions_open_(struct many_table_ *table);

/* Free what this process knows. NULL does nothing. */
void many_functions_close_(many_functions_ *functions);

#endif
