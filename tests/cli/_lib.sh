# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the tests of the command share: `. "$(dirname "$0")/_lib.sh"`. MANY is the binary.
#
#   run COMMAND...     run it; $status, and the files out and err are what came of it
#   is_status N        the last one exited with N
#   is_out TEXT        its stdout was TEXT, exactly; so is_err
#   has_out REGEX      a line of its stdout matches; so has_err
#   has_no_err REGEX   no line of its stderr does
#   until_true C...    wait until a command succeeds, for 100 s at most
#   sooner_or_later C  one of ten tries succeeds: for what has to come within the command's own time
#   marked             ids of processes with $marker in their command line; $NAP is the same
#   nothing_left       soon there are none any more
#   now, took SINCE MS the time; did it take no longer than so many milliseconds?
#
# A test works in a directory of its own and has a watchdog: what hangs has failed. No verdict may
# hang on how fast this machine is, or on who runs when.

slowness=${MANY_TEST_SLOWNESS:-1}
if [ -z "${MANY_TEST_WATCHED:-}" ]; then
    export MANY_TEST_WATCHED=1
    exec timeout -k 5 $((280 * slowness)) bash "$0" "$@"
fi

set -u
export LC_ALL=C.UTF-8
MANY=$(realpath "${MANY:?is the path of the command}")
# Left to itself a crash would be found by its exit status alone.
export ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=1:abort_on_error=0:exitcode=99"
work=$(mktemp -d "${TMPDIR:-/tmp}/many-test-XXXXXX")
cd "$work" || exit 1
# Seconds to sleep for; what sleeps so long is ours. No two such numbers begin alike.
marker=1000.$(printf '%07d%05d' $$ $RANDOM)
export NAP=$marker
echo "$marker" >.marker
case_number=0
wrong=0

# A zombie's command line is empty; grep gets the marker from a file, so as not to find itself.
marked() { grep -l -s -a -F -f .marker /proc/[0-9]*/cmdline | cut -d/ -f3; }

leave() {
    local left
    left=$(marked)
    # shellcheck disable=SC2086
    [ -z "$left" ] || kill -9 $left 2>/dev/null
    cd / && rm -rf "$work"
}
trap leave EXIT

fail() {
    wrong=1
    echo "FAILED: $*"
    for file in out err; do
        [ -s "$file" ] && { echo "--- $file:"; head -c 2000 "$file"; }
    done
    return 1
}

skip() {
    echo "skipped: $*"
    exit 77
}

run() {
    case_number=$((case_number + 1))
    ran="$*"
    "$@" >out 2>err
    status=$?
}

is_status() { [ "$status" -eq "$1" ] || fail "$ran: exit status $status, not $1"; }
is_out() { printf '%s' "$1" | cmp -s - out || fail "$ran: stdout is not: $1"; }
is_err() { printf '%s' "$1" | cmp -s - err || fail "$ran: stderr is not: $1"; }
has_out() { grep -q -a -e "$1" out || fail "$ran: no line of stdout matches $1"; }
has_err() { grep -q -a -e "$1" err || fail "$ran: no line of stderr matches $1"; }
has_no_err() { ! grep -q -a -e "$1" err || fail "$ran: a line of stderr matches $1"; }

until_true() {
    local end=$((SECONDS + 100 * slowness))
    until "$@" 2>/dev/null; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.02
    done
}

none_marked() { [ -z "$(marked)" ]; }
nothing_left() { until_true none_marked || fail "still running: $(marked | tr '\n' ' ')"; }

now() { date +%s%N; }
took() {
    took=$((($(now) - $1) / 1000000))
    [ $took -le "$2" ]
}

# The command gives a job a second to end, and a person two signals. Where this machine lets
# somebody wait for longer than that, a try says nothing.
sooner_or_later() {
    local tries=10
    until "$@"; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || return 1
    done
}

# Sanitizers take memory and descriptors of their own.
is_sanitized() { grep -q -a -e __asan_init -e __tsan_init "$MANY"; }

finish() {
    [ $wrong -eq 0 ] && [ $case_number -gt 0 ]
    exit
}
