#!/usr/bin/env bash
# Every way in which a backup or restore of a SQL Server's database fails: its message, its exit status, its deadline, and
# nothing left behind.
# shellcheck disable=SC2317,SC2119,SC2030,SC2031 # run_tests calls the functions by their names, each in its own subshell
# shellcheck source-path=SCRIPTDIR source=../support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
# shellcheck source-path=SCRIPTDIR source=../support/mssql.sh
. "$(dirname "$0")/../support/mssql.sh"

# A server with the database pubs that goes wrong in that way.
faulty() { # FAULT...
    local fault faults=()
    for fault in "$@"; do
        faults+=(--fault "$fault")
    done
    [[ -e pubs.db ]] || make_db pubs.db 3000
    serve --database "pubs=$PWD/pubs.db" "${faults[@]}"
}

# Runs a command that has to end within the time.
within() { # SECONDS STATUS COMMAND...
    local began=$EPOCHREALTIME ended took
    expect_exit "$2" "${@:3}"
    ended=$EPOCHREALTIME
    took=$(((${ended/./} - ${began/./}) / 1000))
    [[ $took -le $(fair_ms "$1") ]] || fail "took $took ms: ${*:3}"
}

# The last line is the failure's, and holds the texts.
last_line() { # TEXT...
    local text
    drop_checker_words err
    for text in "$@"; do
        [[ $(tail -n 1 err) == *"$text"* ]] || fail "no '$text' in the last line of: $(cat -v err)"
    done
}

no_file() {
    fails test -e f.vdi
}

test_wrong_password() {
    faulty wrong-password
    within 5 1 vdipipe backup "$url/pubs" -o f.vdi
    expect_error "backup of 'pubs': " "refuses the login" "18456"
    no_file
    nothing_left
}

test_nobody_listens() {
    faulty
    end_server
    within 5 1 vdipipe backup "$url/pubs" -o f.vdi
    expect_error "Connection refused"
    no_leftovers
}

test_permission_denied() {
    faulty permission-denied
    within 5 1 vdipipe backup "$url/pubs" -o f.vdi
    last_line "backup of 'pubs': Msg 262, Level 14"
    no_file
    nothing_left
}

test_a_statement_that_fails_before_the_set_is_opened_ends_the_wait() {
    faulty fail-before-open
    within 5 1 vdipipe backup "$url/pubs" --open-timeout 60 -o f.vdi
    last_line "Msg 3201, Level 16"
    no_file
    within 5 1 vdipipe backup "$url/none" --open-timeout 60 -o f.vdi
    nothing_left
}

test_no_such_database() {
    faulty
    within 5 1 vdipipe backup "$url/none" --open-timeout 60 -o f.vdi
    last_line "Msg 911, Level 16"
    nothing_left
}

test_a_set_that_is_never_opened() {
    faulty never-open
    within 20 6 vdipipe backup "$url/pubs" --open-timeout 6 -o f.vdi
    last_line "the server did not open the device set within 6 s (--open-timeout)" "session 51 is suspended in BACKUP DATABASE, waiting for "
    no_file
    nothing_left
}

