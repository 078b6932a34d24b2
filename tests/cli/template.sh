# SPDX-License-Identifier: MIT
# '{}', no shell, -c, what a job finds.
. "$(dirname "$0")/_lib.sh"

run "$MANY" map -k echo '{}' ::: a b
is_out $'a\nb\n'
run "$MANY" map -k echo x '<{}>' '{}{}' 'a{}b{}c' y ::: 1
is_out $'x <1> 11 a1b1c y\n'
run "$MANY" map -k echo x ::: 1 2
is_out $'x 1\nx 2\n'
run "$MANY" map -k echo '{' '}' '{ }' ::: 1
is_out $'{ } { } 1\n'
run "$MANY" map -k echo '{}' ::: '{}'
is_out $'{}\n'
run "$MANY" map -k printf '%s|' '{}' '-{}-' ::: '' $'a\tb'
is_out $'|--|a\tb|-a\tb-|'

# In COMMAND, also as a part of it.
run "$MANY" map -k '{}' x ::: echo printf
is_out $'x\nx'
ln -s "$(type -P echo)" my-echo
run "$MANY" map -k './my-{}' '{}' ::: echo
is_out $'echo\n'

# No shell: nothing in an item means anything.
run "$MANY" map -k echo ::: '$HOME' '`id`' '; false' '*' 'a && b' '"' "'" '\' '>file'
is_status 0
is_out $'$HOME\n`id`\n; false\n*\na && b\n"\n\'\n\\\n>file\n'
[ ! -e file ] || fail "a redirection was carried out"

# -c: a script, with the item as $1 and never as a part of its text.
run "$MANY" map -k -c 'printf "%s\n" "$1" | wc -c' ::: a 'b; echo injected' '$(echo injected)'
is_status 0
has_out '^2$'
! grep -q injected out || fail "an item was run"
run "$MANY" map -k --shell 'echo "$0 $# $1 $2 $3"' 'x{}' y ::: a
is_out $'many 3 a xa y\n'
run "$MANY" map -k -c 'echo {} "$1"' ::: a
is_out $'{} a\n'
run "$MANY" map -kc 'echo "$1"; exit 4' ::: a
is_status 1
has_err "^many: item 1 'a': exited with 4"

# Options end at COMMAND; -- ends them, too.
run "$MANY" map -k -j2 printf '%s ' -k --help ::: a
is_out '-k --help a '
run "$MANY" map -k -- echo a ::: b
is_out $'a b\n'

# A script without "#!" is one for sh, as execvp(3) has it.
printf 'echo "script $1 $2"\n' >script
chmod +x script
run "$MANY" map -k ./script x ::: a b
is_status 0
is_out $'script x a\nscript x b\n'
PATH=$PWD:$PATH run "$MANY" map -k script y ::: a
is_out $'script y a\n'
PATH=:/usr/bin:/bin run "$MANY" map -k script z ::: a
is_out $'script z a\n'

# stdin is empty, also where the items come from it.
run "$MANY" map -k -j1 -c 'echo "$1 $(wc -c)"' < <(printf 'a\nb\nc\n')
is_out $'a 0\nb 0\nc 0\n'

run "$MANY" map -j1 -c 'wc -c' ::: a < <(echo 'not for the jobs')
is_out $'0\n'

# A job gets descriptors 0 to 2 and no others; signals, mask and limits as they were.
exec 8</dev/null
run bash -c 'exec ls /proc/self/fd'
mv out plain
run "$MANY" map ls ::: /proc/self/fd
cmp -s plain out || fail "a job has other descriptors than its command alone: $(tr '\n' ' ' <plain)"
exec 8<&-
if ! is_sanitized; then
    (ulimit -Sn 64; "$MANY" map -j 20 -c 'ulimit -n' < <(seq 40)) | sort -u >out
    is_out $'64\n'
fi
for setting in : "trap '' PIPE" "trap '' INT QUIT" "trap '' CHLD"; do
    bash -c "$setting; exec grep -e ^SigIgn -e ^SigBlk -e ^SigCgt /proc/self/status" >plain
    run bash -c "$setting"'; exec "$0" map grep -e ^SigIgn -e ^SigBlk -e ^SigCgt ::: \
        /proc/self/status' "$MANY"
    cmp -s plain out || fail "after $setting a job has other signals: $(cat plain)"
done
run bash -c 'trap "" CHLD; exec "$0" map -c "exit 3" ::: a b' "$MANY"
is_status 2
has_err "item 1 'a': exited with 3"

finish
