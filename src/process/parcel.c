/* SPDX-License-Identifier: MIT */
/*
 * parcel.c - what a new process has to know, as bytes; see process/parcel.h
 *
 * In the file: the head, the path of the function's file with its NUL, the kinds of the cargo, and, at
 * the next multiple of PARCEL_ALIGN, the argument. The head says how long each is, and how long all is.
 */
#include "process/parcel.h"

#include <errno.h>
#include <string.h>

#include "os/memory.h"
#include "os/sealed.h"

/* The last characters name the layout: raised with each change of it. */
#define PARCEL_MAGIC UINT64_C(0x31302d6c63727061) /* "aprcl-01" */

/* More than malloc promises. */
#define PARCEL_ALIGN 64

/* No table of descriptors is longer. */
#define PARCEL_CARGO_MOST ((uint64_t)1 << 20)

typedef struct parcel_head {
    uint64_t magic;
    uint64_t bytes; /* of the whole file */
    uint64_t mask, parent_identity, distance, argument_bytes, cargo_count, inherits_count;
    int32_t kind, socket, line, method, daemon, answers, parent, program, produces, consumes;
    uint32_t id_bytes, path_bytes;
    uint8_t id[MANY_MODULE_ID_BYTES_];
    char name[MANY_PROCESS_NAME_BYTES_], parent_name[MANY_PROCESS_NAME_BYTES_];
} parcel_head;

_Static_assert(sizeof(parcel_head) == 8 * 8 + 12 * 4 + 32 + 2 * 64, "no padding: it crosses");

static uint64_t parcel_argument_at(const parcel_head *head)
{
    uint64_t end = sizeof *head + head->path_bytes + head->cargo_count;

    return (end + PARCEL_ALIGN - 1) & ~(uint64_t)(PARCEL_ALIGN - 1);
}

int many_parcel_write_(const many_parcel_ *parcel)
{
    static const char zeros[PARCEL_ALIGN];
    const many_reference_ *reference = &parcel->reference;
    parcel_head head = {.magic = PARCEL_MAGIC,
                        .mask = parcel->mask,
                        .parent_identity = parcel->parent_identity,
                        .distance = reference->distance,
                        .argument_bytes = parcel->argument_bytes,
                        .cargo_count = parcel->cargo_count,
                        .inherits_count = parcel->inherits_count,
                        .kind = parcel->kind,
                        .socket = parcel->socket,
                        .line = parcel->line,
                        .method = parcel->method,
                        .daemon = parcel->daemon,
                        .answers = parcel->answers,
                        .parent = parcel->parent,
                        .program = reference->program,
                        .produces = parcel->produces,
                        .consumes = parcel->consumes,
                        .id_bytes = reference->id_bytes,
                        .path_bytes = (uint32_t)strlen(reference->path) + 1};
    uint64_t at = parcel_argument_at(&head);

    memcpy(head.id, reference->id, sizeof head.id);
    memcpy(head.name, parcel->name, sizeof head.name);
    memcpy(head.parent_name, parcel->parent_name, sizeof head.parent_name);
    head.bytes = at + parcel->argument_bytes;
    return many_sealed_open_(
        (const many_piece_[]){{&head, sizeof head},
                              {reference->path, head.path_bytes},
                              {parcel->cargo, parcel->cargo_count},
                              {zeros, at - sizeof head - head.path_bytes - parcel->cargo_count},
                              {parcel->argument, parcel->argument_bytes}},
        5);
}

/* ---- reading ---- */

static int parcel_is_name(const char *name)
{
    return memchr(name, '\0', MANY_PROCESS_NAME_BYTES_) != NULL;
}

static int parcel_is_place(int32_t place, uint64_t count)
{
    return place == -1 || (place >= 0 && (uint64_t)place < count);
}

/* Nothing in the head is believed before this. */
static int parcel_is_sound(const parcel_head *head, const char *memory, size_t bytes)
{
    const uint8_t *cargo = (const uint8_t *)memory + sizeof *head + head->path_bytes;
    uint64_t at;

    if (head->magic != PARCEL_MAGIC || head->bytes != bytes || head->path_bytes == 0 ||
        head->path_bytes > PATH_MAX || head->cargo_count > PARCEL_CARGO_MOST ||
        head->inherits_count > head->cargo_count || head->id_bytes > MANY_MODULE_ID_BYTES_)
        return 0;
    at = parcel_argument_at(head);
    if (at > bytes || head->argument_bytes != bytes - at)
        return 0;
    for (uint64_t i = 0; i < head->cargo_count; i++)
        if (cargo[i] < MANY_CARGO_SEGMENT_ || cargo[i] > MANY_CARGO_STAGE_)
            return 0;
    return memory[sizeof *head + head->path_bytes - 1] == '\0' &&
           (head->kind == MANY_PARCEL_PROCESS_ || head->kind == MANY_PARCEL_SERVER_) &&
           head->method >= MANY_FORK && head->method <= MANY_SPAWN && head->socket >= -1 &&
           head->line >= -1 && head->parent > 0 && parcel_is_name(head->name) &&
           parcel_is_name(head->parent_name) &&
           parcel_is_place(head->produces, head->cargo_count) &&
           parcel_is_place(head->consumes, head->cargo_count);
}

static void parcel_fill(many_parcel_ *parcel, const parcel_head *head)
{
    many_reference_ *reference = &parcel->reference;
    char *memory = parcel->memory;

    parcel->kind = head->kind;
    parcel->socket = head->socket;
    parcel->line = head->line;
    parcel->method = head->method;
    parcel->daemon = head->daemon;
    parcel->answers = head->answers;
    parcel->parent = head->parent;
    parcel->parent_identity = head->parent_identity;
    parcel->mask = head->mask;
    parcel->argument_bytes = head->argument_bytes;
    parcel->cargo_count = head->cargo_count;
    parcel->inherits_count = head->inherits_count;
    parcel->produces = head->produces;
    parcel->consumes = head->consumes;
    memcpy(parcel->name, head->name, sizeof parcel->name);
    memcpy(parcel->parent_name, head->parent_name, sizeof parcel->parent_name);
    reference->distance = head->distance;
    reference->program = head->program;
    reference->id_bytes = head->id_bytes;
    memcpy(reference->id, head->id, sizeof reference->id);
    memcpy(reference->path, memory + sizeof *head, head->path_bytes);
    parcel->cargo = (const uint8_t *)memory + sizeof *head + head->path_bytes;
    parcel->argument =
        head->argument_bytes == 0 ? NULL : (void *)(memory + parcel_argument_at(head));
}

int many_parcel_read_(many_parcel_ *parcel, int fd)
{
    int code = many_sealed_map_(fd, &parcel->memory, &parcel->memory_bytes);
    parcel_head head;

    if (code < 0)
        return code;
    if (parcel->memory_bytes >= sizeof head) {
        memcpy(&head, parcel->memory, sizeof head);
        if (parcel_is_sound(&head, parcel->memory, parcel->memory_bytes)) {
            parcel_fill(parcel, &head);
            return 0;
        }
    }
    many_parcel_drop_(parcel);
    return -EBADMSG;
}

void many_parcel_drop_(many_parcel_ *parcel)
{
    many_memory_unmap_(parcel->memory, parcel->memory_bytes);
    parcel->memory = NULL;
}
