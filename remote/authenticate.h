/* SPDX-License-Identifier: MIT */
/*
 * authenticate.h - two sides prove to each other that they know a key, without sending it
 *
 * One step at a time, as far as the socket allows without waiting, so that one thread can have many
 * peers in the middle of it. The protocol stands in authenticate.c.
 */
#ifndef MANY_REMOTE_AUTHENTICATE_H
#define MANY_REMOTE_AUTHENTICATE_H

#include <stddef.h>
#include <stdint.h>

#define MANY_AUTHENTICATE_FRAME_                                                                   \
    256 /* a longer message is read from nobody who has proved nothing */

typedef struct many_authenticate_ {
    int socket;
    int listener; /* 1: challenges first; 0: answers first */
    int step;
    int refuse;      /* the code to end with, when what is being sent has been sent */
    const void *key; /* the caller's, and good as long as this is used */
    size_t key_bytes;
    unsigned char challenge[64]; /* of ours: what the peer has to sign */
    size_t challenge_bytes;
    unsigned char out[4 + MANY_AUTHENTICATE_FRAME_];
    size_t out_bytes, out_sent;
    unsigned char in[4 + MANY_AUTHENTICATE_FRAME_];
    size_t in_bytes;
} many_authenticate_;

/* What it waits for, as poll(2)'s events are not negative. */
#define MANY_AUTHENTICATED_ 0

/* Begin. 0; -ENOMEM: no random numbers are to be had. */
int many_authenticate_begin_(many_authenticate_ *a, int socket, int listener, const void *key,
                             size_t key_bytes);

/*
 * Go on: MANY_AUTHENTICATED_; POLLIN or POLLOUT: call again when the socket is that; -EACCES: one
 * of the two does not know the other's key; -EPROTO: what came is not this protocol; -EPIPE: it
 * hung up; -ENOMEM.
 */
int many_authenticate_go_(many_authenticate_ *a);

/* Forget what was in it. */
void many_authenticate_end_(many_authenticate_ *a);

#endif
