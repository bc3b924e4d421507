#!/bin/sh
# README.md fits a terminal, and what the pages link to is there.
set -eu

faults=$(
    awk 'length($0) > 130 { print FILENAME ":" FNR " has " length($0) " columns, more than 130" }' README.md
    git ls-files --cached --others --exclude-standard '*.md' | while IFS= read -r page; do
        grep -oE '\]\([^)#: ]+' "$page" | cut -c3- | while IFS= read -r target; do
            [ -e "$(dirname "$page")/$target" ] || echo "$page links to $target, which is not there"
        done
    done
)
[ -n "$faults" ] || exit 0
printf '%s\n' "$faults"
exit 1
