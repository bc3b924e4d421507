#!/usr/bin/env bash
# Looking at live sets from another terminal, and ending them: list, status, config, abort.
# shellcheck source-path=SCRIPTDIR disable=SC2317,SC2119,SC2030,SC2031 # run_tests calls the functions by their names, each in its own subshell
# `list` shows the sets of every folder: those of other tests and users stay out of sight in a /run of our own.
if [[ -z ${ALONE:-} ]] && unshare -m mount -t tmpfs none /run 2>/dev/null; then
    # shellcheck disable=SC2016 # expanded by the inner shell
    ALONE=yes exec unshare -m bash -c 'mount -t tmpfs none /run && exec bash "$0"' "$0"
fi

# shellcheck source=../support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

completions=$(cd "$(dirname "$0")/../../completions" && pwd)
head_line='NAME  STATE  DEVICES  BYTES  PRIMARY  SERVER  SECONDARIES  AGE'

# What jq finds in the answer of a command for programs.
ask() { # FILTER COMMAND...
    vdipipe "${@:2}" --json | jq -er "$1"
}

# A backup that stands still because nobody reads: its process is $backup, its set $name.
start_backup() {
    make_db app.db 9000
    mkfifo hole
    exec 8<>hole
    "$VDIPIPE" backup app.db --raw --max-transfer 64K >hole 2>err &
    backup=$!
    wait_until 10 ask ".[] | select(.primary_pid == $backup and .state == \"active\").name" list
    name=$(ask ".[] | select(.primary_pid == $backup).name" list)
    wait_until 10 ask '.devices[0] | select(.held > 0 and .completions > 0)' status "$name"
}

test_no_sets() {
    expect_exit 0 vdipipe list
    expect_silence
    [[ $(<out) == "$head_line" ]] || fail "$(<out)"
    expect_exit 0 vdipipe list --json
    [[ $(<out) == '[]' ]] || fail "$(<out)"
}

test_a_backup_that_stands_still_is_seen() {
    local server
    start_backup
    server=$(server_of "$backup")
    expect_exit 0 vdipipe list
    expect_silence
    [[ $(wc -l <out) -eq 2 ]]
    [[ $(sed 's/  *[0-9]*s$//; 1d' out) =~ ^"$name  active        1  "[1-9][0-9]*" "+"$backup "+"$server "+-$ ]] || fail "$(<out)"
    expect_exit 0 vdipipe list --json
    jq -e ".[0] | .device_count == 1 and .bytes > 0 and .server_pid == $server and .secondary_pids == [] and .age_ms >= 0" out
    expect_exit 0 vdipipe status "$name"
    expect_silence
    grep -qxE "name +$name" out
    grep -qxE 'state +active' out
    grep -qxE 'verdict +none' out
    grep -qxE "primary +$backup" out
    grep -qxE "server +$server" out
    grep -qxE 'server_kind +sqlite' out
    grep -qxE "origin +.*/app.db" out
    fails grep -q '[{}]' out
    grep -qxE 'max_transfer_size +65536' out
    grep -qE "^ +1  $name  open +$backup +" out
    fails grep -q aborted_because out
    expect_exit 0 vdipipe status --json "$name"
    jq -e ".state == \"active\" and .config.max_transfer_size == 65536 and .server_info.kind == \"sqlite\"" out
    jq -e ".devices | length == 1 and (.[0] | .device == 1 and .name == \"$name\" and .phase == \"open\" and
        .client_pid == $backup and .held >= 1 and .oldest_ms >= 0 and .commands == .completions + .held)" out
    expect_exit 0 vdipipe config "$name"
    expect_silence
    grep -qxE 'features +0x[0-9a-f]{8}( [A-Z][A-Za-z]+)+' out
    diff out <(vdipipe status "$name" | sed -n '/^device_count/,/^buffer_area/p')
    expect_exit 0 vdipipe config --json "$name"
    jq -e '.device_count == 1 and .block_size == 4096 and (.feature_names | index("WriteMedia") != null)' out
    # Being looked at does it no harm.
    cat <&8 >copy &
    reader=$!
    expect_end "$backup" 20 0
    exec 8>&-
    wait_until 10 eval "[[ \$(stat -c %s app.db) -eq \$(stat -c %s copy) ]]"
    kill "$reader"
    cmp app.db copy
    expect_exit 0 vdipipe list
    [[ $(<out) == "$head_line" ]]
    no_leftovers
}

