/* SPDX-License-Identifier: MIT */
/*
 * remote.h - connections between programs that do not know each other: listener and client
 *
 *   many_listener *listener = NULL;                                     // the server
 *   many_listener_open(&listener, .address = "tcp:127.0.0.1:6000", .key = key, .key_bytes = 32);
 *   many_listener_accept(listener, &pipe, MANY_FOREVER);
 *
 *   many_client_open(&pipe, .address = "tcp:127.0.0.1:6000", .key = key, .key_bytes = 32);
 *
 * What they give is a many_pipe: send and receive messages, poll, close as with any other.
 *
 *   addresses  "unix:/run/app.sock": a socket file, removed by many_listener_close(); "unix:@name": Linux's
 *              abstract names; "tcp:HOST:PORT", "tcp:[::1]:PORT": HOST a name or a number, empty for all
 *              interfaces (listener only), PORT 0 to let the system choose (many_listener_address()).
 *   keys       both sides prove that they know the key, without sending it: a random challenge each
 *              way, answered by its HMAC-SHA-256. The same protocol as Python's multiprocessing.connection
 *              (3.12 and later). It proves who is there; it does not encrypt or sign what is sent
 *              afterwards, and who can put himself between the two can pass the proofs on: across
 *              untrusted networks use a tunnel.
 *   strangers  until a peer has proved itself nothing longer than 256 bytes is read from it, and it has
 *              .handshake_s seconds; it cannot hold up others that connect.
 *
 * Lives in libmany_remote, because it needs libcrypto (OpenSSL 3); link with -lmany_remote -lmany, or use
 * the CMake target many::remote, or pkg-config many_remote.
 */
#ifndef MANY_REMOTE_H
#define MANY_REMOTE_H

#include <many.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct many_listener many_listener;

typedef struct many_listener_options {
    size_t size;                /* sizeof this struct; the macro fills it */
    many_listener **listener;   /* receives the handle; required, the macro's first argument */
    struct many_named_ *named_; /* keeps options named; leave it alone */
    const char *address;        /* required; see above */
    const void *key;    /* the shared secret; NULL: anyone who can connect (AF_UNIX: the same
                                   user) is let in; for TCP then .open must be 1 */
    size_t key_bytes;   /* 1 .. 4096 with a key */
    double handshake_s; /* how long a peer may take to prove itself; 0: 10 */
    size_t message_max; /* bytes a message may have; 0: 1 GiB */
    int backlog;        /* connections that may wait to be accepted; 0: 128 */
    int open;           /* 1: a TCP listener without a key is meant */
} many_listener_options;

/*
 * many_listener_open - wait for connections at an address
 *
 *   listener  receives the handle; NULL after a failure
 *   options   by name: many_listener_open(&listener, .address = "unix:/run/app.sock")
 *
 * returns   0
 *           -EINVAL      no address, or one that makes no sense; TCP without key and without .open
 *           -EADDRINUSE  somebody listens there already (a socket file that nobody serves any more is
 *                        taken over)
 *           -EACCES, -ENOENT, -ENAMETOOLONG, -EADDRNOTAVAIL, -EMFILE, -ENFILE, -ENOMEM  from the system
 *           -EHOSTUNREACH  HOST has no address
 *           -E2BIG       an option is set that this library is too old for
 * blocks    to look up HOST
 * threads   any
 * fork      children that are forked later may accept, too; the one who opened it removes the file
 * signals   not from a signal handler
 * source    Python multiprocessing.connection.Listener(address, backlog, authkey)
 */
MANY_API int many_listener_open_with(const many_listener_options *options);

#ifndef __cplusplus
#define many_listener_open(...)                                                                    \
    many_listener_open_with(                                                                       \
        &(many_listener_options){.size = sizeof(many_listener_options), .listener = __VA_ARGS__})
#endif

