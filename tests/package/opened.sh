#!/usr/bin/env bash
# opened.sh - the shared library can be opened while a program runs
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/_user.sh"

# shellcheck disable=SC2086 # a list of options
"$CC" -std=c11 -Wall -Wextra -Werror -I"$SOURCE/include" "$user/open.c" -ldl -o "$work/open"
says "$work/open" "$BUILD/libmany.so"
