#!/usr/bin/env bash
# one_file.sh - the whole library by one compile line, without a build system
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/_user.sh"

cd "$SOURCE"
# shellcheck disable=SC2086 # a list of options
"$CC" -std=c11 -O2 $warnings -Iinclude -Isrc src/many.c "$user/main.c" -pthread -o "$work/one"
says "$work/one"
