# SPDX-License-Identifier: MIT
# `many status PID`: what the pools of another process are doing, also when they are stuck.
manual=$(realpath "$(dirname "$0")/../../cli/many.1.md")
. "$(dirname "$0")/_lib.sh"

# Programs with pools that are stuck: tests/cli/test_stuck.c, built beside the command.
stuck=$(dirname "$MANY")/tests/cli/test_stuck
[ -d "${stuck%/*}" ] || skip "$MANY is not in a build folder"

stays_or_ended() { [ -e stays ] || ! kill -0 "$started" 2>/dev/null; }
# stuck_in WORD: start the program that is called so; $pid.
pid=
stuck_in() {
    rm -f stays
    MANY_TEST_STAY=$PWD/stays "$stuck" "$1" >said 2>&1 &
    started=$!
    until_true stays_or_ended
    [ -e stays ] || { fail "$1 did not come to stay"; cat said; finish; }
    pid=$(cat stays)
}
unstick() {
    kill -9 "$pid" 2>/dev/null
    wait "$started" 2>/dev/null
    true
}
leave_unstuck() {
    [ -z "$pid" ] || kill -9 "$pid" 2>/dev/null
    leave
}
trap leave_unstuck EXIT

# Help, and wrong usage.
for help in --help -h; do
    run "$MANY" status "$help"
    is_status 0
    is_err ''
    has_out '^usage: many status \[--json\] PID'
    awk 'length > 100 { exit 1 }' out || fail "a line of the help is too wide"
done
has_out '^  *--json '
grep -q '^`--json`' "$manual" || fail "the manual lacks --json"
run bash -c '"$0" status --help >/dev/full' "$MANY"
is_status 255
run "$MANY" --help
has_out '^  status '
wrong_usage() {
    local regex=$1
    shift
    run "$MANY" status "$@"
    is_status 255
    has_err "$regex"
    is_out ''
}
wrong_usage '^many status: PID: .*many status --help'
wrong_usage '^many status: PID: ' --json
wrong_usage "^many status: option '--nonsense'" --nonsense 1
wrong_usage "^many status: option '--json=1'" --json=1 1
wrong_usage "^many status: option '-x'" -xh 1
wrong_usage "^many status: PID '2': " 1 2
for pid in 0 -- -1 x 1x '' ' 1' +1 0x10 99999999999999999999 2147483648; do
    wrong_usage "^many status: \(PID\|option\)" "$pid"
done
pid=

# No such process; one that is not ours; one without pools.
bash -c 'echo $$' >gone
run "$MANY" status "$(cat gone)"
is_status 255
is_err "many status: pid $(cat gone): there is no such process
"
is_out ''
if [ "$(id -u)" -eq 0 ] && setpriv --reuid=65534 --clear-groups test -x "$MANY" 2>/dev/null; then
    run setpriv --reuid=65534 --clear-groups "$MANY" status $$
    is_status 255
    has_err "^many status: pid $$: permission denied"
fi
run "$MANY" status $$
is_status 1
is_err "many status: pid $$ has no pools
"
run "$MANY" status --json $$
is_status 1
is_out ''

