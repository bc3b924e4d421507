#!/usr/bin/env bash
# doctor: each thing that can be wrong has its line, its level and its remedy, and the exit status says whether one is a fault.
# shellcheck disable=SC2317,SC2119,SC2031 # run_tests calls the functions by their names, each in its own subshell
# shellcheck source-path=SCRIPTDIR source=../support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

without_leak_check
drop_in=$(dirname "$VDIPIPE")/core/sqlvdi/libsqlvdi.so
fake=$VDIPIPE_HELPERS/libfake_whole.so
another="name SQL Server's own with --sqlvdi PATH"

# The last doctor's line of a check is LEVEL, and holds every TEXT.
expect_line() { # LEVEL CHECK TEXT...
    local line text
    line=$(grep -E "^$1 +$2: " out) || fail "no $1 of '$2': $(<out)"
    for text in "${@:3}"; do
        grep -qF -e "$text" <<<"$line" || fail "no '$text' in: $line"
    done
}

# Runs a command with an account of SQL Server's on this machine, number 45001, and its group. Nobody else sees it.
with_account() { # COMMAND...
    local file
    for file in passwd group; do
        cp "/etc/$file" "$file"
    done
    echo 'mssql:x:45001:45001::/nonexistent:/usr/sbin/nologin' >>passwd
    echo 'mssql:x:45001:' >>group
    unshare -m sh -c 'mount --bind passwd /etc/passwd && mount --bind group /etc/group && exec "$@"' sh "$@"
}

needs_account() {
    needs_root
    ! getent passwd mssql >/dev/null || skip "SQL Server is installed here"
    with_account true 2>/dev/null || skip "needs unshare(1) with mounts"
}

test_nothing_is_wrong() {
    local checks
    expect_exit 0 vdipipe doctor
    expect_silence
    expect_line ok configuration 'read: '
    expect_line ok 'runtime folder' "'$VDIPIPE_RUNTIME_DIR'" 'sets of this user'
    expect_line ok 'device sets' 'made, joined and configured'
    expect_line ok versions "vdipipe $(vdipipe --version | sed -n 's/^vdipipe //p')," 'SQLite 3.'
    expect_line ok clock "$(date -u +%Y)-"
    [[ $(cut -c1-7 <out | sort -u) == 'ok     ' ]] || fail "not all well: $(<out)"
    checks=$(wc -l <out)
    expect_exit 0 vdipipe doctor --quiet
    [[ ! -s out ]] || fail "quiet says $(<out)"
    expect_exit 0 vdipipe doctor --json
    [[ $(jq -r 'length' out) -eq $checks ]] || fail "not $checks checks: $(<out)"
    [[ $(jq -r 'map(.level) | unique[]' out) == ok && $(jq -r '.[0].check' out) == configuration ]] || fail "$(<out)"
    expect_exit 2 vdipipe doctor something
    no_leftovers
}

test_the_configuration_is_read_by_the_doctor() {
    printf '[defaults]\nspool-dir = /nowhere\n' >a.conf
    expect_exit 1 vdipipe doctor --config a.conf
    expect_error '1 fault was found'
    expect_line ok configuration "'a.conf'"
    expect_line fault 'spool folder' "'/nowhere' is no folder that this user can write to" --spool-dir
    # The command line's word comes first.
    expect_exit 0 vdipipe doctor --config a.conf --spool-dir .
    expect_line ok 'spool folder' "'.'" free
    printf '[defaults]\nspool-dirr = /nowhere\n' >a.conf
    expect_exit 1 vdipipe doctor --config a.conf
    expect_line fault configuration 'a.conf:2' "'spool-dirr'"
    # All else is looked at nevertheless.
    expect_line ok 'device sets' configured
}

