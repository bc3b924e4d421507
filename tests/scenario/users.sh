#!/usr/bin/env bash
# Several users of one machine, and several environments of one user: who finds a set, and who may touch it.
# shellcheck disable=SC2317,SC2119,SC2030,SC2031 # run_tests calls the functions by their names, each in its own subshell
# shellcheck source-path=SCRIPTDIR source=../support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

# Users and groups need no names; the group's is one that every system has.
owner=41001
member=41002
supplementary=41003
stranger=41004
group=games
gid=$(getent group "$group" | cut -d: -f3)

# Runs a command as another user, who is in GROUPS besides a group of his own.
as() { # UID GROUPS COMMAND...
    if [[ -n $2 ]]; then
        setpriv --reuid "$1" --regid "$1" --groups "$2" "${@:3}"
    else
        setpriv --reuid "$1" --regid "$1" --clear-groups "${@:3}"
    fi
}

# The program where everybody may run it, and a folder where everybody's sets meet.
meet() {
    needs_root
    command -v setpriv >/dev/null || skip "needs setpriv(1)"
    [[ -n $gid ]] || skip "needs a group $group"
    chmod 755 "$scratch" "${PWD%/*}" .
    chmod 1777 "$VDIPIPE_RUNTIME_DIR"
    cp "$VDIPIPE" program
    program=$PWD/program
    mkdir own
    chown "$owner" own
    mkfifo hole
    chmod 666 hole
    exec 8<>hole
}

# A set of the owner's that stands still: its process is $set_pid, its name $name.
make_set() { # [OPTION...]
    as "$owner" "${owner_groups-}" sqlite3 own/app.db 'create table t(b); with recursive n(i) as
        (select 1 union all select i + 1 from n where i < 5000) insert into t select randomblob(900) from n'
    as "$owner" "${owner_groups-}" "$program" backup own/app.db --raw --max-transfer 64K "$@" >hole 2>why &
    set_pid=$!
    wait_until 10 is_active
    name=$("$program" list --json | jq -er '.[0].name')
}

is_active() {
    "$program" list --json | jq -e '.[0].state == "active"'
}

test_nobody_else_without_a_group() {
    meet
    make_set
    for who in "$member" "$stranger"; do
        expect_exit 0 as "$who" "$gid" "$program" list --json
        [[ $(<out) == '[]' ]] || fail "$who sees $(<out)"
        for command in status config abort; do
            expect_exit 1 as "$who" "$gid" "$program" "$command" "$name"
            expect_error "'$name'" --group
        done
    done
    # The owner and root may.
    expect_exit 0 as "$owner" '' "$program" status "$name"
    expect_exit 0 "$program" abort "$name"
    expect_end "$set_pid" 2 1
    grep -qF 'aborted from outside' why
    no_leftovers own
}

test_the_members_of_a_group() {
    local owner_groups=$gid
    meet
    make_set --group "$group"
    # One whose own group it is, and one who is in it besides.
    expect_exit 0 setpriv --reuid "$member" --regid "$gid" --clear-groups "$program" status --group "$group" "$name"
    expect_exit 0 as "$supplementary" "50,$gid,51" "$program" config --group "$group" "$name"
    expect_exit 0 as "$supplementary" "$gid" "$program" list --group "$gid" --json
    jq -e ".[0].name == \"$name\"" out
    # Nobody else, whatever he says.
    expect_exit 0 as "$stranger" '' "$program" list --group "$group" --json
    [[ $(<out) == '[]' ]] || fail "a stranger sees $(<out)"
    for command in status config abort; do
        expect_exit 1 as "$stranger" 50 "$program" "$command" --group "$group" "$name"
        expect_error "'$name'"
    done
    [[ -e /proc/$set_pid ]]
    expect_exit 0 as "$supplementary" "$gid" "$program" abort --group "$group" "$name"
    expect_end "$set_pid" 2 1
    grep -qF 'aborted from outside' why
    no_leftovers own
}

# The set is one member's, its server another's, and a third serves a device.
test_members_do_a_backup_together() {
    local client server secondary statement
    meet
    mkdir server secondary
    make_db server/app.db 2000
    chown "$member" server server/app.db
    chown "$supplementary" secondary
    statement="BACKUP DATABASE [$PWD/server/app.db] TO VIRTUAL_DEVICE='demo', VIRTUAL_DEVICE='second'"
    as "$owner" "$gid" "$program" create demo --devices 2 --group "$group" --raw -o own/one >/dev/null 2>created &
    client=$!
    wait_until 10 "$program" status demo
    # A stranger is no server and no secondary.
    expect_exit 1 as "$stranger" '' "$program" exec --group "$group" "$statement"
    expect_exit 6 as "$stranger" '' "$program" attach demo second --group "$group" --open-timeout 0.3 -o /dev/null
    as "$supplementary" "50,$gid" "$program" attach demo second --group "$group" --raw -o secondary/two >/dev/null 2>attached &
    secondary=$!
    setpriv --reuid "$member" --regid "$gid" --clear-groups "$program" exec --group "$group" "$statement" >/dev/null 2>executed &
    server=$!
    expect_end "$server" 10 0
    expect_end "$client" 10 0
    expect_end "$secondary" 10 0
    cat own/one secondary/two | cmp - server/app.db
    [[ $(stat -c %u own/one) -eq $owner && $(stat -c %u secondary/two) -eq $supplementary ]]
    no_leftovers
}

