/* SPDX-License-Identifier: MIT */
/* table_made.h - a table without processes: its owner, and in the same process its workers, as others see it */
#ifndef MANY_TEST_POOL_TABLE_MADE_H
#define MANY_TEST_POOL_TABLE_MADE_H

#include "test.h"

#include <string.h>
#include <unistd.h>

#include "pool/table.h"

static inline many_table_ *table_made(int workers, size_t waiting_most)
{
    many_table_ *table = NULL;
    many_pool begun;

    memset(&begun, 0, sizeof begun);
    begun.kind = MANY_PROCESSES;
    begun.workers = workers;
    begun.option.waiting_most = waiting_most;
    memcpy(begun.name, "made", 5);
    CHECK_CODE(many_table_open_(&table, &begun), 0);
    return table;
}

/* As submitter s of the same memory. */
static inline many_table_ *table_as(const many_table_ *owner, int s)
{
    many_table_ *table = NULL;

    CHECK_CODE(many_table_attach_(&table, owner->base, -1, -1, -1, s), 0);
    return table;
}

/* A ticket that is READY, in its lane. */
static inline uint64_t table_submit(many_table_ *table, int level, uint64_t flags)
{
    const uint64_t key = many_ticket_take_(table);

    CHECK(key != 0);
    many_table_ticket_(table, key)->flags = (uint32_t)level << MANY_TICKET_LEVEL_;
    CHECK_CODE(many_lane_reserve_(table, level), 0);
    many_ticket_publish_(table, key, level, flags);
    return key;
}

static inline uint64_t table_phase(const many_table_ *table, uint64_t key)
{
    return many_claim_phase_(
        atomic_load_explicit(&many_table_ticket_(table, key)->claim, memory_order_acquire));
}

#endif
