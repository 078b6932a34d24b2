/* SPDX-License-Identifier: MIT */
/*
 * started_around.h - what holds of each process that is no fork of its starter, continued: its
 * surroundings, its function, daemons, and many at once
 *
 * Included after started_cases.h, which says what STARTED is.
 */
#ifndef MANY_TEST_STARTED_AROUND_H
#define MANY_TEST_STARTED_AROUND_H

#include "started_cases.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <sys/mman.h>

/* ---- surroundings ---- */

static int started_tell_signals(void *argument)
{
    started_facts *facts = started_told();
    struct sigaction action;

    (void)argument;
    sigprocmask(SIG_SETMASK, NULL, &facts->mask);
    sigaction(SIGUSR1, NULL, &action);
    facts->caught_is_default = action.sa_handler == SIG_DFL;
    return 0;
}

static void started_catch(int signal)
{
    (void)signal;
}

TEST(it_has_the_mask_of_the_calling_thread_and_nothing_is_caught)
{
    many_inherit inherits = started_open();
    many_process *process;
    sigset_t set, old;

    signal(SIGUSR1, started_catch);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGRTMIN + 3);
    pthread_sigmask(SIG_BLOCK, &set, &old);
    CHECK_CODE(many_process_start(&process, started_tell_signals, NULL, .method = STARTED,
                                  .inherits = &inherits, .inherits_count = 1),
               0);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    signal(SIGUSR1, SIG_DFL);
    CHECK_EQUAL(started_join(process), 0);
    CHECK_EQUAL(started_here->caught_is_default, 1);
    for (int number = 1; number < NSIG; number++)
        if (number != SIGKILL && number != SIGSTOP && sigismember(&set, number) >= 0)
            CHECK_EQUAL(sigismember(&started_here->mask, number),
                        sigismember(&set, number) || sigismember(&old, number));
    started_close();
}

/* Which descriptors are open, but for the one that lists them. */
static int started_tell_descriptors(void *argument)
{
    started_facts *facts = started_told();
    size_t most = sizeof facts->descriptors / sizeof facts->descriptors[0];

    (void)argument;
    for (int fd = 0; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) >= 0 && facts->descriptors_count < most)
            facts->descriptors[facts->descriptors_count++] = fd;
    return 0;
}

TEST(it_has_no_descriptors_but_the_standard_ones_and_what_it_inherits)
{
    many_inherit inherits = started_open();
    many_process *process;
    int ends[2];

    CHECK(pipe(ends) == 0); /* not close-on-exec */
    CHECK_CODE(many_process_start(&process, started_tell_descriptors, NULL, .method = STARTED,
                                  .inherits = &inherits, .inherits_count = 1),
               0);
    CHECK_EQUAL(started_join(process), 0);
    close(ends[0]);
    close(ends[1]);
    /* 0, 1, 2 and the segment's. */
    CHECK_EQUAL(started_here->descriptors_count, 4);
    CHECK_EQUAL(started_here->descriptors[2], 2);
    started_close();
}

TEST(nobody_but_its_owner_holds_the_end_of_a_pipe_of_the_program)
{
    many_process *process;
    int ends[2], number = 0;
    char byte;

    CHECK(pipe(ends) == 0);
    CHECK_CODE(many_process_start(&process, case_stay, NULL, .method = STARTED), 0);
    CHECK_EQUAL(started_run(started_return, number), 0);
    close(ends[1]);
    CHECK_EQUAL(read(ends[0], &byte, 1), 0);
    close(ends[0]);
    CHECK_CODE(many_process_kill(process), 0);
    CHECK_EQUAL(started_join(process), -SIGKILL);
}

static void started_without_standard_descriptors(void *argument)
{
    many_inherit inherits = started_open();
    many_process *process;
    int *code = argument, number = 21;

    close(0);
    close(1);
    close(2);
    *code = many_process_start(&process, started_return, &number, .argument_bytes = sizeof number,
                               .method = STARTED, .inherits = &inherits, .inherits_count = 1);
    if (*code == 0 && (*code = many_process_join(process, MANY_FOREVER)) == 0)
        many_process_exit_code(process, code);
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            *code = -EEXIST;
}

