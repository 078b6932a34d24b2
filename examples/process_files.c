/* SPDX-License-Identifier: MIT */
/*
 * process_files.c - the files below a folder in two shares, a worker process and a bar for each
 *
 * In Python:
 *
 *     def process(args):
 *         file_list, start, end = args
 *         result = []
 *         for i in tqdm.tqdm(range(end - start)):
 *             result.append(process_file(file_list[start + i]))
 *         return result
 *
 *     pool = mp.Pool(2)
 *     asyncResult = [pool.apply_async(process, [(file_list, start, end)]) for start, end in shares]
 *     pool.close()
 *     pool.join()
 *     for result in asyncResult:
 *         print(result.get()[0])
 *
 *     process_files [FOLDER]
 *
 * Each task replies with a list of any length: here the paths of its share, one after another. Shares of equal
 * length are not of equal work, so that one worker is idle in the end; see count_files.c for how the same is
 * done without shares.
 */
#define _XOPEN_SOURCE 700
#include <many.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PROCESSES = 2 };

typedef struct share {
    size_t start, end; /* in files.paths */
} share;

/* What was found, before the pool is opened: so its workers have it, too. */
static struct {
    char **paths;
    size_t n;
} files;

/* nftw()'s function: 0 to go on. */
static int visit(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    char **paths;

    (void)walk;
    if (type != FTW_F || !S_ISREG(status->st_mode))
        return 0;
    paths = realloc(files.paths, (files.n + 1) * sizeof *paths);
    if (paths == NULL)
        return -1;
    files.paths = paths;
    files.paths[files.n] = strdup(path);
    return files.paths[files.n++] != NULL ? 0 : -1;
}

static int compare(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static const char *process_file(const char *path)
{
    return path;
}

/* The task: paths, each with the NUL at its end. */
static int process(const void *item, void *result, void *context)
{
    const share *args = item;
    many_bar *bar = NULL;
    char *text = NULL;
    size_t bytes = 0;
    FILE *list = open_memstream(&text, &bytes);
    int code;

    (void)result;
    (void)context;
    if (list == NULL)
        return many_fail(-errno, "a list of paths: %s", strerror(errno));
    many_bar_open(&bar, .total = args->end - args->start, .unit = "file");
    for (size_t i = args->start; i < args->end; i++) {
        const char *path = process_file(files.paths[i]);

        fwrite(path, strlen(path) + 1, 1, list);
        many_bar_add(bar, 1);
    }
    many_bar_close(bar);
    code = fclose(list) == 0 ? many_reply(text, bytes) : -ENOMEM;
    free(text);
    return code;
}

/* Print the first of a share's results, and how many there are. */
static int print_first(many_future *future)
{
    ssize_t bytes = many_future_wait(future, MANY_FOREVER);
    char *text;
    int n = 0;

    if (bytes == 0)
        bytes = many_future_result_bytes(future);
    if (bytes <= 0)
        return (int)bytes;
    text = malloc((size_t)bytes);
    if (text == NULL)
        return many_fail(-ENOMEM, "%zd bytes of results: no memory", bytes);
    bytes = many_future_result(future, text, (size_t)bytes, 0);
    for (ssize_t k = 0; k < bytes; k++)
        n += text[k] == '\0';
    if (bytes > 0)
        printf("%s (%d files)\n", text, n);
    free(text);
    return bytes < 0 ? (int)bytes : 0;
}

int main(int argc, char **argv)
{
    const char *top = argc > 1 ? argv[1] : ".";
    many_pool *pool = NULL;
    many_bar *bar = NULL;
    many_future *futures[PROCESSES] = {NULL};
    int code;

    if (nftw(top, visit, 64, FTW_PHYS) != 0) {
        fprintf(stderr, "process_files: %s: %s\n", top, strerror(errno));
        return 1;
    }
    if (files.n > 0)
        qsort(files.paths, files.n, sizeof *files.paths, compare);
    /* The workers' bars stand below this one, each on a line of its own. */
    code = many_bar_open(&bar, .total = PROCESSES, .desc = "shares", .unit = "share");
    if (code == 0)
        code = many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = PROCESSES);
    for (size_t i = 0; i < PROCESSES && code == 0; i++) {
        share args = {files.n * i / PROCESSES, files.n * (i + 1) / PROCESSES};

        code = many_pool_submit(pool, process, &args, &futures[i], .arg_bytes = sizeof args);
    }
    for (int i = 0; i < PROCESSES && code == 0; i++) {
        code = many_future_wait(futures[i], MANY_FOREVER);
        many_bar_add(bar, 1);
    }
    many_bar_close(bar);
    for (int i = 0; i < PROCESSES && code == 0; i++)
        code = print_first(futures[i]);
    if (code < 0)
        fprintf(stderr, "process_files: %s\n", many_error_message());
    for (int i = 0; i < PROCESSES; i++)
        many_future_close(futures[i]);
    many_pool_close(pool, 0);
    for (size_t k = 0; k < files.n; k++)
        free(files.paths[k]);
    free(files.paths);
    return code < 0;
}
