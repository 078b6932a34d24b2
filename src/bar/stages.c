/* SPDX-License-Identifier: MIT */
/*
 * stages.c - the stages that a process knows: begun, inherited, handed over, let go; see stage.h
 *
 * The list is private memory, which a fork copies; the lock around it (own.h) is wiped by the fork. So
 * a child may find the list in the middle of a change. It is changed by one store each time, to or from
 * a stage that is whole, and what is taken out of it is let go afterwards.
 */
#include "bar/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bar/own.h"
#include "bar/stages.h"
#include "base/fault.h"
#include "os/memory.h"

#define STAGES_MAGIC UINT64_C(0x6d616e7973746731) /* "manystg1" */

static _Atomic(many_stage_ *) stages_first;

/* ---- the list: who calls these holds the lock of own.h ---- */

/* In a forked child: it has a generation, and bars, of its own. */
static void stages_settle(many_stage_ *stage)
{
    uint64_t process = many_self_process_();

    if (stage->process == process)
        return;
    stage->users = 0;
    stage->generation++;
    stage->owner = many_self_of_(getpid());
    if (stage->owner == 0)
        stage->owner = many_self_();
    stage->process = process;
}

/* device NULL: any. */
static many_stage_ *stages_use(const many_device_ *device)
{
    many_stage_ *stage = atomic_load_explicit(&stages_first, memory_order_acquire);

    while (stage != NULL && device != NULL && !many_device_same_(&stage->shared->device, device))
        stage = stage->next;
    if (stage != NULL) {
        stages_settle(stage);
        stage->users++;
    }
    return stage;
}

static void stages_put(many_stage_ *stage)
{
    stage->next = atomic_load_explicit(&stages_first, memory_order_relaxed);
    atomic_store_explicit(&stages_first, stage, memory_order_release);
}

static void stages_take_out(many_stage_ *stage)
{
    many_stage_ *before = atomic_load_explicit(&stages_first, memory_order_relaxed);

    if (before == stage) {
        atomic_store_explicit(&stages_first, stage->next, memory_order_release);
        return;
    }
    while (before->next != stage)
        before = before->next;
    before->next = stage->next;
}

/* ---- begin and end ---- */

static void stages_free(many_stage_ *stage)
{
    many_device_ file;

    /* Somebody may have closed what he did not open, and the number may be another file's now. */
    if (stage->fd >= 0 && many_device_of_(stage->fd, &file) &&
        many_device_same_(&file, &stage->file))
        close(stage->fd);
    many_memory_unmap_(stage->shared, sizeof *stage->shared);
    free(stage);
}

/* fd: of the memory, -1: it has none. */
static many_stage_ *stages_new(void *memory, int fd)
{
    many_stage_ *stage = calloc(1, sizeof *stage);

    if (stage == NULL)
        return NULL;
    stage->shared = memory;
    stage->fd = fd;
    if (fd >= 0)
        many_device_of_(fd, &stage->file);
    return stage;
}

static int stages_begin(many_stage_ **stage, const many_device_ *device)
{
    int fd = many_memory_file_open_("many-bars", sizeof(many_stage_shared_));
    void *memory = NULL;
    int code;

    /* Without a descriptor it serves those that fork from us. */
    if (fd >= 0)
        code = many_memory_file_map_(&memory, fd, sizeof(many_stage_shared_));
    else
        code = many_memory_map_shared_(&memory, sizeof(many_stage_shared_));
    *stage = code == 0 ? stages_new(memory, fd) : NULL;
    if (*stage == NULL) {
        if (fd >= 0)
            close(fd);
        many_memory_unmap_(memory, sizeof(many_stage_shared_));
        return -ENOMEM;
    }
    (*stage)->shared->device = *device;
    (*stage)->shared->size = sizeof(many_stage_shared_);
    (*stage)->shared->magic = STAGES_MAGIC;
    stages_settle(*stage);
    (*stage)->users = 1;
    return 0;
}

int many_stage_open_(many_stage_ **stage, int fd)
{
    many_device_ device;
    void *bars;
    int code = 0;

    *stage = NULL;
    if (!many_device_of_(fd, &device))
        return -EBADF;
    bars = many_bars_take_();
    *stage = stages_use(&device);
    if (*stage == NULL) {
        code = stages_begin(stage, &device);
        if (code == 0)
            stages_put(*stage);
    }
    many_bars_give_(bars);
    return code;
}

