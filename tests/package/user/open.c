/* SPDX-License-Identifier: MIT */
/* open.c - open.so LIBRARY: the library opened while the program runs, as a scripting language does
 */
#define _POSIX_C_SOURCE 200809L
#include <dlfcn.h>
#include <many.h>
#include <stdio.h>

typedef int map_fn(many_fn *fn, const void *in, size_t in_bytes, void *out, size_t out_bytes,
                   const many_map_options *options);

static int square(const void *item, void *result, void *context)
{
    const long *x = item;
    long *y = result;

    (void)context;
    *y = *x * *x;
    return 0;
}

int main(int argc, char **argv)
{
    many_map_options options = {.size = sizeof options, .n = 10, .workers = 2};
    void *library = dlopen(argc == 2 ? argv[1] : "libmany.so.0", RTLD_NOW | RTLD_LOCAL);
    long in[10], out[10];
    map_fn *map;

    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    *(void **)&map = dlsym(library, "many_process_map_with");
    for (long i = 0; i < 10; i++)
        in[i] = i;
    if (map == NULL || map(square, in, sizeof *in, out, sizeof *out, &options) != 0)
        return 1;
    for (int i = 0; i < 10; i++)
        printf("%s%ld", i == 0 ? "" : " ", out[i]);
    printf("\n");
    return 0;
}
