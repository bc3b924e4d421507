#!/usr/bin/env bash
# Restoring onto a database that exists: afterwards it is the old one or the new one, never a mixture, and nobody who has it open
# sees anything else.
# shellcheck disable=SC2317,SC2119,SC2030,SC2031 # run_tests calls the functions by their names, each in its own subshell
# shellcheck source-path=SCRIPTDIR source=../support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

# new.vdi, made from new.db; target.db with other content. PAGE-SIZE and JOURNAL-MODE are the target's.
prepare() { # [PAGE-SIZE] [JOURNAL-MODE]
    [[ -e new.db ]] || make_db new.db 900
    [[ -e new.vdi ]] || vdipipe backup new.db >new.vdi
    rm -f target.db*
    make_db target.db 400 "${1:-4096}" "${2:-delete}"
    sqlite3 target.db "create table only_here(a)"
    sqlite3 target.db .dump >old.dump
    sqlite3 new.db .dump >new.dump
}

is_new() { # DB
    integrity "$1"
    sqlite3 "$1" .dump | cmp - new.dump || fail "$1 is not the new database"
}

is_old() { # DB
    integrity "$1"
    sqlite3 "$1" .dump | cmp - old.dump || fail "$1 is not the old database"
}

# A session of another process. `ask` sends a statement and prints its answer of one line.
open_session() { # DB
    coproc session { exec sqlite3 -batch "$1" 2>&1; }
}

ask() { # STATEMENT
    local answer
    printf '%s\n' "$1;" "select 'end of answer';" >&"${session[1]}"
    while read -rt 10 answer <&"${session[0]}" && [[ $answer != 'end of answer' ]]; do
        echo "$answer"
    done
}

close_session() {
    # shellcheck disable=SC2154 # coproc sets it
    local pid=$session_PID
    eval "exec ${session[1]}>&-"
    wait "$pid" || :
}

test_in_place() {
    prepare
    expect_exit 0 vdipipe restore --replace target.db <new.vdi
    expect_silence
    is_new target.db
    no_leftovers
    prepare
    expect_exit 0 vdipipe restore --replace=in-place target.db -i new.vdi
    is_new target.db
}

test_in_place_through_a_link() {
    prepare
    mkdir real
    mv target.db real/target.db
    ln -s real/target.db target.db
    expect_exit 0 vdipipe restore --replace target.db <new.vdi
    [[ -L target.db ]]
    is_new real/target.db
}

test_in_place_by_a_smaller_and_a_larger_one() {
    prepare
    make_db large.db 9000
    vdipipe backup large.db >large.vdi
    expect_exit 0 vdipipe restore --replace target.db <large.vdi
    same_content large.db target.db
    expect_exit 0 vdipipe restore --replace target.db <new.vdi
    is_new target.db
    [[ $(stat -c %s target.db) -eq $(stat -c %s new.db) ]]
}

test_in_place_by_an_empty_one() {
    : >empty.db
    vdipipe backup empty.db >empty.vdi
    prepare
    expect_exit 0 vdipipe restore --replace target.db <empty.vdi
    [[ $(sqlite3 target.db 'select count(*) from sqlite_schema') -eq 0 ]]
    : >target.db
    expect_exit 0 vdipipe restore --replace target.db <new.vdi
    is_new target.db
}

test_onto_an_open_database() {
    local mode
    for mode in delete wal truncate persist; do
        prepare 4096 "$mode"
        open_session target.db
        [[ $(ask 'select count(*) from item') -eq 400 ]]
        expect_exit 0 vdipipe restore --replace target.db <new.vdi
        [[ $(ask 'select count(*) from item') -eq 900 ]] || fail "$mode: the open connection does not see the new database"
        [[ $(ask 'pragma integrity_check') == ok ]]
        ask "insert into item(name) values('written later')"
        [[ $(ask 'select count(*) from item') -eq 901 ]]
        close_session
        integrity target.db
        [[ $(sqlite3 target.db 'select count(*) from item') -eq 901 ]]
        no_leftovers
    done
}

test_a_reader_in_a_transaction_sees_the_old_one_until_it_ends() {
    prepare 4096 wal
    open_session target.db
    ask 'begin'
    [[ $(ask 'select count(*) from item') -eq 400 ]]
    expect_exit 0 vdipipe restore --replace target.db <new.vdi
    [[ $(ask 'select count(*) from item') -eq 400 ]] || fail "the reader lost its snapshot"
    [[ $(ask 'select count(*) from only_here') -eq 0 ]]
    ask commit
    [[ $(ask 'select count(*) from item') -eq 900 ]] || fail "the reader does not see the new database"
    close_session
    is_new target.db
}

test_a_reader_in_a_transaction_of_rollback_mode_keeps_it_out() {
    prepare
    open_session target.db
    ask 'begin'
    [[ $(ask 'select count(*) from item') -eq 400 ]]
    expect_exit 5 vdipipe restore --replace target.db --open-timeout 4 <new.vdi
    expect_error target.db 'in use'
    expect_real_options restore
    [[ $(ask 'select count(*) from item') -eq 400 ]]
    ask commit
    close_session
    is_old target.db
    no_leftovers
}

