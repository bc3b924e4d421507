#!/usr/bin/env bash
# Where a backup is written to: files that exist, disks that are full, pipes that break, places that cannot be.
# shellcheck disable=SC2317,SC2119,SC2030,SC2031 # run_tests calls the functions by their names, each in its own subshell
# shellcheck source-path=SCRIPTDIR source=../support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

test_a_full_device() {
    make_db app.db 3000
    expect_exit 1 vdipipe backup app.db >/dev/full
    expect_error app.db 'standard output' 'No space left'
    expect_exit 1 vdipipe backup app.db -o /dev/full
    expect_error /dev/full 'No space left'
    expect_exit 1 vdipipe backup app.db --raw >/dev/full
    expect_error 'No space left'
    vdipipe backup app.db >f
    expect_exit 1 vdipipe extract f >/dev/full
    expect_error 'No space left'
    expect_exit 1 vdipipe info f >/dev/full
    expect_error 'standard output'
    expect_exit 1 vdipipe backup --help >/dev/full
    expect_error 'standard output'
    no_leftovers
}

test_a_tiny_backup_onto_a_full_device() {
    # So small that nothing but the last write can fail.
    : >empty.db
    expect_exit 1 vdipipe backup empty.db >/dev/full
    expect_error 'No space left'
}

test_the_null_device_measures_a_server() {
    make_db app.db 3000
    expect_exit 0 vdipipe backup app.db -o /dev/null
    expect_silence
    expect_exit 0 vdipipe backup app.db >/dev/null
    [[ -c /dev/null ]]
    expect_exit 0 vdipipe backup app.db --devices 3 -o '/dev/null{device}' && rm -f /dev/null1 /dev/null2 /dev/null3
    no_leftovers
}

test_a_fifo_is_written_directly() {
    make_db app.db 3000
    mkfifo pipe
    cat <pipe >f &
    expect_exit 0 vdipipe backup app.db -o pipe
    wait $!
    [[ -p pipe ]]
    expect_exit 0 vdipipe verify f
}

test_a_pipe_that_breaks() {
    make_db app.db 8000
    { expect_exit 1 vdipipe backup app.db; } | head -c 1000 >f
    expect_error app.db 'standard output' 'went away'
    [[ $(stat -c %s f) -eq 1000 ]]
    no_leftovers
}

test_an_existing_file_is_not_touched() {
    make_db app.db 300
    echo precious >f
    expect_exit 2 vdipipe backup app.db -o f
    expect_error "'f'" --force
    [[ $(<f) == precious ]]
    expect_exit 2 vdipipe backup app.db --force >g
    expect_error --force
    no_leftovers
}

test_force_replaces_only_in_the_end() {
    make_db app.db 300
    echo precious >f
    chmod 640 f
    expect_exit 0 vdipipe backup app.db -o f --force
    expect_silence
    expect_exit 0 vdipipe verify f
    [[ $(stat -c %a f) == 640 ]] || fail "mode $(stat -c %a f)"
    echo precious >f
    echo text >text.db
    expect_exit 1 vdipipe backup text.db -o f --force
    [[ $(<f) == precious ]]
    expect_exit 0 vdipipe backup app.db -fo f
    expect_exit 0 vdipipe verify f
    no_leftovers
}

test_a_redirection_into_the_database_is_refused() {
    make_db app.db 300
    cp app.db before
    vdipipe backup app.db 1<>app.db 2>err && fail "the database was overwritten"
    expect_error 'the database itself'
    # shellcheck disable=SC2094 # the mistake is the point
    vdipipe backup app.db >>app.db 2>err && fail "the database was appended to"
    cmp app.db before
}

test_a_redirection_behind_something_is_refused() {
    make_db app.db 300
    echo words >f
    for target in '>>f' '1<>f'; do
        expect_exit 2 eval "vdipipe backup app.db $target"
        expect_error 'holds something'
    done
    for target in /dev/stdout /dev/fd/1; do
        "$VDIPIPE" backup app.db -o "$target" >>f 2>err && fail "appended by $target"
        expect_error 'holds something'
    done
    [[ $(<f) == words ]]
    : >empty
    "$VDIPIPE" backup app.db >>empty 2>err || fail "exit $?: $(<err)"
    expect_exit 0 vdipipe verify empty
}

test_progress_does_not_go_into_the_data() {
    make_db app.db 300
    expect_exit 2 vdipipe backup app.db --progress json --progress-fd 1
    expect_error '--progress-fd 1'
    [[ ! -s out ]]
    vdipipe backup app.db >f
    expect_exit 2 vdipipe extract f --progress json --progress-fd 1
    [[ ! -s out ]]
}