TEST(it_starts_from_a_process_without_stdin_stdout_and_stderr)
{
    int *code = test_shared(sizeof *code);

    CHECK_EQUAL(test_in_child(started_without_standard_descriptors, code), 0);
    CHECK_CODE(*code, 21);
}

/* ---- fn ---- */

static int started_not_code = 0;

TEST(a_function_that_lies_in_no_file_is_refused_with_words)
{
    many_process *process;
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    many_process_fn *fn;

    CHECK(memory != MAP_FAILED);
    memcpy(&fn, &memory, sizeof fn);
    CHECK_CODE(many_process_start(&process, fn, NULL, .method = STARTED), -ENOENT);
    CHECK_CONTAINS(many_error_message(), "no file");
    munmap(memory, 4096);
    memory = &started_not_code;
    memcpy(&fn, &memory, sizeof fn);
    CHECK_CODE(many_process_start(&process, fn, NULL, .method = STARTED), -ENOENT);
}

TEST(a_function_of_a_library_is_found_there_too)
{
    static const char text[] = "42";
    many_process *process;

    /* int atoi(const char *): an int of a pointer, as fn is. */
    CHECK_CODE(many_process_start(&process, (many_process_fn *)(void (*)(void))atoi, (void *)text,
                                  .argument_bytes = sizeof text, .method = STARTED),
               0);
    CHECK_EQUAL(started_join(process), 42);
}

