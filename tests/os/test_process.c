/* SPDX-License-Identifier: MIT */
/* test_process.c - children by fork and pidfd: their ends, their signals, and their parents' ends
 */
#include "process_cases.h"

#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/utsname.h>

static int kernel_is(int major, int minor)
{
    struct utsname name;
    int has_major = 0, has_minor = 0;

    CHECK(uname(&name) == 0);
    CHECK(sscanf(name.release, "%d.%d", &has_major, &has_minor) == 2);
    return has_major > major || (has_major == major && has_minor >= minor);
}

/* ---- ends ---- */

TEST(each_end_is_told_and_nothing_is_left_behind)
{
    process_check_endings();
}

TEST(an_end_is_seen_by_looking_now_and_then)
{
    process_check_polling();
}

TEST(a_death_wakes_a_poll_on_the_childs_descriptor)
{
    many_child_ child = process_start(process_exit_3, NULL);
    struct pollfd poller = {child.fd, POLLIN, 0};
    many_ending_ ending;

    if (child.fd < 0) {
        process_end(&child);
        test_skip("no pidfd here");
    }
    CHECK(child.fd > STDERR_FILENO);
    CHECK(fcntl(child.fd, F_GETFD) & FD_CLOEXEC);
    CHECK_EQUAL(poll(&poller, 1, -1), 1);
    CHECK_EQUAL(many_child_ended_(&child, 0, &ending), 1);
    CHECK_EQUAL(ending.exit_status, 3);
}

TEST(nobody_has_ended)
{
    many_child_ nobody = {0, -1};
    many_ending_ ending;

    many_child_kill_(&nobody); /* kill(0) would be the whole process group */
    CHECK_EQUAL(many_child_ended_(&nobody, 1, &ending), 1);
    CHECK_EQUAL(many_child_ended_(&nobody, 0, &ending), 1);
    CHECK(!ending.known);
}

static void touch_memory(void *argument)
{
    size_t bytes = (size_t)64 << 20;
    char *memory = malloc(bytes);

    (void)argument;
    CHECK(memory != NULL);
    for (size_t i = 0; i < bytes; i += 4096)
        ((volatile char *)memory)[i] = 1;
    free(memory);
}

TEST(the_largest_resident_size_is_told)
{
    many_child_ child = process_start(touch_memory, NULL);
    many_ending_ ending = process_end(&child);

    CHECK(ending.known);
    CHECK(ending.peak_bytes >= (uint64_t)64 << 20);
    CHECK(ending.peak_bytes < (uint64_t)64 << 30);
}

TEST(a_status_that_another_thread_took_is_told_by_the_kernel)
{
    many_ending_ ending = process_end_taken();

    if (ending.known) {
        CHECK_EQUAL(ending.exit_status, 3);
        CHECK_EQUAL(ending.signal, 0);
    } else if (kernel_is(6, 15) && getenv("MANY_TEST_TOOL") == NULL) {
        CHECK(ending.known);
    }
}

TEST(a_death_is_seen_and_told_while_sigchld_is_ignored)
{
    many_ending_ exited = process_end_ignored(process_exit_3);
    many_ending_ aborted = process_end_ignored(process_abort);

    if (kernel_is(6, 15) && getenv("MANY_TEST_TOOL") == NULL)
        CHECK(exited.known && aborted.known);
    if (exited.known)
        CHECK_EQUAL(exited.exit_status, 3);
    if (aborted.known)
        CHECK_EQUAL(aborted.signal, SIGABRT);
}

static volatile sig_atomic_t children_seen;

static void on_child(int signal)
{
    (void)signal;
    children_seen = 1;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        continue;
}

TEST(a_handler_of_the_callers_that_reaps_everything_does_no_harm)
{
    struct sigaction action, old;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_child;
    CHECK(sigaction(SIGCHLD, &action, &old) == 0);
    for (int i = 0; i < 20; i++) {
        many_child_ child = process_start(process_exit_3, NULL);
        many_ending_ ending = process_end(&child);

        if (ending.known)
            CHECK_EQUAL(ending.exit_status, 3);
    }
    CHECK(sigaction(SIGCHLD, &old, NULL) == 0);
    CHECK(children_seen);
}

