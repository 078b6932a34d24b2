/* SPDX-License-Identifier: MIT */
/* main.c - a user's first program: squares by processes, checked by threads, with a silent bar */
#include <many.h>
#include <stdio.h>
#include <string.h>

static int square(const void *item, void *result, void *context)
{
    const long *x = item;
    long *y = result;

    (void)context;
    *y = *x * *x;
    return 0;
}

int main(void)
{
    long in[10], out[10], again[10];
    many_bar *bar = NULL;
    int code;

    if (strcmp(many_version(), MANY_VERSION) != 0)
        return 2;
    for (long i = 0; i < 10; i++)
        in[i] = i;
    code = many_bar_open(&bar, .total = 20, .quiet = 1);
    if (code == 0)
        code = many_process_map(square, in, out, 10, .workers = 2, .bar = bar);
    if (code == 0)
        code = many_thread_map(square, in, again, 10, .workers = 2, .bar = bar);
    many_bar_close(bar);
    if (code != 0) {
        fprintf(stderr, "%s: %s\n", many_error_name(code), many_error_message());
        return 1;
    }
    for (int i = 0; i < 10; i++)
        printf("%s%ld", i == 0 ? "" : " ", out[i] == again[i] ? out[i] : -1);
    printf("\n");
    return 0;
}
