/* SPDX-License-Identifier: MIT */
/* test_pipe_descriptor.c - open files, and segments, handed through a pipe to another process */
#include "test.h"

#include <many.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "channel/pipe.h"
#include "channel/pipes.h"

static void check_is_write_end(int fd, int read_end)
{
    char byte = 'q';

    CHECK(fd > 2);
    CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    CHECK(write(fd, &byte, 1) == 1);
    byte = 0;
    CHECK(read(read_end, &byte, 1) == 1 && byte == 'q');
    close(fd);
}

LOCALS(descriptor_arrives_as_another_number_for_the_same_file)
{
    test_census before = test_census_take();
    many_pipe *one = NULL, *other = NULL;
    int pair[2];

    pipe_kind_open(kind, &one, &other);
    CHECK(pipe2(pair, O_CLOEXEC) == 0);
    CHECK_CODE(many_pipe_receive_descriptor(other, 0), -ETIMEDOUT);
    CHECK_CODE(many_pipe_send_descriptor(one, pair[1], 1), 0);
    check_is_write_end(many_pipe_receive_descriptor(other, 5), pair[0]);
    CHECK_CODE(many_pipe_send_descriptor(other, pair[1], 1), 0); /* and back */
    check_is_write_end(many_pipe_receive_descriptor(one, 5), pair[0]);
    CHECK_CODE(many_pipe_receive_descriptor(one, 0.02), -ETIMEDOUT);
    close(pair[0]);
    close(pair[1]);
    many_pipe_close(one);
    many_pipe_close(other);
    CHECK_CENSUS(before);
}

LOCALS(descriptors_and_messages_each_keep_their_order)
{
    test_census before = test_census_take();
    many_pipe *one = NULL, *other = NULL;
    int pairs[3][2];
    char byte;

    pipe_kind_open(kind, &one, &other);
    for (int i = 0; i < 3; i++) {
        CHECK(pipe2(pairs[i], O_CLOEXEC) == 0);
        CHECK_CODE(many_pipe_send_descriptor(one, pairs[i][1], 1), 0);
        byte = (char)('0' + i);
        CHECK_CODE(many_pipe_send(one, &byte, 1, 1), 0);
    }
    for (int i = 0; i < 3; i++) { /* messages first: descriptors that come before are kept */
        CHECK_CODE(many_pipe_receive(other, &byte, 1, 5), 1);
        CHECK_EQUAL(byte, '0' + i);
    }
    CHECK_CODE(many_pipe_poll(other, 0), 0);
    for (int i = 0; i < 3; i++) {
        check_is_write_end(many_pipe_receive_descriptor(other, 5), pairs[i][0]);
        close(pairs[i][0]);
        close(pairs[i][1]);
    }
    many_pipe_close(one);
    many_pipe_close(other);
    CHECK_CENSUS(before);
}

TEST(descriptor_behind_a_message_on_a_socket_waits_until_that_is_received)
{
    many_pipe *one = NULL, *other = NULL;
    int pair[2];
    char byte;

    pipe_kind_open(PIPE_LOCAL, &one, &other);
    CHECK(pipe2(pair, O_CLOEXEC) == 0);
    CHECK_CODE(many_pipe_send(one, "m", 1, 1), 0);
    CHECK_CODE(many_pipe_send_descriptor(one, pair[1], 1), 0);
    CHECK_CODE(many_pipe_receive_descriptor(other, 0.02), -ETIMEDOUT);
    CHECK_CONTAINS(many_error_message(), "message comes before");
    CHECK_CODE(many_pipe_receive(other, &byte, 1, 5), 1);
    check_is_write_end(many_pipe_receive_descriptor(other, 5), pair[0]);
    close(pair[0]);
    close(pair[1]);
    many_pipe_close(one);
    many_pipe_close(other);
}

LOCALS(descriptors_that_nobody_takes_are_closed_with_the_pipe)
{
    test_census before = test_census_take();
    many_pipe *one = NULL, *other = NULL;
    int code = 0, sent = 0, null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    pipe_kind_open(kind, &one, &other);
    CHECK_CODE(many_pipe_send_descriptor(one, 12345, 0), -EBADF);
    CHECK_CODE(many_pipe_send_descriptor(one, -1, 0), -EBADF);
    while (sent < 100 && code == 0) {
        code = many_pipe_send_descriptor(one, null, 0);
        sent += code == 0;
    }
    CHECK(sent == 100 || code == -ETIMEDOUT);
    CHECK_CODE(many_pipe_send(one, "x", 1, 1), 0);
    CHECK_CODE(many_pipe_poll(other, 0), kind == PIPE_RING); /* a socket puts aside 64 */
    for (int i = 0; i < 10; i++)
        close(many_pipe_receive_descriptor(other, 5));
    many_pipe_close(one);
    many_pipe_close(other);
    close(null);
    CHECK_CENSUS(before);
}

LOCALS(descriptor_that_has_no_place_is_told)
{
    many_pipe *one = NULL, *other = NULL;
    struct rlimit old, none;

    pipe_kind_open(kind, &one, &other);
    CHECK_CODE(many_pipe_send_descriptor(one, 1, 1), 0);
    CHECK_CODE(many_pipe_send_descriptor(one, 1, 1), 0);
    CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0);
    none = old;
    none.rlim_cur = 3;
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    CHECK_EQUAL(many_pipe_receive_descriptor(other, 5), -EMFILE);
    CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
    close(many_pipe_receive_descriptor(other, 5)); /* the next is there */
    many_pipe_close(one);
    many_pipe_close(other);
}

