/* SPDX-License-Identifier: MIT */
/*
 * template.h - COMMAND and its arguments, in which '{}' stands for the item
 *
 * An item becomes (a part of) an argument as it is, and is never read by a shell: no quote, blank
 * or semicolon in it means anything. So '{}' is not replaced in a shell's script either, where the
 * item would be run as text of the program; there it is the argument "$1".
 */
#ifndef TEMPLATE_H
#define TEMPLATE_H

#include <stddef.h>

typedef struct template_word {
    const char *text; /* the user's */
    size_t bytes;
    size_t holes; /* how many '{}' in it are replaced */
} template_word;

typedef struct template_line {
    template_word *words;
    size_t count;
    size_t word_most; /* the kernel takes no longer argument, in bytes with its NUL */
} template_line;

/* Room for one argument vector; grows as needed. Starts as zeros. */
typedef struct template_room {
    char **argv; /* argv[-1] is there too: a place to put an interpreter before the command */
    char *text;
    size_t bytes; /* of text */
} template_room;

/* shell: the first word is a script for sh. 0 or -ENOMEM. template_end() also after a failure. */
int template_begin(template_line *line, char *const *words, size_t count, int shell);
void template_end(template_line *line);

/* Does COMMAND itself differ from item to item? */
int template_command_varies(const template_line *line);

/*
 * Make room->argv for an item of so many bytes, NULL at its end. 0, -ENOMEM, or -E2BIG if an
 * argument became longer than the kernel takes. Lives until the room is used again.
 */
int template_fill(const template_line *line, const char *item, size_t bytes, template_room *room);
void template_room_end(template_room *room);

#endif
