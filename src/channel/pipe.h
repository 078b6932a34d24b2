/* SPDX-License-Identifier: MIT */
/*
 * pipe.h - one end of a pipe seen from inside: handed to another process, and its two kinds
 *
 * What a process that did not fork from us needs of an end is three descriptors: memory and
 * sockets. It finds in the memory which kind it is, and by the sockets which end.
 */
#ifndef MANY_CHANNEL_PIPE_H
#define MANY_CHANNEL_PIPE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <many/channel.h>

#include "os/self.h"

#define MANY_PIPE_FDS_ 3

/* The descriptors that another process needs to have this end. They stay the pipe's own, and are
 * good until it is closed; two may be the same. 0; -EINVAL for NULL. */
int many_pipe_share_(many_pipe *pipe, int fds[MANY_PIPE_FDS_]);

/*
 * Make an end of copies of such descriptors, in the same order. They are the pipe's after success
 * (close-on-exec is set on them), the caller's after a failure: -EBADMSG (not what
 * many_pipe_share_() gave, or of another version), -EBADF, -ENOMEM, with words. The calling
 * process is recorded as a holder of the end.
 */
int many_pipe_adopt_fds_(many_pipe **pipe, const int fds[MANY_PIPE_FDS_]);

/* Record that a process (its main thread: many_self_of_(pid)) has this end: when all that are
 * recorded are dead, the other end sees the end of the stream. Does nothing for NULL. */
void many_pipe_hold_(many_pipe *pipe, many_identity_ who);

#endif
