#!/usr/bin/env bash
# A SQL Server (the stand-in) whose devices are served by a library that is opened at run time, and --run-as.
# shellcheck disable=SC2317,SC2119,SC2031 # run_tests calls the functions by their names, each in its own subshell
# shellcheck source-path=SCRIPTDIR source=../support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

without_leak_check
drop_in=$(dirname "$VDIPIPE")/core/sqlvdi/libsqlvdi.so

needs_mssql() {
    "$VDIPIPE" --version | grep -q '^freetds ' || skip "built without FreeTDS"
    [[ -e $drop_in ]] || skip "no drop-in is built here"
}

server=() # how it is started: as whom
data=.    # its folder

# The stand-in, with the database pubs; $uri is how to reach it.
start_server() { # [OPTION...]
    needs_mssql
    (
        umask 077
        echo secret >password
        cp password "$data/servers_password"
    )
    [[ ${#server[@]} -eq 0 ]] || chown nobody "$data/servers_password"
    [[ -e $data/app.db ]] || "${server[@]}" sqlite3 "$data/app.db" 'create table t(b); with recursive n(i) as
        (select 1 union all select i + 1 from n where i < 8000) insert into t select randomblob(480) from n'
    rm -f address
    "${server[@]}" "${program:-$VDIPIPE}" serve --listen 127.0.0.1:0 --password-file "$data/servers_password" --database pubs="$data/app.db" "$@" >address 2>server_err &
    server_pid=$!
    wait_until 10 grep -q listening address
    uri=mssql://sa@$(sed -n 's/^listening on //p' address)/pubs
}

stop_server() {
    kill "$server_pid"
    wait_for_pid_end "$server_pid" 10
}

backup() { # OPTION...
    vdipipe backup "$uri" --password-file password "$@"
}

has_begun() { # PATTERN
    [[ $(stat -c %s "$(compgen -G "$1")") -gt 1000 ]]
}

one_has_begun() { # PATTERN
    find . -maxdepth 1 -name "$1" -size +1k | grep -q .
}

# Everything that a backup of pubs gives, put together.
expect_whole() { # FILE...
    : >image
    for file in "$@"; do
        vdipipe extract "$file" >>image
    done
    same_content "$data/app.db" image
    rm image
}

test_a_library_carries_a_backup() {
    start_server
    expect_exit 0 backup --sqlvdi "$drop_in" -v -o f
    grep -qF "devices by '$drop_in'" err || fail "not by the library: $(<err)"
    expect_whole f
    expect_exit 0 backup --sqlvdi "$drop_in" --devices 3 --zstd -o 'g.{device}'
    expect_whole g.1 g.2 g.3
    # The stand-in's own engine, when no library is named.
    expect_exit 0 backup -v -o h
    fails grep -qF 'devices by' err
    expect_whole h
    stop_server
    no_leftovers
}

# The database pubs is changed, and comes back as it was.
expect_restored() { # OPTION...
    cp "$data/app.db" before.db
    "${server[@]}" sqlite3 "$data/app.db" 'delete from t where rowid % 2'
    expect_exit 0 vdipipe restore "$uri" --password-file password --recovery --replace "$@"
    same_content before.db "$data/app.db"
}

test_a_library_carries_a_restore() {
    start_server
    expect_exit 0 backup --devices 2 --zstd -o 'f.{device}'
    expect_restored --sqlvdi "$drop_in" -i f.1 -i f.2
    stop_server
    no_leftovers
}

test_what_can_be_wrong_with_the_library() {
    local path
    start_server
    echo 'no library' >text.so
    for path in text.so nowhere.so "$VDIPIPE_HELPERS/libfake_lacking.so"; do
        expect_exit 2 backup --sqlvdi "$path" -o f
        expect_error "'$path'" --sqlvdi
    done
    expect_exit 1 backup --sqlvdi "$VDIPIPE_HELPERS/libfake_unloadable.so" -o f
    expect_error symbol_that_nobody_has ldd
    [[ ! -e f ]]
    stop_server
    no_leftovers
}

# Its sets are nobody's but its own, so the server finds none: the statement's failure ends the wait.
test_a_statement_that_fails_before_the_set_is_opened() {
    local began=$SECONDS
    start_server
    expect_exit 1 backup --sqlvdi "$VDIPIPE_HELPERS/libfake_whole.so" --open-timeout 600 -o f
    grep -qF "backup of 'pubs': Msg " err || fail "$(<err)"
    [[ $((SECONDS - began)) -lt 30 ]] || fail "$((SECONDS - began)) s"
    [[ ! -e f ]]
    stop_server
    no_leftovers
}

test_a_server_that_hangs() {
    local pid
    start_server --fault hang:256K
    "$VDIPIPE" backup "$uri" --password-file password --sqlvdi "$drop_in" -o f >out 2>err &
    pid=$!
    wait_until 20 has_begun '.f.partial-*'
    kill -TERM "$pid"
    expect_end "$pid" 10 143
    drop_checker_words err
    grep -qF 'ended by signal 15' err || fail "$(<err)"
    [[ ! -e f ]]
    stop_server
    no_leftovers
}

test_a_server_that_is_killed() {
    local pid
    start_server --fault hang:256K
    "$VDIPIPE" backup "$uri" --password-file password --sqlvdi "$drop_in" -o f >out 2>err &
    pid=$!
    wait_until 20 has_begun '.f.partial-*'
    kill -KILL "$server_pid"
    expect_end "$pid" 10 1
    expect_error "backup of 'pubs'"
    [[ ! -e f ]]
    no_leftovers
}

# A backup by a library that goes wrong in this way, in the middle of it or before.
faulty() { # FAULT COMMAND...
    VDIPIPE_FAULTY=$1 VDIPIPE_FAULTY_BEHIND=$drop_in "${@:2}"
}

by_faulty_library=(--password-file password --sqlvdi "$VDIPIPE_HELPERS/libfaulty.so" -o f)

test_a_library_that_goes_wrong() {
    start_server
    expect_exit 0 faulty none backup --sqlvdi "$VDIPIPE_HELPERS/libfaulty.so" -o f
    expect_whole f
    rm f
    # Its success is none of ours.
    expect_exit 1 faulty exit vdipipe backup "$uri" "${by_faulty_library[@]}"
    expect_error 'a library ended the program before its work was done'
    expect_exit 1 faulty refuse-configuration vdipipe backup "$uri" "${by_faulty_library[@]}"
    grep -qF "backup of 'pubs': the device set was not configured: unknown result 4711" err || fail "$(<err)"
    expect_exit 1 faulty large-command vdipipe backup "$uri" "${by_faulty_library[@]}"
    grep -qF VD_E_UNEXPECTED err || fail "$(<err)"
    # The one that ended could not clean up, but it locked nobody out.
    [[ ! -e f && -z $(compgen -G '.f.partial-*') ]] || fail "left: $(ls -A)"
    stop_server
    no_leftovers
}

test_a_library_that_keeps_a_thread() {
    local pid
    start_server
    export VDIPIPE_FAULTY=hang VDIPIPE_FAULTY_BEHIND=$drop_in
    "$VDIPIPE" backup "$uri" "${by_faulty_library[@]}" >out 2>err &
    pid=$!
    wait_until 20 grep -q hanging out
    kill -TERM "$pid"
    expect_end "$pid" 20 143
    drop_checker_words err
    grep -qF 'ended by signal 15 (Terminated); the library of the devices (--sqlvdi) keeps a thread' err || fail "$(<err)"
    expect_exit 6 vdipipe backup "$uri" "${by_faulty_library[@]}" --stall-timeout 6
    grep -qF 'nothing came back from the library of the devices for 6 s (--stall-timeout)' err || fail "$(<err)"
    rm .f.partial-* out
    VDIPIPE_FAULTY=hang-in-create "$VDIPIPE" backup "$uri" "${by_faulty_library[@]}" >out 2>err &
    pid=$!
    wait_until 20 grep -q hanging out
    kill -TERM "$pid"
    expect_end "$pid" 20 143
    [[ ! -e f ]]
    expect_exit 0 backup -o f
    expect_whole f
    stop_server
    no_leftovers
}

# ---- --run-as ----

# A folder that root alone may enter, and an account that may not.
needs_nobody() {
    needs_root
    getent passwd nobody >/dev/null || skip "needs a user nobody"
    command -v setpriv >/dev/null || skip "needs setpriv(1)"
    chmod 755 "$scratch" "${PWD%/*}"
    chmod 700 .
    # The server is its account's, with its data and its password elsewhere.
    server=(setpriv --reuid 65534 --regid 65534 --clear-groups env -C /)
    data=${PWD%/*}/data
    mkdir "$data"
    chown nobody "$data"
    program=$data/program
    cp "$VDIPIPE" "$program"
    chmod 1777 "$VDIPIPE_RUNTIME_DIR"
}

test_outputs_are_roots_and_the_set_is_the_users() {
    local pid
    needs_nobody
    start_server --fault hang:256K
    "$VDIPIPE" backup "$uri" --password-file password --run-as nobody -o f >out 2>err &
    pid=$!
    wait_until 20 has_begun '.f.partial-*'
    [[ $(sed -n 's/^Uid:[[:space:]]*//p' "/proc/$pid/status" | tr '\t' ' ') == '65534 65534 65534 65534' ]] ||
        fail "not nobody: $(grep Uid "/proc/$pid/status")"
    kill -TERM "$pid"
    expect_end "$pid" 10 143
    [[ -z $(compgen -G '.f.partial-*') && ! -e f ]] || fail "left: $(ls -A)"
}

test_files_get_their_names_from_root() {
    needs_nobody
    start_server
    expect_exit 0 backup --run-as nobody -o f
    [[ $(stat -c '%u %a' f) == '0 644' ]] || fail "f is $(stat -c '%u %a' f)"
    expect_whole f
    cp "$drop_in" "$data/drop-in.so"
    expect_exit 0 backup --run-as nobody --sqlvdi "$data/drop-in.so" --devices 2 -o 'g.{device}'
    expect_whole g.1 g.2
    expect_exit 2 backup --run-as nobody -o f
    expect_error "'f' exists"
    # A log backup to a file is not refused; the stand-in has no log.
    expect_exit 1 backup --run-as nobody --type log -o log
    expect_error "Msg 4208"
    expect_exit 0 backup --run-as nobody --force -o f
    expect_whole f
    [[ -z $(compgen -G '.*.partial-*') ]] || fail "left: $(ls -A)"
}

# The backup, and the password, are in root's folder.
test_a_restore_reads_what_root_opened() {
    needs_nobody
    start_server
    expect_exit 0 backup --run-as nobody -o f
    cp "$drop_in" "$data/drop-in.so"
    expect_restored --run-as nobody -i f
    expect_restored --run-as nobody --sqlvdi "$data/drop-in.so" -i f
}

test_standard_output_needs_no_keeper() {
    needs_nobody
    start_server
    expect_exit 0 backup --run-as nobody >f
    expect_whole f
}

test_a_killed_backup_leaves_nothing() {
    local pid
    needs_nobody
    start_server --fault hang:256K
    "$VDIPIPE" backup "$uri" --password-file password --run-as nobody --devices 2 -o 'f.{device}' >out 2>err &
    pid=$!
    # Before the server hangs, one device may have moved everything.
    wait_until 20 one_has_begun '.f.*.partial-*'
    kill -KILL "$pid"
    wait_until 10 fails compgen -G '.f.*.partial-*'
    [[ ! -e f.1 && ! -e f.2 ]]
}

# Without it the files could not get their names, so there is nothing to go on for.
test_a_killed_keeper_ends_the_backup() {
    local pid
    needs_nobody
    start_server --fault hang:256K
    "$VDIPIPE" backup "$uri" --password-file password --run-as nobody -o f >out 2>err &
    pid=$!
    wait_until 20 has_begun '.f.partial-*'
    kill -KILL "$(pgrep -P "$pid")"
    expect_end "$pid" 2 1
    grep -qF 'the process that keeps the files for --run-as was killed' err || fail "$(<err)"
    [[ ! -e f ]]
}

test_run_as_is_refused_before_anything_is_started() {
    needs_mssql
    expect_exit 2 vdipipe backup mssql://sa@localhost/pubs --run-as no-such-user -o f
    expect_error "no user 'no-such-user'"
    make_db app.db 10
    expect_exit 2 vdipipe backup app.db --run-as nobody -o f
    expect_error --run-as 'SQL Server'
    # What the configuration says for all is no mistake for SQLite's databases.
    printf '[defaults]\nrun-as = nobody\n' >a.conf
    expect_exit 0 vdipipe backup app.db --config a.conf -o f
    expect_exit 0 vdipipe restore new.db --config a.conf -i f
    [[ $(stat -c %U new.db) == "$(id -un)" ]] || fail "$(stat -c %U new.db)"
    needs_nobody
    chmod 755 .
    cp "$VDIPIPE" program
    expect_exit 2 setpriv --reuid 41001 --regid 41001 --clear-groups "$PWD/program" backup mssql://sa@localhost/pubs \
        --run-as nobody -o g
    expect_error '--run-as nobody needs root'
}

run_tests
