/* SPDX-License-Identifier: MIT */
/*
 * watcher.c - what pools are doing, seen from inside and from outside
 *
 * Promise    Whatever another process has written to the memory of its pools, and writes while it
 *            is read, costs the reader an error at most. It is never mapped (a file may be made so
 *            that touching it is a SIGBUS): it is read into a copy, and the copy is checked like
 *            any other roster.
 * Death      of the other process: the memory lives as long as we have it open; its owner is looked
 *            for before it is told of.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <many/pool_status.h>

#include "base/fault.h"
#include "os/peek.h"
#include "os/self.h"
#include "pool/pool.h"
#include "pool/roster.h"

/* So often a line is read again that changed meanwhile. Each takes some microseconds, a change
 * nanoseconds. */
#define WATCHER_LOOKS 20

_Static_assert(MANY_ROSTER_WORKERS_MOST_ >= MANY_POOL_WORKERS_MOST_,
               "a roster has room for every pool");
_Static_assert(offsetof(many_roster_place_, version) == 0, "a line begins with its version");

struct many_watcher {
    many_identity_ process;
    int kin;    /* 1: it counts processes as we do */
    int *files; /* of the pools, open to be read */
    size_t count;
};

ssize_t many_pool_look(many_pool *pool, many_pool_status *status, many_worker_status *workers,
                       size_t room)
{
    const int code = many_pool_check_(pool, "many_pool_look");

    if (code < 0)
        return code;
    if (workers == NULL && room > 0)
        return many_fail(-EINVAL,
                         "many_pool_look: workers is NULL, room is not 0: give an array, or 0");
    return many_roster_read_(pool->roster, many_roster_bytes_(pool->workers), status, workers,
                             room);
}

static int watcher_fail(int code, long pid)
{
    if (code == -ESRCH)
        return many_fail(code, "many_watcher_open: pid %ld: there is no such process", pid);
    if (code == -EACCES)
        return many_fail(code,
                         "many_watcher_open: pid %ld: it is another user's, or guards its "
                         "memory: ask as that user",
                         pid);
    if (code == -ENOMEM)
        return many_fail(code, "many_watcher_open: no memory");
    return many_fail(code,
                     "many_watcher_open: no descriptors left: close some, or raise ulimit -n");
}

ssize_t many_watcher_open(many_watcher **watcher, pid_t pid)
{
    many_watcher *fresh;
    int code;

    if (watcher == NULL)
        return many_fail(-EINVAL,
                         "many_watcher_open: watcher is NULL: give the address of a handle");
    *watcher = NULL;
    if (pid < 0)
        return many_fail(-EINVAL, "many_watcher_open: pid %ld: give 0 or more", (long)pid);
    if (pid == 0)
        pid = getpid();
    fresh = MANY_FAULT_ERROR("watcher.open") < 0 ? NULL : calloc(1, sizeof *fresh);
    if (fresh == NULL)
        return watcher_fail(-ENOMEM, pid);
    /* First of all: what is opened of a later process with this number is not looked at. */
    fresh->process = many_self_of_(pid);
    fresh->kin = many_peek_kin_(pid);
    code = fresh->process == 0
               ? -ESRCH
               : many_peek_open_(pid, MANY_ROSTER_FILE_, &fresh->files, &fresh->count);
    if (code < 0) {
        free(fresh);
        return watcher_fail(code, pid);
    }
    *watcher = fresh;
    return (ssize_t)fresh->count;
}

/*
 * A line that belongs together, as many_roster_read_() would find it: its version is read before it
 * and after it. If it does not come about version is odd.
 */
static int watcher_read_line(int file, size_t from, many_roster_place_ *place)
{
    for (int looks = 0; looks < WATCHER_LOOKS; looks++) {
        uint32_t before, after;
        int code = many_peek_read_(file, &before, sizeof before, from);

        if (code == 0)
            code = many_peek_read_(file, place, sizeof *place, from);
        if (code == 0)
            code = many_peek_read_(file, &after, sizeof after, from);
        if (code != 0)
            return code;
        if (before == after && before % 2 == 0) {
            atomic_store_explicit(&place->version, before, memory_order_relaxed);
            return 0;
        }
    }
    atomic_store_explicit(&place->version, 1, memory_order_relaxed);
    return 0;
}

/* Lines first, then what tasks were submitted, in the order that roster_read_sums() wants. */
static int watcher_copy(int file, many_roster_ *roster, int workers)
{
    const size_t behind =
        offsetof(many_roster_, place) + (size_t)workers * sizeof(many_roster_place_);
    int code = 0;

    for (int w = 0; w < workers && code == 0; w++)
        code = watcher_read_line(
            file, offsetof(many_roster_, place) + (size_t)w * sizeof(many_roster_place_),
            &roster->place[w]);
    if (code == 0)
        code = many_peek_read_(file, (char *)roster + behind, (size_t)workers * MANY_CACHE_LINE,
                               behind);
    if (code == 0)
        code = many_peek_read_(file, roster, sizeof *roster, 0);
    /* Written once by an honest pool; what says something else now is none. */
    return code == 0 && many_roster_check_(roster) == workers ? 0 : -EBADMSG;
}

static ssize_t watcher_read(int file, int kin, many_pool_status *status,
                            many_worker_status *workers, size_t room)
{
    many_roster_ head, *roster;
    ssize_t count;
    int most;

    if (many_peek_read_(file, &head, sizeof head, 0) < 0 || (most = many_roster_check_(&head)) < 0)
        return -EBADMSG;
    roster = MANY_FAULT_ERROR("watcher.copy") < 0
                 ? NULL
                 : aligned_alloc(MANY_CACHE_LINE, many_roster_bytes_(most));
    if (roster == NULL)
        return -ENOMEM;
    count = watcher_copy(file, roster, most);
    if (count == 0 && kin && many_self_of_(roster->pid) == 0)
        count = -ENOENT;
    if (count == 0)
        count = many_roster_read_(roster, many_roster_bytes_(most), status, workers, room);
    free(roster);
    return count;
}

ssize_t many_watcher_look(many_watcher *watcher, size_t index, many_pool_status *status,
                          many_worker_status *workers, size_t room)
{
    ssize_t count;

    if (watcher == NULL || index >= watcher->count)
        return many_fail(
            -EINVAL, "many_watcher_look: %s: give an open one, and an index below what open said",
            watcher == NULL ? "watcher is NULL" : "there is no pool of this index");
    if (workers == NULL && room > 0)
        return many_fail(-EINVAL,
                         "many_watcher_look: workers is NULL, room is not 0: give an array, or 0");
    count = many_self_gone_(watcher->process)
                ? -ENOENT
                : watcher_read(watcher->files[index], watcher->kin, status, workers, room);
    if (count == -ENOENT)
        return many_fail(-ENOENT, "many_watcher_look: the pool is closed, or its process is gone");
    if (count == -EBADMSG)
        return many_fail(
            -EBADMSG, "many_watcher_look: this is not a pool of this version (%s) of the library",
            many_version());
    if (count == -ENOMEM)
        return many_fail(-ENOMEM, "many_watcher_look: no memory");
    return count;
}

void many_watcher_close(many_watcher *watcher)
{
    if (watcher == NULL)
        return;
    for (size_t i = 0; i < watcher->count; i++)
        close(watcher->files[i]);
    free(watcher->files);
    free(watcher);
}
