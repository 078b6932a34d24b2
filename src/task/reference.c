/* SPDX-License-Identifier: MIT */
/* reference.c - a function named so that another process can call it; see task/reference.h */
#include "task/reference.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <many/base.h>

/* So many bytes of an identity are enough for people. */
#define REFERENCE_SHOWN 8

typedef struct reference_text {
    char digits[2 * REFERENCE_SHOWN + 1];
} reference_text;

static reference_text reference_id(const uint8_t *id, uint32_t bytes)
{
    static const char digits[] = "0123456789abcdef";
    reference_text text = {""};

    for (uint32_t i = 0; i < bytes && i < REFERENCE_SHOWN; i++) {
        text.digits[2 * i] = digits[id[i] >> 4];
        text.digits[2 * i + 1] = digits[id[i] & 15];
    }
    return text;
}

int many_reference_make_(many_any_fn_ *fn, many_reference_ *reference, const char *function)
{
    const uintptr_t address = (uintptr_t)fn;
    many_module_ module;

    reference->path[0] = '\0';
    if (many_module_at_(address, &module) < 0)
        return many_fail(
            -ENOENT,
            "%s: fn lies in no file that another process could open: name a function of "
            "the program or of a library",
            function);
    if (many_module_path_(&module, reference->path, sizeof reference->path) < 0)
        return many_fail(-ENOENT,
                         "%s: fn lies in '%s', which is not to be found by that path any more",
                         function, module.path);
    reference->distance = address - module.base;
    reference->program = module.program;
    reference->id_bytes = module.id_bytes;
    memcpy(reference->id, module.id, sizeof reference->id);
    return 0;
}

static int reference_is(const many_reference_ *reference, const many_module_ *module)
{
    return reference->distance - module->code < module->code_bytes &&
           module->program == reference->program && module->id_bytes == reference->id_bytes &&
           memcmp(module->id, reference->id, sizeof reference->id) == 0;
}

/* The base of the module that reference names. 1: found. */
static int reference_search(const many_reference_ *reference, const many_module_ *modules,
                            size_t count, uintptr_t *base)
{
    for (size_t i = 0; i < count; i++) {
        if (!reference_is(reference, &modules[i]))
            continue;
        *base = modules[i].base;
        return 1;
    }
    return 0;
}

/* Ask the loader. 1: found; 0; -ENOMEM. */
static int reference_ask(const many_reference_ *reference, uintptr_t *base)
{
    size_t count;
    many_module_ *modules = many_module_list_(&count);
    int found;

    if (modules == NULL)
        return -ENOMEM;
    found = reference_search(reference, modules, count, base);
    free(modules);
    return found;
}

int many_reference_find_(const many_reference_ *reference, const many_module_ *modules,
                         size_t modules_count, many_any_fn_ **fn, const char *function)
{
    uintptr_t base = 0;
    char why[128];
    int found = reference_search(reference, modules, modules_count, &base);

    *fn = NULL;
    if (found == 0)
        found = reference_ask(reference, &base);
    if (found == 0 && !reference->program) {
        if (many_module_open_(reference->path, why, sizeof why) < 0)
            return many_fail(-ENOENT, "%s: fn lies in %s, which the new process cannot open: %s",
                             function, reference->path, why);
        found = reference_ask(reference, &base);
    }
    if (found < 0)
        return many_fail(found, "%s: no memory for a list of libraries", function);
    if (found == 0)
        return many_fail(-ENOENT,
                         "%s: fn lies in %s, build id %s..., which the new process has in another "
                         "version",
                         function, reference->path,
                         reference_id(reference->id, reference->id_bytes).digits);
    *fn = (many_any_fn_ *)(base + (uintptr_t)reference->distance);
    return 0;
}
