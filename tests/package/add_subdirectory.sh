#!/usr/bin/env bash
# add_subdirectory.sh - many as a part of a user's project: no tests, no examples come along
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/_user.sh"

"$CMAKE" -S "$user" -B "$work/build" -DCMAKE_C_COMPILER="$CC" -DMANY_SOURCE="$SOURCE"
"$CMAKE" --build "$work/build" -j 2 --target with_shared with_static
says "$work/build/with_shared"
says "$work/build/with_static"
if "$CMAKE" --build "$work/build" --target help | grep -q 'example_\|test_'; then
    echo "our tests or examples are in the user's project"
    exit 1
fi
