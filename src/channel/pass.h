/* SPDX-License-Identifier: MIT */
/*
 * pass.h - what both kinds of a pipe do with their socket: pass descriptors, sleep, close
 */
#ifndef MANY_CHANNEL_PASS_H
#define MANY_CHANNEL_PASS_H

#include <stddef.h>
#include <stdint.h>

/* Send all n bytes (a few) or none, and a descriptor with the first of them. 0; -EAGAIN: no room,
 * or too many descriptors are on their way; -EBADF; -EPIPE; -ENOMEM. */
int many_pass_send_(int socket, const void *bytes, size_t n, int descriptor);

/* May the next byte bring a descriptor? 0: no; 1: it does, or a later one does (a look goes one
 * message of the kernel's too far: tried); -EAGAIN: there is none yet; -EPIPE: the end. */
int many_pass_next_(int socket);

/* Take the next byte with what it brings: the descriptor (close-on-exec, above 2); -EMFILE: there
 * was no place for it, and it is lost; -ENOMSG: it brought none, and is in *byte; -EAGAIN, -EPIPE
 * as above. */
int many_pass_take_(int socket, unsigned char *byte);

/* Take so many bytes (at most 64) and whatever descriptors they bring, and throw all away. */
void many_pass_drop_(int socket, size_t n);

/* Has the other side hung up? Bytes that it sent before may still be there. */
int many_pass_is_over_(int socket);

/* Who waits looks so often for what no event tells: deaths. */
#define MANY_PASS_SLICE_NS_ (50 * INT64_C(1000000))

/* Sleep until poll(2)'s events come, or an error, for a slice at most: 0: look; -EAGAIN: the slice
 * is over; -ETIMEDOUT; -EINTR. */
int many_pass_sleep_(int socket, short events, int64_t deadline_ns, int64_t slice_ns);

/* Which file a descriptor is; 0: none. A task may close what it did not open, and its own file may
 * have the number then. */
uint64_t many_pass_file_(int fd);

/* Close fd if it is still that file. */
void many_pass_close_(int fd, uint64_t file);

#endif
