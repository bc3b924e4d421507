#!/usr/bin/env bash
# FreeTDS and libcrypto are opened at first use: what the program does without them, and that most runs never do.
# shellcheck disable=SC2317,SC2119,SC2031 # run_tests calls the functions by their names, each in its own subshell
# shellcheck source-path=SCRIPTDIR source=../support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

needs() { # LIBRARY
    vdipipe --version | grep "^$1 " >/dev/null || skip "built without $1"
}

# Runs a command for which these files stand in the libraries' places; a broken one there ends the loader's search.
with_broken() { # COMMAND...
    mkdir -p broken
    : >broken/libsybdb.so.5
    : >broken/libcrypto.so.3
    LD_LIBRARY_PATH=$PWD/broken "$@"
}

# Which of the libraries, and of those that they bring along, a run of the program loads.
loaded_by() { # ARGS...
    rm -f trace.*
    LD_DEBUG=files LD_DEBUG_OUTPUT=$PWD/trace "$VDIPIPE" "$@" >/dev/null 2>err || fail "$(<err)"
    cat trace.* >trace
    grep -qF libc.so.6 trace || fail "no trace of what was loaded"
    grep -oE 'lib(sybdb|crypto|gnutls|krb5)\.so' trace | sort -u | xargs
}

test_most_runs_load_neither() {
    make_db app.db 100
    for args in --help 'backup app.db -o f' 'verify f' 'info f' 'restore new.db -i f' 'list-databases app.db'; do
        # shellcheck disable=SC2086 # a list of words
        is_empty "$args" "$(loaded_by $args)"
    done
}

is_empty() { # WHAT TEXT
    [[ -z $2 ]] || fail "'$1' loads $2"
}

test_libcrypto_is_loaded_by_encryption() {
    local recipient
    needs libcrypto
    make_db app.db 100
    recipient=$(vdipipe keygen -o key)
    [[ $(loaded_by backup app.db --recipient "$recipient" -o f) == libcrypto.so ]] || fail "not libcrypto alone"
    [[ $(loaded_by verify f --identity key) == libcrypto.so ]] || fail "not libcrypto alone"
}

test_without_libcrypto_encryption_is_the_same() {
    local recipient
    needs libcrypto
    make_db app.db 100
    recipient=$(vdipipe keygen -o key)
    expect_exit 0 with_broken vdipipe backup app.db --recipient "$recipient" -o f
    expect_silence
    expect_exit 0 vdipipe verify f --identity key
    expect_exit 0 vdipipe backup app.db --recipient "$recipient" -o g
    expect_exit 0 with_broken vdipipe restore new.db -i g --identity key
    expect_silence
    same_content app.db new.db
}

test_versions_are_of_what_is_there() {
    with_broken vdipipe --version >out
    grep -q '^vdipipe ' out
    fails grep -E '^(libcrypto|freetds) ' out
}

test_without_freetds_sql_server_cannot_be_reached() {
    needs freetds
    (umask 077 && echo secret >password)
    expect_exit 2 with_broken vdipipe list-databases mssql://sa@localhost --password-file password
    expect_error FreeTDS libsybdb.so.5 'apt-get install libsybdb5'
    expect_exit 0 with_broken vdipipe doctor
    grep -E '^ok +FreeTDS: ' out | grep -F 'apt-get install libsybdb5' || fail "$(<out)"
}

# Another library by its name.
test_a_library_that_lacks_functions_is_none() {
    needs freetds
    (umask 077 && echo secret >password)
    mkdir broken
    cp "$VDIPIPE_HELPERS/libfake_lacking.so" broken/libsybdb.so.5
    cp "$VDIPIPE_HELPERS/libfake_lacking.so" broken/libcrypto.so.3
    export LD_LIBRARY_PATH=$PWD/broken
    expect_exit 2 vdipipe list-databases mssql://sa@localhost --password-file password
    expect_error 'undefined symbol: db' 'apt-get install libsybdb5'
    vdipipe --version >out
    fails grep -E '^(libcrypto|freetds) ' out
}

run_tests