/* Does anybody alive, besides this process's bars, have something on the stage? */
static int stages_is_wanted(const many_stage_ *stage)
{
    const many_stage_shared_ *shared = stage->shared;

    for (int i = 0; i < MANY_STAGE_ROWS; i++) {
        uint64_t owner = atomic_load_explicit(&shared->row[i].owner, memory_order_relaxed);

        if (owner != 0 && owner != stage->owner && !many_self_gone_(owner))
            return 1;
    }
    for (int i = 0; i < MANY_STAGE_GUESTS; i++) {
        uint64_t owner = atomic_load_explicit(&shared->guest[i].owner, memory_order_relaxed);

        if (owner != 0 && (owner == stage->owner || !many_self_gone_(owner)))
            return 1;
    }
    return 0;
}

void many_stage_close_(many_stage_ *stage)
{
    int wanted, free_it;
    void *bars;

    if (stage == NULL)
        return;
    wanted = stages_is_wanted(stage);
    bars = many_bars_take_();
    free_it = --stage->users == 0 && !wanted;
    if (free_it)
        stages_take_out(stage);
    many_bars_give_(bars);
    if (free_it)
        stages_free(stage);
}

many_stage_ *many_stage_find_(int fd)
{
    many_device_ device;
    many_stage_ *stage = NULL;
    void *bars;

    if (atomic_load_explicit(&stages_first, memory_order_relaxed) == NULL ||
        (fd >= 0 && !many_device_of_(fd, &device)))
        return NULL;
    bars = many_bars_take_();
    stage = stages_use(fd >= 0 ? &device : NULL);
    many_bars_give_(bars);
    return stage;
}

void many_stage_drop_(many_stage_ *stage)
{
    void *bars;

    if (stage == NULL)
        return;
    bars = many_bars_take_();
    stage->users--;
    many_bars_give_(bars);
}

/* The first one that no bar of this process needs any more, counted as used. */
static many_stage_ *stages_use_idle(const many_stage_ *after)
{
    void *bars = many_bars_take_();
    many_stage_ *stage =
        after != NULL ? after->next : atomic_load_explicit(&stages_first, memory_order_acquire);

    for (; stage != NULL; stage = stage->next) {
        stages_settle(stage);
        if (stage->users == 0)
            break;
    }
    if (stage != NULL)
        stage->users++;
    many_bars_give_(bars);
    return stage;
}

void many_stage_tidy_(void)
{
    many_stage_ *stage, *next;

    if (atomic_load_explicit(&stages_first, memory_order_relaxed) == NULL)
        return;
    for (stage = stages_use_idle(NULL); stage != NULL; stage = next) {
        next = stages_use_idle(stage);
        many_stage_close_(stage);
    }
}

/* ---- to processes that did not fork from us ---- */

int many_stage_share_(int *fd)
{
    many_stage_ *stage = many_stage_find_(STDERR_FILENO);
    many_device_ file;

    *fd = -1;
    if (stage == NULL)
        stage = many_stage_find_(STDOUT_FILENO);
    if (stage == NULL)
        return -ENOENT;
    if (stage->fd >= 0 && many_device_of_(stage->fd, &file) &&
        many_device_same_(&file, &stage->file))
        *fd = fcntl(stage->fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    many_stage_drop_(stage);
    return *fd >= 0 ? 0 : -ENOENT;
}

int many_stage_adopt_(int fd)
{
    const many_stage_shared_ *shared;
    many_stage_ *stage;
    void *memory, *bars;
    size_t bytes;
    int code = many_memory_file_check_(fd, &bytes);

    if (code < 0)
        return code;
    if (bytes != sizeof *shared)
        return -EBADMSG;
    code = many_memory_file_map_(&memory, fd, sizeof *shared);
    if (code < 0)
        return code;
    shared = memory;
    if (shared->magic != STAGES_MAGIC || shared->size != sizeof *shared) {
        many_memory_unmap_(memory, sizeof *shared);
        return -EBADMSG;
    }
    stage = stages_new(memory, fd);
    if (stage == NULL) {
        many_memory_unmap_(memory, sizeof *shared);
        return -ENOMEM;
    }
    stage->generation = 1; /* it is a child of whoever began it */
    bars = many_bars_take_();
    stages_put(stage);
    many_bars_give_(bars);
    return 0;
}
