# SPDX-License-Identifier: MIT
# Help, version, and wrong usage: a clear message and 255.
manual=$(realpath "$(dirname "$0")/../../cli/many.1.md")
. "$(dirname "$0")/_lib.sh"

run "$MANY" --version
is_status 0
has_out '^many [0-9]*\.[0-9]*\.[0-9]*$'
is_err ''
run "$MANY" map --version
is_status 0
has_out '^many [0-9]'
run "$MANY" --help
is_status 0
has_out 'many map'
is_err ''
for help in --help -h; do
    run "$MANY" map "$help"
    is_status 0
    is_err ''
    for option in '-j, --workers N' '-k, --keep-order' '-0, --null' '-c, --shell' --stop \
        '--retries N' '--limit SECONDS' --bar --no-bar '--desc TEXT'; do
        has_out "^  *$option "
    done
    has_out 'empty line is an item'
    awk 'length > 100 { exit 1 }' out || fail "a line of the help is too wide"
done
# The manual has every option that the help has.
"$MANY" map --help | grep -o -e '^  [ -].*--[a-z-]*' | grep -o -e '--[a-z-]*' >names
[ -s names ] || fail "the help has no options"
while read -r name; do
    grep -q -e "^\`.*$name\`" "$manual" || fail "the manual lacks $name"
done <names
run bash -c '"$0" map --help >/dev/full' "$MANY"
is_status 255
has_err 'cannot write to stdout: No space left'

# wrong REGEX ARGUMENT...: 255, the bad thing is named, nothing is run, nothing is on stdout.
wrong_usage() {
    local regex=$1
    shift
    run "$MANY" "$@"
    is_status 255
    has_err "$regex"
    is_out ''
    [ ! -e ran ] || fail "$ran: something was run"
}
wrong_usage '^many: a command is missing'
wrong_usage "^many: there is no command 'mapp'.*many --help" mapp
wrong_usage '^many map: COMMAND: .*many map --help' map
wrong_usage '^many map: COMMAND: ' map -j2 ::: a
wrong_usage '^many map: COMMAND: ' map '' ::: a
wrong_usage '^many map: COMMAND: ' map -c '' ::: a
wrong_usage "^many map: option '--nonsense'.*many map --help" map --nonsense touch ::: ran
wrong_usage "^many map: option '-Z'" map -Z touch ::: ran
wrong_usage "^many map: option '-Z'" map -kZ touch ::: ran
wrong_usage "^many map: option '--workers': its value is missing" map --workers
wrong_usage "^many map: option '-j': its value is missing" map -j
wrong_usage "^many map: option '--stop=1': it takes no value" map --stop=1 touch ::: ran
for number in 0 -1 4097 x 2x 1.5 '' 99999999999999999999; do
    wrong_usage "^many map: --workers '$number': .*1 to 4096" map -j "$number" touch ::: ran
done
for number in -1 x 65001; do
    wrong_usage "^many map: --retries '$number': .*0 to 65000" map --retries "$number" touch ::: ran
done
for seconds in 0 -1 x nan inf 1s ''; do
    wrong_usage "^many map: --limit '$seconds': .*seconds" map --limit "$seconds" touch ::: ran
done
wrong_usage '^many map: --null' map -0 touch ::: ran

# Long options, short ones, both ways to give a value, and short ones together.
for workers in '-j 2' -j2 '--workers 2' --workers=2; do
    # shellcheck disable=SC2086
    run "$MANY" map $workers -k echo ::: a b
    is_status 0
    is_out $'a\nb\n'
done
run "$MANY" map -kcj2 'echo "$1"' ::: a b
is_out $'a\nb\n'

finish
