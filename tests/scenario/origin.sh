#!/usr/bin/env bash
# `restore` without a target goes back to where the backup came from, if that is safe.
# shellcheck disable=SC2317,SC2119,SC2030,SC2031 # run_tests calls the functions by their names, each in its own subshell
# shellcheck source-path=SCRIPTDIR source=../support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

# Runs a command on what looks like another machine.
elsewhere() { # COMMAND...
    echo 0123456789abcdef0123456789abcdef >"$VDIPIPE_RUNTIME_DIR/../machine-id"
    # shellcheck disable=SC2016 # expanded by the inner shell
    unshare -m bash -c 'mount --bind "$1" /etc/machine-id && shift && exec "$@"' bash \
        "$VDIPIPE_RUNTIME_DIR/../machine-id" "$@"
}

needs_mounts() {
    needs_root
    [[ -s /etc/machine-id ]] || skip "this machine has no id"
    unshare -m true 2>/dev/null || skip "mounting is not permitted"
}

test_a_lost_file_comes_back() {
    make_db app.db 500
    cp app.db before
    vdipipe backup app.db | zstd -q >f
    rm app.db
    expect_exit 0 vdipipe restore <f
    expect_silence
    cmp app.db before
    no_leftovers
}

test_from_any_folder() {
    make_db app.db 50
    cp app.db before
    vdipipe backup app.db >f
    rm app.db
    mkdir deep
    cd deep
    expect_exit 0 vdipipe restore -i ../f
    cmp ../app.db ../before
}

test_owner_and_mode_come_back() {
    needs_root
    make_db app.db 50
    chown 1234:5678 app.db
    chmod 640 app.db
    # Its owner's rights are what it is read with.
    expect_exit 1 vdipipe backup app.db
    expect_error 'user 1234' 'Permission denied' '--as-owner=no'
    expect_exit 0 vdipipe backup app.db --as-owner=no
    chmod 711 "$scratch" "${PWD%/*}" .
    vdipipe backup app.db >f
    rm app.db
    expect_exit 0 vdipipe restore <f
    [[ $(stat -c '%u:%g %a' app.db) == '1234:5678 640' ]] || fail "$(stat -c '%u:%g %a' app.db)"
}

test_the_mode_comes_back_whatever_the_umask() {
    make_db app.db 50
    chmod 604 app.db
    vdipipe backup app.db >f
    rm app.db
    umask 077
    expect_exit 0 vdipipe restore <f
    [[ $(stat -c %a app.db) == 604 ]] || fail "mode $(stat -c %a app.db)"
}

test_an_existing_file_needs_replace() {
    make_db app.db 50
    vdipipe backup app.db >f
    sqlite3 app.db "delete from item; insert into item(name) values('new')"
    cp app.db before
    expect_exit 2 vdipipe restore <f
    expect_error app.db --replace
    cmp app.db before
    expect_exit 0 vdipipe restore --replace <f
    expect_silence
    [[ $(sqlite3 app.db 'select count(*) from item') -eq 50 ]]
    no_leftovers
}

test_a_log_without_its_database_counts_as_existing() {
    local suffix
    make_db app.db 50
    vdipipe backup app.db >f
    rm app.db
    for suffix in -wal -journal -shm; do
        echo stale >"app.db$suffix"
        expect_exit 2 vdipipe restore <f
        expect_error app.db --replace
        [[ ! -e app.db && $(<"app.db$suffix") == stale ]]
        rm "app.db$suffix"
    done
}

test_a_stripe_finds_its_way_back() {
    make_db app.db 900
    cp app.db before
    vdipipe backup app.db --devices 3 -o 'x.{device}.vdi'
    rm app.db
    expect_exit 0 vdipipe restore <x.2.vdi
    cmp app.db before
}

test_a_dry_run_changes_nothing() {
    make_db app.db 50
    vdipipe backup app.db >f
    rm app.db
    expect_exit 0 vdipipe restore --dry-run <f
    expect_error 'would create' app.db
    [[ ! -e app.db ]]
    make_db app.db 5
    cp app.db before
    expect_exit 0 vdipipe restore --dry-run --replace <f
    expect_error 'would replace' app.db
    expect_exit 0 vdipipe restore --dry-run --replace=aside -i f
    expect_error aside app.db
    expect_exit 2 vdipipe restore --dry-run <f
    cmp app.db before
    [[ $(ls) == $'app.db\nbefore\nerr\nf\nout' ]] || fail "files: $(ls)"
    no_leftovers
}

test_a_raw_image_has_no_origin() {
    make_db app.db 50
    vdipipe backup --raw app.db >f
    expect_exit 2 vdipipe restore <f
    expect_error 'vdipipe restore DB'
}

test_a_stream_of_another_machine_asks_for_a_target() {
    needs_mounts
    make_db app.db 50
    elsewhere "$VDIPIPE" backup app.db >f
    expect_exit 0 vdipipe verify f
    rm app.db
    expect_exit 2 vdipipe restore <f
    expect_error 'another machine' 'vdipipe restore DB < FILE'
    expect_exit 2 vdipipe restore --replace -i f
    expect_error 'another machine' 'vdipipe restore DB -i FILE'
    [[ ! -e app.db ]]
    expect_exit 0 vdipipe restore app.db <f
    integrity app.db
    no_leftovers
}

test_a_folder_that_is_gone_asks_for_a_target() {
    mkdir gone
    make_db gone/app.db 50
    vdipipe backup gone/app.db >f
    rm -r gone
    expect_exit 2 vdipipe restore <f
    expect_error gone 'vdipipe restore DB'
    [[ ! -e gone ]]
}

test_system_folders_ask_for_a_target() {
    local folder
    needs_mounts
    make_db app.db 50
    for folder in /etc /usr/share /run /boot; do
        # An empty folder lies over the system's, in a name space of its own, so that nothing there is touched.
        # shellcheck disable=SC2016 # expanded by the inner shell
        expect_exit 0 unshare -m bash -c 'id=$(cat /etc/machine-id) && mount -t tmpfs none "$1" && mkdir "$1/own" &&
            { [[ $1 != /etc ]] || echo "$id" >/etc/machine-id; } && cp app.db "$1/own/app.db" && "$VDIPIPE" backup "$1/own/app.db" >f &&
            rm "$1/own/app.db" && { "$VDIPIPE" restore <f 2>said; echo $? >status; } && ls -A "$1/own" >left' bash "$folder"
        [[ $(<status) -eq 2 ]] || fail "$folder: exit $(<status): $(<said)"
        cp said err
        expect_error 'system folder' 'vdipipe restore DB'
        [[ ! -s left ]] || fail "$(<left)"
    done
}

test_a_folder_in_place_of_the_original_asks_for_a_target() {
    make_db app.db 50
    vdipipe backup app.db >f
    rm app.db
    mkdir app.db
    expect_exit 2 vdipipe restore <f
    expect_error app.db
    expect_exit 2 vdipipe restore --replace <f
    [[ -d app.db ]]
}

test_the_origin_of_a_link_is_what_it_points_to_or_its_name() {
    mkdir real
    make_db real/app.db 50
    ln -s real/app.db link.db
    vdipipe backup link.db >f
    sqlite3 real/app.db 'delete from item'
    expect_exit 2 vdipipe restore <f
    expect_error --replace
    expect_exit 0 vdipipe restore --replace <f
    [[ -L link.db ]] || fail "the link was replaced by a file"
    [[ $(sqlite3 real/app.db 'select count(*) from item') -eq 50 ]]
}

run_tests
