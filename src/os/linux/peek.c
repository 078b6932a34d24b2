/* SPDX-License-Identifier: MIT */
/*
 * peek.c - the shared memory of other processes, through /proc/PID/fd; see os/peek.h
 *
 * Promise    Nothing of the other process's is opened but anonymous files of the name that is asked
 *            for, whatever it does with its descriptors meanwhile: opening a device or a FIFO may
 *            have effects. So each is taken by O_PATH first, which opens nothing, and looked at;
 *            and what was looked at is opened.
 */
#include "os/peek.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "os/stream.h"

#define PEEK_PATH_BYTES 128

typedef struct peek_list {
    int *files;
    size_t count, room;
} peek_list;

/* 1: the link is to an anonymous file of this name. folder AT_FDCWD: path is whole. */
static int peek_is(int folder, const char *path, const char *name)
{
    char is[PEEK_PATH_BYTES], wanted[PEEK_PATH_BYTES];
    const ssize_t length = readlinkat(folder, path, is, sizeof is);

    snprintf(wanted, sizeof wanted, "/memfd:%s (deleted)", name);
    return length == (ssize_t)strlen(wanted) && memcmp(is, wanted, (size_t)length) == 0;
}

/* 1: it is there already. */
static int peek_has(const peek_list *list, const struct stat *file)
{
    for (size_t i = 0; i < list->count; i++) {
        struct stat other;

        if (fstat(list->files[i], &other) == 0 && other.st_dev == file->st_dev &&
            other.st_ino == file->st_ino)
            return 1;
    }
    return 0;
}

/* file becomes the list's. 0 or -ENOMEM, and it is closed. */
static int peek_add(peek_list *list, int file)
{
    if (list->count == list->room) {
        const size_t room = list->room == 0 ? 8 : 2 * list->room;
        int *more =
            MANY_FAULT_ERROR("peek.list") < 0 ? NULL : realloc(list->files, room * sizeof *more);

        if (more == NULL) {
            close(file);
            return -ENOMEM;
        }
        list->files = more;
        list->room = room;
    }
    list->files[list->count++] = file;
    return 0;
}

/* What path, a descriptor of ours by O_PATH, is of; opened if it is such a file. 0 or a negative
 * errno. */
static int peek_look(peek_list *list, int path, const char *name)
{
    char self[PEEK_PATH_BYTES];
    struct stat file;
    int fd;

    snprintf(self, sizeof self, "/proc/self/fd/%d", path);
    if (fstat(path, &file) != 0 || !S_ISREG(file.st_mode) || !peek_is(AT_FDCWD, self, name) ||
        peek_has(list, &file))
        return 0;
    fd = many_stream_lift_(open(self, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (fd < 0)
        return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -errno : 0;
    /* A file of another file system, whose reads could block, has no seals. */
    if (fcntl(fd, F_GET_SEALS) < 0) {
        close(fd);
        return 0;
    }
    return peek_add(list, fd);
}

static int peek_folder(peek_list *list, DIR *folder, const char *name)
{
    struct dirent *entry;
    int code = 0;

    while (code == 0 && (errno = 0, entry = readdir(folder)) != NULL) {
        int path;

        if (!peek_is(dirfd(folder), entry->d_name, name))
            continue;
        path = openat(dirfd(folder), entry->d_name, O_PATH | O_CLOEXEC);
        if (path < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
            return -errno;
        if (path < 0)
            continue; /* closed meanwhile */
        code = peek_look(list, path, name);
        close(path);
    }
    return code;
}

int many_peek_open_(pid_t pid, const char *name, int **files, size_t *count)
{
    char path[PEEK_PATH_BYTES];
    peek_list list = {NULL, 0, 0};
    DIR *folder;
    int code;

    *files = NULL;
    *count = 0;
    snprintf(path, sizeof path, "/proc/%ld/fd", (long)pid);
    folder = opendir(path);
    if (folder == NULL && (errno == EACCES || errno == EPERM))
        return -EACCES;
    if (folder == NULL)
        return errno == ENOMEM || errno == EMFILE || errno == ENFILE ? -errno : -ESRCH;
    code = peek_folder(&list, folder, name);
    closedir(folder);
    if (code < 0) {
        while (list.count > 0)
            close(list.files[--list.count]);
        free(list.files);
        return code;
    }
    *files = list.files;
    *count = list.count;
    return 0;
}

int many_peek_read_(int file, void *bytes, size_t count, size_t from)
{
    size_t done = 0;

    while (done < count) {
        const ssize_t got = pread(file, (char *)bytes + done, count - done, (off_t)(from + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return -ENODATA;
        done += (size_t)got;
    }
    return 0;
}

int many_peek_kin_(pid_t pid)
{
    char path[PEEK_PATH_BYTES], own[PEEK_PATH_BYTES], other[PEEK_PATH_BYTES];
    const ssize_t own_length = readlink("/proc/self/ns/pid", own, sizeof own);
    ssize_t length;

    snprintf(path, sizeof path, "/proc/%ld/ns/pid", (long)pid);
    length = readlink(path, other, sizeof other);
    return length > 0 && length == own_length && memcmp(own, other, (size_t)length) == 0;
}
