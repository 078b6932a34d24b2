/* SPDX-License-Identifier: MIT */
/* test_segment.c - shared memory that children see, that grows, and that others attach to */
#include "test.h"

#include <many.h>

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

TEST(segment_is_zero_and_as_large_as_asked_for)
{
    test_census before = test_census_take();
    many_segment *segment = NULL;
    unsigned char *bytes;

    CHECK_CODE(many_segment_open(&segment, .bytes = 10001), 0);
    bytes = many_segment_data(segment);
    CHECK(bytes != NULL && ((uintptr_t)bytes & 4095) == 0);
    CHECK_EQUAL(many_segment_bytes(segment), 10001);
    for (size_t i = 0; i < 10001; i++)
        CHECK(bytes[i] == 0);
    many_segment_close(segment);
    CHECK_CENSUS(before);
}

TEST(segment_refuses_options_that_make_no_sense)
{
    many_segment *segment = (many_segment *)&segment;

    CHECK_CODE(many_segment_open(&segment), -EINVAL);
    CHECK(segment == NULL);
    CHECK_CODE(many_segment_open(&segment, .bytes = 2, .max_bytes = 1), -EINVAL);
    CHECK_CONTAINS(many_error_message(), ".max_bytes");
    CHECK_CODE(many_segment_open(NULL, .bytes = 1), -EINVAL);
    CHECK_CODE(many_segment_open_with(NULL), -EINVAL);
    CHECK_CODE(many_segment_open(&segment, .bytes = 1, .max_bytes = SIZE_MAX), -ENOMEM);
    CHECK(segment == NULL);
    CHECK(many_segment_data(NULL) == NULL);
    CHECK_EQUAL(many_segment_bytes(NULL), 0);
    CHECK_CODE(many_segment_descriptor(NULL), -EINVAL);
    CHECK_CODE(many_segment_grow(NULL, 1), -EINVAL);
    many_segment_close(NULL);
}

static void write_in_child(void *argument)
{
    many_segment *segment = argument;
    long *numbers = many_segment_data(segment);

    numbers[0] = 42;
    CHECK_CODE(many_segment_grow(segment, 1 << 20), 0);
    ((char *)numbers)[(1 << 20) - 1] = 'x';
}

TEST(segment_shows_a_child_s_writing_and_growing_at_the_same_address)
{
    many_segment *segment = NULL;
    long *numbers;

    CHECK_CODE(many_segment_open(&segment, .bytes = sizeof(long), .max_bytes = 1 << 20), 0);
    numbers = many_segment_data(segment);
    CHECK_EQUAL(test_in_child(write_in_child, segment), 0);
    CHECK_EQUAL(numbers[0], 42);
    CHECK_EQUAL(many_segment_bytes(segment), 1 << 20);
    CHECK(many_segment_data(segment) == numbers);
    CHECK_EQUAL(((char *)numbers)[(1 << 20) - 1], 'x');
    CHECK_EQUAL(((char *)numbers)[(1 << 20) - 2], 0);
    many_segment_close(segment);
}

TEST(segment_grows_no_further_than_its_maximum_and_never_shrinks)
{
    many_segment *segment = NULL;

    CHECK_CODE(many_segment_open(&segment, .bytes = 100, .max_bytes = 1000), 0);
    CHECK_CODE(many_segment_grow(segment, 1001), -EFBIG);
    CHECK_EQUAL(many_segment_bytes(segment), 100);
    CHECK_CODE(many_segment_grow(segment, 1000), 0);
    CHECK_CODE(many_segment_grow(segment, 500), 0);
    CHECK_EQUAL(many_segment_bytes(segment), 1000);
    CHECK(ftruncate(many_segment_descriptor(segment), 10) != 0);
    many_segment_close(segment);
}

typedef struct growers {
    many_segment *segment;
    int me;
} growers;

static void grow_at_once(void *argument)
{
    growers *g = argument;

    for (int round = 1; round <= 200; round++) {
        size_t want = (size_t)(round * 5000 + g->me * 2000);

        CHECK_CODE(many_segment_grow(g->segment, want), 0);
        CHECK(many_segment_bytes(g->segment) >= want);
        ((volatile char *)many_segment_data(g->segment))[want - 1] = 1; /* no SIGBUS */
    }
}

