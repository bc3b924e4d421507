#!/usr/bin/env bash
# A process is killed, or a call fails, at every single fault point in turn.
# shellcheck disable=SC2317,SC2119,SC2030,SC2031 # run_tests calls the functions by their names, each in its own subshell
# shellcheck source-path=SCRIPTDIR source=../support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

limit=2
[[ -z ${VDIPIPE_SANITIZED:-} ]] || limit=8

# The fault points that a command passes, in one role or both. Which are passed depends a little on who is faster: so three runs.
points_of() { # ROLE|'' COMMAND...
    for _ in 1 2 3; do
        rm -f copy.db*
        [[ ! -e older.db ]] || cp older.db copy.db
        VDIPIPE_FAULT="all=name${1:+#$1}" VDIPIPE_FAULT_FD=9 "$VDIPIPE" "${@:2}" 9>>points >/dev/null
    done
    find . -name '*.replaced-*' -delete
    sort -u points
    rm points
}

# Kills ROLE the first time it reaches POINT of a command. Sets status; 0 when the point was not on the way.
killed_at() { # ROLE POINT COMMAND...
    local pid
    status=0
    VDIPIPE_FAULT=$2=kill#$1 timeout 20 "$VDIPIPE" "${@:3}" 2>err || status=$?
    for pid in $(strays "$VDIPIPE_RUNTIME_DIR"); do
        wait_for_pid_end "$pid" "$limit"
    done
    case $1 in
    client) [[ $status -eq 0 || $status -eq 137 ]] || fail "$2: client killed, yet exit $status: $(<err)" ;;
    server)
        [[ $status -le 1 ]] || fail "$2: server killed: exit $status: $(<err)"
        [[ $status -eq 0 ]] || expect_error "$4" 'signal 9'
        no_leftovers
        ;;
    esac
}

test_a_backup_at_every_point() {
    local point role reached=0
    needs_faults
    make_db app.db 8000 # several transfers
    for role in client server; do
        for point in $(points_of "$role" backup app.db -o f --force); do
            echo older >f
            killed_at "$role" "$point" backup app.db -o f --force
            [[ $status -eq 0 ]] || reached=$((reached + 1))
            # After its last rename a client may still be killed; then the new file is there, and whole.
            if [[ $(head -c 5 f) != older ]]; then
                vdipipe verify f || fail "$point: $role killed: what stands there is no backup"
            elif [[ $status -eq 0 ]]; then
                fail "$point: exit 0, but the file is the older one"
            fi
        done
    done 2>/dev/null
    [[ $reached -ge 30 ]] || fail "only $reached points were reached"
    # What killed clients left is gone after the next run.
    expect_exit 0 vdipipe backup app.db -o next
    no_leftovers
}

test_a_restore_at_every_point() {
    local point role reached=0
    needs_faults
    make_db app.db 8000 # several transfers
    vdipipe backup app.db >stream
    for role in client server; do
        for point in $(points_of "$role" restore copy.db -i stream); do
            rm -f copy.db err
            killed_at "$role" "$point" restore copy.db -i stream
            [[ $status -eq 0 ]] || reached=$((reached + 1))
            # Between the rename and the word of success the new database stands there already, and whole.
            if [[ -e copy.db ]]; then
                cmp copy.db app.db || fail "$point: $role killed: half a database"
            elif [[ $status -eq 0 ]]; then
                fail "$point: exit 0, but there is no database"
            fi
        done
    done 2>/dev/null
    [[ $reached -ge 30 ]] || fail "only $reached points were reached"
    rm -f copy.db
    expect_exit 0 vdipipe restore copy.db -i stream
    no_leftovers
}

# Whatever fails on the way, what stood there before still stands there; with a success it is the new one.
test_a_backup_that_fails_at_every_point() {
    local point failed=0
    needs_faults
    make_db app.db 3000
    for point in $(points_of '' backup app.db -o f --force --max-lock 0); do
        echo older >f
        fails_at "$point" backup app.db -o f --force --max-lock 0
        if [[ $status -eq 0 ]]; then
            vdipipe verify f || fail "$point: success, but no backup"
        else
            [[ -e f && $(<f) == older ]] || fail "$point: the older file is gone: $(<err)"
        fi
    done
    [[ $failed -ge 12 ]] || fail "only $failed points failed"
}

test_a_restore_that_fails_at_every_point() {
    restores_that_fail
}

test_a_restore_that_replaces_fails_at_every_point() {
    restores_that_fail --replace
}

test_a_restore_beside_the_older_fails_at_every_point() {
    restores_that_fail --replace=aside
}

restores_that_fail() { # [HOW]
    local point failed=0
    needs_faults
    make_db app.db 3000
    vdipipe backup app.db >stream
    [[ $# -eq 0 ]] || make_db older.db 300
    for point in $(points_of '' restore "$@" copy.db -i stream); do
        rm -f copy.db*
        [[ $# -eq 0 ]] || cp older.db copy.db
        fails_at "$point" restore "$@" copy.db -i stream
        if [[ $status -eq 0 ]]; then
            same_content copy.db app.db
        elif [[ $# -gt 0 ]]; then
            cmp copy.db older.db || fail "$point: the target has changed: $(<err)"
        else
            [[ ! -e copy.db ]] || fail "$point: the target was made: $(<err)"
        fi
        [[ $status -eq 0 || -z $(find . -name '*.replaced-*') ]] || fail "$point: $(ls -A)"
    done
    [[ $failed -ge 7 ]] || fail "only $failed points failed"
}

# Sets status, and counts in `failed`.
fails_at() { # POINT COMMAND...
    status=0
    VDIPIPE_FAULT=$1=fail:28 vdipipe "${@:2}" 2>err || status=$?
    [[ $status -le 1 ]] || fail "$1: exit $status: $(<err)"
    [[ $status -eq 0 ]] || {
        failed=$((failed + 1))
        expect_error
    }
    no_leftovers
}

run_tests
