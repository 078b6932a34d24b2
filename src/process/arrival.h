/* SPDX-License-Identifier: MIT */
/*
 * arrival.h - the new process's side of a start that is no fork: unpack, and run
 */
#ifndef MANY_PROCESS_ARRIVAL_H
#define MANY_PROCESS_ARRIVAL_H

#include <stddef.h>

#include "os/module.h"
#include "process/parcel.h"

/*
 * Become what the parcel says. socket: where the cargo is, and where the starter listens; it is closed
 * on the way. modules: as for many_reference_find_(). Signals are blocked, and none is caught.
 */
_Noreturn void many_arrive_(many_parcel_ *parcel, int socket, const many_module_ *modules,
                            size_t modules_count);

/* It could not even be read: say so, and end. */
_Noreturn void many_arrive_lost_(int code, int socket);

#endif
