/* SPDX-License-Identifier: MIT */
/*
 * debug.c - the debug mode: finds circles of waits, and locks that are taken in two orders
 *
 * Promise    A wait that closes a circle ends with -EDEADLK in at least one of its threads,
 *            whatever processes they are of. No circle is told that is none.
 * Invariant  A thread writes down whom it waits for before it looks for a circle, and both are in
 *            one order for all: of those that close a circle at the same instant the last to write
 *            sees all the others. An owner may change between the look and the writing: so each
 *            looks again after 50 ms. A thread that waits gives nothing back: so if none of those
 *            on the circle has gone on between a first walk around it and a second one, all of them
 *            waited and held what they hold at the same instant.
 * Source     the waits-for graph of Holt, "Some deadlock properties of computer systems", 1972; the
 *            orders as in Linux's lockdep, for pairs.
 */
#include "sync/debug.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <many/lock_debug.h>

#include "base/text.h"
#include "os/clock.h"
#include "os/local.h"
#include "os/memory.h"
#include "os/self.h"
#include "sync/owner.h"
#include "sync/say.h"
#include "sync/tables.h"

#define DEBUG_LOOK_NS    (50 * MANY_MILLISECOND_NS)
#define DEBUG_STEPS_MOST 64
#define DEBUG_TEXT_BYTES 4096

struct many_debug_ {
    many_tables_ *tables; /* shared with children */
    many_lock_report_fn *report;
    void *context;
    many_debug_ *before; /* what this one replaced: another thread may be at it, so it stays */
};

_Atomic(many_debug_ *) many_debug_mode_;

/* One on a circle: it waits, and holds what the one before it waits for. */
typedef struct debug_step {
    many_tables_thread_ *thread;
    many_identity_ identity;
    uint64_t visit;
    uint32_t holds;
    uint64_t holds_at; /* the address, where the holder has it */
    uint32_t waits;
    uint64_t waits_at;
} debug_step;

/* ---- words ---- */

static void debug_add_lock(many_text_ *text, many_tables_ *tables, uint32_t id, uint64_t address)
{
    static const char digits[] = "0123456789abcdef";
    char name[MANY_TABLES_NAME_], tame[MANY_TABLES_NAME_], hex[19];
    size_t at = sizeof hex - 1;

    many_tables_name_of_(tables, id, name);
    many_text_tame_(tame, sizeof tame, name);
    if (tame[0] != '\0') {
        many_text_add_(text, tame);
    } else {
        many_text_add_(text, "lock ");
        many_text_add_count_(text, id);
    }
    hex[at] = '\0';
    do
        hex[--at] = digits[address % 16];
    while ((address /= 16) > 0);
    hex[--at] = 'x';
    hex[--at] = '0';
    many_text_add_(text, " at ");
    many_text_add_(text, hex + at);
}

static void debug_add_thread(many_text_ *text, many_identity_ identity, uint64_t process)
{
    char name[MANY_NAME_BYTES_], tame[MANY_NAME_BYTES_];

    many_self_name_(identity, name);
    many_text_tame_(tame, sizeof tame, name);
    many_text_add_(text, "thread ");
    many_text_add_count_(text, identity & MANY_IDENTITY_THREAD_);
    many_text_add_(text, " '");
    many_text_add_(text, tame);
    many_text_add_(text, "' of process ");
    many_text_add_count_(text, process);
}

static void debug_tell(const many_debug_ *debug, const char *text)
{
    if (debug->report != NULL)
        debug->report(text, debug->context);
}

/* ---- orders ---- */

static void debug_tell_order(const many_debug_ *debug, const many_tables_lock_ *held, uint32_t id,
                             const uint64_t *word, uint64_t who)
{
    char bytes[DEBUG_TEXT_BYTES];
    many_text_ text;

    many_text_begin_(&text, bytes, sizeof bytes);
    many_text_add_(&text, "lock order: ");
    debug_add_thread(&text, many_self_(), (uint64_t)getpid());
    many_text_add_(&text, " holds ");
    debug_add_lock(&text, debug->tables, atomic_load(&held->id), atomic_load(&held->address));
    many_text_add_(&text, " and acquires ");
    debug_add_lock(&text, debug->tables, id, (uint64_t)(uintptr_t)word);
    many_text_add_(&text, "; thread ");
    many_text_add_count_(&text, who & UINT32_MAX);
    many_text_add_(&text, " of process ");
    many_text_add_count_(&text, who >> 32);
    many_text_add_(&text, " acquired them in the other order: they can wait for each other\n");
    debug_tell(debug, bytes);
}

