#!/usr/bin/env bash
# Scripts of a server's side (tests/conformance/scripts) against our own client: the rows of the reference's command tables.
#
# The head of a script says how it is run:
#   # Covers: ...     sections and rows of the reference
#   # Client: ...     arguments of 'create' behind the set's name; the medium is called medium
#   # Medium: NAME    the script that writes the medium to be read
#   # Exits: N        what the client exits with; 0 without it
#   # Aborted         'vdipipe abort' is called once the server holds
#   # Dies            the server's process is killed by its script
# shellcheck disable=SC2317,SC2119,SC2030,SC2031 # run_tests calls the functions by their names, each in its own subshell
# shellcheck source-path=SCRIPTDIR source=../support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

scripts=$(cd "$(dirname "$0")/../conformance/scripts" && pwd)

head_of() { # SCRIPT FIELD
    sed -n "s/^# $2: //p" "$scripts/$1.vds"
}

start_client() { # ARGUMENT...
    rm -f client.err
    "$VDIPIPE" create conformance "$@" >client.out 2>client.err &
    client=$!
    wait_until 20 client_is_ready
}

client_is_ready() {
    [[ ! -e /proc/$client ]] || grep -sq 'waits for its server' client.err
}

server_holds() {
    grep -q '"command":"Write".*"code":0' trace.jsonl
}

play() { # SCRIPT
    vdipipe exec --script "$scripts/$1.vds" --trace trace.jsonl conformance
}

# Every command has one completion.
check_trace() {
    local commands completions
    commands=$(grep -c '"event":"command"' trace.jsonl) || :
    completions=$(grep -c '"event":"completion"' trace.jsonl) || :
    [[ $commands -eq $completions && $commands -gt 0 ]] || fail "$commands commands, $completions completions"
}

run_script() { # SCRIPT
    local arguments medium want got=0 server
    medium=$(head_of "$1" Medium)
    [[ -z $medium ]] || run_script "$medium"
    read -ra arguments <<<"$(head_of "$1" Client)"
    want=$(head_of "$1" Exits)
    rm -f trace.jsonl
    start_client "${arguments[@]}"
    if grep -q '^# Aborted' "$scripts/$1.vds"; then
        play "$1" >out 2>err &
        server=$!
        wait_until 20 server_holds
        expect_exit 0 vdipipe abort conformance
        expect_end "$server" 20 0
    elif grep -q '^# Dies' "$scripts/$1.vds"; then
        expect_exit 137 play "$1"
    else
        expect_exit 0 play "$1"
        expect_silence
    fi
    wait_for_pid_end "$client" 20
    wait "$client" || got=$?
    [[ $got -eq ${want:-0} ]] || fail "$1: the client ended with $got, not ${want:-0}: $(cat -v client.err)"
    grep -q '^# Dies' "$scripts/$1.vds" || check_trace
}

run_all() { # PERSONALITY
    local script
    for script in "$scripts/$1"-*.vds; do
        script=$(basename "$script" .vds)
        mkdir "$script"
        echo "== $script"
        (cd "$script" && run_script "$script") || fail "$script"
        no_leftovers "$script"
    done
}

test_pipe() {
    run_all pipe
}

test_tape() {
    run_all tape
}

test_disk() {
    run_all disk
}

# Every command of the interface is sent to every personality, and every code that a client of that kind can give is
# demanded somewhere.
test_every_row_has_a_script() {
    local personality verb code missing=''
    local verbs=(read write clearerror rewind writemark skipmarks skipblocks load getposition setposition discard flush
        snapshot mountsnapshot preparetofreeze fileinfobegin fileinfoend geterror complete)
    local -A codes=(
        [pipe]='eof unsupported full aborted ioerror'
        [tape]='unsupported eom mark bom nodata overflow'
        [disk]='eof unsupported'
    )
    for personality in pipe tape disk; do
        for verb in "${verbs[@]}"; do
            grep -qE "^ *(send )?$verb\b" "$scripts/$personality"-*.vds || missing+=" $personality:$verb"
        done
        for code in ${codes[$personality]}; do
            grep -qE "^ *[^#]*(expect|until) [a-z0-9,]*\b$code\b" "$scripts/$personality"-*.vds || missing+=" $personality:$code"
        done
    done
    [[ -z $missing ]] || fail "no script for$missing"
    for script in "$scripts"/*.vds; do
        grep -q '^# Covers: ' "$script" || fail "$script does not say what it covers"
        grep -q '^# Client: ' "$script" || fail "$script does not say how its client is started"
    done
}

test_a_broken_contract_is_told() {
    local got=0
    printf 'device 1\n  write 64K\n  getposition gives 3\n' >x.vds
    start_client -o medium
    expect_exit 1 vdipipe exec --script x.vds conformance
    grep -qFx 'x.vds:3: device 1: GetPosition of 0 at 0, command 2: expected 0, got 50' err || fail "$(<err)"
    grep -qFx "vdipipe: the client of 'conformance' did not do what 'x.vds' demands: 1 failure" err || fail "$(<err)"
    [[ $(wc -l <err) -eq 2 ]] || fail "$(<err)"
    wait_for_pid_end "$client" 20
    wait "$client" || got=$?
    [[ $got -eq 1 ]] || fail "the client ended with $got"
    [[ ! -e medium ]] || fail "there is a medium"
    no_leftovers
}

test_a_report_for_programs() {
    printf 'set onfailure continue\ndevice 1\n  getposition gives 3\n  flush\n' >x.vds
    start_client -o medium
    expect_exit 1 vdipipe exec --script x.vds --json conformance
    [[ $(<out) == '{"script":"x.vds","set":"conformance","passed":false,"timed_out":false,"commands":2,"checks":2,'* ]] ||
        fail "$(<out)"
    [[ $(<out) == *'"failure_count":2,"failures":[{"line":3,"device":1,"text":"GetPosition of 0 at 0, command 1: expected 0, got 50"},'* ]] ||
        fail "$(<out)"
    wait_for_pid_end "$client" 20
}

test_a_script_runs_out_of_time() {
    printf 'set timeout 0.3\ndevice 1\n  write 64K\n  hold\n' >x.vds
    start_client -o medium
    expect_exit 6 vdipipe exec --script x.vds conformance
    grep -qFx "x.vds:4: device 1: the script's time, 0.3 s, is over: the client neither aborted nor closed" err || fail "$(<err)"
    wait_for_pid_end "$client" 20
    no_leftovers
}

test_what_cannot_be_played() {
    expect_exit 2 vdipipe exec --script x.vds
    expect_exit 2 vdipipe exec --script x.vds conformance
    expect_error "cannot read the script 'x.vds'"
    printf 'device 1\n  writ 64K\n' >x.vds
    expect_exit 2 vdipipe exec --script x.vds conformance
    expect_error "x.vds:2: 'writ' is no statement: see the table of statements"
    printf 'device 1\n' >x.vds
    expect_exit 1 vdipipe exec --script x.vds conformance
    expect_error "there is no device set 'conformance' to join"
    expect_exit 6 vdipipe exec --script x.vds --open-timeout 0.1 conformance
    expect_error "there is no device set 'conformance' to join"
}

test_a_script_waits_for_its_set() {
    local server
    printf 'device 1\n  write 64K\n  flush\n' >x.vds
    "$VDIPIPE" exec --script x.vds --open-timeout 20 conformance 2>err &
    server=$!
    start_client -o medium
    expect_end "$server" 20 0
    expect_silence
    expect_end "$client" 20 0
}

run_tests
