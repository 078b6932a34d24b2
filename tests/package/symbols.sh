#!/usr/bin/env bash
# symbols.sh - the library needs libc alone, cannot abort, exit or print to stdout, and keeps no
# state but what is named here
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/_user.sh"

status=0

# Nothing but libc (and its loader, for thread-local storage).
readelf -d "$BUILD/libmany.so" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' >"$work/needed"
if grep -v -E '^(libc|libpthread|libdl|ld-linux.*)\.so' "$work/needed"; then
    echo "are needed besides libc"
    status=1
fi

never=(abort atexit exit quick_exit _Exit __assert_fail perror printf __printf_chk putchar puts
    signal sleep system usleep wait wait3)
nm -u "$BUILD/libmany.so" | awk '{ print $NF }' | sed 's/@.*//' | sort -u >"$work/used"
if printf '%s\n' "${never[@]}" | grep -x -F -f - "$work/used"; then
    echo "are used, and a library does not"
    status=1
fi

# Words that the whole process shares: what many_cancel_on_signal() was asked to install (cancel_); where
# the page is that a fork wipes, and what stands in for it (self_); records that are set up anew in each
# process (own_, client, list, record, lock, pools, current_, main_name); how many pools there were, for
# their names and their tasks' (options_numbered, tags); the terminals with bars and the streams of
# a child that prints above them (stages_first, guest_stream); the debug mode of the locks; and facts of
# the machine that are found out once (wait_cpus, places). A thread's
# own (its last message, its task) are thread-local; tables are constant (.data.rel.ro). The hook is
# there in a torture build only.
readelf -W -S "$BUILD/libmany.so" | sed 's/^ *\[ *//; s/\]//' >"$work/sections"
readelf -W -s "$BUILD/libmany.so" | awk '$4 == "OBJECT" { print $7, $8, $3 }' | sort -u |
    while read -r section name bytes; do
        kind=$(awk -v number="$section" '$1 == number { print $2 }' "$work/sections")
        case $kind in
        .data | .bss) echo "$name $bytes" ;;
        esac
    done | grep -v -E '^(completed\.[0-9]+|__dso_handle|__TMC_END__) ' | sort -u >"$work/words"
echo "words that can be written:"
cat "$work/words"
named='cancel_|many_fault_hook_ |self_|own_|client\.|list\.|record\.|current_|main_name |stages_first '
named="$named|guest_stream |many_debug_mode_ |many_self_word_ |wait_cpus |places\.|lock\.|pools\.|options_numbered |tags\."
if grep -v -E "^($named)" "$work/words"; then
    echo "are global and written, and not named in this test"
    status=1
fi
exit $status
