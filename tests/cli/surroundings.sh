#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What a job finds around it, and what others do to `many`: streams opened anew, scripts that begin
# with a dash, limits on files, a terminal that it may not have, timeout(1).
. "$(dirname "$0")/_lib.sh"

# A stream that is opened anew appends to what was printed before, as in a pipe.
"$MANY" map -c 'echo out; echo warn >/dev/stderr; echo more >&2; echo end' ::: x 2>&1 | cat >out
is_out $'out\nwarn\nmore\nend\n'
run "$MANY" map -c 'echo one; echo two >/dev/stdout; echo three' ::: x
is_status 0
is_out $'one\ntwo\nthree\n'

# More than a pipe holds, from a job that then prints nothing for its last moment.
run "$MANY" map -j2 -c 'head -c 300000 /dev/zero; exec >&- 2>&-; :' ::: a b
is_status 0
[ "$(wc -c <out)" -eq 600000 ] || fail "$(wc -c <out) bytes came through"

run "$MANY" map -c -- '-v; echo done' ::: x
is_status 0
is_out $'done\n'

# A file that may not grow is an error like others, not a death.
(
    ulimit -f 1
    seq 2000 | "$MANY" map -j2 echo >limited 2>err
    echo "${PIPESTATUS[1]}" >statuses
)
[ "$(cat statuses)" = 255 ] || fail "the status was $(cat statuses)"
has_err 'cannot write to stdout'

# timeout(1) signals twice; it is one wish. The fifo is open: items never end by themselves.
mkfifo items
one_wish() {
    local limited writer
    rm -f ready
    {
        echo a
        exec sleep "$NAP"
    } >items &
    writer=$!
    # The SIGCONT that it sends as well is more than a leak checker can bear.
    ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 timeout 1000 "$MANY" map -j2 -c ': >ready' \
        <items >out 2>err &
    limited=$!
    until_true test -e ready || fail "it did not begin"
    kill -TERM $limited # as if its time were over
    wait $limited
    kill $writer
    grep -q 'ended by a signal: [01] done' err
}
sooner_or_later one_wish || fail "two signals were taken for two wishes"

# Waiting for a terminal that it cannot have would last for ever.
if command -v script >/dev/null; then
    script -qec "$MANY map --no-bar -c 'read x </dev/tty; echo got' ::: a" typescript </dev/null \
        >out 2>&1
    has_out 'wanted the terminal'
fi

finish
