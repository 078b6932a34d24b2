/* SPDX-License-Identifier: MIT */
/* status.h - `many status`: what the pools of a process are doing */
#ifndef STATUS_H
#define STATUS_H

/* Exit status of `many status`: the process has no pools. */
#define STATUS_NO_POOLS 1

/* argv[0] is "status". The exit status. */
int status_main(int argc, char **argv);

#endif
