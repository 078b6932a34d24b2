/* SPDX-License-Identifier: MIT */
/*
 * guest.h - stdout and stderr of a started process, which go through the stage; see also stages.h
 */
#ifndef MANY_BAR_GUEST_H
#define MANY_BAR_GUEST_H

/* Does stdio's stream for this descriptor (1 or 2) go through the stage? */
int many_guest_is_(int fd);

#endif
