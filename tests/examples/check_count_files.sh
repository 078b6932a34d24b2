#!/usr/bin/env bash
# check_count_files.sh - the example counts as wc does, on real files and on awkward ones
#
# BUILD: the build folder. Exit status 77: there is no GNU wc to compare with.
set -u

command=$(cd "${BUILD:?the build folder}" && pwd)/examples/count_files || exit 1
failures=0

fail() {
    echo "FAILED: $*" >&2
    failures=$((failures + 1))
}

# status WANTED COMMAND...: run it, stdout to $folder/out and stderr to $folder/err.
status() {
    local wanted=$1 got
    shift
    timeout 250 "$@" >"$folder/out" 2>"$folder/err" </dev/null
    got=$?
    [ "$got" -eq "$wanted" ] || fail "exit status $got, not $wanted: $*: $(head -n 3 "$folder/err")"
}

case $(wc --version 2>/dev/null) in
*GNU*) ;;
*)
    echo "no GNU wc"
    exit 77
    ;;
esac
# From 9.5 on a word may consist of bytes that are not printable.
with_words=1
[ "$(printf '\200' | LC_ALL=C wc -w)" -eq 0 ] || with_words=0

# One form for both: "lines words bytes name", in the order of the names, without totals.
normalise() {
    awk -v with_words="$with_words" '{
        counts = $1 " " (with_words ? $2 : "-") " " $3
        sub(/^ *[0-9]+ +[0-9]+ +[0-9]+ /, "")
        if ($0 != "total") print counts, $0
    }' | LC_ALL=C sort
}

# compare WHAT PATH...: all files below the paths, against wc. Names with control characters are
# left out, because wc quotes them.
compare() {
    local what=$1
    shift
    find "$@" -type f -print0 | LC_ALL=C grep -z -v '[[:cntrl:]]' >"$folder/names"
    LC_ALL=C wc --files0-from="$folder/names" | normalise >"$folder/wanted"
    status 0 "$command" -j 4 "$@"
    LC_ALL=C grep -v '?' "$folder/out" | normalise >"$folder/got"
    grep -v '?' "$folder/wanted" >"$folder/wanted-plain"
    cmp -s "$folder/wanted-plain" "$folder/got" ||
        fail "$what: $(diff "$folder/wanted-plain" "$folder/got" | head -n 5)"
    [ -s "$folder/got" ] || fail "$what: nothing was counted"
}

folder=$(mktemp -d) || exit 1
trap 'chmod -R u+rwx "$folder" 2>/dev/null; rm -rf "$folder"' EXIT
tree=$folder/tree
mkdir -p "$tree/a/b/c" "$tree/with space"

: >"$tree/empty"
printf 'no newline at the end' >"$tree/a/open"
printf 'one\r\ntwo\r\n' >"$tree/a/dos"
printf '\f\v\t x \0 y\0z \n\n\n' >"$tree/a/b/odd"
printf 'na\303\257ve \342\200\224 caf\303\251\n' >"$tree/a/b/utf8"
printf '\200\201 \377\n\001\002' >"$tree/a/b/c/unprintable"
printf ' ' >"$tree/with space/ a blank "
printf 'x y\n' >"$tree/-j"
for byte in {0..255}; do
    octal=$(printf '\\0%03o' "$byte")
    printf '%ba %b%b' "$octal" "$octal" "$octal"
done >"$tree/every byte"
for _ in {1..300}; do cat "$tree/every byte"; done >"$tree/a/binary"
# Words across the borders of a read.
awk 'BEGIN { for (i = 1; i < 40000; i++) printf "%s%s", i, i % 7 ? " " : "\n" }' >"$tree/a/numbers"
head -c 65536 /dev/zero | tr '\0' w >"$tree/a/one word"
printf '\nw' | cat "$tree/a/one word" - >"$tree/a/two words"
# What must be left out, and must not be waited for.
mkfifo "$tree/a/fifo"
ln -s ../empty "$tree/a/link"
ln -s .. "$tree/a/loop"
ln -s nowhere "$tree/a/dangling"

compare "awkward files" "$tree"
real=()
for path in /usr/include /usr/share/doc; do
    [ -d "$path" ] && real+=("$path")
done
[ "${#real[@]}" -eq 0 ] || compare "real files" "${real[@]}"

# The last line is the sum, and any number of workers comes to the same.
status 0 "$command" -j 1 "$tree"
cp "$folder/out" "$folder/alone"
awk '{ split($0, last, " "); for (k = 1; k <= 3; k++) sum[k] += last[k] }
    END { for (k = 1; k <= 3; k++) wrong += sum[k] != 2 * last[k]; exit wrong || $NF != "total" }' \
    "$folder/alone" || fail "the total is not the sum of what stands above it"
