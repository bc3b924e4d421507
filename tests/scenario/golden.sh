#!/usr/bin/env bash
# The golden files (tests/golden): what older versions wrote is read as on the day it was written, by us and by the stock tools.
# shellcheck disable=SC2317,SC2119,SC2030,SC2031 # run_tests calls the functions by their names, each in its own subshell
# shellcheck source-path=SCRIPTDIR source=../support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

golden=$(cd "$(dirname "$0")/../golden" && pwd)

# The lines of `expected`: FILE EXIT BYTES CHECKSUM LAYERS WORDS...
each_file() { # FUNCTION
    local file status bytes checksum layers words
    while read -r file status bytes checksum layers words; do
        [[ $file == '#'* || -z $file ]] || "$1" "$file" "$status" "$bytes" "$checksum" "$layers" "$words"
    done <"$golden/expected"
}

# The keys, as nobody else may read them.
take_keys() {
    cp "$golden/key.txt" key
    cp "$golden/passphrase.txt" phrase
    chmod 600 key phrase
}

# Keys are given for what is encrypted, which its name says.
read_it() { # COMMAND ARGUMENT...
    local keys=()
    [[ ${*//"$golden"/} != *age* ]] || keys=(--identity key --passphrase-file phrase)
    vdipipe "$@" "${keys[@]}"
}

checksum_of() {
    sha256sum "$1" | cut -d' ' -f1
}

reads_as_expected() { # FILE EXIT BYTES CHECKSUM LAYERS WORDS
    local path=$golden/$1
    expect_exit "$2" read_it verify -v "$path"
    grep -qF -e "$6" err || fail "$1: no '$6' in $(<err)"
    expect_exit "$2" read_it extract "$path" -o data.new
    if [[ $2 -eq 0 ]]; then
        [[ $(stat -c %s data.new) -eq $3 && $(checksum_of data.new) == "$4"* ]] || fail "$1: $(stat -c %s data.new) bytes, $(checksum_of data.new)"
        rm data.new
    fi
    [[ ! -e data.new ]] || fail "$1: a file although it failed"
}

test_every_golden_file_is_read() {
    take_keys
    each_file reads_as_expected
    [[ $(grep -cE '^[a-z]' "$golden/expected") -eq $(find "$golden" -name '*.vdi' -o -name '*.age' | wc -l) ]] || fail "a file is not in the table"
}

shows_its_layers() { # FILE EXIT BYTES CHECKSUM LAYERS WORDS
    read_it info --json "$golden/$1" >out 2>err || :
    [[ ! -s out && $2 -ne 0 ]] || [[ $(jq -r '.layers | join("+") | gsub(" "; "-")' out) == "$5" ]] || fail "$1: $(<out)"
}

test_their_layers_are_shown() {
    command -v jq >/dev/null || skip "needs jq"
    take_keys
    each_file shows_its_layers
}

test_the_database_is_restored_from_each() {
    take_keys
    local file
    for file in stored.vdi zstd.vdi zstd-long.vdi striped.2.vdi age.vdi age-armor.age age-raw.age age-passphrase.age; do
        rm -f copy.db
        read_it restore copy.db -i "$golden/$file"
        cmp copy.db "$golden/golden.db" || fail "$file"
    done
}

test_the_stock_tools_read_them() {
    command -v age >/dev/null || skip "needs age"
    take_keys
    local file
    for file in stored zstd zstd-long; do
        zstd -dcq "$golden/$file.vdi" | cmp - "$golden/golden.db"
    done
    cat "$golden/striped.1.vdi" "$golden/striped.2.vdi" | zstd -dcq | cmp - "$golden/golden.db"
    age -d -i key "$golden/age.vdi" | zstd -dcq | cmp - "$golden/golden.db"
    for file in raw armor; do
        age -d -i key "$golden/age-$file.age" | cmp - "$golden/golden.db"
    done
    for file in aborted unconfirmed; do
        ! zstd -tq "$golden/$file.vdi" 2>/dev/null || fail "zstd accepts $file.vdi"
    done
    ! age -d -i key "$golden/aborted-age.vdi" >/dev/null 2>&1 || fail "age accepts aborted-age.vdi"
}

test_what_a_header_says_stays_the_same() {
    command -v jq >/dev/null || skip "needs jq"
    vdipipe info --json "$golden/stored.vdi" >out
    [[ $(jq -c '[.database, .server, .type, .device, .devices, .database_bytes, .block_size, .confirmed]' out) == "[\"golden.db\",\"sqlite\",\"full\",1,1,$(stat -c %s "$golden/golden.db"),512,true]" ]] || fail "$(<out)"
    [[ $(vdipipe info --json "$golden/tape.vdi" | jq .file_marks) -eq 3 ]]
    [[ $(vdipipe info --json "$golden/tape-soft.vdi" | jq .file_marks) -eq 1 ]]
    expect_exit 0 vdipipe verify --accept-unconfirmed "$golden/unconfirmed.vdi"
}

test_a_tape_is_read_with_its_marks() {
    printf 'set direction read\ndevice 1\n  read 8K bytes 8K check pattern 0\n  skipmarks 3\n  read 8K bytes 8K\n  complete\n' >script
    vdipipe create golden --features tape -i "$golden/tape.vdi" 2>create.err &
    local client=$!
    wait_until 20 grep -q 'waits for its server' create.err
    expect_exit 0 vdipipe exec --script script golden
    wait "$client" || fail "$(<create.err)"
}

run_tests
