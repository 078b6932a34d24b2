/* SPDX-License-Identifier: MIT */
/*
 * status.c - `many status`: what the pools of a process are doing
 *
 * Read from outside, while the process goes on, or hangs. Names in it are that program's data: on a
 * terminal they stay in their line (words.c), in JSON they are escaped.
 */
#include "status.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <many.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "words.h"

struct status_options {
    int json;
    int pid;
};

#define STATUS_RUN (-1)

static const char status_help[] =
    "usage: many status [--json] PID\n"
    "\n"
    "Print what the pools of process PID are doing, now: how many tasks wait and run, and each\n"
    "worker's task, for how long it has been in it, and what it waits for. PID is the process "
    "that\n"
    "opened the pools, or one of their workers. It is looked at from outside, and notices nothing: "
    "so\n"
    "this works on a program that is stuck, too. It has to be yours.\n"
    "\n"
    "      --json            a line of JSON for each pool\n"
    "  -h, --help            print this\n"
    "\n"
    "Exit status: 0 if there was something to print; 1: the process has no pools; 255 for wrong "
    "usage,\n"
    "no such process, and one that is not yours.\n";

/* ---- the command line ---- */

static int status_wrong(const char *what, const char *value, const char *remedy)
{
    fprintf(stderr, "many status: %s%s%s%s: %s (see many status --help)\n", what,
            value != NULL ? " '" : "", value != NULL ? value : "", value != NULL ? "'" : "",
            remedy);
    return STATUS_WRONG;
}

/* STATUS_RUN, or the exit status. */
static int status_pid(struct status_options *read, const char *text)
{
    char *end;
    long value;

    errno = 0;
    value = strtol(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value < 1 ||
        value > INT_MAX)
        return status_wrong("PID", text, "give the number of a process");
    read->pid = (int)value;
    return STATUS_RUN;
}

