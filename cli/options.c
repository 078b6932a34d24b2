/* SPDX-License-Identifier: MIT */
/*
 * options.c - the command line of `many map`
 *
 * One table has name, letter, argument and help of each option: getopt_long's arrays and the help
 * are made of it, so that none can be forgotten. Options end at COMMAND: what follows is the
 * command's own.
 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <many.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The library's bounds; told here in the words of the command. */
#define OPTIONS_WORKERS_MOST 4096
#define OPTIONS_RETRIES_MOST 65000

enum option_id {
    OPTION_WORKERS = 256, /* beyond every letter */
    OPTION_KEEP_ORDER,
    OPTION_NULL,
    OPTION_SHELL,
    OPTION_STOP,
    OPTION_RETRIES,
    OPTION_LIMIT,
    OPTION_BAR,
    OPTION_NO_BAR,
    OPTION_DESC,
    OPTION_HELP,
    OPTION_VERSION
};

typedef struct option_row {
    enum option_id id;
    char letter; /* '\0': none */
    const char *name;
    const char *argument; /* what the help calls it; NULL: it takes none */
    const char *help;
} option_row;

static const option_row option_rows[] = {
    {OPTION_WORKERS, 'j', "workers", "N", "run N at a time (default: the CPUs that are usable)"},
    {OPTION_KEEP_ORDER, 'k', "keep-order", NULL,
     "print in the order of the items, not as they end"},
    {OPTION_NULL, '0', "null", NULL,
     "items of stdin end with NUL (find -print0), not with a newline"},
    {OPTION_SHELL, 'c', "shell", NULL, "COMMAND is a script for sh, in which \"$1\" is the item"},
    {OPTION_STOP, '\0', "stop", NULL, "end it all at the first failure (default: go on)"},
    {OPTION_RETRIES, '\0', "retries", "N", "try a failed item N times more"},
    {OPTION_LIMIT, '\0', "limit", "SECONDS", "an item that takes longer is ended, and has failed"},
    {OPTION_BAR, '\0', "bar", NULL, "draw a bar also where stderr is no terminal"},
    {OPTION_NO_BAR, '\0', "no-bar", NULL, "draw none"},
    {OPTION_DESC, '\0', "desc", "TEXT", "words before the bar"},
    {OPTION_HELP, 'h', "help", NULL, "print this"},
    {OPTION_VERSION, '\0', "version", NULL, "print the version"},
};

#define OPTION_ROWS (sizeof option_rows / sizeof option_rows[0])

static const char option_head[] =
    "usage: many map [OPTIONS] COMMAND [ARG...] [::: ITEM...]\n"
    "\n"
    "Run COMMAND once for each item, many at a time. The items stand behind ':::', or are the "
    "lines\n"
    "of stdin, taken as they come; an empty line is an item, too. '{}' in COMMAND or ARG, also "
    "within\n"
    "a word, stands for the item; where it is nowhere, the item is the last argument. No shell is\n"
    "involved. What a job prints comes out in one piece when it has ended; its stdin is empty.\n"
    "\n";

static const char option_tail[] = "\n"
                                  "With -c, '{}' is not replaced in the script: the text of an "
                                  "item would be run as program text.\n"
                                  "Write \"$1\"; an ARG behind the script is $2, and so on.\n"
                                  "\n"
                                  "Exit status: 0 if all succeeded, else how many failed (101: "
                                  "more than 100); 255 for wrong usage,\n"
                                  "a command that does not exist, or output that cannot be "
                                  "written; 130 after Ctrl-C (128 + number\n"
                                  "of any signal that ended it).\n"
                                  "\n"
                                  "  find . -name '*.png' -print0 | many map -0 optipng -quiet\n"
                                  "  many map -j 4 convert {} -resize 50% small/{} ::: *.jpg\n"
                                  "  many map -c 'gzip -c \"$1\" >\"$1.gz\"' ::: *.txt\n";

int options_printed(void)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return 0;
    fprintf(stderr, "many: cannot write to stdout: %s\n", strerror(errno));
    return STATUS_WRONG;
}

static int option_help(void)
{
    fputs(option_head, stdout);
    for (size_t i = 0; i < OPTION_ROWS; i++) {
        const option_row *row = &option_rows[i];
        char left[64];

        snprintf(left, sizeof left, "%c%c%c --%s%s%s", row->letter != '\0' ? '-' : ' ',
                 row->letter != '\0' ? row->letter : ' ', row->letter != '\0' ? ',' : ' ',
                 row->name, row->argument != NULL ? " " : "",
                 row->argument != NULL ? row->argument : "");
        printf("  %-21s %s\n", left, row->help);
    }
    fputs(option_tail, stdout);
    return options_printed();
}

static int option_wrong(const char *what, const char *value, const char *remedy)
{
    fprintf(stderr, "many map: %s%s%s%s: %s (see many map --help)\n", what,
            value != NULL ? " '" : "", value != NULL ? value : "", value != NULL ? "'" : "",
            remedy);
    return STATUS_WRONG;
}

