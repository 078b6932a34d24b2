/* SPDX-License-Identifier: MIT */
/* test_memory_file.c - shared memory with a descriptor: it grows, gives memory back, cannot shrink */
#include "test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "os/memory.h"

static uint64_t taken(int fd)
{
    struct stat status;

    CHECK_EQUAL(fstat(fd, &status), 0);
    return (uint64_t)status.st_blocks * 512;
}

TEST(a_file_takes_memory_where_it_is_touched_and_gives_it_back)
{
    const size_t page = many_memory_page_(), bytes = 1000 * page;
    int fd = many_memory_file_open_("test", bytes);
    unsigned char *memory;
    void *mapped;

    CHECK(fd > STDERR_FILENO);
    CHECK_EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
    CHECK_CODE(many_memory_file_map_(&mapped, fd, bytes), 0);
    memory = mapped;
    CHECK_EQUAL(taken(fd), 0);
    CHECK_EQUAL(memory[bytes - 1], 0);
    CHECK_CODE(many_memory_file_grow_(fd, 0, 100 * page), 0);
    CHECK(taken(fd) >= 100 * page);
    memset(memory, 'x', 100 * page);
    many_memory_file_punch_(fd, page, 100 * page);
    CHECK(taken(fd) <= 3 * page);
    CHECK_EQUAL(memory[0], 'x');
    CHECK_EQUAL(memory[page], 0);
    if (many_memory_populate_(memory + page, 50 * page) == 0) {
        CHECK(taken(fd) >= 51 * page);
        many_memory_discard_(memory + page, 50 * page);
        CHECK(taken(fd) <= 3 * page);
    }
    many_memory_unmap_(mapped, bytes);
    close(fd);
}

TEST(a_file_grows_under_a_mapping_that_reaches_beyond_it)
{
    const size_t page = many_memory_page_();
    int fd = many_memory_file_open_("test", page);
    unsigned char *memory;
    void *mapped;
    size_t bytes;

    CHECK_CODE(many_memory_file_map_(&mapped, fd, 1000 * page), 0);
    memory = mapped;
    CHECK_CODE(many_memory_file_grow_(fd, page, 10 * page), 0);
    CHECK_CODE(many_memory_file_check_(fd, &bytes), 0);
    CHECK_EQUAL(bytes, 10 * page);
    memory[10 * page - 1] = 'x';
    CHECK(ftruncate(fd, (off_t)page) != 0); /* it cannot shrink */
    CHECK_EQUAL(memory[10 * page - 1], 'x');
    many_memory_unmap_(mapped, 1000 * page);
    close(fd);
}

TEST(what_may_shrink_is_told_apart)
{
    size_t bytes;
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    CHECK_CODE(many_memory_file_check_(fd, &bytes), -EBADMSG);
    close(fd);
    fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    CHECK_CODE(many_memory_file_check_(fd, &bytes), -EBADMSG);
    close(fd);
    CHECK_CODE(many_memory_file_check_(fd, &bytes), -EBADF);
    CHECK_CODE(many_memory_file_grow_(-1, 0, 1), -EBADF);
}

static void with_short_files(void *argument)
{
    struct rlimit limit = {100000, 100000};
    int fd;

    (void)argument;
    CHECK_EQUAL(setrlimit(RLIMIT_FSIZE, &limit), 0);
    CHECK_CODE(many_memory_file_open_("test", 200000), -EFBIG);
    fd = many_memory_file_open_("test", 50000);
    CHECK(fd >= 0);
    CHECK_CODE(many_memory_file_grow_(fd, 50000, 200000), -EFBIG);
}

TEST(a_limit_on_files_is_a_code_and_no_signal)
{
    CHECK_EQUAL(test_in_child(with_short_files, NULL), 0);
}

static void noted(int signal)
{
    (void)signal;
}

TEST(a_timer_that_goes_off_all_the_time_does_not_keep_a_file_from_growing)
{
    struct itimerval storm = {{0, 300}, {0, 300}}, calm = {{0, 0}, {0, 0}};
    struct sigaction action, before;
    int fd = many_memory_file_open_("test", 1);

    if (getenv("MANY_TEST_TOOL") != NULL)
        test_skip("the tool delivers a signal after its handler was given back");
    memset(&action, 0, sizeof action);
    action.sa_handler = noted;
    sigaction(SIGALRM, &action, &before);
    setitimer(ITIMER_REAL, &storm, NULL);
    CHECK_CODE(many_memory_file_grow_(fd, 0, 64 << 20), 0);
    setitimer(ITIMER_REAL, &calm, NULL);
    sigaction(SIGALRM, &before, NULL);
    CHECK(taken(fd) >= 64 << 20);
    close(fd);
}

TEST(there_is_as_much_memory_as_the_machine_has)
{
    CHECK(many_memory_ram_() >= (uint64_t)1 << 30);
    CHECK(many_memory_room_() > 0);
}