test_an_exclusive_lock_keeps_it_out() {
    prepare
    open_session target.db
    ask 'begin exclusive'
    expect_exit 5 vdipipe restore --replace target.db --open-timeout 4 <new.vdi
    expect_error target.db 'in use'
    expect_real_options restore
    ask rollback
    close_session
    is_old target.db
    no_leftovers
}

test_a_writer_in_wal_mode_keeps_it_out_only_while_it_writes() {
    prepare 4096 wal
    open_session target.db
    ask 'begin immediate'
    expect_exit 5 vdipipe restore --replace target.db --open-timeout 4 <new.vdi
    expect_error target.db 'in use'
    expect_real_options restore
    ask rollback
    expect_exit 0 vdipipe restore --replace target.db <new.vdi
    close_session
    is_new target.db
}

test_another_page_size() {
    local mode
    for mode in delete wal; do
        prepare 1024 "$mode"
        expect_exit 0 vdipipe restore --replace target.db <new.vdi
        expect_silence
        is_new target.db
        [[ $(sqlite3 target.db 'pragma page_size') -eq 4096 ]]
        no_leftovers
    done
}

test_another_page_size_while_it_is_open() {
    prepare 1024 wal
    open_session target.db
    [[ $(ask 'select count(*) from item') -eq 400 ]]
    expect_exit 5 vdipipe restore --replace target.db --open-timeout 4 <new.vdi
    expect_error target.db open
    [[ $(ask 'select count(*) from item') -eq 400 ]]
    close_session
    is_old target.db
    [[ $(sqlite3 target.db 'pragma journal_mode') == wal ]] || fail "the refused target left WAL mode"
    no_leftovers
}

test_pending_frames_of_the_target_do_not_survive() {
    prepare
    rm -f target.db*
    make_pending_wal target.db 300
    expect_exit 0 vdipipe restore --replace target.db <new.vdi
    is_new target.db
    no_leftovers
}

test_a_damaged_target_needs_aside() {
    prepare
    printf 'not the header of a database' | dd of=target.db conv=notrunc status=none
    cp target.db damaged
    expect_exit 1 vdipipe restore --replace target.db <new.vdi
    expect_error target.db --replace=aside
    cmp target.db damaged
    expect_exit 0 vdipipe restore --replace=aside target.db <new.vdi
    is_new target.db
    [[ $(find . -name 'target.db.replaced-*' | wc -l) -eq 1 ]] || fail "$(ls)"
    cmp target.db.replaced-* damaged
    no_leftovers
}

test_aside_keeps_the_old_one_and_its_log_together() {
    prepare
    rm -f target.db*
    make_pending_wal target.db 300
    flatten target.db flat.db
    expect_exit 0 vdipipe restore --replace=aside target.db <new.vdi
    is_new target.db
    [[ ! -e target.db-wal ]] || [[ ! -s target.db-wal ]]
    old=$(find . -name 'target.db.replaced-*' ! -name '*-wal' ! -name '*-shm')
    [[ -e $old && -e $old-wal ]] || fail "$(ls)"
    same_content flat.db "$old"
    no_leftovers
}

test_aside_of_an_open_database_is_refused() {
    prepare 4096 wal
    open_session target.db
    [[ $(ask 'select count(*) from item') -eq 400 ]]
    expect_exit 5 vdipipe restore --replace=aside target.db <new.vdi
    expect_error target.db "$session_PID"
    close_session
    is_old target.db
    [[ -z $(find . -name '*.replaced-*') ]]
    no_leftovers
}

test_aside_twice() {
    prepare
    expect_exit 0 vdipipe restore --replace=aside target.db <new.vdi
    expect_exit 0 vdipipe restore --replace=aside target.db <new.vdi
    [[ $(find . -name 'target.db.replaced-*' | wc -l) -eq 2 ]] || fail "$(ls)"
    is_new target.db
}

test_a_stale_sibling_without_its_database() {
    local suffix
    prepare
    rm target.db
    for suffix in -wal -journal -shm; do
        echo stale >"target.db$suffix"
        expect_exit 2 vdipipe restore target.db <new.vdi
        expect_error target.db --replace
        [[ ! -e target.db && $(<"target.db$suffix") == stale ]]
        expect_exit 0 vdipipe restore --replace=aside target.db <new.vdi
        is_new target.db
        [[ $(cat target.db.replaced-*"$suffix") == stale ]] || fail "$(ls)"
        rm -f target.db*
        no_leftovers
    done
}

# A log of another database, complete and sound, would be replayed into the new image by whoever opens it first.
test_a_foreign_log_is_never_replayed_into_the_new_database() {
    prepare
    rm target.db
    make_pending_wal victim.db 300
    cp victim.db-wal target.db-wal
    expect_exit 2 vdipipe restore target.db <new.vdi
    expect_exit 0 vdipipe restore --replace=aside target.db <new.vdi
    is_new target.db
    rm -f target.db*
    # Beside an existing database.
    cp new.db target.db
    echo stale >target.db-journal
    cp victim.db-wal target.db-wal
    expect_exit 0 vdipipe restore --replace=aside target.db <new.vdi
    is_new target.db
}

