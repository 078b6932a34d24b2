# SPDX-License-Identifier: MIT
# Little memory, few descriptors, few processes.
. "$(dirname "$0")/_lib.sh"

# Memory does not grow with the number of items.
if ! is_sanitized; then
    # Its last job reads how much it was.
    cat >look <<'END'
grep VmHWM "/proc/$PPID/status"
END
    # peak ITEMS OPTION...: sets $peak, in KiB.
    peak() {
        local items=$1
        shift
        run "$MANY" map -j 2 "$@" '{}' look < <(yes true | head -n "$items"; echo sh)
        is_status 0
        peak=$(awk '/VmHWM/ { print $2 }' out)
    }
    # How much of its own text is there varies a little with what else is in memory: a second look.
    grows_not() {
        peak 1000 "$1"
        few=$peak
        peak 4000 "$1"
        [ "$peak" -lt 6144 ] && [ "$peak" -lt $((few + 256)) ]
    }
    for order in --no-bar -k; do
        grows_not $order || grows_not $order || grows_not $order ||
            fail "$few KiB for 1000 items, $peak for 4000"
    done
fi

# Descriptors: as many workers as there is room for, or a clear word.
run bash -c 'ulimit -n 100; "$0" map -j 8 -k echo' "$MANY" < <(seq 300)
is_status 0
seq 300 | cmp -s - out || fail "not all came out with 100 descriptors"
run bash -c 'ulimit -n 64; "$0" map -j 20 echo ::: $(seq 30)' "$MANY"
is_status 255
has_err '^many map: --workers 20 needs .* descriptors, and there are 64'
# The soft limit is raised, if need be; jobs do not see that.
run bash -c 'ulimit -S -n 64; "$0" map -j 20 -k -c "ulimit -S -n" ::: $(seq 30)' "$MANY"
is_status 0
[ "$(sort -u out)" = 64 ] || fail "a job has another limit: $(sort -u out)"
# All that is left over is taken by others for a while: it waits, and goes on.
if ! is_sanitized && type python3 >/dev/null 2>&1; then
    run python3 -c '
import os, resource, subprocess, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
taken = [os.dup(0) for _ in range(150)]
many = subprocess.run([sys.argv[1], "map", "-j", "2", "-k", "echo"] , pass_fds=taken,
                      input=b"".join(b"%d\n" % i for i in range(100)), stdout=subprocess.PIPE)
sys.stdout.buffer.write(many.stdout)
sys.exit(many.returncode)' "$MANY"
    is_status 0
    seq 0 99 | cmp -s - out || fail "not all came out with few descriptors"
fi

# Processes: a user that may have no more of them. Root may always; a sanitizer's own thread counts.
if ! is_sanitized && [ "$(id -u)" -eq 0 ] && type setpriv >/dev/null 2>&1; then
    chmod 755 . && cp "$MANY" many-copy && chmod 755 many-copy
    # Of nobody else: processes are counted by it.
    user=$((20000 + $$ % 40000))
    run setpriv --reuid $user --clear-groups bash -c 'ulimit -u 6; ./many-copy map -j 2 -k echo' \
        < <(seq 10)
    is_status 0
    seq 10 | cmp -s - out || fail "not all came out with few processes"
fi

# More workers than items, more items than workers.
run "$MANY" map -j 500 -k echo ::: a b
is_out $'a\nb\n'
run "$MANY" map -j 200 -k echo < <(seq 400)
is_status 0
seq 400 | cmp -s - out || fail "not all came out of 200 workers"

finish
