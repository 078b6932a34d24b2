/* SPDX-License-Identifier: MIT */
/* test_error.c - names and texts of codes, and the thread's last message */
#include "test.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <many/base.h>

#include "base/error.h"

TEST(a_code_has_one_name_whatever_its_sign)
{
    CHECK_STRING(many_error_name(-ETIMEDOUT), "ETIMEDOUT");
    CHECK_STRING(many_error_name(ETIMEDOUT), "ETIMEDOUT");
    CHECK_STRING(many_error_name(-MANY_EDIED), "MANY_EDIED");
    CHECK_STRING(many_error_name(-MANY_ETASK), "MANY_ETASK");
    CHECK_STRING(many_error_name(-MANY_EFORKED), "MANY_EFORKED");
    CHECK_STRING(many_error_name(-MANY_EBROKEN), "MANY_EBROKEN");
    CHECK_STRING(many_error_name(0), "0");
}

TEST(what_is_no_code_is_unknown_and_does_not_crash)
{
    const int none[] = {1 << 20, -(1 << 20), INT_MAX, INT_MIN, MANY_EBROKEN + 1};

    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        CHECK_STRING(many_error_name(none[i]), "unknown");
        CHECK_STRING(many_strerror(none[i]), "unknown code");
    }
}

TEST(every_code_of_the_headers_has_a_name_and_words)
{
    /* All codes that a comment in include/many/ promises. */
    const int codes[] = {ESHUTDOWN,  EDEADLK,    ENOENT,       EINVAL,      E2BIG,    ENOMEM,
                         EAGAIN,     EMFILE,     ENFILE,       ETIMEDOUT,   EALREADY, ECANCELED,
                         MANY_EDIED, MANY_ETASK, MANY_EFORKED, MANY_EBROKEN};

    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        CHECK(strcmp(many_error_name(-codes[i]), "unknown") != 0);
        CHECK(strlen(many_strerror(-codes[i])) > 5);
        CHECK(many_strerror(codes[i]) == many_strerror(-codes[i]));
    }
}

TEST(codes_of_our_own_lie_beyond_those_of_the_kernel)
{
    CHECK(MANY_EDIED > 4095 && MANY_ETASK > 4095 && MANY_EFORKED > 4095 && MANY_EBROKEN > 4095);
}

TEST(fail_returns_its_code_and_keeps_the_words)
{
    CHECK_EQUAL(many_fail(-EIO, "read: %s is %d bytes short", "a.txt", 7), -EIO);
    CHECK_STRING(many_error_message(), "read: a.txt is 7 bytes short");
}

TEST(the_message_may_be_made_of_the_message_before)
{
    many_fail(-EIO, "disk full");
    many_fail(-EIO, "copy: %s", many_error_message());
    CHECK_STRING(many_error_message(), "copy: disk full");
}

TEST(words_belong_to_the_code_they_were_given_for)
{
    many_fail(-EIO, "disk full");
    CHECK_STRING(many_error_words_(-EIO), "disk full");
    CHECK_STRING(many_error_words_(-ENOENT), "");
    many_error_clear_();
    CHECK_STRING(many_error_words_(-EIO), "");
    CHECK_STRING(many_error_message(), "");
}

/* Fill up to the last of 255 bytes, so that character begins at byte position. */
static void cut_at(size_t position, const char *character, const char *expected_end)
{
    char text[600];

    memset(text, 'a', sizeof text);
    memcpy(text + position, character, strlen(character));
    text[sizeof text - 1] = '\0';
    many_fail(-EIO, "%s", text);
    CHECK_EQUAL(strlen(many_error_message()), position + strlen(expected_end));
    CHECK_STRING(many_error_message() + position, expected_end);
}

TEST(long_words_are_cut_between_two_characters)
{
    cut_at(254, "a", "a");                               /* ASCII: all 255 bytes are used */
    cut_at(253, "\xC3\xA9", "\xC3\xA9");                 /* é fits */
    cut_at(254, "\xC3\xA9", "");                         /* half an é */
    cut_at(252, "\xE2\x96\x88", "\xE2\x96\x88");         /* a block fits */
    cut_at(253, "\xE2\x96\x88", "");                     /* two thirds of it */
    cut_at(254, "\xE2\x96\x88", "");                     /* a third */
    cut_at(251, "\xF0\x9F\x8C\x8D", "\xF0\x9F\x8C\x8D"); /* a globe fits */
    cut_at(252, "\xF0\x9F\x8C\x8D", "");                 /* three quarters */
    cut_at(253, "\xF0\x9F\x8C\x8D", "");
    cut_at(254, "\xF0\x9F\x8C\x8D", "");
}

TEST(words_that_just_fit_are_not_cut_even_in_a_broken_character)
{
    char text[256];

    memset(text, 'a', sizeof text);
    text[254] = (char)0xC3; /* the caller's own bytes, all of them */
    text[255] = '\0';
    many_fail(-EIO, "%s", text);
    CHECK_STRING(many_error_message(), text);
}

TEST(bytes_that_are_no_utf8_are_cut_and_never_read_before_their_begin)
{
    char text[600];

    memset(text, 0x80, sizeof text);
    text[sizeof text - 1] = '\0';
    many_fail(-EIO, "%s", text);
    CHECK(strlen(many_error_message()) <= 255);
}

static void *fail_elsewhere(void *argument)
{
    CHECK_STRING(many_error_message(), "");
    many_fail(-ENOENT, "the other thread's");
    return argument;
}

TEST(each_thread_has_its_own_message)
{
    pthread_t thread;

    many_fail(-EIO, "mine");
    CHECK_EQUAL(pthread_create(&thread, NULL, fail_elsewhere, NULL), 0);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    CHECK_STRING(many_error_message(), "mine");
}

TEST(the_version_that_runs_is_the_one_of_the_header)
{
    char text[64];

    snprintf(text, sizeof text, "%d.%d.%d", MANY_VERSION_MAJOR, MANY_VERSION_MINOR,
             MANY_VERSION_PATCH);
    CHECK_STRING(many_version(), MANY_VERSION);
    CHECK_STRING(text, MANY_VERSION);
}
