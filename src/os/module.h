/* SPDX-License-Identifier: MIT */
/*
 * module.h - the program and the libraries in this process: which file code lies in, and where
 *
 * Two processes have the same code at different addresses, but at the same distance from the base of
 * the same module. A module is the same when its identity is: the build id that the linker wrote into
 * it or, where there is none, its program headers, and the size and time of its file.
 */
#ifndef MANY_OS_MODULE_H
#define MANY_OS_MODULE_H

#include <stddef.h>
#include <stdint.h>

#define MANY_MODULE_ID_BYTES_ 32 /* a build id has 20, or 8 to 32 when it was asked for */

typedef struct many_module_ {
    uintptr_t base; /* what is added to an address of the file */
    uintptr_t code; /* where its code begins, counted from base */
    size_t code_bytes;
    const char *path; /* as the loader has it, alive as long as the module; may be relative */
    int program;      /* 1: it is the program itself */
    uint32_t id_bytes;
    uint8_t id[MANY_MODULE_ID_BYTES_]; /* zero behind id_bytes */
} many_module_;

/* The module whose code lies at this address. 0; -ENOENT: no file's code lies there. For code of the program
 * the loader is not asked, and so no lock taken. */
int many_module_at_(uintptr_t address, many_module_ *module);

/* All of them, in the loader's order; freed by free(). NULL: no memory. */
many_module_ *many_module_list_(size_t *count);

/* The same, of the program alone, where its headers tell where it lies: takes no lock of the loader's. */
many_module_ *many_module_program_(size_t *count);

/* The path by which other processes can open it. 0; -ENOENT: it has no file, or has no more. */
int many_module_path_(const many_module_ *module, char *path, size_t room);

/* Load a library and keep it. 0; -ENOENT with why in words; -ENOSYS: a static program cannot. */
int many_module_open_(const char *path, char *words, size_t room);

#endif
