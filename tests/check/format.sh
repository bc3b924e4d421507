#!/bin/sh
# Every C and C++ file is as clang-format would write it.
set -eu
git ls-files --cached --others --exclude-standard '*.c' '*.h' '*.cpp' | xargs clang-format --dry-run --Werror
