/* SPDX-License-Identifier: MIT */
/* memory.c - anonymous shared memory; see os/memory.h */
#include "os/memory.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fault.h"

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