test_the_folder_where_sets_meet() {
    chmod 777 "$VDIPIPE_RUNTIME_DIR"
    expect_exit 1 vdipipe doctor
    expect_error '2 faults were found'
    expect_line fault 'runtime folder' "'$VDIPIPE_RUNTIME_DIR' is writable by others" chmod
    expect_line fault 'device sets' 'could not be made: VD_E_SECURITY'
    chmod 1777 "$VDIPIPE_RUNTIME_DIR"
    expect_exit 0 vdipipe doctor
    expect_line ok 'runtime folder' "all users' sets meet"
    expect_exit 1 env VDIPIPE_RUNTIME_DIR=/dev/null "$VDIPIPE" doctor
    expect_line fault 'runtime folder' "'/dev/null'"
    needs_root
    chmod 755 "$scratch" "${PWD%/*}" .
    cp "$VDIPIPE" program
    chmod 755 "$VDIPIPE_RUNTIME_DIR"
    expect_exit 1 setpriv --reuid 41001 --regid 41001 --clear-groups "$PWD/program" doctor
    expect_line fault 'runtime folder' 'is not writable by this user' VDIPIPE_RUNTIME_DIR
}

test_a_group_that_is_not_there() {
    expect_exit 1 vdipipe doctor --group no-such-group
    expect_error '1 fault was found'
    expect_line fault group "no group 'no-such-group'" 'getent group'
    # Its members could not enter the folder.
    expect_exit 1 vdipipe doctor --group "$(id -gn)"
    expect_line fault 'device sets' 'could not be made' "$(id -gn)"
    chmod 1777 "$VDIPIPE_RUNTIME_DIR"
    expect_exit 0 vdipipe doctor --group "$(id -gn)"
    expect_line ok group "members of '$(id -gn)'"
}

test_limits_are_warned_of() {
    # shellcheck disable=SC2016 # the inner shell expands
    expect_exit 0 bash -c 'ulimit -n 100; ulimit -f 100000; exec "$0" doctor' "$VDIPIPE"
    expect_silence
    expect_line warning 'open files' 'limited to 100;' 'ulimit -n'
    expect_line warning 'file size' 'limited to 102400000 bytes' 'ulimit -f'
    # Warnings are what quiet leaves.
    # shellcheck disable=SC2016
    expect_exit 0 bash -c 'ulimit -f 100000; exec "$0" doctor -q' "$VDIPIPE"
    [[ $(cut -d: -f1 <out) == 'warning  file size' ]] || fail "$(<out)"
    # Shared memory is files, too.
    # shellcheck disable=SC2016
    expect_exit 1 bash -c 'ulimit -f 1000; exec "$0" doctor' "$VDIPIPE"
    expect_line fault 'device sets' 'could not be configured'
    [[ -z ${VDIPIPE_SANITIZED:-} ]] || return 0
    # shellcheck disable=SC2016
    expect_exit 0 bash -c 'ulimit -v 500000; exec "$0" doctor' "$VDIPIPE"
    expect_line warning 'address space' 'limited to 512000000 bytes' 'ulimit -v'
}

test_a_machine_without_sql_server() {
    ! getent passwd mssql >/dev/null || skip "SQL Server is installed here"
    [[ ! -e /opt/mssql ]] || skip "SQL Server is installed here"
    expect_exit 0 vdipipe doctor
    expect_line ok libsqlvdi.so "no library '/opt/mssql/lib/libsqlvdi.so'" 'only mssql:// databases need it'
    expect_line ok "SQL Server's account" 'no user mssql'
    # Somebody means to back such a database up.
    printf '[pubs]\ndatabase = mssql://localhost/pubs\n' >a.conf
    expect_exit 1 vdipipe doctor --config a.conf
    expect_line fault libsqlvdi.so mssql-server '--sqlvdi PATH'
    expect_line fault "SQL Server's account" 'no user mssql' '--run-as'
}