TEST(another_child_of_the_program_is_left_alone)
{
    pid_t other = test_child_start(process_exit_3, NULL);
    many_child_ child = process_start(process_exit_3, NULL);

    process_end(&child);
    CHECK_EQUAL(test_child_wait(other), TEST_EXIT(3)); /* its status is still there */
}

/* ---- signals ---- */

static void on_signal(int signal)
{
    (void)signal;
    _exit(50); /* no handler of the caller may run in a child */
}

static void look_at_signals(void *argument)
{
    struct sigaction action;
    sigset_t mask;

    (void)argument;
    sigaction(SIGTERM, NULL, &action);
    CHECK(action.sa_handler == SIG_DFL);
    sigaction(SIGUSR2, NULL, &action);
    CHECK(action.sa_handler == SIG_IGN);
    sigaction(SIGINT, NULL, &action);
    CHECK(action.sa_handler == SIG_IGN);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    CHECK(sigismember(&mask, SIGHUP) && !sigismember(&mask, SIGTERM));
    raise(SIGINT);
    raise(SIGTERM);
}

TEST(a_child_has_clean_signals_and_the_parent_keeps_its_own)
{
    struct sigaction caught, ignored, old_term, old_user;
    test_signals before;
    sigset_t hangup;
    many_child_ child;

    memset(&caught, 0, sizeof caught);
    caught.sa_handler = on_signal;
    ignored = caught;
    ignored.sa_handler = SIG_IGN;
    sigaction(SIGTERM, &caught, &old_term);
    sigaction(SIGUSR2, &ignored, &old_user);
    sigemptyset(&hangup);
    sigaddset(&hangup, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &hangup, NULL);
    test_signals_take(&before);
    child = process_start(look_at_signals, NULL);
    CHECK_SIGNALS(before);
    CHECK_EQUAL(process_end(&child).signal, SIGTERM);
    CHECK_SIGNALS(before);
    pthread_sigmask(SIG_UNBLOCK, &hangup, NULL);
    sigaction(SIGTERM, &old_term, NULL);
    sigaction(SIGUSR2, &old_user, NULL);
}

/* ---- the parent's end ---- */

typedef struct household {
    many_child_ child;
    _Atomic int running; /* the child has come as far as its task */
    int hurry;           /* the parent does not wait for that */
} household;

static void run_for_ever(void *argument)
{
    household *family = argument;

    atomic_store(&family->running, 1);
    process_sleep(NULL);
}

static void *start_sleeper(void *argument)
{
    household *family = argument;

    family->child = process_start(run_for_ever, family);
    UNTIL(family->hurry || atomic_load(&family->running));
    return NULL;
}

TEST(a_child_dies_with_the_thread_that_forked_it)
{
    household *family = test_shared(sizeof *family);
    pthread_t thread;

    CHECK_EQUAL(pthread_create(&thread, NULL, start_sleeper, family), 0);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    CHECK_EQUAL(process_end(&family->child).signal, SIGKILL);
}

static void start_sleeper_and_die(void *argument)
{
    start_sleeper(argument);
    raise(SIGKILL);
}

/* Whether the parent dies before or after the child has asked for its signal. */
TEST(a_child_dies_with_its_parent)
{
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0); /* orphans come to us */
    for (int i = 0; i < 20; i++) {
        household *family = test_shared(sizeof *family);
        pid_t orphan;
        int status;

        family->hurry = i % 2;
        CHECK_EQUAL(test_in_child(start_sleeper_and_die, family), SIGKILL);
        orphan = family->child.pid;
        CHECK(orphan > 0);
        CHECK_EQUAL(waitpid(orphan, &status, 0), orphan);
        if (!family->hurry)
            CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 0) == 0);
}