# The kernel takes connections for a server that stands still.
is_connected() {
    grep -Eq "0100007F:[0-9A-F]{4} 0100007F:$(printf %04X "${url##*:}") 01 " /proc/net/tcp
}

test_a_signal_during_the_login() {
    local command
    faulty
    expect_exit 0 vdipipe backup "$url/pubs" -o f.vdi
    kill -STOP "$server"
    for command in 'backup -o g.vdi' 'restore --recovery -i f.vdi'; do
        # shellcheck disable=SC2086 # words
        "$VDIPIPE" ${command%% *} "$url/pubs" --login-timeout 600 ${command#* } 2>err &
        client=$!
        wait_until 20 is_connected
        kill -TERM "$client"
        expect_end "$client" 10 143
        last_line "'pubs': ended by signal 15"
    done
    fails test -e g.vdi
    kill -CONT "$server"
    nothing_left
}

# Nobody tells a server that never came that the set has ended, so nobody waits for it to notice.
test_a_signal_before_the_set_is_opened() {
    faulty never-open
    "$VDIPIPE" backup "$url/pubs" -v -o f.vdi 2>err &
    client=$!
    wait_until 20 grep -qF "BACKUP DATABASE [pubs]" err
    kill -TERM "$client"
    expect_end "$client" 7 143
    last_line "ended by signal 15"
    no_file
    nothing_left
}

test_failure_after_data() {
    faulty fail-after-data:1M
    within 5 1 vdipipe backup "$url/pubs" -o f.vdi
    last_line "Msg 3202, Level 16"
    within 5 1 vdipipe backup "$url/pubs" --devices 2 -o 'f.{device}'
    last_line "Msg 3202, Level 16"
    fails test -e f.1
    nothing_left
}

test_a_connection_that_breaks() {
    faulty disconnect:1M
    within 15 1 vdipipe backup "$url/pubs" -o f.vdi
    last_line "backup of 'pubs': " "session 51" "connection"
    no_file
    nothing_left
}

test_a_server_that_hangs() {
    faulty hang:1M
    within 20 6 vdipipe backup "$url/pubs" --server-timeout 6 -o f.vdi -v
    last_line "nothing was heard of the server for 6 s (--server-timeout); session 51 is "
    grep -qF "the server is silent; session 51 is " err
    no_file
    nothing_left
}

test_progress_says_what_the_server_waits_for() {
    faulty hang:1M
    "$VDIPIPE" backup "$url/pubs" -o f.vdi --progress json --progress-fd 5 5>progress 2>err &
    client=$!
    wait_until 20 grep -q '"server":"session 51 is ' progress
    kill -TERM "$client"
    expect_end "$client" 20 143
    last_line "ended by signal 15"
    no_file
    nothing_left
}

test_a_server_that_does_not_hear_its_cancellation() {
    faulty deaf:1M
    "$VDIPIPE" backup "$url/pubs" -o f.vdi 2>err &
    client=$!
    wait_until 20 grep -q 'fault: deaf' serve.err
    kill -TERM "$client"
    expect_end "$client" 18 143
    grep -qF "warning: session 51 of the server has not ended" err
    last_line "ended by signal 15"
    kill -KILL "$server"
    wait "$server" || :
    no_leftovers
}

partial_grows() {
    [[ -n $(find . -name '.f.vdi.partial-*' -size +100k) ]]
}

test_a_server_that_dies() {
    faulty crash:1M
    within 15 1 vdipipe backup "$url/pubs" -o f.vdi
    # The shell may say there, too, that its job was killed.
    grep -qF "backup of 'pubs': session 51: the connection to the server broke" err
    no_file
    wait "$server" || :
    no_leftovers
}

test_a_server_that_is_killed() {
    faulty hang:1M
    "$VDIPIPE" backup "$url/pubs" -o f.vdi 2>err &
    client=$!
    wait_until 20 partial_grows
    kill -KILL "$server"
    expect_end "$client" 15 1
    grep -qF "backup of 'pubs': session 51: " err
    no_file
    no_leftovers
}

test_we_are_killed() {
    faulty hang:1M
    "$VDIPIPE" backup "$url/pubs" -o f.vdi 2>err &
    client=$!
    wait_until 20 partial_grows
    kill -KILL "$client"
    wait "$client" || :
    end_server
    # The next run removes the partial file that is nobody's any more.
    faulty
    expect_exit 0 vdipipe backup "$url/pubs" -o f.vdi
    nothing_left
}

test_a_signal() {
    faulty hang:1M
    "$VDIPIPE" backup "$url/pubs" -o f.vdi 2>err &
    client=$!
    wait_until 20 partial_grows
    kill -TERM "$client"
    expect_end "$client" 15 143
    expect_error "backup of 'pubs': ended by signal 15 (Terminated)"
    no_file
    nothing_left
}

test_an_abort_from_outside() {
    faulty hang:1M
    "$VDIPIPE" backup "$url/pubs" -v -o f.vdi 2>err &
    client=$!
    wait_until 20 partial_grows
    # Other sets of this machine may be listed beside it.
    vdipipe abort "$(sed -n "s/.*device set '\([^']*\)', 1 device.*/\1/p" err)"
    expect_end "$client" 20 1
    last_line "backup of 'pubs': "
    no_file
    nothing_left
}

