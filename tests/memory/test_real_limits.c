/* SPDX-License-Identifier: MIT */
/*
 * test_real_limits.c - descriptors, memory and processes run out for real
 *
 * Each limit is set in a child of the test, from far too little to plenty. On the way maps fail,
 * with the right code and with words, and then they succeed.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <many/map.h>

#include "base/fault.h"
#include "kill/ledger.h"
#include "test.h"

#define REAL_ITEMS 40

typedef enum real_kind {
    REAL_PROCESSES = 0,
    REAL_PROCESS_SOURCE = 1,
    REAL_THREADS = 2,
    REAL_THREAD_SOURCE = 3,
    REAL_KINDS = 4
} real_kind;

static ledger *real_book;

static int real_map(real_kind kind, int token)
{
    ledger *book = real_book;
    const size_t in = sizeof(uint64_t), out = sizeof(ledger_result);
    many_cancel cancel = {0};
    many_map_options options = {.size = sizeof options,
                                .n = book->n,
                                .workers = 4,
                                .context = book,
                                .cancel = token ? &cancel : NULL,
                                .codes = book->codes};

    ledger_clear(book);
    if (kind == REAL_PROCESSES)
        return many_process_map_with(ledger_task, book->in, in, book->out, out, &options);
    if (kind == REAL_THREADS)
        return many_thread_map_with(ledger_task, book->in, in, book->out, out, &options);
    options.codes = NULL;
    options.n = 0;
    options.next = ledger_next;
    options.next_context = book;
    options.on_result = ledger_take;
    options.on_result_context = book;
    return kind == REAL_PROCESS_SOURCE
               ? many_process_map_with(ledger_task, NULL, in, NULL, out, &options)
               : many_thread_map_with(ledger_task, NULL, in, NULL, out, &options);
}

/* 1 if it succeeded; if not, it did so properly. */
static int real_try(real_kind kind, int token, int code_a, int code_b)
{
    test_census census = test_census_take();
    ledger_rule rule = {.retries = 0};

    many_fail(-1, "%s", "");
    rule.code = real_map(kind, token);
    CHECK_CENSUS(census);
    if (rule.code == 0) {
        ledger_check(real_book, &rule);
        return 1;
    }
    if (rule.code != code_a)
        CHECK_CODE(rule.code, code_b);
    CHECK_CONTAINS(many_error_message(), "_map: ");
    CHECK(strlen(many_error_message()) > 40);
    return 0;
}

static void real_in_child(void (*body)(void *argument), real_kind kind)
{
    CHECK_EQUAL(test_in_child(body, &kind), 0);
}

/* ---- descriptors ---- */

static void real_descriptors(void *argument)
{
    const real_kind kind = *(real_kind *)argument;
    int free_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int failed = 0, succeeded = 0;

    CHECK(free_fd >= 3);
    close(free_fd);
    for (int more = 0; more < 12; more++) {
        struct rlimit limit, plenty;
        test_census census = test_census_take();
        ledger_rule rule = {.retries = 0};

        getrlimit(RLIMIT_NOFILE, &plenty);
        limit = (struct rlimit){(rlim_t)(free_fd + more), plenty.rlim_max};
        CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        many_fail(-1, "%s", "");
        rule.code = real_map(kind, more % 2);
        CHECK(setrlimit(RLIMIT_NOFILE, &plenty) == 0); /* the census needs some */
        CHECK_CENSUS(census);
        if (rule.code == 0) {
            ledger_check(real_book, &rule);
            succeeded++;
            continue;
        }
        CHECK_CODE(rule.code, -EMFILE);
        CHECK_CONTAINS(many_error_message(), "ulimit -n");
        CHECK_EQUAL(succeeded, 0);
        failed++;
    }
    CHECK(succeeded > 0);
    CHECK((failed > 0) == (kind != REAL_THREADS)); /* threads over an array need none */
}

TEST(too_few_descriptors_are_reported_or_done_without)
{
    real_book = ledger_open(REAL_ITEMS);
    for (int kind = 0; kind < REAL_KINDS; kind++)
        real_in_child(real_descriptors, (real_kind)kind);
}

/* ---- memory ---- */

