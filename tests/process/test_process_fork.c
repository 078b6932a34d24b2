/* SPDX-License-Identifier: MIT */
/* test_process_fork.c - what a forked process has, what it does not, and what surrounds it */
#include "process_cases.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>

/* ---- output ---- */

static int print_line(void *argument)
{
    printf("child says %s\n",
           (const char *)argument); /* a file is not a terminal: stays in the buffer */
    return 0;
}

static void run_exit_handler(void)
{
    printf("exit handler\n");
    fflush(stdout);
}

static void print_around_a_process(void *argument)
{
    const char *path = argument;
    many_process *process;

    CHECK(freopen(path, "we", stdout) != NULL);
    atexit(run_exit_handler);
    printf("before\n");
    CHECK_CODE(many_process_start(&process, print_line, (void *)(uintptr_t) "hello"), 0);
    CHECK_CODE(many_process_join(process, MANY_FOREVER), 0);
    printf("after\n");
    many_process_close(process);
    exit(0);
}

static void read_file(const char *path, char *text, size_t room)
{
    FILE *file = fopen(path, "re");
    size_t got;

    CHECK(file != NULL);
    got = fread(text, 1, room - 1, file);
    text[got] = '\0';
    fclose(file);
}

TEST(output_is_flushed_once_and_exit_handlers_are_the_parents)
{
    char path[512], text[1024];

    snprintf(path, sizeof path, "%s/output", test_directory());
    CHECK_EQUAL(test_in_child(print_around_a_process, path), 0);
    read_file(path, text, sizeof text);
    CHECK_STRING(text, "before\nchild says hello\nafter\nexit handler\n");
}

static int print_without_stdin(void *argument)
{
    (void)argument;
    printf("still here\n");
    return 0;
}

static void start_without_standard_streams(void *argument)
{
    const char *path = argument;
    many_process *process;
    int file;

    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    CHECK_CODE(many_process_start(&process, case_return, case_number(6)), 0);
    CHECK(many_process_descriptor(process) > STDERR_FILENO ||
          many_process_descriptor(process) == -ENOSYS);
    CHECK_CODE(many_process_join(process, MANY_FOREVER), 0);
    CHECK_EQUAL(case_exit_code(process), 6);
    many_process_close(process);
    file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CHECK_EQUAL(file, STDIN_FILENO);
    CHECK_EQUAL(dup2(file, STDOUT_FILENO), STDOUT_FILENO);
    CHECK_EQUAL(case_run(print_without_stdin, NULL), 0);
}

TEST(closed_standard_streams_do_no_harm)
{
    char path[512], text[1024];

    snprintf(path, sizeof path, "%s/output", test_directory());
    CHECK_EQUAL(test_in_child(start_without_standard_streams, path), 0);
    read_file(path, text, sizeof text);
    CHECK_STRING(text, "still here\n");
}

/* ---- other threads ---- */

static _Atomic int holds, let_go;

static void *hold_stdio(void *argument)
{
    (void)argument;
    flockfile(stdin);
    flockfile(stdout);
    atomic_store(&holds, 1);
    UNTIL(atomic_load(&let_go));
    funlockfile(stdout);
    funlockfile(stdin);
    return NULL;
}

TEST(a_thread_that_holds_the_locks_of_stdin_and_stdout_holds_up_neither_start_nor_end)
{
    pthread_t thread;

    atomic_store(&holds, 0);
    atomic_store(&let_go, 0);
    CHECK(pthread_create(&thread, NULL, hold_stdio, NULL) == 0);
    UNTIL(atomic_load(&holds));
    for (int i = 0; i < 20; i++)
        CHECK_EQUAL(case_run(case_return, case_number(i)), i);
    atomic_store(&let_go, 1);
    CHECK(pthread_join(thread, NULL) == 0);
}

static _Atomic int churns;

static void *churn(void *argument)
{
    (void)argument;
    while (atomic_load(&churns)) {
        void *memory = malloc(100);
        FILE *file = fopen("/dev/null", "re");

        if (file != NULL)
            fclose(file);
        free(memory);
    }
    return NULL;
}

static int allocate(void *argument)
{
    void *memory = malloc(1000);

    (void)argument;
    free(memory);
    return memory != NULL ? 0 : 1;
}

TEST(processes_start_while_other_threads_allocate_and_open_files)
{
    pthread_t threads[3];

    atomic_store(&churns, 1);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, churn, NULL) == 0);
    for (int i = 0; i < 50; i++)
        CHECK_EQUAL(case_run(allocate, NULL), 0);
    atomic_store(&churns, 0);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

static int ignore_nothing(void *argument)
{
    /* As case_pass_gate, but without a signal at the end of the parent's thread. */
    _Atomic int *gate = argument;
    double end = test_seconds() + 30;

    while (atomic_load(gate) == 0 && test_seconds() < end)
        test_pause_(200);
    return atomic_load(gate);
}

