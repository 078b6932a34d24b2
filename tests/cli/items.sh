# SPDX-License-Identifier: MIT
# Where items come from: ':::' or stdin; what an item may be.
. "$(dirname "$0")/_lib.sh"

run "$MANY" map -k echo ::: a 'b c' ''
is_status 0
is_out $'a\nb c\n\n'

# Words behind ':::' are items whatever they look like.
run "$MANY" map -k echo got ::: ::: --stop -j
is_out $'got :::\ngot --stop\ngot -j\n'

# Nothing behind ':::' is nothing to do, and stdin is left alone.
run "$MANY" map -k echo ::: < <(echo from stdin)
is_status 0
is_out ''

run "$MANY" map -k echo < <(printf 'a\nb  c\n d \n')
is_status 0
is_out $'a\nb  c\n d \n'

# A last line without a newline counts; an empty one is an item.
run "$MANY" map -k printf '[%s]' < <(printf 'a\n\nb')
is_out '[a][][b]'
run "$MANY" map -k printf '[%s]' < <(printf '\n')
is_out '[]'
run "$MANY" map -k printf '[%s]' </dev/null
is_status 0
is_out ''
is_err ''

# NUL-separated items may hold newlines, and everything else.
run "$MANY" map -0 -k printf '[%s]' < <(printf 'a\nb\0\0 \t\\"'"'"'$(x)\0end')
is_out $'[a\nb][][ \t\\"\'$(x)][end]'

# Any byte but the separator.
awk 'BEGIN { for (i = 1; i < 256; i++) if (i != 10) printf "%c", i; printf "\n" }' >bytes
LC_ALL=C awk 'BEGIN { for (i = 1; i < 256; i++) if (i != 10) printf "%c", i; printf "\n" }' >bytes
run "$MANY" map -k echo <bytes
cmp -s bytes out || fail "bytes are not the same"

# A NUL within a line cannot be part of an argument: that item fails, the others do not.
run "$MANY" map -k echo < <(printf 'a\nb\0c\nd\n')
is_status 1
is_out $'a\nd\n'
has_err "^many: item 2 'b.x00c': .*NUL"

# Long lines: 100 000 bytes are an argument, 200 000 are too many for the kernel, and an endless
# one takes no memory.
long() { head -c "$1" /dev/zero | tr '\0' x; }
run "$MANY" map -k sh -c 'printf "%s\n" ${#1}' sh < <(long 100000; echo; echo; long 131071)
is_status 0
is_out $'100000\n0\n131071\n'
run "$MANY" map -k sh -c 'printf "%s\n" ${#1}' sh \
    < <(echo a; long 131072; echo; echo b; long 3000000; echo; echo cc; long 200000)
is_status 3
is_out $'1\n1\n2\n'
has_err "^many: item 2 'x*\.\.\.': too long for a command line"
has_err "^many: item 4 "
has_err "^many: item 6 "
has_err '^many: 3 of 6 items failed'
run "$MANY" map -k echo 'x{}{}' ::: "$(long 70000)" b
is_status 1
has_err '^many: item 1 .*too long'
is_out $'xbb\n'
run bash -c '(ulimit -v 400000; head -c 300000000 /dev/zero | tr "\0" y | "$0" map true)' "$MANY"
is_sanitized || { is_status 1; has_err '^many: 1 of 1 items failed'; }

# More than the buffer holds (1 MiB): each once and whole, at its borders, too.
seq 1 3000 | sed "s/\$/$(printf ' and more%.0s' $(seq 60))/" >lines
run "$MANY" map -j4 -k -c 'echo "$1"' <lines
is_status 0
cmp -s lines out || fail "the lines are not the same"
seq 1 3000 >numbers
run "$MANY" map -j4 echo <numbers
sort -n out | cmp -s - numbers || fail "not every number came out once"
is_status 0

# stdin that cannot be read.
run "$MANY" map echo </
is_status 255
has_err '^many map: cannot read items from stdin: Is a directory'
run "$MANY" map echo <&-
is_status 255
has_err '^many map: stdin is closed'
run "$MANY" map echo ::: a <&-
is_status 0
is_out $'a\n'

finish
