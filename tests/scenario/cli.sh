#!/usr/bin/env bash
# The command line itself: help, errors, silence, progress.
# shellcheck disable=SC2317,SC2119,SC2030,SC2031 # run_tests calls the functions by their names, each in its own subshell
# shellcheck source-path=SCRIPTDIR source=../support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

commands='backup restore create attach exec list list-databases status config abort verify info extract keygen doctor serve'

# The habit of another tool: its level stands apart.
test_a_value_that_must_be_attached() {
    make_db app.db 10
    expect_exit 2 vdipipe backup app.db --zstd 19 -o f
    expect_error "unexpected argument '19'" '--zstd=19'
    expect_exit 2 vdipipe backup --zstd 19 app.db -o f
    expect_error '--zstd=19'
    expect_exit 2 vdipipe restore --replace aside app.db -i f
    expect_error '--replace=aside'
    expect_exit 2 vdipipe backup --zstd app.db more -o f
    expect_error "unexpected argument 'more'; see"
    [[ ! -e f ]]
}

test_help_of_every_command() {
    local command
    for command in $commands; do
        expect_exit 0 vdipipe "$command" --help
        expect_silence
        grep -q "^usage: vdipipe $command" out
        grep -q '^Example:' out
        grep -q '^Exit status:' out
        [[ $(awk '{ if (length > n) n = length } END { print n }' out) -le 100 ]] ||
            fail "$command --help is wider than 100 columns: $(awk 'length > 100' out)"
        ! grep -n ' $' out || fail "$command --help has blanks at the end of lines"
        mv out by_option
        expect_exit 0 vdipipe help "$command"
        cmp out by_option
        expect_exit 0 vdipipe "$command" -h
        cmp out by_option
    done
}

test_the_overview_lists_every_command() {
    local command words
    for words in --help -h help; do
        expect_exit 0 vdipipe "$words"
        expect_silence
        for command in $commands; do
            grep -q "^  $command " out || fail "no $command in $words"
        done
        ! grep -q __ out || fail "hidden commands are shown"
        [[ $(awk '{ if (length > n) n = length } END { print n }' out) -le 100 ]]
    done
}

