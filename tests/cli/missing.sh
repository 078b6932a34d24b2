# SPDX-License-Identifier: MIT
# A command that does not exist or cannot be run: one clear line, and nothing runs.
. "$(dirname "$0")/_lib.sh"

# cannot REGEX COMMAND...
cannot() {
    local regex=$1
    shift
    run "$MANY" map "$@" < <(seq 10000)
    is_status 255
    has_err "$regex"
    [ "$(wc -l <err)" -eq 1 ] || fail "$ran: more than one line"
    is_out ''
}
cannot "^many map: cannot run 'no-such-command': No such file.*PATH" no-such-command
cannot "^many map: cannot run '/no/such/command': No such file" /no/such/command x
cannot "^many map: cannot run './no-such': No such file" ./no-such
cannot "^many map: cannot run '/': Is a directory" /
touch no-program
cannot "^many map: cannot run './no-program': Permission denied" ./no-program
PATH=$PWD:$PATH cannot "^many map: cannot run 'no-program': Permission denied" no-program

# What only shows when it is run.
printf '#!/no/such/interpreter\n' >no-interpreter
chmod +x no-interpreter
cannot "^many map: cannot run './no-interpreter': No such file.*interpreter" ./no-interpreter
cannot "^many map: cannot run './no-interpreter': No such file.*interpreter" -k ./no-interpreter

# It is told at once, before the first item is there.
mkfifo fifo
exec 7<>fifo
run "$MANY" map no-such-command <fifo
is_status 255
exec 7<&-

# Where the command differs from item to item, each is told.
run "$MANY" map -k '{}' x ::: echo no-such-command ./no-program echo
is_status 2
is_out $'x\nx\n'
has_err "^many: item 2 'no-such-command': cannot be run: No such file"
has_err "^many: item 3 './no-program': cannot be run: Permission denied"
has_err '^many: 2 of 4 items failed'

finish
