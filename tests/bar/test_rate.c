/* SPDX-License-Identifier: MIT */
/* test_rate.c - how fast it goes, and how long it will still take */
#include "test.h"

#include "bar/rate.h"
#include "os/clock.h"

#define TENTH_NS (100 * MANY_MILLISECOND_NS)

static many_rate_ rate;
static int64_t now;
static uint64_t count;

static void begin(void)
{
    now = 1000 * MANY_SECOND_NS;
    count = 0;
    many_rate_begin_(&rate, now);
}

/* So many tenths of a second, with so many items in each. */
static void run(int tenths, uint64_t items)
{
    for (int i = 0; i < tenths; i++) {
        now += TENTH_NS;
        count += items;
        many_rate_see_(&rate, now, count);
    }
}

static int near(double value, double wanted)
{
    return value > wanted * 0.999 && value < wanted * 1.001;
}

TEST(before_the_first_item_nothing_is_known)
{
    begin();
    CHECK(many_rate_recent_(&rate) == 0);
    CHECK(many_rate_overall_(&rate) == 0);
    run(10, 0);
    CHECK(many_rate_recent_(&rate) == 0);
    CHECK(many_rate_left_s_(many_rate_recent_(&rate), 0, 100) < 0);
    CHECK(near(many_rate_elapsed_s_(&rate), 1.0));
}

TEST(the_first_rate_is_already_right)
{
    begin();
    run(1, 31);
    CHECK(near(many_rate_recent_(&rate), 310));
    CHECK(near(many_rate_overall_(&rate), 310));
    run(600, 31);
    CHECK(near(many_rate_recent_(&rate), 310));
}

TEST(items_at_the_first_instant_are_seen_at_the_next)
{
    begin();
    many_rate_see_(&rate, now, 50);
    CHECK(many_rate_recent_(&rate) == 0);
    now += TENTH_NS;
    many_rate_see_(&rate, now, 50);
    CHECK(near(many_rate_recent_(&rate), 500));
}

TEST(a_new_speed_is_followed_within_seconds_and_the_whole_is_remembered)
{
    begin();
    run(600, 100);
    run(50, 10);
    CHECK(many_rate_recent_(&rate) < 600);
    run(300, 10);
    CHECK(many_rate_recent_(&rate) < 105);
    CHECK(many_rate_recent_(&rate) > 99);
    CHECK(near(many_rate_overall_(&rate), (60000 + 3500) / 95.0));
}

TEST(it_does_not_matter_how_often_anybody_looks)
{
    double often;

    begin();
    run(200, 10);
    often = many_rate_recent_(&rate);
    begin();
    for (int i = 0; i < 4; i++) {
        now += 50 * TENTH_NS;
        count += 500;
        many_rate_see_(&rate, now, count);
    }
    CHECK(near(many_rate_recent_(&rate), often));
}

TEST(slow_items_do_not_make_the_rate_jump)
{
    double least = 1e9, most = 0;

    begin();
    for (int item = 0; item < 20; item++) { /* one a minute */
        run(599, 0);
        run(1, 1);
    }
    for (int tenth = 0; tenth < 600; tenth++) {
        run(1, tenth == 599);
        least = many_rate_recent_(&rate) < least ? many_rate_recent_(&rate) : least;
        most = many_rate_recent_(&rate) > most ? many_rate_recent_(&rate) : most;
    }
    CHECK(least > 0.8 / 60);
    CHECK(most < 1.2 / 60);
}

TEST(what_is_left_takes_as_long_as_the_rate_says)
{
    CHECK(near(many_rate_left_s_(10, 400, 1000), 60));
    CHECK(many_rate_left_s_(10, 1000, 1000) == 0);
    CHECK(many_rate_left_s_(10, 1001, 1000) < 0);
    CHECK(many_rate_left_s_(0, 1, 1000) < 0);
}
