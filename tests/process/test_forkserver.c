/* SPDX-License-Identifier: MIT */
/* test_forkserver.c - processes by the fork server, in a program without many_main(): the server is a fork
 * of it */
#define STARTED MANY_FORKSERVER
#include "server_cases.h"
#include "started_cases.h"
#include "started_around.h"

#include <sys/socket.h>

#include "os/descriptors.h"
#include "process/server.h"
#include "process/server_loop.h"

TEST(a_spawn_is_refused_with_words_where_main_does_not_begin_with_many_main)
{
    many_process *process = (many_process *)&process;
    int number = 0;

    CHECK_CODE(many_process_start(&process, started_return, &number,
                                  .argument_bytes = sizeof number, .method = MANY_SPAWN),
               -EINVAL);
    CHECK(process == NULL);
    CHECK_CONTAINS(many_error_message(), "many_main(argc, argv)");
}

/* ---- the server's life ---- */

static void forkserver_start_twice(void *argument)
{
    test_census before, after;
    pid_t pid;

    (void)argument;
    before = test_census_take();
    CHECK_CODE(many_forkserver_start(), 0);
    after = test_census_take();
    CHECK_EQUAL(after.children, before.children + 1);
    CHECK_CODE(many_forkserver_start(), 0);
    CHECK_CENSUS(after);
    pid = server_pid();
    CHECK_EQUAL(server_pid(), pid);
    CHECK_CENSUS(after);
}

TEST(there_is_one_server_and_it_stays)
{
    CHECK_EQUAL(test_in_child(forkserver_start_twice, NULL), 0);
}

static void forkserver_tell(void *argument)
{
    *(pid_t *)argument = server_pid();
}

static void forkserver_tell_and_die(void *argument)
{
    *(pid_t *)argument = server_pid();
    raise(SIGKILL);
}

TEST(it_ends_with_its_owner_however_that_ends)
{
    pid_t *pid = test_shared(sizeof *pid);

    CHECK_EQUAL(test_in_child(forkserver_tell, pid), 0);
    UNTIL(!case_runs(*pid));
    CHECK_EQUAL(test_in_child(forkserver_tell_and_die, pid), SIGKILL);
    UNTIL(!case_runs(*pid));
}

TEST(a_forked_child_has_a_server_of_its_own)
{
    pid_t *pid = test_shared(sizeof *pid);
    pid_t mine = server_pid();

    CHECK_EQUAL(test_in_child(forkserver_tell, pid), 0);
    CHECK(*pid != mine);
    CHECK_EQUAL(server_pid(), mine);
}

TEST(signals_to_all_of_a_terminal_do_not_reach_it)
{
    pid_t pid = server_pid();

    CHECK(kill(pid, SIGINT) == 0);
    CHECK(kill(pid, SIGTERM) == 0);
    CHECK(kill(pid, SIGHUP) == 0);
    CHECK_EQUAL(server_pid(), pid);
}

TEST(a_server_that_was_killed_is_replaced_by_the_next_start)
{
    test_census before;
    pid_t pid = server_pid(), next;

    before = test_census_take();
    for (int i = 0; i < 5; i++) {
        server_kill(pid);
        CHECK_EQUAL(started_run(started_return, i), i);
        next = server_pid();
        CHECK(next != pid);
        pid = next;
    }
    CHECK_CENSUS(before);
}

/* Nobody is told to go on by us. */
TEST(a_server_that_was_stopped_is_told_to_go_on_by_who_waits_for_it)
{
    many_inherit inherits = started_open();
    many_process *process;
    pid_t server = server_pid();

    CHECK(kill(server, SIGSTOP) == 0);
    CHECK_EQUAL(started_run(started_return, 3), 3);
    CHECK(kill(server, SIGSTOP) == 0);
    CHECK_CODE(many_process_start(&process, case_return, case_number(4), .daemon = 1), 0);
    CHECK_EQUAL(started_join(process), 4);
    CHECK_CODE(many_process_start(&process, started_stay, NULL, .method = MANY_FORKSERVER,
                                  .inherits = &inherits, .inherits_count = 1),
               0);
    UNTIL(atomic_load(&started_here->ready) != 0);
    CHECK(kill(server, SIGSTOP) == 0);
    CHECK_CODE(many_process_kill(process), 0);
    CHECK_EQUAL(started_join(process), -SIGKILL);
    CHECK_EQUAL(server_pid(), server);
    started_close();
}

