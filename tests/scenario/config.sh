#!/usr/bin/env bash
# The configuration file: one section serves backup and restore; what is wrong in it is told with file and line.
# shellcheck disable=SC2317,SC2119,SC2030,SC2031 # run_tests calls the functions by their names, each in its own subshell
# shellcheck source-path=SCRIPTDIR source=../support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

# The user's own file, from standard input.
user_file() {
    mkdir -p "$XDG_CONFIG_HOME/vdipipe"
    cat >"$XDG_CONFIG_HOME/vdipipe/vdipipe.conf"
}

test_one_section_serves_backup_and_restore() {
    make_db app.db 200
    user_file <<END
# nightly
[defaults]
stall-timeout = 30

[app]
database = $PWD/app.db
zstd = 9
output = $PWD/{db}.{device}
devices = 2
replace = in-place
check = full
END
    expect_exit 0 vdipipe backup @app
    expect_silence
    [[ $(ls) == $'app.db\napp.db.1\napp.db.2\nerr\nout' ]] || fail "files: $(ls)"
    cp app.db before.db
    sqlite3 app.db 'delete from item'
    expect_exit 0 vdipipe restore @app -i app.db.2
    expect_silence
    same_content before.db app.db
    # A bare name, too, with what the command line says first.
    expect_exit 0 vdipipe backup app --devices 1 -o other -v
    grep -qF "[app] of the configuration is taken: database '$PWD/app.db'" err || fail "$(<err)"
    expect_exit 0 vdipipe verify other
    expect_exit 0 vdipipe restore app -i other
    same_content before.db app.db
    no_leftovers
}

test_a_file_wins_over_a_section() {
    make_db app 10
    make_db far.db 20
    user_file <<END
[app]
database = $PWD/far.db
END
    expect_exit 0 vdipipe backup app -v -o near
    grep -qF "file 'app' is taken; for section [app] of the configuration give @app" err || fail "$(<err)"
    expect_exit 0 vdipipe restore near.db -i near
    same_content app near.db
    expect_exit 0 vdipipe backup @app -o far
    expect_exit 0 vdipipe restore copy.db -i far
    same_content far.db copy.db
}

test_an_unknown_name() {
    expect_exit 2 vdipipe backup @app -o f
    expect_error '[app]' 'files read: '
    echo '[other]' | user_file
    expect_exit 2 vdipipe backup @app -o f
    expect_error '[app]' "files read: " "'$XDG_CONFIG_HOME/vdipipe/vdipipe.conf'"
    expect_exit 2 vdipipe backup @other -o f
    expect_error '[other]' 'names no database' 'database = /PATH'
    # Not a section and not a file: what it always was.
    expect_exit 1 vdipipe backup app -o f
    expect_error "'app'"
    [[ $(ls) == $'err\nout' ]] || fail "files: $(ls)"
}

test_the_file_of_the_option_comes_last() {
    make_db app.db 10
    user_file <<END
[app]
database = $PWD/app.db
output = $PWD/user
zstd = 1
END
    printf '[app]\noutput = %s/theirs\n' "$PWD" >more.conf
    expect_exit 0 vdipipe backup @app --config more.conf
    [[ -e theirs && ! -e user ]]
    expect_exit 0 vdipipe info theirs
    grep -qE '^complete +true' out
    [[ $(stat -c %s theirs) -lt $(stat -c %s app.db) ]] || fail "not compressed"
    expect_exit 2 vdipipe backup @app --config missing.conf
    expect_error --config missing.conf
}

test_the_home_folder_when_there_is_no_other() {
    make_db app.db 10
    mkdir -p home/.config/vdipipe
    printf '[app]\ndatabase = %s/app.db\n' "$PWD" >home/.config/vdipipe/vdipipe.conf
    expect_exit 0 env -u XDG_CONFIG_HOME HOME="$PWD/home" "$VDIPIPE" backup @app -o f
    expect_silence
    expect_exit 2 env XDG_CONFIG_HOME=relative HOME="$PWD" "$VDIPIPE" backup @app -o g
    expect_error 'files read'
}

test_mistakes_are_told_with_file_and_line() {
    make_db app.db 10
    printf '[app]\ndatabase = %s/app.db\n\nzstdd = 3\n' "$PWD" >bad.conf
    # Also by a command that the section is not for.
    for command in 'backup @app -o f' 'backup app.db -o f' 'verify app.db'; do
        read -ra words <<<"$command"
        expect_exit 2 vdipipe "${words[@]}" --config bad.conf
        expect_error bad.conf:4: "'zstdd'" 'vdipipe COMMAND --help'
    done
    sed -i 's/zstdd = 3/zstd = 99/' bad.conf
    expect_exit 2 vdipipe backup @app -o f --config bad.conf
    expect_error bad.conf:4: 99 '-7 to 22'
    printf '[defaults]\nprogress = \e[2J\n' >bad.conf
    expect_exit 2 vdipipe backup app.db -o f --config bad.conf
    expect_error bad.conf:2: --progress
    fails grep -q $'\e' err
    [[ ! -e f ]]
}

test_a_file_that_others_may_write_is_refused() {
    make_db app.db 10
    printf '[app]\ndatabase = %s/app.db\n' "$PWD" | user_file
    chmod 664 "$XDG_CONFIG_HOME/vdipipe/vdipipe.conf"
    expect_exit 2 vdipipe backup @app -o f
    expect_error vdipipe.conf "chmod go-w"
    chmod 644 "$XDG_CONFIG_HOME/vdipipe/vdipipe.conf"
    expect_exit 0 vdipipe backup @app -o f
    expect_exit 2 vdipipe backup @app -o g --config .
    expect_error "'.'" 'no regular file'
    needs_root
    chown 12345 "$XDG_CONFIG_HOME/vdipipe/vdipipe.conf"
    expect_exit 2 vdipipe backup @app -o g
    expect_error vdipipe.conf 12345 chown
}

test_defaults_are_for_every_command() {
    make_db app.db 10
    vdipipe backup --raw app.db -o f
    vdipipe verify f 2>err
    grep -q 'warning: ' err
    printf '[defaults]\nquiet = yes\n' | user_file
    expect_exit 0 vdipipe verify f
    expect_silence
    # --help does not need a file that can be read.
    echo nonsense | user_file
    expect_exit 0 vdipipe backup --help
    expect_exit 2 vdipipe verify f
    expect_error vdipipe.conf:1:
}

run_tests
