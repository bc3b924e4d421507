#!/usr/bin/env bash
# Root's backups and restores beside users who own the database, the folder, or what lies in the way.
# shellcheck disable=SC2317,SC2119,SC2030,SC2031 # run_tests calls the functions by their names, each in its own subshell
# shellcheck source-path=SCRIPTDIR source=../support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

# Users need no names.
owner=41001
stranger=41004
rounds=${VDIPIPE_ROUNDS:-20}

as() { # UID COMMAND...
    setpriv --reuid "$1" --regid "$1" --clear-groups "${@:2}"
}

# Folders that the users can come to: `all` is everybody's, `home` the owner's, `own` root's alone.
settle() {
    needs_root
    command -v setpriv >/dev/null || skip "needs setpriv(1)"
    chmod 711 "$scratch" "${PWD%/*}" .
    mkdir -m 1777 all
    install -d -o "$owner" -g "$owner" -m 750 home
    mkdir -m 700 own
}

make_owned() { # FILE [MODE]
    as "$owner" sqlite3 "$1" "PRAGMA journal_mode=${2:-delete};
        CREATE TABLE t(b); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
        INSERT INTO t SELECT randomblob(900) FROM n" >/dev/null
}

test_a_strangers_link_in_a_folder_for_all_is_not_followed() {
    settle
    make_db app.db 100
    echo precious >own/precious
    as "$stranger" ln -s "$PWD/own/precious" all/link
    for force in '' -f; do
        # shellcheck disable=SC2086 # one word or none
        expect_exit 2 vdipipe backup app.db $force -o all/link
        expect_error 'all/link' "another user's link"
    done
    [[ $(<own/precious) == precious ]]
    as "$stranger" ln -s "$PWD/own/new" all/dangling
    expect_exit 2 vdipipe backup app.db -o all/dangling
    [[ ! -e own/new ]]
    # Root's own is followed, and so is a stranger's where the kernel would, too.
    ln -s "$PWD/own/mine" all/mine
    expect_exit 0 vdipipe backup app.db -o all/mine
    expect_exit 0 vdipipe verify own/mine
}

test_a_strangers_file_in_a_folder_for_all_is_no_output() {
    settle
    make_db app.db 100
    as "$stranger" mkfifo all/fifo
    as "$stranger" bash -c 'echo words >all/file; chmod 666 all/file'
    for name in fifo file; do
        expect_exit 2 timeout 20 "$VDIPIPE" backup app.db -f -o "all/$name"
        expect_error "all/$name" "another user's"
    done
    [[ $(<all/file) == words ]]
    mkfifo all/mine
    cat all/mine >f &
    expect_exit 0 vdipipe backup app.db -o all/mine
    wait "$!"
    expect_exit 0 vdipipe verify f
}

# What the server process may do is read from the kernel while it stands still.
server_rights() { # FAULT COMMAND...
    local child client
    VDIPIPE_FAULT=$1=stop#server VDIPIPE_FAULT_FD=9 "${@:2}" 9>reached 2>err &
    client=$!
    wait_until 10 grep -q . reached
    child=$(server_of "$client")
    sed -n 's/^\(Uid\|Gid\|Groups\|CapEff\|CapPrm\|CapBnd\|NoNewPrivs\):[[:space:]]*/\1 /p' "/proc/$child/status" >rights
    kill -CONT "$child"
    wait "$client"
}

test_the_server_has_the_rights_of_the_databases_owner() {
    settle
    needs_faults
    for mode in delete wal; do
        make_owned "home/$mode.db" "$mode"
        server_rights backup.flush "$VDIPIPE" backup "home/$mode.db" -f -o own/f || fail "exit $?: $(<err)"
        grep -q "^Uid $owner	$owner	$owner	$owner$" rights || fail "$(<rights)"
        grep -q "^Gid $owner	$owner	$owner	$owner$" rights || fail "$(<rights)"
        grep -q '^CapEff 0000000000000000$' rights || fail "$(<rights)"
        grep -q '^CapPrm 0000000000000000$' rights || fail "$(<rights)"
        grep -q '^NoNewPrivs 1$' rights || fail "$(<rights)"
        expect_exit 0 vdipipe verify own/f
        [[ $(stat -c %u own/f) -eq 0 ]]
        expect_exit 0 vdipipe restore "home/new-$mode.db" -i own/f
        cmp "home/$mode.db" "home/new-$mode.db"
        [[ $(stat -c '%u %g %a' "home/new-$mode.db") == "$(stat -c '%u %g %a' "home/$mode.db")" ]]
        server_rights restore.temp.created "$VDIPIPE" restore --replace "home/new-$mode.db" -i own/f || fail "exit $?: $(<err)"
        grep -q "^Uid $owner	$owner	$owner	$owner$" rights || fail "$(<rights)"
    done
    # Root's own are root's, with all of its rights.
    make_db own/app.db 100
    server_rights backup.flush "$VDIPIPE" backup own/app.db -f -o own/f
    grep -q '^Uid 0	0	0	0$' rights || fail "$(<rights)"
    server_rights backup.flush "$VDIPIPE" backup home/wal.db --as-owner=no -f -o own/f
    grep -q '^Uid 0	0	0	0$' rights || fail "$(<rights)"
}