test_a_command_as_a_file() {
    make_db app.db 300
    "$VDIPIPE" backup app.db -o >(cat >f) 2>err || fail "exit $?: $(<err)"
    wait_until 5 "$VDIPIPE" verify f
    "$VDIPIPE" backup app.db -o /dev/stdout >g 2>err || fail "exit $?: $(<err)"
    expect_exit 0 vdipipe verify g
}

test_striped_files_that_exist() {
    make_db app.db 300
    : >r.2
    expect_exit 2 vdipipe backup app.db --devices 3 -o 'r.{device}'
    expect_error "'r.2' exists" 'choose another name'
    [[ ! -e r.1 && ! -e r.3 && ! -s r.2 ]]
}

test_the_spool_folder_must_be_one() {
    make_db app.db 10
    : >file
    expect_exit 2 vdipipe backup app.db --spool-dir file
    expect_error "'file'" folder
    expect_exit 2 vdipipe backup app.db --spool-dir missing
    expect_exit 2 vdipipe exec "BACKUP DATABASE [$PWD/app.db] TO VIRTUAL_DEVICE='a'" --spool-dir file
    expect_error "'file'" folder
}

test_the_database_is_never_its_own_backup() {
    local name
    make_db app.db 300
    cp app.db before
    ln -s app.db link
    ln app.db hard
    mkdir place
    for name in app.db link hard ./app.db place/../app.db app.db-wal app.db-journal app.db-shm; do
        expect_exit 2 vdipipe backup app.db -o "$name" --force
        expect_error "'$name'" 'the database itself'
        cmp app.db before
    done
    expect_exit 2 vdipipe backup app.db --devices 2 -o 'app.db-{device}' --force
    [[ ! -e app.db-wal && ! -e app.db-journal && ! -e app.db-shm ]]
    expect_exit 0 vdipipe backup app.db -o place/app.db
    no_leftovers
}

test_a_link_to_the_output_stays_a_link() {
    make_db app.db 300
    mkdir real
    ln -s real/f f
    expect_exit 0 vdipipe backup app.db -o f
    [[ -L f && -f real/f ]]
    expect_exit 2 vdipipe backup app.db -o f
    expect_exit 0 vdipipe backup app.db -o f --force
    [[ -L f && -f real/f ]]
    expect_exit 0 vdipipe verify f
    no_leftovers
}

test_places_that_cannot_be() {
    make_db app.db 300
    mkdir folder
    expect_exit 2 vdipipe backup app.db -o no/such/f
    expect_error 'no/such'
    expect_exit 2 vdipipe backup app.db -o folder
    expect_error folder
    expect_exit 2 vdipipe backup app.db -o folder/
    expect_error folder
    expect_exit 2 vdipipe backup app.db -o app.db/f
    expect_exit 2 vdipipe backup app.db -o ''
    expect_exit 1 vdipipe backup app.db -o "$(printf 'long%.0s' {1..100})"
    expect_error 'too long'
    [[ -z $(ls folder) ]]
    no_leftovers
}

test_an_output_folder_that_others_own() {
    needs_root
    make_db app.db 300
    mkdir theirs
    chmod 755 . .. theirs
    chmod 711 ../..
    cp app.db ../app.db
    chmod 644 app.db
    mkdir -m 777 "$VDIPIPE_RUNTIME_DIR/nobody"
    chown 65534 "$VDIPIPE_RUNTIME_DIR/nobody"
    chmod 711 "$VDIPIPE_RUNTIME_DIR"
    VDIPIPE_RUNTIME_DIR="$VDIPIPE_RUNTIME_DIR/nobody" expect_exit 1 timeout 60 setpriv --reuid=65534 --regid=65534 --clear-groups "$VDIPIPE" backup app.db -o theirs/f
    expect_error theirs/f 'Permission denied'
    [[ -z $(ls -A theirs) ]]
}

test_inputs_that_cannot_be() {
    make_db app.db 300
    mkdir folder
    vdipipe backup app.db >f
    for verb in verify info extract 'restore copy.db -i'; do
        read -ra words <<<"$verb"
        expect_exit 2 vdipipe "${words[@]}" missing
        expect_error missing
        expect_exit 2 vdipipe "${words[@]}" folder
        expect_error folder
    done
    expect_exit 2 vdipipe restore copy.db <folder
    expect_error folder
    expect_exit 1 vdipipe backup folder -o g
    expect_error folder
    expect_exit 2 vdipipe restore no/such/copy.db <f
    expect_error no/such
    expect_exit 2 vdipipe restore folder <f
    expect_error folder
    [[ ! -e copy.db && -z $(ls folder) ]]
    no_leftovers
}

