/* SPDX-License-Identifier: MIT */
/*
 * count_files.c - lines, words and bytes of all files below some directories, in parallel: wc -r
 *
 * In Python:
 *
 *     files = [os.path.join(root, name) for root, _, names in os.walk(top) for name in names]
 *     with multiprocessing.Pool(workers) as pool:
 *         results = list(tqdm.tqdm(pool.imap(process_file, files), total=len(files)))
 *
 *     count_files [-j WORKERS] [PATH...]
 *
 * A path is a directory or a file; without one it is ".". Symbolic links inside a directory are not
 * followed, and what is neither directory nor regular file is left out. A file that cannot be read
 * is named on stderr, and all others are counted. After Ctrl-C the files that are done are printed.
 *
 * Lines and words are those of GNU wc (before 9.5) with LC_ALL=C: a word is a run of bytes other
 * than white space, one of which at least is printable. In a file's name '?' stands for control
 * characters, so that each file has a line of its own.
 *
 * Exit status: 0; 1 if something could not be read; 2 after wrong usage; 130 after Ctrl-C.
 */
#define _XOPEN_SOURCE 700
#include <many.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    WALK_DESCRIPTORS = 64, /* how many directories nftw() may hold open */
    READ_BYTES = 64 * 1024 /* at a time */
};

typedef struct counts {
    uint64_t lines, words, bytes;
} counts;

/* The files that were found: nftw() hands its function no context, so they stand here. */
static struct {
    char **paths;
    size_t n, room;
    int unreadable; /* directories, and paths that do not exist */
} files;

static int add_path(const char *path)
{
    if (files.n == files.room) {
        size_t room = files.room > 0 ? 2 * files.room : 1024;
        char **paths = realloc(files.paths, room * sizeof *paths);

        if (paths == NULL)
            return -1;
        files.paths = paths;
        files.room = room;
    }
    files.paths[files.n] = strdup(path);
    return files.paths[files.n++] != NULL ? 0 : -1;
}

static void say(const char *path, const char *what)
{
    fprintf(stderr, "count_files: %s: %s\n", path, what);
}

/* nftw()'s function: 0 to go on. A path that was given by name may be a link to a file. */
static int visit(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    struct stat target;

    if (type == FTW_DNR || type == FTW_NS) {
        say(path, "cannot be read");
        files.unreadable++;
        return 0;
    }
    if (type == FTW_SL && walk->level == 0 && stat(path, &target) == 0)
        status = &target;
    return S_ISREG(status->st_mode) ? add_path(path) : 0;
}

/* The task, which runs in a worker process: the paths are there, because it was forked. */
static int count_file(const void *item, void *result, void *context)
{
    const char *path = *(char *const *)item;
    counts sum = {0, 0, 0};
    unsigned char buffer[READ_BYTES];
    int in_word = 0;
    ssize_t got;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    (void)context;
    if (fd < 0)
        return -errno;
    while ((got = read(fd, buffer, sizeof buffer)) > 0) {
        sum.bytes += (uint64_t)got;
        for (ssize_t k = 0; k < got; k++) {
            if (isspace(buffer[k])) {
                sum.lines += buffer[k] == '\n';
                sum.words += (uint64_t)in_word;
                in_word = 0;
            } else if (isprint(buffer[k])) {
                in_word = 1;
            }
        }
    }
    sum.words += (uint64_t)in_word;
    if (got < 0) {
        int code = -errno;

        close(fd);
        return code;
    }
    close(fd);
    *(counts *)result = sum;
    return 0;
}

static void print_counts(const counts *sum, const char *name)
{
    printf("%8" PRIu64 " %8" PRIu64 " %8" PRIu64 " ", sum->lines, sum->words, sum->bytes);
    for (; *name != '\0'; name++)
        putchar(iscntrl((unsigned char)*name) ? '?' : *name);
    putchar('\n');
}

/* Returns how many files have no counts because of an error. */
static int print_all(const counts *results, const int *codes)
{
    counts total = {0, 0, 0};
    int failed = 0;

    for (size_t k = 0; k < files.n; k++) {
        if (codes[k] == 0) {
            print_counts(&results[k], files.paths[k]);
            total.lines += results[k].lines;
            total.words += results[k].words;
            total.bytes += results[k].bytes;
        } else if (codes[k] != -ECANCELED) {
            say(files.paths[k], many_strerror(codes[k]));
            failed++;
        }
    }
    print_counts(&total, "total");
    return failed;
}

static int count_all(int workers)
{
    counts *results = calloc(files.n + 1, sizeof *results);
    int *codes = calloc(files.n + 1, sizeof *codes);
    many_cancel cancel = {0};
    int code, failed = 0;

    if (results == NULL || codes == NULL) {
        say("results", strerror(ENOMEM));
        free(results);
        free(codes);
        return 1;
    }
    many_cancel_on_signal(&cancel, SIGINT);
    code = many_process_map(count_file, files.paths, results, files.n, .workers = workers,
                            .desc = "files", .unit = "file", .on_error = MANY_GO_ON, .codes = codes,
                            .cancel = &cancel);
    many_cancel_on_signal(NULL, SIGINT);
    if (code < 0)
        fprintf(stderr, "count_files: %s\n", many_error_message());
    if (code >= 0 || code == -ECANCELED)
        failed = print_all(results, codes);
    free(results);
    free(codes);
    if (code == -ECANCELED)
        return 130;
    return code < 0 || failed > 0;
}

int main(int argc, char **argv)
{
    static char *here[] = {".", NULL};
    char **tops, *end;
    long workers = 0; /* as many as there are CPUs to use */
    int status, option;

    while ((option = getopt(argc, argv, "j:")) != -1) {
        if (option == 'j')
            workers = strtol(optarg, &end, 10);
        if (option != 'j' || *optarg == '\0' || *end != '\0' || workers < 0 || workers > 4096) {
            fprintf(stderr, "usage: count_files [-j WORKERS] [PATH...]\n");
            return 2;
        }
    }
    tops = optind < argc ? argv + optind : here;
    for (; *tops != NULL; tops++) {
        errno = 0;
        if (nftw(*tops, visit, WALK_DESCRIPTORS, FTW_PHYS) != 0) {
            say(*tops, strerror(errno));
            files.unreadable++;
        }
    }
    status = count_all((int)workers);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        say("standard output", strerror(errno));
        status = 1;
    }
    for (size_t k = 0; k < files.n; k++)
        free(files.paths[k]);
    free(files.paths);
    return status == 0 ? files.unreadable > 0 : status;
}
