#!/usr/bin/env bash
# pkg_config.sh - a user's compile line by pkg-config; the package may have been moved
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/_user.sh"

command -v pkg-config >/dev/null || {
    echo "pkg-config is not there"
    exit 77
}
install_to "$work/first"
mv "$work/first" "$work/moved"
folder=$(dirname "$(find "$work/moved" -name many.pc)")
export PKG_CONFIG_PATH=$folder

version=$(sed -n 's/^#define MANY_VERSION  *"\(.*\)"/\1/p' "$SOURCE/include/many/base.h")
[ "$(pkg-config --modversion many)" = "$version" ]

# shellcheck disable=SC2046,SC2086 # lists of options
"$CC" -std=c11 $warnings "$user/main.c" $(pkg-config --cflags --libs many) -o "$work/shared"
says env LD_LIBRARY_PATH="$(dirname "$folder")" "$work/shared"

# shellcheck disable=SC2046,SC2086
"$CC" -std=c11 $warnings "$user/main.c" $(pkg-config --cflags many) \
    "$(dirname "$folder")/libmany.a" -pthread -o "$work/static"
says "$work/static"