TEST(segment_that_several_grow_at_once_has_the_largest_size)
{
    many_segment *segment = NULL;
    growers g[3];
    pid_t children[3];

    CHECK_CODE(many_segment_open(&segment, .bytes = 1, .max_bytes = 2000000), 0);
    for (int i = 0; i < 3; i++) {
        g[i] = (growers){segment, i};
        children[i] = test_child_start(grow_at_once, &g[i]);
    }
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(test_child_wait(children[i]), 0);
    CHECK_EQUAL(many_segment_bytes(segment), 200 * 5000 + 2 * 2000);
    many_segment_close(segment);
}

TEST(segment_is_attached_by_its_descriptor_and_grows_for_both)
{
    test_census before = test_census_take();
    many_segment *segment = NULL, *attached = NULL;
    char *here, *there;

    CHECK_CODE(many_segment_open(&segment, .bytes = 100, .max_bytes = 100000), 0);
    here = many_segment_data(segment);
    strcpy(here, "hello");
    CHECK_CODE(many_segment_attach(&attached, many_segment_descriptor(segment)), 0);
    there = many_segment_data(attached);
    CHECK(there != here);
    CHECK_STRING(there, "hello");
    CHECK_EQUAL(many_segment_bytes(attached), 100);
    CHECK_CODE(many_segment_grow(segment, 90000), 0);
    CHECK_EQUAL(many_segment_bytes(attached), 90000);
    here[89999] = 'y';
    CHECK_EQUAL(there[89999], 'y');
    CHECK_CODE(many_segment_grow(attached, 100000), 0);
    CHECK_EQUAL(many_segment_bytes(segment), 100000);
    many_segment_close(segment);
    CHECK_STRING(there, "hello"); /* the memory lives as long as somebody has it */
    many_segment_close(attached);
    CHECK_CENSUS(before);
}