test_the_oldest_command_grows_old() {
    local first
    start_backup
    first=$(ask .oldest_ms status "$name")
    wait_until 5 ask "select(.oldest_ms > $first + 300)" status "$name"
    kill "$backup"
    expect_end "$backup" 5 143
}

test_abort_from_outside() {
    start_backup
    server=$(server_of "$backup")
    expect_exit 0 vdipipe abort "$name"
    [[ ! -s err || $(<err) == *aborted* ]]
    expect_end "$backup" 2 1
    wait_for_pid_end "$server" 2
    expect_exit 1 vdipipe status "$name"
    expect_error "'$name'" 'vdipipe list'
    expect_exit 1 vdipipe abort "$name"
    expect_error "there is no device set '$name'"
    no_leftovers
}

test_an_aborted_backup_says_why() {
    make_db app.db 9000
    mkfifo hole
    exec 8<>hole
    "$VDIPIPE" backup app.db --max-transfer 64K >hole 2>why &
    backup=$!
    wait_until 10 ask ".[] | select(.primary_pid == $backup and .bytes > 0)" list
    expect_exit 0 vdipipe abort -v "$(ask '.[0].name' list)"
    expect_error 'is aborted'
    expect_end "$backup" 2 1
    [[ $(wc -l <why) -eq 1 ]]
    grep -qF "vdipipe: backup of 'app.db': " why
    grep -qF 'aborted from outside' why || fail "$(<why)"
    no_leftovers
}

test_usage() {
    local line
    while IFS= read -r line; do
        read -ra words <<<"$line"
        expect_exit 2 vdipipe "${words[@]}"
        expect_error
        [[ ! -s out ]]
    done <<'END'
status
config
abort
list demo
status a b
abort a b
abort --json a
status a\b
list --group no-such-group
status --group no-such-group a
config --open-timeout 0 a
list --progress plain
abort --progress-fd 2 a
END
    expect_exit 2 vdipipe status ''
    expect_exit 2 vdipipe status "$(printf 'x%.0s' {1..256})"
    expect_exit 1 vdipipe status "$(printf 'x%.0s' {1..255})"
    expect_exit 1 vdipipe abort missing
    expect_error "there is no device set 'missing'"
    expect_exit 1 vdipipe status $'\e[2Jmissing'
    expect_error
    fails grep -q $'\e' err
}

test_config_gives_up_when_no_set_comes() {
    expect_exit 6 vdipipe config missing --open-timeout 0.2
    expect_error "'missing'" '0.2 s' --open-timeout
    [[ ! -s out ]]
}

# A set that waits for its server: its process is $maker.
start_set() { # NAME [OPTION...]
    "$VDIPIPE" create "$@" >/dev/null 2>made &
    maker=$!
    wait_until 10 ask ".[] | select(.primary_pid == $maker)" list
}

test_a_set_without_a_server() {
    start_set demo --devices 3
    expect_exit 0 vdipipe list
    [[ $(sed 1d out) =~ ^"demo  configurable        3      0  "\ *"$maker       -            -   "[0-9]s$ ]] || fail "$(<out)"
    expect_exit 0 vdipipe status --json demo
    jq -e '.server_pid == null and .oldest_ms == null and .config.block_size == 0 and (.devices | length) == 3' out
    jq -e '[.devices[] | .phase == "unopened" and .client_pid == null and has("name") == false] | all' out
    expect_exit 6 vdipipe config demo --open-timeout 0.2
    expect_error "'demo'" 'no server configured' --open-timeout
    [[ ! -s out ]]
    expect_exit 0 vdipipe abort demo
    expect_end "$maker" 2 1
    grep -qF 'aborted from outside' made || fail "$(<made)"
    no_leftovers
}

