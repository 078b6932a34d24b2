/* SPDX-License-Identifier: MIT */
/* failure.c - why a task of a pool failed, in words; see failure.h */
#include "pool/failure.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "task/cause.h"

#define FAILURE_MIB 1048576.0

/* The task's name is the user's: it may hold anything. */
static void failure_add_who(many_text_ *text, const many_cause *cause,
                            const many_failure_words_ *words)
{
    char name[64];

    many_text_add_(text, words->task ? "task " : "item ");
    if (!words->task || words->name == NULL || words->name[0] == '\0') {
        many_text_add_count_(text, cause->item);
        return;
    }
    many_text_tame_(name, sizeof name, words->name);
    many_text_add_(text, "'");
    many_text_add_(text, name);
    many_text_add_(text, "' (");
    many_text_add_count_(text, cause->item);
    many_text_add_(text, ")");
}

void many_failure_write_(many_cause *cause, const many_failure_words_ *words)
{
    const many_cause facts = *cause;
    many_cause plain = *cause;
    const char *rest;
    many_text_ text;

    if (words->limit_bytes != 0)
        plain.over_limit = 1;
    many_cause_write_(&plain, words->said != NULL ? words->said : "", words->limit_s);
    /* "item 17 was over ...": what comes after the number is right for a task, too. */
    rest = plain.text + strcspn(plain.text, " ") + 1;
    rest += strcspn(rest, " ");
    many_text_begin_(&text, cause->text, sizeof cause->text);
    failure_add_who(&text, &facts, words);
    if (words->limit_bytes != 0) {
        char limit[48];
        const char *after = strstr(rest, " and was killed");

        snprintf(limit, sizeof limit, " was over its limit of %.1f MiB",
                 (double)words->limit_bytes / FAILURE_MIB);
        many_text_add_(&text, limit);
        rest = after != NULL ? after : "";
    }
    many_text_add_(&text, rest);
}
