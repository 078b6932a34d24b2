/* SPDX-License-Identifier: MIT */
/* text.c - bounded text, numbers as people read them, columns of UTF-8; see text.h */
#include "base/text.h"

#include <string.h>

#include "base/width.h"

/* Where doubles still hold every integer, and uint64_t holds it times 1000. */
#define TEXT_LARGEST 1e15

void many_text_begin_(many_text_ *text, char *bytes, size_t room)
{
    *text = (many_text_){bytes, room, 0, 0};
    bytes[0] = '\0';
}

void many_text_add_part_(many_text_ *text, const char *more, size_t bytes)
{
    size_t left = text->room - 1 - text->used;

    if (text->full)
        return;
    if (bytes > left) {
        text->full = 1;
        bytes = left;
        while (bytes > 0 && ((unsigned char)more[bytes] & 0xC0) == 0x80)
            bytes--; /* more[bytes] would be the first byte left out: it must begin a character */
    }
    memcpy(text->bytes + text->used, more, bytes);
    text->used += bytes;
    text->bytes[text->used] = '\0';
}

void many_text_add_(many_text_ *text, const char *more)
{
    many_text_add_part_(text, more, strlen(more));
}

void many_text_add_times_(many_text_ *text, const char *piece, size_t times)
{
    size_t bytes = strlen(piece);

    while (times-- > 0 && !text->full)
        many_text_add_part_(text, piece, bytes);
}

void many_text_add_count_(many_text_ *text, uint64_t count)
{
    char digits[20]; /* of UINT64_MAX */
    size_t at = sizeof digits;

    do
        digits[--at] = (char)('0' + count % 10);
    while ((count /= 10) > 0);
    many_text_add_part_(text, digits + at, sizeof digits - at);
}

void many_text_add_fixed_(many_text_ *text, double value, int decimals)
{
    uint64_t scale = 1, scaled;

    if (!(value < TEXT_LARGEST)) {
        value = TEXT_LARGEST;
        decimals = 0;
    }
    for (int i = 0; i < decimals; i++)
        scale *= 10;
    if (value * (double)scale >= TEXT_LARGEST)
        scale = 1;
    scaled = (uint64_t)(value * (double)scale + 0.5);
    many_text_add_count_(text, scaled / scale);
    if (scale == 1)
        return;
    many_text_add_(text, ".");
    for (scaled %= scale; (scale /= 10) > 0; scaled %= scale)
        many_text_add_count_(text, scaled / scale);
}

void many_text_add_short_(many_text_ *text, double value)
{
    /* The bounds lie where the shorter form rounds up to the next length. */
    many_text_add_fixed_(text, value, value < 9.995 ? 2 : value < 999.95 ? 1 : 0);
}

static void text_add_two_digits(many_text_ *text, uint64_t number)
{
    if (number < 10)
        many_text_add_(text, "0");
    many_text_add_count_(text, number);
}

void many_text_add_clock_(many_text_ *text, double seconds)
{
    uint64_t whole = seconds < TEXT_LARGEST ? (uint64_t)seconds : (uint64_t)TEXT_LARGEST;

    if (whole >= 3600) {
        many_text_add_count_(text, whole / 3600);
        many_text_add_(text, ":");
    }
    text_add_two_digits(text, whole / 60 % 60);
    many_text_add_(text, ":");
    text_add_two_digits(text, whole % 60);
}

uint32_t many_text_next_(const char **at)
{
    /* The least code point that needs so many bytes: what is less is an overlong form. */
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *byte = (const unsigned char *)*at;
    uint32_t point;
    int bytes;

    if (byte[0] < 0x80) {
        *at += 1;
        return byte[0];
    }
    bytes = byte[0] >= 0xF0 ? 4 : byte[0] >= 0xE0 ? 3 : 2;
    *at += 1;
    if (byte[0] < 0xC2 || byte[0] > 0xF4)
        return MANY_TEXT_BROKEN_;
    point = byte[0] & (0x7Fu >> bytes);
    for (int i = 1; i < bytes; i++) { /* a NUL ends this, too */
        if ((byte[i] & 0xC0) != 0x80)
            return MANY_TEXT_BROKEN_;
        point = point << 6 | (byte[i] & 0x3F);
    }
    if (point < least[bytes] || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF))
        return MANY_TEXT_BROKEN_;
    *at += bytes - 1;
    return point;
}

/* Columns of one character; what is broken is shown as one mark by terminals. */
static size_t text_width(uint32_t point)
{
    return point == MANY_TEXT_BROKEN_ ? 1 : (size_t)many_width_(point);
}

size_t many_text_columns_(const char *text)
{
    size_t columns = 0;

    while (*text != '\0')
        columns += text_width(many_text_next_(&text));
    return columns;
}

size_t many_text_fit_(const char *text, size_t columns)
{
    const char *at = text;
    size_t taken = 0;

    while (*at != '\0') {
        const char *next = at;

        taken += text_width(many_text_next_(&next));
        if (taken > columns)
            break;
        at = next;
    }
    return (size_t)(at - text);
}

void many_text_tame_(char *tame, size_t room, const char *given)
{
    many_text_ text;

    many_text_begin_(&text, tame, room);
    while (given != NULL && *given != '\0' && !text.full) {
        const char *next = given;
        uint32_t point = many_text_next_(&next);

        /* U+0085, U+2028 and U+2029 end a line, too. */
        if ((point >= '\t' && point <= '\r') || point == 0x85 || point == 0x2028 || point == 0x2029)
            many_text_add_(&text, " ");
        else if (point < 0x20 || (point >= 0x7F && point < 0xA0) || point == MANY_TEXT_BROKEN_)
            many_text_add_(&text, "?");
        else
            many_text_add_part_(&text, given, (size_t)(next - given));
        given = next;
    }
}