TEST(segment_attach_refuses_what_could_shrink_or_is_no_segment)
{
    many_segment *segment = NULL;
    int fd, pair[2];

    CHECK_CODE(many_segment_attach(NULL, 0), -EINVAL);
    CHECK_CODE(many_segment_attach(&segment, -1), -EBADF);
    CHECK_CODE(many_segment_attach(&segment, 999), -EBADF);
    CHECK(pipe(pair) == 0);
    CHECK_CODE(many_segment_attach(&segment, pair[0]), -EBADMSG);
    close(pair[0]);
    close(pair[1]);
    fd = open("/proc/self/exe", O_RDONLY);
    CHECK_CODE(many_segment_attach(&segment, fd), -EBADMSG);
    close(fd);
    fd = memfd_create("no seal", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(ftruncate(fd, 1 << 20) == 0);
    CHECK_CODE(many_segment_attach(&segment, fd), -EBADMSG);
    CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
    CHECK_CODE(many_segment_attach(&segment, fd), -EBADMSG); /* no head */
    CHECK(segment == NULL);
    close(fd);
}

/* What a stranger may send: a segment's head with any number in it. */
static int forge(int like, uint64_t max_bytes, size_t length, int seals)
{
    uint64_t head[2];
    int fd = memfd_create("forged", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    CHECK(pread(like, head, sizeof head, 0) == (ssize_t)sizeof head);
    head[1] = max_bytes;
    CHECK(ftruncate(fd, (off_t)length) == 0);
    CHECK(pwrite(fd, head, sizeof head, 0) == (ssize_t)sizeof head);
    CHECK(fcntl(fd, F_ADD_SEALS, seals) == 0);
    return fd;
}

TEST(segment_attach_believes_no_number_that_makes_no_sense)
{
    test_census before = test_census_take();
    many_segment *segment = NULL, *attached = NULL;
    const size_t head = 65536;
    int like, fd;

    CHECK_CODE(many_segment_open(&segment, .bytes = 100), 0);
    like = many_segment_descriptor(segment);
    fd = forge(like, 99, head + 100, F_SEAL_SHRINK); /* less than there is */
    CHECK_CODE(many_segment_attach(&attached, fd), -EBADMSG);
    close(fd);
    fd = forge(like, UINT64_MAX, head + 100, F_SEAL_SHRINK);
    CHECK_CODE(many_segment_attach(&attached, fd), -EBADMSG);
    close(fd);
    fd = forge(like, 100, head, F_SEAL_SHRINK); /* nothing behind the head */
    CHECK_CODE(many_segment_attach(&attached, fd), -EBADMSG);
    close(fd);
    fd = forge(like, 100, head + 100, F_SEAL_SHRINK | F_SEAL_WRITE);
    CHECK_CODE(many_segment_attach(&attached, fd), -EBADMSG);
    close(fd);
    CHECK(attached == NULL);

    /* A lie within bounds: what lies beyond the file is never called ours. */
    fd = forge(like, 1 << 20, head + 100, F_SEAL_SHRINK);
    CHECK_CODE(many_segment_attach(&attached, fd), 0);
    CHECK_EQUAL(many_segment_bytes(attached), 100);
    CHECK(ftruncate(fd, (off_t)(head + (8 << 20))) == 0);
    CHECK_EQUAL(many_segment_bytes(attached), 1 << 20);
    ((volatile char *)many_segment_data(attached))[(1 << 20) - 1] = 1;
    many_segment_close(attached);
    close(fd);
    many_segment_close(segment);
    CHECK_CENSUS(before);
}

static void limit_and_open(void *argument)
{
    const struct rlimit limit = {64 << 20, 64 << 20};
    many_segment *segment = argument;

    if (TEST_ASAN || TEST_TSAN)
        return; /* they have more address space already */
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    CHECK_CODE(many_segment_open(&segment, .bytes = 1, .max_bytes = (size_t)1 << 32), -ENOMEM);
    CHECK(segment == NULL);
}

TEST(segment_that_has_no_room_is_an_error_and_no_crash)
{
    CHECK_EQUAL(test_in_child(limit_and_open, NULL), 0);
}

static void without_standard_streams(void *argument)
{
    many_segment *segment = argument;

    close(0);
    CHECK_CODE(many_segment_open(&segment, .bytes = 1), 0);
    CHECK(many_segment_descriptor(segment) > 2);
    CHECK((fcntl(many_segment_descriptor(segment), F_GETFD) & FD_CLOEXEC) != 0);
    many_segment_close(segment);
}

TEST(segment_never_takes_the_place_of_a_closed_standard_stream)
{
    CHECK_EQUAL(test_in_child(without_standard_streams, NULL), 0);
}

TEST(segment_survives_a_caller_that_closes_its_descriptor)
{
    many_segment *segment = NULL;
    int fd, other;

    CHECK_CODE(many_segment_open(&segment, .bytes = 5000, .max_bytes = 10000), 0);
    fd = many_segment_descriptor(segment);
    close(fd);
    CHECK_EQUAL(many_segment_bytes(segment), 5000);
    CHECK_CODE(many_segment_grow(segment, 6000), -EBADF);
    other = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK_EQUAL(other, fd); /* another file has the number now */
    CHECK_EQUAL(many_segment_bytes(segment), 5000);
    many_segment_close(segment);
    CHECK(fcntl(other, F_GETFD) >= 0); /* and is not ours to close */
    close(other);
}

/* Value and Array: plain C in a segment, a lock beside it. */
typedef struct account {
    many_lock lock;
    int64_t cents;
    double values[4];
} account;

static void deposit(void *argument)
{
    account *shared = argument;

    for (int i = 0; i < 1000; i++) {
        CHECK_CODE(many_lock_acquire(&shared->lock, MANY_FOREVER), 0);
        shared->cents += 100;
        shared->values[i % 4] += 0.5;
        CHECK_CODE(many_lock_release(&shared->lock), 0);
    }
}

TEST(segment_holds_values_and_arrays_with_a_lock_beside_them)
{
    many_segment *segment = NULL;
    pid_t children[4];
    account *shared;

    CHECK_CODE(many_segment_open(&segment, .bytes = sizeof(account)), 0);
    shared = many_segment_data(segment);
    for (int i = 0; i < 4; i++)
        children[i] = test_child_start(deposit, shared);
    for (int i = 0; i < 4; i++)
        CHECK_EQUAL(test_child_wait(children[i]), 0);
    CHECK_EQUAL(shared->cents, 400000);
    for (int i = 0; i < 4; i++)
        CHECK(shared->values[i] == 500.0);
    many_segment_close(segment);
}
