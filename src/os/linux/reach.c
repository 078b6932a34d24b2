/* SPDX-License-Identifier: MIT */
/* reach.c - write into another process's memory, process_vm_writev(2); see os/reach.h */
#include "os/reach.h"

#include <errno.h>
#include <sys/uio.h>

#include "base/fault.h"

int many_reach_write_(pid_t pid, void *there, const void *here, size_t bytes)
{
    const char *from = here;
    char *to = there;
    int code = MANY_FAULT_ERROR("reach.write");

    if (code < 0)
        return code;
    while (bytes > 0) {
        struct iovec local = {(void *)from, bytes};
        struct iovec remote = {to, bytes};
        ssize_t wrote = process_vm_writev(pid, &local, 1, &remote, 1, 0);

        if (wrote <= 0)
            return wrote == 0 ? -EFAULT : -errno;
        from += wrote;
        to += wrote;
        bytes -= (size_t)wrote;
    }
    return 0;
}
