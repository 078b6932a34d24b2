# common.sh - what the scripts share; sourced by them
# shellcheck shell=bash disable=SC2034

set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
jobs=$(nproc 2>/dev/null || echo 2)
# Warnings of a compiler that we have never seen must not stop a user; ours stop us.
werror=OFF
[ -n "${CI:-}" ] && werror=ON
logs=build/log

passed=0
failed=0
skipped=0

say() {
    printf '%s\n' "$*"
}

# part NAME COMMAND...: one named test. Its output goes to a log, which is shown if it fails.
# Exit status 77: skipped.
part() {
    local name=$1 start=$SECONDS status
    shift
    mkdir -p "$logs"
    "$@" >"$logs/$name.log" 2>&1 </dev/null
    status=$?
    case $status in
    0)
        passed=$((passed + 1))
        say "ok      $name ($((SECONDS - start)) s)"
        ;;
    77)
        skipped=$((skipped + 1))
        say "skipped $name: $(tail -n 1 "$logs/$name.log")"
        ;;
    *)
        failed=$((failed + 1))
        tail -n 100 "$logs/$name.log"
        say "FAILED  $name ($((SECONDS - start)) s; all of its output: $logs/$name.log)"
        ;;
    esac
    return $((status != 0))
}

# verdict: the last line, and the exit status.
verdict() {
    if [ "$skipped" -gt 0 ]; then
        say "$passed passed, $failed failed, $skipped skipped"
    else
        say "$passed passed, $failed failed"
    fi
    [ "$failed" -eq 0 ]
}