test_config_waits_for_the_set_and_hears_of_its_end() {
    "$VDIPIPE" config demo --open-timeout 30 >out 2>heard &
    waiting=$!
    start_set demo
    # Once it has found the set; one that never was is a time-out.
    wait_until 10 sees_a_socket "$waiting"
    expect_exit 0 vdipipe abort demo
    expect_end "$maker" 2 1
    expect_end "$waiting" 5 1
    [[ $(<heard) == *"'demo' was aborted or went away"* ]] || fail "$(<heard)"
    no_leftovers
}

sees_a_socket() { # PID
    readlink "/proc/$1"/fd/* | grep -q '^socket:'
}

# A client, a secondary and a server, and somebody who looks on from a terminal of his own.
test_a_set_of_three_processes() {
    local secondary server waiting
    mkfifo hole
    exec 8<>hole
    cat >script <<'END'
set blocksize 512
set maxtransfer 64K
device 1
  write 64K x1000 depth 4
device 2 second
  write 64K x3
  flush
  hold for observer
END
    "$VDIPIPE" config demo --open-timeout 30 >negotiated 2>heard &
    waiting=$!
    start_set demo --devices 2 --raw -o hole
    "$VDIPIPE" attach demo second --raw -o own >/dev/null 2>attached &
    secondary=$!
    "$VDIPIPE" exec --script script demo >/dev/null 2>served &
    server=$!
    expect_end "$waiting" 10 0
    grep -qxE 'block_size +512' negotiated
    grep -qxE 'max_transfer_size +65536' negotiated
    wait_until 10 ask '.devices | .[0].held > 0 and .[0].completions > 0 and .[1].commands == 4 and .[1].held == 0' status demo
    expect_exit 0 vdipipe list
    [[ $(sed 1d out) =~ ^"demo  active        2  "[0-9]+" "+"$maker "+"$server "+"$secondary "+[0-9]s$ ]] || fail "$(<out)"
    expect_exit 0 vdipipe status --json demo
    jq -e ".state == \"active\" and .server_pid == $server and .secondary_pids == [$secondary] and .config.device_count == 2" out
    jq -e ".devices[0] | .name == \"demo\" and .client_pid == $maker and .queued + .held == 4 and .oldest_ms >= 0" out
    jq -e ".devices[1] | .name == \"second\" and .client_pid == $secondary and .bytes == 196608 and .oldest_ms == null" out
    expect_exit 0 vdipipe abort demo
    expect_end "$maker" 2 1
    expect_end "$secondary" 2 1
    wait_for_pid_end "$server" 2
    for told in made attached; do
        grep -qF 'aborted from outside' "$told" || fail "$told: $(<"$told")"
    done
    [[ ! -e own ]]
    no_leftovers
}

# One terminal makes the set, the second runs the statement, the third looks on.
test_three_terminals() {
    local server
    make_db app.db 9000
    mkfifo hole
    exec 8<>hole
    start_set demo --raw -o hole
    "$VDIPIPE" exec "BACKUP DATABASE [$PWD/app.db] TO VIRTUAL_DEVICE='demo' WITH MAXTRANSFERSIZE=1048576" >/dev/null 2>served &
    server=$!
    wait_until 10 ask '.devices[0] | select(.held > 0 and .completions > 0)' status demo
    expect_exit 0 vdipipe list --json
    jq -e ".[0] | .name == \"demo\" and .state == \"active\" and .bytes > 0 and .primary_pid == $maker" out
    expect_exit 0 vdipipe config --json demo
    jq -e '.max_transfer_size == 1048576 and (.feature_names | index("WriteMedia") != null)' out
    expect_exit 0 vdipipe abort demo
    expect_end "$maker" 2 1
    expect_end "$server" 2 1
    grep -qF 'aborted from outside' made || fail "$(<made)"
    grep -qF '3013' served || fail "$(<served)"
    no_leftovers
    # The same to its end, the database by its section.
    printf '[app]\ndatabase = %s/app.db\n' "$PWD" >conf
    start_set demo --raw -o image
    expect_exit 0 vdipipe exec --config conf "BACKUP DATABASE app TO VIRTUAL_DEVICE='demo'"
    expect_end "$maker" 10 0
    cmp app.db image
    expect_exit 1 vdipipe status demo
    no_leftovers
}

# The other one is blocked on a pipe that nobody reads.
test_a_device_that_fails_ends_the_others() {
    [[ -e /dev/full ]] || skip "needs /dev/full"
    mkfifo hole
    exec 8<>hole
    printf '%s\n' 'set maxtransfer 64K' 'device 1' '  write 64K x1000' 'device 2 second' '  write 64K x1000' >script
    start_set demo --devices 2 --raw -o hole -o /dev/full
    "$VDIPIPE" exec --script script demo >/dev/null 2>served &
    server=$!
    expect_end "$maker" 5 1
    wait_for_pid_end "$server" 2
    grep -qF "'/dev/full'" made || fail "$(<made)"
    no_leftovers
}

test_odd_names() {
    # shellcheck disable=SC2016 # not to be expanded
    local name pids=() names=('two words' $'\e[2J' 'ümläut' $'\xff\xfe' '../../x' '-n' '$(touch gone)' "$(printf 'x%.0s' {1..255})")
    for name in "${names[@]}"; do
        "$VDIPIPE" create -- "$name" >/dev/null 2>&1 &
        pids+=($!)
        wait_until 10 "$VDIPIPE" status -- "$name"
    done
    expect_exit 0 vdipipe list
    [[ $(wc -l <out) -eq 9 ]]
    fails grep -q $'\e' out
    grep -qF '\x1B[2J  ' out
    grep -qF 'ümläut  ' out
    expect_exit 0 vdipipe list --json
    jq -e 'length == 8 and ([.[] | select(.name_hex == "fffe")] | length) == 1' out
    expect_exit 0 vdipipe status --json -- $'\xff\xfe'
    jq -e '.name_hex == "fffe" and (has("name") | not)' out
    # The shell expands the words that it completes from: only plain names are among them.
    [[ $(vdipipe __complete abort operands | cut -f1) == "$(printf 'x%.0s' {1..255})" ]] || fail "$(vdipipe __complete abort operands)"
    for name in "${names[@]}"; do
        expect_exit 0 vdipipe abort -- "$name"
        expect_end "${pids[0]}" 2 1
        pids=("${pids[@]:1}")
    done
    [[ $(ls) == $'err\nout' ]]
    no_leftovers
}

test_the_words_of_a_completion() {
    start_set demo
    [[ $(vdipipe __complete status operands) == $'demo\tconfigurable' ]]
    [[ -z $(vdipipe __complete backup operands) ]]
    # shellcheck source-path=SCRIPTDIR source=../../completions/vdipipe.bash
    . "$completions/vdipipe.bash"
    PATH=$(dirname "$VDIPIPE"):$PATH
    # compopt works only while bash completes.
    compopt() { :; }
    COMP_WORDS=(vdipipe abort de) COMP_CWORD=2
    unset -f vdipipe
    _vdipipe || :
    [[ ${COMPREPLY[*]} == demo ]] || fail "completed to: ${COMPREPLY[*]}"
    "$VDIPIPE" abort demo
    expect_end "$maker" 2 1
}

test_a_stopped_client_does_not_hold_anybody_up() {
    start_backup
    kill -STOP "$backup"
    expect_exit 6 vdipipe status "$name"
    expect_error "'$name'" 'does not answer'
    expect_exit 0 vdipipe list
    [[ $(<out) == "$head_line" ]] || fail "$(<out)"
    kill -CONT "$backup"
    wait_until 5 ask '.[0].name' list
    expect_exit 0 vdipipe abort "$name"
    expect_end "$backup" 2 1
    no_leftovers
}

test_many_look_at_once() {
    local pids=() pid
    start_backup
    for _ in {1..12}; do
        "$VDIPIPE" status "$name" >/dev/null 2>>crowd &
        pids+=($!)
        "$VDIPIPE" list >/dev/null 2>>crowd &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do
        wait "$pid" || fail "$(<crowd)"
    done
    expect_exit 0 vdipipe abort "$name"
    expect_end "$backup" 2 1
    no_leftovers
}

test_a_full_disk_is_no_success() {
    [[ -e /dev/full ]] || skip "needs /dev/full"
    expect_exit 1 vdipipe list >/dev/full
    expect_error 'standard output'
}

run_tests
