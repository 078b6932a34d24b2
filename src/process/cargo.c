/* SPDX-License-Identifier: MIT */
/* cargo.c - handles become descriptors, and descriptors handles; see process/cargo.h */
#include "process/cargo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bar/stages.h"
#include "base/fault.h"
#include "channel/pipe.h"
#include "channel/queue.h"
#include "os/descriptors.h"

/* No kind has more descriptors. */
#define CARGO_WIDEST (MANY_QUEUE_FDS_ > MANY_PIPE_FDS_ ? MANY_QUEUE_FDS_ : MANY_PIPE_FDS_)

static size_t cargo_width(uint8_t kind)
{
    if (kind == MANY_CARGO_SEGMENT_ || kind == MANY_CARGO_STAGE_)
        return 1;
    return kind == MANY_CARGO_QUEUE_ ? MANY_QUEUE_FDS_ : MANY_PIPE_FDS_;
}

/* ---- the starter's side ---- */

static int cargo_add(many_cargo_ *cargo, const many_inherit *one)
{
    int *descriptors = cargo->descriptors + cargo->descriptors_count;
    uint8_t kind;
    int code = 0;

    if (one->queue != NULL) {
        kind = MANY_CARGO_QUEUE_;
        many_queue_share_(one->queue, descriptors);
    } else if (one->pipe != NULL) {
        kind = MANY_CARGO_PIPE_;
        code = many_pipe_share_(one->pipe, descriptors);
    } else {
        kind = MANY_CARGO_SEGMENT_;
        code = many_segment_descriptor(one->segment);
        descriptors[0] = code;
    }
    if (code < 0)
        return code;
    cargo->kinds[cargo->count++] = kind;
    cargo->descriptors_count += cargo_width(kind);
    return 0;
}

/* The place of a queue, which is added if it is not there. */
static int cargo_place(many_cargo_ *cargo, const many_process_options *options, many_queue *queue,
                       int32_t *place)
{
    *place = -1;
    if (queue == NULL)
        return 0;
    for (size_t i = 0; i < options->inherits_count && *place < 0; i++)
        if (options->inherits[i].queue == queue)
            *place = (int32_t)i;
    if (*place >= 0)
        return 0;
    *place = (int32_t)cargo->count;
    return cargo_add(cargo, &(many_inherit){.queue = queue});
}

/* Without it the new process goes without the bars. */
static void cargo_add_stage(many_cargo_ *cargo)
{
    if (cargo->stage < 0)
        return;
    cargo->kinds[cargo->count++] = MANY_CARGO_STAGE_;
    cargo->descriptors[cargo->descriptors_count++] = cargo->stage;
}

int many_cargo_pack_(many_cargo_ *cargo, const many_process_options *options)
{
    const size_t most = options->inherits_count + 3;
    int code = 0;

    *cargo = (many_cargo_){.produces = -1, .consumes = -1, .stage = -1};
    if (many_stage_share_(&cargo->stage) < 0)
        cargo->stage = -1;
    if (options->inherits_count == 0 && options->produces == NULL && options->consumes == NULL &&
        cargo->stage < 0)
        return 0;
    if (most <= INT32_MAX) {
        cargo->kinds = calloc(most, 1);
        cargo->descriptors = calloc(most, CARGO_WIDEST * sizeof *cargo->descriptors);
    }
    if (cargo->kinds == NULL || cargo->descriptors == NULL) {
        many_cargo_drop_(cargo);
        return many_fail(-ENOMEM, "many_process_start: no memory for %zu descriptors", most);
    }
    for (size_t i = 0; i < options->inherits_count && code == 0; i++)
        code = cargo_add(cargo, &options->inherits[i]);
    if (code == 0)
        code = cargo_place(cargo, options, options->produces, &cargo->produces);
    if (code == 0 && options->consumes == options->produces)
        cargo->consumes = cargo->produces;
    else if (code == 0)
        code = cargo_place(cargo, options, options->consumes, &cargo->consumes);
    if (code < 0)
        many_cargo_drop_(cargo);
    else
        cargo_add_stage(cargo);
    return code;
}

