/* SPDX-License-Identifier: MIT */
/*
 * text.h - bounded text, numbers as people read them, columns of UTF-8
 *
 * Nothing here asks the locale: a decimal point is a point, and text is UTF-8.
 */
#ifndef MANY_BASE_TEXT_H
#define MANY_BASE_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Text that grows in a buffer of the caller's. Always NUL-terminated; what does not fit is left
 * out, and then all that comes after it too. */
typedef struct many_text_ {
    char *bytes;
    size_t room; /* of bytes, with the NUL; 1 or more */
    size_t used; /* without the NUL */
    int full;    /* 1: something was left out */
} many_text_;

/* Begin an empty text in room bytes. */
void many_text_begin_(many_text_ *text, char *bytes, size_t room);

/* Add a string; what is cut off at the end of the room is cut before a character. */
void many_text_add_(many_text_ *text, const char *more);

/* The first so many bytes of a string. */
void many_text_add_part_(many_text_ *text, const char *more, size_t bytes);

/* One piece (a character) so many times. */
void many_text_add_times_(many_text_ *text, const char *piece, size_t times);

/* 1234567 */
void many_text_add_count_(many_text_ *text, uint64_t count);

/* 3.21: with so many decimals, at most 9; value is 0 or more, what is beyond 1e15 is shown as that.
 */
void many_text_add_fixed_(many_text_ *text, double value, int decimals);

/* 3.21, 42.3, 311.0, 31104: decimals only where they tell something. */
void many_text_add_short_(many_text_ *text, double value);

/* Seconds as 01:02 or 1:02:03, fractions dropped; seconds is 0 or more. */
void many_text_add_clock_(many_text_ *text, double seconds);

/*
 * The character at *at, which moves behind it. What is no UTF-8 (a stray byte, an overlong form, a
 * surrogate) gives MANY_TEXT_BROKEN_ and is one byte long. *at is not at the NUL.
 */
uint32_t many_text_next_(const char **at);
#define MANY_TEXT_BROKEN_ UINT32_MAX

/* Columns that the text takes on a terminal. It holds no control characters. */
size_t many_text_columns_(const char *text);

/* Bytes of the longest beginning of text that takes at most so many columns; marks stay with their
 * character. */
size_t many_text_fit_(const char *text, size_t columns);

/*
 * Copy text so that it stays on one line of a terminal whatever it holds: tabs and line ends become
 * a space, other control characters and what is no UTF-8 a question mark. What does not fit is cut
 * before a character. given may be NULL: "".
 */
void many_text_tame_(char *tame, size_t room, const char *given);

#endif
