#!/usr/bin/env bash
# check_readme.sh - what README.md and docs/ show works: C compiles and runs, shell lines do what is
# said, links lead somewhere
#
# BUILD: the build folder.
set -u

build=$(cd "${BUILD:?the build folder}" && pwd) || exit 1
source=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
failures=0

fail() {
    echo "FAILED: $*" >&2
    failures=$((failures + 1))
}

# cached NAME: a value of this build's configuration.
cached() {
    sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt" 2>/dev/null
}

# blocks LANGUAGE FILE PREFIX: each fenced block becomes PREFIX.1, PREFIX.2 ...
blocks() {
    awk -v begin="\`\`\`$1" -v end="\`\`\`" -v prefix="$3" '
        inside && $0 == end { inside = 0; close(name); next }
        inside { print > name }
        $0 == begin { inside = 1; name = prefix "." ++count; printf "" > name }' "$2"
}

folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

compiler=$(cached CMAKE_C_COMPILER)
sanitize=$(cached MANY_SANITIZE)
compile=("${compiler:-${CC:-cc}}" -std=c11 -O2 -Wall -Wextra -Wpedantic -Werror
    ${sanitize:+"-fsanitize=$sanitize"} "-I$source/include")

# The C of the README is whole programs, and these are what they print.
expected=(998001 $'over: 125\n1\n512\n19683' "$(seq 0 9)")
blocks c "$source/README.md" "$folder/readme.c"
for number in 1 2 3; do
    mv "$folder/readme.c.$number" "$folder/readme.c" || fail "README.md shows $((number - 1)) programs in C"
    if "${compile[@]}" -o "$folder/readme" "$folder/readme.c" "$build/libmany.a" -pthread; then
        out=$(timeout 250 "$folder/readme" 2>/dev/null </dev/null) ||
            fail "program $number of README.md fails"
        [ "$out" = "${expected[number - 1]}" ] || fail "program $number of README.md prints: $out"
    else
        fail "program $number of README.md does not compile"
    fi
done

# The C of docs/ is functions, which need a few headers.
while IFS= read -r page; do
    blocks c "$page" "$folder/page.c"
    for block in "$folder"/page.c.*; do
        [ -e "$block" ] || continue
        {
            printf '#define _XOPEN_SOURCE 700\n#include <many.h>\n'
            printf '#include <%s>\n' errno.h limits.h signal.h stdio.h stdlib.h string.h unistd.h
            printf '#line 1 "block %s of %s"\n' "${block##*.}" "${page#"$source/"}"
            cat "$block"
        } >"$folder/page.c"
        "${compile[@]}" -Wno-unused-function -c -o "$folder/page.o" "$folder/page.c" ||
            fail "${page#"$source/"}: block ${block##*.} of C does not compile"
        rm -f "$block"
    done
done < <(find "$source/docs" -name '*.md')

# The shell lines of the README, one by one.
blocks sh "$source/README.md" "$folder/readme.sh"
# A part of the files will do, so that it does not take long.
some=/usr/include/linux
[ -d "$some" ] || some=/usr/include
mapfile -t lines < <(sed "s:/usr/include :$some :" "$folder/readme.sh.1")
[ "${#lines[@]}" -eq 3 ] || fail "README.md shows ${#lines[@]} lines of shell, not 3"
mkdir "$folder/here"
cd "$folder/here" || exit 1
printf 'one\n' >a.txt
printf 'two\n' >'b c.txt'
export PATH="$build:$PATH"
command -v many >/dev/null || fail "there is no command in the build folder"
# line NUMBER: run it; its stdout goes to $folder/out.
line() {
    timeout 250 bash -c "${lines[$1 - 1]}" >"$folder/out" 2>"$folder/err" </dev/null ||
        fail "'${lines[$1 - 1]}': exit status $?: $(head -n 3 "$folder/err")"
}
line 1
find "$some" -name '*.h' -exec sha256sum {} + | LC_ALL=C sort >"$folder/wanted"
LC_ALL=C sort "$folder/out" | cmp -s "$folder/wanted" - || fail "the first line's checksums differ"
line 2
[ "$(gunzip -c a.txt.gz 'b c.txt.gz')" = $'one\ntwo' ] || fail "the second line's files differ"
line 3
seq -f 'item %g' 100 | cmp -s - list || fail "the third line's output is not in order"

# Links to files of the project.
while IFS= read -r page; do
    grep -o '](\([^)]*\))' "$page" | sed 's/^](//; s/)$//; s/#.*//' | while IFS= read -r link; do
        case $link in
        http*: | https:* | "") continue ;;
        esac
        [ -e "$(dirname "$page")/$link" ] || echo "${page#"$source/"}: no such file: $link"
    done
done < <(ls "$source"/*.md && find "$source/docs" -name '*.md') >"$folder/dead"
[ ! -s "$folder/dead" ] || fail "$(cat "$folder/dead")"

[ "$failures" -eq 0 ]
