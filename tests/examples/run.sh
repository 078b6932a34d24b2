#!/bin/sh
# run.sh PROGRAM EXPECTED - the program succeeds, and its stdout is the file, byte for byte
#
# Of a file NAME.unordered the lines may come in any order; those after a line "--" come last, in order.
set -u
actual=$(mktemp) || exit 1
wanted=$(mktemp) || exit 1
trap 'rm -f "$actual" "$wanted"' EXIT

# PROGRAM's output in the order of the file: the first lines sorted, the last ones as they are.
sort_first() {
    head -n "$1" | LC_ALL=C sort
}

"$1" >"$actual" </dev/null
status=$?
if [ "$status" -ne 0 ]; then
    echo "$1: exit status $status" >&2
    exit "$status"
fi
case $2 in
*.unordered)
    any=$(sed '/^--$/,$d' "$2" | wc -l)
    {
        sort_first "$any" <"$2"
        sed '1,/^--$/d' "$2"
    } >"$wanted"
    {
        sort_first "$any" <"$actual"
        tail -n +$((any + 1)) "$actual"
    } >"$actual.sorted" && mv "$actual.sorted" "$actual"
    ;;
*) cat "$2" >"$wanted" ;;
esac
if ! cmp -s "$wanted" "$actual"; then
    diff -u "$wanted" "$actual" >&2
    exit 1
fi
