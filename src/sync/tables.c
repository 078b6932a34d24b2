/* SPDX-License-Identifier: MIT */
/* tables.c - the debug mode's memory; see tables.h */
#include "sync/tables.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"

#define TABLES_TAKING UINT64_C(1)
#define TABLES_PROBES 64 /* entries that are looked at from where the hash says; then it is full */
#define TABLES_TOLD   (UINT64_C(1) << 63)

static uint32_t tables_hash(uint64_t key)
{
    return (uint32_t)((key * UINT64_C(0x9E3779B97F4A7C15)) >>
                      32); /* Fibonacci hashing, Knuth 6.4 */
}

uint32_t many_tables_id_(many_tables_ *tables, const uint64_t *word, int give)
{
    _Atomic uint32_t *place = (_Atomic uint32_t *)(uintptr_t)word + 3;
    uint32_t id = atomic_load(place);
    uint32_t fresh;

    if (id != 0 || !give)
        return id;
    /* 31 bits: bit 63 of an order is a flag. After so many locks numbers are given again. */
    fresh = (atomic_fetch_add(&tables->ids, 1) + 1) & INT32_MAX;
    if (fresh == 0)
        fresh = 1;
    return atomic_compare_exchange_strong(place, &id, fresh) ? fresh : id;
}

/* ---- threads ---- */

many_tables_thread_ *many_tables_find_(many_tables_ *tables, many_identity_ identity)
{
    const uint32_t at = tables_hash(identity);

    for (uint32_t k = 0; k < TABLES_PROBES; k++) {
        many_tables_thread_ *thread = &tables->threads[(at + k) % MANY_TABLES_THREADS_];
        uint64_t seen = atomic_load(&thread->identity);

        if (seen == 0)
            return NULL;
        if (seen == identity)
            return thread;
    }
    return NULL;
}

/* Claim an entry that held this. NULL: another was faster. */
static many_tables_thread_ *tables_claim(many_tables_thread_ *thread, uint64_t seen,
                                         many_identity_ me)
{
    if (!atomic_compare_exchange_strong(&thread->identity, &seen, TABLES_TAKING))
        return NULL;
    MANY_FAULT_POINT("tables.claim");
    atomic_store(&thread->process, (uint64_t)getpid());
    atomic_store(&thread->visit, (atomic_load(&thread->visit) | 1) + 1);
    atomic_store(&thread->waits_owner, 0);
    atomic_store(&thread->waits.id, 0);
    for (int k = 0; k < MANY_TABLES_HELD_; k++)
        atomic_store(&thread->held[k].id, 0);
    atomic_store(&thread->identity, me);
    return thread;
}

many_tables_thread_ *many_tables_me_(many_tables_ *tables)
{
    const many_identity_ me = many_self_();
    const uint32_t at = tables_hash(me);
    many_tables_thread_ *found = many_tables_find_(tables, me);

    for (uint32_t k = 0; found == NULL && k < TABLES_PROBES; k++) {
        many_tables_thread_ *thread = &tables->threads[(at + k) % MANY_TABLES_THREADS_];
        uint64_t seen = atomic_load(&thread->identity);

        if (seen == 0)
            found = tables_claim(thread, seen, me);
    }
    /* Full around here: then it is worth asking who of them is dead. */
    for (uint32_t k = 0; found == NULL && k < TABLES_PROBES; k++) {
        many_tables_thread_ *thread = &tables->threads[(at + k) % MANY_TABLES_THREADS_];
        uint64_t seen = atomic_load(&thread->identity);

        if (seen > TABLES_TAKING && many_self_gone_(seen))
            found = tables_claim(thread, seen, me);
    }
    return found;
}

many_tables_lock_ *many_tables_held_(many_tables_thread_ *thread, uint32_t id, uint64_t address)
{
    for (int k = 0; k < MANY_TABLES_HELD_; k++)
        if (atomic_load(&thread->held[k].id) == id &&
            (address == 0 || atomic_load(&thread->held[k].address) == address))
            return &thread->held[k];
    return NULL;
}

void many_tables_hold_(many_tables_thread_ *thread, uint32_t id, const uint64_t *word)
{
    many_tables_lock_ *free = many_tables_held_(thread, 0, 0);

    if (free == NULL)
        return;
    atomic_store(&free->address, (uint64_t)(uintptr_t)word);
    atomic_store(&free->id, id);
}

