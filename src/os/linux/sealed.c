/* SPDX-License-Identifier: MIT */
/* sealed.c - bytes that nobody can change any more: a sealed memfd; see os/sealed.h */
#include "os/sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "os/stream.h"

#define SEALED_ALL (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static int sealed_write(int fd, const char *at, size_t left)
{
    while (left > 0) {
        ssize_t wrote = write(fd, at, left);

        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return errno == EFAULT ? -EFAULT : -ENOMEM; /* ENOSPC: a limit on shared memory */
        at += wrote;
        left -= (size_t)wrote;
    }
    return 0;
}

/* As many pieces as fit in a page go by one call. */
static int sealed_fill(int fd, const many_piece_ *pieces, size_t count)
{
    char gathered[4096];
    size_t used = 0;
    int code = 0;

    for (size_t i = 0; i < count && code == 0; i++) {
        if (pieces[i].count == 0)
            continue;
        if (pieces[i].count <= sizeof gathered - used) {
            memcpy(gathered + used, pieces[i].bytes, pieces[i].count);
            used += pieces[i].count;
            continue;
        }
        code = sealed_write(fd, gathered, used);
        used = 0;
        if (code == 0)
            code = sealed_write(fd, pieces[i].bytes, pieces[i].count);
    }
    return code < 0 ? code : sealed_write(fd, gathered, used);
}

int many_sealed_open_(const many_piece_ *pieces, size_t count)
{
    int code = MANY_FAULT_ERROR("sealed.open");
    int fd;

    if (code < 0)
        return code;
    fd = many_stream_lift_(memfd_create("many", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (fd < 0)
        return -errno;
    code = sealed_fill(fd, pieces, count);
    if (code == 0 && fcntl(fd, F_ADD_SEALS, SEALED_ALL) != 0)
        code = -errno;
    if (code == 0)
        return fd;
    close(fd);
    return code;
}

int many_sealed_map_(int fd, void **memory, size_t *bytes)
{
    const int seals = fcntl(fd, F_GET_SEALS);
    struct stat status;
    void *got;

    *memory = NULL;
    *bytes = 0;
    /* Others may be there: where vm.memfd_noexec is set the kernel adds one. */
    if (seals < 0 || (seals & SEALED_ALL) != SEALED_ALL || fstat(fd, &status) != 0 ||
        status.st_size <= 0)
        return -EBADMSG;
    got = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (got == MAP_FAILED)
        return -ENOMEM;
    *memory = got;
    *bytes = (size_t)status.st_size;
    return 0;
}
