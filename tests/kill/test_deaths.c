/* SPDX-License-Identifier: MIT */
/*
 * test_deaths.c - one of many items kills its worker, in every way a process can end
 *
 * That item fails, with the right cause; all others are done, and their results are right.
 */
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <many/map.h>

#include "base/fault.h"
#include "kill/ledger.h"
#include "test.h"

#if TEST_ASAN
/* Let the kernel end the process: what is tested is how that looks from outside. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:handle_abort=0:"
           "detect_leaks=0";
}
#endif

#define DEATHS_ITEMS 60
#define DEATHS_ITEM  23 /* the one that dies */

typedef void deaths_way(void);

typedef struct deaths_job {
    ledger *book;
    deaths_way *die;
    size_t every; /* also every so many-th item dies; 0: one only */
} deaths_job;

static int deaths_task(const void *item, void *result, void *context)
{
    deaths_job *job = context;
    size_t i = many_item_index();

    if (i == DEATHS_ITEM || (job->every > 0 && i % job->every == 0)) {
        atomic_fetch_add(&job->book->cell[i].entered, 1);
        job->die();
        return 0; /* reached only by a way that does not kill at once */
    }
    return ledger_task(item, result, job->book);
}

static int deaths_range_task(const void *items, void *results, size_t n, void *context)
{
    CHECK_EQUAL(n, 1);
    return deaths_task(items, results, context);
}

/* The engines and loops that a task may run in. */
typedef enum deaths_form {
    DEATHS_PLAIN = 0,
    DEATHS_CAREFUL = 1,
    DEATHS_AREA = 2,
    DEATHS_IN_PLACE = 3,
    DEATHS_RANGE = 4,
    DEATHS_SOURCE = 5,
    DEATHS_FORMS = 6
} deaths_form;

static int deaths_no_reach(const char *point)
{
    return strcmp(point, "reach.write") == 0 ? -EPERM : 0;
}

static int deaths_map(deaths_job *job, deaths_form form, many_map_options options)
{
    ledger *book = job->book;
    int code;

    ledger_clear(book);
    options.size = sizeof options;
    options.n = book->n;
    options.context = job;
    if (options.workers == 0)
        options.workers = 3;
    if (form == DEATHS_CAREFUL && options.item_limit_s <= 0)
        options.item_limit_s = 100;
    if (form == DEATHS_SOURCE) {
        options.n = 0;
        options.next = ledger_next;
        options.next_context = book;
        options.on_result = ledger_take;
        options.on_result_context = book;
        return many_process_map_with(deaths_task, NULL, sizeof(uint64_t), NULL,
                                     sizeof(ledger_result), &options);
    }
    options.codes = book->codes;
    options.in_place = form == DEATHS_IN_PLACE;
    if (form == DEATHS_RANGE) {
        options.chunk = 1;
        return many_process_map_range_with(deaths_range_task, book->in, sizeof(uint64_t), book->out,
                                           sizeof(ledger_result), &options);
    }
    if (form == DEATHS_AREA)
        many_fault_hook_ = deaths_no_reach;
    code = many_process_map_with(deaths_task, book->in, sizeof(uint64_t), book->out,
                                 sizeof(ledger_result), &options);
    many_fault_hook_ = NULL;
    return code;
}

static void deaths_expect(deaths_way *die, int signal, int exit_status, const char *text)
{
    const struct rlimit no_core = {0, 0};
    deaths_job job = {ledger_open(DEATHS_ITEMS), die, 0};
    test_signals signals;
    test_census census;

    setrlimit(RLIMIT_CORE, &no_core);
    census = test_census_take();
    test_signals_take(&signals);
    for (int form = 0; form < DEATHS_FORMS; form++) {
        many_map_options options = {.on_error = MANY_GO_ON};
        many_cause cause = {.code = 0};
        ledger_rule rule = {.most = 1};

        options.cause = &cause;
        rule.code = deaths_map(&job, (deaths_form)form, options);
        ledger_check(job.book, &rule);
        CHECK_CODE(rule.code, 1);
        CHECK_CODE(job.book->codes[DEATHS_ITEM], -MANY_EDIED);
        CHECK_CODE(cause.code, -MANY_EDIED);
        CHECK_EQUAL(cause.item, DEATHS_ITEM);
        CHECK_EQUAL(cause.signal, signal);
        CHECK_EQUAL(cause.exit_status, exit_status);
        CHECK_EQUAL(cause.tries, 1);
        CHECK(cause.pid > 0 && cause.worker >= 0 && cause.worker < 3 && cause.peak_bytes > 0);
        CHECK_CONTAINS(cause.text, "item 23 died");
        CHECK_CONTAINS(cause.text, text);
        CHECK_CENSUS(census);
    }
    CHECK_SIGNALS(signals);
}

/* ---- the ways ---- */

