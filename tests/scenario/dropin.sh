#!/usr/bin/env bash
# Programs that were made for Microsoft's libsqlvdi.so, on our drop-in: a client that makes the calls of Microsoft's Linux
# sample, with a sqlcmd on PATH that calls vdipipe, and one that was compiled without any header of ours.
# shellcheck disable=SC2317,SC2119,SC2030,SC2031 # run_tests calls the functions by their names, each in its own subshell
# shellcheck source-path=SCRIPTDIR source=../support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

: "${VDIPIPE_DROPIN:?the library to test}"
tools=$(cd "$(dirname "$0")/../sqlvdi" && pwd)
export PATH=$tools:$PATH VDIPIPE

# A database with a section of the configuration, as programs name theirs.
make_pubs() { # ROWS
    make_db app.db "$1"
    mkdir -p "$XDG_CONFIG_HOME/vdipipe"
    printf '[pubs]\ndatabase = %s/app.db\n' "$PWD" >"$XDG_CONFIG_HOME/vdipipe/vdipipe.conf"
}

sample() { # STATUS backup|restore DATABASE FILE
    expect_exit "$1" timeout -k 5 "$patience" "$VDIPIPE_HELPERS/sample_client" "$2" database "$3" sa secret "$4"
    expect_silence
}

expect_lines() { # LINE...
    local line
    for line in "$@"; do
        grep -qxF -e "$line" out || fail "no '$line' in: $(cat -v out)"
    done
}

# A client of the set `demo`, in the background.
start_headerless() { # FILE
    "$VDIPIPE_HELPERS/headerless_client" demo "$1" >client.out 2>client.err &
    client=$!
}

headerless_ends() { # STATUS
    local got=0
    wait_for_pid_end "$client" 20
    wait "$client" || got=$?
    [[ $got -eq $1 ]] || fail "the client ended with $got, not $1: $(cat -v client.out client.err)"
    [[ ! -s client.err ]] || fail "the library printed: $(cat -v client.err)"
}

server() { # STATUS EXEC-ARGUMENT...
    expect_exit "$1" vdipipe exec --open-timeout 20 "${@:2}"
}

test_the_sample_backs_up_and_restores() {
    make_pubs 5000
    SQLCMD_ARGUMENTS=arguments sample 0 backup pubs out.bak
    cmp app.db out.bak
    expect_lines 'features 0x10000' 'command 12: code 0, 0 bytes' 'transfer: x8077000E'
    grep -q '^sqlcmd: BACKUP DATABASE successfully processed ' out || fail "$(<out)"
    [[ $(head -n 7 arguments) == $'-U\nsa\n-P\nsecret\n-S\n.\n-Q' ]] || fail "$(<arguments)"

    sample 0 restore "[$PWD/copy.db]" out.bak
    cmp app.db copy.db
    expect_lines 'transfer: x8077000E'
    grep -q '^sqlcmd: RESTORE DATABASE successfully processed ' out || fail "$(<out)"

    sqlite3 app.db 'delete from item'
    sample 0 restore pubs out.bak
    same_content app.db copy.db
    no_leftovers
}

test_what_a_log_holds_is_backed_up_too() {
    make_pubs 10
    rm app.db
    make_pending_wal app.db 800 1024
    sample 0 backup pubs out.bak
    flatten app.db flat.db
    cmp flat.db out.bak
    sample 0 restore "[$PWD/copy.db]" out.bak
    cmp flat.db copy.db
    no_leftovers
}

test_a_statement_that_fails_leaves_the_sample_waiting_its_ten_seconds() {
    make_pubs 10
    sample 1 backup unknown out.bak
    expect_lines 'transfer: x80770003'
    grep -q '^sqlcmd: Msg ' out || fail "$(<out)"
    [[ ! -e out.bak ]]
    no_leftovers
}

# The server closes its devices in order, so the statement alone tells, and of that sqlcmd's exit status says nothing.
test_a_medium_that_is_full() {
    make_pubs 3000
    sample 0 backup pubs /dev/full
    expect_lines 'command 2: code 112, 0 bytes' 'transfer: x8077000E'
    grep -q '^sqlcmd: Msg 3013, ' out || fail "$(<out)"
    no_leftovers
}

