/* SPDX-License-Identifier: MIT */
/* map.h - `many map`: a command for each item */
#ifndef MAP_H
#define MAP_H

#include "start.h"

/* argv[0] is "map". The exit status. */
int map_main(int argc, char **argv, struct start *start);

#endif
