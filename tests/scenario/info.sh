#!/usr/bin/env bash
# What `info` says of each kind of stream.
# shellcheck disable=SC2317,SC2119,SC2030,SC2031 # run_tests calls the functions by their names, each in its own subshell
# shellcheck source-path=SCRIPTDIR source=../support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

# The value of a path in the JSON of `out`, as JSON.
field() { # PATH
    jq -c "$1" out
}

is() { # PATH VALUE
    local value
    value=$(field "$1")
    [[ $value == "$2" ]] || fail "$1 is $value, not $2 in $(<out)"
}

needs_jq() {
    command -v jq >/dev/null || skip "needs jq"
}

test_a_stored_stream() {
    needs_jq
    make_db app.db 100
    chmod 640 app.db
    vdipipe backup app.db >f
    expect_exit 0 vdipipe info --json f
    expect_silence
    [[ $(wc -l <out) -eq 1 ]]
    is .file '"f"'
    is .layers '["vdi stream"]'
    is .complete true
    is .confirmed true
    is .database '"app.db"'
    is .origin "\"$PWD/app.db\""
    is .server '"sqlite"'
    is .server_version "\"$(sqlite3 --version | cut -d' ' -f1)\""
    is .type '"full"'
    is .device 1
    is .devices 1
    is .database_bytes "$(stat -c %s app.db)"
    is .part_bytes "$(stat -c %s app.db)"
    is .data_bytes "$(stat -c %s app.db)"
    is .stream_bytes "$(stat -c %s f)"
    is .mode '"0640"'
    is .uid "$(id -u)"
    is .block_size 4096
    is .max_transfer 1048576
    [[ $(field .time) =~ ^\"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z\"$ ]] || fail "$(field .time)"
    [[ $(field .set) =~ ^\"[0-9a-f-]{36}\"$ ]] || fail "$(field .set)"
    is .host "\"$(uname -n)\""
}

test_words_for_people() {
    make_db app.db 100
    vdipipe backup app.db >f
    expect_exit 0 vdipipe info f
    expect_silence
    grep -qE '^database +app.db$' out
    grep -qE '^complete +true$' out
    grep -qE '^confirmed +true$' out
    expect_exit 0 vdipipe info f f
    [[ $(grep -c '^set ' out) -eq 2 ]]
}

test_other_layers() {
    needs_jq
    make_db app.db 2000
    vdipipe backup app.db --zstd >f
    expect_exit 0 vdipipe info --json f
    is .layers '["vdi stream"]'
    is .data_bytes "$(stat -c %s app.db)"
    is .stream_bytes "$(stat -c %s f)"
    zstd -q f -o f.zst
    expect_exit 0 vdipipe info --json f.zst
    is .layers '["zstd","vdi stream"]'
    is .complete true
    is .confirmed true
    is .data_bytes "$(stat -c %s app.db)"
    expect_exit 0 vdipipe info f.zst
    grep -qxE 'layers +zstd, vdi stream' out
    zstd -q f.zst -o g.zst
    expect_exit 0 vdipipe info --json g.zst
    is .layers '["zstd","zstd","vdi stream"]'
    expect_exit 0 vdipipe info --json app.db
    is .layers '["SQLite database"]'
    is .complete true
    is .confirmed false
    is .data_bytes "$(stat -c %s app.db)"
    is .set null
    zstd -q app.db -o app.zst
    expect_exit 0 vdipipe info --json app.zst
    is .layers '["zstd","SQLite database"]'
}

test_standard_input() {
    needs_jq
    make_db app.db 100
    vdipipe backup app.db >f
    expect_exit 0 vdipipe info --json <f
    is .complete true
    is .file '"standard input"'
    # shellcheck disable=SC2002 # the pipe is the point
    cat f | vdipipe info --json >out
    is .confirmed true
    is .data_bytes "$(stat -c %s app.db)"
}

test_a_striped_set() {
    needs_jq
    make_db app.db 900
    vdipipe backup app.db --devices 3 -o 'x.{device}'
    expect_exit 0 vdipipe info --json x.1 x.2 x.3
    [[ $(wc -l <out) -eq 3 ]]
    [[ $(jq -s -c '[.[].device]' out) == '[1,2,3]' ]]
    [[ $(jq -s -c '[.[].devices] | unique' out) == '[3]' ]]
    [[ $(jq -s -c '[.[].set] | unique | length' out) == 1 ]]
    [[ $(jq -s '[.[].part_bytes] | add' out) -eq $(stat -c %s app.db) ]]
    [[ $(jq -s '.[1].part_offset == .[0].part_bytes and .[2].part_offset == .[0].part_bytes + .[1].part_bytes' out) == true ]]
    [[ $(jq -s -c '[.[].database_bytes] | unique' out) == "[$(stat -c %s app.db)]" ]]
}

test_an_empty_database() {
    needs_jq
    : >app.db
    vdipipe backup app.db >f
    expect_exit 0 vdipipe info --json f
    is .database_bytes 0
    is .data_bytes 0
    is .complete true
}

test_an_unconfirmed_stream() {
    local cut
    needs_jq
    make_db app.db 100
    vdipipe backup app.db >f
    for ((cut = 1; cut < 400; cut++)); do
        head -c -"$cut" f >g
        ! vdipipe verify g 2>err || fail "a cut of $cut bytes is accepted"
        ! grep -q verdict err || break
    done
    expect_exit 3 vdipipe info --json g
    expect_error "'g'" verdict
    is .complete true
    is .confirmed false
    expect_exit 0 vdipipe info --json --accept-unconfirmed g
    is .complete true
    is .confirmed false
    zstd -q g -o g.zst
    expect_exit 3 vdipipe info --json g.zst
    expect_error g.zst verdict
}

test_a_cut_stream() {
    needs_jq
    make_db app.db 1000
    vdipipe backup app.db >f
    head -c 100000 f >g
    expect_exit 3 vdipipe info --json g
    expect_error "'g'" 'byte 100000'
    is .complete false
    is .confirmed false
    is .database '"app.db"'
    is .data_bytes null
    head -c 10 f >g
    expect_exit 3 vdipipe info g
    expect_error "'g'"
}

test_what_is_no_stream() {
    echo 'no stream' >text
    : >empty
    for file in text empty; do
        expect_exit 3 vdipipe info "$file"
        expect_error "'$file'"
        [[ ! -s out ]]
    done
    expect_exit 2 vdipipe info missing
    expect_error missing
}

test_a_good_one_among_bad_ones() {
    make_db app.db 100
    vdipipe backup app.db >f
    echo text >text
    expect_exit 3 vdipipe info --json text f
    expect_error text
    grep -q '"file":"f"' out
}

test_names_with_control_characters() {
    local name=$'an\e[31modd\nname \x01\x7f\xff.db'
    needs_jq
    make_db plain 20
    mv plain "$name"
    vdipipe backup "$name" >f
    expect_exit 0 vdipipe info f
    ! grep -q $'\e\|\x01\|\x7f' out || fail "control characters reach the terminal: $(cat -v out)"
    [[ $(grep -c '^database ' out) -eq 1 ]]
    expect_exit 0 vdipipe info --json f
    [[ $(wc -l <out) -eq 1 ]]
    jq . out >/dev/null
    cp f "$name.vdi"
    expect_exit 0 vdipipe info --json "$name.vdi"
    [[ $(wc -l <out) -eq 1 ]]
    jq . out >/dev/null
    fails grep -q $'\e' out
}

run_tests