int many_cargo_send_(const many_cargo_ *cargo, int socket)
{
    size_t sent = 0;
    int code = 0;

    while (sent < cargo->descriptors_count && code == 0) {
        uint32_t count = MANY_DESCRIPTORS_MOST_;

        if (cargo->descriptors_count - sent < count)
            count = (uint32_t)(cargo->descriptors_count - sent);
        /* Nobody reads yet: what does not fit now never will. */
        code = many_descriptors_send_(socket, &count, sizeof count, cargo->descriptors + sent,
                                      count, 0);
        sent += count;
    }
    return code == -EAGAIN || code == -ETOOMANYREFS ? -EMFILE : code;
}

void many_cargo_drop_(many_cargo_ *cargo)
{
    free(cargo->kinds);
    free(cargo->descriptors);
    many_descriptors_close_(&cargo->stage, 1);
    *cargo = (many_cargo_){.produces = -1, .consumes = -1, .stage = -1};
}

/* ---- the new process's side ---- */

/* All descriptors, in order. 0 or a negative errno. */
static int cargo_receive(int socket, int *descriptors, size_t count)
{
    size_t got = 0;

    while (got < count) {
        uint32_t announced;
        size_t some = count - got;
        int lost;
        ssize_t bytes = many_descriptors_receive_(socket, &announced, sizeof announced,
                                                  descriptors + got, &some, &lost, 1);

        if (bytes < 0)
            return (int)bytes;
        if (lost)
            return -EMFILE;
        if (bytes != sizeof announced || some == 0 || some != announced)
            return -EBADMSG;
        got += some;
    }
    return 0;
}

static int cargo_adopt(uint8_t kind, int *descriptors, many_inherit *handle)
{
    int code = 0;

    if (kind == MANY_CARGO_QUEUE_)
        code = many_queue_adopt_(&handle->queue, descriptors);
    else if (kind == MANY_CARGO_PIPE_)
        code = many_pipe_adopt_fds_(&handle->pipe, descriptors);
    else if (kind == MANY_CARGO_STAGE_)
        (void)(many_stage_adopt_(descriptors[0]) == 0 && (descriptors[0] = -1));
    else
        code = many_segment_attach(&handle->segment, descriptors[0]);
    if (code == 0 && kind != MANY_CARGO_SEGMENT_ && kind != MANY_CARGO_STAGE_)
        for (size_t i = 0; i < cargo_width(kind); i++)
            descriptors[i] = -1;
    return code;
}

static int cargo_make(const many_parcel_ *parcel, int socket, int *descriptors, size_t count,
                      many_inherit *handles)
{
    int code = cargo_receive(socket, descriptors, count);
    size_t at = 0;

    if (code < 0)
        return many_fail(code, "many_process_start: the new process got no descriptors (%s)",
                         many_error_name(code));
    MANY_FAULT_POINT("cargo.received");
    for (size_t i = 0; i < parcel->cargo_count && code == 0; i++) {
        code = cargo_adopt(parcel->cargo[i], descriptors + at, &handles[i]);
        at += cargo_width(parcel->cargo[i]);
        if (code < 0)
            many_fail(code, "many_process_start: the new process cannot take over %s %zu (%s)",
                      i < parcel->inherits_count ? ".inherits" : "queue", i, many_error_name(code));
    }
    return code;
}

int many_cargo_unpack_(const many_parcel_ *parcel, int socket, many_inherit **handles)
{
    size_t count = 0;
    int *descriptors;
    int code;

    *handles = NULL;
    if (parcel->cargo_count == 0)
        return 0;
    for (size_t i = 0; i < parcel->cargo_count; i++)
        count += cargo_width(parcel->cargo[i]);
    descriptors = malloc(count * sizeof *descriptors);
    *handles = calloc(parcel->cargo_count, sizeof **handles);
    if (descriptors == NULL || *handles == NULL) {
        free(descriptors);
        return many_fail(-ENOMEM, "many_process_start: no memory for %zu descriptors", count);
    }
    for (size_t i = 0; i < count; i++)
        descriptors[i] = -1;
    code = cargo_make(parcel, socket, descriptors, count, *handles);
    many_descriptors_close_(descriptors, count);
    free(descriptors);
    return code;
}
