# SPDX-License-Identifier: MIT
# kill -9 of the command: its jobs go with it, and what they have started.
. "$(dirname "$0")/_lib.sh"

for _ in 1 2 3; do
    rm -f ready-*
    case_number=$((case_number + 1))
    "$MANY" map -j 3 -c ': >ready-$1; sleep $NAP & sleep $NAP | cat; echo never' "$marker" \
        < <(seq 9) >out 2>err &
    many=$!
    until_true test -e ready-1 -a -e ready-2 -a -e ready-3 || fail "jobs did not begin"
    kill -9 $many
    wait $many 2>/dev/null
    [ $? -eq 137 ] || fail "it did not die of SIGKILL"
    nothing_left
done

# Also without the process that watches: the kernel kills the jobs themselves.
rm -f ready
"$MANY" map -c ': >ready; exec sleep $NAP' "$marker" ::: a >out 2>err &
many=$!
until_true test -e ready
[ -r /proc/$many/task/$many/children ] || skip "this kernel does not tell children"
guard=
find_guard() {
    local child
    for child in $(cat /proc/$many/task/$many/children); do
        [ "$(cat "/proc/$child/comm")" != many-guard ] || guard=$child
    done
    [ -n "$guard" ]
}
until_true find_guard || fail "no process watches"
kill -9 "$guard" "$many"
wait $many 2>/dev/null
nothing_left

# The watching process holds nothing open: whoever waits for the end of the output gets it.
run timeout 200 bash -c '"$0" map -c "echo \$1" ::: a b | cat' "$MANY"
is_status 0
# And it is gone when the command is.
run "$MANY" map true "$marker" ::: a
none_marked || fail "a process is left"

# At random moments, with short jobs: whatever it was doing.
for _ in $(seq 20); do
    "$MANY" map -j 4 -c 'sleep 0.01; :' "$marker" < <(seq 1000) >out 2>err &
    many=$!
    sleep "0.$(printf '%03d' $((RANDOM % 200)))"
    kill -9 $many 2>/dev/null
    wait $many 2>/dev/null
done
nothing_left

finish