test_a_set_of_create_and_a_name_taken() {
    local who owner_groups=$gid
    meet
    as "$owner" "$gid" "$program" create demo --group "$group" >/dev/null 2>why &
    set_pid=$!
    wait_until 10 "$program" status demo
    # The name is taken for everybody, whether he may join or not; only root can see that it is.
    for who in "$member:1" "$stranger:1" 0:5; do
        expect_exit "${who#*:}" as "${who%:*}" '' "$program" create demo
        expect_error "'demo'"
    done
    expect_exit 6 as "$supplementary" "$gid" "$program" config demo --group "$group" --open-timeout 0.2
    expect_exit 0 as "$supplementary" "$gid" "$program" abort --group "$group" demo
    expect_end "$set_pid" 2 1
    no_leftovers own
}

# ---- environments ----

# A process in whose view of the machine nobody has made a folder for sets yet: it has a /run and a /tmp of its own, with this
# test's folder in the same place. So the sets that are made there are nobody else's to list.
fresh_machine() {
    needs_root
    command -v nsenter >/dev/null || skip "needs nsenter(1)"
    unshare --mount mount -t tmpfs none /run 2>/dev/null || skip "may not mount"
    chmod 755 "$scratch" "${PWD%/*}" .
    cp "$VDIPIPE" program
    mkdir home
    chmod 777 home
    mkfifo hole held
    chmod 666 hole
    exec 8<>hole 9<>held
    # shellcheck disable=SC2016 # expanded by the inner shell
    unshare --mount sh -c 'mount -t tmpfs -o mode=755 none /run && mkdir -p "/run/user/$1" /run/user/0 /run/here &&
        chown "$1" "/run/user/$1" && chmod 700 "/run/user/$1" &&
        mount --bind . /run/here && mount -t tmpfs -o mode=1777 none /tmp && mkdir -p "$2" && mount --move /run/here "$2" &&
        cd "$2" && : >ready && read -r _ <held' sh "$owner" "$PWD" &
    machine=$!
    trap leave_machine EXIT
    wait_for_file ready 10
}

# $set_pid is a shell that waits for the program.
leave_machine() {
    # shellcheck disable=SC2046 # process ids
    kill "$machine" ${set_pid:+$(pgrep -P "$set_pid")} 2>/dev/null || :
}

# Runs the program on that machine, as user $user, with nothing in the environment but what is said.
cron() { # ARG...
    nsenter --mount --wd -t "$machine" setpriv --reuid "$user" --regid "$user" --clear-groups \
        env -i HOME="$PWD/home" PATH=/usr/bin:/bin "$PWD/program" "$@"
}

login() { # ARG...
    nsenter --mount --wd -t "$machine" setpriv --reuid "$user" --regid "$user" --clear-groups \
        env -i HOME="$PWD/home" PATH=/usr/bin:/bin TERM=xterm "XDG_RUNTIME_DIR=/run/user/$user" "$PWD/program" "$@"
}

# A set made in one environment is found, looked at and aborted in the other.
found_from() { # MAKER OTHER
    local name
    rm -f home/app.db
    make_db home/app.db 9000
    chown "$user" home/app.db
    exec 8>&- 8<>hole # what a run before left in it is gone
    "$1" backup home/app.db --raw --max-transfer 64K >hole 2>why &
    set_pid=$!
    wait_until 10 seen_by "$2"
    name=$("$2" list --json | jq -er '.[0].name')
    expect_exit 0 "$2" status "$name"
    grep -qxE 'state +active' out
    expect_exit 0 "$2" abort "$name"
    expect_end "$set_pid" 3 1
    grep -qF 'aborted from outside' why || fail "$(<why)"
    set_pid=
    expect_exit 0 "$1" list --json
    [[ $(<out) == '[]' ]]
}

seen_by() { # OTHER
    "$1" list --json | jq -e 'length == 1 and .[0].state == "active"'
}

test_cron_and_login_of_an_ordinary_user() {
    local user=$owner root
    fresh_machine
    root=/proc/$machine/root
    found_from cron login
    found_from login cron
    [[ ! -e $root/run/vdipipe ]] || fail "an ordinary user made /run/vdipipe"
    rmdir "$root/tmp/vdipipe-$owner" "$root/run/user/$owner/vdipipe"
    # Once root has been there, sets meet in the folder that he made.
    user=0 found_from login cron
    found_from cron login
    found_from login cron
    [[ -d $root/run/vdipipe && ! -e $root/tmp/vdipipe-$owner && ! -e $root/run/user/$owner/vdipipe ]]
    [[ -z $(ls "$root/run/vdipipe") ]] || fail "left over: $(ls -A "$root/run/vdipipe")"
}

test_cron_and_login_of_root() {
    local user=0
    fresh_machine
    found_from cron login
    found_from login cron
}

run_tests
