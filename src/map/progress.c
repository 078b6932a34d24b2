/* SPDX-License-Identifier: MIT */
/* progress.c - a map's counts become its bar's; see progress.h */
#include "map/progress.h"

#include <unistd.h>

#include "bar/bar.h"
#include "os/clock.h"
#include "os/terminal.h"
#include "task/seat.h"

int many_progress_open_(many_progress_ *progress, const many_call_ *call, uint64_t total)
{
    const many_map_options *option = &call->option;
    int inner;

    *progress = (many_progress_){option->bar, 0, 0, 0};
    if (option->bar != NULL || option->desc == NULL)
        return 0;
    progress->own = 1;
    inner = many_seat_taken_();
    /* A map inside a task has its line below that of the map around it, for as long as it runs. In a log
     * it would tell of each of a thousand inner maps. */
    return many_bar_open(&progress->bar, .total = total, .desc = option->desc, .unit = option->unit,
                         .leave = inner ? -1 : 0,
                         .quiet = inner && !many_terminal_is_(STDERR_FILENO));
}

void many_progress_show_(many_progress_ *progress, uint64_t done, uint64_t failed)
{
    if (progress->bar == NULL)
        return;
    if (failed > progress->failed) {
        many_bar_add_failed(progress->bar, failed - progress->failed);
        progress->done += failed - progress->failed;
        progress->failed = failed;
    }
    if (done > progress->done) {
        many_bar_add(progress->bar, done - progress->done);
        progress->done = done;
    }
    many_bar_draw(progress->bar);
}

int64_t many_progress_due_ns_(const many_progress_ *progress)
{
    return many_bar_due_ns_(progress->bar);
}

void many_progress_close_(many_progress_ *progress)
{
    if (progress->own)
        many_bar_close(progress->bar);
    progress->bar = NULL;
}
