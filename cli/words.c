/* SPDX-License-Identifier: MIT */
/* words.c - text for people; see words.h */
#include "words.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

/* More of an item does not help to tell it from another one. */
#define WORDS_ITEM_MOST 100

/* The longest piece that is added at once: \xNN or four bytes of UTF-8; then "..." and NUL. */
#define WORDS_PIECE 4
_Static_assert(WORDS_ITEM_BYTES >= WORDS_ITEM_MOST + WORDS_PIECE + 4, "room for the end");

static const struct {
    int number;
    const char *name;
} words_signals[] = {
    {SIGHUP, "SIGHUP"},   {SIGINT, "SIGINT"},       {SIGQUIT, "SIGQUIT"}, {SIGILL, "SIGILL"},
    {SIGTRAP, "SIGTRAP"}, {SIGABRT, "SIGABRT"},     {SIGBUS, "SIGBUS"},   {SIGFPE, "SIGFPE"},
    {SIGKILL, "SIGKILL"}, {SIGUSR1, "SIGUSR1"},     {SIGSEGV, "SIGSEGV"}, {SIGUSR2, "SIGUSR2"},
    {SIGPIPE, "SIGPIPE"}, {SIGALRM, "SIGALRM"},     {SIGTERM, "SIGTERM"}, {SIGXCPU, "SIGXCPU"},
    {SIGXFSZ, "SIGXFSZ"}, {SIGVTALRM, "SIGVTALRM"}, {SIGPROF, "SIGPROF"}, {SIGSYS, "SIGSYS"},
    {SIGPOLL, "SIGPOLL"},
};

const char *words_signal(int signal, char *text, size_t bytes)
{
    for (size_t i = 0; i < sizeof words_signals / sizeof words_signals[0]; i++)
        if (words_signals[i].number == signal)
            return words_signals[i].name;
    snprintf(text, bytes, "signal %d", signal);
    return text;
}

/* How many bytes at text, of which there are left so many, are one character that can be shown; 0
 * if they are not. */
static size_t words_shown(const unsigned char *text, size_t left)
{
    size_t bytes = text[0] < 0xC2   ? 0
                   : text[0] < 0xE0 ? 2
                   : text[0] < 0xF0 ? 3
                   : text[0] < 0xF5 ? 4
                                    : 0;

    if (text[0] >= 0x20 && text[0] < 0x7F)
        return 1;
    if (bytes == 0 || bytes > left)
        return 0;
    for (size_t i = 1; i < bytes; i++)
        if ((text[i] & 0xC0) != 0x80)
            return 0;
    /* Overlong forms, surrogates, beyond Unicode; and the control characters U+0080 to U+009F. */
    if ((text[0] == 0xE0 && text[1] < 0xA0) || (text[0] == 0xED && text[1] > 0x9F) ||
        (text[0] == 0xF0 && text[1] < 0x90) || (text[0] == 0xF4 && text[1] > 0x8F) ||
        (text[0] == 0xC2 && text[1] < 0xA0))
        return 0;
    return bytes;
}

const char *words_item(char *text, const char *item, size_t bytes)
{
    char *to = text;

    for (size_t i = 0; i < bytes;) {
        const unsigned char *at = (const unsigned char *)item + i;
        const size_t shown = words_shown(at, bytes - i);

        if ((size_t)(to - text) >= WORDS_ITEM_MOST) {
            memcpy(to, "...", 3);
            to += 3;
            break;
        }
        if (shown > 0)
            memcpy(to, at, shown);
        else
            snprintf(to, WORDS_PIECE + 1, "\\x%02X", *at);
        to += shown > 0 ? shown : WORDS_PIECE;
        i += shown > 0 ? shown : 1;
    }
    *to = '\0';
    return text;
}
