/* SPDX-License-Identifier: MIT */
/*
 * server_loop.h - what the fork server and its owner agree on; the protocol stands in server_loop.c
 */
#ifndef MANY_PROCESS_SERVER_LOOP_H
#define MANY_PROCESS_SERVER_LOOP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "os/module.h"

enum {
    MANY_REQUEST_START_ = 1, /* descriptors: where to answer, parcel, where the status goes */
    MANY_REQUEST_KEEP_ /* descriptors: where to answer, and one of the process if it has one */
};

typedef struct many_request_ {
    uint32_t magic; /* MANY_SERVER_MAGIC_ */
    int32_t verb;
    int32_t daemon; /* start: 1: ends with the owner */
    int32_t pid;    /* keep: who */
} many_request_;

#define MANY_SERVER_MAGIC_ UINT32_C(0x6d727673)

/*
 * Be the server of owner, the parent of this process. hello: a socket on which the owner waits for the
 * line. modules: those that the loader has loaded, NULL: to be asked for. Every signal is blocked, there is
 * one thread; there are no descriptors but 0 to 2 and hello.
 */
_Noreturn void many_server_loop_(int hello, pid_t owner, const many_module_ *modules,
                                 size_t modules_count);

#endif
