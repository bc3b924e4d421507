#!/usr/bin/env bash
# Passphrases: from files, descriptors and the terminal.
# shellcheck disable=SC2317,SC2119,SC2030,SC2031 # run_tests calls the functions by their names, each in its own subshell
# shellcheck source-path=SCRIPTDIR source=../support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

test_a_passphrase_from_a_file_and_from_a_descriptor() {
    make_db app.db 50
    echo 'correct horse' >phrase
    chmod 600 phrase
    expect_exit 0 vdipipe backup app.db --passphrase-file phrase -o f -v
    grep -qF 'encrypted for a passphrase' err || fail "$(<err)"
    grep -aq '^-> scrypt [^ ]* 18$' f || fail "$(head -n 2 f)"
    expect_exit 0 vdipipe verify --passphrase-file phrase f
    expect_silence
    expect_exit 0 vdipipe verify --passphrase-fd 5 f 5<phrase
    expect_exit 0 vdipipe verify --passphrase-fd 0 f <phrase
    vdipipe backup app.db --passphrase-fd 7 7<<<'correct horse' >g
    # Only the first line counts, with or without its end.
    printf 'correct horse' >bare
    printf 'correct horse\nand more\n' >two_lines
    printf 'correct horse\r\n' >of_windows
    chmod 600 bare two_lines of_windows
    expect_exit 0 vdipipe verify --passphrase-file of_windows g
    expect_exit 0 vdipipe restore copy.db --passphrase-file two_lines -i g
    cmp app.db copy.db
    expect_exit 0 vdipipe verify --passphrase-file bare g
    expect_silence
    echo 'wrong horse' >phrase
    expect_exit 4 vdipipe verify --passphrase-file phrase f
    expect_error "'f'" passphrase
    expect_exit 2 vdipipe verify --passphrase-fd 0 <f
    expect_error --passphrase-fd
    expect_exit 2 vdipipe verify --passphrase-fd 99 f
    expect_error 'no open descriptor'
    : >phrase
    expect_exit 2 vdipipe verify --passphrase-file phrase f
    expect_exit 2 vdipipe backup app.db --passphrase-file phrase
    expect_exit 2 vdipipe backup app.db --passphrase-file missing
    expect_error "'missing'"
}

# scrypt takes 256 MiB for each stream: they are derived one after the other.
test_a_passphrase_for_several_devices() {
    local device peak
    make_db app.db 400
    echo 'correct horse' >phrase
    chmod 600 phrase
    peak=$(helper tools peak "$VDIPIPE" backup app.db --devices 3 --passphrase-file phrase -o 'f.{device}')
    [[ -n $VDIPIPE_SANITIZED || $peak -lt 400000 ]] || fail "backup took $peak KiB"
    peak=$(helper tools peak "$VDIPIPE" restore copy.db --passphrase-file phrase -i f.2)
    [[ -n $VDIPIPE_SANITIZED || $peak -lt 400000 ]] || fail "restore took $peak KiB"
    cmp app.db copy.db
    for device in 1 2 3; do
        grep -aq '^-> scrypt [^ ]* 18$' "f.$device" || fail "$(head -n 2 "f.$device")"
    done
    [[ $(grep -ah '^-> scrypt' f.? | sort -u | wc -l) -eq 3 ]] || fail "a salt was used twice"
    expect_exit 2 vdipipe verify --passphrase-file phrase --memory-limit 100M f.1
    expect_error "'f.1'" 256M
}

test_a_passphrase_typed_at_the_terminal() {
    needs_terminal
    make_db app.db 50
    echo 'typed phrase' >phrase
    chmod 600 phrase
    on_a_terminal "$(printf '%q ' "$VDIPIPE") backup app.db --ask-passphrase >f"
    type_at 'Passphrase: ' 'typed phrase'
    type_at 'Once more: ' 'typed phrase'
    expect_end "$terminal" 30 0
    ! grep -q 'typed phrase' screen || fail "it is shown: $(cat -v screen)"
    vdipipe verify --passphrase-file phrase f
    on_a_terminal "$(printf '%q ' "$VDIPIPE") verify --ask-passphrase f"
    type_at 'Passphrase: ' 'typed phrase'
    expect_end "$terminal" 30 0
    on_a_terminal "$(printf '%q ' "$VDIPIPE") backup app.db --ask-passphrase -o g"
    type_at 'Passphrase: ' 'typed phrase'
    type_at 'Once more: ' 'typo phrase'
    expect_end "$terminal" 30 2
    grep -q 'passphrases differ' screen
    [[ ! -e g ]]
}

test_a_signal_at_the_prompt_leaves_the_terminal_as_it_was() {
    needs_terminal
    make_db app.db 50
    on_a_terminal "$(printf '%q ' "$VDIPIPE") backup app.db --ask-passphrase -o f; echo status \$?; stty -a"
    wait_until 20 grep -q 'Passphrase: ' screen
    printf '\003' >&8
    expect_end "$terminal" 30 0
    grep -q 'status 130' screen || fail "$(cat -v screen)"
    grep -qE '(^| )echo ' screen || fail "the echo is off: $(cat -v screen)"
    [[ ! -e f ]]
}

# What is typed there is not for it, and that something was typed does not keep it busy.
test_the_prompt_in_the_background() {
    needs_terminal
    make_db app.db 50
    on_a_terminal "bash -c 'trap \"\" TTIN TTOU; set -m; $(printf '%q ' "$VDIPIPE") backup app.db --ask-passphrase -o f & wait \$!; echo status \$?'"
    type_at 'Passphrase: ' 'for the shell'
    expect_end "$terminal" 30 0
    grep -q 'the terminal gives no passphrase' screen || fail "$(cat -v screen)"
    grep -q 'status 1' screen || fail "$(cat -v screen)"
    [[ ! -e f ]]
}

# Memory that may not be locked is wiped all the same.
test_a_passphrase_typed_where_nothing_may_be_locked() {
    needs_terminal
    make_db app.db 50
    echo 'typed phrase' >phrase
    chmod 600 phrase
    vdipipe backup app.db --passphrase-file phrase -o f
    chmod 777 .
    command -v setpriv >/dev/null || skip "needs setpriv"
    on_a_terminal "$(printf '%q ' setpriv --bounding-set -all --inh-caps -all prlimit --memlock=0 "$VDIPIPE") verify --ask-passphrase f"
    type_at 'Passphrase: ' 'typed phrase'
    expect_end "$terminal" 30 0
}

test_no_terminal_to_ask_at() {
    make_db app.db 10
    expect_exit 2 setsid -w "$VDIPIPE" backup app.db --ask-passphrase -o f
    expect_error 'no terminal' --passphrase-file
}

run_tests
