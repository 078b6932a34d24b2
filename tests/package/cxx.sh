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
