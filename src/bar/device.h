/* SPDX-License-Identifier: MIT */
/*
 * device.h - which terminal a descriptor leads to, and how large it is
 */
#ifndef MANY_BAR_DEVICE_H
#define MANY_BAR_DEVICE_H

#include <stdint.h>

/* Two descriptors that lead to one terminal have the same, however each was opened. */
typedef struct many_device_ {
    uint64_t kind;   /* 0: none; 1: a terminal; 2: another file that is treated as one */
    uint64_t number; /* of the terminal; else of the file system */
    uint64_t inode;  /* of the file; a terminal's is 0 */
} many_device_;

typedef struct many_size_ {
    int columns; /* 0: the terminal does not say */
    int rows;
} many_size_;

/* 1; 0 if fd is no descriptor. */
int many_device_of_(int fd, many_device_ *device);

int many_device_same_(const many_device_ *one, const many_device_ *other);

/* As it is now. */
many_size_ many_device_size_(int fd);

#endif
