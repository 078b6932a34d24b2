/* SPDX-License-Identifier: MIT */
/*
 * descriptors.h - messages that carry descriptors from process to process
 */
#ifndef MANY_OS_DESCRIPTORS_H
#define MANY_OS_DESCRIPTORS_H

#include <stddef.h>
#include <sys/types.h>

/* So many descriptors go with one message: the kernel takes 253, musl has room for fewer. */
#define MANY_DESCRIPTORS_MOST_ 128

/* Two connected sockets that keep messages apart, close-on-exec, above 2. 0, or -EMFILE, -ENFILE,
 * -ENOMEM. */
int many_descriptors_pair_(int ends[2]);

/*
 * Send one message of 1 or more bytes, with count descriptors, which stay the caller's. Raises no
 * SIGPIPE. 0; -EAGAIN: no room now (wait == 0); -EPIPE: nobody is at the other end; -ETOOMANYREFS: too
 * many descriptors are on their way; another errno: line is no such socket. wait != 0: until there is
 * room.
 */
int many_descriptors_send_(int line, const void *message, size_t bytes, const int *descriptors,
                           size_t count, int wait);

/*
 * Receive one message, waiting for it if wait is not 0, and its descriptors (close-on-exec, above 2),
 * the first *count places of descriptors at most; *count becomes their number, the places behind are
 * -1. What does not fit is closed. The length; -EPIPE: the other end is closed, nothing is left; -EAGAIN:
 * nothing now; -EMSGSIZE: longer than room; another errno: line is no such socket. *lost (may be NULL)
 * becomes 1 if this process had no place for a descriptor, else 0.
 */
ssize_t many_descriptors_receive_(int line, void *message, size_t room, int *descriptors,
                                  size_t *count, int *lost, int wait);

/* Close those that are not -1, and make them -1. */
void many_descriptors_close_(int *descriptors, size_t count);

#endif
