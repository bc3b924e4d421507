#!/usr/bin/env bash
# One process of a run dies at any moment: the other ends within two seconds, says why, and leaves nothing behind; what was
# written is refused by every reader, and what stood there before is untouched.
# shellcheck disable=SC2317,SC2119,SC2030,SC2031 # run_tests calls the functions by their names, each in its own subshell
# shellcheck source-path=SCRIPTDIR source=../support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

limit=2
[[ -z ${VDIPIPE_SANITIZED:-} ]] || limit=8

needs_db() {
    make_db app.db 8000 # some 4 MB: several transfers, more than a pipe holds
}

# Where a backup's output may go. Each starts it in the background and sets client, and consumer if there is one; the output is f.
# Standard error goes to err.
start_to_zstd() {
    mkfifo pipe
    zstd -q -c <pipe >f &
    consumer=$!
    "$VDIPIPE" backup app.db >pipe 2>err &
    client=$!
}

start_to_cat() {
    mkfifo pipe
    cat <pipe >f &
    consumer=$!
    "$VDIPIPE" backup app.db >pipe 2>err &
    client=$!
}

start_to_redirection() {
    "$VDIPIPE" backup app.db >f 2>err &
    client=$!
    consumer=
}

start_to_file() {
    "$VDIPIPE" backup app.db -o f --force 2>err &
    client=$!
    consumer=
}

# What is in f now is no backup to anybody; with -o it is the older file.
nothing_usable() { # OUTPUT
    [[ -z $consumer ]] || wait "$consumer" || :
    if [[ $1 == file ]]; then
        [[ $(<f) == older ]] || fail "the older file was touched"
        return
    fi
    ! vdipipe verify f 2>reading || fail "verify accepts what is left"
    [[ $(wc -l <reading) -eq 1 && $(<reading) == "vdipipe: "* ]] || fail "verify says: $(<reading)"
    expect_refused restore copy.db -i f
    [[ ! -e copy.db ]] || fail "restored from what is left"
    # A file that never got a byte is refused by us alone; an empty file is a valid zstd file of nothing.
    if [[ $1 == zstd ]]; then
        ! { zstd -dcq f | zstd -tq; } 2>/dev/null || [[ $(zstd -dcq f | wc -c) -eq 0 ]] || fail "stock zstd accepts what is left"
    elif [[ -s f ]]; then
        ! zstd -tq f 2>/dev/null || fail "stock zstd accepts what is left"
    fi
}

expect_refused() { # ARGUMENTS...
    local got=0
    vdipipe "$@" 2>reading || got=$?
    [[ $got -eq 3 ]] || fail "vdipipe $*: exit $got: $(<reading)"
}

fresh() {
    [[ ! -e pipe ]] || rm pipe
    rm -f f err
    echo older >f
}

# Runs a backup to OUTPUT until one of its processes reaches POINT and stops there; then calls WHAT.
at_point() { # OUTPUT POINT WHAT
    fresh
    mkfifo -m 600 stops 2>/dev/null || :
    exec 9<>stops
    export VDIPIPE_FAULT="$2=stop" VDIPIPE_FAULT_FD=9
    "start_to_$1"
    unset VDIPIPE_FAULT
    read -rt 20 _ <&9 || fail "$1: $2 is not reached: $(cat err)"
    exec 9>&-
    "$3" || fail "$1: $2: $3"
    nothing_usable "$1"
}

stopped() { # PID
    grep -q '^State:[[:space:]]*T' "/proc/$1/status" 2>/dev/null
}

# Kills the client; the server must end by itself.
kill_client() {
    local server
    server=$(server_of "$client")
    kill -KILL "$client"
    wait "$client" 2>/dev/null || :
    kill -CONT "$server" 2>/dev/null || :
    wait_for_pid_end "$server" "$limit"
}

# Kills the server; the client must end with 1 and one line.
kill_server() {
    local server
    server=$(server_of "$client")
    kill -KILL "$server"
    kill -CONT "$client"
    expect_end "$client" "$limit" 1
    expect_error app.db
    no_leftovers
}

kill_both() {
    local server
    server=$(server_of "$client")
    kill -KILL "$client" "$server"
    wait "$client" 2>/dev/null || :
    wait_for_pid_end "$server" "$limit"
}

# The points of a backup that has begun to write, so that there is something to refuse.
server_points='backup.open backup.first_write backup.middle backup.flush backup.verdict'
after_a_dead_client_nothing_is_left_once_the_next_run_has_been() {
    expect_exit 0 vdipipe backup app.db -o next
    rm next
    no_leftovers
}

test_the_client_is_killed() {
    local point output
    needs_faults
    needs_db
    for output in zstd cat redirection file; do
        for point in backup.first_write backup.middle backup.verdict; do
            at_point "$output" "$point" kill_client
        done
    done
    after_a_dead_client_nothing_is_left_once_the_next_run_has_been
}

