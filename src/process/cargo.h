/* SPDX-License-Identifier: MIT */
/*
 * cargo.h - the segments, queues and pipes that go to a process which is no fork of their owner; and
 * the stage, so that its bars and prints find their place among the owner's
 *
 * Each goes as the descriptors that it is made of. They wait in the socket for the new process, which
 * makes handles of them; the starter's own stay open until then, so that no pipe seems closed meanwhile.
 */
#ifndef MANY_PROCESS_CARGO_H
#define MANY_PROCESS_CARGO_H

#include <stddef.h>
#include <stdint.h>

#include <many/process.h>

#include "process/parcel.h"

/* What options hand over, as descriptors that stay the handles' own. */
typedef struct many_cargo_ {
    uint8_t *kinds;
    size_t count;
    int *descriptors;
    size_t descriptors_count;
    int32_t produces, consumes; /* places in kinds; -1: none */
    int stage;                  /* of the starter's bars: ours, until the drop; -1: no bars */
    int reserved;
} many_cargo_;

/* 0, or -ENOMEM and what the handles say, with words. */
int many_cargo_pack_(many_cargo_ *cargo, const many_process_options *options);

/* Into the socket. 0, or a negative errno, without words. */
int many_cargo_send_(const many_cargo_ *cargo, int socket);

void many_cargo_drop_(many_cargo_ *cargo);

/*
 * In the new process: take the descriptors that parcel announces from the socket, and make handles,
 * parcel->cargo_count of them, in memory that stays. 0, or a negative code with words.
 */
int many_cargo_unpack_(const many_parcel_ *parcel, int socket, many_inherit **handles);

#endif
