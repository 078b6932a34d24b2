/* SPDX-License-Identifier: MIT */
/* test_spawn.c - processes by exec of the same program */
#include "main_first.h"

#define STARTED MANY_SPAWN
#include "started_cases.h"
#include "started_around.h"

#include "os/sealed.h"
#include "process/parcel.h"
#include "process/spawn.h"

/* many_main() with this as the second word returns: the program has such an option, too. */
static void spawn_main_returns(const char *word, const char *number)
{
    static char name[] = "test_spawn"; /* many_main() keeps it */
    char first[32], second[32];
    char *argv[] = {name, first, second, NULL};

    snprintf(first, sizeof first, "%s", word);
    snprintf(second, sizeof second, "%s", number);
    many_main(3, argv);
}

TEST(words_of_the_program_that_look_like_ours_stay_its_own)
{
    static const char *const numbers[] = {"",   "0",  "2",     "-1",    "3x",
                                          "99", "+4", "99999", "1e300", "123456789012345678"};
    many_piece_ piece = {"no parcel", 9};
    char number[16];
    int fd;

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        spawn_main_returns(MANY_SPAWNED_, numbers[i]);
    fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    snprintf(number, sizeof number, "%d", fd);
    spawn_main_returns(MANY_SPAWNED_, number);
    CHECK(fcntl(fd, F_GETFD) >= 0); /* nor was it closed */
    close(fd);
    fd = many_sealed_open_(&piece, 1);
    CHECK(fd >= 0);
    snprintf(number, sizeof number, "%d", fd);
    spawn_main_returns(MANY_SPAWNED_, number);
    close(fd);
    spawn_main_returns("--many-spawne", number);
}

TEST(the_first_word_of_its_command_line_is_the_programs)
{
    CHECK(many_main_name_() != NULL);
    CHECK_CONTAINS(many_main_name_(), "test_");
}

/* The exec itself fails, because no exec takes such a long word; nothing is left of it. */
TEST(a_spawn_that_cannot_exec_says_why)
{
    static char long_name[1 << 20], name[] = "test_spawn";
    test_census before;
    many_process *process;
    int number = 1;

    if (TEST_TSAN)
        test_skip("a vfork is a fork here, and a failed exec an exit with 127");
    CHECK_EQUAL(started_run(started_return, 1), 1);
    before = test_census_take();
    memset(long_name, 'x', sizeof long_name - 1);
    many_main(1, (char *[]){long_name, NULL});
    CHECK_CODE(many_process_start(&process, started_return, &number,
                                  .argument_bytes = sizeof number, .method = STARTED),
               -E2BIG);
    CHECK_CONTAINS(many_error_message(), "E2BIG");
    many_main(1, (char *[]){name, NULL});
    CHECK_CENSUS(before);
    CHECK_EQUAL(started_run(started_return, 2), 2);
}
