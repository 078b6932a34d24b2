/* SPDX-License-Identifier: MIT */
/* table.c - make the shared memory of a pool of processes, find it, let go of it; see table.h */
#include "pool/table.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "os/cpu.h"
#include "os/memory.h"
#include "os/process.h"
#include "os/stream.h"
#include "pool/functions.h"

/* Address space that a pool sets aside at most, where nothing else bounds it: of the 47 bits that a process on
 * x86-64 has there is enough for a hundred pools. */
#define TABLE_BYTES_MOST ((uint64_t)1 << 40)

/* The same where there is no pidfd: before Linux 5.3, and under valgrind, which reads all that is mapped when it
 * looks for leaks, and what was only set aside takes memory by that. */
#define TABLE_BYTES_WATCHED ((uint64_t)1 << 28)

/* A part of it goes into tickets with their cold parts and their places in the rings. */
#define TABLE_TICKETS_PART 8
#define TABLE_TICKET_BYTES                                                                         \
    (sizeof(many_ticket_) + sizeof(many_cold_) + 2 * sizeof(uint64_t) * MANY_PRIORITIES_)
#define TABLE_OWNER_LEAST_BITS  12
#define TABLE_WORKER_LEAST_BITS 10
#define TABLE_WORKER_MOST_BITS  20
#define TABLE_ARENA_LEAST       ((uint64_t)1 << 20)

#define TABLE_OWNER_NEWS  4096U
#define TABLE_WORKER_NEWS 512U

static uint64_t table_align(uint64_t offset)
{
    const uint64_t page = many_memory_page_();

    return (offset + page - 1) / page * page;
}

/* Set bytes aside, at a page. */
static uint64_t table_place(uint64_t *end, uint64_t bytes)
{
    const uint64_t at = table_align(*end);

    *end = at + table_align(bytes);
    return at;
}

static uint32_t table_bits(uint64_t bytes, uint32_t least, uint32_t most)
{
    uint32_t bits = least;

    while (bits < most && (TABLE_TICKET_BYTES << (bits + 1)) <= bytes)
        bits++;
    return bits;
}

/* Where everything of one submitter lies; budget: address space for it. */
static void table_place_region(many_region_ *region, uint64_t *end, uint64_t budget, int owner,
                               int supervisor, uint32_t owner_bits)
{
    const uint32_t bits = supervisor ? owner_bits
                          : owner    ? owner_bits
                                  : table_bits(budget / TABLE_TICKETS_PART, TABLE_WORKER_LEAST_BITS,
                                               TABLE_WORKER_MOST_BITS);
    const uint64_t tickets = supervisor ? 1 : (uint64_t)1 << bits;
    uint64_t arena =
        budget - (tickets < budget / TABLE_TICKET_BYTES ? tickets * TABLE_TICKET_BYTES : budget);

    if (arena > many_memory_ram_())
        arena = many_memory_ram_();
    if (arena < TABLE_ARENA_LEAST)
        arena = TABLE_ARENA_LEAST;
    region->capacity = (uint32_t)tickets;
    region->tickets = table_place(end, tickets * sizeof(many_ticket_));
    region->cold = table_place(end, tickets * sizeof(many_cold_));
    region->lane_bytes = table_align((2 * sizeof(uint64_t)) << bits);
    region->lanes_at = table_place(end, region->lane_bytes * MANY_PRIORITIES_);
    region->news_slots = owner ? TABLE_OWNER_NEWS : TABLE_WORKER_NEWS;
    region->news_at = table_place(end, region->news_slots * sizeof(uint64_t));
    region->arena_bytes = table_align(arena);
    region->arena_at = table_place(end, region->arena_bytes);
    atomic_init(&region->arena.bump, region->arena_at);
    atomic_init(&region->arena.grown, region->arena_at);
}

/* What lies at the beginning: its parts are written at once, and have memory at once. */
typedef struct table_plan {
    uint64_t head, records, functions, regions, stacks, front, end;
} table_plan;

static table_plan table_begin(int workers)
{
    const uint64_t places = (uint64_t)workers;
    table_plan plan = {0};

    plan.end = many_roster_bytes_(workers);
    plan.head = table_place(&plan.end, sizeof(many_table_head_));
    plan.records = table_place(&plan.end, places * sizeof(many_worker_record_));
    plan.regions = table_place(&plan.end, (places + 2) * sizeof(many_region_));
    plan.front = plan.end;
    plan.functions = table_place(&plan.end, MANY_FUNCTIONS_MOST_ * sizeof(many_function_slot_));
    plan.stacks = table_place(&plan.end, places * MANY_STACK_MOST_ * sizeof(many_stack_));
    return plan;
}

