/* SPDX-License-Identifier: MIT */
/* command.h - which file a command is */
#ifndef COMMAND_H
#define COMMAND_H

/*
 * Where execvp(3) would find the command: by PATH, unless its name has a slash. Asked once for all
 * jobs, and before the fork.
 *
 *   path  receives the file, to be freed
 *
 * 0, -ENOENT, -EACCES (it is there, but cannot be run), -EISDIR or -ENOMEM.
 */
int command_find(const char *name, char **path);

#endif
