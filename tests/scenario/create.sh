#!/usr/bin/env bash
# Device sets under names of the user's: a server that somebody else starts, several processes that serve the devices, tapes
# and disks.
# shellcheck disable=SC2317,SC2119,SC2030,SC2031 # run_tests calls the functions by their names, each in its own subshell
# shellcheck source-path=SCRIPTDIR source=../support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

limit=2
[[ -z ${VDIPIPE_SANITIZED:-} ]] || limit=8

# ---- processes ----

# Process ids, of which some are only read by their names.
# shellcheck disable=SC2034
primary='' first='' second='' third='' server=''

# A client in the background: `create` or `attach`. Its standard error goes to err.NAME; its process id to $NAME.
client() { # NAME ARGUMENTS...
    "$VDIPIPE" "${@:2}" 2>"err.$1" <&0 &
    printf -v "$1" '%s' "$!"
}

is_made() {
    "$VDIPIPE" status demo
}

# The set `demo`, waiting for its server.
make_set() { # ARGUMENTS...
    client primary create demo "$@"
    wait_until 10 is_made
}

# The server's side: executes on DB, over the devices, and yields the exit status. Its messages go to server.log.
serve() { # BACKUP|RESTORE DB DEVICE...
    vdipipe exec "$(statement "$@")" >server.log 2>&1
}

statement() { # BACKUP|RESTORE DB DEVICE...
    local devices
    printf -v devices "VIRTUAL_DEVICE='%s', " "${@:3}"
    [[ $1 == BACKUP ]] && echo "BACKUP DATABASE [$PWD/$2] TO ${devices%, } WITH MAXTRANSFERSIZE=65536"
    [[ $1 == BACKUP ]] || echo "RESTORE DATABASE [$PWD/$2] FROM ${devices%, } WITH MAXTRANSFERSIZE=65536"
}

# shellcheck disable=SC2034 # read by its name
server() { # BACKUP|RESTORE DB DEVICE...
    "$VDIPIPE" exec "$(statement "$@")" >server.log 2>&1 &
    server=$!
}