test_a_users_link_leads_only_where_he_may_go() {
    settle
    make_db own/secret.db 100
    chmod 600 own/secret.db
    cp own/secret.db before
    make_owned home/app.db
    vdipipe backup home/app.db >f
    as "$owner" ln -s "$PWD/own/secret.db" home/file.db
    as "$owner" ln -s "$PWD/own" home/folder
    for path in home/file.db home/folder/secret.db; do
        expect_exit 1 vdipipe backup "$path" -o own/out
        expect_error "user $owner" '--as-owner=no'
        [[ ! -e own/out ]]
        expect_exit 1 vdipipe restore --replace "$path" -i f
        expect_error "user $owner"
        cmp own/secret.db before
    done
    expect_exit 1 vdipipe restore home/folder/new.db -i f
    [[ ! -e own/new.db ]]
    expect_exit 0 vdipipe backup home/folder/secret.db --as-owner=no -o own/out
}

test_a_link_that_comes_while_keys_are_read_leads_nowhere() {
    settle
    make_db own/precious.db 100
    cp own/precious.db before
    make_db app.db 50
    vdipipe backup app.db >f
    mkfifo slow
    "$VDIPIPE" restore --replace all/new.db <slow 2>err &
    client=$!
    exec 7>slow
    wait_until 10 server_of "$client"
    as "$stranger" ln -s "$PWD/own/precious.db" all/new.db
    cat f >&7 || :
    exec 7>&-
    wait "$client" && fail "it was restored"
    cmp own/precious.db before
    mkfifo word
    "$VDIPIPE" backup all/new2.db --passphrase-file word -o own/f 2>err &
    client=$!
    exec 7>word
    wait_until 10 server_of "$client"
    as "$stranger" ln -s "$PWD/own/precious.db" all/new2.db
    echo correct horse battery >&7
    exec 7>&-
    wait "$client" && fail "it was backed up"
    [[ ! -e own/f ]]
}

test_a_user_without_an_account_has_no_group_of_roots() {
    settle
    install -d -o "$owner" -g 0 -m 755 groups
    mkdir -m 750 roots
    make_db roots/secret.db 100
    chmod 660 roots/secret.db
    as "$owner" ln -s "$PWD/roots/secret.db" groups/a.db
    expect_exit 1 vdipipe backup groups/a.db -o own/f
    expect_error "user $owner"
}

test_what_a_killed_server_left_is_put_back_as_its_owner() {
    settle
    needs_faults
    make_owned home/app.db
    cp home/app.db before
    vdipipe backup home/app.db >f
    VDIPIPE_FAULT=aside.unlinked=kill#server expect_exit 1 vdipipe restore --replace=aside home/app.db -i f
    cmp home/app.db before
    [[ $(ls -A home) == app.db ]] || fail "$(ls -A home)"
}

test_who_cannot_take_the_owners_rights_is_told() {
    settle
    make_owned home/app.db
    expect_exit 1 setpriv --bounding-set -setuid,-setgid --inh-caps -setuid,-setgid "$VDIPIPE" backup home/app.db -o own/f
    expect_error '--as-owner=no'
    expect_exit 0 setpriv --bounding-set -setuid,-setgid --inh-caps -setuid,-setgid "$VDIPIPE" backup home/app.db \
        --as-owner=no -o own/f
}

test_whoever_may_only_read_holds_no_lock_that_counts() {
    settle
    make_db app.db 100
    vdipipe backup app.db >f
    mkdir -m 755 place
    mkfifo said hold
    exec 6<>hold
    setpriv --reuid "$stranger" --regid "$stranger" --clear-groups \
        bash -c 'exec 8<place && flock 8 && echo held && read -r _' <&6 >said &
    holder=$!
    read -r _ <said
    expect_exit 0 vdipipe restore place/copy.db -i f --open-timeout 4
    expect_exit 0 vdipipe restore --replace=aside place/copy.db -i f --open-timeout 4
    echo >&6
    wait "$holder"
    cmp app.db place/copy.db
}

test_of_two_restores_the_second_names_the_first_before_any_data_moves() {
    needs_faults
    make_db app.db 100
    vdipipe backup app.db >f
    VDIPIPE_FAULT=restore.temp.created=stop#server VDIPIPE_FAULT_FD=9 "$VDIPIPE" restore copy.db -i f 9>reached &
    first=$!
    wait_until 10 grep -q . reached
    server=$(server_of "$first")
    expect_exit 5 vdipipe restore copy.db -i f --open-timeout 4
    expect_error 'copy.db' "process $server"
    kill -KILL "$first" "$server"
    wait "$first" || :
    # What a dead run left is in nobody's way.
    expect_exit 0 vdipipe restore copy.db -i f
    cmp app.db copy.db
    no_leftovers
}

test_a_fifo_among_the_files_of_a_set_holds_nobody() {
    settle
    make_db app.db 300
    mkdir -m 777 set
    vdipipe backup app.db --devices 2 -o 'set/x.{device}.vdi'
    as "$stranger" timeout 120 bash -c 'cd set && while [[ ! -e done ]]; do
        ln -f x.1.vdi swap 2>/dev/null || cp x.1.vdi swap; mv -f swap x.0.vdi
        mkfifo pipe; mv -f pipe x.0.vdi; done' &
    racer=$!
    for ((i = 0; i < rounds; i++)); do
        expect_exit 0 timeout 30 "$VDIPIPE" restore --replace copy.db -i set/x.1.vdi
        cmp <(sqlite3 app.db .dump) <(sqlite3 copy.db .dump)
    done
    touch set/done
    wait "$racer"
}

run_tests
