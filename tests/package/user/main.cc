/* SPDX-License-Identifier: MIT */
/* main.cc - the same from C++, by the functions that end in _with */
#include <many.h>

#include <cstdio>

static int square(const void *item, void *result, void *)
{
    long x = *static_cast<const long *>(item);

    *static_cast<long *>(result) = x * x;
    return 0;
}

int main()
{
    long in[10], out[10];
    many_map_options options = many_map_options();

    for (long i = 0; i < 10; i++)
        in[i] = i;
    options.size = sizeof options;
    options.n = 10;
    options.workers = 2;
    int code = many_process_map_with(square, in, sizeof *in, out, sizeof *out, &options);
    if (code != 0) {
        std::fprintf(stderr, "%s\n", many_error_message());
        return 1;
    }
    for (int i = 0; i < 10; i++)
        std::printf("%s%ld", i == 0 ? "" : " ", out[i]);
    std::printf("\n");
    return 0;
}