typedef struct started {
    many_process *process;
    _Atomic int *gate;
} started;

static void *start_in_thread(void *argument)
{
    started *start = argument;

    CHECK_CODE(many_process_start(&start->process, ignore_nothing, start->gate), 0);
    return NULL;
}

TEST(a_process_lives_on_when_the_thread_that_started_it_ends)
{
    started start = {NULL, test_shared(sizeof *start.gate)};
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, start_in_thread, &start) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_CODE(many_process_join(start.process, 0.05), -ETIMEDOUT);
    atomic_store(start.gate, 5);
    CHECK_CODE(many_process_join(start.process, MANY_FOREVER), 0);
    CHECK_EQUAL(case_exit_code(start.process), 5);
    many_process_close(start.process);
}

/* ---- arguments ---- */

static int check_copy(void *argument)
{
    CHECK((uintptr_t)argument % _Alignof(max_align_t) == 0);
    CHECK_STRING(argument, "what I was given");
    return 0;
}

TEST(an_argument_that_is_copied_is_the_childs_own_and_aligned)
{
    char place[64] = "\0what I was given";
    many_process *process;

    CHECK_CODE(many_process_start(&process, check_copy, place + 1, .argument_bytes = 32), 0);
    memset(place, 0, sizeof place);
    CHECK_CODE(many_process_join(process, MANY_FOREVER), 0);
    CHECK_EQUAL(case_exit_code(process), 0);
    many_process_close(process);
}

static int count_up(void *argument)
{
    ++*(int *)argument;
    return *(int *)argument;
}

TEST(what_a_child_changes_stays_in_the_child)
{
    int number = 41;

    CHECK_EQUAL(case_run(count_up, &number), 42);
    CHECK_EQUAL(number, 41);
}

/* ---- who am I ---- */

typedef struct family {
    pid_t top, middle, bottom;
    int count;
} family;

static int be_the_bottom(void *argument)
{
    family *members = argument;
    many_process *parent = many_process_parent();
    many_process *current = many_process_current();
    int ended, code;

    members->bottom = getpid();
    CHECK_EQUAL(many_process_pid(current), getpid());
    CHECK_STRING(many_process_name(current), "bottom");
    CHECK(parent != NULL && parent == many_process_parent());
    CHECK_STRING(many_process_name(parent), "middle");
    CHECK_EQUAL(many_process_pid(parent), members->middle);
    CHECK_EQUAL(many_process_is_alive(parent), 1);
    CHECK_CODE(many_process_join(parent, 0), -ETIMEDOUT);
    CHECK_CODE(many_process_wait(&parent, 1, &ended, 0), -ETIMEDOUT);
    CHECK_CODE(many_process_exit_code(parent, &code), -EAGAIN);
    CHECK_CODE(many_process_terminate(parent), -EPERM);
    CHECK_CODE(many_process_kill(parent), -EPERM);
    many_process_close(parent);
    CHECK_EQUAL(many_process_children(NULL, 0), 0);
    return 0;
}

static int be_the_middle(void *argument)
{
    family *members = argument;
    many_process *bottom;

    members->middle = getpid();
    CHECK_STRING(many_process_name(many_process_current()), "middle");
    CHECK_STRING(many_process_name(many_process_parent()), "MainProcess");
    CHECK_EQUAL(many_process_pid(many_process_parent()), members->top);
    CHECK_EQUAL(many_process_children(NULL, 0), 0);
    CHECK_CODE(many_process_start(&bottom, be_the_bottom, members, .name = "bottom"), 0);
    CHECK_CODE(many_process_join(bottom, MANY_FOREVER), 0);
    CHECK_EQUAL(case_exit_code(bottom), 0);
    CHECK_EQUAL(many_process_pid(bottom), members->bottom);
    many_process_close(bottom);
    return 0;
}

TEST(a_process_knows_itself_and_its_parent_at_every_level)
{
    family *members = test_shared(sizeof *members);
    many_process *middle;

    members->top = getpid();
    CHECK_CODE(many_process_start(&middle, be_the_middle, members, .name = "middle"), 0);
    CHECK_CODE(many_process_join(middle, MANY_FOREVER), 0);
    CHECK_EQUAL(case_exit_code(middle), 0);
    many_process_close(middle);
}

/* The first child's number is 1 at every level. */
static int name_a_child(void *argument)
{
    many_process *process;

    (void)argument;
    CHECK_CODE(many_process_start(&process, case_return, NULL), 0);
    CHECK_STRING(many_process_name(process), "Process-1");
    many_process_close(process);
    return 0;
}

TEST(each_process_counts_its_children_itself)
{
    CHECK_EQUAL(case_run(name_a_child, NULL), 0);
}

