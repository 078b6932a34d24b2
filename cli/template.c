/* SPDX-License-Identifier: MIT */
/* template.c - COMMAND and its arguments with '{}'; see template.h */
#include "template.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEMPLATE_HOLE       "{}"
#define TEMPLATE_HOLE_BYTES 2

/* Linux's MAX_ARG_STRLEN, which no header tells. */
#define TEMPLATE_WORD_PAGES 32

/* sh -c SCRIPT many {} */
#define TEMPLATE_SHELL_WORDS 6

static void template_add(template_line *line, const char *text, int replaced)
{
    template_word *word = &line->words[line->count++];

    *word = (template_word){text, strlen(text), 0};
    for (const char *at = text; replaced && (at = strstr(at, TEMPLATE_HOLE)) != NULL;
         at += TEMPLATE_HOLE_BYTES)
        word->holes++;
}

int template_begin(template_line *line, char *const *words, size_t count, int shell)
{
    const long page = sysconf(_SC_PAGESIZE);
    size_t holes = 0;

    memset(line, 0, sizeof *line);
    line->word_most = TEMPLATE_WORD_PAGES * (size_t)(page > 0 ? page : 4096);
    line->words = calloc(count + TEMPLATE_SHELL_WORDS, sizeof *line->words);
    if (line->words == NULL)
        return -ENOMEM;
    if (shell) {
        template_add(line, "/bin/sh", 0);
        template_add(line, "-c", 0);
        template_add(line, "--", 0); /* a script may begin with '-' */
        template_add(line, words[0], 0);
        template_add(line, "many", 0);
        template_add(line, TEMPLATE_HOLE, 1);
    }
    for (size_t i = shell ? 1 : 0; i < count; i++)
        template_add(line, words[i], 1);
    for (size_t i = 0; i < line->count; i++)
        holes += line->words[i].holes;
    if (holes == 0)
        template_add(line, TEMPLATE_HOLE, 1);
    return 0;
}

void template_end(template_line *line)
{
    free(line->words);
    line->words = NULL;
}

int template_command_varies(const template_line *line)
{
    return line->words[0].holes > 0;
}

/* The word with its holes filled, NUL-terminated, at to. Returns where it ends. */
static char *template_copy(const template_word *word, const char *item, size_t bytes, char *to)
{
    const char *from = word->text, *end = word->text + word->bytes;

    for (size_t hole = 0; hole < word->holes; hole++) {
        const char *at = strstr(from, TEMPLATE_HOLE);

        memcpy(to, from, (size_t)(at - from));
        to += at - from;
        memcpy(to, item, bytes);
        to += bytes;
        from = at + TEMPLATE_HOLE_BYTES;
    }
    memcpy(to, from, (size_t)(end - from));
    to += end - from;
    *to = '\0';
    return to + 1;
}

int template_fill(const template_line *line, const char *item, size_t bytes, template_room *room)
{
    size_t text_bytes = 0;
    char *to;

    if (bytes >= line->word_most)
        return -E2BIG;
    for (size_t i = 0; i < line->count; i++) {
        const template_word *word = &line->words[i];
        size_t filled = word->bytes - word->holes * TEMPLATE_HOLE_BYTES + word->holes * bytes + 1;

        if (filled > line->word_most)
            return -E2BIG;
        text_bytes += word->holes > 0 ? filled : 0;
    }
    if (room->argv == NULL) {
        char **argv = calloc(line->count + 2, sizeof *argv);

        if (argv == NULL)
            return -ENOMEM;
        room->argv = argv + 1;
    }
    if (text_bytes > room->bytes) {
        char *text = realloc(room->text, text_bytes);

        if (text == NULL)
            return -ENOMEM;
        room->text = text;
        room->bytes = text_bytes;
    }
    to = room->text;
    for (size_t i = 0; i < line->count; i++) {
        const template_word *word = &line->words[i];

        /* execve(2) takes char *const [] for historical reasons, and writes to none of them. */
        room->argv[i] = word->holes > 0 ? to : (char *)word->text;
        if (word->holes > 0)
            to = template_copy(word, item, bytes, to);
    }
    return 0;
}

void template_room_end(template_room *room)
{
    if (room->argv != NULL)
        free(room->argv - 1);
    free(room->text);
    memset(room, 0, sizeof *room);
}