# What a SQLite user needs comes first, what only a SQL Server understands last.
test_help_is_in_groups() {
    expect_exit 0 vdipipe backup --help
    [[ $(grep -E '^ [A-Z].*:$' out) == ' Input and output:
 Compression and encryption:
 SQLite:
 Devices and tuning:
 Time-outs:
 Messages and configuration:
 SQL Server:' ]] || fail "$(grep '^ [A-Z]' out)"
    [[ $(sed -n '/^ SQLite:/,/^$/s/^ *\(--[a-z-]*\).*/\1/p' out | xargs) == '--max-lock --max-wal --spool-dir --as-owner --immutable' ]]
    sed -n '/^ SQL Server:/,/^Example:/p' out | grep -q -- --copy-only
    vdipipe __complete backup >words
    [[ $(head -n 1 words) == '--output='* ]]
    grep -q "^--user=$(printf '\t')SQL Server: " words
    grep -q "^--max-wal=$(printf '\t')SQLite: " words
    expect_exit 0 vdipipe __complete man
    grep -q '^\.SS "SQLite"' out
    # A few options need no headings.
    expect_exit 0 vdipipe list --help
    ! grep -E '^ [A-Z].*:$' out || fail "headings over a handful of options"
}

test_the_nearest_word_is_offered() {
    expect_exit 2 vdipipe bakup app.db
    expect_error "unknown command 'bakup' (did you mean 'backup'?); see 'vdipipe --help'"
    expect_exit 2 vdipipe help restor
    expect_error "(did you mean 'restore'?)"
    expect_exit 2 vdipipe backup --ouput f app.db
    expect_error "unknown option '--ouput' (did you mean '--output'?); see 'vdipipe backup --help'"
    expect_exit 2 vdipipe restore --replace=inplace app.db
    expect_error "in-place, aside (did you mean 'in-place'?)"
    expect_exit 2 vdipipe __sever
    ! grep -q 'did you mean' err || fail "a hidden command is offered: $(<err)"
}

test_the_version_names_the_libraries() {
    expect_exit 0 vdipipe --version
    expect_silence
    grep -qE '^vdipipe [0-9]+\.[0-9]+' out
    grep -q "^sqlite $(sqlite3 --version | cut -d' ' -f1)" out
    grep -q '^zstd [0-9]' out
    grep -q '^xxhash [0-9]' out
}

test_usage_errors() {
    local line
    make_db app.db 10
    vdipipe backup app.db >f
    while IFS= read -r line; do
        read -ra words <<<"$line"
        expect_exit 2 vdipipe "${words[@]}"
        expect_error
        [[ ! -s out ]] || fail "'$line' prints to standard output"
    done <<'END'

frobnicate
help frobnicate
--frobnicate
backup --frobnicate app.db
backup -x app.db
backup
backup app.db app.db
backup app.db --devices
backup app.db --devices x
backup app.db --devices -1
backup app.db --devices 1.5
backup app.db --zstd=0
backup app.db --zstd=23
backup app.db --zstd=-8
backup app.db --zstd=x
backup app.db --raw --zstd
backup app.db --force
backup app.db --raw=yes
backup app.db --block-size 1000
backup app.db --block-size 256
backup app.db --block-size 128K
backup app.db --buffer-count 0
backup app.db --max-transfer 1K
backup app.db --max-transfer 65K
backup app.db --max-transfer 8M
backup app.db --max-transfer 1Q
backup app.db --max-lock -1
backup app.db --max-wal 0
backup app.db --stall-timeout 0
backup app.db --open-timeout soon
backup app.db --progress loud
backup app.db -o
restore a.db b.db
restore --replace=maybe app.db
restore --check=some app.db
restore --devices 2 app.db
verify --json f
verify missing
info missing
extract f f
extract f --raw
extract missing
END
    [[ $(ls) == $'app.db\nerr\nf\nout' ]] || fail "files: $(ls)"
}

test_a_usage_error_says_where_help_is() {
    expect_exit 2 vdipipe backup --frobnicate
    expect_error "--frobnicate" 'vdipipe backup --help'
    expect_exit 2 vdipipe
    expect_error 'vdipipe --help'
    expect_exit 2 vdipipe backup a --devices 99 -o x
    expect_error --devices 99 '1 to 64'
    expect_exit 2 vdipipe restore x --check some
    expect_error some none quick full
}

test_errors_escape_what_would_move_the_cursor() {
    expect_exit 2 vdipipe $'\e[2Jno\ncommand'
    expect_error
    ! grep -q $'\e' err || fail "an escape sequence reaches the terminal"
    expect_exit 2 vdipipe verify $'no\e]0;such\nfile'
    expect_error
    fails grep -q $'\e' err
}

test_silence_and_speech() {
    make_db app.db 100
    expect_exit 0 vdipipe backup app.db -o f
    expect_silence
    [[ ! -s out ]]
    expect_exit 0 vdipipe verify f
    expect_silence
    [[ ! -s out ]]
    expect_exit 0 vdipipe restore copy.db -i f
    expect_silence
    [[ ! -s out ]]
    expect_exit 0 vdipipe verify -v f
    grep -q "^vdipipe: 'f': complete and confirmed" err || fail "$(<err)"
    expect_exit 0 vdipipe backup -v app.db -o g
    grep -q "^vdipipe: backup of 'app.db'" err || fail "$(<err)"
    grep -q '^vdipipe: server: sqlite' err
    ! grep -v '^vdipipe: ' err || fail "lines without the program's name"
    expect_exit 0 vdipipe restore -v copy2.db -i g
    grep -q "^vdipipe: restore of '.*copy2.db'" err || fail "$(<err)"
    expect_exit 0 vdipipe backup -v --raw app.db -o h
    expect_exit 0 vdipipe verify h
    grep -q 'warning: .*raw image' err
    expect_exit 0 vdipipe verify -q h
    expect_silence
    expect_exit 2 vdipipe verify -q missing
    expect_error missing
}

test_a_summary_on_a_terminal() {
    command -v script >/dev/null || skip "needs script(1)"
    make_db app.db 100
    # shellcheck disable=SC2016 # expanded by the inner shell
    script -qefc '"$VDIPIPE" backup app.db -o f' /dev/null </dev/null >typed
    grep -q "backup of 'app.db'" typed || fail "$(cat -v typed)"
    # shellcheck disable=SC2016 # expanded by the inner shell
    script -qefc '"$VDIPIPE" backup -q app.db -o g' /dev/null </dev/null >typed
    [[ ! -s typed ]] || fail "-q speaks: $(cat -v typed)"
}

check_json() { # FILE
    if command -v python3 >/dev/null; then
        python3 -c 'import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
assert lines, "no lines"
assert all(set(line) >= {"operation", "bytes", "total", "seconds", "last"} for line in lines), lines
assert lines[-1]["last"] and not any(line["last"] for line in lines[:-1]), lines
assert lines[-1]["bytes"] == lines[-1]["total"] > 0, lines[-1]' "$1"
    else
        grep -q '"operation":".*"last":true}$' "$1"
    fi
}

test_progress_as_json() {
    make_db app.db 3000
    expect_exit 0 vdipipe backup app.db -o f --progress json
    check_json err
    expect_exit 0 vdipipe restore copy.db -i f --progress=json
    check_json err
    expect_exit 0 vdipipe backup app.db -o g --progress json --progress-fd 5 5>progress
    expect_silence
    check_json progress
    expect_exit 0 vdipipe backup app.db -q -o h --progress json --progress-fd 5 5>progress
    check_json progress
    expect_exit 0 vdipipe backup app.db -o i --progress plain
    grep -q '^backup: 100 %' err || fail "$(<err)"
    expect_exit 0 vdipipe backup app.db -o j --progress never
    expect_silence
    expect_exit 0 vdipipe verify f --progress json
    [[ $(wc -l <err) -ge 1 ]]
}

test_progress_to_a_descriptor_that_is_not_open() {
    make_db app.db 10
    expect_exit 2 vdipipe backup app.db -o f --progress json --progress-fd 77
    expect_error 77
    [[ ! -e f ]]
}

test_completion_words_are_the_options_of_help() {
    local command
    for command in $commands; do
        vdipipe "$command" --help | sed -n '/^Options:/,/^Example:/s/^ *\(-., \)\?\(--[a-z-]*\).*/\2/p' | sort >shown
        vdipipe __complete "$command" | sed 's/[=	].*//' | sort >completed
        [[ -s shown ]]
        diff shown completed || fail "$command: help and completions disagree"
        [[ $(uniq -d shown) == '' ]] || fail "$command has an option twice: $(uniq -d shown)"
    done
    vdipipe __complete | cut -f1 | sort >completed
    tr ' ' '\n' <<<"$commands" | sort | diff - completed
}

test_every_option_is_accepted() {
    make_db app.db 3000
    expect_exit 0 vdipipe backup app.db --output f --force --zstd=1 --devices 1 --max-lock 2.5 --max-wal 1G --spool-dir . --immutable \
        --block-size 512 --buffer-count 4 --max-transfer 128K --open-timeout 10 --stall-timeout 10 --vdi-timeout 10 --progress never \
        --progress-fd 2 --quiet --verbose
    expect_silence
    expect_exit 0 vdipipe restore copy.db --input f --replace=in-place --check full --accept-unconfirmed --memory-limit 16M \
        --block-size 1K --buffer-count 4 --max-transfer 128K --open-timeout 10 --stall-timeout 10 --vdi-timeout 10 -q -v
    cmp app.db copy.db
    expect_exit 0 vdipipe verify -i f --stall-timeout 5 --accept-unconfirmed --memory-limit 8M
    expect_exit 0 vdipipe info --input f --json --stall-timeout 5
    expect_exit 0 vdipipe extract -i f --output g --force --stall-timeout 5
    cmp app.db g
}

test_the_manual_page_is_a_manual_page() {
    expect_exit 0 vdipipe __complete man
    grep -q '^\.TH VDIPIPE 1' out
    command -v man >/dev/null || return 0
    MANWIDTH=80 man --warnings -E UTF-8 -l -Z ./out >/dev/null 2>warnings || :
    [[ ! -s warnings ]] || fail "$(<warnings)"
}

test_several_files_are_all_verified_and_each_failure_is_a_line() {
    make_db app.db 100
    vdipipe backup app.db >good
    head -c 1000 good >cut.1
    head -c 2000 good >cut.2
    expect_exit 3 vdipipe verify cut.1 good cut.2 missing
    [[ $(wc -l <err) -eq 3 ]] || fail "$(<err)"
    grep -q "cut.1" err
    grep -q "cut.2" err
    grep -q "missing" err
    expect_exit 0 vdipipe verify good good
}

# Without VDIPIPE_RUNTIME_DIR, in a name space of its own with an empty /run.
test_the_runtime_folder_of_the_system() {
    needs_root
    unshare -m true 2>/dev/null || skip "mounting is not permitted"
    make_db app.db 10
    # shellcheck disable=SC2016 # expanded by the inner shell
    run_alone() {
        unshare -m bash -c 'mount -t tmpfs none /run && umask 077 && unset VDIPIPE_RUNTIME_DIR XDG_RUNTIME_DIR && eval "$1"' bash "$1"
    }
    # shellcheck disable=SC2016
    expect_exit 0 run_alone '"$VDIPIPE" backup app.db -o f && stat -c "%a %u" /run/vdipipe >mode && ls -A /run/vdipipe >left'
    [[ $(<mode) == '1777 0' ]] || fail "$(<mode)"
    [[ ! -s left ]]
    # Where an administrator, or a run that died, has shut it, others pass it over, and root opens it.
    chmod 711 "$scratch" "${PWD%/*}" . && cp "$VDIPIPE" program && chmod 644 app.db
    # shellcheck disable=SC2016
    expect_exit 0 run_alone 'mkdir -m 700 /run/vdipipe &&
        setpriv --reuid 41001 --regid 41001 --clear-groups ./program backup app.db -v >g 2>verbose && rm g &&
        "$VDIPIPE" backup app.db -f -o f && stat -c "%a %u" /run/vdipipe >mode && ls -A /run >left'
    grep -q "find this set in '/tmp/vdipipe-41001'" verbose || fail "$(<verbose)"
    [[ $(<mode) == '1777 0' ]] || fail "$(<mode)"
    [[ $(<left) == vdipipe ]] || fail "$(<left)"
    # shellcheck disable=SC2016
    expect_exit 1 run_alone 'mkdir /run/else && ln -s /run/else /run/vdipipe && "$VDIPIPE" create set -o g'
    expect_error /run/vdipipe
    # shellcheck disable=SC2016
    expect_exit 1 run_alone 'mkdir /run/vdipipe && chmod 777 /run/vdipipe && "$VDIPIPE" create set -o g'
    expect_error /run/vdipipe writable
    # shellcheck disable=SC2016
    expect_exit 1 run_alone 'install -d -o 65534 -m 700 /run/vdipipe && "$VDIPIPE" create set -o g'
    expect_error /run/vdipipe 65534
    [[ ! -e g ]]
    # shellcheck disable=SC2016
    expect_exit 0 run_alone 'install -d -o 65534 -m 700 /run/vdipipe && "$VDIPIPE" backup app.db -o g'
    expect_silence
    expect_exit 0 vdipipe verify g
}

test_a_runtime_folder_with_a_long_name() {
    make_db app.db 10
    VDIPIPE_RUNTIME_DIR=$VDIPIPE_RUNTIME_DIR/$(printf 'long%.0s' {1..50}) expect_exit 0 vdipipe backup app.db -o f
    expect_exit 0 vdipipe verify f
}

test_a_missing_runtime_folder_is_made_and_a_bad_one_named() {
    make_db app.db 10
    VDIPIPE_RUNTIME_DIR=$VDIPIPE_RUNTIME_DIR/deeper expect_exit 0 vdipipe backup app.db -o f
    rmdir "$VDIPIPE_RUNTIME_DIR/deeper"
    VDIPIPE_RUNTIME_DIR=$PWD/no/such expect_exit 1 vdipipe create set -o g
    expect_error "no/such"
    mkdir -m 777 open
    chmod 777 open
    VDIPIPE_RUNTIME_DIR=$PWD/open expect_exit 1 vdipipe create set -o g
    expect_error open writable
    [[ ! -e g ]]
}

# The server of a backup or restore inherits its connection; only others need the folder to find the set.
test_a_bad_runtime_folder_fails_no_backup() {
    make_db app.db 300
    echo text >file
    mkdir -m 555 closed
    for folder in file no/such closed; do
        rm -f f copy.db
        VDIPIPE_RUNTIME_DIR=$PWD/$folder expect_exit 0 vdipipe backup app.db -o f
        expect_silence
        VDIPIPE_RUNTIME_DIR=$PWD/$folder expect_exit 0 vdipipe restore copy.db -i f
        expect_silence
        cmp app.db copy.db
    done
    VDIPIPE_RUNTIME_DIR=$PWD/file expect_exit 0 vdipipe backup -v app.db -o g
    grep -q "no other command finds this set: open folder '$PWD/file': Not a directory" err || fail "$(<err)"
    VDIPIPE_RUNTIME_DIR=$PWD/file expect_exit 1 vdipipe backup --group "$(id -g)" app.db -o h
    expect_error "$PWD/file"
    [[ ! -e h ]]
}

run_tests