# Names stay in their line, whatever they hold.
stuck_in names_may_hold_anything
run "$MANY" status "$pid"
is_status 0
is_err ''
sed -E 's/ for [0-9.]+ s/ for T s/' out >timeless && mv timeless out
is_out 'Pool \x1B]0;me\x07\x0A"\ (processes, pid '"$pid"'): 4 of 5 workers, 14 wait, 5 run, 120 done, 1 failed, 3 cancelled; 2 replaced (1 died); takes no more
  worker 0  pid 4713  '"'resize\\x1B[31m\\xFF ä \\xC2\\x9B \\xED\\xA0\\x80.jpg' for T s, waits for 'a \"b\" \\c\\x09d' (worker 1)"'
  worker 1  pid 4714  task 17 for T s
  worker 2  pid 4715  '"'deep'"' for T s, and in 2 more, waits for task 19
  worker 3  pid 4716  idle
  worker 4  none
'
# The same for programs: one line, which is JSON.
run "$MANY" status --json "$pid"
is_status 0
[ "$(wc -l <out)" -eq 1 ] || fail "not one line"
! LC_ALL=C grep -q -a -P '[\x00-\x08\x0b-\x1f\x7f]' out || fail "control characters"
if command -v python3 >/dev/null; then
    cp out json
    run python3 - json "$pid" <<'END'
import json, sys
pool = json.loads(open(sys.argv[1], encoding="utf-8").read())
worker = pool.pop("worker")
assert pool == {"name": "Pool \x1b]0;me\x07\n\"\\", "kind": "processes", "pid": int(sys.argv[2]),
                "workers": 5, "alive": 4, "waiting": 14, "running": 5, "done": 120, "failed": 1,
                "cancelled": 3, "replaced": 2, "died": 1, "finished": True, "broken": None}, pool
assert len(worker) == 5
assert worker[0]["task"].pop("seconds") > 0
assert worker[0] == {
    "index": 0, "pid": 4713, "thread": 4713, "depth": 1, "tasks": 120,
    "task": {"number": 16, "name": "resize\x1b[31m\ufffd \u00e4 \x9b \ufffd\ufffd\ufffd.jpg"},
    "waits_for": {"number": 17, "name": "a \"b\" \\c\td", "worker": 1}}, worker[0]
assert worker[1]["task"]["name"] == "task 17" and worker[1]["waits_for"] is None
assert worker[2]["depth"] == 3 and worker[2]["waits_for"]["worker"] is None
assert worker[3]["task"] is None and worker[4]["pid"] == 0
END
    is_status 0
fi
run bash -c '"$0" status "$1" >/dev/full' "$MANY" "$pid"
is_status 255
has_err 'cannot write to stdout: No space left'
# Stopped, it is seen as well; and it goes on as if nothing had been.
kill -STOP "$pid"
run "$MANY" status "$pid"
is_status 0
kill -CONT "$pid"
kill -0 "$pid" || fail "it has noticed"
unstick
run "$MANY" status "$pid"
is_status 255

# Pools: one task stands still, the next waits for it, three more wait for a worker.
timeless() { sed -i -E 's/ for [0-9]+\.[0-9] s/ for T s/; s/(pid|thread) [0-9]+/\1 N/g' out; }
# looks_stuck KIND WORD [PID]: one of two workers waits for the other.
looks_stuck() {
    run "$MANY" status "${3:-$pid}"
    is_status 0
    is_err ''
    timeless
    has_out "^stuck pool ($1, pid N): 2 of 2 workers, 3 wait, 2 run, 0 done, 0 failed, 0 cancelled\$"
    has_out "^  worker [01]  $2 N  'still' for T s\$"
    has_out "^  worker [01]  $2 N  'waiter' for T s, waits for 'still' (worker [01])\$"
    [ "$(wc -l <out)" -eq 3 ] || fail "$ran: not three lines"
}
stuck_in a_pool_of_threads_may_be_stuck
looks_stuck threads thread
unstick
stuck_in a_pool_of_processes_may_be_stuck
looks_stuck processes pid
# A worker's number shows the pool that it works for.
run "$MANY" status "$pid"
worker=$(sed -n 's/^  worker 1  pid \([0-9]*\) .*/\1/p' out)
looks_stuck processes pid "${worker:-0}"
kill -STOP "$pid"
looks_stuck processes pid
unstick

stuck_in a_page_may_be_no_page
run "$MANY" status "$pid"
is_status 255
is_out ''
has_err "^many status: pid $pid: a pool is not of this version"
unstick

stuck_in there_may_be_no_pools
run "$MANY" status "$pid"
is_status 1
unstick
pid=
finish
