/* SPDX-License-Identifier: MIT */
/* memory.c - anonymous shared memory; see os/memory.h */
#include "os/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "os/stream.h"

/* Of the kernel's UAPI, newer than some C libraries. */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

int many_memory_map_shared_(void **memory, size_t bytes)
{
    void *got;

    *memory = NULL;
    if (MANY_FAULT_ERROR("memory.map") < 0)
        return -ENOMEM;
    /* NORESERVE: large areas are set aside, and mostly never touched. */
    got = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1,
               0);
    if (got == MAP_FAILED)
        return -ENOMEM;
    *memory = got;
    return 0;
}

int many_memory_map_wiped_(void **memory, size_t bytes)
{
    void *got;

    *memory = NULL;
    if (MANY_FAULT_ERROR("memory.map_wiped") < 0)
        return -ENOMEM;
    got = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (got == MAP_FAILED)
        return -ENOMEM;
    if (madvise(got, bytes, MADV_WIPEONFORK) != 0) {
        munmap(got, bytes);
        return -ENOSYS;
    }
    *memory = got;
    return 0;
}

void many_memory_unmap_(void *memory, size_t bytes)
{
    if (memory != NULL)
        munmap(memory, bytes);
}

/* The kernel maps so much around a read fault (fault_around_bytes), where the pages are there. */
#define MEMORY_AROUND_BYTES ((uintptr_t)65536)

void many_memory_touch_(const void *memory, size_t bytes)
{
    const uintptr_t end = (uintptr_t)memory + bytes;

    for (uintptr_t at = (uintptr_t)memory; at < end;
         at = (at & ~(MEMORY_AROUND_BYTES - 1)) + MEMORY_AROUND_BYTES)
        (void)*(const volatile char *)at;
}

size_t many_memory_page_(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

uint64_t many_memory_ram_(void)
{
    const uint64_t least = UINT64_C(1) << 30;
    long pages = sysconf(_SC_PHYS_PAGES);
    uint64_t bytes = pages > 0 ? (uint64_t)pages * many_memory_page_() : 0;

    return bytes < least ? least : bytes;
}

size_t many_memory_room_(void)
{
    struct rlimit limit;

    /* Some for everybody: other areas, stacks, and the caller's own malloc. */
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        return (size_t)(limit.rlim_cur / 16);
    return SIZE_MAX / 256; /* of 47 bits of address space and more, all the memory there is */
}

/* A file beyond this limit would be a SIGXFSZ, which kills. */
static int memory_file_may_be(size_t bytes)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
           bytes <= limit.rlim_cur;
}

int many_memory_file_open_(const char *name, size_t bytes)
{
    int code = MANY_FAULT_ERROR("memory.file");
    int fd;

    if (code < 0)
        return code;
    if (!memory_file_may_be(bytes) || bytes > INT64_MAX)
        return -EFBIG;
    /* Where vm.memfd_noexec is 2 a memfd without the flag is refused; before Linux 6.3 one with
     * it. */
    fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    fd = many_stream_lift_(fd);
    if (fd < 0)
        return errno == EMFILE || errno == ENFILE ? -errno : -ENOMEM;
    if (ftruncate(fd, (off_t)bytes) != 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) != 0) {
        code = errno == EFBIG ? -EFBIG : -ENOMEM;
        close(fd);
        return code;
    }
    return fd;
}

int many_memory_file_check_(int fd, size_t *bytes)
{
    struct stat status;
    int seals;

    *bytes = 0;
    if (fstat(fd, &status) != 0)
        return -EBADF;
    seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || (seals & F_SEAL_WRITE) != 0 ||
        (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDWR)
        return -EBADMSG;
    *bytes = (size_t)status.st_size;
    return 0;
}

int many_memory_file_map_(void **memory, int fd, size_t reserve)
{
    void *got;

    *memory = NULL;
    if (MANY_FAULT_ERROR("memory.map_file") < 0)
        return -ENOMEM;
    got = mmap(NULL, reserve, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (got == MAP_FAILED)
        return -ENOMEM;
    *memory = got;
    return 0;
}

void many_memory_undumped_(void *memory, size_t bytes)
{
    (void)madvise(memory, bytes, MADV_DONTDUMP); /* of mappings it cannot fail */
}

/* A signal undoes all that one call has got so far: a timer of the caller's that goes off ever again
 * must not keep a large growth from ever ending, so what was interrupted is tried in smaller pieces. */
#define MEMORY_PIECE_BYTES ((size_t)8 << 20)
#define MEMORY_PIECE_LEAST ((size_t)1 << 14)

int many_memory_file_grow_(int fd, size_t from, size_t to)
{
    size_t piece = MEMORY_PIECE_BYTES;
    int code = MANY_FAULT_ERROR("memory.grow");

    if (code < 0)
        return code;
    if (!memory_file_may_be(to) || to > INT64_MAX)
        return -EFBIG;
    while (from < to) {
        size_t bytes = to - from < piece ? to - from : piece;

        if (fallocate(fd, 0, (off_t)from, (off_t)bytes) == 0)
            from += bytes;
        else if (errno != EINTR)
            return errno == ENOSPC || errno == EFBIG || errno == EBADF ? -errno : -ENOMEM;
        else if (piece > MEMORY_PIECE_LEAST)
            piece /= 2;
    }
    return 0;
}

void many_memory_file_punch_(int fd, size_t from, size_t to)
{
    while (from < to &&
           fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from,
                     (off_t)(to - from)) != 0 &&
           errno == EINTR) {
    }
}

int many_memory_populate_(void *memory, size_t bytes)
{
    if (MANY_FAULT_ERROR("memory.grow") < 0)
        return -ENOMEM;
    while (bytes > 0 && madvise(memory, bytes, MADV_POPULATE_WRITE) != 0)
        if (errno != EINTR && errno != EAGAIN)
            return errno == EINVAL ? -ENOSYS : -ENOMEM;
    return 0;
}

void many_memory_discard_(void *memory, size_t bytes)
{
    if (bytes > 0)
        (void)madvise(memory, bytes, MADV_REMOVE); /* kept, it costs memory and nothing else */
}