static void deaths_by_segv(void)
{
    volatile char *nowhere = mmap(NULL, 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    *nowhere = 1;
}

static void deaths_by_kill(void)
{
    kill(getpid(), SIGKILL);
}

static void deaths_by_term(void)
{
    kill(getpid(), SIGTERM);
}

static void deaths_by_pipe(void)
{
    raise(SIGPIPE);
}

static void deaths_by_real_time_signal(void)
{
    raise(SIGRTMIN + 3);
}

static void deaths_by_quick_exit(void)
{
    _exit(3);
}

static void deaths_by_exit(void)
{
    exit(4);
}

static void deaths_by_success(void)
{
    _exit(0);
}

static void deaths_by_exec(void)
{
    execl("/bin/sh", "sh", "-c", "exit 5", (char *)NULL);
}

static void deaths_by_abort(void)
{
    abort();
}

static void deaths_by_thread_exit(void)
{
    pthread_exit(NULL);
}

static void *deaths_thread(void *argument)
{
    kill(getpid(), SIGKILL);
    return argument;
}

static void deaths_by_a_thread(void)
{
    pthread_t thread;

    pthread_create(&thread, NULL, deaths_thread, NULL);
    pthread_join(thread, NULL);
}

static volatile int deaths_depth_most = 1 << 30;

__attribute__((noinline)) static int deaths_recurse(int depth)
{
    volatile char frame[512];

    frame[0] = (char)depth;
    if (depth < deaths_depth_most)
        return deaths_recurse(depth + 1) + frame[0];
    return frame[0];
}

static void deaths_by_stack(void)
{
    deaths_recurse(0);
}

static void deaths_by_memory(void)
{
    const struct rlimit limit = {256UL << 20, 256UL << 20};

    setrlimit(RLIMIT_AS, &limit);
    for (;;) {
        char *block = malloc(1 << 20);

        if (block == NULL)
            abort();
        memset(block, 1, 1 << 20);
    }
}

TEST(item_that_segfaults_fails_alone)
{
    deaths_expect(deaths_by_segv, SIGSEGV, -1, "SIGSEGV");
}

TEST(item_that_is_killed_fails_alone)
{
    deaths_expect(deaths_by_kill, SIGKILL, -1, "SIGKILL");
}

TEST(item_that_is_terminated_fails_alone)
{
    deaths_expect(deaths_by_term, SIGTERM, -1, "SIGTERM");
}

TEST(item_that_writes_to_a_broken_pipe_fails_alone)
{
    deaths_expect(deaths_by_pipe, SIGPIPE, -1, "SIGPIPE");
}

TEST(item_that_gets_a_signal_without_a_name_fails_alone)
{
    deaths_expect(deaths_by_real_time_signal, SIGRTMIN + 3, -1, "signal ");
}

TEST(item_that_exits_at_once_fails_alone)
{
    deaths_expect(deaths_by_quick_exit, 0, 3, "exited with 3");
}

TEST(item_that_exits_fails_alone)
{
    deaths_expect(deaths_by_exit, 0, 4, "exited with 4");
}

TEST(item_that_exits_with_success_fails_all_the_same)
{
    deaths_expect(deaths_by_success, 0, 0, "exited with 0");
}

TEST(item_that_becomes_another_program_fails_alone)
{
    deaths_expect(deaths_by_exec, 0, 5, "exited with 5");
}

TEST(item_that_aborts_fails_alone)
{
    deaths_expect(deaths_by_abort, SIGABRT, -1, "SIGABRT");
}

TEST(item_that_ends_its_thread_fails_alone)
{
    if (TEST_ASAN) /* its last thread ends the worker by exit(), and what the parent holds seems lost */
        test_skip("the sanitizer looks for leaks at the worker's end, and changes its status");
    deaths_expect(deaths_by_thread_exit, 0, 0, "exited with 0");
}

TEST(item_that_is_killed_by_a_thread_of_its_own_fails_alone)
{
    deaths_expect(deaths_by_a_thread, SIGKILL, -1, "SIGKILL");
}

TEST(item_that_overflows_the_stack_fails_alone)
{
    if (TEST_ASAN)
        test_skip("the sanitizer's stack frames and its own stack check are in the way");
    deaths_expect(deaths_by_stack, SIGSEGV, -1, "SIGSEGV");
}

TEST(item_that_runs_out_of_memory_fails_alone)
{
    if (TEST_ASAN)
        test_skip("the sanitizer needs more address space than any limit leaves");
    deaths_expect(deaths_by_memory, SIGABRT, -1, "SIGABRT");
}

/* ---- and then ---- */

TEST(retried_death_names_the_last_try)
{
    deaths_job job = {ledger_open(DEATHS_ITEMS), deaths_by_kill, 0};

    for (int form = 0; form < DEATHS_FORMS; form++) {
        many_cause cause = {.code = 0};
        many_map_options options = {.on_error = MANY_GO_ON, .retries = 4, .cause = &cause};
        ledger_rule rule = {.retries = 4, .most = 5};

        rule.code = deaths_map(&job, (deaths_form)form, options);
        CHECK_CODE(rule.code, 1);
        CHECK_CODE(job.book->codes[DEATHS_ITEM], -MANY_EDIED);
        CHECK_EQUAL(job.book->cell[DEATHS_ITEM].entered, 5);
        CHECK_EQUAL(cause.tries, 5);
        CHECK_CONTAINS(cause.text, "try 5");
        ledger_check(job.book, &rule);
    }
}

static _Atomic int *deaths_left; /* shared: so many tries die */

static void deaths_for_a_while(void)
{
    if (atomic_fetch_sub(deaths_left, 1) > 0)
        kill(getpid(), SIGKILL);
}

TEST(death_that_does_not_come_back_is_healed_by_a_retry)
{
    deaths_job job = {ledger_open(DEATHS_ITEMS), deaths_for_a_while, 0};

    deaths_left = test_shared(sizeof *deaths_left);
    for (int form = 0; form < DEATHS_FORMS; form++) {
        many_cause cause = {.code = 0};
        many_map_options options = {.retries = 3, .cause = &cause};

        atomic_store(deaths_left, 3);
        CHECK_CODE(deaths_map(&job, (deaths_form)form, options), 0);
        CHECK_EQUAL(job.book->cell[DEATHS_ITEM].entered, 4);
        CHECK_EQUAL(cause.code, 0);
        CHECK_EQUAL(ledger_count(job.book, 0), DEATHS_ITEMS);
    }
}

TEST(map_that_is_to_stop_cancels_the_rest_at_a_death)
{
    deaths_job job = {ledger_open(DEATHS_ITEMS), deaths_by_kill, 0};

    job.book->least_us = job.book->most_us = 200;
    for (int form = 0; form < DEATHS_FORMS; form++) {
        many_cause cause = {.code = 0};
        many_map_options options = {.cause = &cause};
        ledger_rule rule = {.most = 1, .stopped = 1, .source = form == DEATHS_SOURCE};

        rule.code = deaths_map(&job, (deaths_form)form, options);
        CHECK_CODE(rule.code, -MANY_EDIED);
        CHECK_CONTAINS(many_error_message(), "item 23 died of SIGKILL");
        CHECK_CODE(job.book->codes[DEATHS_ITEM], -MANY_EDIED);
        CHECK_EQUAL(cause.item, DEATHS_ITEM);
        ledger_check(job.book, &rule);
    }
}

TEST(death_of_half_of_the_items_leaves_the_other_half)
{
    deaths_job job = {ledger_open(401), deaths_by_quick_exit, 2};

    for (int form = 0; form < DEATHS_FORMS; form++) {
        many_map_options options = {.on_error = MANY_GO_ON, .workers = 1 + form};
        ledger_rule rule = {.most = 202};

        rule.code = deaths_map(&job, (deaths_form)form, options);
        CHECK_CODE(rule.code, 202);
        ledger_check(job.book, &rule);
    }
}

TEST(death_of_every_item_ends_all_the_same)
{
    deaths_job job = {ledger_open(150), deaths_by_abort, 1};
    const struct rlimit no_core = {0, 0};

    setrlimit(RLIMIT_CORE, &no_core);
    for (int form = 0; form < DEATHS_FORMS; form++) {
        many_map_options options = {.on_error = MANY_GO_ON, .retries = 1};

        CHECK_CODE(deaths_map(&job, (deaths_form)form, options), 150);
        CHECK_EQUAL(ledger_count(job.book, -MANY_EDIED), 150);
        for (size_t i = 0; i < 150; i++)
            CHECK_EQUAL(job.book->cell[i].entered, 2);
    }
}

/* A worker's printf() before its death is lost with it, one that ends by itself loses nothing. */
static int deaths_print(const void *item, void *result, void *context)
{
    (void)item;
    (void)result;
    (void)context;
    printf("%c", 'a' + (int)many_item_index());
    return 0;
}

static void deaths_print_to(void *argument)
{
    const char *const *path = argument;
    char in[26] = {0};

    CHECK(freopen(*path, "we", stdout) != NULL);
    setvbuf(stdout, NULL, _IOFBF, 4096);
    printf("before:"); /* in the buffer at the fork: written once */
    CHECK_CODE(many_process_each(deaths_print, in, 26, .workers = 4), 0);
    printf(":after");
}

TEST(buffered_output_is_neither_lost_nor_doubled)
{
    static char path[8192];
    const char *folder = test_directory(), *name = path;
    char text[128] = "";
    FILE *file;

    snprintf(path, sizeof path, "%s/out", folder);
    CHECK_EQUAL(test_in_child(deaths_print_to, &name), 0);
    file = fopen(path, "re");
    CHECK(file != NULL);
    CHECK(fgets(text, sizeof text, file) != NULL);
    fclose(file);
    CHECK_EQUAL(strlen(text), 7 + 26 + 6);
    CHECK(strncmp(text, "before:", 7) == 0);
    CHECK_STRING(text + 7 + 26, ":after");
    for (int letter = 'a'; letter <= 'z'; letter++)
        CHECK(strchr(strchr(text, ':'), letter) != NULL);
}
