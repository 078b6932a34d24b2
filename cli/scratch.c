/* SPDX-License-Identifier: MIT */
/* scratch.c - files without a name; see scratch.h */
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Since Linux 6.3: what jobs print can never be run as a program. Some systems insist on it
 * (vm.memfd_noexec), older ones do not know it. */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

static const char *scratch_folder(void)
{
    const char *folder = getenv("TMPDIR");

    return folder != NULL && folder[0] != '\0' ? folder : "/tmp";
}

/* A file that had a name for a moment. */
static int scratch_unlinked(void)
{
    char path[4096];
    int fd;

    if (snprintf(path, sizeof path, "%s/many-XXXXXX", scratch_folder()) >= (int)sizeof path)
        return -ENAMETOOLONG;
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    unlink(path);
    return fd;
}

static int scratch_memfd(void)
{
    static _Atomic unsigned extra = MFD_NOEXEC_SEAL; /* 0: this kernel does not know it */
    const unsigned flags = atomic_load_explicit(&extra, memory_order_relaxed);
    int fd = memfd_create("many", MFD_CLOEXEC | flags);

    if (fd < 0 && errno == EINVAL && flags != 0) {
        atomic_store_explicit(&extra, 0, memory_order_relaxed);
        fd = memfd_create("many", MFD_CLOEXEC);
    }
    return fd < 0 ? -errno : fd;
}

int scratch_memory(void)
{
    int fd = scratch_memfd();

    if (fd == -ENOSYS)
        fd = scratch_unlinked();
    /* As if it had been opened by >>: two that write to it do not overwrite each other, also when
     * one of them has opened /dev/stdout anew. */
    if (fd >= 0)
        fcntl(fd, F_SETFL, O_APPEND);
    return fd;
}

int scratch_disk(void)
{
    int fd = open(scratch_folder(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0)
        fd = scratch_unlinked();
    return fd >= 0 ? fd : scratch_memfd();
}
