#!/usr/bin/env bash
# Backups while another process commits without a pause: each is one moment of the database, and the writer never sees an error.
# shellcheck disable=SC2317,SC2119,SC2030,SC2031 # run_tests calls the functions by their names, each in its own subshell
# shellcheck source-path=SCRIPTDIR source=../support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

backups=50
[[ -z ${VDIPIPE_SANITIZED:-} ]] || backups=6

# The invariant of tests/support/writer.c.
at_one_moment() { # DB
    local answer
    answer=$(sqlite3 "$1" 'select (select sum(amount) from left_side) + (select sum(amount) from right_side),
        (select count(*) from history) - (select n from counter), (select coalesce(max(n), 0) from history) - (select n from counter)')
    [[ $answer == '400000|0|0' ]] || fail "$1 is a mixture of moments: $answer"
}

start_writer() { # DB MODE
    [[ -p said ]] || mkfifo said
    "$VDIPIPE_HELPERS/writer" "$1" "$2" >said 2>writer.err &
    writer=$!
    exec 6<said
    read -rt 20 word <&6
    [[ $word == running ]]
}

# Sets commits and longest; fails if the writer met an error.
stop_writer() {
    local line errors
    kill -TERM "$writer"
    read -rt 60 line <&6 || fail "the writer says nothing: $(<writer.err)"
    exec 6<&-
    wait "$writer" || fail "the writer failed: $line $(<writer.err)"
    read -r _ commits _ errors _ longest <<<"$line"
    [[ $errors -eq 0 ]] || fail "the writer met errors: $line $(<writer.err)"
}

backups_beside() { # MODE COUNT
    local i count seen=0
    rm -f app.db*
    helper writer app.db init wal 2
    start_writer app.db "$1"
    for ((i = 0; i < $2; i++)); do
        if [[ $((i % 3)) -eq 2 ]]; then
            expect_exit 0 vdipipe backup app.db --devices 3 -o 'f.{device}'
            expect_exit 0 vdipipe restore --check full copy.db -i f.2
        else
            expect_exit 0 vdipipe backup app.db --max-transfer 64K >f
            expect_exit 0 vdipipe restore --check full copy.db <f
        fi
        expect_silence
        at_one_moment copy.db
        count=$(sqlite3 copy.db 'select n from counter')
        [[ $count -ge $seen ]] || fail "backup $i is older than the one before: $count commits, not $seen"
        seen=$count
        rm -f copy.db f f.*
    done
    stop_writer
    [[ $commits -gt $((10 * $2)) ]] || fail "only $commits commits beside $2 backups"
    [[ $longest -lt 2000 ]] || fail "a commit took $longest ms"
    echo "$1: $2 backups beside $commits commits, the longest of $longest ms"
    at_one_moment app.db
    no_leftovers
}

test_beside_a_writer_with_passive_checkpoints() {
    backups_beside wal-passive $((backups / 3))
}

test_beside_a_writer_with_restarting_checkpoints() {
    backups_beside wal-restart $((backups / 3))
}

test_beside_a_writer_with_truncating_checkpoints() {
    backups_beside wal-truncate $((backups - 2 * (backups / 3)))
}

test_a_slow_backup_of_a_database_in_wal_mode() {
    helper writer app.db init wal 6
    start_writer app.db wal-restart
    "$VDIPIPE" backup app.db 2>err | helper tools slow-reader 3000000 >f
    expect_exit 0 vdipipe restore --check full copy.db <f
    at_one_moment copy.db
    stop_writer
    [[ $longest -lt 2000 ]] || fail "a commit took $longest ms"
}

test_a_log_that_may_not_grow_is_let_go_of() {
    local size
    helper writer app.db init wal 12
    start_writer app.db wal-passive
    "$VDIPIPE" backup app.db --max-wal 4M 2>err | helper tools slow-reader 3000000 >f
    stop_writer
    expect_exit 0 vdipipe restore --check full copy.db <f
    at_one_moment copy.db
    # It was read for four seconds; had it been held that long, it would have grown with every commit of them.
    size=$(stat -c %s app.db-wal 2>/dev/null || echo 0)
    [[ $size -lt 200000000 ]] || fail "the log has $size bytes"
    no_leftovers
}

test_beside_a_writer_in_rollback_mode() {
    local i
    helper writer app.db init delete 1
    start_writer app.db rollback
    for ((i = 0; i < 10; i++)); do
        expect_exit 0 vdipipe backup app.db >f
        expect_exit 0 vdipipe restore --check full copy.db <f
        at_one_moment copy.db
        rm copy.db
    done
    stop_writer
    [[ $commits -gt 20 ]] || fail "only $commits commits"
}

# A consumer that would hold the lock for most of a minute; the writer waits for --max-lock and for the spooling at disk speed.
test_a_slow_consumer_does_not_keep_writers_out_for_longer_than_max_lock() {
    local client reader
    helper writer app.db init delete 50
    mkfifo pipe
    "$VDIPIPE_HELPERS/tools" slow-reader 1000000 <pipe >f &
    reader=$!
    "$VDIPIPE" backup app.db --max-lock 1 >pipe 2>err &
    client=$!
    start_writer app.db rollback
    # By now the writer has had its first commit, or waits for it; many of them mean that the lock is gone.
    # shellcheck disable=SC2016 # expanded each time it is looked at
    wait_until 20 eval '[[ $(sqlite3 -cmd ".timeout 5000" app.db "select n from counter") -gt 20 ]]'
    kill -0 "$client" || fail "the backup is over already: $(<err)"
    stop_writer
    [[ $longest -lt 4000 ]] || fail "the writer waited for $longest ms"
    kill -KILL "$reader"
    expect_end "$client" 2 1
    expect_error 'went away'
    no_leftovers
}

test_a_spooled_backup_is_one_moment() {
    local client reader
    helper writer app.db init delete 30
    mkfifo pipe
    "$VDIPIPE_HELPERS/tools" slow-reader 8000000 <pipe >f &
    reader=$!
    "$VDIPIPE" backup app.db --max-lock 0.2 >pipe 2>err &
    client=$!
    start_writer app.db rollback
    expect_end "$client" 60 0
    wait "$reader"
    stop_writer
    [[ $longest -lt 4000 ]] || fail "the writer waited for $longest ms"
    [[ $commits -gt 20 ]] || fail "only $commits commits while the backup was read"
    expect_exit 0 vdipipe restore --check full copy.db <f
    at_one_moment copy.db
    # The image was taken when the backup began.
    [[ $(sqlite3 copy.db 'select n from counter') -lt $commits ]]
    no_leftovers
}

run_tests
