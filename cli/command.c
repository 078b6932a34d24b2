/* SPDX-License-Identifier: MIT */
/* command.c - which file a command is; see command.h */
#include "command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What execvp(3) of glibc and musl uses if PATH is not set. */
#define COMMAND_PATH "/usr/local/bin:/bin:/usr/bin"

/* Can this file be run? 0 or a negative code. */
static int command_check(const char *path)
{
    struct stat status;

    if (stat(path, &status) != 0)
        return errno == ENOTDIR ? -ENOENT : -errno;
    if (S_ISDIR(status.st_mode))
        return -EISDIR;
    return access(path, X_OK) == 0 ? 0 : -errno;
}

/* folder of so many bytes, a slash, and name; NULL without memory. No folder is the current one. */
static char *command_join(const char *folder, size_t bytes, const char *name)
{
    size_t name_bytes = strlen(name) + 1;
    char *path = malloc(bytes + 2 + name_bytes);
    char *to = path;

    if (path == NULL)
        return NULL;
    if (bytes > 0) {
        memcpy(path, folder, bytes);
        to = path + bytes;
        *to++ = '/';
    }
    memcpy(to, name, name_bytes);
    return path;
}

int command_find(const char *name, char **path)
{
    const char *folders = getenv("PATH");
    int denied = 0;

    *path = NULL;
    if (name[0] == '\0')
        return -ENOENT;
    if (strchr(name, '/') != NULL) {
        int code = command_check(name);

        if (code == 0 && (*path = strdup(name)) == NULL)
            code = -ENOMEM;
        return code;
    }
    if (folders == NULL)
        folders = COMMAND_PATH;
    for (;;) {
        size_t bytes = strcspn(folders, ":");
        char *file = command_join(folders, bytes, name);
        int code;

        if (file == NULL)
            return -ENOMEM;
        code = command_check(file);
        if (code == 0) {
            *path = file;
            return 0;
        }
        free(file);
        if (code == -EACCES)
            denied = 1;
        if (folders[bytes] == '\0')
            return denied ? -EACCES : -ENOENT;
        folders += bytes + 1;
    }
}
