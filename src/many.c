/* SPDX-License-Identifier: MIT */
/*
 * many.c - the whole library in one file, for those who build without a build system:
 *
 *   cc -std=c11 -O2 -Iinclude -Isrc src/many.c your_program.c -pthread
 *
 * Written by tools/check_layers.py --many: every source file once, rooms from below.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "base/error.c"
#include "base/fault.c"
#include "base/options.c"
#include "base/text.c"
#include "base/width.c"

#include "os/os.c"

#include "sync/barrier.c"
#include "sync/condition.c"
#include "sync/debug.c"
#include "sync/event.c"
#include "sync/lock.c"
#include "sync/owner.c"
#include "sync/rlock.c"
#include "sync/say.c"
#include "sync/semaphore.c"
#include "sync/tables.c"
#include "sync/wait.c"

#include "bar/bar.c"
#include "bar/board.c"
#include "bar/device.c"
#include "bar/draw.c"
#include "bar/frame.c"
#include "bar/guest.c"
#include "bar/own.c"
#include "bar/plain.c"
#include "bar/print.c"
#include "bar/rate.c"
#include "bar/screen.c"
#include "bar/stage.c"
#include "bar/stages.c"

#include "channel/ends.c"
#include "channel/park.c"
#include "channel/pass.c"
#include "channel/pipe.c"
#include "channel/pipe_frame.c"
#include "channel/pipe_ring.c"
#include "channel/pipe_socket.c"
#include "channel/pipe_wait.c"
#include "channel/queue.c"
#include "channel/ring.c"
#include "channel/ring_area.c"
#include "channel/ring_get.c"
#include "channel/ring_put.c"
#include "channel/ring_size.c"
#include "channel/segment.c"

#include "task/cancel.c"
#include "task/cause.c"
#include "task/reference.c"
#include "task/seat.c"

#include "process/arrival.c"
#include "process/cargo.c"
#include "process/child.c"
#include "process/children.c"
#include "process/current.c"
#include "process/departure.c"
#include "process/main.c"
#include "process/own.c"
#include "process/parcel.c"
#include "process/process.c"
#include "process/server.c"
#include "process/server_loop.c"
#include "process/spawn.c"
#include "process/start.c"
#include "process/start_fork.c"
#include "process/thread.c"
#include "process/timer.c"

#include "map/call.c"
#include "map/crew.c"
#include "map/first.c"
#include "map/map.c"
#include "map/process_map.c"
#include "map/progress.c"
#include "map/record.c"
#include "map/recover.c"
#include "map/run.c"
#include "map/shared_map.c"
#include "map/slots.c"
#include "map/stream.c"
#include "map/thread_map.c"
