# SPDX-License-Identifier: MIT
# The bar: on a terminal, and nowhere else unless it is asked for; it never spoils the output.
. "$(dirname "$0")/_lib.sh"

# No terminal, no bar.
run "$MANY" map true ::: a b
is_err ''
run "$MANY" map --desc words true ::: a b
is_err ''
run "$MANY" map --bar --desc words true ::: a b
is_status 0
has_err '^words: 100%|.*| 2/2 \['
run "$MANY" map --bar --no-bar true ::: a b
is_err ''

type script >/dev/null 2>&1 || skip "script(1) is not there"

# on_terminal COMMAND-LINE: both streams are one terminal of 60 columns; what it got is in out.
on_terminal() {
    ran=$1
    case_number=$((case_number + 1))
    MANY=$MANY script -qefc "stty cols 60 rows 24; $1" /dev/null </dev/null >out 2>err
    status=$?
}
# What is on the screen in the end: what stands behind the last return of each line.
screen() { sed -e 's/\r*$//' -e 's/.*\r//' -e 's/\x1b\[[0-9;?]*[A-Za-z]//g' out; }

# seen TEXT: wait until the terminal has got it, for a minute.
cat >seen <<'END'
looks=0
until grep -q -a -e "$1" out || [ $looks -gt 3000 ]; do
    looks=$((looks + 1))
    sleep 0.02
done
END

on_terminal '"$MANY" map -j 1 --desc words -c "[ \$1 != c ] || sh seen 67%" ::: a b c'
is_status 0
grep -q $'\r' out || fail "no bar on a terminal"
screen | grep -q '^words: 100%|██*| 3/3 \[' || fail "no whole bar in the end: $(screen)"
grep -q '67%' out || fail "the bar did not move"

# Other encodings get none of that.
on_terminal 'LC_ALL=C "$MANY" map sleep ::: 0.3 0 0'
! LC_ALL=C grep -q $'[\x80-\xff]' out || fail "not ASCII"
screen | grep -q '^100%|##*| 3/3 \[' || fail "no bar in ASCII: $(screen)"

on_terminal '"$MANY" map --no-bar echo ::: a b'
! grep -q '%' out || fail "--no-bar is ignored"

# Lines that are printed meanwhile are whole, and each is there once. They end as the bar is drawn.
on_terminal '"$MANY" map -k -j 2 -c "sleep 0.1; echo line \$1; echo error \$1 >&2" ::: 1 2 3 4 5 6'
screen >shown
for i in 1 2 3 4 5 6; do
    [ "$(grep -c -x "line $i" shown)" -eq 1 ] || fail "line $i is not whole: $(cat shown)"
    [ "$(grep -c -x "error $i" shown)" -eq 1 ] || fail "error $i is not whole: $(cat shown)"
done
[ "$(grep -c '%' shown)" -eq 1 ] || fail "not one bar is left: $(cat shown)"
tail -n 1 shown | grep -q '100%' || fail "the bar is not the last line: $(cat shown)"
# Also output that does not end its line.
on_terminal '"$MANY" map -k -j 2 -c "sleep 0.1; printf \"half %s\" \$1" ::: 1 2 3'
screen >shown
for i in 1 2 3; do
    [ "$(grep -c -x "half $i" shown)" -eq 1 ] || fail "half $i is not whole: $(cat shown)"
done
# No line is wider than the terminal.
on_terminal '"$MANY" map --desc "$(seq -s " " 50)" sleep ::: 0.2 0.1'
tr '\r' '\n' <out | sed 's/\x1b\[[0-9;?]*[A-Za-z]//g' | awk 'length > 60 { exit 1 }' ||
    fail "the bar is wider than the terminal"

# Failures show, and are told in lines of their own.
on_terminal '"$MANY" map -k -c "sleep 0.2; exit \$1" ::: 0 3 0'
is_status 1
screen >shown
grep -q -x "many: item 2 '3': exited with 3" shown || fail "no line for the failure: $(cat shown)"
grep -q '%.*1 failed' shown || fail "the bar does not show it: $(cat shown)"
tail -n 1 shown | grep -q -x 'many: 1 of 3 items failed' || fail "no last line: $(cat shown)"

# The output is a pipe, the bar is on the terminal: neither is in the other's way.
on_terminal '"$MANY" map -k -j 2 -c "sleep 0.1; echo line \$1" ::: 1 2 3 | cat >piped'
printf 'line 1\nline 2\nline 3\n' | cmp -s - piped || fail "the pipe got something else"
screen | grep -q '100%' || fail "no bar"

# The total is known as soon as stdin has ended, long before the items are done.
on_terminal 'printf "a\nb\nc\n" | "$MANY" map -j 1 -c "[ \$1 = a ] || sh seen 1/3"'
grep -q '33%|.*1/3' out || fail "no total while it ran"

# Ctrl-C on the terminal.
on_terminal '"$MANY" map -j 1 sh -c "kill -INT \$PPID; sleep $NAP" ::: a'
is_status 130
screen | tail -n 1 | grep -q -x 'many: interrupted: 0 of 1 done' || fail "no last line: $(screen)"

finish
