/* SPDX-License-Identifier: MIT */
/*
 * rate.h - how fast it goes, and how long it will still take
 */
#ifndef MANY_BAR_RATE_H
#define MANY_BAR_RATE_H

#include <stdint.h>

typedef struct many_rate_ {
    int64_t begun_ns;
    int64_t seen_ns; /* of the last look */
    uint64_t seen;   /* the count then */
    double items;    /* of late, the older the less */
    double seconds;  /* in which they came */
} many_rate_;

/* Counting begins now, at 0. */
void many_rate_begin_(many_rate_ *rate, int64_t now_ns);

/* The count is this now. */
void many_rate_see_(many_rate_ *rate, int64_t now_ns, uint64_t count);

/* Items a second of late, as last seen; 0: not known yet. */
double many_rate_recent_(const many_rate_ *rate);

/* Items a second since the begin; 0: not known. */
double many_rate_overall_(const many_rate_ *rate);

/* Seconds since the begin, as last seen. */
double many_rate_elapsed_s_(const many_rate_ *rate);

/* Seconds until total is reached at this rate; negative: nobody can tell. */
double many_rate_left_s_(double rate, uint64_t count, uint64_t total);

#endif
