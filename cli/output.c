/* SPDX-License-Identifier: MIT */
/* output.c - what the jobs print, an item at a time; see output.h */
#include "output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "source.h"
#include "words.h"

/* The longest message: an item, a command, and what became of it. */
#define OUTPUT_LINE_BYTES (2 * WORDS_ITEM_BYTES + 256)

void output_begin(struct output *output, const many_cancel *cancel, int keep_order)
{
    memset(output, 0, sizeof *output);
    stream_begin(&output->out, STDOUT_FILENO, cancel);
    stream_begin(&output->err, STDERR_FILENO, cancel);
    output->keep_order = keep_order;
    spill_begin(&output->spill);
}

void output_end(struct output *output)
{
    spill_end(&output->spill);
}

int output_is_merged(const struct output *output)
{
    return stream_is_same(&output->out, &output->err);
}

static int output_break(struct output *output, int code, const char *where)
{
    if (code < 0 && output->broken == 0) {
        output->broken = code;
        output->where = where;
    }
    return code;
}

/* On a terminal the bar would be drawn over a last line that is not whole. */
static int output_end_line(struct output *output, const struct stream *stream, char last)
{
    if (!stream->terminal)
        return 0;
    output->line_is_open = last != '\n';
    if (!output->line_is_open || output->bar == NULL)
        return 0;
    output->line_is_open = 0;
    return stream_write(stream, "\n", 1);
}

static void output_copy(struct output *output, const struct stream *stream, int from, off_t offset,
                        off_t bytes)
{
    const char *where = stream == &output->out ? "stdout" : "stderr";
    char last = '\n';
    int code;

    if (bytes == 0 || output->broken != 0)
        return;
    if (stream->terminal)
        many_bar_hide(output->bar);
    code = stream_copy(stream, from, offset, bytes, &last);
    if (code == 0)
        code = output_end_line(output, stream, last);
    output_break(output, code, where);
}

static void output_text(struct output *output, const char *text, size_t bytes)
{
    int code = 0;

    if (bytes == 0)
        return;
    if (output->err.terminal) {
        many_bar_hide(output->bar);
        if (output->line_is_open)
            code = stream_write(&output->err, "\n", 1);
        output->line_is_open = 0;
    }
    if (code == 0)
        code = stream_write(&output->err, text, bytes);
    output_break(output, code, "stderr");
}

void output_say(struct output *output, const char *format, ...)
{
    char text[OUTPUT_LINE_BYTES];
    va_list arguments;
    int bytes;

    va_start(arguments, format);
    bytes = vsnprintf(text, sizeof text - 1, format, arguments);
    va_end(arguments);
    if (bytes < 0)
        return;
    if ((size_t)bytes > sizeof text - 2)
        bytes = (int)sizeof text - 2;
    text[bytes] = '\n';
    output_text(output, text, (size_t)bytes + 1);
}

/* How an item failed, in words. */
static const char *output_reason(const struct output *output, const many_outcome *outcome,
                                 const job_result *job, char *text, size_t bytes)
{
    char name[32];

    if (outcome->code == -ETIMEDOUT)
        snprintf(text, bytes, "took longer than %g s and was ended", output->limit_s);
    else if (job->state == JOB_ENDED && job->lost != 0)
        snprintf(text, bytes, "printed more than could be kept: %s", strerror(-job->lost));
    else if (job->state == JOB_ENDED && job->wants_terminal)
        snprintf(text, bytes, "wanted the terminal, which jobs do not have, and was ended");
    else if (job->state == JOB_ENDED && WIFEXITED(job->status))
        snprintf(text, bytes, "exited with %d", WEXITSTATUS(job->status));
    else if (job->state == JOB_ENDED)
        snprintf(text, bytes, "killed by %s%s",
                 words_signal(WTERMSIG(job->status), name, sizeof name),
                 WCOREDUMP(job->status) ? " (core dumped)" : "");
    else if (job->error == -E2BIG)
        snprintf(text, bytes, "too long for a command line");
    else if (job->error == -EILSEQ)
        snprintf(text, bytes, "has a NUL byte in it, which no argument can have (-0 splits there)");
    else
        snprintf(text, bytes, "cannot be run: %s", strerror(-job->error));
    return text;
}

