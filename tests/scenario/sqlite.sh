#!/usr/bin/env bash
# Databases in every condition in which they are met: interrupted, locked, damaged, unreadable, oddly named, huge.
# shellcheck disable=SC2317,SC2119,SC2030,SC2031 # run_tests calls the functions by their names, each in its own subshell
# shellcheck source-path=SCRIPTDIR source=../support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

# The files of a database, with everything about them that a backup must leave alone.
traces() { # DB
    local file
    for file in "$1" "$1-wal" "$1-journal"; do
        [[ ! -e $file ]] || sha256sum "$file"
    done
    stat -c '%Y %s %a %u %g' "$1"
}

# An interrupted transaction: part of it has reached the file, and the journal to undo it is complete.
make_hot_journal() { # DB ROWS
    local holder
    make_db "$1.live" "$2" 1024
    sqlite3 "$1.live" .dump >committed.dump
    {
        echo 'pragma cache_size=5; begin;'
        echo "update item set name = 'torn ' || id, data = randomblob(480);"
        echo "select 'spilled';"
    } >script
    mkfifo orders
    sqlite3 -batch "$1.live" <orders >answers &
    holder=$!
    exec 7>orders
    cat script >&7
    wait_until 20 grep -q spilled answers
    cp "$1.live" "$1"
    cp "$1.live-journal" "$1-journal"
    kill -KILL "$holder"
    wait "$holder" 2>/dev/null || :
    exec 7>&-
    rm -f "$1.live"* orders
    sqlite3 -readonly "file:$1?immutable=1" 'select count(*) from item where name like "torn%"' >torn 2>/dev/null || echo 1 >torn
    [[ $(<torn) -gt 0 ]] || fail "nothing of the transaction has reached the file"
}

test_a_hot_journal_is_rolled_back_first() {
    make_hot_journal app.db 600
    expect_exit 0 vdipipe backup app.db >f
    expect_silence
    expect_exit 0 vdipipe restore copy.db <f
    integrity copy.db
    sqlite3 copy.db .dump | cmp - committed.dump
    no_leftovers
}

test_a_hot_journal_is_refused_with_immutable() {
    make_hot_journal app.db 600
    traces app.db >before
    expect_exit 1 vdipipe backup --immutable app.db >f
    expect_error app.db journal
    traces app.db | cmp - before
    fails vdipipe verify f 2>/dev/null
}

test_a_log_without_its_index() {
    make_pending_wal app.db 400
    rm -f app.db-shm
    flatten app.db flat.db
    expect_exit 0 vdipipe backup app.db >f
    zstd -dcq f | cmp - flat.db
    expect_exit 0 vdipipe restore copy.db <f
    same_content copy.db flat.db
}

test_a_backup_leaves_the_source_as_it_is() {
    make_pending_wal app.db 400
    traces app.db >before
    expect_exit 0 vdipipe backup app.db >f
    traces app.db | cmp - before || fail "the backup changed the database or its log"
    expect_exit 0 vdipipe backup app.db --devices 3 -o 'x.{device}'
    traces app.db | cmp - before
    make_db plain.db 400
    traces plain.db >before
    expect_exit 0 vdipipe backup plain.db >f
    traces plain.db | cmp - before
    [[ ! -e plain.db-journal && ! -e plain.db-wal && ! -e plain.db-shm ]] || fail "$(ls)"
    [[ ! -e app.db.live ]]
    no_leftovers
}

test_an_idle_database_in_wal_mode_leaves_no_siblings() {
    make_db app.db 100 4096 wal
    rm -f app.db-wal app.db-shm
    expect_exit 0 vdipipe backup app.db >f
    expect_silence
    [[ ! -s app.db-wal ]] || fail "a log with bytes in it was made"
    expect_exit 0 vdipipe restore copy.db <f
    same_content app.db copy.db
}

test_while_others_have_it_open() {
    make_db app.db 400 4096 wal
    locked_by "pragma wal_autocheckpoint=0; begin immediate; insert into item(name) values('pending');"
    expect_exit 0 vdipipe backup app.db >f
    expect_silence
    echo "commit; select 'done';" >&7
    wait_until 10 grep -q 'done' answers
    expect_exit 0 vdipipe backup app.db >g
    exec 7>&-
    wait "$holder"
    expect_exit 0 vdipipe restore one.db <f
    expect_exit 0 vdipipe restore two.db <g
    [[ $(sqlite3 one.db 'select count(*) from item') -eq 400 ]]
    [[ $(sqlite3 two.db 'select count(*) from item') -eq 401 ]]
}

