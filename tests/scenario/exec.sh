#!/usr/bin/env bash
# exec "STATEMENT": the server side of a set that another process makes, by BACKUP and RESTORE statements.
# shellcheck disable=SC2317,SC2119,SC2030,SC2031 # run_tests calls the functions by their names, each in its own subshell
# shellcheck source-path=SCRIPTDIR source=../support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

# A client that waits for its server, in the background: its process is $client.
client() { # CREATE-ARGS...
    "$VDIPIPE" create demo -q "$@" 2>client.err &
    client=$!
}

client_ends() { # STATUS
    expect_end "$client" 20 "$1"
}

# The statement that comes while the client may still be about to make its set.
run() { # STATUS STATEMENT [ARGS...]
    expect_exit "$1" vdipipe exec --open-timeout 20 "${@:3}" "$2"
}

# The numbers of the error messages, in order.
expect_numbers() { # NUMBER...
    local got
    got=$(sed -n 's/^Msg \([0-9]*\), Level .*/\1/p' err | tr '\n' ' ')
    [[ $got == "${*:+$* }" ]] || fail "messages $got, not $*: $(cat -v err)"
}

expect_words() { # TEXT...
    local text
    for text in "$@"; do
        grep -qF -e "$text" err || fail "no '$text' in: $(cat -v err)"
    done
}

test_a_session_of_three_terminals() {
    make_db app.db 3000
    client -o out.vdi
    run 0 "BACKUP DATABASE [$PWD/app.db] TO VIRTUAL_DEVICE='demo' WITH MAXTRANSFERSIZE=1048576, STATS=20, NAME='nightly'"
    client_ends 0
    expect_numbers
    expect_words "60 percent processed." "100 percent processed." "pages for database '$PWD/app.db', file 'app.db' on file 1." \
        "BACKUP DATABASE successfully processed "
    grep -Eq '^BACKUP DATABASE successfully processed [0-9]+ pages in [0-9]+\.[0-9]{3} seconds \([0-9]+\.[0-9]{3} MB/sec\)\.$' err
    zstd -dcq out.vdi | cmp - app.db
    expect_exit 0 vdipipe info --json out.vdi
    grep -qF '"label":"nightly"' out
    grep -qF "\"origin\":\"$PWD/app.db\"" out
    client -i out.vdi
    run 0 "restore database [$PWD/copy.db] from virtual_device=N'demo' -- as it was"
    client_ends 0
    expect_words "RESTORE DATABASE successfully processed "
    cmp app.db copy.db
    no_leftovers
}

test_quiet_says_nothing() {
    make_db app.db 10
    client -o out.vdi
    run 0 "BACKUP DATABASE [app.db] TO VIRTUAL_DEVICE='demo' WITH STATS" -q
    expect_silence
    client_ends 0
}

test_where_a_restore_goes() {
    make_db app.db 300
    make_db other.db 5
    mkdir sub
    client -o out.vdi
    run 0 "BACKUP DATABASE [app.db] TO VIRTUAL_DEVICE='demo'"
    client_ends 0

    client -i out.vdi
    run 2 "RESTORE DATABASE [other.db] FROM VIRTUAL_DEVICE='demo'"
    expect_numbers 3142 3013
    client_ends 2
    [[ $(sqlite3 other.db 'select count(*) from item') -eq 5 ]]

    client -i out.vdi
    run 0 "RESTORE DATABASE [other.db] FROM VIRTUAL_DEVICE='demo' WITH REPLACE, CHECKSUM"
    client_ends 0
    same_content app.db other.db

    client -i out.vdi
    run 0 "RESTORE DATABASE app FROM VIRTUAL_DEVICE='demo' WITH MOVE 'main' TO 'sub/moved.db', RECOVERY"
    client_ends 0
    expect_words "for database 'app', file 'app' on file 1."
    cmp app.db sub/moved.db

    client -i out.vdi
    run 0 "RESTORE DATABASE [app.db] FROM VIRTUAL_DEVICE='demo' WITH MOVE 'app.db' TO '$PWD/sub/x''y].db', NO_CHECKSUM"
    client_ends 0
    cmp app.db "sub/x'y].db"

    expect_exit 2 vdipipe exec "RESTORE DATABASE [app.db] FROM VIRTUAL_DEVICE='demo' WITH MOVE 'log' TO 'x.db'"
    expect_numbers 3234 3013
    expect_exit 2 vdipipe exec "RESTORE DATABASE [app.db] FROM VIRTUAL_DEVICE='demo' WITH MOVE 'main' TO '/no/such/x.db'"
    expect_numbers 3156 3013
    expect_exit 2 vdipipe exec "RESTORE DATABASE [/no/such/x.db] FROM VIRTUAL_DEVICE='demo'"
    expect_numbers 3156 3013
    no_leftovers
}

