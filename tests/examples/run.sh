#!/bin/sh
# run.sh PROGRAM EXPECTED - the program succeeds, and its stdout is the file, byte for byte
set -u
actual=$(mktemp) || exit 1
trap 'rm -f "$actual"' EXIT

"$1" >"$actual" </dev/null
status=$?
if [ "$status" -ne 0 ]; then
    echo "$1: exit status $status" >&2
    exit "$status"
fi
if ! cmp -s "$2" "$actual"; then
    diff -u "$2" "$actual" >&2
    exit 1
fi