test_an_input_that_may_not_be_read() {
    needs_root
    make_db app.db 300
    vdipipe backup app.db >f
    chmod 600 f
    chmod 755 . ..
    chmod 711 ../..
    expect_exit 2 setpriv --reuid=65534 --regid=65534 --clear-groups "$VDIPIPE" verify f
    expect_error "'f'" 'Permission denied'
}

# The limit is above the shared memory's size, which counts as a file, too.
test_a_limit_on_the_size_of_files() {
    make_db app.db 30000
    (
        ulimit -f 8000
        expect_exit 1 "$VDIPIPE" backup app.db -o f
    )
    expect_error "'f'" 'File too large'
    [[ ! -e f ]]
    echo precious >f
    (
        ulimit -f 8000
        expect_exit 1 "$VDIPIPE" backup app.db -o f --force
    )
    [[ $(<f) == precious ]]
    vdipipe backup app.db >g
    (
        ulimit -f 8000
        expect_exit 1 "$VDIPIPE" restore copy.db <g
    )
    expect_error copy.db 'File too large'
    [[ ! -e copy.db ]]
    no_leftovers
}

# The scenario goes on in a name space of its own, with a disk of SIZE at ./disk.
on_a_small_disk() { # SIZE SHELL-COMMAND
    needs_root
    unshare -m true 2>/dev/null || skip "mounting is not permitted"
    mkdir -p disk
    export test_log test_reason patience
    # shellcheck disable=SC2016 # expanded by the inner shell
    unshare -m bash -c 'mount -t tmpfs -o size="$1" none disk && set -eE -o pipefail && eval "$2"' bash "$1" \
        "$(declare -f expect_exit expect_error drop_checker_words fail note_failure vdipipe no_leftovers strays helper); $2" || fail "on the small disk"
}

test_a_full_disk() {
    make_db app.db 8000
    # shellcheck disable=SC2016 # expanded by the inner shell
    on_a_small_disk 2M '
        expect_exit 1 vdipipe backup app.db -o disk/f
        expect_error disk/f "No space left"
        [[ -z $(ls -A disk) ]] || fail "$(ls -A disk)"
        echo precious >disk/f
        expect_exit 1 vdipipe backup app.db -o disk/f --force
        [[ $(<disk/f) == precious ]]
        expect_exit 1 vdipipe backup app.db >disk/g
        expect_error "standard output" "No space left"
        ! vdipipe verify disk/g 2>err || fail "the half is accepted"
        rm disk/g
        expect_exit 1 vdipipe backup app.db --devices 4 -o "disk/x.{device}"
        expect_error disk/x "No space left"
        [[ $(ls -A disk) == f ]] || fail "$(ls -A disk)"
        no_leftovers disk'
}

test_a_full_disk_under_a_restore() {
    make_db app.db 8000
    make_db small.db 100
    vdipipe backup app.db >f
    # shellcheck disable=SC2016 # expanded by the inner shell
    on_a_small_disk 2M '
        expect_exit 1 vdipipe restore disk/copy.db <f
        expect_error disk "No space left"
        [[ -z $(ls -A disk) ]] || fail "$(ls -A disk)"
        cp small.db disk/copy.db
        expect_exit 1 vdipipe restore --replace disk/copy.db <f
        expect_error "No space left"
        cmp small.db disk/copy.db
        expect_exit 1 vdipipe restore --replace=aside disk/copy.db <f
        cmp small.db disk/copy.db
        [[ $(ls -A disk) == copy.db ]] || fail "$(ls -A disk)"
        no_leftovers disk'
}

test_partial_files_of_dead_runs_are_swept() {
    local id=0a1b2c3d-0000-4000-8000-0123456789ab
    make_db app.db 300
    echo dead >".f.partial-$id"
    echo dead >".other name.partial-$id"
    echo mine >".f.partial-notes"
    echo mine >"f.partial-$id"
    expect_exit 0 vdipipe backup app.db -o g
    [[ ! -e ".f.partial-$id" && ! -e ".other name.partial-$id" ]] || fail "$(ls -A)"
    [[ -e .f.partial-notes && -e "f.partial-$id" ]] || fail "removed what is not its own: $(ls -A)"
}

test_a_partial_file_that_is_locked_is_kept() {
    local id=0a1b2c3d-0000-4000-8000-0123456789ab
    make_db app.db 300
    echo alive >".f.partial-$id"
    mkfifo say hold
    helper tools flock ".f.partial-$id" <hold >say &
    exec 7>hold
    read -rt 10 _ <say
    expect_exit 0 vdipipe backup app.db -o g
    [[ $(<".f.partial-$id") == alive ]]
    exec 7>&-
    wait $!
    expect_exit 0 vdipipe backup app.db -o h
    [[ ! -e ".f.partial-$id" ]]
}

