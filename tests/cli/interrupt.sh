# SPDX-License-Identifier: MIT
# Signals: the first one ends the jobs and keeps what is done; the second kills.
. "$(dirname "$0")/_lib.sh"

# begin ARGUMENT...: in the background, until $marker-ready is there; $many is its process.
begin() {
    rm -f ready
    ran="$*"
    case_number=$((case_number + 1))
    "$MANY" map "$@" >out 2>err &
    many=$!
    until_true test -e ready || { fail "$ran: did not begin"; exit; }
}
end() {
    wait "$many"
    status=$?
}

# Items 1 and 2 end; 3 and 4 would run for ever.
jobs='echo "$1"; [ "$1" -lt 3 ] || { [ "$1" != 4 ] || : >ready; exec sleep $NAP; }'
for signal in 'INT 130' 'TERM 143' 'HUP 129'; do
    for order in --no-bar -k; do
        begin "$order" -j 2 -c "$jobs" "$marker" ::: 1 2 3 4 5 6
        kill "-${signal% *}" $many
        end
        none_marked || fail "jobs are left when it has ended"
        is_status "${signal#* }"
        [ "$(sort out | tr '\n' ' ')" = '1 2 ' ] || fail "not what was done is printed"
        [ "$(wc -l <err)" -eq 1 ] || fail "not one line on stderr"
    done
done
begin -j 2 -c "$jobs" "$marker" ::: 1 2 3 4 5 6
kill -INT $many
end
is_err $'many: interrupted: 2 of 6 done\n'

# It is over in a moment; SIGKILL would come after 1000 ms.
over_in_a_moment() {
    begin -j 2 -c "$jobs" "$marker" ::: 1 2 3 4 5 6
    before=$(now)
    kill -INT $many
    end
    took "$before" 900
}
sooner_or_later over_in_a_moment || fail "$ran: that took $took ms"

# With what the jobs have started, also if that is deaf to SIGTERM.
begin -c '(trap "" TERM; while :; do sleep 0.05; done) & sleep $NAP & : >ready; wait' "$marker" ::: a
kill -INT $many
end
is_status 130
nothing_left # they have been killed; dying may take them a while

# Who asks gets a moment to clean up.
time_to_clean_up() {
    begin -c 'trap "sleep 0.2; echo clean >cleaned; exit 0" TERM; : >ready; sleep $NAP & wait' \
        "$marker" ::: a
    kill -INT $many
    end
    is_status 130
    has_err '^many: interrupted: 0 of 1 done'
    nothing_left
    [ "$(cat cleaned 2>/dev/null)" = clean ]
}
sooner_or_later time_to_clean_up || fail "no time to clean up"

# While it waits for items.
mkfifo items
rm -f ready
"$MANY" map -c ': >ready; echo "$1"' <items >out 2>err &
many=$!
exec 7>items
echo a >&7
until_true test -s out
kill -INT $many
end
exec 7>&-
is_status 130
is_out $'a\n'
is_err $'many: interrupted: 1 done\n'

# While nobody reads what it prints: what was not read is lost, and it ends all the same.
mkfifo results
exec 8<>results
rm -f ready
"$MANY" map -j 2 -c '[ "$1" != d ] || : >ready; head -c 500000 /dev/zero' "$marker" ::: a b c d \
    >results 2>err &
many=$!
until_true test -e ready || fail "$ran: did not begin"
sleep 0.1
kill -INT $many
end
exec 8<&-
is_status 130
nothing_left

# The second one kills it at once, and the jobs go with it, and what they have started. A job that
# is deaf to the SIGTERM notes that it has come: the first one has been seen then.
killed_by_the_second() {
    rm -f noted
    begin -c 'trap ": >noted" TERM; : >ready; while :; do sleep 0.05; done' "$marker" ::: a b
    before=$(now)
    kill -INT $many
    until_true test -e noted || fail "$ran: no SIGTERM came"
    kill -INT $many
    end
    nothing_left
    is_status 130
    [ ! -s err ] && took "$before" 900
}
sooner_or_later killed_by_the_second || fail "$ran: that took $took ms"

# Failures before it are told.
begin -j 1 -c '[ "$1" = 2 ] || exit 1; : >ready; exec sleep $NAP' "$marker" ::: 1 2 3
kill -INT $many
end
is_status 130
has_err "^many: item 1 '1': exited with 1"
has_err '^many: interrupted: 0 of 3 done, 1 failed'

# nohup means what it says.
rm -f ready go
(trap '' HUP; exec "$MANY" map -c ': >ready; until [ -e go ]; do sleep 0.02; done; echo "$1"' ::: a \
    >out 2>err) &
many=$!
until_true test -e ready || fail "$ran: did not begin"
kill -HUP $many
: >go
end
is_status 0
is_out $'a\n'

finish