status 0 "$command" -j 7 "$tree"
cmp -s "$folder/alone" "$folder/out" || fail "seven workers print something else than one"

# A newline in a name does not make two lines of one.
mkdir "$folder/names.d"
printf 'a b c\n' >"$folder/names.d/two
lines"
status 0 "$command" "$folder/names.d"
[ "$(wc -l <"$folder/out")" -eq 2 ] || fail "a name with a newline: $(cat "$folder/out")"
[ "$(head -n 1 "$folder/out")" = "$(printf '%8d %8d %8d %s' 1 3 6 "$folder/names.d/two?lines")" ] ||
    fail "a name with a newline: $(cat "$folder/out")"

# Files by name, one through a link; and nothing at all.
status 0 env -C "$tree" "$command" -j 2 -- a/link -j "a/one word"
[ "$(awk '{ print $1, $3 }' "$folder/out" | tr '\n' ';')" = "0 0;1 4;0 65536;1 65540;" ] ||
    fail "files by name: $(cat "$folder/out")"
status 1 "$command" "$tree/a/dos" "$folder/not there"
grep -q 'not there: ' "$folder/err" || fail "the path that is not there is not named"
grep -q 'a/dos$' "$folder/out" || fail "a path that is not there stops the others"
mkdir "$folder/nothing"
status 0 "$command" "$folder/nothing"
[ "$(tr -s ' ' <"$folder/out")" = " 0 0 0 total" ] || fail "no files: $(cat "$folder/out")"

# Wrong usage, and a disk that is full.
status 2 "$command" -j x
status 2 "$command" -j
status 2 "$command" -j -1 "$tree"
if [ -c /dev/full ]; then
    timeout 250 "$command" "$tree" >/dev/full 2>/dev/null </dev/null
    [ $? -eq 1 ] || fail "results that cannot be written go unnoticed"
fi

# What cannot be read is named, and all else is counted. Nobody is root for that.
locked=$folder/locked
mkdir -p "$locked/closed"
printf 'a\n' >"$locked/readable"
printf 'b\n' >"$locked/secret"
printf 'c\n' >"$locked/closed/inside"
chmod 000 "$locked/secret" "$locked/closed"
cp "$command" "$folder/count_files"
chmod 755 "$folder" "$folder/count_files" "$locked"
nobody=()
[ "$(id -u)" -ne 0 ] || nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
if "${nobody[@]}" "$folder/count_files" "$folder/nothing" >/dev/null 2>&1; then
    status 1 "${nobody[@]}" "$folder/count_files" "$locked"
    [ "$(tr -s ' ' <"$folder/out")" = " 1 1 2 $locked/readable
 1 1 2 total" ] || fail "unreadable files: $(cat "$folder/out")"
    grep -q "$locked/secret: " "$folder/err" || fail "the unreadable file is not named"
    grep -q "$locked/closed: " "$folder/err" || fail "the unreadable directory is not named"
else
    echo "not checked: unreadable files (root may read everything, and there is no setpriv)"
fi
chmod 700 "$locked/closed"

# Ctrl-C while a worker is in a file that takes minutes: what is done is printed, nobody is left.
if [ -e "/proc/$$/task/$$/children" ] && truncate -s 64G "$tree/long" 2>/dev/null; then
    "$command" -j 2 "$tree" >"$folder/out" 2>"$folder/err" </dev/null &
    pid=$!
    deadline=$((SECONDS + 200))
    workers=()
    while [ "${#workers[@]}" -eq 0 ] && [ "$SECONDS" -lt "$deadline" ]; do
        read -r -a workers <"/proc/$pid/task/$pid/children"
    done 2>/dev/null
    [ "${#workers[@]}" -gt 0 ] || fail "no workers were seen"
    kill -INT "$pid"
    wait "$pid"
    got=$?
    [ "$got" -eq 130 ] || fail "after Ctrl-C the exit status is $got: $(head -n 3 "$folder/err")"
    tail -n 1 "$folder/out" | grep -q ' total$' || fail "after Ctrl-C no totals are printed"
    for worker in "${workers[@]}"; do
        ! kill -0 "$worker" 2>/dev/null || fail "worker $worker outlived Ctrl-C"
    done
else
    echo "not checked: Ctrl-C (no sparse files, or no list of children in /proc)"
fi

[ "$failures" -eq 0 ]
