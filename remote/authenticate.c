/* SPDX-License-Identifier: MIT */
/*
 * authenticate.c - a random challenge each way, answered by its HMAC-SHA-256
 *
 *   listener                                     client
 *   "#CHALLENGE#{sha256}" 40 random bytes  --->
 *                                          <---  "{sha256}" HMAC of what followed #CHALLENGE#
 *   "#WELCOME#" or "#FAILURE#"             --->
 *                                          <---  "#CHALLENGE#{sha256}" 40 random bytes
 *   "{sha256}" HMAC                        --->
 *                                          <---  "#WELCOME#" or "#FAILURE#"
 *
 * Each is a frame of a pipe: its length in four bytes, big end first, and the bytes.
 *
 * Promise    Nobody is let in who has not signed 40 fresh random bytes with the key; an answer
 *            that was heard before is worth nothing. Times tell nothing of how much of an answer
 *            was right.
 * Strangers  A frame is at most 256 bytes, and read to its end and no further, so that what
 *            follows the handshake is left for the pipe. Other digests than SHA-256 are refused,
 *            also MD5, which Python before 3.12 asks for. Our own challenge that comes back is not
 *            answered.
 * Limits     As with Python, a client answers whoever it connected to: who sits between two
 *            parties that know the key, or gets clients to connect to him, can pass challenges on.
 *            He learns no key, but reads and changes what is sent, which is not encrypted anyway.
 * Source     Python multiprocessing.connection, deliver_challenge and answer_challenge (3.12).
 */
#include "authenticate.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#define AUTHENTICATE_RANDOM_BYTES 40
#define AUTHENTICATE_LEAST_BYTES  20 /* a challenge with less chance in it is not answered */
#define AUTHENTICATE_DIGEST_BYTES 32

static const char authenticate_digest[] = "{sha256}";
static const char authenticate_challenge[] = "#CHALLENGE#";
static const char authenticate_welcome[] = "#WELCOME#";
static const char authenticate_failure[] = "#FAILURE#";

#define DIGEST_NAME_BYTES (sizeof authenticate_digest - 1)
#define CHALLENGE_BYTES   (sizeof authenticate_challenge - 1)
#define WELCOME_BYTES     (sizeof authenticate_welcome - 1)
#define FAILURE_BYTES     (sizeof authenticate_failure - 1)

/* A listener goes through them from CHALLENGE, a client from LISTEN; each ends where the other
 * began. */
enum {
    STEP_CHALLENGE, /* our challenge is being sent */
    STEP_HEAR,      /* its answer is awaited */
    STEP_JUDGE,     /* our verdict is being sent */
    STEP_LISTEN,    /* the peer's challenge is awaited */
    STEP_ANSWER,    /* our answer is being sent */
    STEP_VERDICT,   /* the peer's verdict is awaited */
    STEP_COUNT
};

static int authenticate_is(const unsigned char *bytes, size_t n, const char *word,
                           size_t word_bytes)
{
    return n == word_bytes && memcmp(bytes, word, n) == 0;
}

/* Put a frame of two parts into out. */
static void authenticate_say(many_authenticate_ *a, const void *one, size_t one_bytes,
                             const void *two, size_t two_bytes)
{
    const size_t n = one_bytes + two_bytes;

    a->out[0] = a->out[1] = 0;
    a->out[2] = (unsigned char)(n >> 8);
    a->out[3] = (unsigned char)n;
    memcpy(a->out + 4, one, one_bytes);
    if (two_bytes > 0)
        memcpy(a->out + 4 + one_bytes, two, two_bytes);
    a->out_bytes = 4 + n;
    a->out_sent = 0;
}

/* 0 or -ENOMEM. */
static int authenticate_sign(const many_authenticate_ *a, const unsigned char *message, size_t n,
                             unsigned char digest[EVP_MAX_MD_SIZE])
{
    unsigned bytes = 0;

    if (HMAC(EVP_sha256(), a->key, (int)a->key_bytes, message, n, digest, &bytes) == NULL ||
        bytes != AUTHENTICATE_DIGEST_BYTES)
        return -ENOMEM;
    return 0;
}

static int authenticate_random(unsigned char *bytes, size_t n)
{
    size_t have = 0;

    while (have < n) {
        ssize_t got = getrandom(bytes + have, n - have, 0);

        if (got > 0)
            have += (size_t)got;
        else if (got < 0 && errno != EINTR)
            return -ENOMEM;
    }
    return 0;
}

static void authenticate_enter(many_authenticate_ *a, int step)
{
    a->step = step;
    if (step == STEP_CHALLENGE)
        authenticate_say(a, authenticate_challenge, CHALLENGE_BYTES, a->challenge,
                         a->challenge_bytes);
}

int many_authenticate_begin_(many_authenticate_ *a, int socket, int listener, const void *key,
                             size_t key_bytes)
{
    memset(a, 0, sizeof *a);
    a->socket = socket;
    a->listener = listener;
    a->key = key;
    a->key_bytes = key_bytes;
    memcpy(a->challenge, authenticate_digest, DIGEST_NAME_BYTES);
    a->challenge_bytes = DIGEST_NAME_BYTES + AUTHENTICATE_RANDOM_BYTES;
    if (authenticate_random(a->challenge + DIGEST_NAME_BYTES, AUTHENTICATE_RANDOM_BYTES) < 0)
        return -ENOMEM;
    authenticate_enter(a, listener ? STEP_CHALLENGE : STEP_LISTEN);
    return 0;
}

