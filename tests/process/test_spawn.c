/* SPDX-License-Identifier: MIT */
/* test_spawn.c - processes by exec of the same program */
#include "main_first.h"

#include <sys/stat.h>

#define STARTED MANY_SPAWN
#include "started_cases.h"
#include "started_around.h"

#include "os/sealed.h"
#include "process/child.h"
#include "process/parcel.h"
#include "process/spawn.h"
#include "task/reference.h"

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

/* The rest of the test would run in it, and spawn, and so on. */
static void spawn_without_parcel(void *argument)
{
    char *const argv[] = {"test_spawn", MANY_SPAWNED_, argument, NULL};

    execve("/proc/self/exe", argv, environ);
}

TEST(a_spawned_process_that_finds_no_parcel_ends_and_does_not_run_the_program)
{
    CHECK_EQUAL(test_in_child(spawn_without_parcel, "99"), TEST_EXIT(MANY_CHILD_LOST_));
    CHECK_EQUAL(test_in_child(spawn_without_parcel, "what"), TEST_EXIT(MANY_CHILD_LOST_));
}

/* ---- a program with more rights than its caller ---- */

#define SPAWN_OTHER_USER 12345
#define SPAWN_IS_COPY    "MANY_TEST_IS_COPY"

static int spawn_copy(const char *path)
{
    char block[1 << 16];
    int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int to = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    ssize_t got = -1;

    while (from >= 0 && to >= 0 && (got = read(from, block, sizeof block)) > 0)
        if (write(to, block, (size_t)got) != got)
            break;
    close(from);
    if (got == 0 && (fchown(to, SPAWN_OTHER_USER, (gid_t)-1) != 0 || fchmod(to, 04755) != 0))
        got = -1;
    close(to);
    return got == 0 ? 0 : -1;
}

/* The copy: this TEST alone runs in it, as the other user. */
static void spawn_check_privileged(void)
{
    many_process *process;
    int number = 9;

    CHECK(many_main_name_() == NULL);
    CHECK_CODE(many_process_start(&process, started_return, &number,
                                  .argument_bytes = sizeof number, .method = MANY_SPAWN),
               -EINVAL);
    CHECK_CONTAINS(many_error_message(), "set-user-ID");
    CHECK_CODE(many_process_start(&process, started_return, &number,
                                  .argument_bytes = sizeof number, .method = MANY_FORKSERVER),
               0);
    CHECK_EQUAL(started_join(process), 9);
}

static void spawn_run_copy(void *argument)
{
    setenv(SPAWN_IS_COPY, "1", 1);
    execl(argument, "test_spawn", "what_a_caller_of_a_set_user_id_program", (char *)NULL);
}

/* What a parcel says would be done with the rights of the program. */
static void spawn_run_copy_with_parcel(void *argument)
{
    many_parcel_ parcel;
    char number[16];
    int fd;

    memset(&parcel, 0, sizeof parcel);
    parcel.kind = MANY_PARCEL_PROCESS_;
    parcel.method = MANY_SPAWN;
    parcel.parent = getpid();
    parcel.socket = parcel.line = parcel.produces = parcel.consumes = -1;
    CHECK_CODE(many_reference_make_((many_any_fn_ *)started_return, &parcel.reference, "test"), 0);
    parcel.argument = &(int){77};
    parcel.argument_bytes = sizeof(int);
    fd = many_parcel_write_(&parcel);
    CHECK(fd >= 0 && fcntl(fd, F_SETFD, 0) == 0);
    snprintf(number, sizeof number, "%d", fd);
    execl(argument, "test_spawn", MANY_SPAWNED_, number, (char *)NULL);
}

TEST(what_a_caller_of_a_set_user_id_program_hands_over_is_not_believed)
{
    char path[4096];
    int ended;

    if (geteuid() != getuid()) {
        spawn_check_privileged();
        return;
    }
    if (getenv(SPAWN_IS_COPY) != NULL)
        test_skip("no program gets more rights than its caller here");
    if (getuid() != 0 || TEST_ASAN)
        test_skip(TEST_ASAN ? "the leak checker cannot look into such a program"
                            : "only root can make such a program");
    snprintf(path, sizeof path, "%s/copy", test_directory());
    if (spawn_copy(path) != 0)
        test_skip("there is no place for such a program");
    ended = test_in_child(spawn_run_copy, path);
    if (ended == TEST_EXIT(77))
        test_skip("no program gets more rights than its caller here");
    CHECK_EQUAL(ended, 0);
    CHECK(test_in_child(spawn_run_copy_with_parcel, path) != TEST_EXIT(77));
}

static int spawn_tell_name(void *argument)
{
    (void)argument;
    prctl(PR_GET_NAME, started_told()->name);
    return 0;
}

TEST(the_first_word_of_its_command_line_is_the_programs_and_so_is_its_name_for_the_system)
{
    many_inherit inherits = started_open();
    many_process *process;

    CHECK(many_main_name_() != NULL);
    CHECK_CONTAINS(many_main_name_(), "test_");
    CHECK_CODE(many_process_start(&process, spawn_tell_name, NULL, .method = STARTED,
                                  .inherits = &inherits, .inherits_count = 1),
               0);
    CHECK_EQUAL(started_join(process), 0);
    CHECK_CONTAINS(started_here->name, "test_");
    started_close();
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
