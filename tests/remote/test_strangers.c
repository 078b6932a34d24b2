/* SPDX-License-Identifier: MIT */
/* test_strangers.c - a listener and bytes from those that do not know the key, or do not want to */
#include "remote/strangers.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

/* A listener that lets in who comes, in a thread of its own. */
typedef struct door {
    many_listener *listener;
    pthread_t thread;
    _Atomic int over;
    _Atomic int admitted;
} door;

static void *door_keep(void *argument)
{
    door *d = argument;

    while (!atomic_load(&d->over)) {
        many_pipe *pipe = NULL;
        int code = many_listener_accept(d->listener, &pipe, 0.05);

        CHECK(code == 0 || code == -ETIMEDOUT);
        if (code == 0)
            atomic_fetch_add(&d->admitted, 1);
        many_pipe_close(pipe);
    }
    return NULL;
}

static void door_open(door *d, double handshake_s)
{
    memset(d, 0, sizeof *d);
    CHECK_CODE(many_listener_open(&d->listener, .address = "tcp:127.0.0.1:0", .key = KEY,
                                  .key_bytes = KEY_BYTES, .handshake_s = handshake_s),
               0);
    CHECK(pthread_create(&d->thread, NULL, door_keep, d) == 0);
}

static void door_close(door *d)
{
    atomic_store(&d->over, 1);
    pthread_join(d->thread, NULL);
    many_listener_close(d->listener);
}

static int door_knock(const door *d)
{
    return stranger_connect(many_listener_address(d->listener));
}

/* Somebody who knows the key still gets in. */
static void check_honest(const door *d)
{
    const int before = atomic_load(&d->admitted);
    many_pipe *pipe = NULL;

    CHECK_CODE(many_client_open(&pipe, .address = many_listener_address(d->listener), .key = KEY,
                                .key_bytes = KEY_BYTES, .timeout_s = 30),
               0);
    many_pipe_close(pipe);
    UNTIL(atomic_load(&d->admitted) > before);
}

/* The challenge of the listener, without its frame and #CHALLENGE#. */
static size_t hear_challenge(int fd, unsigned char challenge[256])
{
    unsigned char bytes[256];
    int n = stranger_hear(fd, bytes, sizeof bytes);

    CHECK_EQUAL(n, 59);
    CHECK_BYTES(bytes, "#CHALLENGE#{sha256}", 19);
    memcpy(challenge, bytes + 11, (size_t)n - 11);
    return (size_t)n - 11;
}

static void expect_failure(int fd)
{
    unsigned char bytes[256];

    CHECK_EQUAL(stranger_hear(fd, bytes, sizeof bytes), 9);
    CHECK_BYTES(bytes, "#FAILURE#", 9);
    stranger_expect_end(fd);
}

TEST(stranger_that_knows_the_key_by_hand_is_let_in)
{
    unsigned char challenge[256], answer[40], bytes[256];
    size_t n;
    door d;
    int fd;

    door_open(&d, 30);
    fd = door_knock(&d);
    n = hear_challenge(fd, challenge);
    stranger_sign(KEY, challenge, n, answer);
    stranger_say(fd, answer, sizeof answer);
    CHECK_EQUAL(stranger_hear(fd, bytes, sizeof bytes), 9);
    CHECK_BYTES(bytes, "#WELCOME#", 9);
    stranger_say(fd, "#CHALLENGE#{sha256}an unheard-of challenge", 43);
    CHECK_EQUAL(stranger_hear(fd, bytes, sizeof bytes), 40);
    stranger_sign(KEY, "{sha256}an unheard-of challenge", 32, answer);
    CHECK_BYTES(bytes, answer, 40);
    CHECK_EQUAL(d.admitted, 0); /* not before both have proved themselves */
    stranger_say(fd, "#WELCOME#", 9);
    UNTIL(d.admitted == 1);
    close(fd);
    door_close(&d);
}

TEST(stranger_without_the_key_is_refused)
{
    static const char *const answers[] = {"",
                                          "{sha256}",
                                          "{sha256}01234567890123456789012345678901",
                                          "0123456789012345",
                                          "{md5}0123456789012345",
                                          "{sha256}0123456789012345678901234567890",
                                          "#WELCOME#"};
    unsigned char challenge[256], answer[40];
    size_t n;
    door d;
    int fd;

    door_open(&d, 30);
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        fd = door_knock(&d);
        hear_challenge(fd, challenge);
        stranger_say(fd, answers[i], strlen(answers[i]));
        expect_failure(fd);
    }
    fd = door_knock(&d);
    n = hear_challenge(fd, challenge);
    stranger_sign("a secret of some lengtH", challenge, n, answer);
    stranger_say(fd, answer, sizeof answer);
    expect_failure(fd);
    for (int bit = 0; bit < 256; bit += 37) { /* all but one bit right */
        fd = door_knock(&d);
        n = hear_challenge(fd, challenge);
        stranger_sign(KEY, challenge, n, answer);
        answer[8 + bit / 8] ^= (unsigned char)(1 << bit % 8);
        stranger_say(fd, answer, sizeof answer);
        expect_failure(fd);
    }
    CHECK_EQUAL(d.admitted, 0);
    UNTIL(many_listener_refused(d.listener) == 8 + 7);
    check_honest(&d);
    door_close(&d);
}

