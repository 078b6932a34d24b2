/* SPDX-License-Identifier: MIT */
/* test_parcel.c - what a new process has to know, as bytes that are not believed */
#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/sealed.h"
#include "process/parcel.h"

static const uint8_t parcel_cargo[] = {MANY_CARGO_QUEUE_, MANY_CARGO_PIPE_, MANY_CARGO_SEGMENT_};
static const char parcel_argument[] = "argument";

static many_parcel_ parcel_sample(void)
{
    many_parcel_ parcel;

    memset(&parcel, 0, sizeof parcel);
    parcel.kind = MANY_PARCEL_PROCESS_;
    parcel.socket = 7;
    parcel.line = -1;
    parcel.method = MANY_SPAWN;
    parcel.daemon = 1;
    parcel.answers = 1;
    parcel.parent = 4711;
    parcel.parent_identity = UINT64_C(0x1234567890abcdef);
    parcel.mask = UINT64_C(0xf0f0f0f0f0f0f0f0);
    snprintf(parcel.name, sizeof parcel.name, "child");
    snprintf(parcel.parent_name, sizeof parcel.parent_name, "parent");
    parcel.reference.distance = 0x1000;
    parcel.reference.program = 1;
    parcel.reference.id_bytes = 20;
    memset(parcel.reference.id, 0xab, 20);
    snprintf(parcel.reference.path, sizeof parcel.reference.path, "/some/where");
    parcel.argument = parcel_argument;
    parcel.argument_bytes = sizeof parcel_argument;
    parcel.cargo = parcel_cargo;
    parcel.cargo_count = sizeof parcel_cargo;
    parcel.inherits_count = 2;
    parcel.produces = 0;
    parcel.consumes = 2;
    return parcel;
}

TEST(what_is_written_is_read)
{
    many_parcel_ given = parcel_sample(), got;
    int fd = many_parcel_write_(&given);

    CHECK(fd > 2);
    CHECK_CODE(many_parcel_read_(&got, fd), 0);
    close(fd);
    CHECK_EQUAL(got.kind, given.kind);
    CHECK_EQUAL(got.socket, 7);
    CHECK_EQUAL(got.line, -1);
    CHECK_EQUAL(got.method, MANY_SPAWN);
    CHECK_EQUAL(got.daemon, 1);
    CHECK_EQUAL(got.answers, 1);
    CHECK_EQUAL(got.parent, 4711);
    CHECK(got.parent_identity == given.parent_identity && got.mask == given.mask);
    CHECK_STRING(got.name, "child");
    CHECK_STRING(got.parent_name, "parent");
    CHECK_STRING(got.reference.path, "/some/where");
    CHECK_EQUAL(got.reference.distance, 0x1000);
    CHECK_EQUAL(got.reference.id_bytes, 20);
    CHECK_BYTES(got.reference.id, given.reference.id, sizeof got.reference.id);
    CHECK_EQUAL(got.argument_bytes, sizeof parcel_argument);
    CHECK_BYTES(got.argument, parcel_argument, sizeof parcel_argument);
    CHECK_EQUAL((uintptr_t)got.argument % _Alignof(max_align_t), 0);
    CHECK_EQUAL(got.cargo_count, sizeof parcel_cargo);
    CHECK_BYTES(got.cargo, parcel_cargo, sizeof parcel_cargo);
    CHECK_EQUAL(got.inherits_count, 2);
    CHECK_EQUAL(got.produces, 0);
    CHECK_EQUAL(got.consumes, 2);
    many_parcel_drop_(&got);
    many_parcel_drop_(&got);
}

TEST(a_parcel_without_argument_and_cargo_has_none)
{
    many_parcel_ given = parcel_sample(), got;
    int fd;

    given.argument = NULL;
    given.argument_bytes = 0;
    given.cargo = NULL;
    given.cargo_count = given.inherits_count = 0;
    given.produces = given.consumes = -1;
    fd = many_parcel_write_(&given);
    CHECK_CODE(many_parcel_read_(&got, fd), 0);
    close(fd);
    CHECK(got.argument == NULL);
    CHECK_EQUAL(got.cargo_count, 0);
    many_parcel_drop_(&got);
}