static size_t real_address_space(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");

    CHECK(file != NULL && fscanf(file, "%lu", &pages) == 1);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void real_memory(void *argument)
{
    const real_kind kind = *(real_kind *)argument;
    const size_t used = real_address_space();
    int succeeded = 0;

    for (size_t more = 0; more < ((size_t)256 << 20); more = more * 3 / 2 + 16384) {
        struct rlimit plenty, limit;
        ledger_rule rule = {.retries = 0};
        int code;

        getrlimit(RLIMIT_AS, &plenty);
        limit = (struct rlimit){used + more, plenty.rlim_max};
        CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
        many_fail(-1, "%s", "");
        code = real_map(kind, 0);
        CHECK(setrlimit(RLIMIT_AS, &plenty) == 0);
        rule.code = code;
        if (code == 0) {
            ledger_check(real_book, &rule);
            succeeded++;
            continue;
        }
        if (code != -ENOMEM)
            CHECK_CODE(code, -EAGAIN);
        CHECK(strlen(many_error_message()) > 40);
    }
    CHECK(succeeded > 0);
}

TEST(too_little_memory_is_reported_or_done_without)
{
    if (TEST_ASAN || TEST_TSAN)
        test_skip("a sanitizer has mapped more address space than any limit leaves");
    real_book = ledger_open(REAL_ITEMS);
    for (int kind = 0; kind < REAL_KINDS; kind++)
        real_in_child(real_memory, (real_kind)kind);
}

#define REAL_LARGE       20000 /* results that do not fit into the address space at a time */
#define REAL_LARGE_BYTES 1000

static int real_codes[REAL_LARGE];

static int real_large(const void *item, void *result, void *context)
{
    _Atomic uint32_t *entered = context;
    size_t i = many_item_index();

    (void)item;
    memset(result, (int)(i % 251), REAL_LARGE_BYTES);
    if (atomic_fetch_add(&entered[i], 1) == 0 && i % 1000 == 7)
        kill(getpid(), SIGKILL);
    return 0;
}

static int real_no_reach(const char *point)
{
    return strcmp(point, "reach.write") == 0 ? -EPERM : 0;
}

/* A map that may not have memory for all results at a time is done in rounds. */
static void real_rounds(void *argument)
{
    const int area = *(int *)argument;
    const size_t bytes = (size_t)REAL_LARGE * REAL_LARGE_BYTES;
    _Atomic uint32_t *entered = test_shared(REAL_LARGE * sizeof *entered);
    unsigned char *out = malloc(bytes), *in = calloc(REAL_LARGE, 1);
    struct rlimit limit;
    int code;

    CHECK(out != NULL && in != NULL);
    memset(out, 255, bytes);
    getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = real_address_space() + ((size_t)5 << 20);
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    many_fault_hook_ = area ? real_no_reach : NULL;
    code = many_process_map(real_large, in, out, REAL_LARGE, .result_bytes = REAL_LARGE_BYTES,
                            .workers = 2, .context = (void *)(uintptr_t)entered,
                            .codes = real_codes, .on_error = MANY_GO_ON);
    CHECK_CODE(code, REAL_LARGE / 1000);
    for (size_t i = 0; i < REAL_LARGE; i++) {
        CHECK_EQUAL(entered[i], 1);
        CHECK_CODE(real_codes[i], i % 1000 == 7 ? -MANY_EDIED : 0);
        for (size_t b = 0; b < REAL_LARGE_BYTES && real_codes[i] == 0; b++)
            if (out[i * REAL_LARGE_BYTES + b] != i % 251)
                CHECK_EQUAL(out[i * REAL_LARGE_BYTES + b], i % 251);
    }
}

TEST(map_larger_than_the_address_space_is_done_in_rounds_and_survives_deaths)
{
    if (TEST_ASAN || TEST_TSAN)
        test_skip("a sanitizer has mapped more address space than any limit leaves");
    for (int area = 0; area < 2; area++)
        CHECK_EQUAL(test_in_child(real_rounds, &area), 0);
}

/* ---- processes ---- */

/* Nobody's; and of this program alone, since processes are counted by it. */
static uid_t real_uid;

static uid_t real_free_uid(void)
{
    return 20000 + (uid_t)getpid() % 40000;
}

static void real_processes(void *argument)
{
    const real_kind kind = *(real_kind *)argument;
    int failed = 0, succeeded = 0;

    CHECK(setgid(real_uid) == 0 && setuid(real_uid) == 0);
    for (rlim_t most = 0; most < 9; most++) {
        const struct rlimit limit = {most, 8};

        CHECK(setrlimit(RLIMIT_NPROC, &limit) == 0);
        if (real_try(kind, (int)most % 2, -EAGAIN, -EAGAIN)) {
            succeeded++;
            continue;
        }
        failed++;
        CHECK_EQUAL(succeeded, 0);
        CHECK_CONTAINS(many_error_message(), "ulimit -u");
    }
    CHECK(succeeded > 0);
    /* The caller's own thread does the work where no other can be started. */
    CHECK((failed > 0) == (kind != REAL_THREADS));
}

TEST(too_few_processes_are_reported_or_done_without)
{
    if (geteuid() != 0)
        test_skip("needs root, to become a user without processes");
    real_uid = real_free_uid();
    real_book = ledger_open(REAL_ITEMS);
    for (int kind = 0; kind < REAL_KINDS; kind++)
        real_in_child(real_processes, (real_kind)kind);
}

/* ---- permissions ---- */

static void real_other_user(void *argument)
{
    (void)argument;
    CHECK(setgid(real_uid) == 0 && setuid(real_uid) == 0);
    CHECK_EQUAL(real_try(REAL_PROCESSES, 0, 0, 0), 1);
}

TEST(process_that_has_become_another_user_gets_its_results)
{
    if (geteuid() != 0)
        test_skip("needs root");
    real_uid = real_free_uid();
    real_book = ledger_open(REAL_ITEMS);
    real_in_child(real_other_user, REAL_PROCESSES);
}

/* From the item on, its worker is another user, and may not reach its parent any more. */
static int real_drops(const void *item, void *result, void *context)
{
    size_t i = many_item_index();

    if (i % 500 == 250 && geteuid() == 0)
        CHECK(setgid(real_uid) == 0 && setuid(real_uid) == 0);
    if (i % 700 == 699)
        _exit(1);
    return ledger_task(item, result, context);
}

TEST(task_that_becomes_another_user_loses_no_result)
{
    ledger *book;

    if (geteuid() != 0)
        test_skip("needs root");
    real_uid = real_free_uid();
    book = ledger_open(5000);
    for (int round = 0; round < 3; round++) {
        ledger_rule rule = {.most = 7};

        ledger_clear(book);
        rule.code = many_process_map(real_drops, book->in, book->out, book->n, .workers = 3,
                                     .context = book, .codes = book->codes, .on_error = MANY_GO_ON);
        CHECK_CODE(rule.code, 7);
        ledger_check(book, &rule);
    }
}