# POINT[@N] as NAME=ACTION[@N][#ROLE]
fault_spec() { # POINT ACTION [ROLE]
    local at=
    [[ $1 != *@* ]] || at=@${1#*@}
    printf '%s=%s%s%s' "${1%@*}" "$2" "$at" "${3:+#$3}"
}

test_the_server_is_killed() {
    local point output
    needs_faults
    needs_db
    for output in zstd cat redirection file; do
        for point in $server_points; do
            at_point "$output" "$point" kill_server
        done
    done
}

test_the_server_is_killed_while_the_client_is_busy() {
    local point
    needs_faults
    needs_db
    for point in client.get_configuration.done client.open_device.done client.get_command.done client.complete_command sink-write; do
        at_point file "$point" kill_server
    done
}

test_both_are_killed() {
    local output
    needs_faults
    needs_db
    for output in zstd cat redirection file; do
        at_point "$output" backup.middle kill_both
    done
    [[ -n $(find . -name '.f.partial-*') ]] || fail "the partial file of the killed run is already gone: nothing was tested"
    after_a_dead_client_nothing_is_left_once_the_next_run_has_been
}

# Without fault points: the reader takes a little and then nothing, so the backup stands in its middle.
hold_in_the_middle() { # OPTIONS...
    rm -f pipe err
    mkfifo pipe
    "$VDIPIPE" backup app.db "$@" >pipe 2>err &
    client=$!
    consumer=
    exec 7<pipe
    head -c 100000 <&7 >f
}

test_killed_behind_a_slow_reader() {
    local server
    make_db app.db 30000 # more than all buffers and the pipe hold
    hold_in_the_middle
    server=$(server_of "$client")
    kill -KILL "$server"
    expect_end "$client" "$limit" 1
    expect_error app.db 'signal 9'
    cat <&7 >>f
    exec 7<&-
    nothing_usable cat
    hold_in_the_middle
    server=$(server_of "$client")
    kill -KILL "$client"
    wait_for_pid_end "$server" "$limit"
    wait "$client" 2>/dev/null || :
    cat <&7 >>f
    exec 7<&-
    nothing_usable cat
}

signals='TERM:143 INT:130 HUP:129 QUIT:131'

test_signals_end_a_backup_with_their_number() {
    local pair
    make_db app.db 30000
    for pair in $signals; do
        [[ $pair != INT:* && $pair != QUIT:* ]] || continue # a shell's background jobs ignore these two
        hold_in_the_middle
        kill -"${pair%:*}" "$client"
        expect_end "$client" "$limit" "${pair#*:}"
        expect_error app.db signal
        cat <&7 >>f
        exec 7<&-
        nothing_usable cat
        no_leftovers
    done
}

test_signals_from_the_terminal() {
    local pair got
    make_db app.db 30000
    mkfifo pipe
    for pair in INT:130 QUIT:131; do
        # timeout(1) resets what the shell ignores for its background jobs, and passes signals on.
        env --default-signal=INT --default-signal=QUIT "$VDIPIPE" backup app.db >pipe 2>err &
        client=$!
        consumer=
        exec 7<pipe
        head -c 100000 <&7 >f
        kill -"${pair%:*}" "$client"
        expect_end "$client" "$limit" "${pair#*:}"
        expect_error app.db signal
        exec 7<&-
        no_leftovers
    done
}

# Ctrl-C reaches every process of the pipeline at once; the server leaves the decision to the client.
test_a_signal_to_the_whole_group() {
    make_db app.db 30000
    mkfifo pipe
    setsid env --default-signal=INT "$VDIPIPE" backup app.db >pipe 2>err &
    client=$!
    exec 7<pipe
    head -c 100000 <&7 >f
    kill -INT -- "-$client"
    expect_end "$client" "$limit" 130
    expect_error app.db signal
    exec 7<&-
    no_leftovers
}

# A lock that somebody else holds on the database, by an open session.
hold_lock() { # DB
    mkfifo orders
    sqlite3 -batch "$1" <orders >answers 2>&1 &
    holder=$!
    exec 8>orders
    echo "begin exclusive; select 'locked';" >&8
    wait_until 10 grep -q locked answers
}

test_killed_while_the_server_waits_for_a_lock() {
    local server
    make_db app.db 100
    hold_lock app.db
    "$VDIPIPE" backup app.db >f 2>err 8>&- &
    client=$!
    server=$(server_of "$client")
    kill -TERM "$client"
    expect_end "$client" "$limit" 143
    expect_error app.db signal
    wait_for_pid_end "$server" 0
    "$VDIPIPE" backup app.db >f 2>err 8>&- &
    client=$!
    server=$(server_of "$client")
    kill -KILL "$client"
    wait "$client" 2>/dev/null || :
    wait_for_pid_end "$server" "$limit"
    "$VDIPIPE" backup app.db >f 2>err 8>&- &
    client=$!
    server=$(server_of "$client")
    kill -KILL "$server"
    expect_end "$client" "$limit" 1
    expect_error app.db 'signal 9'
    exec 8>&-
    wait "$holder"
}

test_a_signal_leaves_the_older_file() {
    needs_faults
    needs_db
    signal_client() {
        kill -TERM "$client"
        kill -CONT "$client" "$(server_of "$client")" 2>/dev/null || :
        expect_end "$client" "$limit" 143
        expect_error app.db signal
        no_leftovers
    }
    at_point file backup.middle signal_client
    at_point file backup.flush signal_client
}

test_nohup_is_honoured() {
    make_db app.db 30000
    mkfifo pipe
    (
        trap '' HUP
        exec "$VDIPIPE" backup app.db >pipe 2>err
    ) &
    client=$!
    exec 7<pipe
    head -c 100000 <&7 >f
    kill -HUP "$client"
    cat <&7 >>f
    exec 7<&-
    expect_end "$client" 20 0
    expect_exit 0 vdipipe verify f
}

test_a_consumer_that_goes_away() {
    make_db app.db 30000
    hold_in_the_middle
    exec 7<&-
    expect_end "$client" "$limit" 1
    expect_error app.db 'standard output' 'went away'
    no_leftovers
}

test_a_server_stopped_for_a_while_is_waited_for() {
    local server
    make_db app.db 30000
    hold_in_the_middle
    server=$(server_of "$client")
    kill -STOP "$server"
    kill -CONT "$server"
    cat <&7 >>f
    exec 7<&-
    expect_end "$client" 20 0
    expect_exit 0 vdipipe verify f
}

test_a_stalled_consumer_is_given_up() {
    make_db app.db 30000
    hold_in_the_middle --stall-timeout 1
    expect_end "$client" 5 6
    expect_error 'standard output' --stall-timeout
    exec 7<&-
    no_leftovers
}

# ---- restore ----

# Runs a restore until POINT is reached, kills WHOM, and checks the target: absent, or, when there was one, unchanged.
restore_at() { # POINT WHOM ABSENT|PRESENT [OPTIONS...]
    rm -f err copy.db copy.db-*
    [[ $3 == absent ]] || cp older.db copy.db
    mkfifo -m 600 stops 2>/dev/null || :
    exec 9<>stops
    VDIPIPE_FAULT=$(fault_spec "$1" stop) VDIPIPE_FAULT_FD=9 "$VDIPIPE" restore copy.db "${@:4}" <stream 2>err &
    client=$!
    read -rt 20 _ <&9 || fail "$1 is not reached: $(cat err)"
    exec 9>&-
    case $2 in
    client)
        server=$(server_of "$client")
        kill -KILL "$client"
        wait "$client" 2>/dev/null || :
        kill -CONT "$server" 2>/dev/null || :
        wait_for_pid_end "$server" "$limit"
        ;;
    server)
        server=$(server_of "$client")
        kill -KILL "$server"
        kill -CONT "$client" 2>/dev/null || : # it may have noticed already
        expect_end "$client" "$limit" 1
        expect_error copy.db
        no_leftovers
        ;;
    both)
        server=$(server_of "$client")
        kill -KILL "$client" "$server"
        wait "$client" 2>/dev/null || :
        wait_for_pid_end "$server" "$limit"
        ;;
    esac
    # A server that had everything when its client died may still have finished; never half.
    if [[ $2 == client && $1 != restore.temp.created ]] && same_rows copy.db app.db; then
        :
    elif [[ $3 == absent ]]; then
        [[ ! -e copy.db && ! -e copy.db-wal && ! -e copy.db-journal ]] || fail "$1: $2 killed: the target was made"
    else
        same_rows copy.db older.db || fail "$1: $2 killed: the target has changed"
    fi
    # Whatever the dead left is removed by the next run.
    rm -f copy.db*
    expect_exit 0 vdipipe restore copy.db <stream
    no_leftovers
}

