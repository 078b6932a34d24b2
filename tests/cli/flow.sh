# SPDX-License-Identifier: MIT
# Items are taken as they come; the input may be slow, or endless.
. "$(dirname "$0")/_lib.sh"

# The first output is there while the writer still holds the fifo open.
mkfifo items results
case_number=1
"$MANY" map echo got <items >results 2>err &
many=$!
exec 7>items 8<results
echo a >&7
read -r -t $((100 * slowness)) line <&8 || fail "no output while stdin is open"
[ "$line" = 'got a' ] || fail "got '$line'"
# Half a line is not an item yet; its end makes it one.
printf 'hal' >&7
printf 'f\nb\n' >&7
read -r -t $((100 * slowness)) one <&8
read -r -t $((100 * slowness)) two <&8
[ "$(printf '%s\n' "$one" "$two" | sort | tr '\n' ' ')" = 'got b got half ' ] ||
    fail "got '$one' and '$two'"
printf 'last' >&7
exec 7>&-
read -r -t $((100 * slowness)) line <&8 || fail "the last line without a newline was lost"
[ "$line" = 'got last' ] || fail "got '$line'"
wait $many || fail "exit status $?"
exec 8<&-

# It sleeps while there is nothing to do.
"$MANY" map echo <items >out 2>err &
many=$!
exec 7>items
echo a >&7
until_true test -s out
ticks() { awk '{ print $14 + $15 }' /proc/$many/stat; }
before=$(ticks)
sleep 1
after=$(ticks)
[ $((after - before)) -lt 20 ] || fail "$((after - before)) ticks of CPU time with nothing to do"
exec 7>&-
wait $many

# stdin stays as it was: nobody who shares it finds it non-blocking.
"$MANY" map echo <items >out 2>err &
many=$!
exec 7>items
echo a >&7
until_true test -s out
flags=$(awk '/^flags/ { print $2 }' /proc/$many/fdinfo/0)
[ $((flags & 04000)) -eq 0 ] || fail "stdin became non-blocking"
exec 7>&-
wait $many
# And a stdin that is non-blocking is read all the same.
if type python3 >/dev/null 2>&1; then
    run python3 -c '
import os, subprocess, sys
reading, writing = os.pipe()
os.set_blocking(reading, False)
many = subprocess.Popen([sys.argv[1], "map", "-k", "echo"], stdin=reading, stdout=subprocess.PIPE)
os.close(reading)
os.write(writing, b"a\n")
first = many.stdout.readline()
os.write(writing, b"b\n")
os.close(writing)
sys.stdout.buffer.write(first + many.stdout.read())
sys.exit(many.wait())' "$MANY"
    is_status 0
    is_out $'a\nb\n'
fi

# An endless input, and an end of the output.
run bash -c 'yes "$1" | "$0" map -j2 echo | head -n 3' "$MANY" "$marker"
is_out "$marker
$marker
$marker
"
is_err ''
nothing_left
run bash -c 'yes | "$0" map -j1 --stop false' "$MANY"
is_status 1
# Of two that run at once both may fail before either is seen.
run bash -c 'yes | "$0" map -j2 --stop false' "$MANY"
[ "$status" -eq 1 ] || is_status 2

finish
