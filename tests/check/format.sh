#!/bin/sh
# Every C file is as clang-format would write it.
set -eu
git ls-files --cached --others --exclude-standard '*.c' '*.h' | xargs clang-format --dry-run --Werror