static void debug_order(const many_debug_ *debug, many_tables_thread_ *me, uint32_t id,
                        const uint64_t *word)
{
    const uint64_t self =
        (atomic_load(&me->process) << 32) | (many_self_() & MANY_IDENTITY_THREAD_);
    uint64_t who;

    for (int k = 0; k < MANY_TABLES_HELD_; k++) {
        uint32_t held = atomic_load(&me->held[k].id);

        if (held != 0 && held != id && many_tables_order_(debug->tables, held, id, self, &who))
            debug_tell_order(debug, &me->held[k], id, word, who);
    }
}

/* ---- circles ---- */

/* What the thread waits for, if it does; then step says so. 1: it waits. */
static int debug_read(many_tables_thread_ *thread, many_identity_ identity, debug_step *step,
                      many_identity_ *owner)
{
    step->thread = thread;
    step->identity = identity;
    step->visit = atomic_load(&thread->visit);
    step->waits = atomic_load(&thread->waits.id);
    step->waits_at = atomic_load(&thread->waits.address);
    *owner = atomic_load(&thread->waits_owner);
    return (step->visit & 1) != 0 && atomic_load(&thread->visit) == step->visit &&
           atomic_load(&thread->identity) == identity;
}

/* Walk from the caller along those who wait for each other; the length of the circle back to it, 0:
 * there is none. */
static int debug_walk(many_tables_ *tables, many_tables_thread_ *me, debug_step *steps)
{
    many_identity_ identity = many_self_(), owner;
    many_tables_thread_ *thread = me;

    for (int count = 0; count < DEBUG_STEPS_MOST; count++) {
        many_tables_lock_ *held;

        if (!debug_read(thread, identity, &steps[count], &owner))
            return 0;
        thread = many_tables_find_(tables, owner);
        held = thread == NULL ? NULL : many_tables_held_(thread, steps[count].waits, 0);
        if (held == NULL)
            return 0; /* not watched, or it has given the lock back since */
        if (thread == me) {
            steps[0].holds = steps[count].waits;
            steps[0].holds_at = atomic_load(&held->address);
            return count + 1;
        }
        if (count + 1 < DEBUG_STEPS_MOST) {
            steps[count + 1].holds = steps[count].waits;
            steps[count + 1].holds_at = atomic_load(&held->address);
        }
        identity = owner;
    }
    return 0; /* a circle that the caller waits for, and is not part of: others will find it */
}

/* The same circle still, and all of it alive. */
static int debug_confirm(const debug_step *steps, int count)
{
    for (int k = 0; k < count; k++)
        if (atomic_load(&steps[k].thread->identity) != steps[k].identity ||
            atomic_load(&steps[k].thread->visit) != steps[k].visit ||
            (k > 0 && many_self_gone_(steps[k].identity)))
            return 0;
    return 1;
}

static void debug_add_circle(many_text_ *text, many_tables_ *tables, const debug_step *steps,
                             int count)
{
    many_text_add_(text, "deadlock: ");
    for (int k = 0; k < count; k++) {
        debug_add_thread(text, steps[k].identity, atomic_load(&steps[k].thread->process));
        many_text_add_(text, " holds ");
        debug_add_lock(text, tables, steps[k].holds, steps[k].holds_at);
        many_text_add_(text, ", waits for ");
        debug_add_lock(text, tables, steps[k].waits, steps[k].waits_at);
        many_text_add_(text, k + 1 < count ? ", held by\n  " : ", held by the first\n");
    }
}

/* -EDEADLK, told and with words, if the caller, who has written down that it waits, closes a
 * circle. */
static int debug_circle(const many_debug_ *debug, many_tables_thread_ *me)
{
    debug_step steps[DEBUG_STEPS_MOST];
    char bytes[DEBUG_TEXT_BYTES];
    many_text_ text;
    int count = debug_walk(debug->tables, me, steps);

    if (count == 0 || !debug_confirm(steps, count))
        return 0;
    many_text_begin_(&text, bytes, sizeof bytes);
    debug_add_circle(&text, debug->tables, steps, count);
    debug_tell(debug, bytes);
    for (size_t at = 0; at < text.used; at++)
        if (bytes[at] == '\n')
            bytes[at] = ' ';
    return many_fail(-EDEADLK, "%.*s", (int)text.used - 1, bytes);
}

