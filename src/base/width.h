/* SPDX-License-Identifier: MIT */
/*
 * width.h - how many columns of a terminal a character takes
 */
#ifndef MANY_BASE_WIDTH_H
#define MANY_BASE_WIDTH_H

#include <stdint.h>

/*
 * 0 for marks that sit on the character before them, 2 for what East Asia and emoji draw wide, 1
 * for all else. Where terminals differ it is the larger: a line that is too short does no harm, one
 * that is too long wraps. point is no control character.
 */
int many_width_(uint32_t point);

#endif
