#!/usr/bin/env bash
# Striped sets: several devices, a file each.
# shellcheck disable=SC2317,SC2119,SC2030,SC2031 # run_tests calls the functions by their names, each in its own subshell
# shellcheck source-path=SCRIPTDIR source=../support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

# Restores what is given, and compares.
restores() { # ARGUMENTS...
    expect_exit 0 vdipipe restore copy.db "$@"
    expect_silence
    cmp app.db copy.db
    rm copy.db
    no_leftovers
}

refused() { # TEXT... -- ARGUMENTS...
    local -a texts=()
    while [[ $1 != -- ]]; do
        texts+=("$1")
        shift
    done
    shift
    expect_exit 3 vdipipe restore copy.db "$@"
    expect_error "${texts[@]}"
    [[ ! -e copy.db ]] || fail "copy.db was made"
    no_leftovers
}

make_set() { # COUNT [OPTIONS...]
    [[ -e app.db ]] || make_db app.db 4000
    mkdir -p set
    expect_exit 0 vdipipe backup app.db --devices "$1" -o 'set/x.{device}.vdi' "${@:2}"
    expect_silence
}

test_the_parts_in_order_are_the_database() {
    local count i
    make_db app.db 4000
    for count in 1 2 4 64; do
        rm -rf set
        make_set "$count"
        [[ $(find set -type f | wc -l) -eq $count ]] || fail "$(ls -A set)"
        for ((i = 1; i <= count; i++)); do
            zstd -tq "set/x.$i.vdi"
            zstd -dcq "set/x.$i.vdi"
        done | cmp - app.db
        expect_exit 0 vdipipe verify set/*
        restores -i set/x.1.vdi
    done
}

test_compressed_stripes() {
    make_set 3 --zstd
    cat set/x.1.vdi set/x.2.vdi set/x.3.vdi | zstd -dcq | cmp - app.db
    restores -i set/x.2.vdi
}

test_all_files_in_any_order() {
    make_set 4
    restores -i set/x.1.vdi -i set/x.2.vdi -i set/x.3.vdi -i set/x.4.vdi
    restores -i set/x.3.vdi -i set/x.1.vdi -i set/x.4.vdi -i set/x.2.vdi
}

test_any_one_file_finds_the_others() {
    local i
    make_set 4
    for i in 1 2 3 4; do
        restores -i "set/x.$i.vdi"
    done
    restores <set/x.3.vdi
    cd set
    expect_exit 0 vdipipe restore ../copy.db <x.1.vdi
    cmp ../app.db ../copy.db
}

test_the_others_are_found_under_any_name() {
    make_set 3
    mv set/x.1.vdi 'set/no telling'
    mv set/x.2.vdi set/-odd
    make_db other.db 10
    vdipipe backup other.db -o set/other.vdi
    cp app.db set/plain.db
    restores -i set/x.3.vdi
}

# A folder holds the backups of years; each file that is opened costs a look at its keys.
test_files_with_like_names_are_looked_at_first() {
    local i
    needs_faults
    make_db other.db 10
    mkdir set
    vdipipe backup other.db -o set/app-0.vdi
    for i in {1..200}; do
        cp set/app-0.vdi "set/app-$i.vdi"
    done
    make_db app.db 100
    vdipipe backup app.db --devices 3 -o 'set/app-77.{device}.vdi'
    VDIPIPE_FAULT=source-read=kill@100#client expect_exit 0 vdipipe restore copy.db -i set/app-77.2.vdi
    cmp app.db copy.db
    rm set/app-77.1.vdi
    VDIPIPE_FAULT=source-read=kill@100#client expect_exit 137 vdipipe restore other-copy.db -i set/app-77.2.vdi
}

test_scattered_files_must_be_given() {
    make_set 2
    mkdir elsewhere
    mv set/x.2.vdi elsewhere
    refused 'device 2 of 2 is missing' set/x.1.vdi -- -i set/x.1.vdi
    refused 'device 1 of 2 is missing' -- -i elsewhere/x.2.vdi
    restores -i set/x.1.vdi -i elsewhere/x.2.vdi
}

test_a_missing_file_is_named() {
    make_set 4
    rm set/x.3.vdi
    refused 'device 3 of 4' -- -i set/x.1.vdi
    refused 'device 3 of 4' -- -i set/x.4.vdi -i set/x.1.vdi -i set/x.2.vdi
    refused 'device 3 of 4' -- -i set/x.4.vdi
}

test_a_damaged_copy_does_not_hide_the_whole_one() {
    local name
    make_set 4
    for name in a z; do # one comes before the whole file in the folder, one behind it
        head -c -1000 set/x.2.vdi >"set/$name"
    done
    ln -s x.4.vdi set/link
    expect_exit 0 vdipipe restore copy.db -i set/x.1.vdi
    rm set/x.2.vdi
    expect_exit 3 vdipipe restore other.db -i set/x.1.vdi
    [[ ! -e other.db ]]
}

test_a_set_without_a_seekable_input_is_refused() {
    make_set 2
    # Behind a pipe there is no folder to look for the other file.
    # shellcheck disable=SC2002 # the pipe is the point
    cat set/x.1.vdi | refused 'device 2 of 2' --
}

test_a_file_given_twice_is_named() {
    make_set 3
    cp set/x.2.vdi again
    refused again set/x.2.vdi 'device 2 of 3' -- -i set/x.1.vdi -i set/x.2.vdi -i again
    refused set/x.1.vdi -- -i set/x.1.vdi -i set/x.1.vdi -i set/x.2.vdi
}

test_a_file_of_another_set_is_named() {
    make_set 3
    mv set first
    make_set 3
    refused set/x.2.vdi first/x.1.vdi 'another backup' -- -i first/x.1.vdi -i set/x.2.vdi -i first/x.3.vdi
    vdipipe backup app.db -o single
    refused single -- -i first/x.1.vdi -i single -i first/x.3.vdi
}

test_a_truncated_file_is_named() {
    make_set 3
    head -c -100 set/x.2.vdi >short
    mv short set/x.2.vdi
    refused set/x.2.vdi -- -i set/x.1.vdi -i set/x.2.vdi -i set/x.3.vdi
    expect_exit 3 vdipipe restore copy.db -i set/x.1.vdi
    expect_error x.2.vdi
    expect_exit 3 vdipipe verify set/*
    expect_error set/x.2.vdi
}

test_a_damaged_file_is_named() {
    make_set 3
    printf 'damage' | dd of=set/x.3.vdi bs=1 seek=50000 conv=notrunc status=none
    refused set/x.3.vdi 'byte' -- -i set/x.1.vdi -i set/x.2.vdi -i set/x.3.vdi
    refused x.3.vdi 'byte' -- -i set/x.1.vdi
}

test_an_existing_target_is_left_alone_by_a_bad_set() {
    make_set 3
    make_db copy.db 50
    cp copy.db before
    printf 'damage' | dd of=set/x.3.vdi bs=1 seek=50000 conv=notrunc status=none
    expect_exit 3 vdipipe restore --replace copy.db -i set/x.1.vdi
    expect_error x.3.vdi
    cmp copy.db before
    no_leftovers
}

test_one_device_of_a_set_can_be_extracted() {
    local i
    make_set 3 --zstd
    for i in 1 2 3; do
        vdipipe extract "set/x.$i.vdi"
    done | cmp - app.db
}

test_several_devices_need_several_names() {
    make_db app.db 10
    expect_exit 2 vdipipe backup app.db --devices 4 >f
    expect_error 'standard output' 'device'
    [[ ! -s f ]]
    expect_exit 2 vdipipe backup app.db --devices 4 -o x.vdi
    expect_error '{device}'
    expect_exit 2 vdipipe backup app.db --devices 2 --force -o 'x.{device}.vdi'
    expect_error '--force'
    expect_exit 2 vdipipe backup app.db --devices 65 -o 'x.{device}.vdi'
    expect_exit 2 vdipipe backup app.db --devices 0 -o 'x.{device}.vdi'
    no_leftovers
}

test_an_existing_file_of_the_set_stops_it() {
    make_db app.db 1000
    echo precious >x.2.vdi
    expect_exit 2 vdipipe backup app.db --devices 3 -o 'x.{device}.vdi'
    expect_error x.2.vdi
    [[ $(<x.2.vdi) == precious ]]
    [[ ! -e x.1.vdi && ! -e x.3.vdi ]]
    no_leftovers
}

test_a_file_that_cannot_be_written_takes_the_whole_set_back() {
    make_db app.db 4000
    mkdir a b
    # What ends on a full device fails the backup, and the sound half of the set is not published either.
    ln -s /dev/full b/x.2.vdi
    ln -s ../a/x.1.vdi b/x.1.vdi
    expect_exit 1 vdipipe backup app.db --devices 2 -o 'b/x.{device}.vdi'
    expect_error x.2.vdi
    [[ ! -e a/x.1.vdi ]]
    no_leftovers
}

test_more_devices_than_pages() {
    sqlite3 app.db 'pragma page_size=512; create table t(a); insert into t values(7)'
    [[ $(stat -c %s app.db) -eq 1024 ]]
    make_set 16
    for i in {1..16}; do
        zstd -dcq "set/x.$i.vdi"
    done | cmp - app.db
    restores -i set/x.16.vdi
    restores -i set/x.1.vdi
}

test_an_empty_database_on_several_devices() {
    : >app.db
    make_set 3
    restores -i set/x.2.vdi
}

test_replacing_from_a_set() {
    make_set 4
    make_db copy.db 20
    expect_exit 0 vdipipe restore --replace copy.db -i set/x.1.vdi
    expect_silence
    same_content app.db copy.db
}

run_tests
