/* SPDX-License-Identifier: MIT */
/*
 * map.h - the engines behind the map calls
 *
 *                  arrays                          a source (.next), or .on_result
 *   processes      process_map.c                   stream.c
 *   threads        thread_map.c                    stream.c
 */
#ifndef MANY_MAP_MAP_H
#define MANY_MAP_MAP_H

#include "map/call.h"

/* Each returns what the map returns; the call was read and checked. */
int many_map_in_processes_(const many_call_ *call);
int many_map_in_threads_(const many_call_ *call);
int many_map_stream_(const many_call_ *call);

#endif