/* The regions, once with nowhere to write (NULL) to learn how much it is all together. */
static uint64_t table_place_regions(many_region_ *regions, const table_plan *plan, int workers,
                                    uint64_t budget)
{
    const uint32_t owner_bits = table_bits(budget / 2 / TABLE_TICKETS_PART * 2,
                                           TABLE_OWNER_LEAST_BITS, MANY_KEY_INDEX_BITS_);
    const uint64_t share = budget / 2 / ((uint64_t)workers + 1);
    uint64_t end = plan->end;

    for (int s = 0; s < workers + 2; s++) {
        many_region_ nowhere = {.tickets = 0};

        table_place_region(regions != NULL ? &regions[s] : &nowhere, &end,
                           s == 0 ? budget / 2 : share, s == 0, s == workers + 1, owner_bits);
    }
    return end;
}

static void table_find(many_table_ *table, int workers)
{
    const table_plan plan = table_begin(workers);

    table->roster = many_table_at_(table, 0);
    table->head = many_table_at_(table, plan.head);
    table->record = many_table_at_(table, plan.records);
    table->region = many_table_at_(table, plan.regions);
}

static many_table_ *table_new(int submitter)
{
    many_table_ *table = calloc(1, sizeof *table);

    if (table == NULL)
        return NULL;
    table->memory = table->supervisor_bell = table->owner_bell = -1;
    table->submitter = submitter;
    table->worker = -1;
    pthread_mutex_init(&table->lock, NULL);
    return table;
}

static uint32_t table_tag(void)
{
    static _Atomic uint32_t tags; /* pools of this process so far */

    /* Another than that of the pool whose worker this is, with luck: from_id asks both, and generations tell. */
    return (atomic_fetch_add_explicit(&tags, 1, memory_order_relaxed) + (uint32_t)getpid()) % 127 +
           1;
}

static void table_fill(many_table_ *table, const many_pool *begun, const table_plan *plan,
                       uint64_t budget)
{
    many_table_head_ *head = table->head;

    many_roster_begin_(table->roster, MANY_PROCESSES, begun->workers, begun->name);
    head->workers = begun->workers;
    head->submitters = begun->workers + 2;
    head->records = plan->records;
    head->functions = plan->functions;
    head->regions = plan->regions;
    head->functions_room = MANY_FUNCTIONS_MOST_;
    head->waiting_most =
        begun->option.waiting_most != 0 ? begun->option.waiting_most : MANY_POOL_WAITING_;
    head->tasks_per_worker = begun->option.tasks_per_worker;
    head->limit_ns = begun->limit_ns;
    head->limit_bytes = begun->option.item_limit_bytes;
    head->tag = table_tag();
    head->method = begun->option.method;
    head->cpus = many_cpu_usable_("");
    for (int w = 0; w < begun->workers; w++)
        table->record[w].stack =
            plan->stacks + (uint64_t)w * MANY_STACK_MOST_ * sizeof(many_stack_);
    head->bytes = table_place_regions(table->region, plan, begun->workers, budget);
}

static uint64_t table_budget(size_t room)
{
    const uint64_t most = room < TABLE_BYTES_MOST / 2 ? 2 * (uint64_t)room : TABLE_BYTES_MOST;
    const int self = many_child_open_(getpid());

    if (self >= 0) {
        close(self);
        return most;
    }
    return most < TABLE_BYTES_WATCHED ? most : TABLE_BYTES_WATCHED;
}

static int table_refuse(int code, int workers)
{
    if (code == -EMFILE || code == -ENFILE)
        return many_fail(code, "many_pool_open: no descriptor to be had: close some, or raise the "
                               "limit (ulimit -n)");
    return many_fail(-ENOMEM,
                     "many_pool_open: no shared memory for %d workers: fewer of them need less, or "
                     "raise the limit (%s)",
                     workers, code == -EFBIG ? "ulimit -f" : "ulimit -v");
}

int many_table_open_(many_table_ **made, const many_pool *begun)
{
    const table_plan plan = table_begin(begun->workers);
    const size_t room = many_memory_room_();
    uint64_t budget = table_budget(room);
    many_table_ *table = table_new(0);
    uint64_t bytes;
    void *base = NULL;
    int code;

    *made = NULL;
    if (table == NULL || many_functions_open_(table) < 0) {
        many_table_close_(table);
        return many_fail(-ENOMEM, "many_pool_open: no memory for the pool");
    }
    for (;;) {
        bytes = table_place_regions(NULL, &plan, begun->workers, budget);
        table->memory = many_memory_file_open_(MANY_ROSTER_FILE_, bytes);
        code =
            table->memory < 0 ? table->memory : many_memory_file_map_(&base, table->memory, bytes);
        if (code == 0 || budget < (TABLE_ARENA_LEAST << 4) || code == -EMFILE || code == -ENFILE)
            break;
        /* No so large file (ulimit -f), or no room for it: with less it may do. */
        if (table->memory >= 0)
            close(table->memory);
        budget /= 4;
    }
    table->base = base;
    table->mapped = base != NULL;
    if (code == 0)
        code = many_memory_file_grow_(table->memory, 0, plan.front);
    if (code == 0) {
        many_memory_undumped_(base, bytes);
        table_find(table, begun->workers);
        table->head->bytes = bytes; /* close unmaps so much */
        table_fill(table, begun, &plan, budget);
        table->supervisor_bell = many_bell_open_();
        table->owner_bell = many_bell_open_();
        code = table->supervisor_bell < 0 ? table->supervisor_bell
               : table->owner_bell < 0    ? table->owner_bell
                                          : 0;
    } else if (table->mapped) {
        many_memory_unmap_(base, bytes);
        table->mapped = 0;
    }
    if (code < 0) {
        many_table_close_(table);
        return table_refuse(code, begun->workers);
    }
    *made = table;
    return 0;
}

