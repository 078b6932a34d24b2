#!/usr/bin/env bash
# check_fetch_pages.sh - the page fetcher against a server on the loopback address, and against a host
# that does not exist
#
# BUILD: the build folder. Exit status 77: the example was not built, because there is no libcurl for
# this compiler, or there is no python3 to serve the pages.
set -u

command=${BUILD:?the build folder}/examples/fetch_pages
if [ ! -x "$command" ]; then
    echo "fetch_pages: not built, there is no libcurl (Debian: libcurl4-openssl-dev)"
    exit 77
fi
if ! command -v python3 >/dev/null; then
    echo "fetch_pages: there is no python3 to serve its pages"
    exit 77
fi
failures=0

fail() {
    echo "FAILED: $*" >&2
    failures=$((failures + 1))
}

folder=$(mktemp -d) || exit 1
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$folder"' EXIT

python3 "$(dirname "$0")/pages.py" >"$folder/address" 2>"$folder/log" </dev/null &
server=$!
deadline=$((SECONDS + 100))
until [ -s "$folder/address" ]; do
    if [ "$SECONDS" -ge "$deadline" ] || ! kill -0 "$server" 2>/dev/null; then
        fail "the server does not start: $(cat "$folder/log")"
        exit 1
    fi
    sleep 0.05
done
base=http://$(cat "$folder/address")
nowhere=http://some-made-up-domain.invalid/

# Past whatever proxy there is; and who asks in vain shall not ask for long.
unset http_proxy HTTP_PROXY https_proxy HTTPS_PROXY all_proxy ALL_PROXY
export NO_PROXY='*' RES_OPTIONS='timeout:1 attempts:1'
timeout 250 "$command" "$base/0" "$base/1000" "$base/70000" "$base/3000000" "$nowhere" \
    "$base/missing" >"$folder/out" 2>"$folder/err" </dev/null ||
    fail "exit status $?: $(cat "$folder/err")"

# What a page of known size says, once.
for bytes in 0 1000 70000 3000000; do
    [ "$(grep -c -x "'$base/$bytes' page is $bytes bytes" "$folder/out")" -eq 1 ] ||
        fail "the page of $bytes bytes"
done
grep -q "^'$nowhere' generated an exception: .*Could not resolve host" "$folder/out" ||
    fail "the host that does not exist"
grep -q "^'$base/missing' generated an exception: .*404" "$folder/out" ||
    fail "the page that is not there"
[ "$(wc -l <"$folder/out")" -eq 6 ] || fail "six pages are not six lines"
[ "$failures" -eq 0 ] || cat "$folder/out" "$folder/err" >&2
[ "$failures" -eq 0 ]
