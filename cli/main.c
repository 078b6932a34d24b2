/* SPDX-License-Identifier: MIT */
/*
 * main.c - the command `many`: choose the sub-command
 *
 * The command is a user of the library like any other: all it includes of it is <many.h>.
 */
#include <many.h>
#include <stdio.h>
#include <string.h>

#include "map.h"
#include "options.h"
#include "start.h"
#include "status.h"

static const char main_usage[] = "usage: many map [OPTIONS] COMMAND [ARG...] [::: ITEM...]\n"
                                 "       many status [--json] PID\n"
                                 "       many --help | --version\n";

static const char main_commands[] = "\n"
                                    "  map     run a command for each item, many at a time\n"
                                    "  status  what the pools of a process are doing\n"
                                    "\n"
                                    "many map --help and many status --help say more.\n";

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : NULL;
    struct start start;
    int status = start_begin(&start);

    if (status != 0)
        return status;
    if (command == NULL) {
        fprintf(stderr, "many: a command is missing\n%s", main_usage);
        return STATUS_WRONG;
    }
    if (strcmp(command, "map") == 0)
        return map_main(argc - 1, argv + 1, &start);
    if (strcmp(command, "status") == 0)
        return status_main(argc - 1, argv + 1);
    if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0) {
        printf("%s%s", main_usage, main_commands);
        return options_printed();
    }
    if (strcmp(command, "--version") == 0) {
        printf("many %s\n", many_version());
        return options_printed();
    }
    fprintf(stderr, "many: there is no command '%s' (see many --help)\n", command);
    return STATUS_WRONG;
}
