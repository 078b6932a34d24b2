/* SPDX-License-Identifier: MIT */
/*
 * listener_bind.c - a socket that listens, and its file
 *
 * A socket file outlives a killed listener. It is taken over when nobody answers at it: connect()
 * says ECONNREFUSED for a file whose listener is gone, and also for one that is bound and does not
 * listen yet. So whoever binds in a folder locks the folder until it listens, and what is found
 * refusing under the lock is stale. (Where the folder cannot be locked, two that begin at the same
 * instant may both believe to be the one; the file is the second's then, and the first does not
 * remove it: it knows its own by device and inode.)
 */
#include "listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "options.h"

#define BIND_LOCK_S 2.0 /* others hold it for moments */

static const char bind_name[] = "many_listener_open";

static int bind_fail(int code, const char *address)
{
    return many_fail(code, "%s: %.80s: %s", bind_name, address,
                     code == -EADDRINUSE ? "somebody listens there already"
                     : code == -EACCES   ? "not allowed there"
                                         : many_strerror(code));
}

/* The folder of the file, locked; -1 if that cannot be. */
static int bind_lock_folder(const char *path)
{
    const int64_t deadline_ns = many_remote_deadline_(BIND_LOCK_S);
    const struct timespec moment = {0, 1000000};
    char folder[sizeof(((struct sockaddr_un *)0)->sun_path)];
    char *slash;
    int fd;

    snprintf(folder, sizeof folder, "%s", path);
    slash = strrchr(folder, '/');
    if (slash == NULL)
        strcpy(folder, ".");
    else
        slash[slash == folder] = '\0';
    fd = many_remote_lift_(open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if ((errno != EWOULDBLOCK && errno != EINTR) || many_remote_now_() >= deadline_ns) {
            close(fd);
            return -1;
        }
        nanosleep(&moment, NULL);
    }
    return fd;
}

/* Is there a socket file that nobody serves? Then remove it: 0; else -EADDRINUSE. */
static int bind_take_over(const many_address_ *address)
{
    struct stat before, after;
    int fd, stale;

    if (lstat(address->un.sun_path, &before) != 0 || !S_ISSOCK(before.st_mode))
        return -EADDRINUSE;
    fd = many_remote_lift_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (fd < 0)
        return -errno;
    stale = connect(fd, (const struct sockaddr *)&address->un, address->un_bytes) != 0 &&
            errno == ECONNREFUSED;
    close(fd);
    if (!stale || lstat(address->un.sun_path, &after) != 0 || before.st_ino != after.st_ino ||
        before.st_dev != after.st_dev || unlink(address->un.sun_path) != 0)
        return -EADDRINUSE;
    return 0;
}

static int bind_local_now(int fd, const many_address_ *address, int backlog)
{
    const struct sockaddr *name = (const struct sockaddr *)&address->un;
    int code = bind(fd, name, address->un_bytes) == 0 ? 0 : -errno;

    if (code == -EADDRINUSE && address->in_files) {
        code = bind_take_over(address);
        if (code == 0)
            code = bind(fd, name, address->un_bytes) == 0 ? 0 : -errno;
    }
    if (code == 0 && listen(fd, backlog) != 0) {
        code = -errno;
        if (address->in_files)
            unlink(address->un.sun_path);
    }
    return code;
}

static int bind_local(many_listener *listener, const many_address_ *address, int backlog)
{
    int fd = many_remote_lift_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    int folder = -1, code;
    struct stat file;

    if (fd < 0)
        return -errno;
    if (address->in_files)
        folder = bind_lock_folder(address->un.sun_path);
    code = bind_local_now(fd, address, backlog);
    if (code == 0 && address->in_files && lstat(address->un.sun_path, &file) == 0) {
        listener->in_files = 1;
        listener->device = file.st_dev;
        listener->inode = file.st_ino;
    }
    if (folder >= 0)
        close(folder);
    if (code < 0) {
        close(fd);
        return code;
    }
    listener->local = 1;
    listener->socket = fd;
    return 0;
}

/* The first of the addresses that can be had; or the code of the last. */
static int bind_tcp(many_listener *listener, const many_address_ *address, int backlog)
{
    int code = -EADDRNOTAVAIL;

    for (const struct addrinfo *one = address->found; one != NULL; one = one->ai_next) {
        const int on = 1;
        int fd = many_remote_lift_(
            socket(one->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));

        if (fd < 0) {
            code = -errno;
            continue;
        }
        /* Connections of an earlier listener that linger do not keep the address. */
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(fd, one->ai_addr, one->ai_addrlen) == 0 && listen(fd, backlog) == 0) {
            listener->socket = fd;
            many_address_name_(fd, listener->name);
            return 0;
        }
        code = -errno;
        close(fd);
    }
    return code;
}

int many_listener_bind_(many_listener *listener, const char *text, int backlog, int open)
{
    many_address_ address;
    int code = many_address_read_(&address, text, 1, bind_name);

    if (code < 0)
        return code;
    if (!address.local && listener->key == NULL && !open) {
        many_address_free_(&address);
        return many_fail(-EINVAL,
                         "%s: a TCP listener without .key lets anyone in: set .open if that "
                         "is meant",
                         bind_name);
    }
    snprintf(listener->name, sizeof listener->name, "%s", text);
    code = address.local ? bind_local(listener, &address, backlog)
                         : bind_tcp(listener, &address, backlog);
    many_address_free_(&address);
    return code < 0 ? bind_fail(code, text) : 0;
}

void many_listener_unlink_(const many_listener *listener)
{
    const char *path = listener->name + sizeof "unix:" - 1;
    struct stat file;

    if (listener->in_files && listener->opener == getpid() && lstat(path, &file) == 0 &&
        file.st_dev == listener->device && file.st_ino == listener->inode)
        unlink(path);
}
