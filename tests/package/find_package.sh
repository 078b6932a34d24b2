#!/usr/bin/env bash
# find_package.sh - a user's CMake project finds the installed package, shared and static
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/_user.sh"

install_to "$work/there"
"$CMAKE" -S "$user" -B "$work/build" -DCMAKE_C_COMPILER="$CC" \
    -DCMAKE_PREFIX_PATH="$work/there" -DCMAKE_C_FLAGS="-std=c11 $warnings"
"$CMAKE" --build "$work/build"
says "$work/build/with_shared"
says "$work/build/with_static"

# The command came along, and runs from where it is.
if [ -e "$BUILD/many" ]; then
    "$work/there/bin/many" --version
fi