/* The bytes of a sound parcel, in memory of malloc's. */
static unsigned char *parcel_bytes(size_t *bytes)
{
    many_parcel_ given = parcel_sample();
    int fd = many_parcel_write_(&given);
    void *memory;
    unsigned char *copy;

    CHECK_CODE(many_sealed_map_(fd, &memory, bytes), 0);
    close(fd);
    copy = malloc(*bytes);
    CHECK(copy != NULL);
    memcpy(copy, memory, *bytes);
    munmap(memory, *bytes);
    return copy;
}

/* Read such bytes: refused, or whole, and nothing beyond the end is touched (the file is what it is,
 * so what is read beyond its last page would be SIGBUS). */
static int parcel_try(const unsigned char *bytes, size_t count)
{
    const many_piece_ piece = {bytes, count};
    many_parcel_ got;
    int fd = many_sealed_open_(&piece, 1);
    int code;

    CHECK(fd > 2);
    code = many_parcel_read_(&got, fd);
    close(fd);
    if (code < 0) {
        CHECK_CODE(code, -EBADMSG);
        CHECK(got.memory == NULL);
        return code;
    }
    CHECK(got.argument_bytes <= count);
    for (size_t i = 0; i < got.argument_bytes; i++)
        (void)((const volatile char *)got.argument)[i];
    CHECK(strlen(got.reference.path) < sizeof got.reference.path);
    CHECK(strlen(got.name) < sizeof got.name);
    many_parcel_drop_(&got);
    return 0;
}

TEST(a_parcel_that_was_cut_or_has_grown_is_refused)
{
    size_t bytes;
    unsigned char *sound = parcel_bytes(&bytes);
    unsigned char *longer = calloc(1, bytes + 100);

    CHECK_CODE(parcel_try(sound, bytes), 0);
    for (size_t cut = 1; cut < bytes; cut++)
        CHECK_CODE(parcel_try(sound, cut), -EBADMSG);
    memcpy(longer, sound, bytes);
    CHECK_CODE(parcel_try(longer, bytes + 1), -EBADMSG);
    CHECK_CODE(parcel_try(longer, bytes + 100), -EBADMSG);
    free(longer);
    free(sound);
}

TEST(no_byte_that_is_wrong_leads_beyond_the_end)
{
    static const unsigned char wrong[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    size_t bytes, refused = 0;
    unsigned char *sound = parcel_bytes(&bytes);

    for (size_t i = 0; i < bytes; i++)
        for (size_t k = 0; k < sizeof wrong; k++) {
            unsigned char was = sound[i];

            sound[i] = wrong[k];
            refused += parcel_try(sound, bytes) < 0;
            sound[i] = was;
        }
    CHECK(refused > 100);
    CHECK_CODE(parcel_try(sound, bytes), 0);
    free(sound);
}

/* The kernel adds a seal against exec where vm.memfd_noexec is set. */
TEST(a_file_with_more_seals_is_as_good)
{
    const int against_exec = 0x20; /* F_SEAL_EXEC, Linux 6.3 */
    size_t bytes;
    unsigned char *sound = parcel_bytes(&bytes);
    many_parcel_ got;
    int fd = memfd_create("parcel", MFD_CLOEXEC | MFD_ALLOW_SEALING), code;

    CHECK(fd >= 0);
    CHECK_EQUAL(write(fd, sound, bytes), bytes);
    free(sound);
    if (fcntl(fd, F_ADD_SEALS, against_exec) != 0) {
        close(fd);
        test_skip("this kernel has no such seal");
    }
    CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0);
    code = many_parcel_read_(&got, fd);
    close(fd);
    CHECK_CODE(code, 0);
    many_parcel_drop_(&got);
}

TEST(a_file_that_may_still_change_is_refused)
{
    size_t bytes;
    unsigned char *sound = parcel_bytes(&bytes);
    many_parcel_ got;
    int fd = memfd_create("parcel", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    CHECK(fd >= 0);
    CHECK_EQUAL(write(fd, sound, bytes), bytes);
    CHECK_CODE(many_parcel_read_(&got, fd), -EBADMSG);
    CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
    CHECK_CODE(many_parcel_read_(&got, fd), -EBADMSG);
    CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0);
    CHECK_CODE(many_parcel_read_(&got, fd), 0);
    many_parcel_drop_(&got);
    close(fd);
    CHECK_CODE(many_parcel_read_(&got, fd), -EBADMSG);
    CHECK_CODE(many_parcel_read_(&got, -1), -EBADMSG);
    free(sound);
}
