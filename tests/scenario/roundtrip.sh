#!/usr/bin/env bash
# A backup restored gives the same database, whatever the database and the way the stream travels.
# shellcheck disable=SC2317,SC2119,SC2030,SC2031 # run_tests calls the functions by their names, each in its own subshell
# shellcheck source-path=SCRIPTDIR source=../support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

# The stream's data, unpacked by the stock tool, is the database file; the restored copy is, too.
check_stream() { # STREAM DB
    zstd -tq "$1"
    zstd -dcq "$1" | cmp - "$2"
    expect_exit 0 vdipipe verify "$1"
    expect_silence
    expect_exit 0 vdipipe restore "copy of $2" <"$1"
    expect_silence
    cmp "$2" "copy of $2"
    same_content "$2" "copy of $2"
    rm "copy of $2"
    no_leftovers
}

test_a_backup_through_zstd_restores_to_the_same_database() {
    make_db app.db 2000
    expect_exit 0 vdipipe backup app.db | zstd -q >f
    expect_silence
    expect_exit 0 vdipipe restore copy.db <f
    expect_silence
    same_content app.db copy.db
    cmp app.db copy.db
    no_leftovers
}

test_zstd_around_it_can_be_taken_off_by_hand() {
    make_db app.db 500
    vdipipe backup app.db | zstd -q >f
    zstd -dcq f | expect_exit 0 vdipipe restore copy.db
    cmp app.db copy.db
}

test_a_plain_redirection() {
    make_db app.db 2000
    expect_exit 0 vdipipe backup app.db >f
    expect_silence
    check_stream f app.db
}

test_an_output_file() {
    make_db app.db 2000
    expect_exit 0 vdipipe backup app.db -o f
    expect_silence
    check_stream f app.db
    [[ $(stat -c %a f) == "$(printf '%o' $((0666 & ~$(umask))))" ]] || fail "mode $(stat -c %a f)"
}

test_compressed_at_every_kind_of_level() {
    local level
    sqlite3 app.db "create table t(a); with recursive n(i) as (select 1 union all select i + 1 from n where i < 30000)
                    insert into t select 'a line that compresses well ' || i from n"
    for level in --zstd --zstd=1 --zstd=19 --zstd=-5 -z; do
        expect_exit 0 vdipipe backup app.db "$level" >f
        [[ $(stat -c %s f) -lt $(($(stat -c %s app.db) / 2)) ]] || fail "$level: $(stat -c %s f) bytes are no compression"
        check_stream f app.db
    done
}

test_a_stored_stream_is_hardly_larger_than_the_database() {
    make_db app.db 20000
    vdipipe backup app.db >f
    [[ $(stat -c %s f) -lt $(($(stat -c %s app.db) * 1001 / 1000 + 4096)) ]] || fail "$(stat -c %s f) bytes"
}

test_every_page_size() {
    local size
    for size in 512 1024 2048 4096 8192 16384 32768 65536; do
        make_db "$size.db" 700 "$size"
        expect_exit 0 vdipipe backup "$size.db" >f
        check_stream f "$size.db"
    done
}

test_every_auto_vacuum_mode() {
    local mode
    for mode in full incremental; do
        make_db "$mode.db" 700 1024 delete "auto_vacuum=$mode"
        sqlite3 "$mode.db" 'delete from item where id % 5 < 2'
        [[ $(sqlite3 "$mode.db" 'pragma auto_vacuum') -ne 0 ]]
        vdipipe backup "$mode.db" >f
        check_stream f "$mode.db"
    done
}

test_every_encoding() {
    local encoding
    for encoding in UTF-16le UTF-16be; do
        make_db "$encoding.db" 300 4096 delete "encoding='$encoding'"
        [[ $(sqlite3 "$encoding.db" 'pragma encoding') == "$encoding" ]]
        vdipipe backup "$encoding.db" --zstd >f
        check_stream f "$encoding.db"
    done
}

test_an_empty_database_of_no_bytes() {
    : >empty.db
    expect_exit 0 vdipipe backup empty.db >f
    expect_silence
    zstd -tq f
    [[ $(zstd -dcq f | wc -c) -eq 0 ]]
    expect_exit 0 vdipipe verify f
    expect_exit 0 vdipipe restore copy.db <f
    [[ -e copy.db && ! -s copy.db ]] || fail "copy.db is not an empty file"
    expect_exit 0 vdipipe backup empty.db --zstd -o g
    expect_exit 0 vdipipe restore copy2.db -i g
    [[ -e copy2.db && ! -s copy2.db ]]
    no_leftovers
}

test_a_database_without_tables() {
    sqlite3 bare.db 'pragma page_size=512; pragma user_version=7; vacuum'
    [[ $(stat -c %s bare.db) -eq 512 ]]
    vdipipe backup bare.db >f
    check_stream f bare.db
}

test_frames_that_are_only_in_the_log_are_part_of_the_backup() {
    make_pending_wal app.db 600
    flatten app.db flat.db
    fails cmp -s app.db flat.db
    expect_exit 0 vdipipe backup app.db >f
    expect_silence
    zstd -dcq f | cmp - flat.db
    check_stream f flat.db
    same_content app.db flat.db
    [[ $(sqlite3 flat.db "select count(*) from item where name like 'changed%'") -eq 300 ]]
}

