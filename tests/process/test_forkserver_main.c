/* SPDX-License-Identifier: MIT */
/* test_forkserver_main.c - processes by the fork server, in a program that begins with many_main(): the
 * server is the program anew */
#include "main_first.h"

#include <signal.h>

/* As a library of the program may do, before many_main() has its turn. */
__attribute__((constructor(101))) static void main_let_signals_through(void)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

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

TEST(signals_that_a_constructor_lets_through_do_not_reach_it)
{
    pid_t server = server_pid();

    CHECK(kill(server, SIGTERM) == 0);
    CHECK_EQUAL(started_run(started_return, 6), 6);
    CHECK_EQUAL(server_pid(), server);
}

/* No exec takes such a long word: it is not to be had anew, and so is a fork. */
static void main_start_without_exec(void *argument)
{
    static char long_name[1 << 20];
    int number = 7;
    many_process *process;

    (void)argument;
    memset(long_name, 'x', sizeof long_name - 1);
    many_main(1, (char *[]){long_name, NULL});
    CHECK_CODE(many_process_start(&process, started_return, &number,
                                  .argument_bytes = sizeof number, .method = MANY_FORKSERVER,
                                  .daemon = 1),
               0);
    CHECK_EQUAL(started_join(process), 7);
    CHECK_CODE(many_process_start(&process, case_return, case_number(8), .daemon = 1), 0);
    CHECK_EQUAL(started_join(process), 8);
}

TEST(where_the_program_cannot_be_exec_ed_the_server_is_a_fork)
{
    if (TEST_TSAN)
        test_skip("a vfork is a fork here, and a failed exec an exit with 127");
    CHECK_EQUAL(test_in_child(main_start_without_exec, NULL), 0);
}