/* A block is live while the ticket it belongs to is in use. */
static int table_alive(many_table_ *table, uint64_t at, const many_block_ *block)
{
    uint64_t claim;

    (void)at;
    if (block->owner == 0 || many_key_submitter_(block->owner) >= table->head->submitters ||
        many_key_index_(block->owner) >= table->region[many_key_submitter_(block->owner)].capacity)
        return 0;
    claim =
        atomic_load_explicit(&many_table_ticket_(table, block->owner)->claim, memory_order_acquire);
    return many_key_is_(block->owner, claim) && many_claim_phase_(claim) != MANY_TICKET_FREE_;
}

/* Free tickets are free again; what is READY, claimed or OVER stays for who adopts it, blocks and all
 * (process_pool.c). */
static void table_adopt(many_table_ *table)
{
    many_region_ *region = &table->region[table->submitter];
    uint32_t fresh = atomic_load_explicit(&region->fresh, memory_order_acquire);

    if (region->capacity == 1)
        fresh = 0; /* the supervisor's has none */
    table->free = 0;
    while (fresh-- > 0) {
        many_ticket_ *ticket = (many_ticket_ *)many_table_at_(table, region->tickets) + fresh;

        if (many_claim_phase_(atomic_load_explicit(&ticket->claim, memory_order_acquire)) !=
            MANY_TICKET_FREE_)
            continue;
        ticket->serial = table->free;
        table->free = fresh + 1;
    }
    many_arena_begin_(table, table_alive);
}

int many_table_attach_(many_table_ **made, char *base, int memory, int bell, int owner_bell,
                       int submitter)
{
    many_table_ *table = table_new(submitter);
    size_t bytes = 0;
    void *mapped = NULL;
    int workers, code = 0;

    *made = NULL;
    if (table == NULL)
        return -ENOMEM;
    if (base == NULL) {
        code = many_memory_file_check_(memory, &bytes);
        if (code == 0)
            code = many_memory_file_map_(&mapped, memory, bytes);
        if (code < 0) {
            many_table_close_(table);
            return code == -ENOMEM ? -ENOMEM : -EBADMSG;
        }
        table->mapped = 1;
        many_memory_undumped_(mapped, bytes);
    }
    table->base = base != NULL ? base : mapped;
    workers = many_roster_check_((const many_roster_ *)(const void *)table->base);
    if (workers > 0)
        table_find(table, workers);
    if (workers <= 0 || submitter > workers + 1) {
        if (table->mapped)
            many_memory_unmap_(mapped, bytes);
        table->mapped = 0;
        many_table_close_(table);
        return -EBADMSG;
    }
    if (submitter >= 1 && submitter <= workers)
        table->worker = submitter - 1;
    if (many_functions_open_(table) < 0) {
        many_table_close_(table);
        return -ENOMEM;
    }
    table_adopt(table);
    table->memory = memory;
    table->supervisor_bell = bell;
    table->owner_bell = owner_bell;
    *made = table;
    return 0;
}

void many_table_close_(many_table_ *table)
{
    if (table == NULL)
        return;
    if (table->mapped)
        many_memory_unmap_(table->base, table->head->bytes);
    if (table->memory >= 0)
        close(table->memory);
    many_bell_close_(table->supervisor_bell);
    many_bell_close_(table->owner_bell);
    many_functions_close_(table->functions);
    pthread_mutex_destroy(&table->lock);
    free(table);
}

int many_table_grow_(many_table_ *table, uint64_t from, uint64_t to)
{
    const uint64_t page = many_memory_page_();
    int code;

    from = from / page * page;
    to = table_align(to);
    /* By the mapping first: that also maps the pages, and works where a task has closed the descriptor. */
    code = many_memory_populate_(many_table_at_(table, from), to - from);
    if (code == -ENOSYS)
        code = many_memory_file_grow_(table->memory, from, to);
    return code < 0 ? -ENOMEM : 0;
}

/* A page at a time, each once. */
#define TABLE_STACK_STEP 256U

int many_table_stack_reserve_(many_table_ *table, uint32_t depth)
{
    const uint64_t from = table->record[table->worker].stack + depth * sizeof(many_stack_);

    if (depth % TABLE_STACK_STEP != 0)
        return 0;
    return many_table_grow_(table, from, from + TABLE_STACK_STEP * sizeof(many_stack_));
}
