/* SPDX-License-Identifier: MIT */
/*
 * queue_nng.c - nng's pair sockets over its ipc transport (an AF_UNIX socket)
 *
 * nng does not outlive a fork, so that each process opens its socket after it. What moves the bytes are
 * nng's own threads.
 */
#include "queue.h"

#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char peer_url[64]; /* of Linux's names without a file */
static int peer_ready[2]; /* a pipe: process 0 listens */
static nng_socket peer_pair;

static void peer_check(int code, const char *what)
{
    if (code != 0)
        bench_die("%s: %s", what, nng_strerror(code));
}

static void peer_before(size_t bytes)
{
    (void)bytes;
    snprintf(peer_url, sizeof peer_url, "abstract://bench-%ld", (long)getpid());
    if (pipe(peer_ready) != 0)
        bench_die("pipe failed");
}

static void peer_begin(int child)
{
    char byte = 0;

    peer_check(nng_pair0_open(&peer_pair), "nng_pair0_open");
    if (!child) {
        peer_check(nng_listen(peer_pair, peer_url, NULL, 0), "nng_listen");
        if (write(peer_ready[1], &byte, 1) != 1)
            bench_die("write failed");
        return;
    }
    if (read(peer_ready[0], &byte, 1) != 1)
        bench_die("read failed");
    peer_check(nng_dial(peer_pair, peer_url, NULL, 0), "nng_dial");
}

/* One socket serves both directions. */
static void peer_put(int direction, const void *message, size_t bytes)
{
    nng_msg *sent = NULL;

    (void)direction;
    peer_check(nng_msg_alloc(&sent, bytes), "nng_msg_alloc");
    memcpy(nng_msg_body(sent), message, bytes);
    peer_check(nng_sendmsg(peer_pair, sent, 0), "nng_sendmsg"); /* which then owns it */
}

static void peer_get(int direction, void *message, size_t bytes)
{
    nng_msg *got = NULL;

    (void)direction;
    peer_check(nng_recvmsg(peer_pair, &got, 0), "nng_recvmsg");
    if (nng_msg_len(got) != bytes)
        bench_die("a message of %zu bytes came, not of %zu", nng_msg_len(got), bytes);
    memcpy(message, nng_msg_body(got), bytes);
    nng_msg_free(got);
}

int main(int argc, char **argv)
{
    static const bench_passage nng = {.name = "nng-ipc",
                                      .open = peer_before,
                                      .begin = peer_begin,
                                      .send = peer_put,
                                      .receive = peer_get,
                                      .threads = 1};

    return bench_queue_main(argc, argv, &nng, 1);
}
