/* SPDX-License-Identifier: MIT */
/*
 * address.h - "unix:/path", "unix:@name", "tcp:HOST:PORT" become what sockets understand
 */
#ifndef MANY_REMOTE_ADDRESS_H
#define MANY_REMOTE_ADDRESS_H

#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>

#define MANY_ADDRESS_TEXT_ 320 /* bytes of the longest address, with its NUL: a host name has 253 */

typedef struct many_address_ {
    int local;    /* AF_UNIX: .un, of .un_bytes; else .found */
    int in_files; /* local, and a file */
    struct sockaddr_un un;
    socklen_t un_bytes;
    struct addrinfo *found; /* one or more */
} many_address_;

/*
 * Read an address; for a listener an empty HOST means all interfaces, and PORT may be 0. 0;
 * -EINVAL, -ENAMETOOLONG, -EHOSTUNREACH, -ENOMEM, with words that begin with function. Blocks
 * while HOST is looked up. To be given back, after success.
 */
int many_address_read_(many_address_ *address, const char *text, int listener,
                       const char *function);
void many_address_free_(many_address_ *address);

/* How a bound TCP socket is called: "tcp:127.0.0.1:43117". */
void many_address_name_(int socket, char text[MANY_ADDRESS_TEXT_]);

#endif
