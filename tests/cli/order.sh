# SPDX-License-Identifier: MIT
# Grouped and ordered output.
. "$(dirname "$0")/_lib.sh"

# As they end: the slow one waits until the others have been printed.
run "$MANY" map -j 2 -c '[ "$1" != slow ] || until [ "$(grep -c -x "[bcd]" out)" = 3 ]; do
        sleep 0.01
    done
    echo "$1"' ::: slow b c d
is_status 0
[ "$(tail -n 1 out)" = slow ] || fail "the slow one is not at the end"

# In order: nothing before the slow one, and yet the others are not held up, more of them than any
# window has room for: else the slow one would wait for ever.
rm -f go
run "$MANY" map -k -j 2 -c 'if [ "$1" = 1 ]; then
        until [ -e go ]; do sleep 0.01; done
    fi
    [ "$1" != 1500 ] || : >go
    echo "$1"; echo "e$1" >&2' < <(seq 1500)
is_status 0
seq 1500 | cmp -s - out || fail "not in order"
seq -f 'e%g' 1500 | cmp -s - err || fail "stderr is not in order"

# They hold no descriptors and no memory meanwhile, and leave no file. 40 MB of output wait.
mkdir folder
TMPDIR=$PWD/folder "$MANY" map -k -j 2 -c 'if [ "$1" = 1 ]; then
        until [ -e go2 ]; do sleep 0.01; done
    else
        head -c 200000 /dev/zero | tr "\0" "x"
    fi
    echo; echo "$1" >>ended' < <(seq 200) >out 2>err &
many=$!
all_but_one_ended() { [ "$(wc -l <ended)" -eq 199 ]; }
until_true all_but_one_ended || fail "the slow one holds the others up"
descriptors=$(find /proc/$many/fd -mindepth 1 | wc -l)
is_sanitized || [ "$descriptors" -lt 40 ] || fail "$descriptors descriptors are open"
find /proc/$many/fd -lname "$PWD/folder/*" | grep -q . || fail "nothing waits below TMPDIR"
memory=$(awk '/^RssAnon/ { print $2 }' /proc/$many/status)
is_sanitized || [ "$memory" -lt 8192 ] || fail "$memory KiB of memory"
: >go2
wait $many || fail "exit status $?"
[ "$(wc -c <out)" -eq $((199 * 200000 + 200)) ] || fail "$(wc -c <out) bytes came out"
[ -z "$(ls folder)" ] || fail "a file was left"

# Messages are in order, too; so it is with nothing printed, and with failures.
run bash -c '"$0" map -k -j 3 -c "[ \$1 != 1 ] || sleep 0.3; [ \$((\$1 % 3)) != 0 ] || exit 1
    [ \$((\$1 % 2)) != 0 ] || echo \$1" 2>&1 < <(seq 7)' "$MANY"
is_out "2
many: item 3 '3': exited with 1
4
many: item 6 '6': exited with 1
many: 2 of 7 items failed
"
# Where files cannot be made, memory will do.
TMPDIR=/no/such/folder run "$MANY" map -k -j 2 -c '[ $1 != 1 ] || sleep 0.3; echo $1' < <(seq 50)
is_status 0
seq 50 | cmp -s - out || fail "not in order without a TMPDIR"

# Where there is no room for what waits, that is told.
run bash -c 'trap "" XFSZ; ulimit -f 100; "$0" map -k -j 2 \
    -c "[ \$1 != 1 ] || sleep $NAP; head -c 60000 /dev/zero" "$1" < <(seq 100)' "$MANY" "$marker"
is_status 255
has_err '^many map: cannot write to .*TMPDIR.*: File too large'
nothing_left

# Grouped: 200 jobs of 20 lines, written one by one, come out whole, on both streams.
for order in '' -k; do
    # shellcheck disable=SC2086
    run "$MANY" map $order -j 8 -c 'i=0
        while [ $i -lt 20 ]; do
            echo "$1 line $i"; echo "$1 error $i" >&2
            i=$((i + 1))
        done' < <(seq 200)
    is_status 0
    for file in out err; do
        awk '{ if ($3 != (NR - 1) % 20) exit 1
               if ($3 == 0) { if (seen[$1]++) exit 1; item = $1 }
               if ($1 != item) exit 1 }
             END { if (NR != 4000) exit 1 }' $file || fail "$file is torn"
    done
done
seq 200 >plain
awk '$3 == 0 { print $1 }' out | cmp -s - plain || fail "blocks are not in order"

# stdout and stderr are one file: an item's two are in the order in which they were written.
run bash -c '"$0" map -k -j 4 -c "echo a\$1; echo b\$1 >&2; echo c\$1; echo d\$1 >&2" ::: 1 2 2>&1' \
    "$MANY"
is_out $'a1\nb1\nc1\nd1\na2\nb2\nc2\nd2\n'

# Who opens /dev/stdout anew adds to what comes after.
run "$MANY" map -c 'echo a >/dev/stdout; echo b; echo c >>/dev/stdout' ::: x
is_out $'a\nb\nc\n'

# Large output, and bytes of all kinds.
head -c 3000000 /dev/urandom >random
run "$MANY" map -j 2 cat ::: random
cmp -s random out || fail "3 MB are not the same"
run bash -c '"$0" map -j 2 -k cat ::: random random | cmp - <(cat random random)' "$MANY"
is_status 0
run bash -c '"$0" map -j 2 -k cat ::: random random >>added; cmp added <(cat random random)' "$MANY"
is_status 0

# What still runs in the background of a job when it ends is neither waited for nor ended.
run "$MANY" map -c 'sleep $NAP & echo $!' ::: "$marker"
is_status 0
kill -0 "$(cat out)" || fail "the background process was ended"
kill "$(cat out)"

finish