locked_by() { # STATEMENTS
    mkfifo orders
    sqlite3 -batch app.db <orders >answers 2>&1 &
    holder=$!
    exec 7>orders
    echo "$1 select 'locked';" >&7
    wait_until 10 grep -q locked answers
}

test_an_exclusive_lock() {
    make_db app.db 100
    locked_by 'begin exclusive;'
    expect_exit 5 vdipipe backup app.db --open-timeout 4 >f
    expect_error app.db locked
    expect_real_options backup
    fails vdipipe verify f 2>/dev/null
    exec 7>&-
    wait "$holder"
    expect_exit 0 vdipipe backup app.db >f
}

test_a_lock_that_goes_away_is_waited_for() {
    make_db app.db 100
    locked_by 'begin exclusive;'
    "$VDIPIPE" backup app.db -o f 2>err &
    client=$!
    server_of "$client" >/dev/null
    echo "rollback;" >&7
    expect_end "$client" 20 0
    exec 7>&-
    wait "$holder"
    expect_exit 0 vdipipe verify f
}

test_exclusive_locking_mode() {
    local mode
    for mode in delete wal; do
        rm -f app.db* orders
        make_db app.db 100 4096 "$mode"
        locked_by "pragma locking_mode=exclusive; update item set name = 'x' where id = 1; select * from item where id = 1;"
        expect_exit 5 vdipipe backup app.db --open-timeout 4 >f
        expect_error app.db locked
        exec 7>&-
        wait "$holder"
        no_leftovers
    done
}

test_what_is_no_database() {
    echo 'Dear diary, this is a text of more than a hundred bytes, so that it could hold the header of a database, but does not.' >text.db
    head -c 8192 /dev/urandom >encrypted.db
    make_db app.db 50
    head -c 50 app.db >short.db
    head -c 100 app.db >header.db
    printf 'SQLite format 3' >magic.db
    for file in text encrypted short magic; do
        cp "$file.db" before
        expect_exit 1 vdipipe backup "$file.db" -o f
        expect_error "$file.db"
        grep -q 'not a SQLite database\|damaged' err || fail "$(<err)"
        [[ ! -e f ]]
        cmp "$file.db" before
    done
    expect_exit 1 vdipipe backup header.db -o f
    expect_error header.db
    no_leftovers
}

test_a_database_shorter_than_its_header_says() {
    make_db app.db 300
    head -c 20000 app.db >short.db
    expect_exit_not_0 vdipipe backup short.db -o f
    expect_error short.db
    [[ ! -e f ]] || fail "a truncated database was backed up without a word"
}

expect_exit_not_0() { # COMMAND...
    local got=0
    "$@" 2>err >out || got=$?
    [[ $got -ne 0 ]] || fail "succeeds: $*"
}

test_missing_files_and_folders() {
    mkdir folder
    expect_exit_not_0 vdipipe backup missing.db -o f
    expect_error missing.db 'No such file'
    expect_exit_not_0 vdipipe backup no/such.db -o f
    expect_error such.db 'No such file'
    expect_exit_not_0 vdipipe backup folder -o f
    expect_error folder
    ln -s nowhere dangling.db
    expect_exit_not_0 vdipipe backup dangling.db -o f
    expect_error dangling.db
    mkfifo pipe.db
    expect_exit_not_0 vdipipe backup pipe.db -o f
    expect_error pipe.db 'not a regular file'
    expect_exit_not_0 vdipipe backup /dev/null -o f
    expect_exit_not_0 vdipipe backup '' -o f
    expect_exit_not_0 vdipipe backup . -o f
    [[ ! -e missing.db && ! -e nowhere ]] || fail "a database was made"
    [[ ! -e f ]]
    no_leftovers
}

