/* SPDX-License-Identifier: MIT */
/*
 * frame.h - what is written to a terminal: the lines of a stage, as escape sequences
 *
 * Who holds the stage's lock calls these.
 */
#ifndef MANY_BAR_FRAME_H
#define MANY_BAR_FRAME_H

#include "bar/stage.h"

/* A redraw, besides the lines as they are in the rows. */
typedef struct many_frame_ {
    int fd;
    int64_t patience_ns; /* for room; MANY_NEVER_NS: as long as it takes */
    many_span_ last;     /* a bar's last line, which goes above the others; text NULL: none */
    many_span_ text[MANY_STAGE_SPANS]; /* printed above all; ends with a line end, or is none */
    _Atomic uint32_t *taken;
    void (*flush)(void);
} many_frame_;

/* Put this row's line, which has changed, on the screen, and all that has changed otherwise. 1: done;
 * 0: there was no room; negative errno: fd cannot be written to. */
int many_frame_show_(many_stage_ *stage, const many_frame_ *frame, int row);

/* Put everything on the screen. As above. */
int many_frame_redraw_(many_stage_ *stage, const many_frame_ *frame);

/* Take everything off the screen. As above. */
int many_frame_wipe_(many_stage_ *stage, const many_frame_ *frame);

/* Send what is left of a frame that was begun. 1: nothing is left; 0: there was no room. */
int many_frame_rest_(many_stage_shared_ *shared, int fd, int64_t patience_ns);

#endif