void many_authenticate_end_(many_authenticate_ *a)
{
    OPENSSL_cleanse(a, sizeof *a);
}

/* ---- what comes ---- */

/* The answer to our challenge. */
static int authenticate_judge(many_authenticate_ *a, const unsigned char *bytes, size_t n)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    int right;

    if (authenticate_sign(a, a->challenge, a->challenge_bytes, digest) < 0)
        return -ENOMEM;
    right = n == DIGEST_NAME_BYTES + AUTHENTICATE_DIGEST_BYTES &&
            memcmp(bytes, authenticate_digest, DIGEST_NAME_BYTES) == 0 &&
            CRYPTO_memcmp(bytes + DIGEST_NAME_BYTES, digest, AUTHENTICATE_DIGEST_BYTES) == 0;
    OPENSSL_cleanse(digest, sizeof digest);
    if (right)
        authenticate_say(a, authenticate_welcome, WELCOME_BYTES, NULL, 0);
    else
        authenticate_say(a, authenticate_failure, FAILURE_BYTES, NULL, 0);
    a->refuse = right ? 0 : -EACCES;
    return 0;
}

/* The peer's challenge. */
static int authenticate_answer(many_authenticate_ *a, const unsigned char *bytes, size_t n)
{
    unsigned char digest[EVP_MAX_MD_SIZE];

    if (n < CHALLENGE_BYTES || memcmp(bytes, authenticate_challenge, CHALLENGE_BYTES) != 0)
        return -EPROTO;
    bytes += CHALLENGE_BYTES;
    n -= CHALLENGE_BYTES;
    if (n < DIGEST_NAME_BYTES + AUTHENTICATE_LEAST_BYTES ||
        memcmp(bytes, authenticate_digest, DIGEST_NAME_BYTES) != 0)
        return -EPROTO;
    if (n == a->challenge_bytes && memcmp(bytes, a->challenge, n) == 0)
        return -EACCES; /* a mirror: it wants us to sign for it */
    if (authenticate_sign(a, bytes, n, digest) < 0)
        return -ENOMEM;
    authenticate_say(a, authenticate_digest, DIGEST_NAME_BYTES, digest, AUTHENTICATE_DIGEST_BYTES);
    OPENSSL_cleanse(digest, sizeof digest);
    return 0;
}

/* A whole frame is in. */
static int authenticate_take(many_authenticate_ *a, const unsigned char *bytes, size_t n)
{
    switch (a->step) {
    case STEP_HEAR:
        return authenticate_judge(a, bytes, n);
    case STEP_LISTEN:
        return authenticate_answer(a, bytes, n);
    default:
        if (authenticate_is(bytes, n, authenticate_welcome, WELCOME_BYTES))
            return 0;
        return authenticate_is(bytes, n, authenticate_failure, FAILURE_BYTES) ? -EACCES : -EPROTO;
    }
}

/* ---- the socket ---- */

/* 0: all is sent. */
static int authenticate_send(many_authenticate_ *a)
{
    while (a->out_sent < a->out_bytes) {
        ssize_t sent = send(a->socket, a->out + a->out_sent, a->out_bytes - a->out_sent,
                            MSG_DONTWAIT | MSG_NOSIGNAL);

        if (sent >= 0)
            a->out_sent += (size_t)sent;
        else if (errno == EAGAIN)
            return POLLOUT;
        else if (errno != EINTR)
            return a->refuse != 0 ? a->refuse : -EPIPE;
    }
    return a->refuse;
}

/* 0: a frame is in, and was good. */
static int authenticate_receive(many_authenticate_ *a)
{
    for (;;) {
        size_t want = 4;
        ssize_t got;

        if (a->in_bytes >= 4) {
            const size_t n = (size_t)a->in[2] << 8 | a->in[3];

            if (a->in[0] != 0 || a->in[1] != 0 || n > MANY_AUTHENTICATE_FRAME_)
                return -EPROTO;
            want = 4 + n;
            if (a->in_bytes == want) {
                a->in_bytes = 0;
                return authenticate_take(a, a->in + 4, n);
            }
        }
        got = recv(a->socket, a->in + a->in_bytes, want - a->in_bytes, MSG_DONTWAIT);
        if (got > 0)
            a->in_bytes += (size_t)got;
        else if (got == 0)
            return -EPIPE;
        else if (errno == EAGAIN)
            return POLLIN;
        else if (errno != EINTR)
            return -EPIPE;
    }
}

int many_authenticate_go_(many_authenticate_ *a)
{
    const int last = a->listener ? STEP_VERDICT : STEP_JUDGE;

    for (;;) {
        const int sends =
            a->step == STEP_CHALLENGE || a->step == STEP_JUDGE || a->step == STEP_ANSWER;
        const int code = sends ? authenticate_send(a) : authenticate_receive(a);

        if (code != 0)
            return code;
        if (a->step == last)
            return MANY_AUTHENTICATED_;
        authenticate_enter(a, (a->step + 1) % STEP_COUNT);
    }
}