TEST(stranger_that_replays_an_answer_is_refused)
{
    unsigned char first[256], second[256], answer[40];
    size_t n;
    door d;
    int fd;

    door_open(&d, 30);
    fd = door_knock(&d);
    n = hear_challenge(fd, first);
    stranger_sign(KEY, first, n, answer); /* overheard */
    close(fd);
    fd = door_knock(&d);
    hear_challenge(fd, second);
    CHECK(memcmp(first, second, n) != 0);
    stranger_say(fd, answer, sizeof answer);
    expect_failure(fd);
    CHECK_EQUAL(d.admitted, 0);
    door_close(&d);
}

TEST(stranger_that_sends_our_challenge_back_gets_no_signature)
{
    unsigned char bytes[256];
    int fd, n;
    door d;

    door_open(&d, 30);
    fd = door_knock(&d); /* before it has proved anything it is not answered at all */
    n = stranger_hear(fd, bytes, sizeof bytes);
    stranger_say(fd, bytes, (size_t)n);
    expect_failure(fd);
    door_close(&d);
}

/* The same with a client, which answers first: an alien listener challenges it with its own
 * words. */
static void *mirror(void *argument)
{
    int fd = accept(*(int *)argument, NULL, NULL);
    unsigned char bytes[256];

    stranger_say(fd, "#CHALLENGE#{sha256}0123456789012345678901234567890123456789", 59);
    CHECK_EQUAL(stranger_hear(fd, bytes, sizeof bytes), 40);
    stranger_say(fd, "#WELCOME#", 9);
    CHECK_EQUAL(stranger_hear(fd, bytes, sizeof bytes), 59);
    stranger_say(fd, bytes, 59); /* in place of the answer */
    expect_failure(fd);
    return NULL;
}

TEST(stranger_that_mirrors_a_client_is_turned_away)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t bytes = sizeof in;
    many_pipe *pipe = NULL;
    pthread_t thread;
    char address[64];

    CHECK(bind(socket_, (struct sockaddr *)&in, sizeof in) == 0 && listen(socket_, 1) == 0);
    CHECK(getsockname(socket_, (struct sockaddr *)&in, &bytes) == 0);
    snprintf(address, sizeof address, "tcp:127.0.0.1:%d", ntohs(in.sin_port));
    CHECK(pthread_create(&thread, NULL, mirror, &socket_) == 0);
    CHECK_CODE(many_client_open(&pipe, .address = address, .key = KEY, .key_bytes = KEY_BYTES),
               -EACCES);
    pthread_join(thread, NULL);
    close(socket_);
}

TEST(stranger_that_announces_a_long_message_is_dropped_at_once)
{
    static const unsigned char heads[][12] = {{0, 0, 1, 1},
                                              {0x7f, 0xff, 0xff, 0xff},
                                              {0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 40},
                                              {0x80, 0, 0, 0},
                                              {'G', 'E', 'T', ' '}};
    unsigned char challenge[256];
    door d;

    door_open(&d, 1000); /* not by the time */
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        int fd = door_knock(&d);

        hear_challenge(fd, challenge);
        CHECK(send(fd, heads[i], sizeof heads[i], MSG_NOSIGNAL) > 0);
        stranger_expect_end(fd);
        UNTIL(many_listener_refused(d.listener) == i + 1);
    }
    CHECK_EQUAL(d.admitted, 0);
    door_close(&d);
}

TEST(stranger_that_is_silent_is_dropped_in_time_and_holds_up_nobody)
{
    int silent[20], half, longer;
    door d;

    door_open(&d, 0.3);
    for (int i = 0; i < 20; i++)
        silent[i] = door_knock(&d);
    half = door_knock(&d);
    CHECK(send(half, "\0\0\0", 3, MSG_NOSIGNAL) == 3); /* most of a length */
    longer = door_knock(&d);
    CHECK(send(longer, "\0\0\0\50{sha25", 10, MSG_NOSIGNAL) == 10); /* some of a message */
    check_honest(&d);
    for (int i = 0; i < 20; i++)
        stranger_expect_end(silent[i]);
    stranger_expect_end(half);
    stranger_expect_end(longer);
    UNTIL(many_listener_refused(d.listener) == 22);
    check_honest(&d);
    door_close(&d);
}