test_the_library() {
    local path
    [[ -e $drop_in ]] || skip "no drop-in is built here"
    printf 'a script\n' >text.so
    head -c 100 "$fake" >cut.so
    for path in text.so cut.so "$drop_in" "$VDIPIPE_HELPERS/libfake_lacking.so"; do
        expect_exit 1 vdipipe doctor --sqlvdi "$path"
        expect_line fault libsqlvdi.so "'$path'" "$another"
    done
    expect_line fault libsqlvdi.so _ZN22ClientVirtualDeviceSet5CloseEv
    expect_exit 1 vdipipe doctor --sqlvdi "$VDIPIPE_HELPERS/libfake_unloadable.so"
    expect_line fault libsqlvdi.so 'cannot be loaded: undefined symbol: symbol_that_nobody_has' 'ldd '
    expect_exit 1 vdipipe doctor --sqlvdi nowhere.so
    expect_line fault libsqlvdi.so "no library 'nowhere.so'" mssql-server
    # The library alone is no reason to be content: its server's account is missing.
    ! getent passwd mssql >/dev/null || skip "SQL Server is installed here"
    expect_exit 1 vdipipe doctor --sqlvdi "$fake"
    expect_line ok libsqlvdi.so "'$fake' has what is needed"
    expect_line fault "SQL Server's account" 'no user mssql'
}

# Its code runs when it is loaded, and must not be the end of what else there is to say.
test_a_library_that_goes_wrong_when_it_is_loaded() {
    local faulty=$VDIPIPE_HELPERS/libfaulty.so fault
    for fault in crash exit; do
        VDIPIPE_FAULTY=$fault-in-load expect_exit 1 vdipipe doctor --sqlvdi "$faulty"
        expect_line fault libsqlvdi.so "'$faulty' ends the program that loads it" 'ldd '
        expect_line ok /dev/shm free
    done
    VDIPIPE_FAULTY=hang-in-load expect_exit 1 vdipipe doctor --json --sqlvdi "$faulty"
    [[ $(jq -r '.[] | select(.check == "libsqlvdi.so") | .text' out) == *'does not come back from being loaded within 10 s'* ]] ||
        fail "$(<out)"
}

test_sql_servers_account() {
    needs_account
    chmod 755 "$scratch" "${PWD%/*}" .
    cp "$fake" library.so
    cp "$VDIPIPE" program
    # Where SQL Server is there, but nobody has spoken of it, what is missing is worth a word.
    expect_exit 0 with_account "$VDIPIPE" doctor
    expect_line warning "SQL Server's account" "user 'root' is neither mssql nor in its group" 'add --run-as mssql'
    expect_line warning libsqlvdi.so mssql-server
    expect_exit 1 with_account "$VDIPIPE" doctor --sqlvdi library.so
    expect_line fault "SQL Server's account" '--run-as mssql'
    expect_exit 0 with_account "$VDIPIPE" doctor --sqlvdi library.so --run-as mssql
    expect_line ok "SQL Server's account" 'taken on by --run-as mssql'
    expect_line ok libsqlvdi.so library.so
    # It is that user who reads the library.
    chmod 600 library.so
    expect_exit 1 with_account "$VDIPIPE" doctor --sqlvdi library.so --run-as mssql
    expect_line fault libsqlvdi.so "'library.so' may not be read by this user" '--run-as mssql'
    chmod 644 library.so
    chmod 1777 "$VDIPIPE_RUNTIME_DIR"
    # Members of the group, and the account itself, need nothing.
    for who in '--reuid 45002 --regid 45002 --groups 45001' '--reuid 45002 --regid 45001 --clear-groups' \
        '--reuid 45001 --regid 45001 --clear-groups'; do
        # shellcheck disable=SC2086 # words are wanted
        expect_exit 0 with_account setpriv $who "$PWD/program" doctor --sqlvdi library.so
        expect_line ok "SQL Server's account" 'can open'
    done
    expect_exit 1 with_account setpriv --reuid 45002 --regid 45002 --clear-groups "$PWD/program" doctor --sqlvdi library.so
    expect_line fault "SQL Server's account" 'or as root with --run-as mssql'
    expect_exit 1 with_account setpriv --reuid 45002 --regid 45002 --clear-groups "$PWD/program" doctor --run-as mssql
    expect_line fault "SQL Server's account" '--run-as mssql needs root'
}

test_an_account_that_is_not_there() {
    expect_exit 1 vdipipe doctor --run-as no-such-user
    expect_line fault "SQL Server's account" "no user 'no-such-user'" mssql-server
}

run_tests
