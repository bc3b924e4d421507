#!/bin/sh
# One name, one thing: no tag is defined twice, and a static function or object stands in one file.
set -eu

found=$(git ls-files --cached --others --exclude-standard 'cli/*.[ch]' 'core/*.[ch]' 'codecs/*.[ch]' |
    xargs awk -f tests/check/names.awk | LC_ALL=C sort)
[ -n "$found" ] || exit 0
printf 'in several files:\n%s\n' "$found"
exit 1
