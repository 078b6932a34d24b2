#!/usr/bin/env bash
# check_process_files.sh - the files of a folder in two shares, whose order is known
#
# BUILD: the build folder.
set -u

command=$(cd "${BUILD:?the build folder}" && pwd)/examples/process_files || exit 1
failures=0

fail() {
    echo "FAILED: $*" >&2
    failures=$((failures + 1))
}

folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
mkdir -p "$folder/top/a" "$folder/top/b" "$folder/nothing"
touch "$folder/top/a/1" "$folder/top/a/2" "$folder/top/b/3" "$folder/top/b/4" "$folder/top/b/5"
ln -s a "$folder/top/link"

# run WANTED TOP: the program's output is WANTED.
run() {
    local got
    got=$(cd "$folder" && timeout 250 "$command" "$2" 2>"$folder/err" </dev/null) ||
        fail "$2: exit status $?: $(cat "$folder/err")"
    [ "$got" = "$1" ] || fail "$2: $got"
}

run 'top/a/1 (2 files)
top/b/3 (3 files)' top
run '' nothing

# A share that does not fit into a message of any usual size.
mkdir "$folder/wide"
(cd "$folder/wide" && seq -f 'a-file-with-quite-a-long-name-%05g' 5000 | xargs touch)
run 'wide/a-file-with-quite-a-long-name-00001 (2500 files)
wide/a-file-with-quite-a-long-name-02501 (2500 files)' wide

! timeout 250 "$command" "$folder/not there" >/dev/null 2>"$folder/err" </dev/null ||
    fail "a folder that is not there goes unnoticed"
[ "$failures" -eq 0 ]
