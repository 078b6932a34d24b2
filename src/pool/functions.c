/* SPDX-License-Identifier: MIT */
/* functions.c - a number for each function of a pool's tasks; see functions.h */
#include "pool/functions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "pool/table.h"

#define FUNCTIONS_FIRST 64U /* places of the hash; it doubles when it is half full */

typedef struct functions_place {
    many_any_fn_ *fn; /* NULL: empty */
    uint32_t number;
} functions_place;

/* number to pointer is filled by the worker's thread, the hash under table->lock: they share nothing. */
struct many_functions_ {
    many_any_fn_ **at; /* [MANY_FUNCTIONS_MOST_] */
    functions_place *place;
    uint32_t places, used;
    many_any_fn_ *last_fn; /* the last that was asked for */
    uint32_t last_number;
};

static many_function_slot_ *functions_slots(const many_table_ *table)
{
    return many_table_at_(table, table->head->functions);
}

int many_functions_open_(many_table_ *table)
{
    many_functions_ *functions = calloc(1, sizeof *functions);

    table->functions = functions;
    if (functions == NULL)
        return -ENOMEM;
    functions->at = calloc(MANY_FUNCTIONS_MOST_, sizeof functions->at[0]);
    functions->place = calloc(FUNCTIONS_FIRST, sizeof functions->place[0]);
    functions->places = FUNCTIONS_FIRST;
    if (functions->at != NULL && functions->place != NULL)
        return 0;
    many_functions_close_(functions);
    table->functions = NULL;
    return -ENOMEM;
}

void many_functions_close_(many_functions_ *functions)
{
    if (functions == NULL)
        return;
    free(functions->at);
    free(functions->place);
    free(functions);
}

static functions_place *functions_find(functions_place *place, uint32_t places, many_any_fn_ *fn)
{
    /* Functions begin at multiples of 16; the golden ratio spreads what is left. */
    uint64_t hash = ((uint64_t)(uintptr_t)fn >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 32;

    while (place[hash & (places - 1)].fn != NULL && place[hash & (places - 1)].fn != fn)
        hash++;
    return &place[hash & (places - 1)];
}

static int functions_remember(many_functions_ *functions, many_any_fn_ *fn, uint32_t number)
{
    functions_place *found;

    if (functions->used * 2 >= functions->places) {
        functions_place *larger = calloc((size_t)functions->places * 2, sizeof *larger);

        if (larger == NULL)
            return -ENOMEM;
        for (uint32_t k = 0; k < functions->places; k++)
            if (functions->place[k].fn != NULL)
                *functions_find(larger, functions->places * 2, functions->place[k].fn) =
                    functions->place[k];
        free(functions->place);
        functions->place = larger;
        functions->places *= 2;
    }
    found = functions_find(functions->place, functions->places, fn);
    found->fn = fn;
    found->number = number;
    functions->used++;
    return 0;
}

static int functions_same(const many_reference_ *one, const many_reference_ *other)
{
    return one->distance == other->distance && one->program == other->program &&
           one->id_bytes == other->id_bytes && memcmp(one->id, other->id, sizeof one->id) == 0 &&
           strcmp(one->path, other->path) == 0;
}

/* The slot of reference, a new one if it has none. Its number, or -ENOMEM. */
static int functions_enter(many_table_ *table, const many_reference_ *reference)
{
    many_function_slot_ *slots = functions_slots(table);

    for (uint32_t k = 0; k < MANY_FUNCTIONS_MOST_; k++) {
        const uint64_t at = table->head->functions + (uint64_t)k * sizeof *slots;
        uint32_t state = atomic_load_explicit(&slots[k].state, memory_order_acquire);

        if (state == MANY_FUNCTION_EMPTY_) {
            if (many_table_grow_(table, at, at + sizeof *slots) < 0)
                return -ENOMEM;
            if (atomic_compare_exchange_strong_explicit(
                    &slots[k].state, &state, MANY_FUNCTION_FILLING_, memory_order_acquire,
                    memory_order_acquire)) {
                slots[k].reference = *reference;
                MANY_FAULT_POINT("functions.filling");
                /* Pairs with the acquire of who looks here. */
                atomic_store_explicit(&slots[k].state, MANY_FUNCTION_READY_, memory_order_release);
                return (int)k;
            }
        }
        /* One that another process fills just now may be the same: then it has two numbers. */
        if (state == MANY_FUNCTION_READY_ && functions_same(&slots[k].reference, reference))
            return (int)k;
    }
    return -ENOMEM;
}

int many_function_number_(many_table_ *table, many_any_fn_ *fn, uint32_t *number,
                          const char *function)
{
    many_functions_ *functions = table->functions;
    const functions_place *found;
    many_reference_ *reference;
    int code;

    if (functions->last_fn == fn) {
        *number = functions->last_number;
        return 0;
    }
    found = functions_find(functions->place, functions->places, fn);
    if (found->fn == NULL) {
        reference = calloc(1, sizeof *reference);
        if (reference == NULL)
            return many_fail(-ENOMEM, "%s: no memory for the name of fn", function);
        code = many_reference_make_(fn, reference, function);
        if (code == 0)
            code = functions_enter(table, reference);
        free(reference);
        if (code == -ENOMEM || (code >= 0 && functions_remember(functions, fn, (uint32_t)code) < 0))
            return many_fail(-ENOMEM, "%s: no room for another function: a pool takes %d", function,
                             MANY_FUNCTIONS_MOST_);
        if (code < 0)
            return code;
        found = functions_find(functions->place, functions->places, fn);
    }
    functions->last_fn = fn;
    functions->last_number = found->number;
    *number = found->number;
    return 0;
}

int many_function_at_(many_table_ *table, uint32_t number, many_any_fn_ **fn, const char *function)
{
    many_functions_ *functions = table->functions;
    const many_function_slot_ *slot = &functions_slots(table)[number];
    int code;

    *fn = NULL;
    if (number >= MANY_FUNCTIONS_MOST_ ||
        atomic_load_explicit(&slot->state, memory_order_acquire) != MANY_FUNCTION_READY_)
        return many_fail(-ENOENT, "%s: there is no function %u", function, (unsigned)number);
    if (functions->at[number] == NULL) {
        code = many_reference_find_(&slot->reference, table->modules, table->modules_count,
                                    &functions->at[number], function);
        if (code < 0)
            return code;
    }
    *fn = functions->at[number];
    return 0;
}
