/* SPDX-License-Identifier: MIT */
/* test_forkserver_main.c - processes by the fork server, in a program that begins with many_main(): the
 * server is the program anew */
#include "main_first.h"

#define STARTED MANY_FORKSERVER
#include "server_cases.h"
#include "started_cases.h"
#include "started_around.h"

/* Of another process, in pages. */
static long main_resident(pid_t pid)
{
    char path[64];
    long size = 0, resident = -1;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    file = fopen(path, "re");
    CHECK(file != NULL);
    CHECK_EQUAL(fscanf(file, "%ld %ld", &size, &resident), 2);
    fclose(file);
    return resident;
}

static void main_start_when_large(void *argument)
{
    const size_t bytes = (size_t)64 << 20;
    char *memory = malloc(bytes);
    long page = sysconf(_SC_PAGESIZE);
    pid_t server;

    (void)argument;
    CHECK(memory != NULL);
    for (size_t at = 0; at < bytes; at += 1024)
        ((volatile char *)memory)[at] = 1;
    CHECK_CODE(many_forkserver_start(), 0);
    server = server_pid();
    CHECK(main_resident(getpid()) * page >= (long)bytes);
    CHECK(main_resident(server) * page < (long)bytes / 2);
    free(memory);
}

TEST(the_server_is_small_whatever_its_owner_has_become)
{
    CHECK_EQUAL(test_in_child(main_start_when_large, NULL), 0);
}
