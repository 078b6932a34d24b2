# SPDX-License-Identifier: MIT
# A stdout that is closed, full, or not read any more: a clear message or a quiet end.
. "$(dirname "$0")/_lib.sh"

# Nobody reads any more: quiet, and nothing is left running. There is more to print than fits into a
# pipe whose reader is late.
run bash -c '"$0" map -j 2 -c "echo \$1; [ \$1 != 3 ] || exec sleep $NAP" "$1" < <(seq 1000000) |
    head -n 1
    exit ${PIPESTATUS[0]}' "$MANY" "$marker"
is_status 141
[ "$(wc -l <out)" -eq 1 ] || fail "not one line"
is_err ''
nothing_left
# With what the jobs have started, and in order.
run bash -c '"$0" map -k -j 3 -c "seq 2000; [ \$1 != 30 ] || { sleep $NAP & wait; }" "$1" \
    < <(seq 100) | head -n 1' "$MANY" "$marker"
is_err ''
nothing_left
run bash -c '"$0" map -c "echo \$1 >&2" "$1" < <(seq 1000000) 2>&1 >/dev/null | head -n 1
    exit ${PIPESTATUS[0]}' "$MANY" "$marker"
is_status 141
nothing_left

# Full.
for order in '' -k; do
    run bash -c '"$0" map '"$order"' -j 2 -c "echo \$1; [ \$1 != 3 ] || exec sleep $NAP" "$1" \
        < <(seq 100) >/dev/full' "$MANY" "$marker"
    is_status 255
    has_err '^many map: cannot write to stdout: No space left'
    [ "$(wc -l <err)" -eq 1 ] || fail "not one line"
    nothing_left
done
run bash -c '"$0" map true ::: a b >/dev/full' "$MANY"
is_status 0
run bash -c '"$0" map false ::: a b 2>/dev/full' "$MANY"
is_status 255
# A file that may not grow: what fits is there, the rest is told.
run bash -c 'trap "" XFSZ; ulimit -f 1; "$0" map -j 1 -c "head -c 700 /dev/zero | tr \"\\0\" x" \
    ::: a b c >file' "$MANY"
is_status 255
has_err '^many map: cannot write to stdout: File too large'

# Closed.
run bash -c '"$0" map echo ::: a b >&-' "$MANY"
is_status 255
has_err '^many map: cannot write to stdout: Bad file descriptor'
run bash -c '"$0" map touch ::: a b >&-' "$MANY"
is_status 0
[ -e a ] || fail "jobs without output did not run"
run bash -c '"$0" map -k echo ::: a b 2>&-' "$MANY"
is_status 0
is_out $'a\nb\n'
run bash -c '"$0" map -k -c "echo \$1; echo error >&2; exit 1" ::: a b 2>&-' "$MANY"
is_status 2
is_out $'a\nb\n'
# All combinations: never does one job's output go where it should not.
printf 'a\nb\n' >items
for closed in '<&-' '>&-' '2>&-' '<&- >&-' '<&- 2>&-' '>&- 2>&-' '<&- >&- 2>&-'; do
    rm -f made-*
    run bash -c '"$0" map -c "ls /proc/self/fd >made-\$1" ::: a b '"$closed" "$MANY"
    is_status 0
    for made in made-a made-b; do
        [ "$(grep -c -x '[012]' $made)" -eq 3 ] || fail "$closed: a job lacks one of 0 to 2"
    done
done

# A reader that is slow, and one that set its end non-blocking: nothing is lost.
run bash -c '"$0" map -k -j 4 -c "seq -f \"\$1 %g\" 5000" < <(seq 20) | { sleep 0.5; cat; }' "$MANY"
is_status 0
for item in $(seq 20); do seq -f "$item %g" 5000; done | cmp -s - out || fail "not all came out"
if type python3 >/dev/null 2>&1; then
    run python3 -c '
import os, subprocess, sys, time
reading, writing = os.pipe()
os.set_blocking(writing, False)
many = subprocess.Popen([sys.argv[1], "map", "-k", "seq", "-f", "{} %g", "20000"],
                        stdin=subprocess.PIPE, stdout=writing)
os.close(writing)
many.stdin.write(b"1\n2\n3\n")
many.stdin.close()
many.poll()
while True:
    piece = os.read(reading, 65536)
    if not piece:
        break
    sys.stdout.buffer.write(piece)
sys.exit(many.wait())' "$MANY"
    is_status 0
    for item in 1 2 3; do seq -f "$item %g" 20000; done | cmp -s - out || fail "not all came out"
fi

finish
