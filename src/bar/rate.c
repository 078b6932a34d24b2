/* SPDX-License-Identifier: MIT */
/*
 * rate.c - how fast it goes: see rate.h
 *
 * Items and seconds are both summed up with weights that fade with age, and the rate is their
 * quotient. So the first rates are plain averages, without the bias of a start at 0, and it does
 * not matter how often anybody looks. tqdm gives each redraw the same weight, whatever its length.
 */
#include "bar/rate.h"

#include "os/clock.h"

/* What is older than this counts less than half; long enough for the rate to be read. */
#define RATE_MEMORY_S 5.0

/* But as long as so many items take, or slow items would make the rate jump at each. */
#define RATE_MEMORY_ITEMS 20.0

void many_rate_begin_(many_rate_ *rate, int64_t now_ns)
{
    *rate = (many_rate_){now_ns, now_ns, 0, 0.0, 0.0};
}

void many_rate_see_(many_rate_ *rate, int64_t now_ns, uint64_t count)
{
    double elapsed = (double)(now_ns - rate->seen_ns) / 1e9;
    double memory = RATE_MEMORY_S;
    double fade;

    if (now_ns <= rate->seen_ns)
        return; /* the same instant: the items are seen next time */
    if (count > 0) {
        double items_take =
            RATE_MEMORY_ITEMS * ((double)(now_ns - rate->begun_ns) / 1e9) / (double)count;

        if (items_take > memory)
            memory = items_take;
    }
    fade = memory / (memory + elapsed); /* close to exp(-elapsed / memory), which needs libm */
    rate->items = rate->items * fade + (double)(count - rate->seen);
    rate->seconds = rate->seconds * fade + elapsed;
    rate->seen_ns = now_ns;
    rate->seen = count;
}

double many_rate_recent_(const many_rate_ *rate)
{
    return rate->seconds > 0 ? rate->items / rate->seconds : 0.0;
}

double many_rate_overall_(const many_rate_ *rate)
{
    double elapsed = many_rate_elapsed_s_(rate);

    return elapsed > 0 ? (double)rate->seen / elapsed : 0.0;
}

double many_rate_elapsed_s_(const many_rate_ *rate)
{
    return (double)(rate->seen_ns - rate->begun_ns) / 1e9;
}

double many_rate_left_s_(double rate, uint64_t count, uint64_t total)
{
    if (!(rate > 0) || count > total)
        return -1.0;
    return (double)(total - count) / rate;
}