test_two_backups_to_one_name_at_once() {
    local first second
    make_db app.db 8000
    "$VDIPIPE" backup app.db -o f 2>err.1 &
    first=$!
    "$VDIPIPE" backup app.db -o f 2>err.2 &
    second=$!
    local ok=0
    wait "$first" && ok=$((ok + 1))
    wait "$second" && ok=$((ok + 1))
    [[ $ok -eq 1 ]] || fail "$ok of 2 succeeded: $(cat err.1 err.2)"
    expect_exit 0 vdipipe verify f
    no_leftovers
}

test_placeholders() {
    local made
    make_db 'my app.db' 300
    mkdir place
    expect_exit 0 vdipipe backup 'my app.db' -o 'place/{db}-{type}-{device}.vdi'
    [[ -e 'place/my app.db-full-1.vdi' ]] || fail "$(ls place)"
    rm place/*
    expect_exit 0 vdipipe backup 'my app.db' -o 'place/{date}'
    made=$(ls place)
    [[ $made =~ ^20[0-9]{6}T[0-9]{6}Z$ ]] || fail "$made"
    expect_exit 2 vdipipe backup 'my app.db' -o 'place/{name}'
    expect_error '{name}' '{db}'
    expect_exit 0 vdipipe backup 'my app.db' -o 'place/100%'
    expect_exit 2 vdipipe backup 'my app.db' -o 'place/{open'
    expect_error '{open' '{db}'
    no_leftovers place
}

test_a_terminal_is_refused() {
    command -v script >/dev/null || skip "needs script(1)"
    make_db app.db 300
    vdipipe backup app.db >f
    # shellcheck disable=SC2016 # expanded by the inner shell
    for words in 'backup app.db' 'extract f' 'restore copy.db' 'verify' 'backup --raw app.db'; do
        status=0
        script -qefc "\"\$VDIPIPE\" $words 2>err" /dev/null </dev/null >typed || status=$?
        [[ $status -eq 2 ]] || fail "$words: exit $status: $(<err) $(cat -v typed | head -c 300)"
        expect_error
        [[ ! -s typed ]] || fail "$words: bytes on the terminal"
    done
    [[ ! -e copy.db ]]
}

test_closed_standard_descriptors() {
    make_db app.db 3000
    vdipipe backup app.db >f
    # A closed output is not written to by way of something else that got its number.
    expect_exit_any "$VDIPIPE" backup app.db >&-
    [[ $status -ne 0 ]] || fail "a backup to a closed standard output succeeds"
    expect_exit 0 "$VDIPIPE" backup app.db -o g >&- <&-
    expect_exit 0 vdipipe verify g
    "$VDIPIPE" backup app.db -o h <&- >&- 2>&- || fail "with everything closed"
    expect_exit 0 vdipipe verify h
    "$VDIPIPE" restore copy.db <f 2>&- || fail "restore with closed standard error"
    cmp app.db copy.db
    rm copy.db
    expect_exit_any "$VDIPIPE" restore copy.db <&-
    [[ $status -ne 0 && ! -e copy.db ]]
    expect_exit_any "$VDIPIPE" verify <&-
    [[ $status -ne 0 ]]
    fails "$VDIPIPE" verify missing 2>&-
    no_leftovers
}

expect_exit_any() { # COMMAND...
    status=0
    "$@" 2>err || status=$?
}

test_a_failed_sync_or_rename_is_a_failed_backup() {
    local point
    needs_faults
    make_db app.db 300
    for point in sink-write=fail:28 sink-sync=fail:5 sink-rename=fail:5 sink-sync=fail:5@2 sink-folder-sync=fail:5; do
        VDIPIPE_FAULT=$point expect_exit 1 vdipipe backup app.db -o f
        expect_error "'f'"
        [[ ! -e f ]] || fail "$point: f was made"
        no_leftovers
    done
    for point in source-read=fail:5 source-read=fail:5@2; do
        vdipipe backup app.db >g
        VDIPIPE_FAULT=$point expect_exit 1 vdipipe restore copy.db <g
        expect_error 'standard input' 'Input/output error'
        [[ ! -e copy.db ]]
        no_leftovers
    done
}

test_a_failure_after_the_servers_success_says_so() {
    needs_faults
    make_db app.db 300
    VDIPIPE_FAULT=sink-rename=fail:5 expect_exit 1 vdipipe backup app.db -o f
    expect_error 'counts this backup as taken'
}

run_tests
