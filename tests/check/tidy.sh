#!/bin/sh
# clang-tidy over the product's sources; the tests' own are left to the compilers.
set -eu
# The analyzer gives a function up after so many steps. VDIPIPE_THOROUGH=1 leaves it its own limit, which takes five times as long.
if [ -z "${VDIPIPE_THOROUGH:-}" ]; then
    set -- "$1" --extra-arg=-Xclang --extra-arg=-analyzer-config --extra-arg=-Xclang --extra-arg=max-nodes=20000
fi
build=$1
shift
git ls-files --cached --others --exclude-standard 'cli/*.c' 'core/*.c' 'codecs/*.c' |
    xargs -P "$(nproc)" -n 8 clang-tidy --quiet --extra-arg=-Wno-unknown-warning-option "$@" -p "$build" 2>/dev/null