static int status_read(struct status_options *read, int argc, char **argv)
{
    static const struct option longs[] = {
        {"json", no_argument, NULL, 'J'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    char letter[] = "-?";
    int got;

    memset(read, 0, sizeof *read);
    opterr = 0;
    while ((got = getopt_long(argc, argv, "h", longs, NULL)) != -1)
        switch (got) {
        case 'J':
            read->json = 1;
            break;
        case 'h':
            fputs(status_help, stdout);
            return options_printed();
        default:
            letter[1] = (char)optopt; /* 0, or 'J' of --json=VALUE: a word of its own */
            return status_wrong("option", optopt == 0 || optopt == 'J' ? argv[optind - 1] : letter,
                                "there is none of this name, or it takes no value");
        }
    if (optind == argc)
        return status_wrong("PID", NULL, "there is none to look at");
    if (argc - optind > 1)
        return status_wrong("PID", argv[optind + 1], "there is one already");
    return status_pid(read, argv[optind]);
}

/* ---- for people ---- */

/* A name in quotes, "task 17" without. */
static const char *status_name(const char *name, uint64_t task, char *text, size_t bytes)
{
    char plain[64], shown[WORDS_ITEM_BYTES];

    snprintf(plain, sizeof plain, "task %" PRIu64, task);
    if (strcmp(name, plain) == 0)
        snprintf(text, bytes, "%s", plain);
    else
        snprintf(text, bytes, "'%s'", words_item(shown, name, strlen(name)));
    return text;
}

static void status_print_worker(const many_pool_status *pool, const many_worker_status *worker)
{
    char name[WORDS_ITEM_BYTES + 2];
    const int threads = pool->kind == MANY_THREADS;

    printf("  worker %" PRId32 "  ", worker->index);
    if (worker->pid == 0) {
        printf("%s\n", threads ? "not started" : "none");
        return;
    }
    printf("%s %" PRId32 "  ", threads ? "thread" : "pid", threads ? worker->thread : worker->pid);
    if (worker->depth == 0) {
        printf("idle\n");
        return;
    }
    printf("%s for %.1f s", status_name(worker->name, worker->task, name, sizeof name),
           worker->seconds);
    if (worker->depth > 1)
        printf(", and in %" PRId32 " more", worker->depth - 1);
    if (worker->waits) {
        printf(", waits for %s",
               status_name(worker->waits_for_name, worker->waits_for, name, sizeof name));
        if (worker->waits_for_worker >= 0)
            printf(" (worker %" PRId32 ")", worker->waits_for_worker);
    }
    printf("\n");
}

static void status_print(const many_pool_status *pool, const many_worker_status *workers,
                         size_t count)
{
    char name[WORDS_ITEM_BYTES];

    printf("%s (%s, pid %" PRId32 "): %" PRId32 " of %" PRId32 " workers, %" PRIu64
           " wait, %" PRIu64 " run, %" PRIu64 " done, %" PRIu64 " failed, %" PRIu64 " cancelled",
           words_item(name, pool->name, strlen(pool->name)),
           pool->kind == MANY_THREADS ? "threads" : "processes", pool->pid, pool->alive,
           pool->workers, pool->waiting, pool->running, pool->done, pool->failed, pool->cancelled);
    if (pool->replaced > 0)
        printf("; %" PRIu64 " replaced (%" PRIu64 " died)", pool->replaced, pool->died);
    if (pool->finished)
        printf("; takes no more");
    if (pool->broken < 0)
        printf("; broken: %s", many_strerror(pool->broken));
    printf("\n");
    for (size_t i = 0; i < count; i++)
        status_print_worker(pool, &workers[i]);
}

/* ---- for programs ---- */

/* The character at text, which ends with NUL: its bytes, and *value; what is no UTF-8 is one byte,
 * of value -1. */
static size_t status_character(const unsigned char *text, long *value)
{
    static const long least[] = {0, 0, 0x80, 0x800, 0x10000};
    const size_t bytes = text[0] < 0x80                      ? 1
                         : text[0] >= 0xC2 && text[0] < 0xE0 ? 2
                         : text[0] >= 0xE0 && text[0] < 0xF0 ? 3
                         : text[0] >= 0xF0 && text[0] < 0xF5 ? 4
                                                             : 0;

    *value = bytes == 1 ? text[0] : bytes > 0 ? text[0] & (0x7F >> bytes) : -1;
    for (size_t i = 1; i < bytes; i++) {
        if ((text[i] & 0xC0) != 0x80) {
            *value = -1;
            return 1;
        }
        *value = *value << 6 | (text[i] & 0x3F);
    }
    if (bytes == 0 || *value < least[bytes] || (*value >= 0xD800 && *value < 0xE000) ||
        *value > 0x10FFFF) {
        *value = -1;
        return 1;
    }
    return bytes;
}

static void status_json_string(const char *given)
{
    const unsigned char *text = (const unsigned char *)given;

    putchar('"');
    while (*text != '\0') {
        long value;
        const size_t bytes = status_character(text, &value);

        if (value < 0)
            fputs("\\ufffd", stdout);
        else if (value == '"' || value == '\\')
            printf("\\%c", (int)value);
        else if (value < 0x20 || (value >= 0x7F && value < 0xA0))
            printf("\\u%04lx", (unsigned long)value);
        else
            fwrite(text, 1, bytes, stdout);
        text += bytes;
    }
    putchar('"');
}

static void status_json_worker(const many_worker_status *worker)
{
    printf("{\"index\":%" PRId32 ",\"pid\":%" PRId32 ",\"thread\":%" PRId32 ",\"depth\":%" PRId32
           ",\"tasks\":%" PRIu64 ",\"task\":",
           worker->index, worker->pid, worker->thread, worker->depth, worker->tasks);
    if (worker->depth == 0) {
        printf("null}");
        return;
    }
    printf("{\"number\":%" PRIu64 ",\"name\":", worker->task);
    status_json_string(worker->name);
    printf(",\"seconds\":%.6f},\"waits_for\":", worker->seconds);
    if (!worker->waits) {
        printf("null}");
        return;
    }
    printf("{\"number\":%" PRIu64 ",\"name\":", worker->waits_for);
    status_json_string(worker->waits_for_name);
    if (worker->waits_for_worker >= 0)
        printf(",\"worker\":%" PRId32 "}}", worker->waits_for_worker);
    else
        printf(",\"worker\":null}}");
}

static void status_json(const many_pool_status *pool, const many_worker_status *workers,
                        size_t count)
{
    printf("{\"name\":");
    status_json_string(pool->name);
    printf(",\"kind\":\"%s\",\"pid\":%" PRId32 ",\"workers\":%" PRId32 ",\"alive\":%" PRId32
           ",\"waiting\":%" PRIu64 ",\"running\":%" PRIu64 ",\"done\":%" PRIu64
           ",\"failed\":%" PRIu64 ",\"cancelled\":%" PRIu64 ",\"replaced\":%" PRIu64
           ",\"died\":%" PRIu64 ",\"finished\":%s,\"broken\":",
           pool->kind == MANY_THREADS ? "threads" : "processes", pool->pid, pool->workers,
           pool->alive, pool->waiting, pool->running, pool->done, pool->failed, pool->cancelled,
           pool->replaced, pool->died, pool->finished ? "true" : "false");
    if (pool->broken < 0)
        status_json_string(many_strerror(pool->broken));
    else
        printf("null");
    printf(",\"worker\":[");
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            putchar(',');
        status_json_worker(&workers[i]);
    }
    printf("]}\n");
}

/* ---- looking ---- */

/* Print pool number index. 1; 0: it is closed by now; or a negative code. */
static int status_pool(many_watcher *watcher, size_t index, int json)
{
    many_pool_status pool;
    many_worker_status *workers = NULL;
    ssize_t count = many_watcher_look(watcher, index, NULL, NULL, 0);

    if (count > 0) {
        workers = calloc((size_t)count, sizeof *workers);
        if (workers == NULL)
            return -ENOMEM;
        count = many_watcher_look(watcher, index, &pool, workers, (size_t)count);
    }
    if (count > 0) {
        if (json)
            status_json(&pool, workers, (size_t)count);
        else
            status_print(&pool, workers, (size_t)count);
    }
    free(workers);
    return count == -ENOENT ? 0 : count < 0 ? (int)count : 1;
}

/* What can be said of each is printed; what cannot is told. The exit status. */
static int status_pools(many_watcher *watcher, size_t count, const struct status_options *options)
{
    int printed = 0, wrong = 0;

    for (size_t i = 0; i < count; i++) {
        const int code = status_pool(watcher, i, options->json);

        printed += code > 0;
        wrong += code < 0;
        if (code == -EBADMSG)
            fprintf(stderr, "many status: pid %d: a pool is not of this version (%s), or damaged\n",
                    options->pid, many_version());
        else if (code < 0)
            fprintf(stderr, "many status: pid %d: %s\n", options->pid, many_strerror(code));
    }
    if (printed == 0 && wrong == 0) {
        fprintf(stderr, "many status: pid %d has no pools\n", options->pid);
        return STATUS_NO_POOLS;
    }
    if (options_printed() != 0 || wrong > 0)
        return STATUS_WRONG;
    return 0;
}

static int status_fail(int code, int pid)
{
    if (code == -ESRCH)
        fprintf(stderr, "many status: pid %d: there is no such process\n", pid);
    else if (code == -EACCES)
        fprintf(stderr, "many status: pid %d: permission denied: it is not yours to look into\n",
                pid);
    else
        fprintf(stderr, "many status: pid %d: %s\n", pid, many_strerror(code));
    return STATUS_WRONG;
}

int status_main(int argc, char **argv)
{
    struct status_options options;
    many_watcher *watcher;
    ssize_t count;
    int status = status_read(&options, argc, argv);

    if (status != STATUS_RUN)
        return status;
    count = many_watcher_open(&watcher, options.pid);
    if (count < 0)
        return status_fail((int)count, options.pid);
    status = status_pools(watcher, (size_t)count, &options);
    many_watcher_close(watcher);
    return status;
}