/*
 * many_listener_accept - wait for a peer that connects, and knows the key
 *
 * Peers that do not prove themselves are dropped, and the wait goes on; several may be in the middle
 * of it at once. many_listener_refused() counts them.
 *
 *   pipe       receives the connection; NULL after a failure
 *   timeout_s  seconds to wait; 0: only one that is ready now; MANY_FOREVER: no limit
 *
 * returns   0
 *           -ETIMEDOUT  none in time
 *           -EINTR      a signal handler ran on this thread
 *           -EINVAL     an argument is NULL, or the timeout makes no sense
 *           -EMFILE, -ENFILE, -ENOMEM  from the system
 * blocks    at most timeout_s
 * threads   one at a time
 * fork      usable in a forked child
 * signals   not from a signal handler
 * source    Python Listener.accept
 */
MANY_API int many_listener_accept(many_listener *listener, many_pipe **pipe, double timeout_s);

/*
 * many_listener_refused - how many peers were dropped: wrong key, no answer in time, not our protocol
 *
 * returns   the number since open; 0 for NULL
 * blocks    never
 * threads   any
 * fork      a child counts its own
 * signals   safe in a signal handler
 */
MANY_API uint64_t many_listener_refused(const many_listener *listener);

/*
 * many_listener_address - where it listens: "tcp:127.0.0.1:43117"
 *
 * returns   a string of the listener's, with the port that the system chose; "" for NULL
 * blocks    never
 * threads   any
 * fork      usable in a forked child
 * signals   safe in a signal handler
 * source    Python Listener.address
 */
MANY_API const char *many_listener_address(const many_listener *listener);

/*
 * many_listener_descriptor - a descriptor that is readable when accept has something to do
 *
 * For poll; then call many_listener_accept() with 0, and expect -ETIMEDOUT: a peer may not be through.
 *
 * returns   a descriptor, the listener's own; -EINVAL for NULL; -EMFILE, -ENFILE, -ENOMEM in a child
 * blocks    never
 * threads   any, but not the first time in a forked child
 * fork      a child has another one than its parent
 * signals   not from a signal handler
 */
MANY_API int many_listener_descriptor(many_listener *listener);

/*
 * many_listener_close - stop listening; connections that were accepted stay
 *
 * blocks    never
 * threads   the last one to use it; NULL does nothing
 * fork      a child closes its own; the socket file stays
 * signals   not from a signal handler
 * source    Python Listener.close
 */
MANY_API void many_listener_close(many_listener *listener);

typedef struct many_client_options {
    size_t size;                /* sizeof this struct; the macro fills it */
    many_pipe **pipe;           /* receives the handle; required, the macro's first argument */
    struct many_named_ *named_; /* keeps options named; leave it alone */
    const char *address;        /* required; of the listener */
    const void *key;            /* the shared secret; NULL: the listener has none */
    size_t key_bytes;           /* 1 .. 4096 with a key */
    double timeout_s;           /* to connect and to prove each other; 0: 10; MANY_FOREVER */
    size_t message_max;         /* bytes a message may have; 0: 1 GiB */
} many_client_options;

/*
 * many_client_open - connect to a listener, and make sure that it knows the key
 *
 *   pipe     receives the connection; NULL after a failure
 *   options  by name: many_client_open(&pipe, .address = "tcp:localhost:6000", .key = key, .key_bytes = n)
 *
 * returns   0
 *           -EACCES        the other side does not know the key, or does not accept ours
 *           -ECONNREFUSED, -ENOENT  nobody listens there
 *           -ETIMEDOUT     not in time
 *           -EPROTO        what is there does not speak this protocol
 *           -EPIPE         it hung up
 *           -EINTR         a signal handler ran on this thread
 *           -EINVAL        no address, or one that makes no sense, or an option out of range
 *           -EHOSTUNREACH, -ENETUNREACH, -EMFILE, -ENFILE, -ENOMEM  from the system
 *           -E2BIG         an option is set that this library is too old for
 * blocks    at most .timeout_s, and to look up HOST
 * threads   any
 * fork      children that are forked later have the connection, too
 * signals   not from a signal handler
 * source    Python multiprocessing.connection.Client(address, authkey)
 */
MANY_API int many_client_open_with(const many_client_options *options);

#ifndef __cplusplus
#define many_client_open(...)                                                                      \
    many_client_open_with(                                                                         \
        &(many_client_options){.size = sizeof(many_client_options), .pipe = __VA_ARGS__})
#endif

#ifdef __cplusplus
}
#endif

#endif
