# SPDX-License-Identifier: MIT
# The exit status, and what is told of items that fail.
. "$(dirname "$0")/_lib.sh"

run "$MANY" map true ::: a b c
is_status 0
is_err ''
run "$MANY" map -k sh -c 'exit $1' sh ::: 0 1 0 2 3
is_status 3
is_err "many: item 2 '1': exited with 1
many: item 4 '2': exited with 2
many: item 5 '3': exited with 3
many: 3 of 5 items failed
"
for failures in 99 100; do
    run "$MANY" map false < <(seq $failures)
    is_status $failures
done
for failures in 101 102 300; do
    run "$MANY" map false < <(seq $failures)
    is_status 101
    has_err "^many: $failures of $failures items failed"
    [ "$(wc -l <err)" -eq $((failures + 1)) ] || fail "not one line for each failure"
done

run "$MANY" map -k -c 'kill -$1 $$' ::: SEGV KILL TERM RTMIN
is_status 4
has_err "^many: item 1 'SEGV': killed by SIGSEGV"
has_err "^many: item 2 'KILL': killed by SIGKILL"
has_err "^many: item 3 'TERM': killed by SIGTERM"
has_err "^many: item 4 'RTMIN': killed by signal 34"

# What an item printed stands before what is told of it; a strange item stays in its line.
run bash -c '"$0" map -k -c "echo out; echo err >&2; exit 1" ::: "$1" 2>&1' "$MANY" \
    $'a\nb\e[31m\xff\xc3\xa4'
is_out "out
err
many: item 1 'a\\x0Ab\\x1B[31m\\xFFä': exited with 1
many: 1 of 1 items failed
"
run "$MANY" map false ::: "$(printf 'ä%.0s' $(seq 300))"
has_err "^many: item 1 'ä*\.\.\.': exited with 1"

# --stop: the first failure ends it; what runs is ended, the rest is not begun.
run "$MANY" map --stop -j 1 -c 'echo "$1"; exit "$1"' ::: 0 7 0 0
is_status 1
is_out $'0\n7\n'
has_err "^many: item 2 '7': exited with 7"
has_err '^many: stopped at the first failure: 1 of 4 done, 1 failed'
run "$MANY" map --stop -j 2 -c '[ "$1" != a ] || exec sleep $NAP; exit 9' "$marker" ::: a b c
is_status 1
has_err "^many: item 2 'b': exited with 9"
has_err '^many: stopped at the first failure: 0 of 3 done, 1 failed'
has_no_err 'item [13]'
nothing_left

# --retries: only the last try counts, and only its output is printed.
cat >third <<'END'
echo x >>tries-$1
echo "try $(wc -l <tries-$1)"
[ "$(wc -l <tries-$1)" -eq 3 ]
END
run "$MANY" map --retries 2 sh third ::: a
is_status 0
is_out $'try 3\n'
run "$MANY" map --retries 1 sh third ::: b
is_status 1
is_out $'try 2\n'
has_err "^many: item 1 'b': exited with 1 (try 2)"
run "$MANY" map --retries 0 sh third ::: c
is_status 1
is_out $'try 1\n'
has_err "^many: item 1 'c': exited with 1$"

# What the tries before it printed is let go of: there are not descriptors for so many.
run bash -c 'ulimit -n 120; "$0" map -j 1 --retries 150 -c "echo x; exit 6" ::: a' "$MANY"
is_status 1
is_out $'x\n'
has_err "^many: item 1 'a': exited with 6 (try 151)"

# --limit: the item is ended, with what it has started, and what it had printed is kept.
# within SECONDS COMMAND...: with this limit, or a longer one where this machine is so busy that the
# other jobs do not get as far within it.
within() {
    local limit=$1
    shift
    for limit in "$limit" 2 8 30; do
        "$@" "$limit" && return
    done
    return 1
}
alone_over_its_limit() {
    run "$MANY" map -k --limit "$1" -c 'echo "begun $1"; sleep "$1"; echo "ended $1"' ::: 0 1000 0.1
    [ "$status" -eq 1 ] &&
        printf 'begun 0\nended 0\nbegun 1000\nbegun 0.1\nended 0.1\n' | cmp -s - out
}
within 0.5 alone_over_its_limit || fail "$ran: not one item alone is over its limit"
has_err "^many: item 2 '1000': took longer than [0-9.]* s and was ended"
has_err '^many: 1 of 3 items failed'
ended_with_what_it_started() {
    run "$MANY" map -k --limit "$1" -c 'echo begun; sleep $NAP & wait' "$marker" ::: a
    is_status 1
    has_err "^many: item 1 'a': took longer than $1 s and was ended"
    nothing_left
    [ "$(cat out)" = begun ]
}
within 0.3 ended_with_what_it_started || fail "$ran: what it had printed is lost"
# Deaf to SIGTERM: killed.
run "$MANY" map --limit 0.2 -c 'trap "" TERM; while :; do sleep 0.1; done' "$marker" ::: a
is_status 1
has_err "^many: item 1 'a': took longer than 0.2 s"
nothing_left
# One that is stopped hears of it all the same; SIGKILL would come after 200 + 1000 ms.
stopped_hears() {
    before=$(now)
    run "$MANY" map --limit 0.2 -c 'kill -STOP $$' "$marker" ::: a
    is_status 1
    nothing_left
    took "$before" 1000
}
sooner_or_later stopped_hears || fail "$ran: that took $took ms"
run "$MANY" map --limit 1000 true ::: a
is_status 0
# Again and again over the limit.
again_and_again() {
    rm -f tries-d
    run "$MANY" map --limit "$1" --retries 2 -c 'echo x >>tries-d; exec sleep $NAP' "$marker" ::: a
    is_status 1
    has_err "took longer than $1 s and was ended (try 3)"
    [ "$(wc -l <tries-d)" -eq 3 ]
}
within 0.1 again_and_again || fail "not three tries"

finish
