/* SPDX-License-Identifier: MIT */
/* words.h - text for people: an item in a message, the name of a signal */
#ifndef WORDS_H
#define WORDS_H

#include <stddef.h>

#define WORDS_ITEM_BYTES 256

/*
 * The item so that it can stand in one line of a terminal: control characters and what is no UTF-8
 * as \xNN, a long one cut with "...". Returns text, which has room for WORDS_ITEM_BYTES.
 */
const char *words_item(char *text, const char *item, size_t bytes);

/* "SIGSEGV"; "signal 40" where there is no name. Returns text or a constant. */
const char *words_signal(int signal, char *text, size_t bytes);

#endif
