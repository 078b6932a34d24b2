/* SPDX-License-Identifier: MIT */
/*
 * module.c - the program and the libraries in this process; see os/module.h
 *
 * Sources: dl_iterate_phdr(3), elf(5), getauxval(3).
 */
#include "os/module.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>

/*
 * Weak, so that a static program links without the warning that it would need shared libraries to run;
 * there the pointers are NULL. In all others the C library has them.
 */
extern __typeof__(dlopen) dlopen __attribute__((weak));
extern __typeof__(dlerror) dlerror __attribute__((weak));

#define MODULE_PROGRAM "/proc/self/exe"
#define MODULE_NOTE_ID 3 /* NT_GNU_BUILD_ID */

/* ---- which module it is ---- */

/* Does the loader keep these bytes of the file in memory? */
static int module_has(const struct dl_phdr_info *info, uint64_t begin, uint64_t bytes)
{
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];

        if (part->p_type == PT_LOAD && (part->p_flags & PF_R) != 0 && begin >= part->p_vaddr &&
            bytes <= part->p_filesz && begin - part->p_vaddr <= part->p_filesz - bytes)
            return 1;
    }
    return 0;
}

/* The build id among the notes of one part. 1: found. */
static int module_read_notes(const unsigned char *notes, size_t bytes, many_module_ *module)
{
    ElfW(Nhdr) note;

    while (bytes >= sizeof note) {
        size_t name, value;

        memcpy(&note, notes, sizeof note);
        notes += sizeof note;
        bytes -= sizeof note;
        name = ((size_t)note.n_namesz + 3) & ~(size_t)3;
        value = ((size_t)note.n_descsz + 3) & ~(size_t)3;
        if (name > bytes || value > bytes - name)
            return 0;
        if (note.n_type == MODULE_NOTE_ID && note.n_namesz == 4 && memcmp(notes, "GNU", 4) == 0 &&
            note.n_descsz > 0) {
            module->id_bytes = note.n_descsz < MANY_MODULE_ID_BYTES_ ? (uint32_t)note.n_descsz
                                                                     : MANY_MODULE_ID_BYTES_;
            memcpy(module->id, notes + name, module->id_bytes);
            return 1;
        }
        notes += name + value;
        bytes -= name + value;
    }
    return 0;
}

/* FNV-1a. */
static uint64_t module_hash(const void *memory, size_t bytes)
{
    const unsigned char *at = memory;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* Without a build id: what can be told apart by looking at headers and file. */
static void module_make_id(const struct dl_phdr_info *info, many_module_ *module)
{
    struct {
        uint64_t headers;
        int64_t size, seconds, nanoseconds;
    } marks = {0, 0, 0, 0};
    struct stat status;

    _Static_assert(sizeof marks == MANY_MODULE_ID_BYTES_, "it fills the id");
    marks.headers = module_hash(info->dlpi_phdr, info->dlpi_phnum * sizeof(ElfW(Phdr)));
    if (stat(module->program ? MODULE_PROGRAM : module->path, &status) == 0) {
        marks.size = status.st_size;
        marks.seconds = status.st_mtim.tv_sec;
        marks.nanoseconds = status.st_mtim.tv_nsec;
    }
    memcpy(module->id, &marks, sizeof marks);
    module->id_bytes = sizeof marks;
}

/* From the first of its code to the last. */
static void module_span(const struct dl_phdr_info *info, many_module_ *module)
{
    uintptr_t begin = UINTPTR_MAX, end = 0;

    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];

        if (part->p_type != PT_LOAD || (part->p_flags & PF_X) == 0)
            continue;
        if (part->p_vaddr < begin)
            begin = part->p_vaddr;
        if (part->p_vaddr + part->p_memsz > end)
            end = part->p_vaddr + part->p_memsz;
    }
    if (begin < end) {
        module->code = begin;
        module->code_bytes = end - begin;
    }
}

static void module_fill(const struct dl_phdr_info *info, many_module_ *module)
{
    memset(module, 0, sizeof *module);
    module_span(info, module);
    module->base = info->dlpi_addr;
    module->path = info->dlpi_name != NULL ? info->dlpi_name : "";
    module->program = (uintptr_t)info->dlpi_phdr == getauxval(AT_PHDR);
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];

        if (part->p_type != PT_NOTE || !module_has(info, part->p_vaddr, part->p_filesz))
            continue;
        if (module_read_notes((const unsigned char *)info->dlpi_addr + part->p_vaddr,
                              part->p_filesz, module))
            return;
    }
    module_make_id(info, module);
}

