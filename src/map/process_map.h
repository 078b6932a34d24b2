/* SPDX-License-Identifier: MIT */
/*
 * process_map.h - the supervisor of a map over arrays in processes
 */
#ifndef MANY_MAP_PROCESS_MAP_H
#define MANY_MAP_PROCESS_MAP_H

#include <stdint.h>

#include "map/crew.h"
#include "map/first.h"
#include "map/progress.h"
#include "map/shared_map.h"

typedef struct many_supervisor_ {
    const many_call_ *call;
    many_shared_map_ map; /* of this round */
    many_crew_ crew;
    many_progress_ progress;
    many_first_ first;
    uint64_t done, failed; /* in the rounds before this one; failed ones are done, too */
    uint32_t barren;       /* deaths in a row that nothing was done before */
    uint64_t barren_done;  /* items that were done at the last of them */
    int cutting;           /* 1: what runs now is cut off, and neither failed nor tried again */
    int reason;            /* the negative code that ends the map, or 0 */
} many_supervisor_;

/*
 * Worker w is dead: settle its open chunk. What it had finished comes home, the item that it was
 * running fails or goes back to be tried again, what it had not begun goes back into its word.
 */
void many_recover_(many_supervisor_ *supervisor, int w, pid_t pid, const many_ending_ *ending);

#endif