/* ---- descriptors and processes run out ---- */

static void fork_with_closed_streams(void *argument)
{
    many_child_ child;

    (void)argument;
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    child = process_start(process_exit_3, NULL);
    CHECK(child.fd == -1 || child.fd > STDERR_FILENO);
    CHECK(fcntl(STDIN_FILENO, F_GETFD) == -1);
    CHECK(fcntl(STDOUT_FILENO, F_GETFD) == -1);
    CHECK_EQUAL(process_end(&child).exit_status, 3);
}

TEST(a_pidfd_never_takes_the_place_of_a_closed_stream)
{
    CHECK_EQUAL(test_in_child(fork_with_closed_streams, NULL), 0);
}

static void fork_without_descriptors(void *argument)
{
    struct rlimit limit;
    many_child_ child;
    int free_fd = dup(STDERR_FILENO);

    (void)argument;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    close(free_fd);
    limit.rlim_cur = (rlim_t)free_fd;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    child = process_start(process_exit_3, NULL);
    CHECK_EQUAL(child.fd, -1);
    CHECK_EQUAL(process_end(&child).exit_status, 3);
}

TEST(without_a_free_descriptor_the_end_is_seen_all_the_same)
{
    CHECK_EQUAL(test_in_child(fork_without_descriptors, NULL), 0);
}

static void fork_without_processes(void *argument)
{
    struct rlimit none = {0, 0};
    test_signals before;
    many_child_ child = {7, 7};

    (void)argument;
    if (geteuid() == 0)
        CHECK(setuid(65534) == 0);
    CHECK(setrlimit(RLIMIT_NPROC, &none) == 0);
    test_signals_take(&before);
    CHECK_CODE(many_child_fork_(&child), -EAGAIN);
    CHECK_EQUAL(child.pid, 0);
    CHECK_EQUAL(child.fd, -1);
    CHECK_SIGNALS(before);
}

TEST(without_a_process_to_be_had_the_code_says_so_and_the_mask_is_back)
{
    CHECK_EQUAL(test_in_child(fork_without_processes, NULL), 0);
}

/* ---- streams ---- */

static void print_in_both(void *argument)
{
    many_child_ child;
    int code;

    CHECK(freopen(argument, "w", stdout) != NULL);
    printf("parent "); /* not flushed: the library has to */
    code = many_child_fork_(&child);
    if (code == 0) {
        printf("child ");
        many_child_exit_(0);
    }
    CHECK_CODE(code, 1);
    CHECK_EQUAL(process_end(&child).exit_status, 0);
    printf("end");
}

TEST(what_was_printed_comes_out_once)
{
    char path[4200], text[100];
    FILE *file;

    snprintf(path, sizeof path, "%s/out", test_directory());
    CHECK_EQUAL(test_in_child(print_in_both, path), 0);
    file = fopen(path, "re");
    CHECK(file != NULL);
    CHECK(fgets(text, sizeof text, file) != NULL);
    fclose(file);
    CHECK_STRING(text, "parent child end");
}

static _Atomic int holding, release;

static void *hold_stdout(void *argument)
{
    (void)argument;
    flockfile(stdout);
    atomic_store(&holding, 1);
    UNTIL(atomic_load(&release));
    funlockfile(stdout);
    return NULL;
}

TEST(a_stream_that_another_thread_holds_does_not_stop_a_fork)
{
    pthread_t thread;
    many_child_ child;

    CHECK_EQUAL(pthread_create(&thread, NULL, hold_stdout, NULL), 0);
    UNTIL(atomic_load(&holding));
    child = process_start(process_exit_3, NULL);
    CHECK_EQUAL(process_end(&child).exit_status, 3);
    child = process_start(touch_memory, NULL); /* leaves by many_child_exit_() */
    CHECK_EQUAL(process_end(&child).exit_status, 0);
    atomic_store(&release, 1);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
}