/* It is to be cancelled from the first; the start is no place for that. */
static void *forkserver_start_cancelled(void *argument)
{
    many_process **process = argument;
    int number = 5;

    pthread_cancel(pthread_self());
    many_process_start(process, started_return, &number, .argument_bytes = sizeof number,
                       .method = MANY_FORKSERVER);
    pthread_testcancel();
    return NULL;
}

TEST(a_thread_that_is_cancelled_in_a_start_leaves_it_whole)
{
    test_census before;

    (void)server_pid();
    before = case_census();
    for (int i = 0; i < 3; i++) {
        many_process *process = NULL;
        pthread_t thread;
        void *result;

        CHECK(pthread_create(&thread, NULL, forkserver_start_cancelled, &process) == 0);
        CHECK(pthread_join(thread, &result) == 0);
        CHECK(result == PTHREAD_CANCELED);
        CHECK(process != NULL);
        CHECK_EQUAL(started_join(process), 5);
    }
    CHECK_CENSUS(before);
}

TEST(what_a_killed_server_made_lives_on_and_its_end_is_seen)
{
    many_inherit inherits = started_open();
    many_process *process;
    pid_t server = server_pid();
    int code;

    CHECK_CODE(many_process_start(&process, started_stay, NULL, .method = MANY_FORKSERVER,
                                  .inherits = &inherits, .inherits_count = 1),
               0);
    UNTIL(atomic_load(&started_here->ready) != 0);
    server_kill(server);
    CHECK_EQUAL(many_process_is_alive(process), 1);
    CHECK_CODE(many_process_join(process, 0), -ETIMEDOUT);
    atomic_store(&started_here->gate, 1);
    CHECK_CODE(many_process_join(process, MANY_FOREVER), 0);
    CHECK_CODE(many_process_exit_code(process, &code), 0);
    CHECK(code == 0 || code == MANY_EXIT_UNKNOWN);
    many_process_close(process);
    started_close();
}

TEST(a_daemon_dies_with_the_server_that_made_it)
{
    many_inherit inherits = started_open();
    many_process *process;
    pid_t server = server_pid();

    CHECK_CODE(many_process_start(&process, started_stay, NULL, .method = MANY_FORKSERVER,
                                  .daemon = 1, .inherits = &inherits, .inherits_count = 1),
               0);
    server_kill(server);
    CHECK_CODE(many_process_join(process, MANY_FOREVER), 0);
    many_process_close(process);
    started_close();
}

/* ---- an owner whose main thread has ended ---- */

static int forkserver_ask_for_parent(void *argument)
{
    many_process *parent = many_process_parent();

    (void)argument;
    return many_process_pid(parent) == started_told()->test && many_process_is_alive(parent) == 1 &&
                   many_process_join(parent, 0) == -ETIMEDOUT
               ? 10
               : 11;
}

static void *forkserver_outlive_main(void *argument)
{
    many_inherit inherits = started_open();
    many_process *process;

    (void)argument;
    UNTIL(!case_runs(getpid()));
    CHECK_CODE(many_process_start(&process, forkserver_ask_for_parent, NULL,
                                  .method = MANY_FORKSERVER, .inherits = &inherits,
                                  .inherits_count = 1),
               0);
    _exit(started_join(process));
}

static void forkserver_end_main(void *argument)
{
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, forkserver_outlive_main, argument) == 0);
    pthread_exit(NULL);
}

TEST(a_parent_whose_main_thread_has_ended_is_alive)
{
    if (TEST_TSAN || TEST_ASAN)
        test_skip("the sanitizers end with the main thread");
    CHECK_EQUAL(test_in_child(forkserver_end_main, NULL), TEST_EXIT(10));
}

/* ---- daemons by fork, which it keeps ---- */

static int forkserver_stay_told(void *argument)
{
    return started_wait_for_gate(argument);
}

static void forkserver_fork_daemon_and_die(void *argument)
{
    started_facts *facts = argument;
    many_process *process;

    CHECK_CODE(many_process_start(&process, forkserver_stay_told, facts, .daemon = 1), 0);
    UNTIL(atomic_load(&facts->ready) != 0);
    raise(SIGKILL);
}

TEST(a_forked_daemon_is_kept_by_it)
{
    started_facts *facts = test_shared(sizeof *facts);

    facts->test = getpid();
    CHECK_EQUAL(test_in_child(forkserver_fork_daemon_and_die, facts), SIGKILL);
    UNTIL(!case_runs(facts->pid));
}

static void forkserver_replace_server_and_die(void *argument)
{
    started_facts *facts = argument;
    many_process *process;
    pid_t server = server_pid();

    CHECK_CODE(many_process_start(&process, forkserver_stay_told, facts, .daemon = 1), 0);
    UNTIL(atomic_load(&facts->ready) != 0);
    server_kill(server);
    CHECK(case_runs(facts->pid));
    CHECK_CODE(many_forkserver_start(), 0);
    server_pid(); /* it has read what came before */
    raise(SIGKILL);
}

