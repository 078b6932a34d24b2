/* SPDX-License-Identifier: MIT */
/* test_options.c - options structs of older and newer callers, and of careless ones */
#include "test.h"

#include <math.h>
#include <string.h>

#include <many/base.h>

#include "base/options.h"

/* The layout that the library knows. */
typedef struct known {
    size_t size;
    uint64_t first;
    uint64_t second;
} known;

/* An older caller's, which ends earlier; a newer caller's, which goes on. */
typedef struct older {
    size_t size;
    uint64_t first;
} older;

typedef struct newer {
    known start;
    unsigned char more[16]; /* no padding: its bytes would be dirty */
} newer;

TEST(a_struct_of_our_size_is_copied)
{
    known given = {sizeof given, 1, 2}, local = {7, 7, 7};

    CHECK_CODE(many_options_read_(&local, sizeof local, &given, "many_x"), 0);
    CHECK_BYTES(&local, &given, sizeof local);
}

TEST(what_an_older_caller_lacks_is_zero)
{
    older given = {sizeof given, 1};
    known local = {7, 7, 7};

    CHECK_CODE(many_options_read_(&local, sizeof local, &given, "many_x"), 0);
    CHECK_EQUAL(local.first, 1);
    CHECK_EQUAL(local.second, 0);
}

TEST(a_newer_callers_zeros_are_no_request)
{
    newer given = {{sizeof given, 1, 2}, {0}};
    known local;

    CHECK_CODE(many_options_read_(&local, sizeof local, &given, "many_x"), 0);
    CHECK_EQUAL(local.second, 2);
}

TEST(a_newer_callers_option_is_refused_not_ignored)
{
    /* Each byte beyond ours counts, the first and the last too. */
    for (size_t i = 0; i < sizeof(newer) - sizeof(known); i++) {
        unsigned char given[sizeof(newer)] = {0};
        size_t size = sizeof given;
        known local;

        memcpy(given, &size, sizeof size);
        given[sizeof(known) + i] = 1;
        CHECK_CODE(many_options_read_(&local, sizeof local, given, "many_x"), -E2BIG);
        CHECK_CONTAINS(many_error_message(), "many_x: ");
        CHECK_CONTAINS(many_error_message(), "newer libmany");
    }
}

TEST(no_options_at_all_is_an_invalid_argument)
{
    known local = {7, 7, 7};

    CHECK_CODE(many_options_read_(&local, sizeof local, NULL, "many_x"), -EINVAL);
    CHECK_CONTAINS(many_error_message(), "many_x: options is NULL");
    CHECK_EQUAL(local.first, 0);
}

TEST(a_size_that_nobody_filled_in_is_an_invalid_argument)
{
    const size_t sizes[] = {0, 1, sizeof(size_t) - 1, 4097, SIZE_MAX, 0x5555555555555555U};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        known given = {sizes[i], 1, 2}, local = {7, 7, 7};

        CHECK_CODE(many_options_read_(&local, sizeof local, &given, "many_x"), -EINVAL);
        CHECK_CONTAINS(many_error_message(), "options.size");
        CHECK_EQUAL(local.first, 0);
    }
}

TEST(options_need_not_be_aligned)
{
    unsigned char bytes[sizeof(known) + 1];
    known given = {sizeof given, 1, 2}, local;

    memcpy(bytes + 1, &given, sizeof given);
    CHECK_CODE(many_options_read_(&local, sizeof local, bytes + 1, "many_x"), 0);
    CHECK_EQUAL(local.second, 2);
}

TEST(a_timeout_is_seconds_from_zero_or_for_ever)
{
    const double good[] = {0, 1e-9, 0.5, 1e300, INFINITY, MANY_FOREVER};
    const double bad[] = {-0.5, -1.5, -1e300, -INFINITY, NAN};

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        CHECK_CODE(many_timeout_check_(good[i], "many_x"), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_CODE(many_timeout_check_(bad[i], "many_x"), -EINVAL);
        CHECK_CONTAINS(many_error_message(), "many_x: the timeout is ");
    }
}