/* A whole number, and nothing else, from least to most. 0, or the exit status with words. */
static int option_number(const char *name, const char *text, int least, int most, int *number)
{
    char remedy[64], *end;
    long value;

    errno = 0;
    value = strtol(text, &end, 10);
    if (end != text && *end == '\0' && errno == 0 && value >= least && value <= most) {
        *number = (int)value;
        return 0;
    }
    snprintf(remedy, sizeof remedy, "give a whole number from %d to %d", least, most);
    return option_wrong(name, text, remedy);
}

static int option_seconds(const char *name, const char *text, double *seconds)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end != '\0' || !isfinite(value) || value <= 0)
        return option_wrong(name, text, "give seconds, more than 0");
    *seconds = value;
    return 0;
}

/* 0, or the exit status with words. */
static int option_take(struct options *read, enum option_id id, const char *argument)
{
    switch (id) {
    case OPTION_WORKERS:
        return option_number("--workers", argument, 1, OPTIONS_WORKERS_MOST, &read->workers);
    case OPTION_RETRIES:
        return option_number("--retries", argument, 0, OPTIONS_RETRIES_MOST, &read->retries);
    case OPTION_LIMIT:
        return option_seconds("--limit", argument, &read->limit_s);
    case OPTION_KEEP_ORDER:
        read->keep_order = 1;
        break;
    case OPTION_NULL:
        read->null = 1;
        break;
    case OPTION_SHELL:
        read->shell = 1;
        break;
    case OPTION_STOP:
        read->stop = 1;
        break;
    case OPTION_BAR:
        read->bar = 1;
        break;
    case OPTION_NO_BAR:
        read->bar = -1;
        break;
    case OPTION_DESC:
        read->desc = argument;
        break;
    case OPTION_HELP:
    case OPTION_VERSION:
        break;
    }
    return 0;
}

/* What getopt_long said '?' or ':' to. letter: the one it found, 0 if it was a long option. */
static int option_unknown(int said, int letter, const char *word)
{
    char short_name[] = {'-', (char)letter, '\0'};
    const char *name = letter > 0 && letter < 256 ? short_name : word;

    if (said == ':')
        return option_wrong("option", name, "its value is missing");
    if (letter >= 256)
        return option_wrong("option", word, "it takes no value");
    return option_wrong("option", name, "there is none of this name");
}

static void option_arrays(struct option *longs, char *letters)
{
    /* "+": stop at COMMAND; ":": say a missing value from an unknown option. */
    *letters++ = '+';
    *letters++ = ':';
    for (size_t i = 0; i < OPTION_ROWS; i++) {
        const option_row *row = &option_rows[i];
        int has = row->argument != NULL ? required_argument : no_argument;

        longs[i] = (struct option){row->name, has, NULL, (int)row->id};
        if (row->letter != '\0')
            *letters++ = row->letter;
        if (row->letter != '\0' && has == required_argument)
            *letters++ = ':';
    }
    longs[OPTION_ROWS] = (struct option){NULL, 0, NULL, 0};
    *letters = '\0';
}

static enum option_id option_of_letter(int got)
{
    for (size_t i = 0; i < OPTION_ROWS; i++)
        if (got == option_rows[i].letter)
            return option_rows[i].id;
    return (enum option_id)got;
}

/* COMMAND, ARG..., and what stands behind ':::'. */
static int option_words(struct options *read, int count, char **words)
{
    int own = 0;

    while (own < count && strcmp(words[own], ":::") != 0)
        own++;
    if (own == 0)
        return option_wrong("COMMAND", NULL, "there is none to run");
    if (words[0][0] == '\0')
        return option_wrong("COMMAND", NULL, read->shell ? "the script is empty" : "it is empty");
    read->words = words;
    read->word_count = (size_t)own;
    if (own < count) {
        read->items = words + own + 1;
        read->item_count = (size_t)(count - own - 1);
    }
    if (read->items != NULL && read->null)
        return option_wrong("--null", NULL, "it is about stdin, and the items stand behind ':::'");
    return OPTIONS_RUN;
}

int options_read(struct options *read, int argc, char **argv)
{
    struct option longs[OPTION_ROWS + 1];
    char letters[2 * OPTION_ROWS + 3];
    int got;

    memset(read, 0, sizeof *read);
    option_arrays(longs, letters);
    opterr = 0;
    while (optind = optind > 0 ? optind : 1,
           (got = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
        enum option_id id = option_of_letter(got);
        int status;

        if (got == '?' || got == ':')
            return option_unknown(got, optopt, argv[optind - 1]);
        if (id == OPTION_HELP)
            return option_help();
        if (id == OPTION_VERSION) {
            printf("many %s\n", many_version());
            return options_printed();
        }
        status = option_take(read, id, optarg);
        if (status != 0)
            return status;
    }
    return option_words(read, argc - optind, argv + optind);
}
