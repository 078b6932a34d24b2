/* SPDX-License-Identifier: MIT */
/*
 * parcel.h - what a process that is no fork of its starter has to know, as bytes in a sealed file
 *
 * Written by the starter, read by the new process; both run the same program, but nothing is believed:
 * a file that does not hold what it should is refused, whatever is wrong with it.
 */
#ifndef MANY_PROCESS_PARCEL_H
#define MANY_PROCESS_PARCEL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "process/process.h"
#include "task/reference.h"

/* What the new process is to become. */
enum { MANY_PARCEL_PROCESS_ = 1, MANY_PARCEL_SERVER_ };

/* What goes along as descriptors, one byte each. */
enum { MANY_CARGO_SEGMENT_ = 1, MANY_CARGO_QUEUE_, MANY_CARGO_PIPE_, MANY_CARGO_STAGE_ };

typedef struct many_parcel_ {
    int kind;
    int socket; /* spawned: the descriptor that it answers on, and gets its cargo by; else -1 */
    int line;   /* spawned daemon: the line to the server that is to keep it; else -1 */
    int method; /* enum many_start_method */
    int daemon;
    int answers; /* 1: the start waits until the new process says that it is ready */
    pid_t parent;
    many_identity_ parent_identity; /* 0: the parent is the parent in the system's sense, too */
    uint64_t mask;                  /* signals that are blocked in fn: bit signal - 1 */
    char name[MANY_PROCESS_NAME_BYTES_], parent_name[MANY_PROCESS_NAME_BYTES_];
    many_reference_ reference; /* to fn */
    const void *argument;      /* read: may be written to; aligned as by malloc */
    size_t argument_bytes;
    const uint8_t *cargo; /* kinds: first .inherits, then queues beyond them, then the stage of the
                             bars */
    size_t cargo_count, inherits_count;
    int32_t produces, consumes; /* places in the cargo; -1: none */

    void *memory; /* read: mapped, cargo and argument lie in it; else NULL */
    size_t memory_bytes;
} many_parcel_;

/* The file, as many_sealed_open_() gives it; or a negative errno. */
int many_parcel_write_(const many_parcel_ *parcel);

/* 0; -EBADMSG: not a parcel; -ENOMEM. Nothing is left after a failure. */
int many_parcel_read_(many_parcel_ *parcel, int fd);

/* NULLs do nothing. */
void many_parcel_drop_(many_parcel_ *parcel);

#endif