test_symbolic_links() {
    mkdir real
    make_pending_wal real/app.db 100
    flatten real/app.db flat.db
    ln -s real/app.db link.db
    ln -s link.db second.db
    for name in link.db second.db; do
        expect_exit 0 vdipipe backup "$name" >f
        zstd -dcq f | cmp - flat.db
    done
    [[ ! -e link.db-wal && ! -e link.db-shm ]]
    # The restored file is the one that the link names.
    ln -s real/new.db new.db
    expect_exit_not_0 vdipipe restore new.db <f
    [[ ! -e real/new.db && -L new.db ]]
}

test_odd_names() {
    local name
    for name in 'with space.db' "quote's.db" 'double"quote.db' $'new\nline.db' '100%.db' 'what?.db' 'number#1.db' 'semi;colon.db' \
        'back\slash.db' 'star*.db' 'file:scheme.db' 'file:x?mode=ro' 'sqlite' ':memory:' 'a&b=c.db' $'tab\there.db' \
        $'latin1-\xe4\xf6.db' $'\xff\xfe.db' 'äöü.db' '{db}.db' '.hidden' 'ends in dot.'; do
        rm -rf ./place
        mkdir place
        make_db place/plain 20
        mv -- place/plain "place/$name"
        expect_exit 0 vdipipe backup "place/$name" >f
        expect_silence
        zstd -dcq f | cmp - "place/$name"
        rm -- "place/$name"
        expect_exit 0 vdipipe restore "place/$name" <f
        expect_silence
        zstd -dcq f | cmp - "place/$name"
        rm -- "place/$name"
        expect_exit 0 vdipipe restore <f
        zstd -dcq f | cmp - "place/$name"
        expect_exit 2 vdipipe restore <f
        expect_error --replace
        expect_exit 0 vdipipe restore --replace <f
        expect_exit 0 vdipipe restore --replace=aside <f
        expect_exit 0 vdipipe info f >said
        no_leftovers place
    done
}

test_odd_names_of_outputs() {
    local name
    make_db app.db 20
    mkdir place
    for name in 'with space' "quote's" $'new\nline' '100%' $'\xff' '-dash' '*'; do
        expect_exit 0 vdipipe backup app.db -o "place/$name"
        expect_exit 0 vdipipe verify "place/$name"
        expect_exit 0 vdipipe restore copy.db -i "place/$name"
        rm copy.db
        head -c 1000 "place/$name" >short
        mv short "place/$name"
        expect_exit 3 vdipipe verify "place/$name"
        expect_error "byte 1000"
    done
    no_leftovers place
}

test_names_that_look_like_options() {
    make_db app.db 20
    cp app.db ./-x
    expect_exit 0 vdipipe backup ./-x >f
    zstd -dcq f | cmp - app.db
    expect_exit 0 vdipipe backup -- -x >f
    zstd -dcq f | cmp - app.db
    expect_exit 2 vdipipe backup -x >g
    expect_error "'-x'"
    expect_exit 0 vdipipe restore -- -y <f
    cmp ./-y app.db
    expect_exit 0 vdipipe restore -i f -- -z
    cmp ./-z app.db
}

test_prefixes_of_servers() {
    make_db app.db 20
    expect_exit 0 vdipipe backup sqlite:app.db >f
    zstd -dcq f | cmp - app.db
    expect_exit 0 vdipipe restore "sqlite:$PWD/copy.db" <f
    cmp copy.db app.db
    expect_exit_not_0 vdipipe backup mssql://no.such.host.invalid/app -o g
    expect_error no.such.host.invalid
    expect_exit 2 vdipipe backup @app -o g
    expect_error "[app]"
    expect_exit_not_0 vdipipe backup file:app.db -o g
    [[ ! -e g ]]
    expect_error file:app.db
}

# A command as another user, in folders that this user may enter.
as_nobody() { # COMMAND...
    chmod 711 "$scratch"
    chmod 755 .. .
    [[ -d ../nobody ]] || install -d -m 700 -o 65534 -g 65534 ../nobody
    timeout --foreground "$patience" env VDIPIPE_RUNTIME_DIR="$PWD/../nobody" \
        setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}

nobody_can_run_it() {
    needs_root
    as_nobody "$VDIPIPE" --version >/dev/null 2>&1 || skip "another user cannot run the program where it is"
}

