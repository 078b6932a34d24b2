/* SPDX-License-Identifier: MIT */
/* pages.h - rosters without a pool behind them, for those who look at pools from outside */
#ifndef PAGES_H
#define PAGES_H

#include <unistd.h>

#include <many/pool_status.h>

#include "os/memory.h"
#include "pool/roster.h"
#include "test.h"

struct page {
    int fd;
    size_t bytes;
    many_roster_ *roster;
};

static inline struct page page_open(int kind, int workers, const char *name)
{
    struct page page = {.bytes = many_roster_bytes_(workers)};
    void *memory;

    page.fd = many_memory_file_open_(MANY_ROSTER_FILE_, page.bytes);
    CHECK(page.fd >= 0);
    CHECK_CODE(many_memory_file_map_(&memory, page.fd, page.bytes), 0);
    page.roster = memory;
    many_roster_begin_(page.roster, kind, workers, name);
    return page;
}

static inline void page_close(struct page *page)
{
    many_memory_unmap_(page->roster, page->bytes);
    close(page->fd);
}

static inline ssize_t look_at(pid_t pid, many_pool_status *status, many_worker_status *workers,
                              size_t room)
{
    many_watcher *watcher;
    ssize_t count;

    CHECK_CODE(many_watcher_open(&watcher, pid), 1);
    count = many_watcher_look(watcher, 0, status, workers, room);
    many_watcher_close(watcher);
    return count;
}

#endif