/* ---- looking ---- */

typedef struct module_search {
    uintptr_t address;
    many_module_ *module;
} module_search;

static int module_look(struct dl_phdr_info *info, size_t bytes, void *argument)
{
    const module_search *search = argument;

    (void)bytes;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];

        if (part->p_type != PT_LOAD || (part->p_flags & PF_X) == 0 ||
            search->address - (info->dlpi_addr + part->p_vaddr) >= part->p_memsz)
            continue;
        module_fill(info, search->module);
        return 1;
    }
    return 0;
}

/*
 * The program, without the loader: that has a lock, which in a forked child may be held for ever by a thread
 * that is not there. 1: found; 0: its headers do not say where they lie.
 */
static int module_program(struct dl_phdr_info *info)
{
    const ElfW(Phdr) *headers = (const ElfW(Phdr) *)(uintptr_t)getauxval(AT_PHDR);

    memset(info, 0, sizeof *info);
    info->dlpi_name = "";
    info->dlpi_phdr = headers;
    info->dlpi_phnum = (ElfW(Half))getauxval(AT_PHNUM);
    for (int i = 0; headers != NULL && i < info->dlpi_phnum; i++) {
        if (headers[i].p_type != PT_PHDR)
            continue;
        info->dlpi_addr = (uintptr_t)headers - headers[i].p_vaddr;
        return 1;
    }
    return 0;
}

int many_module_at_(uintptr_t address, many_module_ *module)
{
    module_search search = {address, module};
    struct dl_phdr_info program;

    if (module_program(&program) && module_look(&program, sizeof program, &search) == 1)
        return 0;
    return dl_iterate_phdr(module_look, &search) == 1 ? 0 : -ENOENT;
}

typedef struct module_list {
    many_module_ *modules;
    size_t count, room;
    int failed;
} module_list;

static int module_add(struct dl_phdr_info *info, size_t bytes, void *argument)
{
    module_list *list = argument;

    (void)bytes;
    if (list->count == list->room) {
        size_t room = list->room == 0 ? 16 : list->room * 2;
        many_module_ *more = realloc(list->modules, room * sizeof *more);

        if (more == NULL) {
            list->failed = 1;
            return 1;
        }
        list->modules = more;
        list->room = room;
    }
    module_fill(info, &list->modules[list->count++]);
    return 0;
}

many_module_ *many_module_list_(size_t *count)
{
    module_list list = {NULL, 0, 0, 0};

    dl_iterate_phdr(module_add, &list);
    if (list.failed) {
        free(list.modules);
        list.modules = NULL;
        list.count = 0;
    }
    *count = list.count;
    return list.modules;
}

many_module_ *many_module_program_(size_t *count)
{
    struct dl_phdr_info program;
    many_module_ *module;

    if (!module_program(&program))
        return many_module_list_(count);
    module = malloc(sizeof *module);
    *count = module != NULL;
    if (module != NULL)
        module_fill(&program, module);
    return module;
}

int many_module_path_(const many_module_ *module, char *path, size_t room)
{
    char full[PATH_MAX];

    if (module->program)
        memcpy(full, MODULE_PROGRAM, sizeof MODULE_PROGRAM);
    else if (strchr(module->path, '/') == NULL || realpath(module->path, full) == NULL)
        return -ENOENT; /* the kernel's own, which has no file; or one that was removed */
    if (strlen(full) >= room)
        return -ENOENT;
    memcpy(path, full, strlen(full) + 1);
    return 0;
}

int many_module_open_(const char *path, char *words, size_t room)
{
    const char *why;

    if (dlopen == NULL) {
        snprintf(words, room, "a static program cannot open libraries");
        return -ENOSYS;
    }
    if (dlopen(path, RTLD_LAZY | RTLD_LOCAL) != NULL)
        return 0;
    why = dlerror != NULL ? dlerror() : NULL;
    snprintf(words, room, "%s", why != NULL ? why : "it cannot be opened");
    return -ENOENT;
}