test_a_damaged_stream_leaves_the_target_as_it_was() {
    local how
    prepare 4096 wal
    printf 'damage' | dd of=new.vdi bs=1 seek=200000 conv=notrunc status=none
    cp target.db before
    for how in --replace --replace=aside; do
        expect_exit 3 vdipipe restore "$how" target.db <new.vdi
        expect_error byte
        cmp target.db before
        head -c 100000 new.vdi | expect_exit 3 vdipipe restore "$how" target.db
        cmp target.db before
    done
    is_old target.db
    no_leftovers
}

test_a_full_disk_during_the_transaction() {
    needs_root
    unshare -m true 2>/dev/null || skip "mounting is not permitted"
    make_db new.db 6000
    vdipipe backup new.db >new.vdi
    make_db old.db 300
    mkdir disk
    # Room for the image that arrives, but not for the transaction as well.
    # shellcheck disable=SC2016 # expanded by the inner shell
    expect_exit 0 unshare -m bash -c 'mount -t tmpfs -o size=5M none disk && cp old.db disk/target.db &&
        { "$VDIPIPE" restore --replace disk/target.db <new.vdi 2>said; echo $? >status; } && sqlite3 disk/target.db .dump >left && ls -A disk >files'
    [[ $(<status) -eq 1 ]] || fail "exit $(<status): $(<said)"
    [[ $(<said) == "vdipipe: "* ]]
    sqlite3 old.db .dump | cmp - left
    [[ $(<files) == target.db ]] || fail "$(<files)"
}

test_a_target_that_may_not_be_written() {
    needs_root
    prepare
    chmod 755 . ..
    chmod 711 ../..
    chmod 644 target.db new.vdi
    mkdir -m 700 "$VDIPIPE_RUNTIME_DIR/nobody"
    chown 65534 "$VDIPIPE_RUNTIME_DIR/nobody"
    chmod 711 "$VDIPIPE_RUNTIME_DIR"
    export VDIPIPE_RUNTIME_DIR="$VDIPIPE_RUNTIME_DIR/nobody"
    cp target.db before
    expect_exit 1 setpriv --reuid=65534 --regid=65534 --clear-groups "$VDIPIPE" restore --replace target.db -i new.vdi
    expect_error target.db
    cmp target.db before
}

test_backups_taken_while_it_is_replaced() {
    local mode taken restoring
    make_db a.db 3000
    make_db b.db 5000
    vdipipe backup a.db >a
    vdipipe backup b.db >b
    sqlite3 a.db .dump >a.dump
    sqlite3 b.db .dump >b.dump
    for mode in delete wal; do
        rm -f target.db*
        make_db target.db 10 4096 "$mode"
        vdipipe restore --replace target.db <a
        (
            for _ in 1 2 3 4 5 6; do
                vdipipe restore --replace target.db <b && vdipipe restore --replace target.db <a
            done
        ) &
        restoring=$!
        taken=0
        while kill -0 "$restoring" 2>/dev/null; do
            expect_exit 0 vdipipe backup target.db --max-transfer 64K >taken
            expect_exit 0 vdipipe restore copy.db <taken
            sqlite3 copy.db .dump >copy.dump
            cmp -s copy.dump a.dump || cmp -s copy.dump b.dump || fail "$mode: a mixture was backed up"
            rm copy.db
            taken=$((taken + 1))
        done
        wait "$restoring" || fail "$mode: a restore failed"
        [[ $taken -ge 2 ]] || fail "only $taken backups"
        same_content target.db a.db
    done
    no_leftovers
}

# There is no saying where in the transaction the kill meets it; the outcome must be one of the two at any place.
test_in_place_killed_in_its_transaction() {
    local mode round server client mark
    make_db big.db 40000
    vdipipe backup big.db >big.vdi
    sqlite3 big.db .dump >new.dump
    for mode in delete wal; do
        for round in 1 2 3; do
            rm -f target.db* err
            make_db target.db 20000 4096 "$mode"
            sqlite3 target.db .dump >old.dump
            "$VDIPIPE" restore --check none --replace target.db <big.vdi 2>err &
            client=$!
            server=$(server_of "$client")
            mark=target.db-$([[ $mode == wal ]] && echo wal || echo journal)
            wait_until 20 eval "[[ -s $mark ]] || ! kill -0 $client"
            kill -KILL "$server" 2>/dev/null || :
            wait "$client" 2>/dev/null || :
            sqlite3 target.db .dump >now.dump
            cmp -s now.dump old.dump || cmp -s now.dump new.dump || fail "$mode, round $round: a mixture: $(<err)"
            integrity target.db
            no_leftovers
        done
    done
}

run_tests