/* Opened by the program when its server, if it has one, runs already. */
TEST(a_function_of_a_library_that_was_opened_late_is_found_there_too)
{
    const char *folder = test_directory();
    many_process *process;
    many_process_fn *fn;
    char text[1024];
    void *library, *symbol;

    CHECK_EQUAL(started_run(started_return, 1), 1);
    test_write_file(
        folder, "late.c",
        "int late(void *argument);\nint late(void *argument) { return *(int *)argument + "
        "1; }\n");
    snprintf(text, sizeof text, "cc -shared -fPIC -o %s/liblate.so %s/late.c 2>/dev/null", folder,
             folder);
    if (system(text) != 0)
        test_skip("there is no C compiler, or it makes no shared libraries");
    snprintf(text, sizeof text, "%s/liblate.so", folder);
    library = dlopen(text, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        test_skip("libraries cannot be opened here");
    symbol = dlsym(library, "late");
    CHECK(symbol != NULL);
    memcpy(&fn, &symbol, sizeof fn);
    CHECK_EQUAL(started_run(fn, 30), 31);
    /* Gone from where it was: words, and nothing is left behind. */
    CHECK_EQUAL(unlink(text), 0);
    CHECK_CODE(many_process_start(&process, fn, NULL, .method = STARTED), -ENOENT);
    CHECK_CONTAINS(many_error_message(), "liblate.so");
    /* Another one is there: the new process refuses it. */
    snprintf(text, sizeof text,
             "cc -shared -fPIC -DOTHER -O2 -o %s/liblate.so %s/late.c 2>/dev/null", folder, folder);
    CHECK_EQUAL(system(text), 0);
    CHECK_CODE(many_process_start(&process, fn, NULL, .method = STARTED), -ENOENT);
    CHECK_CONTAINS(many_error_message(), "in another version");
    CHECK_EQUAL(started_run(started_return, 2), 2);
    dlclose(library);
}

/* ---- daemons ---- */

static int started_wait_for_gate(started_facts *facts)
{
    facts->pid = getpid();
    atomic_store(&facts->ready, 1);
    UNTIL(atomic_load(&facts->gate) != 0 || !case_runs(facts->test));
    return 0;
}

static int started_stay(void *argument)
{
    (void)argument;
    return started_wait_for_gate(started_told());
}

/* Its start, and then the end of the process that made it, by SIGKILL. */
static void started_die_after_start(void *argument)
{
    const int *daemon = argument;
    many_process *process;

    CHECK_CODE(many_process_start(&process, started_stay, NULL, .method = STARTED,
                                  .daemon = *daemon,
                                  .inherits = &(const many_inherit){.segment = started_segment},
                                  .inherits_count = 1),
               0);
    UNTIL(atomic_load(&started_here->ready) != 0);
    raise(SIGKILL);
}

TEST(a_daemon_is_killed_when_its_parent_is)
{
    int daemon = 1;

    started_open();
    CHECK_EQUAL(test_in_child(started_die_after_start, &daemon), SIGKILL);
    UNTIL(!case_runs(started_here->pid));
    started_close();
}

TEST(another_lives_on)
{
    int daemon = 0;
    pid_t pid;

    started_open();
    CHECK_EQUAL(test_in_child(started_die_after_start, &daemon), SIGKILL);
    pid = started_here->pid;
    CHECK(case_runs(pid));
    atomic_store(&started_here->gate, 1);
    UNTIL(!case_runs(pid));
    started_close();
}

/* ---- many ---- */

TEST(two_hundred_starts_leave_nothing_behind)
{
    test_census before;

    CHECK_EQUAL(started_run(started_return, 1), 1);
    before = test_census_take();
    for (int i = 0; i < 200; i++)
        CHECK_EQUAL(started_run(started_return, i), i);
    CHECK_CENSUS(before);
}

#define STARTED_THREADS 4

static void *started_in_thread(void *argument)
{
    const int number = *(int *)argument;

    for (int i = 0; i < 10; i++)
        CHECK_EQUAL(started_run(started_return, number + i), number + i);
    return NULL;
}

static void started_by_threads(void *argument)
{
    pthread_t threads[STARTED_THREADS];
    int numbers[STARTED_THREADS];

    (void)argument;
    for (int i = 0; i < STARTED_THREADS; i++) {
        numbers[i] = 20 * i;
        CHECK(pthread_create(&threads[i], NULL, started_in_thread, &numbers[i]) == 0);
    }
    for (int i = 0; i < STARTED_THREADS; i++)
        pthread_join(threads[i], NULL);
}

TEST(threads_may_start_processes_at_the_same_time)
{
    started_by_threads(NULL);
    /* And be the first to do so in their process. */
    CHECK_EQUAL(test_in_child(started_by_threads, NULL), 0);
}

static int started_nest(void *argument)
{
    const int depth = *(int *)argument;

    return depth == 0 ? 33 : started_run(started_nest, depth - 1);
}

/* A thread that is in the loader, and stays there. */
static int started_stay_in_loader(struct dl_phdr_info *info, size_t bytes, void *argument)
{
    _Atomic int *gate = argument;

    (void)info;
    (void)bytes;
    atomic_store(gate, 1);
    UNTIL(atomic_load(gate) == 2);
    return 1;
}

static void *started_enter_loader(void *argument)
{
    dl_iterate_phdr(started_stay_in_loader, argument);
    return NULL;
}

static void started_start_in_fork(void *argument)
{
    (void)argument;
    CHECK_EQUAL(started_run(started_return, 12), 12);
}

TEST(a_forked_child_may_start_others_though_a_thread_of_its_parent_held_the_lock_of_the_loader)
{
    _Atomic int gate = 0;
    pthread_t thread;
    pid_t child;

    if (TEST_TSAN || TEST_ASAN)
        test_skip("the sanitizers ask the loader themselves");
    CHECK_EQUAL(started_run(started_return, 1), 1);
    CHECK(pthread_create(&thread, NULL, started_enter_loader, (void *)&gate) == 0);
    UNTIL(atomic_load(&gate) == 1);
    child = test_child_start(started_start_in_fork, NULL);
    CHECK_EQUAL(test_child_wait(child), 0);
    atomic_store(&gate, 2);
    CHECK(pthread_join(thread, NULL) == 0);
}

TEST(a_started_process_may_start_others)
{
    CHECK_EQUAL(started_run(started_nest, 2), 33);
}

TEST(several_run_at_the_same_time_and_are_told_apart)
{
    many_inherit inherits = started_open();
    many_process *processes[8];

    for (int i = 0; i < 8; i++)
        CHECK_CODE(many_process_start(&processes[i], started_stay, NULL, .method = STARTED,
                                      .inherits = &inherits, .inherits_count = 1),
                   0);
    CHECK_CODE(many_process_terminate(processes[3]), 0);
    CHECK_CODE(many_process_join(processes[3], MANY_FOREVER), 0);
    for (int i = 0; i < 8; i++)
        CHECK_EQUAL(many_process_is_alive(processes[i]), i != 3);
    atomic_store(&started_here->gate, 1);
    for (int i = 0; i < 8; i++)
        CHECK_EQUAL(started_join(processes[i]), i == 3 ? -SIGTERM : 0);
    started_close();
}

#endif