TEST(a_forked_daemon_outlives_a_killed_server_and_is_kept_by_the_next_one)
{
    started_facts *facts = test_shared(sizeof *facts);

    facts->test = getpid();
    CHECK_EQUAL(test_in_child(forkserver_replace_server_and_die, facts), SIGKILL);
    UNTIL(!case_runs(facts->pid));
}

/* ---- what comes by the line ---- */

typedef struct forkserver_letter {
    many_request_ request;
    size_t bytes;
    int descriptors; /* how many */
} forkserver_letter;

/* Requests that make no sense, with pipes for descriptors. */
static void forkserver_send_nonsense(int line)
{
    static const many_request_ start = {MANY_SERVER_MAGIC_, MANY_REQUEST_START_, 0, 0};
    static const many_request_ keep = {MANY_SERVER_MAGIC_, MANY_REQUEST_KEEP_, 0, -1};
    static const many_request_ verb = {MANY_SERVER_MAGIC_, 99, 0, 0};
    static const many_request_ magic = {1, MANY_REQUEST_START_, 0, 0};
    const forkserver_letter letters[] = {{start, sizeof start, 0}, {start, sizeof start, 1},
                                         {start, sizeof start, 2}, {start, 5, 3},
                                         {keep, sizeof keep, 0},   {keep, sizeof keep, 2},
                                         {verb, sizeof verb, 3},   {magic, sizeof magic, 3},
                                         {start, sizeof start, 3}};
    int ends[2];

    CHECK_CODE(many_descriptors_pair_(ends), 0);
    for (size_t i = 0; i < sizeof letters / sizeof letters[0]; i++) {
        int descriptors[3] = {ends[1], ends[1], ends[1]};

        CHECK_CODE(many_descriptors_send_(line, &letters[i].request, letters[i].bytes, descriptors,
                                          (size_t)letters[i].descriptors, 1),
                   0);
    }
    many_descriptors_close_(ends, 2);
}

TEST(requests_that_make_no_sense_do_it_no_harm)
{
    pid_t pid = server_pid();
    char large[5000] = "";

    forkserver_send_nonsense(many_server_line_());
    CHECK_CODE(many_descriptors_send_(many_server_line_(), large, sizeof large, NULL, 0, 1), 0);
    CHECK_EQUAL(started_run(started_return, 9), 9);
    CHECK_EQUAL(server_pid(), pid);
}

/* A program may close what is not its own, and get the number for a file of its. */
static void forkserver_close_all(void *argument)
{
    int ends[2];
    char byte;

    (void)argument;
    CHECK_CODE(many_forkserver_start(), 0);
    for (int fd = 3; fd < 64; fd++)
        close(fd);
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends) == 0);
    for (int fd = ends[1] + 1; fd < 64; fd++)
        CHECK(dup2(ends[1], fd) == fd);
    CHECK_EQUAL(started_run(started_return, 12), 12);
    for (int fd = ends[1] + 1; fd < 64; fd++)
        CHECK(fcntl(fd, F_GETFD) >= 0);
    CHECK_EQUAL(recv(ends[0], &byte, 1, 0), -1);
    CHECK_EQUAL(errno, EAGAIN);
    CHECK_EQUAL(send(ends[1], "x", 1, 0), 1);
    CHECK_EQUAL(recv(ends[0], &byte, 1, 0), 1);
}

TEST(a_program_that_closes_the_line_gets_another_server_and_its_own_files_are_left_alone)
{
    CHECK_EQUAL(test_in_child(forkserver_close_all, NULL), 0);
}

static void forkserver_use_up_descriptors(void *argument)
{
    many_process *process;
    int number = 0, code = 0, before;

    (void)argument;
    CHECK_CODE(many_forkserver_start(), 0);
    before = test_census_take().descriptors;
    while (dup(0) >= 0)
        continue;
    CHECK_EQUAL(errno, EMFILE);
    code = many_process_start(&process, started_return, &number, .argument_bytes = sizeof number,
                              .method = STARTED);
    CHECK_CODE(code, -EMFILE);
    for (int fd = before + 8; fd < 4096; fd++)
        close(fd);
    CHECK_EQUAL(started_run(started_return, 12), 12);
}

TEST(without_descriptors_a_start_says_so)
{
    CHECK_EQUAL(test_in_child(forkserver_use_up_descriptors, NULL), 0);
}
