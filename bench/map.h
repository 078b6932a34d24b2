/* SPDX-License-Identifier: MIT */
/*
 * map.h - the map cases, written once; each subject only brings its way to run a map
 */
#ifndef BENCH_MAP_H
#define BENCH_MAP_H

#include "bench.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One map: result i = fn(item i). A subject that knows the type of its items may inline fn. */
typedef struct bench_map {
    bench_fn *fn;
    const void *in;
    void *out;
    size_t in_bytes;  /* of an item */
    size_t out_bytes; /* of a result */
    size_t n;
    int workers;
} bench_map;

typedef struct bench_subject {
    const char *name;
    void (*run)(const bench_map *map); /* returns when every result is in out; dies on failure */
    size_t trivial_items;              /* of map.trivial; 0: 10 million */
    int shared_out;                    /* 1: out lies in memory shared with children */
    int fresh_out;                     /* 1: no page of out has been touched before the map */
    int warm;                          /* 1: a small map runs first, untimed, to start the pool */
} bench_subject;

/* The main function of a program with count map subjects, called as `program CASE SUBJECT`. */
int bench_map_main(int argc, char **argv, const bench_subject *subjects, size_t count);

#ifdef __cplusplus
}
#endif

#endif
