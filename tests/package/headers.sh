#!/usr/bin/env bash
# headers.sh - each public header stands alone in strict C11; the openers accept what they should,
# and the compiler reports what they should not
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/_user.sh"

compilers=("$CC")
command -v clang >/dev/null && compilers+=(clang)

# accepts COMPILER / refuses COMPILER: a program that holds the statement on stdin.
compile() {
    {
        cat <<'BEFORE'
#include <many.h>
static int fn(const void *item, void *result, void *context)
{
    return item == result && item == context;
}
int main(void)
{
    long in[4] = {0}, out[4];
    many_bar *bar = NULL;

    (void)in, (void)out, (void)bar, (void)fn;
BEFORE
        cat
        echo ';return 0; }'
    } >"$work/statement.c"
    # shellcheck disable=SC2086 # a list of options
    "$1" -std=c11 $warnings -Wconversion -Wshadow -I"$SOURCE/include" -fsyntax-only \
        "$work/statement.c" 2>"$work/said"
}
accepts() {
    compile "$1" || {
        cat "$work/statement.c" "$work/said"
        exit 1
    }
}
refuses() {
    if compile "$1"; then
        echo "$1 accepts:"
        cat "$work/statement.c"
        exit 1
    fi
}

for compiler in "${compilers[@]}"; do
    for header in many.h $(cd "$SOURCE/include" && echo many/*.h); do
        echo "#include <$header>
typedef int unit;" >"$work/header.c"
        # shellcheck disable=SC2086
        "$compiler" -std=c11 $warnings -Wconversion -Wshadow -Wstrict-prototypes \
            -I"$SOURCE/include" -fsyntax-only "$work/header.c"
    done
    accepts "$compiler" <<<'many_process_map(fn, in, out, 4)'
    accepts "$compiler" <<<'many_process_map(fn, in, out, 4, .workers = 3, .desc = "files")'
    accepts "$compiler" <<<'many_process_map(fn, bar == NULL ? in : out, out, 4)'
    accepts "$compiler" <<<'many_thread_map(fn, in, out, 4, .codes = (int[4]){0})'
    accepts "$compiler" <<<'many_process_each(fn, in, 4)'
    accepts "$compiler" <<<'many_thread_map(fn, (long *)NULL, out, 4)'
    accepts "$compiler" <<<'many_bar_open(&bar)'
    accepts "$compiler" <<<'many_bar_open(&bar, .total = 4, .unit = "file")'
    accepts "$compiler" <<<'many_queue *queue; many_queue_open(&queue)'
    accepts "$compiler" <<<'many_segment *segment; many_segment_open(&segment, .bytes = 8)'
    accepts "$compiler" <<<'many_pipe *one, *other; many_pipe_open(&one, &other, .one_way = 1)'
    accepts "$compiler" <<<'many_process *p; many_process_start(&p, NULL, in, .name = "reader")'
    accepts "$compiler" <<<'many_thread *t; many_thread_start(&t, NULL, NULL)'
    accepts "$compiler" <<<'many_pool *pool; many_pool_open(&pool)'
    accepts "$compiler" <<<'many_pool *pool; many_pool_open(&pool, .kind = MANY_PROCESSES, .workers = 3)'
    accepts "$compiler" <<<'many_future *f; many_pool_submit(NULL, fn, in, &f)'
    accepts "$compiler" <<<'many_pool_submit(NULL, fn, in, NULL, .arg_bytes = 8, .name = "one")'
    accepts "$compiler" <<<'many_pool_submit(NULL, fn, NULL, NULL)'
    accepts "$compiler" <<<'many_pool_apply(NULL, fn, in, out)'
    accepts "$compiler" <<<'many_pool_map(NULL, fn, in, out, 4)'
    accepts "$compiler" <<<'many_pool_map(NULL, fn, in, out, 4, .chunk = 2, .codes = (int[4]){0})'
    accepts "$compiler" <<<'many_pool_each(NULL, fn, in, 4)'
    accepts "$compiler" <<<'many_future *f; many_pool_map_async(NULL, fn, in, out, 4, .future = &f)'
    accepts "$compiler" <<<'many_future *f; many_pool_each_async(NULL, fn, in, 4, .future = &f)'
    accepts "$compiler" <<<'many_imap *it; many_pool_imap(NULL, &it, fn, NULL, NULL, .items = in, .n = 4)'
    accepts "$compiler" <<<'many_future *f; many_future_open(&f)'
    accepts "$compiler" <<<'many_future *f; many_future_open(&f, .name = "reply")'
    accepts "$compiler" <<<'MANY_POOL_SCOPE many_pool *pool = NULL; many_pool_open(&pool)'
    refuses "$compiler" <<<'many_pool *pool; many_pool_open(&pool, 4)'
    refuses "$compiler" <<<'many_pool *pool; many_pool_open(&pool, .worker = 4)'
    refuses "$compiler" <<<'many_pool_open()'
    refuses "$compiler" <<<'many_future *f; many_pool_submit(NULL, fn, in, &f, 8)'
    refuses "$compiler" <<<'many_pool_submit(NULL, fn, in)'
    refuses "$compiler" <<<'many_pool_map(NULL, fn, in, out)'
    refuses "$compiler" <<<'many_pool_map(NULL, fn, in, out, 4, 2)'
    refuses "$compiler" <<<'many_imap *it; many_pool_imap(NULL, &it, fn, NULL, NULL, 8)'
    refuses "$compiler" <<<'many_future *f; many_future_open(&f, "reply")'
    refuses "$compiler" <<<'many_queue *queue; many_queue_open(&queue, 64)'
    refuses "$compiler" <<<'many_pipe *one, *other; many_pipe_open(&one, &other, 1)'
    refuses "$compiler" <<<'many_process *p; many_process_start(&p, NULL, in, "reader")'
    refuses "$compiler" <<<'many_process *p; many_process_start(&p, NULL)'
    refuses "$compiler" <<<'many_process_map(fn, in, out, 4, 3)'
    refuses "$compiler" <<<'many_process_map(fn, in, out, 4, .worker = 3)'
    refuses "$compiler" <<<'many_process_map(fn, in, out)'
    refuses "$compiler" <<<'many_bar_open()'
    refuses "$compiler" <<<'many_bar_open(&bar, 100)'
done