static int know_nothing_after_a_fork(void *argument)
{
    pid_t child;
    int status;

    (void)argument;
    CHECK(many_process_parent() != NULL);
    child = fork();
    CHECK(child >= 0);
    if (child == 0)
        _exit(many_process_parent() != NULL ||
              strcmp(many_process_name(many_process_current()), "MainProcess") != 0 ||
              many_process_pid(many_process_current()) != getpid());
    CHECK_EQUAL(waitpid(child, &status, 0), child);
    return status;
}

TEST(a_child_that_was_forked_otherwise_has_no_parent_of_ours)
{
    CHECK_EQUAL(case_run(know_nothing_after_a_fork, NULL), 0);
}

typedef struct orphanage {
    _Atomic int seen;
    _Atomic int fine;
} orphanage;

static int outlive_parent(void *argument)
{
    orphanage *notes = argument;
    many_process *parent = many_process_parent();
    many_cause cause;
    int code = 0;

    alarm(30);
    atomic_store(&notes->seen, 1);
    atomic_store(&notes->fine,
                 many_process_join(parent, 30) == 0 && many_process_is_alive(parent) == 0 &&
                         many_process_exit_code(parent, &code) == 0 && code == MANY_EXIT_UNKNOWN &&
                         many_process_cause(parent, &cause) == 0 &&
                         strstr(cause.text, "not its child's") != NULL
                     ? 1
                     : -1);
    return 0;
}

static void die_as_parent(void *argument)
{
    orphanage *notes = argument;
    many_process *process;

    CHECK_CODE(many_process_start(&process, outlive_parent, notes), 0);
    UNTIL(atomic_load(&notes->seen));
    raise(SIGKILL);
}

TEST(a_process_outlives_its_parent_and_sees_its_end)
{
    orphanage *notes = test_shared(sizeof *notes);

    CHECK_EQUAL(test_in_child(die_as_parent, notes), SIGKILL);
    UNTIL(atomic_load(&notes->fine) != 0);
    CHECK_EQUAL(atomic_load(&notes->fine), 1);
}

/* ---- handles in a forked child ---- */

static void use_the_parents_handle(void *argument)
{
    many_process *process = argument;
    many_cause cause;
    int code;

    CHECK_CODE(many_process_join(process, 0), -MANY_EFORKED);
    CHECK_CODE(many_process_wait(&process, 1, NULL, 0), -MANY_EFORKED);
    CHECK_CODE(many_process_is_alive(process), -MANY_EFORKED);
    CHECK_CODE(many_process_exit_code(process, &code), -MANY_EFORKED);
    CHECK_CODE(many_process_cause(process, &cause), -MANY_EFORKED);
    CHECK_CODE(many_process_terminate(process), -MANY_EFORKED);
    CHECK_CODE(many_process_kill(process), -MANY_EFORKED);
    CHECK_CODE(many_process_descriptor(process), -MANY_EFORKED);
    CHECK(many_process_pid(process) > 0);
    CHECK_STRING(many_process_name(process), "sibling");
    CHECK_EQUAL(many_process_children(NULL, 0), 0);
    many_process_close(process);
}

static int use_in_a_process(void *argument)
{
    use_the_parents_handle(argument);
    return 0;
}

TEST(a_handle_is_the_starters_and_a_child_cannot_use_it)
{
    many_process *sibling;

    CHECK_CODE(many_process_start(&sibling, case_stay, NULL, .name = "sibling"), 0);
    CHECK_EQUAL(test_in_child(use_the_parents_handle, sibling), 0);
    CHECK_EQUAL(case_run(use_in_a_process, sibling), 0);
    CHECK_EQUAL(many_process_is_alive(sibling), 1);
    many_process_close(sibling);
}

/* ---- signals ---- */

static void handle(int signal)
{
    (void)signal;
}