/* ---- acquire and release ---- */

/* It has an owner, and the caller may wait. As many_owner_take_(), or -EDEADLK. */
static int debug_wait(const many_debug_ *debug, many_tables_thread_ *me, uint64_t *word,
                      uint32_t id, int must, int64_t deadline_ns)
{
    const many_identity_ self = many_self_();
    int told = 0, code;

    do {
        many_identity_ owner = many_owner_of_(many_owner_load_(word));
        int64_t end = many_clock_ns_() + DEBUG_LOOK_NS;

        many_tables_wait_(me, id, word, owner);
        code = told ? 0 : debug_circle(debug, me);
        if (code < 0 && !must)
            break;
        told = told || code < 0;
        end = end < deadline_ns ? end : deadline_ns;
        code = many_owner_take_(word, self, end);
        if (code == -ETIMEDOUT && end < deadline_ns)
            code = -EAGAIN;
    } while (code == -EAGAIN);
    many_tables_go_on_(me);
    return code;
}

int many_debug_take_(uint64_t *word, int must, int64_t deadline_ns)
{
    const many_debug_ *debug = atomic_load_explicit(&many_debug_mode_, memory_order_acquire);
    const many_identity_ self = many_self_();
    many_tables_thread_ *me = many_tables_me_(debug->tables);
    uint32_t id = many_tables_id_(debug->tables, word, 1);
    int code;

    if (many_owner_of_(many_owner_load_(word)) == self)
        return deadline_ns == 0
                   ? -ETIMEDOUT
                   : many_fail(-EDEADLK, "many_lock_acquire: the caller has the lock already, and "
                                         "would wait for itself: release it first, or use a "
                                         "many_rlock");
    if (me == NULL)
        return many_owner_take_(word, self, deadline_ns);
    if (deadline_ns != 0) /* who only tries does not wait, in whatever order */
        debug_order(debug, me, id, word);
    if (many_owner_try_(word, self))
        code = 0;
    else if (deadline_ns == 0)
        code = many_owner_take_(word, self, 0);
    else
        code = debug_wait(debug, me, word, id, must, deadline_ns);
    if (code == 0 || code == -EOWNERDEAD)
        many_tables_hold_(me, id, word);
    return code;
}

void many_debug_give_(const uint64_t *word)
{
    const many_debug_ *debug = atomic_load_explicit(&many_debug_mode_, memory_order_acquire);
    many_tables_thread_ *me = many_tables_find_(debug->tables, many_self_());
    uint32_t id = many_tables_id_(debug->tables, word, 0);
    many_tables_lock_ *held;

    if (me == NULL || id == 0)
        return;
    held = many_tables_held_(me, id, (uint64_t)(uintptr_t)word);
    if (held != NULL)
        atomic_store(&held->id, 0);
}

/* ---- the functions ---- */

int many_lock_debug(many_lock_report_fn *report, void *context)
{
    many_debug_ *before = atomic_load(&many_debug_mode_);
    many_debug_ *mode = malloc(sizeof *mode);
    void *tables = NULL;

    if (mode == NULL ||
        (before == NULL && many_memory_map_shared_(&tables, sizeof(many_tables_)) < 0)) {
        free(mode);
        return many_fail(-ENOMEM, "many_lock_debug: no memory for the tables");
    }
    do
        *mode = (many_debug_){before == NULL ? tables : before->tables, report, context, before};
    while (!atomic_compare_exchange_weak(&many_debug_mode_, &before, mode));
    if (before == NULL)
        return 0;
    many_memory_unmap_(tables, sizeof(many_tables_)); /* another thread was first */
    return many_fail(-EALREADY, "many_lock_debug: it is on: report and context are replaced");
}

int many_lock_name(many_lock *lock, const char *name)
{
    const char *function = "many_lock_name";
    const many_debug_ *debug = atomic_load_explicit(&many_debug_mode_, memory_order_acquire);

    if (many_say_is_none_(lock))
        return many_say_none_(lock, function, "lock");
    if (name == NULL)
        return many_fail(-EINVAL, "%s: name is NULL", function);
    if (debug == NULL)
        return many_fail(-ENOSYS, "%s: the debug mode is off: many_lock_debug() before", function);
    if (many_tables_set_name_(debug->tables, many_tables_id_(debug->tables, &lock->owner_, 1),
                              name) < 0)
        return many_fail(-ENOMEM, "%s: %d locks have names already", function, MANY_TABLES_NAMES_);
    return 0;
}