/* "many: item 12 'foo': exited with 3 (try 2)\n"; how many bytes. */
static size_t output_message(const struct output *output, const many_outcome *outcome, char *line)
{
    const struct item *item = outcome->item;
    char name[WORDS_ITEM_BYTES], reason[128], tries[32] = "";
    int bytes;

    if (outcome->cause != NULL && outcome->cause->tries > 1)
        snprintf(tries, sizeof tries, " (try %d)", (int)outcome->cause->tries);
    bytes =
        snprintf(line, OUTPUT_LINE_BYTES, "many: item %llu '%s': %s%s\n",
                 (unsigned long long)outcome->index + 1, words_item(name, item->text, item->bytes),
                 output_reason(output, outcome, outcome->result, reason, sizeof reason), tries);
    return bytes > 0 ? (size_t)bytes : 0;
}

/* An item's turn has come: print what it left, and what is told of it. */
static void output_print(struct output *output, const job_result *job, const char *line,
                         size_t bytes)
{
    output_copy(output, &output->out, job->out, 0, job->out_bytes);
    output_copy(output, &output->err, job->err, 0, job->err_bytes);
    if (output->broken == 0)
        output_text(output, line, bytes);
}

/* Its turn has not come: keep it. */
static void output_keep(struct output *output, uint64_t index, const job_result *job,
                        const char *line, size_t bytes)
{
    struct spill *spill = &output->spill;
    int code = spill_put_file(spill, job->out, job->out_bytes);

    if (code == 0)
        code = spill_put_file(spill, job->err, job->err_bytes);
    if (code == 0)
        code = spill_put_text(spill, line, bytes);
    if (code == 0)
        code = spill_put_record(spill, index, job->out_bytes, job->err_bytes + (off_t)bytes);
    output_break(output, code, "a file below TMPDIR, where output waits for its turn");
}

/* Print what waits for the turn that has come now. */
static void output_release(struct output *output)
{
    spill_record record;
    int code;

    while (output->broken == 0) {
        code = spill_find(&output->spill, output->next, &record);
        if (code == 0)
            return;
        if (code < 0) {
            output_break(output, code, "what waits for its turn");
            return;
        }
        output_copy(output, &output->out, output->spill.data, record.offset, record.out_bytes);
        output_copy(output, &output->err, output->spill.data, record.offset + record.out_bytes,
                    record.err_bytes);
        spill_drop(&output->spill, output->next, &record);
        output->next++;
    }
}

/* Count it. 1 if it has ended by itself or by its limit, and so is to be shown. */
static int output_count(struct output *output, const many_outcome *outcome, const job_result *job)
{
    const int succeeded = job->state == JOB_ENDED && job->status == 0 && !job->cut_off;

    output->started += job->state == JOB_ENDED;
    /* One that was through before it heard of the end is as good as any. */
    if (outcome->code == 0 || (outcome->code == -ECANCELED && succeeded)) {
        output->done++;
        return 1;
    }
    if (outcome->code == -ECANCELED)
        return 0;
    if (job->state == JOB_NOT_STARTED && output->command != NULL && output->started == 0 &&
        !job_error_is_of_item(job->error)) {
        /* Not one of ten thousand items could be run: once is enough to say so. */
        output->hopeless = job->error;
        return 0;
    }
    output->failed++;
    return 1;
}

int output_take(const many_outcome *outcome, void *context)
{
    struct output *output = context;
    job_result job = *(const job_result *)outcome->result;
    char line[OUTPUT_LINE_BYTES];
    size_t bytes = 0;
    const uint64_t failed = output->failed;
    const int shown = output->hopeless == 0 && output_count(output, outcome, &job);

    if (output->failed > failed)
        bytes = output_message(output, outcome, line);
    if (!shown)
        job.out_bytes = job.err_bytes = 0;
    if (!output->keep_order || outcome->index == output->next)
        output_print(output, &job, line, bytes);
    else if (output->broken == 0)
        output_keep(output, outcome->index, &job, line, bytes);
    if (outcome->index == output->next) {
        output->next++;
        output_release(output);
    }
    job_result_close(&job);
    item_end(outcome->item);
    if (output->hopeless != 0)
        return output->hopeless;
    return output->broken;
}