same_rows() { # DB DB
    [[ -e $1 ]] && cmp -s <(sqlite3 "$1" .dump) <(sqlite3 "$2" .dump)
}

test_a_new_restore_is_killed() {
    local point whom server
    needs_faults
    needs_db
    vdipipe backup app.db >stream
    for point in restore.temp.created restore.data.written restore.synced restore.checked client.get_command.done source-read@4; do
        for whom in client server; do
            restore_at "$point" "$whom" absent
        done
    done
    restore_at restore.checked both absent
}

test_a_replacing_restore_is_killed() {
    local point whom server
    needs_faults
    needs_db
    vdipipe backup app.db >stream
    make_db older.db 300
    for point in restore.temp.created restore.data.written restore.checked; do
        for whom in client server both; do
            restore_at "$point" "$whom" present --replace
        done
    done
}

test_a_restore_aside_is_killed() {
    local point
    needs_faults
    needs_db
    vdipipe backup app.db >stream
    make_db older.db 300
    for point in restore.data.written restore.checked; do
        restore_at "$point" client present --replace=aside
        restore_at "$point" server present --replace=aside
    done
}

test_a_restore_aside_killed_between_the_renames_is_finished_by_the_next_run() {
    local point
    needs_faults
    needs_db
    vdipipe backup app.db >stream
    for point in aside.linked aside.unlinked; do
        rm -f copy.db*
        make_db copy.db 300
        cp copy.db older.db
        VDIPIPE_FAULT="$point=kill#server" expect_exit 1 "$VDIPIPE" restore --replace=aside copy.db <stream
        expect_error copy.db
        # The client itself puts back what its dead server had taken away.
        same_content copy.db older.db
        no_leftovers
        [[ -z $(find . -name 'copy.db.replaced-*') ]] || fail "$point: $(ls)"
    done
}