test_a_full_output() {
    faulty
    within 10 1 vdipipe backup "$url/pubs" >/dev/full
    expect_error "backup of 'pubs': " "No space left on device"
    nothing_left
}

test_a_consumer_that_goes_away() {
    faulty
    { within 10 1 vdipipe backup "$url/pubs" && echo finished >said; } | head -c 100000 >/dev/null
    [[ -e said ]]
    expect_error "whoever read it went away"
    nothing_left
}

test_history_that_cannot_be_had() {
    local fault
    for fault in no-history deny-history; do
        rm -f f.vdi
        faulty "$fault"
        expect_exit 0 vdipipe backup "$url/pubs" -o f.vdi
        expect_error "warning: backup of 'pubs': the streams do not tell its place in the chain of backups"
        expect_exit 0 vdipipe verify f.vdi
        nothing_left
    done
}

# An end without an error is not taken for success.
test_a_success_that_is_not_confirmed() {
    faulty no-confirmation
    expect_exit 0 vdipipe backup "$url/pubs" -o f.vdi
    fails vdipipe restore "$url" --verify-only -i f.vdi 2>err
    last_line "the server ended the statement without an error and without confirming it (no message 3262)"
    within 20 1 vdipipe restore "$url/other" --recovery -i f.vdi
    last_line "without confirming it (no message 3014)"
    nothing_left
    rm f.vdi other.db
    faulty no-confirmation no-history
    within 20 1 vdipipe backup "$url/pubs" -o f.vdi
    last_line "backup of 'pubs': the server ended the statement without an error" "3014, and no record of the backup in msdb"
    no_file
    within 20 1 vdipipe backup "$url/pubs" --sql 'BACKUP DATABASE pubs TO {devices}' -o f.vdi
    last_line "without confirming it (no message 3014, and no record"
    no_file
    nothing_left
}

test_state_that_may_not_be_seen() {
    faulty hang:1M deny-state
    within 20 6 vdipipe backup "$url/pubs" --server-timeout 6 -o f.vdi -v
    grep -qF "what the silent server does cannot be asked: " err
    last_line "nothing was heard of the server for 6 s (--server-timeout)"
    nothing_left
}

test_a_restore_that_fails() {
    faulty
    expect_exit 0 vdipipe backup "$url/pubs" -o f.vdi
    end_server
    faulty fail-after-data:1M
    within 5 1 vdipipe restore "$url/copy" --recovery -i f.vdi
    last_line "restore of 'copy': Msg 3"
    fails test -e copy.db
    end_server
    faulty hang:1M
    within 20 6 vdipipe restore "$url/copy" --server-timeout 6 --recovery -i f.vdi
    last_line "nothing was heard of the server for 6 s"
    end_server
    faulty
    head -c 800000 f.vdi >half.vdi
    within 5 3 vdipipe restore "$url/copy" --recovery -i half.vdi
    last_line "'half.vdi' ends at byte 800000"
    within 5 3 vdipipe restore "$url/copy" --recovery < <(cat half.vdi)
    last_line "ends at byte 800000"
    fails test -e copy.db
    nothing_left
}

# What the library does not tell, the statement's end does.
test_failures_by_the_library() {
    local library
    library=$(dropin) || skip "the drop-in is not built"
    without_leak_check
    faulty fail-before-open
    within 10 1 vdipipe backup "$url/pubs" --sqlvdi "$library" -o f.vdi
    last_line "Msg 3201, Level 16"
    end_server
    faulty fail-after-data:1M
    within 10 1 vdipipe backup "$url/pubs" --sqlvdi "$library" -o f.vdi
    last_line "Msg 3202, Level 16"
    end_server
    faulty hang:1M
    "$VDIPIPE" backup "$url/pubs" --sqlvdi "$library" -o f.vdi 2>err &
    client=$!
    wait_until 20 partial_grows
    kill -TERM "$client"
    expect_end "$client" 20 143
    expect_error "backup of 'pubs': ended by signal 15 (Terminated)"
    "$VDIPIPE" backup "$url/pubs" --sqlvdi "$library" -o f.vdi 2>err &
    client=$!
    wait_until 20 partial_grows
    kill -KILL "$server"
    expect_end "$client" 20 1
    grep -qF "backup of 'pubs': session " err
    no_file
    no_leftovers
}

run_tests