void many_tables_wait_(many_tables_thread_ *thread, uint32_t id, const uint64_t *word,
                       many_identity_ owner)
{
    /* Even while it is written, so that nobody believes half of it. */
    atomic_store(&thread->visit, (atomic_load(&thread->visit) | 1) + 1);
    atomic_store(&thread->waits.address, (uint64_t)(uintptr_t)word);
    atomic_store(&thread->waits.id, id);
    atomic_store(&thread->waits_owner, owner);
    atomic_fetch_add(&thread->visit, 1);
}

void many_tables_go_on_(many_tables_thread_ *thread)
{
    atomic_store(&thread->visit, (atomic_load(&thread->visit) | 1) + 1);
}

/* ---- orders ---- */

/* The entry of this pair; *fresh: there was none yet. NULL: none is to be had. */
static many_tables_pair_ *tables_pair(many_tables_ *tables, uint64_t key, int add, int *fresh)
{
    const uint32_t at = tables_hash(key);

    *fresh = 0;
    for (uint32_t k = 0; k < TABLES_PROBES; k++) {
        many_tables_pair_ *pair = &tables->orders[(at + k) % MANY_TABLES_ORDERS_];
        uint64_t seen = atomic_load(&pair->key);

        if (seen == 0 && !add)
            return NULL;
        if (seen == 0 && atomic_compare_exchange_strong(&pair->key, &seen, key)) {
            *fresh = 1;
            return pair;
        }
        if ((seen & ~TABLES_TOLD) == key) /* seen is what another put there, if the swap failed */
            return pair;
    }
    return NULL;
}

int many_tables_order_(many_tables_ *tables, uint32_t first, uint32_t second, uint64_t me,
                       uint64_t *who)
{
    const uint64_t here = (uint64_t)first << 32 | second, there = (uint64_t)second << 32 | first;
    many_tables_pair_ *mine, *others;
    int fresh, ignored;

    mine = tables_pair(tables, here, 1, &fresh);
    if (mine == NULL || !fresh)
        return 0;
    atomic_store(&mine->who, me);
    /* If both orders come at the same instant, both are there before either is looked for. */
    others = tables_pair(tables, there, 0, &ignored);
    if (others == NULL)
        return 0;
    *who = atomic_load(&others->who);
    /* One of the two entries keeps the mark for both. */
    return (atomic_fetch_or(first < second ? &mine->key : &others->key, TABLES_TOLD) &
            TABLES_TOLD) == 0;
}

/* ---- names ---- */

static many_tables_label_ *tables_label(many_tables_ *tables, uint32_t id, int add)
{
    const uint32_t at = tables_hash(id);

    for (uint32_t k = 0; k < MANY_TABLES_NAMES_; k++) {
        many_tables_label_ *label = &tables->names[(at + k) % MANY_TABLES_NAMES_];
        uint32_t seen = atomic_load(&label->id);

        if (seen == id)
            return label;
        if (seen != 0)
            continue;
        if (!add)
            return NULL;
        if (atomic_compare_exchange_strong(&label->id, &seen, id) || seen == id)
            return label;
    }
    return NULL;
}

int many_tables_set_name_(many_tables_ *tables, uint32_t id, const char *name)
{
    many_tables_label_ *label = tables_label(tables, id, 1);
    uint64_t text[MANY_TABLES_NAME_ / 8] = {0};
    size_t bytes = strlen(name);

    if (label == NULL)
        return -ENOMEM;
    if (bytes > MANY_TABLES_NAME_ - 1)
        bytes = MANY_TABLES_NAME_ - 1;
    memcpy(text, name, bytes);
    for (int k = 0; k < MANY_TABLES_NAME_ / 8; k++) {
        atomic_store(&label->text[k], text[k]);
        MANY_FAULT_POINT("tables.name");
    }
    return 0;
}

void many_tables_name_of_(many_tables_ *tables, uint32_t id, char name[MANY_TABLES_NAME_])
{
    many_tables_label_ *label = tables_label(tables, id, 0);
    uint64_t text[MANY_TABLES_NAME_ / 8] = {0};

    for (int k = 0; label != NULL && k < MANY_TABLES_NAME_ / 8; k++)
        text[k] = atomic_load(&label->text[k]);
    memcpy(name, text, sizeof text);
    name[MANY_TABLES_NAME_ - 1] = '\0';
}