test_the_server_is_killed_while_the_producer_is_silent() {
    local server
    needs_db
    vdipipe backup app.db >stream
    mkfifo pipe
    "$VDIPIPE" restore copy.db <pipe 2>err &
    client=$!
    exec 7>pipe
    head -c 1000000 stream >&7
    server=$(server_of "$client")
    kill -KILL "$server"
    expect_end "$client" "$limit" 1
    expect_error copy.db 'signal 9'
    exec 7>&-
    [[ ! -e copy.db ]]
    no_leftovers
}

test_signals_end_a_restore() {
    local pair
    needs_db
    vdipipe backup app.db >stream
    mkfifo pipe
    for pair in TERM:143 HUP:129; do
        "$VDIPIPE" restore copy.db <pipe 2>err &
        client=$!
        exec 7>pipe
        head -c 1000000 stream >&7
        server_of "$client" >/dev/null
        kill -"${pair%:*}" "$client"
        expect_end "$client" "$limit" "${pair#*:}"
        expect_error signal
        exec 7>&-
        [[ ! -e copy.db ]]
        no_leftovers
    done
}

test_a_producer_that_dies_half_way() {
    needs_db
    vdipipe backup app.db >stream
    head -c 2000000 stream | expect_exit 3 vdipipe restore copy.db
    expect_error 'byte 2000000'
    [[ ! -e copy.db ]]
    no_leftovers
}

runtime_folder_is_empty() {
    [[ -z $(ls -A "$VDIPIPE_RUNTIME_DIR") ]]
}

test_the_server_clears_away_what_a_killed_client_left() {
    needs_db
    mkfifo pipe
    exec 8<>pipe
    "$VDIPIPE" backup app.db >&8 2>err &
    client=$!
    head -c 1 <&8 >/dev/null
    kill -KILL "$client"
    wait_until "$limit" runtime_folder_is_empty
    exec 8>&-
}

# A lock that a cron line holds on some descriptor must not live on in the server.
test_the_server_inherits_no_stray_descriptor() {
    local link server
    ! has_faults || skip "builds with fault points keep descriptors for their tests"
    needs_db
    mkfifo pipe
    exec 8<>pipe 9>stray
    "$VDIPIPE" backup app.db >&8 2>err &
    client=$!
    head -c 1 <&8 >/dev/null
    server=$(server_of "$client")
    for link in "/proc/$server/fd"/*; do
        case $(readlink "$link") in
        */stray | */pipe) fail "the server holds $(readlink "$link")" ;;
        esac
    done
    kill -TERM "$client"
    expect_end "$client" "$limit" 143
    exec 8>&- 9>&-
}

# A full pipe where progress goes must not keep the one who watches for signals.
test_progress_that_nobody_reads_blocks_nothing() {
    needs_db
    mkfifo progress pipe
    exec 7<>progress 8<>pipe
    dd if=/dev/zero of=progress bs=4096 oflag=nonblock 2>/dev/null || true
    "$VDIPIPE" backup app.db --progress json --progress-fd 7 >&8 2>err &
    client=$!
    head -c 1 <&8 >/dev/null
    kill -TERM "$client"
    expect_end "$client" "$limit" 143
    expect_exit 0 vdipipe backup app.db --progress json --progress-fd 7 -o f
    exec 7>&- 8>&-
}

test_reading_commands_end_on_signals() {
    local verb
    needs_db
    vdipipe backup app.db >stream
    mkfifo pipe
    for verb in verify extract info; do
        "$VDIPIPE" "$verb" <pipe >plain 2>err &
        client=$!
        exec 7>pipe
        head -c 1000000 stream >&7
        kill -TERM "$client"
        expect_end "$client" "$limit" 143
        expect_error signal
        exec 7>&-
    done
}

run_tests