TEST(descriptor_does_not_go_through_tcp)
{
    many_pipe *one = NULL, *other = NULL;

    pipe_kind_open(PIPE_TCP, &one, &other);
    CHECK_CODE(many_pipe_send_descriptor(one, 1, 0), -ENOTSUP);
    CHECK_CODE(many_pipe_receive_descriptor(other, 0), -ENOTSUP);
    many_pipe_close(one);
    many_pipe_close(other);
}

static void fill_segment(void *argument)
{
    many_pipe *pipe = argument;
    many_segment *segment = NULL;

    CHECK_CODE(many_segment_open(&segment, .bytes = 100, .max_bytes = 10000), 0);
    strcpy(many_segment_data(segment), "from a process that is gone");
    CHECK_CODE(many_pipe_send_descriptor(pipe, many_segment_descriptor(segment), 5), 0);
}

LOCALS(segment_goes_through_a_pipe)
{
    many_pipe *one = NULL, *other = NULL;
    many_segment *segment = NULL;
    int fd;

    pipe_kind_open(kind, &one, &other);
    CHECK_EQUAL(test_in_child(fill_segment, other), 0);
    fd = many_pipe_receive_descriptor(one, 5);
    CHECK_CODE(many_segment_attach(&segment, fd), 0);
    close(fd);
    CHECK_STRING(many_segment_data(segment), "from a process that is gone");
    CHECK_CODE(many_segment_grow(segment, 10000), 0);
    many_segment_close(segment);
    many_pipe_close(one);
    many_pipe_close(other);
}

LOCALS(descriptor_receiver_learns_of_the_end)
{
    many_pipe *one = NULL, *other = NULL;

    pipe_kind_open(kind, &one, &other);
    CHECK_CODE(many_pipe_send_descriptor(one, 1, 1), 0);
    many_pipe_close(one);
    close(many_pipe_receive_descriptor(other, 5)); /* what was sent before comes first */
    CHECK_CODE(many_pipe_receive_descriptor(other, MANY_FOREVER), -EPIPE);
    CHECK_CODE(many_pipe_send_descriptor(other, 1, MANY_FOREVER), -EPIPE);
    many_pipe_close(other);
}

/* ---- an end of a pipe in a process that did not fork: made anew from its descriptors ---- */

PIPES(end_is_made_anew_from_its_descriptors)
{
    test_census before = test_census_take();
    many_pipe *one = NULL, *other = NULL, *again = NULL;
    int fds[MANY_PIPE_FDS_], copies[MANY_PIPE_FDS_];
    char message[8];

    pipe_kind_open(kind, &one, &other);
    CHECK_CODE(many_pipe_send(one, "before", 6, 1), 0);
    CHECK_CODE(many_pipe_share_(other, fds), 0);
    for (int i = 0; i < MANY_PIPE_FDS_; i++)
        copies[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
    many_pipe_close(other);
    CHECK_CODE(many_pipe_adopt_fds_(&again, copies), 0);
    CHECK_CODE(many_pipe_receive(again, message, sizeof message, 5), 6);
    CHECK_CODE(many_pipe_send(again, "after", 5, 1), 0);
    CHECK_CODE(many_pipe_receive(one, message, sizeof message, 5), 5);
    many_pipe_close(again);
    CHECK_CODE(many_pipe_receive(one, message, sizeof message, 5), -EPIPE);
    many_pipe_close(one);
    CHECK_CENSUS(before);
}

TEST(end_is_not_made_of_what_is_no_pipe)
{
    test_census before = test_census_take();
    many_pipe *one = NULL, *other = NULL, *wrong = NULL;
    many_segment *segment = NULL;
    int fds[MANY_PIPE_FDS_], mixed[MANY_PIPE_FDS_];

    CHECK_CODE(many_pipe_open(&one, &other), 0);
    CHECK_CODE(many_segment_open(&segment, .bytes = 100000), 0);
    CHECK_CODE(many_pipe_share_(one, fds), 0);
    CHECK_CODE(many_pipe_share_(NULL, fds), -EINVAL);
    memcpy(mixed, fds, sizeof mixed);
    mixed[0] = many_segment_descriptor(segment);
    CHECK_CODE(many_pipe_adopt_fds_(&wrong, mixed), -EBADMSG);
    memcpy(mixed, fds, sizeof mixed);
    mixed[1] = fds[2]; /* the sockets the wrong way round */
    mixed[2] = fds[1];
    CHECK_CODE(many_pipe_adopt_fds_(&wrong, mixed), -EBADMSG);
    memcpy(mixed, fds, sizeof mixed);
    mixed[1] = 0;
    CHECK_CODE(many_pipe_adopt_fds_(&wrong, mixed), -EBADMSG);
    mixed[0] = -1;
    CHECK_CODE(many_pipe_adopt_fds_(&wrong, mixed), -EBADF);
    CHECK(wrong == NULL);
    many_pipe_close(one);
    many_pipe_close(other);
    many_segment_close(segment);
    CHECK_CENSUS(before);
}
