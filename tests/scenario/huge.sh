#!/usr/bin/env bash
# Databases beyond the sizes at which numbers and locks change: the page of the lock bytes at 1 GiB, offsets beyond 4 GiB.
# shellcheck disable=SC2317,SC2119,SC2030,SC2031 # run_tests calls the functions by their names, each in its own subshell
# shellcheck source-path=SCRIPTDIR source=../support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

# A database of that many pages of 64 KiB, of which only a few hold anything; the rest is a hole in the file.
sparse_db() { # PAGES
    local at
    sqlite3 huge.db 'pragma page_size=65536; create table t(a); insert into t values(1)'
    truncate -s $(($1 * 65536)) huge.db
    # Size in pages, at 28, big endian.
    # shellcheck disable=SC2059 # the escapes are the point
    printf "$(printf '\\x%02x\\x%02x\\x%02x\\x%02x' $(($1 >> 24 & 255)) $(($1 >> 16 & 255)) $(($1 >> 8 & 255)) $(($1 & 255)))" |
        dd of=huge.db bs=1 seek=28 conv=notrunc status=none
    for at in 1000 $((0x40000000 / 65536 + 1)) $(($1 - 1)); do
        [[ $at -ge $1 ]] || printf 'page %d' "$at" | dd of=huge.db bs=65536 seek="$at" conv=notrunc status=none
    done
    [[ $(sqlite3 huge.db 'pragma page_count') -eq $1 ]]
}

test_the_lock_byte_page_at_one_gibibyte() {
    local pages=$((0x40000000 / 65536 + 3))
    sparse_db "$pages"
    expect_exit 0 vdipipe backup --raw huge.db | cmp - huge.db
    expect_exit 0 vdipipe backup --zstd huge.db -o f
    expect_exit 0 vdipipe restore --check none copy.db -i f
    cmp huge.db copy.db
}

test_a_database_of_more_than_4_gib() {
    sparse_db $((0x100000000 / 65536 + 9))
    expect_exit 0 vdipipe backup --raw huge.db | cmp - huge.db
}

run_tests
