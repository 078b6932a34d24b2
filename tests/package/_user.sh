# _user.sh - what the package tests share; sourced by them
#
# ctest gives: SOURCE, BUILD (folders), CMAKE, CC (programs). Leaves: $work, an empty folder that
# goes with the test; install_to FOLDER.
# shellcheck shell=bash disable=SC2034
set -eu
: "${SOURCE:?}" "${BUILD:?}" "${CMAKE:?}" "${CC:?}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
user=$SOURCE/tests/package/user
warnings="-Wall -Wextra -Wpedantic -Werror"

install_to() {
    "$CMAKE" --install "$BUILD" --prefix "$1" >/dev/null
}

# says PROGRAM...: its output is what the user's program prints.
says() {
    local said
    said=$("$@")
    if [ "$said" != "0 1 4 9 16 25 36 49 64 81" ]; then
        echo "$* printed: $said"
        return 1
    fi
}