/* Bytes one by one do not make the time longer. */
TEST(stranger_that_drips_is_dropped_in_time)
{
    static const char drip[44] = {0, 0, 0, 40};
    double began = test_seconds();
    unsigned char challenge[256];
    ssize_t sent = 1;
    door d;
    int fd;

    door_open(&d, 0.5);
    fd = door_knock(&d);
    hear_challenge(fd, challenge);
    for (int i = 0; i < 43 && sent == 1; i++) {
        usleep(50000);
        sent = send(fd, &drip[i], 1, MSG_NOSIGNAL);
    }
    stranger_expect_end(fd);
    CHECK(test_seconds() - began >= 0.49);
    CHECK_EQUAL(d.admitted, 0);
    UNTIL(many_listener_refused(d.listener) == 1);
    door_close(&d);
}

#define FLOOD 300

TEST(stranger_flood_takes_no_more_than_its_places)
{
    test_census before = test_census_take();
    int fds[FLOOD];
    door d;

    door_open(&d, 1000);
    for (int i = 0; i < FLOOD; i++)
        fds[i] = door_knock(&d);
    UNTIL(many_listener_refused(d.listener) == FLOOD - 64); /* the oldest */
    CHECK(test_census_take().descriptors <= before.descriptors + FLOOD + 64 + 8);
    check_honest(&d);
    for (int i = 0; i < FLOOD; i++)
        close(fds[i]);
    check_honest(&d);
    door_close(&d);
    CHECK_CENSUS(before);
}

/* Descriptors that nobody asked for are not kept. */
TEST(stranger_that_sends_descriptors_leaves_none_behind)
{
    union {
        struct cmsghdr aligned;
        char bytes[CMSG_SPACE(sizeof(int))];
    } room = {0};
    struct iovec part = {"\0\0\0\3abc", 7};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = room.bytes};
    many_listener *listener = NULL;
    many_pipe *pipe = NULL;
    struct cmsghdr *header;
    test_census before;
    char address[64];
    int fd, one = 1;

    snprintf(address, sizeof address, "unix:@many-strangers-%d", (int)getpid());
    CHECK_CODE(
        many_listener_open(&listener, .address = address, .key = KEY, .key_bytes = KEY_BYTES), 0);
    before = test_census_take();
    message.msg_controllen = sizeof room.bytes;
    header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof one);
    memcpy(CMSG_DATA(header), &one, sizeof one);
    fd = stranger_connect(address);
    CHECK(sendmsg(fd, &message, MSG_NOSIGNAL) == 7);
    while (many_listener_refused(listener) == 0)
        CHECK_CODE(many_listener_accept(listener, &pipe, 0.01), -ETIMEDOUT);
    close(fd);
    CHECK_CENSUS(before);
    many_listener_close(listener);
}

static uint32_t dice(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Random bytes, and random pieces of the real words, at any speed. Nobody gets in, nobody is kept
 * out. */
TEST(stranger_with_random_bytes_never_gets_in)
{
    static const char *const words[] = {"#CHALLENGE#", "#WELCOME#",       "#FAILURE#",
                                        "{sha256}",    "{md5}",           "\0\0\0\50",
                                        "\0\0\0\11",   "\377\377\377\377"};
    static const size_t lengths[] = {11, 9, 9, 8, 5, 4, 4, 4};
    const int rounds = 300 / test_slowness() + 20;
    uint32_t state = 20240607;
    door d;

    door_open(&d, 5);
    for (int i = 0; i < rounds; i++) {
        int fd = door_knock(&d);

        for (uint32_t pieces = dice(&state) % 6; pieces > 0; pieces--) {
            unsigned char noise[64];
            uint32_t which = dice(&state) % 12;
            size_t n = which < 8 ? lengths[which] : dice(&state) % sizeof noise;

            for (size_t at = 0; at < sizeof noise; at++)
                noise[at] = (unsigned char)dice(&state);
            (void)!send(fd, which < 8 ? (const void *)words[which] : noise, n, MSG_NOSIGNAL);
        }
        if (dice(&state) % 2)
            shutdown(fd, SHUT_WR);
        close(fd);
    }
    check_honest(&d);
    CHECK_EQUAL(d.admitted, 1);
    door_close(&d);
}