# A client ended with that status, and said these words in one line behind what it always says.
ended() { # NAME STATUS [TEXT...]
    local text
    expect_end "${!1}" 10 "$2" || fail "$1"
    grep -v 'is ready and waits' "err.$1" >err || :
    if [[ $# -gt 2 ]]; then
        expect_error "${@:3}"
    else
        expect_silence
    fi
}

# ---- one device ----

test_a_backup_and_its_restore_through_a_named_set() {
    make_db app.db 8000
    make_set -o out.vdi
    [[ ! -e out.vdi ]] || fail "the file has its name already"
    serve BACKUP app.db demo
    ended primary 0
    zstd -dcq out.vdi | cmp - app.db
    expect_exit 0 vdipipe verify out.vdi
    make_set -i out.vdi
    serve RESTORE copy.db demo
    ended primary 0
    cmp app.db copy.db
    # It is a backup like any other.
    expect_exit 0 vdipipe restore again.db -i out.vdi
    cmp app.db again.db
    no_leftovers
}

test_every_kind_of_output() {
    make_db app.db 2000
    make_set --zstd -o small.vdi
    serve BACKUP app.db demo
    ended primary 0
    zstd -dcq small.vdi | cmp - app.db
    make_set --raw -o app.raw
    serve BACKUP app.db demo
    ended primary 0
    cmp app.raw app.db
    make_set >stdout.vdi
    serve BACKUP app.db demo
    ended primary 0
    zstd -dcq stdout.vdi | cmp - app.db
    make_set -o '{db}-{device}.vdi'
    serve BACKUP app.db demo
    ended primary 0
    zstd -dcq demo-1.vdi | cmp - app.db
    make_set -i /dev/stdin <stdout.vdi
    serve RESTORE copy.db demo
    ended primary 0
    cmp app.db copy.db
    no_leftovers
}

test_an_existing_file_is_kept_until_the_new_one_is_complete() {
    make_db app.db 2000
    echo older >out.vdi
    expect_exit 2 vdipipe create demo -o out.vdi
    expect_error "'out.vdi' exists" --force
    make_set -o out.vdi --force
    [[ $(<out.vdi) == older ]] || fail "the file was touched"
    serve BACKUP app.db demo
    ended primary 0
    zstd -dcq out.vdi | cmp - app.db
    no_leftovers
}

test_no_server_comes() {
    expect_exit 6 vdipipe create demo -o out.vdi --open-timeout 1.5 -q
    expect_error "create 'demo'" "within 1.5 s (--open-timeout)"
    [[ ! -e out.vdi ]] || fail "there is a file"
    no_leftovers
}

test_a_taken_name_is_refused() {
    make_set -o out.vdi
    expect_exit 5 vdipipe create demo -o other.vdi
    expect_error "create 'demo'" "in use"
    kill -TERM "$primary"
    ended primary 143 "ended by signal 15"
    no_leftovers
}

test_the_statement_goes_the_other_way() {
    make_db app.db 2000
    expect_exit 0 vdipipe backup app.db -o app.vdi
    make_set -o out.vdi
    ! serve RESTORE copy.db demo || fail "the server succeeded"
    ended primary 2 "its statement is a RESTORE" "-i FILE"
    make_set -i app.vdi
    ! serve BACKUP app.db demo || fail "the server succeeded"
    ended primary 2 "its statement is a BACKUP" "-o FILE"
    [[ ! -e out.vdi && ! -e copy.db ]] || fail "something was made"
    no_leftovers
}

test_a_server_that_fails_is_heard() {
    echo none >missing.db
    make_set -o out.vdi
    ! serve BACKUP missing.db demo || fail "the server succeeded"
    ended primary 1 "create 'demo'" "missing.db"
    [[ ! -e out.vdi ]] || fail "there is a file"
    no_leftovers
}

test_a_damaged_input_fails_both_sides() {
    make_db app.db 8000
    expect_exit 0 vdipipe backup app.db -o app.vdi
    printf 'x' | dd of=app.vdi bs=1 seek=2000000 conv=notrunc status=none
    make_set -i app.vdi
    ! serve RESTORE copy.db demo || fail "the server succeeded"
    ended primary 3 "'app.vdi'"
    [[ ! -e copy.db ]] || fail "restored from damage"
    no_leftovers
}

# Refused before anything is made.
refuses() { # TEXT COMMAND ARGUMENTS...
    expect_exit 2 vdipipe "${@:2}"
    grep -qF -e "$1" err || fail "no '$1' for '${*:2}': $(<err)"
}

test_what_cannot_be_meant_is_refused() {
    refuses 'which name' create
    refuses 'give one of them' create demo -o a -i b
    refuses '1 to 255 bytes' create '' -o a
    refuses '--media-size is 1, less than 1048576' create demo -o a --features tape --media-size 1
    refuses 'add --devices 2' create demo -o a -o b
    refuses '--features tape' create demo -o a --media-size 10M
    refuses '--features tape' create demo -o a --append
    refuses '--features tape' create demo -o a --soft-marks 512
    refuses '--soft-marks 1000' create demo -o a --features tape --soft-marks 1000
    refuses '--raw' create demo -o a --features tape --raw
    refuses '--zstd' create demo -o a --features disk --zstd
    refuses 'needs a file' create demo --features tape
    refuses 'needs a file' create demo --features disk
    refuses '--raw and --zstd' create demo -o a --raw --zstd
    refuses '--force' create demo -o a --devices 2 --force
    refuses '--force goes with -o' create demo --force
    refuses '--zstd goes with -o' create demo -i a --zstd
    refuses 'no placeholder' create demo -o '{what}'
    refuses "'missing.vdi'" create demo -i missing.vdi
    refuses "'drum'" create demo -o a --features drum
    refuses 'which device' attach demo
    refuses 'one file' attach demo 1 -o a -o b
    refuses 'give one of them' attach demo 1 -o a -i b
    no_leftovers
}

# ---- servers that are not ours ----

# A server that writes a quarter of a megabyte and then says of its success what the last argument says.
foreign() { # VERDICT [COMMAND]
    printf '%s\n' "verdict $1" 'device 1' 'write 64K x4 data pattern 7' "${@:2}" >foreign.vds
    serve_script foreign.vds
}

serve_script() { # FILE
    vdipipe exec --script "$1" demo >server.log 2>&1
}

test_a_server_that_says_nothing() {
    make_set -o out.vdi
    foreign none flush
    ended primary 1 "create 'demo'" "did not say that it succeeded" --accept-unconfirmed
    [[ ! -e out.vdi ]] || fail "the file has its name"
    make_set -o out.vdi --accept-unconfirmed
    foreign none flush
    wait_for_pid_end "$primary" 10
    wait "$primary"
    grep -q 'warning: .*did not say that it succeeded' err.primary || fail "no warning: $(<err.primary)"
    expect_exit 3 vdipipe verify out.vdi
    expect_exit 0 vdipipe verify out.vdi --accept-unconfirmed
    [[ $(vdipipe extract out.vdi --accept-unconfirmed | wc -c) -eq 262144 ]] || fail "not all of it is there"
    make_set --features disk --accept-unconfirmed -o out.img
    foreign none flush
    wait "$primary"
    [[ $(stat -c %s out.img) -eq 262144 ]] || fail "not all of the disk is there"
    make_set --features tape --accept-unconfirmed -o tape.vdi
    foreign none writemark flush
    wait "$primary"
    expect_exit 0 vdipipe verify tape.vdi --accept-unconfirmed
    no_leftovers
}

test_a_server_that_does_not_even_flush() {
    make_set -o out.vdi --accept-unconfirmed
    foreign none
    ended primary 1 "create 'demo'" "the server ended without having completed the operation"
    [[ ! -e out.vdi ]] || fail "the file has its name"
    no_leftovers
}

test_a_foreign_server_that_succeeds_or_fails() {
    make_set -o out.vdi
    foreign success flush
    ended primary 0
    expect_exit 0 vdipipe info --json out.vdi
    [[ $(jq -r .server out) == vdi ]] || fail "$(<out)"
    make_set -o other.vdi
    foreign 'failed "the tape robot is on strike"' flush
    ended primary 1 "create 'demo'" "the tape robot is on strike"
    [[ ! -e other.vdi ]] || fail "the file has its name"
    no_leftovers
}

# ---- several processes ----

# A set of three devices, two of them served by `attach`, one of which by the device's name and started first.
make_three() { # OPTION FILE...
    client second attach demo second "$1" "$3" "${@:5}"
    make_set --devices 3 "$1" "$2"
    client third attach demo 3 "$1" "$4" "${@:5}"
}

test_three_processes_back_up_and_restore() {
    make_db app.db 8000
    make_three -o s.1.vdi s.2.vdi s.3.vdi
    serve BACKUP app.db demo second third
    ended primary 0
    ended second 0
    ended third 0
    for i in 1 2 3; do
        zstd -dcq "s.$i.vdi"
    done | cmp - app.db
    expect_exit 0 vdipipe restore one.db -i s.2.vdi
    cmp app.db one.db
    make_three -i s.1.vdi s.2.vdi s.3.vdi
    serve RESTORE copy.db demo second third
    ended primary 0
    ended second 0
    ended third 0
    cmp app.db copy.db
    no_leftovers
}

test_attached_processes_alone() {
    make_db app.db 4000
    make_set --devices 2
    client first attach demo demo -o 's.{device}.vdi'
    client second attach demo 2 --zstd >s.2.vdi
    serve BACKUP app.db demo 7
    ended primary 0
    ended first 0
    ended second 0
    cat s.1.vdi s.2.vdi | zstd -dcq | cmp - app.db
    no_leftovers
}

# All three serve; the second writes into a pipe that nobody reads, so that the transfer stands still in its middle.
hold_three_in_mid_transfer() {
    make_db app.db 16000
    mkfifo pipe
    exec 9<>pipe
    make_three -o s.1.vdi pipe s.3.vdi
    server BACKUP app.db demo second third
    wait_until 10 is_held
}

is_held() {
    "$VDIPIPE" status --json demo | jq -e '.devices | .[1].held > 0 and .[1].bytes > 0 and all(.[0, 2]; .bytes > 0 and .held + .queued == 0)'
}

# Everybody but the one that was killed ends in time, and nothing has been made.
all_end_after_killing() { # NAME
    local name
    kill -KILL "${!1}"
    for name in primary second third server; do
        [[ $name == "$1" ]] || wait_for_pid_end "${!name}" "$limit"
    done
    exec 9>&-
    wait "${!1}" || [[ $? -eq 137 ]]
    [[ ! -e s.1.vdi && ! -e s.3.vdi ]] || fail "files have their names"
}

test_a_device_that_nobody_takes() {
    make_db app.db 50
    make_set --devices 2 -o out.1 --stall-timeout 0.5
    expect_exit 1 serve BACKUP app.db demo d2
    ended primary 6 "create 'demo'" "nobody served device 2 within 0.5 s (--stall-timeout)"
    # Nor one where all are others'.
    make_set --devices 2 --stall-timeout 0.5
    expect_exit 1 serve BACKUP app.db demo d2
    ended primary 6 "create 'demo'" "nobody served device 1 within 0.5 s"
    no_leftovers
}

test_a_killed_secondary_ends_all() {
    hold_three_in_mid_transfer
    all_end_after_killing second
    ended primary 1 "create 'demo'" "process $second, which served a part of its devices, died"
    ended third 1 "attach 'demo' 3" "a secondary client's process died"
    no_leftovers
}

is_alone() {
    "$VDIPIPE" status --json demo | jq -e '.secondary_pids == []'
}

test_a_secondary_killed_behind_its_last_command_fails_the_backup() {
    local pid
    needs_faults
    make_db app.db 4000
    mkfifo stopped
    exec 8<>stopped
    make_set --devices 2 -o s.1.vdi
    client second attach demo 2 -o s.2.vdi
    VDIPIPE_FAULT='backup.verdict=stop#server' VDIPIPE_FAULT_FD=8 server BACKUP app.db demo second
    read -rt 10 -u 8 _ || fail "the server did not come to its verdict"
    pid=$("$VDIPIPE" status --json demo | jq .server_pid)
    kill -KILL "$second"
    wait_until 10 is_alone
    kill -CONT "$pid"
    wait "$server"
    ended primary 1 "the server counts this backup as taken" "process $second, which served a part of its devices, died"
    [[ ! -e s.1.vdi && ! -e s.2.vdi ]] || fail "files have their names"
    rm -f .s.2.vdi.partial-*
    no_leftovers
}

test_a_killed_primary_ends_all() {
    hold_three_in_mid_transfer
    all_end_after_killing primary
    ended second 1 "attach 'demo' second" "client" "died"
    ended third 1 "attach 'demo' 3" "client" "died"
    # A killed process cannot clear up; the next run does.
    expect_exit 6 vdipipe create demo -o s.1.vdi --open-timeout 0.1
    no_leftovers
}

test_a_killed_server_ends_all() {
    local child
    hold_three_in_mid_transfer
    child=$("$VDIPIPE" status --json demo | jq .server_pid)
    kill -KILL "$child"
    for name in primary second third server; do
        wait_for_pid_end "${!name}" "$limit"
    done
    ended primary 1 "create 'demo'" "the server process died"
    ended second 1 "attach 'demo' second" "the server process died"
    ended third 1 "attach 'demo' 3" "the server process died"
    [[ ! -e s.1.vdi && ! -e s.3.vdi ]] || fail "files have their names"
    no_leftovers
}

test_a_signal_ends_all() {
    hold_three_in_mid_transfer
    kill -TERM "$third"
    for name in primary second third server; do
        wait_for_pid_end "${!name}" "$limit"
    done
    ended third 143 "ended by signal 15"
    ended primary 1 "create 'demo'" "another process that serves its devices gave up"
    ended second 1 "attach 'demo' second" "another process that serves its devices gave up"
    no_leftovers
}

test_the_slip_of_one_costs_the_others_nothing() {
    make_db app.db 8000
    mkfifo pipe
    exec 9<>pipe
    make_set --devices 2 -o s.1.vdi
    client second attach demo 2 >pipe
    server BACKUP app.db demo second
    wait_until 10 "$VDIPIPE" status demo
    touch there.vdi
    expect_exit 2 vdipipe attach demo 3 -o x.vdi
    expect_error "attach 'demo' 3" "no device '3'" "1 to 2"
    expect_exit 2 vdipipe attach demo missing -o x.vdi
    expect_error "no device 'missing'"
    expect_exit 2 vdipipe attach demo 2 -o there.vdi
    expect_error "'there.vdi' exists"
    expect_exit 2 vdipipe attach demo 2 -i app.db
    expect_error "its statement is a BACKUP" "-o FILE"
    expect_exit 5 vdipipe attach demo 1 -o x.vdi
    expect_error "device 1 ('demo') is served already"
    cat <&9 >s.2.vdi &
    consumer=$!
    ended primary 0
    ended second 0
    [[ ! -e x.vdi ]] || fail "x.vdi was made"
    # The descriptor is the pipe's writer, too, so the reader sees no end.
    wait_until 10 eval 'zstd -tq s.2.vdi'
    kill "$consumer"
    cat s.1.vdi s.2.vdi | zstd -dcq | cmp - app.db
    no_leftovers
}

# Nobody waits a minute for a set to hear of a typing error, and what is looked at is not touched.
test_attach_looks_at_its_file_first() {
    local name
    touch there.vdi
    expect_exit 2 vdipipe attach demo 2 -i missing
    expect_error "attach 'demo' 2: 'missing' cannot be read"
    expect_exit 2 vdipipe attach demo 2 -i .
    expect_error "'.' is a folder, not a backup"
    expect_exit 2 vdipipe attach demo 2 -o there.vdi
    expect_error "attach 'demo' 2: 'there.vdi' exists"
    expect_exit 2 vdipipe attach demo 2 -o missing/x.vdi
    expect_error "no folder './missing'"
    mkfifo pipe
    for name in /dev/null pipe x.vdi 'there.{device}'; do
        expect_exit 6 vdipipe attach demo 2 -o "$name" --open-timeout 0.1
    done
    [[ ! -e x.vdi ]]
    no_leftovers
}

test_attach_without_a_set() {
    expect_exit 6 vdipipe attach demo 2 -o x.vdi --open-timeout 1
    expect_error "attach 'demo' 2" --open-timeout "vdipipe create"
    no_leftovers
}

test_streams_of_two_backups_are_not_mixed() {
    make_db app.db 4000
    expect_exit 0 vdipipe backup app.db --devices 2 -o 'a.{device}.vdi'
    expect_exit 0 vdipipe backup app.db --devices 2 -o 'b.{device}.vdi'
    expect_exit 2 vdipipe create demo --devices 2 -i a.1.vdi -i b.2.vdi
    expect_error "'b.2.vdi' belongs to another backup"
    expect_exit 2 vdipipe create demo --devices 2 -i a.2.vdi -i a.1.vdi
    expect_error "'a.2.vdi' carries device 2 of 2"
    no_leftovers
}

# What a foreign server has put on a disk may be anything.
test_bare_data_is_given_back_as_it_is() {
    local kind
    { printf 'neither of them' && head -c 300000 /dev/urandom; } >data
    : >empty
    for kind in pipe disk; do
        printf 'set blocksize 512\nset direction read\ndevice 1\n  read 64K until eof total 300015\n  clearerror\n' >script
        expect_exit 3 vdipipe create demo --features "$kind" -i data
        make_set --features "$kind" --raw -i data --trace trace
        expect_exit 0 vdipipe exec --script script demo
        ended primary 0
        make_set --features "$kind" --raw -i empty
        kill -TERM "$primary"
        wait "$primary" || :
    done
    expect_exit 2 vdipipe create demo --features tape --raw -i data
    no_leftovers
}

# ---- tapes and disks ----

test_a_disk() {
    make_db app.db 4000
    make_set --features disk -o disk.img --trace trace
    serve BACKUP app.db demo
    ended primary 0
    cmp app.db disk.img
    make_set --features disk -i disk.img
    serve RESTORE copy.db demo
    ended primary 0
    cmp app.db copy.db
    expect_exit 0 vdipipe backup app.db -o app.vdi
    make_set --features disk -i app.vdi
    serve RESTORE again.db demo
    ended primary 0
    cmp app.db again.db
    no_leftovers
}

test_a_tape() {
    make_db app.db 4000
    make_set --features tape -o tape.vdi
    serve BACKUP app.db demo
    ended primary 0
    zstd -dcq tape.vdi | cmp - app.db
    expect_exit 0 vdipipe verify tape.vdi
    make_set --features tape -i tape.vdi
    serve RESTORE copy.db demo
    ended primary 0
    cmp app.db copy.db
    no_leftovers
}

test_a_tape_that_is_full() {
    make_db app.db 4000
    make_set --features tape --media-size 1M -o tape.vdi
    ! serve BACKUP app.db demo || fail "the server succeeded"
    ended primary 1 "create 'demo'"
    [[ ! -e tape.vdi ]] || fail "there is a tape"
    no_leftovers
}

# A pipe has no marks: all of them together would pass for a database.
test_a_tape_of_several_backups_is_restored_by_one() {
    local size
    for size in 200 300; do
        make_db "$size.db" "$size"
        make_set --features tape --append -o tape.vdi
        serve BACKUP "$size.db" demo
        ended primary 0
        [[ $size != 200 ]] || { vdipipe restore one.db <tape.vdi && cmp one.db 200.db; }
    done
    expect_exit 2 vdipipe restore copy.db -i tape.vdi
    expect_error "'tape.vdi' is a tape with more than one backup"
    expect_exit 2 vdipipe restore --check none copy.db < <(cat tape.vdi)
    make_set -i tape.vdi
    expect_exit 1 serve RESTORE copy.db demo
    ended primary 2 "more than one backup"
    [[ ! -e copy.db ]]
    expect_exit 0 vdipipe verify tape.vdi
    no_leftovers
}

test_what_is_no_tape_is_not_appended_to() {
    make_db app.db 10
    printf 'no tape at all, but text' >text
    expect_exit 3 vdipipe create demo --features tape --append -o text --open-timeout 20
    expect_error "'text' is no backup"
    expect_exit 2 vdipipe create demo --features tape --append -o app.db --open-timeout 20
    expect_error "'app.db' is no tape"
    no_leftovers
}

test_a_tape_takes_another_backup() {
    make_db app.db 2000
    make_db more.db 1000
    make_set --features tape -o tape.vdi
    serve BACKUP app.db demo
    ended primary 0
    make_set --features tape --append -o tape.vdi --zstd
    serve BACKUP more.db demo
    ended primary 0
    cat app.db more.db | cmp - <(zstd -dcq tape.vdi)
    expect_exit 0 vdipipe verify tape.vdi
    for number in 1 2; do
        make_set --features tape -i tape.vdi
        vdipipe exec "$(statement RESTORE "$number.db" demo), FILE=$number" >server.log 2>&1
        ended primary 0
    done
    cmp app.db 1.db
    cmp more.db 2.db
    no_leftovers
}

# ---- traces ----

# Every command has its completion, of the same kind and with a serial number that counts them.
pairs_up() { # FILE DEVICES
    jq -se --argjson devices "$2" 'map(select(.serial)) | group_by(.device) | length == $devices and all(.[]; length > 0 and
        (map(select(.event == "command")) as $asked | map(select(.event == "completion")) as $done |
            ($asked | map([.serial, .command])) == ($done | map([.serial, .command])) and
            ($asked | map(.serial)) == [range(1; ($asked | length) + 1)] and all($done[]; .after >= 0)))' "$1" >/dev/null ||
        fail "the trace $1: $(head -c 2000 "$1")"
    jq -se '.[-1] | .event == "verdict" and .text == "success"' "$1" >/dev/null || fail "no verdict in $1"
}

test_traces_show_every_command() {
    make_db app.db 4000
    expect_exit 0 vdipipe backup app.db --devices 3 -o 's.{device}.vdi' --trace trace
    pairs_up trace 3
    [[ $(jq -s '[.[] | select(.event == "completion" and .command == "Write") | .bytes] | add' trace) -eq $(stat -c %s app.db) ]]
    expect_exit 0 vdipipe restore copy.db -i s.1.vdi --trace trace
    jq -se 'map(select(.event == "completion" and .command == "Read")) | length > 0' trace >/dev/null
    for kind in pipe tape disk; do
        make_set --features "$kind" -o "out.$kind" --trace trace
        serve BACKUP app.db demo
        ended primary 0
        pairs_up trace 1
    done
    make_set --devices 2 -o t.1.vdi --trace trace
    client second attach demo 2 -o t.2.vdi --trace trace.2
    serve BACKUP app.db demo second
    ended primary 0
    ended second 0
    pairs_up trace 1
    pairs_up trace.2 1
    [[ $(jq -s 'map(.device) | max' trace.2) -eq 2 ]] || fail "the second device is not the second"
    no_leftovers
}

test_a_trace_overwrites_nothing_but_traces() {
    make_db app.db 200
    cp app.db before.db
    expect_exit 2 vdipipe backup app.db -o out.vdi --trace app.db
    expect_error "'app.db' exists and is no trace"
    cmp app.db before.db
    expect_exit 2 vdipipe create demo -o out.vdi --trace missing/trace
    expect_error "'missing/trace'"
    expect_exit 0 vdipipe backup app.db -o out.vdi --trace /dev/full
    grep -q 'warning: .*/dev/full' err || fail "no warning: $(<err)"
    no_leftovers
}

run_tests
