/* SPDX-License-Identifier: MIT */
/* test_fault_faults.c - the hook that tests put into a torture build */
#include "test.h"

#include <string.h>

#include "base/fault.h"

static const char *reached;

static int say_eio(const char *point)
{
    reached = point;
    return -EIO;
}

static int place(void)
{
    int code;

    MANY_FAULT_POINT("first");
    if ((code = MANY_FAULT_ERROR("second")) < 0)
        return code;
    return 0;
}

TEST(without_a_hook_nothing_happens)
{
    many_fault_hook_ = NULL;
    CHECK_CODE(place(), 0);
}

TEST(the_hook_sees_the_points_name_and_decides_the_code)
{
    many_fault_hook_ = say_eio;
    MANY_FAULT_POINT("first");
    CHECK_STRING(reached, "first");
    CHECK_CODE(place(), -EIO);
    CHECK_STRING(reached, "second");
    many_fault_hook_ = NULL;
}