test_a_backup_that_is_cut_off_is_not_restored() {
    make_pubs 3000
    sample 0 backup pubs out.bak
    truncate -s -4096 out.bak
    sample 0 restore "[$PWD/copy.db]" out.bak
    grep -q '^sqlcmd: Msg 3013, ' out || fail "$(<out)"
    [[ ! -e copy.db ]]
    no_leftovers
}

# Starts the sample with a medium that takes no more than a pipe holds: its process is $client, its set $name.
start_stuck_sample() {
    make_pubs 8000
    mkfifo hole
    exec 8<>hole
    "$VDIPIPE_HELPERS/sample_client" backup database pubs sa secret hole >out 2>err &
    client=$!
    wait_until 10 eval 'vdipipe list --json | jq -e ".[] | select(.state == \"active\")"'
    name=$(vdipipe list --json | jq -r '.[0].name')
    wait_until 10 eval "vdipipe status --json '$name' | jq -e '.devices[0].held > 0'"
}

test_others_see_the_sample_at_work_and_abort_it() {
    start_stuck_sample
    [[ $(vdipipe status --json "$name" | jq .primary_pid) -eq $client ]] || fail "$(vdipipe status --json "$name")"
    expect_exit 0 vdipipe abort "$name"
    cat hole >/dev/null &
    exec 8<&-
    expect_end "$client" 10 1
    expect_lines 'transfer: x80770004'
    no_leftovers
}

test_a_sample_that_is_killed_takes_its_statement_along() {
    local statement
    start_stuck_sample
    statement=$(vdipipe status --json "$name" | jq .server_pid)
    kill -KILL "$client"
    wait_for_pid_end "$statement" 2
    wait "$client" || :
    rm -f "$VDIPIPE_RUNTIME_DIR"/* # a killed client's socket is swept by the next that makes a set
    no_leftovers
}

test_a_server_that_dies_wakes_the_client() {
    start_headerless out.bak
    printf 'device 1\n write 64K x3\n die\n' >die.vds
    "$VDIPIPE" exec --open-timeout 20 --script die.vds demo >out 2>err || :
    headerless_ends 1
    no_leftovers
}

# 90 is 90 seconds to the sample; who asks for milliseconds has them.
test_the_unit_of_time_is_the_environments() {
    printf 'device 1\n write 64K\n stall 0.5\n flush\n' >stall.vds
    cat >sqlcmd <<'SCRIPT'
#!/bin/bash
exec "$VDIPIPE" exec --script stall.vds "$(sed "s/.*VIRTUAL_DEVICE='\([^']*\)'.*/\1/" <<<"${*: -1}")" 2>&1
SCRIPT
    chmod +x sqlcmd
    PATH=$PWD:$PATH
    sample 0 backup pubs out.bak
    VDIPIPE_TIMEOUT_UNIT=s sample 0 backup pubs out.bak
    VDIPIPE_TIMEOUT_UNIT=ms sample 1 backup pubs out.bak
    expect_lines 'transfer: x80770003'
    VDIPIPE_TIMEOUT_UNIT=fortnights sample 0 backup pubs out.bak
    no_leftovers
}

test_a_client_without_our_headers() {
    make_db app.db 3000
    start_headerless out.bak
    server 0 "BACKUP DATABASE [$PWD/app.db] TO VIRTUAL_DEVICE='demo'"
    headerless_ends 0
    [[ $(<client.out) == 'demo: VD_E_CLOSE' ]]
    cmp app.db out.bak

    start_headerless out.bak
    server 0 "RESTORE DATABASE [$PWD/copy.db] FROM VIRTUAL_DEVICE='demo'"
    headerless_ends 0
    cmp app.db copy.db
    no_leftovers
}

test_a_program_without_a_cxx_library() {
    without_leak_check
    make_db app.db 500
    expect_exit 2 "$VDIPIPE_HELPERS/plain_host_client" ./none demo out.bak
    "$VDIPIPE_HELPERS/plain_host_client" "$VDIPIPE_DROPIN" demo out.bak >client.out 2>client.err &
    client=$!
    server 0 "BACKUP DATABASE [$PWD/app.db] TO VIRTUAL_DEVICE='demo'"
    headerless_ends 0
    cmp app.db out.bak
    no_leftovers
}

run_tests
