/* SPDX-License-Identifier: MIT */
/*
 * test_python.c - listener and client with a Python on the other side: the protocol of 3.12 by hand
 * with any python3, and with its own multiprocessing.connection where it is new enough
 */
#include "remote/strangers.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

/* The script lies beside this source. */
static const char *script(void)
{
    static char path[4096];
    const char *slash = strrchr(__FILE__, '/');

    snprintf(path, sizeof path, "%.*s/python_client.py", (int)(slash - __FILE__), __FILE__);
    return path;
}

/* Which one; python_or_skip() has found it. */
static const char *program = "python3";

/* Start it; its stdout goes to *out. */
static pid_t python(const char *side, const char *address, const char *own, int *out)
{
    char *arguments[] = {(char *)(uintptr_t)program,
                         (char *)(uintptr_t)script(),
                         (char *)(uintptr_t)side,
                         (char *)(uintptr_t)address,
                         KEY,
                         (char *)(uintptr_t)own,
                         NULL};
    posix_spawn_file_actions_t actions;
    int pair[2];
    pid_t pid;

    CHECK(pipe2(pair, O_CLOEXEC) == 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pair[1], STDOUT_FILENO);
    CHECK(posix_spawnp(&pid, program, &actions, NULL, arguments, environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    close(pair[1]);
    *out = pair[0];
    return pid;
}

static void python_end(pid_t pid)
{
    int status;

    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK_EQUAL(status, 0);
}

/* Is there a python3, and for own one whose multiprocessing has this protocol? */
static void python_or_skip(const char *own)
{
    static const char *const names[] = {"python3", "python3.14", "python3.13", "python3.12"};
    const char *asks = own != NULL ? "import sys; sys.exit(sys.version_info < (3, 12))" : "";

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *arguments[] = {(char *)(uintptr_t)names[i], "-c", (char *)(uintptr_t)asks, NULL};
        int status = -1;
        pid_t pid;

        program = names[i];
        if (posix_spawnp(&pid, program, NULL, NULL, arguments, environ) == 0 &&
            waitpid(pid, &status, 0) == pid && status == 0)
            return;
    }
    test_skip(own != NULL ? "there is no python3 of 3.12 or later" : "there is no python3");
}

static void python_calls(const char *address, const char *own)
{
    many_listener *listener = NULL;
    many_pipe *pipe = NULL;
    int messages = 0, out;
    ssize_t n;
    pid_t pid;

    python_or_skip(own);
    CHECK_CODE(many_listener_open(&listener, .address = address, .key = KEY, .key_bytes = KEY_BYTES,
                                  .handshake_s = 60),
               0);
    pid = python("client", many_listener_address(listener), own, &out);
    CHECK_CODE(many_listener_accept(listener, &pipe, 60), 0);
    for (;; messages++) {
        void *message;

        n = many_pipe_receive_new(pipe, &message, 60);
        if (n < 0)
            break;
        CHECK_CODE(many_pipe_send(pipe, message, (size_t)n, 60), 0);
        free(message);
    }
    CHECK_CODE(n, -EPIPE);
    CHECK_EQUAL(messages, 3);
    python_end(pid);
    close(out);
    many_pipe_close(pipe);
    many_listener_close(listener);
}

static void python_listens(const char *own)
{
    char address[128] = "";
    unsigned char message[70000], back[70000];
    many_pipe *pipe = NULL;
    size_t have = 0;
    int out;
    pid_t pid;

    python_or_skip(own);
    pid = python("listener", "tcp:127.0.0.1:0", own, &out);
    while (strchr(address, '\n') == NULL) {
        ssize_t got = read(out, address + have, sizeof address - 1 - have);

        CHECK(got > 0);
        have += (size_t)got;
    }
    *strchr(address, '\n') = '\0';
    CHECK_CODE(many_client_open(&pipe, .address = address, .key = KEY, .key_bytes = KEY_BYTES,
                                .timeout_s = 60),
               0);
    for (size_t i = 0; i < sizeof message; i++)
        message[i] = (unsigned char)(i * 7);
    for (size_t n = 0; n <= sizeof message; n += sizeof message / 4) {
        CHECK_CODE(many_pipe_send(pipe, message, n, 60), 0);
        CHECK_CODE(many_pipe_receive(pipe, back, sizeof back, 60), (long)n);
        CHECK_BYTES(back, message, n);
    }
    many_pipe_close(pipe);
    python_end(pid);
    close(out);
}

TEST(python_by_hand_connects_to_our_listener)
{
    python_calls("tcp:127.0.0.1:0", NULL);
}

TEST(python_by_hand_connects_to_our_abstract_name)
{
    char address[64];

    snprintf(address, sizeof address, "unix:@many-python-%d", (int)getpid());
    python_calls(address, NULL);
}

TEST(python_by_hand_listens_to_our_client)
{
    python_listens(NULL);
}

TEST(python_s_own_client_connects_to_our_listener)
{
    python_calls("tcp:127.0.0.1:0", "own");
}

TEST(python_s_own_listener_accepts_our_client)
{
    python_listens("own");
}
