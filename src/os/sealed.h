/* SPDX-License-Identifier: MIT */
/*
 * sealed.h - bytes that are handed to another process, and can be changed by nobody any more
 */
#ifndef MANY_OS_SEALED_H
#define MANY_OS_SEALED_H

#include <stddef.h>

typedef struct many_piece_ {
    const void *bytes;
    size_t count;
} many_piece_;

/* A descriptor of an anonymous file that holds the pieces one after another (close-on-exec, above 2);
 * or -ENOMEM, -EMFILE, -ENFILE. */
int many_sealed_open_(const many_piece_ *pieces, size_t count);

/*
 * Map it, whole: a private copy, at a page, that may be written to; pages are copied as they are. 0;
 * -EBADMSG: not a file that many_sealed_open_() made, which could shrink under us; -ENOMEM.
 */
int many_sealed_map_(int fd, void **memory, size_t *bytes);

#endif
