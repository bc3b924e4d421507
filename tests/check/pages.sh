#!/bin/sh
# README.md fits a terminal, the prose of all pages does, what pages link to is there, and every room has its page.
set -eu

pages() {
    git ls-files --cached --others --exclude-standard '*.md'
}

faults=$(
    pages | while IFS= read -r page; do
        # Tables and what programs print are as wide as they are; README.md leaves them out where they do not fit.
        [ "$page" = README.md ] && wide='^$' || wide='^([|]|    )'
        awk -v wide="$wide" 'length($0) > 130 && $0 !~ wide {
            print FILENAME ":" FNR " has " length($0) " columns, more than 130" }' "$page"
        grep -oE '\]\([^)#: ]+' "$page" | cut -c3- | while IFS= read -r target; do
            [ -e "$(dirname "$page")/$target" ] || echo "$page links to $target, which is not there"
        done
    done
    git ls-files --cached --others --exclude-standard 'c*/*CMakeLists.txt' | while IFS= read -r list; do
        [ -e "$(dirname "$list")/README.md" ] || echo "$(dirname "$list") has no README.md"
    done
)
[ -n "$faults" ] || exit 0
printf '%s\n' "$faults"
exit 1