test_a_read_only_file_in_a_read_only_folder() {
    nobody_can_run_it
    mkdir place
    make_db place/app.db 200
    chmod 444 place/app.db
    chmod 555 place
    expect_exit 0 as_nobody "$VDIPIPE" backup place/app.db >f
    expect_silence
    zstd -dcq f | cmp - place/app.db
    no_leftovers place
}

test_wal_mode_in_a_read_only_folder() {
    nobody_can_run_it
    mkdir place
    make_db place/app.db 200 4096 wal
    rm -f place/app.db-*
    chmod 444 place/app.db
    chmod 555 place
    expect_exit 1 as_nobody "$VDIPIPE" backup place/app.db >f
    expect_error app.db --immutable
    fails vdipipe verify f 2>/dev/null
    expect_exit 0 as_nobody "$VDIPIPE" backup --immutable place/app.db >f
    zstd -dcq f | cmp - place/app.db
    [[ $(ls place) == app.db ]]
}

test_a_pending_log_in_a_read_only_folder() {
    nobody_can_run_it
    mkdir place
    make_pending_wal place/app.db 200
    flatten place/app.db flat.db
    rm -f place/app.db-shm
    chmod 444 place/*
    chmod 555 place
    traces place/app.db >before
    expect_exit 1 as_nobody "$VDIPIPE" backup place/app.db >f
    expect_error app.db --immutable
    expect_exit 0 as_nobody "$VDIPIPE" backup --immutable place/app.db >f
    zstd -dcq f | cmp - flat.db || fail "--immutable forgets the log"
    traces place/app.db | cmp - before
}

test_a_file_that_may_not_be_read() {
    nobody_can_run_it
    mkdir place
    make_db place/app.db 20
    chmod 600 place/app.db
    chmod 755 place
    expect_exit_not_0 as_nobody "$VDIPIPE" backup place/app.db
    expect_error app.db 'Permission denied'
}

test_a_restored_file_of_another_user() {
    nobody_can_run_it
    make_db app.db 20
    chown 1234:1234 app.db
    chmod 640 app.db
    vdipipe backup app.db >f
    chmod 644 f
    mkdir place
    chown 65534 place
    # Only root may give files away; that is no failure. Rights of a group that it does not get are not for another group.
    expect_exit 0 as_nobody "$VDIPIPE" restore place/copy.db <f
    expect_silence
    cmp app.db place/copy.db
    [[ $(stat -c '%u %a' place/copy.db) == '65534 600' ]] || fail "$(stat -c '%u %a' place/copy.db)"
    no_leftovers place
}

test_a_spool_folder() {
    local client
    make_db app.db 30000
    mkdir spool
    mkfifo pipe
    "$VDIPIPE" backup app.db --max-lock 0 --spool-dir spool -v >pipe 2>err &
    client=$!
    exec 7<pipe
    head -c 100000 <&7 >f
    # The lock is let go of before the reader has taken the rest.
    timeout 20 sqlite3 -cmd '.timeout 15000' app.db "update item set name = 'changed'"
    cat <&7 >>f
    exec 7<&-
    wait "$client"
    expect_exit 0 vdipipe restore copy.db <f
    integrity copy.db
    [[ $(sqlite3 copy.db "select count(*) from item where name = 'changed'") -eq 0 ]]
    [[ -z $(ls -A spool) ]]
    no_leftovers
    expect_exit 2 vdipipe backup app.db --spool-dir missing >f
    expect_error missing
}

test_a_spool_that_finds_no_room() {
    needs_root
    unshare -m true 2>/dev/null || skip "mounting is not permitted"
    make_db app.db 30000
    mkdir disk
    # shellcheck disable=SC2016 # expanded by the inner shell
    unshare -m bash -c 'mount -t tmpfs -o size=1M none disk && { "$VDIPIPE" backup app.db --max-lock 0 --spool-dir disk 2>said; echo $? >status; } |
        { "$VDIPIPE_HELPERS/tools" slow-reader 4000000 >f; }'
    [[ $(<status) -eq 1 ]] || fail "exit $(<status)"
    cp said err
    expect_error disk 'No space left' --spool-dir
    fails vdipipe verify f 2>/dev/null
    no_leftovers
}

run_tests
