/* SPDX-License-Identifier: MIT */
/*
 * stages.h - what starts processes says this to their bars
 */
#ifndef MANY_BAR_STAGES_H
#define MANY_BAR_STAGES_H

/*
 * In a child that was just started, in its one thread: what it prints by stdout and stderr appears
 * whole above the bars, where these lead to a terminal that has bars of its parent's (or of an
 * adopted stage's). Costs a load where the parent has no bars. Takes no lock that a thread of the
 * parent may have held; allocates, as the C library permits after a fork.
 */
void many_stage_child_(void);

/* In such a child, when its work is done, before _exit(): what it printed last, without a line end,
 * appears. Costs a load where there are no bars. */
void many_stage_exit_(void);

/* A descriptor by which a process that did not fork from us gets the stage of our stderr (else stdout):
 * the caller's to close. 0; -ENOENT: there are no bars on it. */
int many_stage_share_(int *fd);

/* In that process: take it over, with the descriptor. 0; -EBADF, -EBADMSG: it is no such thing; -ENOMEM;
 * then the descriptor is still the caller's. */
int many_stage_adopt_(int fd);

#endif
