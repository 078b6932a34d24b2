/* SPDX-License-Identifier: MIT */
/* cause.c - why an item failed, in words; see cause.h */
#include "task/cause.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

_Static_assert(sizeof(many_cause) == 8 + 8 * 4 + 8 + 8 + 4 * 8 + 384 + 0, "no padding");

/* Shorter times tell nobody anything. */
#define CAUSE_LEAST_S 0.001

/* musl has no sigabbrev_np(). */
static const struct {
    int number;
    const char *name;
} cause_signals[] = {
    {SIGHUP, "SIGHUP"},   {SIGINT, "SIGINT"},       {SIGQUIT, "SIGQUIT"}, {SIGILL, "SIGILL"},
    {SIGTRAP, "SIGTRAP"}, {SIGABRT, "SIGABRT"},     {SIGBUS, "SIGBUS"},   {SIGFPE, "SIGFPE"},
    {SIGKILL, "SIGKILL"}, {SIGUSR1, "SIGUSR1"},     {SIGSEGV, "SIGSEGV"}, {SIGUSR2, "SIGUSR2"},
    {SIGPIPE, "SIGPIPE"}, {SIGALRM, "SIGALRM"},     {SIGTERM, "SIGTERM"}, {SIGXCPU, "SIGXCPU"},
    {SIGXFSZ, "SIGXFSZ"}, {SIGVTALRM, "SIGVTALRM"}, {SIGPROF, "SIGPROF"}, {SIGSYS, "SIGSYS"},
    {SIGPOLL, "SIGPOLL"},
};

const char *many_signal_name_(int signal, char *text, size_t bytes)
{
    for (size_t i = 0; i < sizeof cause_signals / sizeof cause_signals[0]; i++)
        if (cause_signals[i].number == signal)
            return cause_signals[i].name;
    snprintf(text, bytes, "signal %d", signal);
    return text;
}

/* Text that grows in place; what does not fit is cut. */
typedef struct cause_text {
    char *at;
    size_t left;
} cause_text;

__attribute__((format(printf, 2, 3))) static void cause_say(cause_text *text, const char *format,
                                                            ...)
{
    va_list arguments;
    int written;

    va_start(arguments, format);
    written = vsnprintf(text->at, text->left, format, arguments);
    va_end(arguments);
    if (written < 0)
        return;
    if ((size_t)written >= text->left)
        written = (int)text->left - 1;
    text->at += written;
    text->left -= (size_t)written;
}

static void cause_say_death(cause_text *text, const many_cause *cause)
{
    char name[32];

    if (cause->signal == SIGKILL)
        cause_say(text, "died of SIGKILL: sent from outside, or by the kernel for lack of memory");
    else if (cause->signal != 0)
        cause_say(text, "died of %s", many_signal_name_(cause->signal, name, sizeof name));
    else if (cause->exit_status >= 0)
        cause_say(text, "died: its worker exited with %d", (int)cause->exit_status);
    else
        cause_say(text, "died: how is unknown, its worker's status was taken by the caller");
}

static void cause_say_where(cause_text *text, const many_cause *cause)
{
    if (cause->worker < 0)
        return;
    cause_say(text, " (worker %d", (int)cause->worker);
    if (cause->pid != 0)
        cause_say(text, ", pid %d", (int)cause->pid);
    if (cause->tries > 1)
        cause_say(text, ", try %d", (int)cause->tries);
    if (cause->seconds >= CAUSE_LEAST_S)
        cause_say(text, ", after %.3g s", cause->seconds);
    if (cause->peak_bytes > 0)
        cause_say(text, ", at most %.1f MiB", (double)cause->peak_bytes / 1048576.0);
    cause_say(text, ")");
}

void many_cause_write_(many_cause *cause, const char *words, double limit_s)
{
    cause_text text = {cause->text, sizeof cause->text};

    cause_say(&text, "item %llu ", (unsigned long long)cause->item);
    if (cause->over_limit) {
        cause_say(&text, "was over its limit of %g s%s", limit_s,
                  cause->pid != 0 ? " and was killed"
                                  : " (a thread cannot be killed; it was told)");
    } else if (cause->pid != 0) {
        cause_say_death(&text, cause);
    } else if (cause->cancelled) {
        cause_say(&text, "was cancelled");
    } else {
        cause_say(&text, "failed with %d", (int)cause->code);
        if (words[0] != '\0')
            cause_say(&text, ": %s", words);
        else if (strcmp(many_error_name(cause->code), "unknown") != 0 && cause->code < 0)
            cause_say(&text, " (%s)", many_error_name(cause->code));
    }
    cause_say_where(&text, cause);
}

void many_cause_end_(many_cause *cause, const char *name, const char *unknown)
{
    cause_text text = {cause->text, sizeof cause->text};
    char number[32];

    cause_say(&text, "'%s' (pid %d) ", name, (int)cause->pid);
    if (cause->signal != 0)
        cause_say(&text, "died of %s", many_signal_name_(cause->signal, number, sizeof number));
    else if (cause->exit_status >= 0)
        cause_say(&text, "exited with %d", (int)cause->exit_status);
    else
        cause_say(&text, "ended; %s", unknown);
}