test_a_restored_database_keeps_its_journal_mode() {
    make_db app.db 100 4096 wal
    vdipipe backup app.db >f
    expect_exit 0 vdipipe restore copy.db <f
    [[ ! -e copy.db-wal && ! -e copy.db-shm ]]
    [[ $(sqlite3 copy.db 'pragma journal_mode') == wal ]]
    same_content app.db copy.db
}

test_a_raw_image_is_the_database_byte_for_byte() {
    make_db app.db 2000
    expect_exit 0 vdipipe backup --raw app.db >f
    expect_silence
    cmp f app.db
    expect_exit 0 vdipipe backup --raw app.db -o g
    cmp g app.db
    make_pending_wal wal.db 200
    flatten wal.db flat.db
    vdipipe backup --raw wal.db | cmp - flat.db
}

test_a_raw_image_restores_bare_and_through_zstd() {
    make_db app.db 1500
    vdipipe backup --raw app.db >f
    expect_exit 0 vdipipe restore copy.db <f
    cmp app.db copy.db
    vdipipe backup --raw app.db | zstd -q >f.zst
    expect_exit 0 vdipipe restore copy2.db <f.zst
    cmp app.db copy2.db
    expect_exit 0 vdipipe restore copy3.db -i f.zst
    cmp app.db copy3.db
}

test_a_raw_image_of_the_wrong_length_is_refused() {
    make_db app.db 100
    head -c -1 app.db >short
    expect_exit 3 vdipipe restore copy.db <short
    expect_error
    expect_exit 3 vdipipe verify short
    head -c -4096 app.db >page_short
    expect_exit 3 vdipipe restore copy.db <page_short
    expect_error
    { cat app.db; printf x; } >long
    expect_exit 3 vdipipe restore copy.db <long
    [[ ! -e copy.db ]]
    no_leftovers
}

test_extract_gives_the_database() {
    make_db app.db 2000
    vdipipe backup app.db --zstd >f
    expect_exit 0 vdipipe extract f >plain
    expect_silence
    cmp plain app.db
    expect_exit 0 vdipipe extract <f >plain
    cmp plain app.db
    expect_exit 0 vdipipe extract -i f -o file
    cmp file app.db
    vdipipe backup app.db | zstd -q | vdipipe extract | cmp - app.db
    expect_exit 2 vdipipe extract f -o file
    expect_error file --force
    expect_exit 0 vdipipe extract f -o file --force
    cmp file app.db
    no_leftovers
}

test_shapes_of_the_device_set() {
    local options
    make_db app.db 9000
    for options in '--max-transfer 64K --block-size 512 --buffer-count 2' '--max-transfer 4M --block-size 512 --buffer-count 2' \
        '--max-transfer 64K --buffer-count 64' '--block-size 4096' '--buffer-count 1' '--max-transfer=1M --block-size=1024'; do
        read -ra words <<<"$options"
        expect_exit 0 vdipipe backup app.db "${words[@]}" >f
        zstd -dcq f | cmp - app.db
        expect_exit 0 vdipipe restore "${words[@]}" "copy.db" <f
        cmp copy.db app.db
        rm copy.db
    done
}

test_a_block_size_that_does_not_divide_the_page_size_is_refused() {
    make_db app.db 100 1024
    expect_exit 2 vdipipe backup app.db --block-size 4096 >f
    expect_error 'block size' 1024
    [[ ! -s f ]]
    expect_exit 2 vdipipe backup app.db --block-size 3000 >f
    expect_error 3000
    expect_exit 2 vdipipe backup app.db --max-transfer 100000 >f
    expect_error 64K
}

test_a_megabyte_per_transfer_and_more_than_one_frame() {
    make_db app.db 40000
    [[ $(stat -c %s app.db) -gt 20000000 ]]
    vdipipe backup app.db | vdipipe restore copy.db
    cmp app.db copy.db
    vdipipe backup app.db --zstd=1 | zstd -dcq | cmp - app.db
}

test_the_checks_of_a_restored_database() {
    local how
    make_db app.db 500
    vdipipe backup app.db >f
    for how in none quick full; do
        expect_exit 0 vdipipe restore --check "$how" copy.db <f
        cmp app.db copy.db
        rm copy.db
    done
    # Rows that the index does not have: an image that any backup carries faithfully, and that a check must refuse.
    sqlite3 app.db "pragma writable_schema=on; update sqlite_schema set rootpage = (select rootpage from sqlite_schema where name = 'item') where name = 'note'"
    vdipipe backup app.db >bad
    expect_exit 0 vdipipe verify bad
    expect_exit 0 vdipipe restore --check none copy.db <bad
    cmp app.db copy.db
    rm copy.db
    expect_exit 3 vdipipe restore --check full copy.db <bad
    expect_error copy.db
    expect_exit 3 vdipipe restore copy.db <bad
    [[ ! -e copy.db ]]
    no_leftovers
}

run_tests
