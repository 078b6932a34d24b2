#!/usr/bin/env bash
# cxx.sh - the headers are C++11 to C++20, and the functions that end in _with can be called
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/_user.sh"

compilers=()
for compiler in g++ clang++; do
    command -v "$compiler" >/dev/null && compilers+=("$compiler")
done
[ ${#compilers[@]} -gt 0 ] || {
    echo "no C++ compiler is there"
    exit 77
}
for compiler in "${compilers[@]}"; do
    for standard in 11 14 17 20; do
        # shellcheck disable=SC2086 # a list of options
        "$compiler" -std=c++$standard $warnings -I"$SOURCE/include" -fsyntax-only "$user/main.cc"
    done
done
# shellcheck disable=SC2086
"${compilers[0]}" -std=c++11 $warnings -I"$SOURCE/include" "$user/main.cc" "$BUILD/libmany.a" \
    -pthread -o "$work/cxx"
says "$work/cxx"

# Pools and futures: openers by their structs, and MANY_POOL_SCOPE.
cat >"$work/pool.cc" <<'PROGRAM'
#include <many.h>

#include <cstdio>

static int square(const void *item, void *result, void *)
{
    long x = *static_cast<const long *>(item);

    *static_cast<long *>(result) = x * x;
    return 0;
}

int main()
{
    MANY_POOL_SCOPE many_pool *pool = nullptr;
    many_future *future = nullptr;
    many_pool_options opening = many_pool_options();
    many_submit_options task = many_submit_options();
    long seven = 7, result = 0;

    opening.size = sizeof opening;
    opening.pool = &pool;
    opening.kind = MANY_PROCESSES;
    opening.workers = 1;
    if (many_pool_open_with(&opening) < 0)
        return 1;
    task.size = sizeof task;
    task.pool = pool;
    task.fn = square;
    task.arg = &seven;
    task.arg_bytes = sizeof seven;
    task.result_bytes = sizeof result;
    task.future = &future;
    if (many_pool_submit_with(&task) < 0)
        return 1;
    if (many_future_result(future, &result, sizeof result, MANY_FOREVER) != sizeof result)
        return 1;
    many_future_close(future);
    std::printf("%ld\n", result);
    return 0;
}
PROGRAM
for compiler in "${compilers[@]}"; do
    for standard in 11 14 17 20; do
        # shellcheck disable=SC2086
        "$compiler" -std=c++$standard $warnings -I"$SOURCE/include" -fsyntax-only "$work/pool.cc"
    done
done
# shellcheck disable=SC2086
"${compilers[0]}" -std=c++11 $warnings -I"$SOURCE/include" "$work/pool.cc" "$BUILD/libmany.a" \
    -pthread -o "$work/pool"
said=$("$work/pool")
if [ "$said" != 49 ]; then
    echo "the program with a pool printed: $said"
    exit 1
fi