static int check_signals(void *argument)
{
    struct sigaction action;
    sigset_t mask;

    (void)argument;
    CHECK(sigaction(SIGUSR1, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
    CHECK(sigaction(SIGINT, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
    CHECK(sigaction(SIGRTMIN + 3, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
    CHECK(sigaction(SIGUSR2, NULL, &action) == 0 && action.sa_handler == SIG_IGN);
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &mask) == 0);
    CHECK(sigismember(&mask, SIGHUP) == 1 && sigismember(&mask, SIGUSR1) == 0 &&
          sigismember(&mask, SIGTERM) == 0);
    return 0;
}

/* argument: not NULL: there is another thread, who might change what is caught. */
static void start_with_signals(void *argument)
{
    struct sigaction action;
    test_signals before;
    pthread_t thread;
    sigset_t mask;

    atomic_store(&let_go, 0);
    atomic_store(&holds, 0);
    if (argument != NULL) {
        CHECK(pthread_create(&thread, NULL, hold_stdio, NULL) == 0);
        UNTIL(atomic_load(&holds));
    }
    memset(&action, 0, sizeof action);
    action.sa_handler = handle;
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0 && sigaction(SIGINT, &action, NULL) == 0 &&
          sigaction(SIGRTMIN + 3, &action, NULL) == 0);
    signal(SIGUSR2, SIG_IGN);
    sigemptyset(&mask);
    sigaddset(&mask, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &mask, NULL);
    test_signals_take(&before);
    CHECK_EQUAL(case_run(check_signals, NULL), 0);
    CHECK_SIGNALS(before);
    atomic_store(&let_go, 1);
    if (argument != NULL)
        CHECK(pthread_join(thread, NULL) == 0);
}

TEST(caught_signals_are_at_their_default_ignored_ones_ignored_and_the_mask_is_the_parents)
{
    CHECK_EQUAL(test_in_child(start_with_signals, NULL), 0);
    CHECK_EQUAL(test_in_child(start_with_signals, case_number(1)), 0);
}

/* ---- who else reaps ---- */

static int exit_code_is(many_process *process, int expected)
{
    int code = case_exit_code(process);

    return code == expected || code == MANY_EXIT_UNKNOWN;
}

static void ignore_children(void *argument)
{
    _Atomic int *gate = argument;
    many_process *process;
    many_cause cause;

    signal(SIGCHLD, SIG_IGN);
    CHECK_CODE(many_process_start(&process, case_pass_gate, gate), 0);
    CHECK_EQUAL(many_process_is_alive(process), 1);
    CHECK_CODE(many_process_join(process, 0.02), -ETIMEDOUT);
    atomic_store(gate, 3);
    CHECK_CODE(many_process_join(process, MANY_FOREVER), 0);
    CHECK(exit_code_is(process, 3));
    CHECK_CODE(many_process_cause(process, &cause), 0);
    if (case_exit_code(process) == MANY_EXIT_UNKNOWN)
        CHECK_CONTAINS(cause.text, "taken by somebody else");
    many_process_close(process);
    CHECK_CODE(many_process_start(&process, case_stay, NULL), 0);
    CHECK_CODE(many_process_kill(process), 0);
    CHECK_CODE(many_process_join(process, MANY_FOREVER), 0);
    CHECK_CODE(many_process_kill(process), 0);
    many_process_close(process);
}

TEST(an_end_is_seen_while_sigchld_is_ignored)
{
    CHECK_EQUAL(test_in_child(ignore_children, test_shared(sizeof(int))), 0);
}

static void reap_any(int signal)
{
    int saved = errno;

    (void)signal;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        continue;
    errno = saved;
}

static void reap_in_a_handler(void *argument)
{
    struct sigaction action;

    (void)argument;
    memset(&action, 0, sizeof action);
    action.sa_handler = reap_any;
    CHECK(sigaction(SIGCHLD, &action, NULL) == 0);
    for (int i = 0; i < 30; i++) {
        many_process *process;
        int code;

        CHECK_CODE(many_process_start(&process, case_return, case_number(i)), 0);
        do
            code = many_process_join(process, MANY_FOREVER);
        while (code == -EINTR);
        CHECK_CODE(code, 0);
        CHECK(exit_code_is(process, i));
        many_process_close(process);
    }
}

TEST(an_end_is_seen_when_a_handler_of_the_caller_reaps_all)
{
    CHECK_EQUAL(test_in_child(reap_in_a_handler, NULL), 0);
}

/* ---- many of them ---- */

TEST(a_thousand_starts_leave_nothing)
{
    test_census before;
    many_process *process;
    int times = 1000 / test_slowness();

    CHECK_EQUAL(case_run(case_return, NULL), 0);
    before = case_census();
    for (int i = 0; i < times; i++) {
        CHECK_CODE(many_process_start(&process, case_return, case_number(i & 127)), 0);
        if (i % 3 != 0)
            CHECK_CODE(many_process_join(process, MANY_FOREVER), 0);
        if (i % 3 == 2)
            CHECK_EQUAL(case_exit_code(process), i & 127);
        many_process_close(process);
    }
    CHECK_CENSUS(before);
}

static void *join_until_cancelled(void *argument)
{
    many_process_join(argument, MANY_FOREVER);
    return NULL;
}

TEST(a_thread_that_is_cancelled_in_a_join_leaves_the_process_and_its_lock_alone)
{
    many_process *process;
    pthread_t thread;
    void *result;

    CHECK_CODE(many_process_start(&process, case_stay, NULL), 0);
    CHECK(pthread_create(&thread, NULL, join_until_cancelled, process) == 0);
    CHECK(pthread_cancel(thread) == 0);
    CHECK(pthread_join(thread, &result) == 0);
    CHECK(result == PTHREAD_CANCELED);
    CHECK_EQUAL(many_process_is_alive(process), 1);
    many_process_close(process);
}