# What cannot be done is refused by number before anything is looked for.
test_refusals() {
    local number last options
    make_db app.db 1
    while IFS='|' read -r number last options; do
        expect_exit 2 vdipipe exec "$options"
        # shellcheck disable=SC2086 # none or one
        expect_numbers $number $last
        [[ ! -s out ]]
    done <<'ROWS'
102||hello
102||BACKUP DATABASE [app.db] TO VIRTUAL_DEVICE='d' WITH
105||BACKUP DATABASE [app.db] TO VIRTUAL_DEVICE='d
113||BACKUP /* DATABASE
155||BACKUP DATABASE [app.db] TO VIRTUAL_DEVICE='d' WITH REPLACE
156||BACKUP DATABASE TO VIRTUAL_DEVICE='d'
911|3013|BACKUP DATABASE nothing TO VIRTUAL_DEVICE='d'
911|3013|BACKUP DATABASE [./nothing.db] TO VIRTUAL_DEVICE='d'
911|3013|BACKUP DATABASE [@nothing] TO VIRTUAL_DEVICE='d'
911|3013|RESTORE DATABASE nothing FROM VIRTUAL_DEVICE='d'
4208|3013|BACKUP LOG [app.db] TO VIRTUAL_DEVICE='d'
3035|3013|BACKUP DATABASE [app.db] TO VIRTUAL_DEVICE='d' WITH DIFFERENTIAL
3032|3013|BACKUP DATABASE [app.db] TO VIRTUAL_DEVICE='d' WITH COMPRESSION
3032|3013|BACKUP DATABASE [app.db] TO VIRTUAL_DEVICE='d' WITH EXPIREDATE='2030-01-01'
3032|3013|BACKUP DATABASE [app.db] TO VIRTUAL_DEVICE='d' WITH PASSWORD='x'
3032|3013|BACKUP DATABASE [app.db] TO VIRTUAL_DEVICE='d' WITH SNAPSHOT
3032|3013|BACKUP DATABASE [app.db] TO DISK='/tmp/x.bak'
3031|3013|BACKUP DATABASE [app.db] TO VIRTUAL_DEVICE='d' WITH INIT, NOINIT
3004|3013|BACKUP DATABASE [app.db] FILE='app.db' TO VIRTUAL_DEVICE='d'
3218|3013|BACKUP DATABASE [app.db] TO VIRTUAL_DEVICE='d' MIRROR TO VIRTUAL_DEVICE='e'
3250|3013|BACKUP DATABASE [app.db] TO VIRTUAL_DEVICE='d' WITH MAXTRANSFERSIZE=5
3253|3013|BACKUP DATABASE [app.db] TO VIRTUAL_DEVICE='d' WITH BLOCKSIZE=1000
3201|3013|BACKUP DATABASE [app.db] TO VIRTUAL_DEVICE='d', VIRTUAL_DEVICE='d'
3117|3013|RESTORE LOG [app.db] FROM VIRTUAL_DEVICE='d'
3117|3013|RESTORE DATABASE [app.db] FROM VIRTUAL_DEVICE='d' WITH NORECOVERY
3117|3013|RESTORE DATABASE [app.db] FROM VIRTUAL_DEVICE='d' WITH STANDBY='x'
3145|3013|RESTORE DATABASE [app.db] FROM VIRTUAL_DEVICE='d' WITH STOPAT='2026-01-01'
3115|3013|RESTORE DATABASE [app.db] FROM VIRTUAL_DEVICE='d' WITH PARTIAL
3205|3013|RESTORE HEADERONLY FROM VIRTUAL_DEVICE='d', VIRTUAL_DEVICE='e'
ROWS
    # A new database of a name without folder could be meant to be a path.
    expect_exit 2 vdipipe exec "RESTORE DATABASE [new.db] FROM VIRTUAL_DEVICE='d'"
    grep -qF "[./app.db]" err
    expect_exit 2 vdipipe exec
    expect_error "which statement"
    no_leftovers
}

test_names_of_the_configuration() {
    make_db app.db 50
    printf '[main_app]\ndatabase = %s\n' "$PWD/app.db" >my.conf
    chmod 600 my.conf
    client -o out.vdi
    run 0 "BACKUP DATABASE main_app TO VIRTUAL_DEVICE='demo'" --config my.conf
    client_ends 0
    expect_words "for database 'main_app', file 'app.db' on file 1."
    client -i out.vdi
    run 0 "RESTORE DATABASE [@main_app] FROM VIRTUAL_DEVICE='demo' WITH REPLACE" --config my.conf
    client_ends 0
}

test_verification_and_listings() {
    local verb
    make_db app.db 500
    client -o out.vdi
    run 0 "BACKUP DATABASE [app.db] TO VIRTUAL_DEVICE='demo' WITH CHECKSUM"
    client_ends 0
    client -i out.vdi
    run 0 "RESTORE VERIFYONLY FROM VIRTUAL_DEVICE='demo'"
    client_ends 0
    expect_words "The backup set on file 1 is valid."
    client -i out.vdi
    mkdir spool
    run 0 "RESTORE VERIFYONLY FROM VIRTUAL_DEVICE='demo' WITH CHECKSUM, FILE=1" --spool-dir spool
    client_ends 0
    [[ -z $(ls -A spool) ]]
    client -i out.vdi
    run 0 "RESTORE HEADERONLY FROM VIRTUAL_DEVICE='demo'"
    client_ends 0
    [[ $(wc -l <out) -eq 2 ]]
    [[ $(head -1 out) == BackupName*" BackupSize "*Containment ]]
    grep -qw "$(stat -c %s app.db)" out
    for verb in HEADERONLY FILELISTONLY LABELONLY; do
        client -i out.vdi
        run 0 "RESTORE $verb FROM VIRTUAL_DEVICE='demo'" --json
        client_ends 0
        expect_silence
        [[ $(<out) == '[{"'*'}]' ]]
    done
    client -i out.vdi
    run 2 "RESTORE VERIFYONLY FROM VIRTUAL_DEVICE='demo' WITH FILE=2"
    expect_numbers 4038 3013
    client_ends 2
    no_leftovers
}

test_a_tape_of_two_sets() {
    make_db one.db 400
    make_db two.db 20 512
    client --features tape -o tape.vdi
    run 0 "BACKUP DATABASE [one.db] TO VIRTUAL_DEVICE='demo' WITH FORMAT"
    client_ends 0
    client --features tape --append --force -o tape.vdi
    run 0 "BACKUP DATABASE [two.db] TO VIRTUAL_DEVICE='demo'"
    client_ends 0
    expect_words "file 'two.db' on file 2."
    client --features tape -i tape.vdi
    run 0 "RESTORE DATABASE [./copy.db] FROM VIRTUAL_DEVICE='demo' WITH FILE=2"
    client_ends 0
    cmp two.db copy.db
    client --features tape -i tape.vdi
    run 0 "RESTORE DATABASE [./copy.db] FROM VIRTUAL_DEVICE='demo' WITH REPLACE, FILE=1"
    client_ends 0
    same_content one.db copy.db
    client --features tape -i tape.vdi
    run 0 "RESTORE HEADERONLY FROM VIRTUAL_DEVICE='demo'"
    client_ends 0
    [[ $(wc -l <out) -eq 3 ]]
    client --features tape -i tape.vdi
    run 2 "RESTORE DATABASE [./no.db] FROM VIRTUAL_DEVICE='demo' WITH FILE=3"
    client_ends 2
    expect_numbers 4038 3013
    [[ ! -e no.db ]]
}

test_the_end_of_a_tape() {
    make_db app.db 4000
    client --features tape --media-size 1M -o short.vdi
    run 1 "BACKUP DATABASE [app.db] TO VIRTUAL_DEVICE='demo' WITH MAXTRANSFERSIZE=65536"
    client_ends 1
    expect_numbers 3202 3013
    expect_words 'Write on "demo" failed: 1129('
    [[ ! -e short.vdi ]]
    client --features tape --media-size "$(($(stat -c %s app.db) + 66000))" -o fits.vdi
    run 0 "BACKUP DATABASE [app.db] TO VIRTUAL_DEVICE='demo' WITH MAXTRANSFERSIZE=65536" --trace lines
    client_ends 0
    grep -q '"command":"Write","code":1100,' lines
    client --features tape -i fits.vdi
    run 0 "RESTORE DATABASE [./copy.db] FROM VIRTUAL_DEVICE='demo'"
    client_ends 0
    cmp app.db copy.db
}

test_three_devices_without_known_parts() {
    local devices="VIRTUAL_DEVICE='demo', VIRTUAL_DEVICE='second', VIRTUAL_DEVICE=N'third'" kind
    make_db app.db 700
    for kind in pipe disk; do
        rm -f copy.db
        client --devices 3 -o '{device}.vdi'
        run 0 "BACKUP DATABASE [app.db] TO $devices WITH STATS=50, BUFFERCOUNT=7"
        client_ends 0
        client --features "$kind" --devices 3 -i 1.vdi -i 2.vdi -i 3.vdi
        run 0 "RESTORE DATABASE [./copy.db] FROM $devices"
        client_ends 0
        cmp app.db copy.db
        rm ./?.vdi
    done
    client --devices 3 -o '{device}.vdi'
    run 2 "BACKUP DATABASE [app.db] TO VIRTUAL_DEVICE='demo'"
    expect_numbers 3132 3013
    client_ends 2
}

test_a_set_that_is_not_there() {
    make_db app.db 1
    expect_exit 1 vdipipe exec "BACKUP DATABASE [app.db] TO VIRTUAL_DEVICE='demo'"
    expect_numbers 18210 3201 3013
    expect_exit 6 vdipipe exec --open-timeout 0.2 "BACKUP DATABASE [app.db] TO VIRTUAL_DEVICE='demo'"
    expect_numbers 18210 3201 3013
    no_leftovers
}

# A client whose output nobody reads holds the set open.
blocked_session() {
    make_db app.db 9000
    mkfifo out.fifo
    exec {reader}<>out.fifo
    client -o out.fifo
    rm -f err # one of before has words of progress, too
    "$VDIPIPE" exec --open-timeout 20 "BACKUP DATABASE [app.db] TO VIRTUAL_DEVICE='demo' WITH MAXTRANSFERSIZE=65536, STATS=1" 2>err &
    server=$!
    wait_until 10 grep -q 'percent' err
}

test_signals_abort_the_set() {
    local signal
    for signal in TERM:143 HUP:129; do
        blocked_session
        kill "-${signal%:*}" "$server"
        expect_end "$server" 5 "${signal#*:}"
        expect_numbers 18210 50000 3013
        expect_words "995(" "ended by signal"
        client_ends 1
        exec {reader}<&-
        no_leftovers
        rm -f app.db out.fifo
    done
}

test_the_client_dies() {
    blocked_session
    kill -KILL "$client"
    expect_end "$server" 2 1
    expect_numbers 18210 50000 3013
    expect_words "the client process died"
    exec {reader}<&-
    no_leftovers
}

test_an_abort_from_a_third_terminal() {
    blocked_session
    expect_exit 0 vdipipe list
    grep -qw demo out
    "$VDIPIPE" abort demo
    wait_for_pid_end "$server" 5
    wait "$server" && fail "it succeeded"
    client_ends 1
    exec {reader}<&-
    no_leftovers
}

test_a_locked_database() {
    make_db app.db 10
    client -o out.vdi
    mkfifo hold
    sqlite3 app.db <hold >held &
    exec {lock}>hold
    printf 'begin exclusive;\nselect 1;\n' >&"$lock"
    wait_until 10 test -s held
    run 5 "BACKUP DATABASE [app.db] TO VIRTUAL_DEVICE='demo'"
    expect_numbers 3101 50000 3013
    client_ends 5
    exec {lock}>&-
    no_leftovers
}

test_a_damaged_database_and_checksum() {
    make_db app.db 300
    printf '%600s' '' | tr ' ' '\245' | dd of=app.db bs=1 seek=12288 conv=notrunc status=none
    client -o out.vdi
    run 3 "BACKUP DATABASE [app.db] TO VIRTUAL_DEVICE='demo' WITH CHECKSUM"
    client_ends 3
    [[ $(sed -n 's/^Msg \([0-9]*\),.*/\1/p' err | head -1) -eq 3043 ]]
    [[ ! -e out.vdi ]]
}

test_a_trace() {
    make_db app.db 50
    client -o out.vdi
    run 0 "BACKUP DATABASE [app.db] TO VIRTUAL_DEVICE='demo'" --trace lines
    client_ends 0
    grep -q '"side":"server","device":1,"serial":1,"event":"command","command":"Write"' lines
    grep -q '"event":"completion","command":"Flush","code":0' lines
    grep -q '"event":"verdict","text":"success"' lines
}

run_tests
