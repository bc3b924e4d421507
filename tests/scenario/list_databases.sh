#!/usr/bin/env bash
# The login to a SQL Server, as `list-databases` does it, and what `info --chain` makes of backups; all against 'vdipipe
# serve' with FreeTDS.
# shellcheck disable=SC2317,SC2119,SC2030,SC2031 # run_tests calls the functions by their names, each in its own subshell
# shellcheck source-path=SCRIPTDIR source=../support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
# shellcheck source-path=SCRIPTDIR source=../support/mssql.sh
. "$(dirname "$0")/../support/mssql.sh"

test_names() {
    make_db a.db 10
    serve --database "pubs=$PWD/a.db" --database "it's [odd]; --=$PWD/a.db" --database $'\xc3\xa4=/none' --database "Pubs 2=$PWD/a.db"
    expect_exit 0 vdipipe list-databases "$url"
    expect_silence
    printf '%s\n' 'Pubs 2' "it's [odd]; --" pubs $'\xc3\xa4' | diff - out
    expect_exit 0 vdipipe list-databases -0 "$url/"
    printf '%s\0' 'Pubs 2' "it's [odd]; --" pubs $'\xc3\xa4' | cmp - out
    expect_exit 0 vdipipe list-databases --json "$url"
    [[ $(wc -l <out) -eq 1 ]]
    grep -qF '{"name":"pubs","state":"ONLINE","recovery_model":"SIMPLE"}' out
    nothing_left
}

test_a_loop() {
    local db
    make_db a.db 10
    make_db b.db 20
    serve --database "a b=$PWD/a.db" --database "c]d=$PWD/b.db"
    vdipipe list-databases -0 "$url" | while IFS= read -r -d '' db; do
        vdipipe backup "$url/${db// /%20}" -o "$db.vdi"
    done
    zstd -dcq 'a b.vdi' | cmp - a.db
    zstd -dcq 'c]d.vdi' | cmp - b.db
}

test_a_name_with_a_newline() {
    make_db a.db 10
    serve --database $'a\nb'="$PWD/a.db"
    expect_exit 2 vdipipe list-databases "$url"
    expect_error -0
    [[ ! -s out ]]
    expect_exit 0 vdipipe list-databases -0 "$url"
    printf 'a\nb\0' | cmp - out
}

test_ways_to_give_the_password() {
    make_db a.db 10
    serve --database "pubs=$PWD/a.db"
    printf 'wrong\n' >wrong
    chmod 600 wrong
    expect_exit 1 vdipipe list-databases "$url" --password-file wrong
    expect_error 'Msg 18456' "Login failed for user 'sa'"
    fails grep -q wrong err
    (
        unset VDIPIPE_PASSWORD_FILE
        expect_exit 2 vdipipe list-databases "$url"
        expect_error --password-file VDIPIPE_PASSWORD_FILE
        expect_exit 0 vdipipe list-databases "$url" --password-file "$password"
        expect_silence
        expect_exit 0 vdipipe list-databases "mssql://${url##*@}" --user sa --password-file "$password"
        expect_exit 0 vdipipe list-databases "$url" --password-fd 0 <"$password"
        expect_exit 0 vdipipe list-databases "$url" --password-fd 7 7<<<'correct horse'
        printf 'correct horse\n' | iconv -t UTF-16LE >wide
        printf '\357\273\277correct horse\n' >marked
        chmod 600 wide marked
        for file in wide marked; do
            expect_exit 2 vdipipe list-databases "$url" --password-file "$file"
            expect_error "'$file' holds no password that could be typed" "UTF-8"
        done
        VDIPIPE_PASSWORD_FILE='' expect_exit 2 vdipipe list-databases "$url"
        expect_error "a password is needed for 'sa'"
        expect_exit 2 vdipipe list-databases "$url" --password-fd 77
        expect_error 77
        expect_exit 2 vdipipe list-databases "$url" --password-fd 0 --password-file "$password"
        expect_error exclude
        expect_exit 2 vdipipe list-databases "mssql://${url##*@}" --password-file "$password"
        expect_error --user
        expect_exit 2 vdipipe list-databases "$url" --user sa
        expect_error --user
        expect_exit 2 setsid "$VDIPIPE" list-databases "$url" --ask-password
        expect_error 'no terminal'
        expect_exit 2 vdipipe list-databases "$url" --password-file none
        expect_error none
        : >empty
        chmod 600 empty
        expect_exit 2 vdipipe list-databases "$url" --password-file empty
        expect_error empty
        cp "$password" open
        chmod 644 open
        expect_exit 0 vdipipe list-databases "$url" --password-file open
        expect_error 'chmod go-r'
    )
    nothing_left
}

test_a_password_typed_at_the_terminal() {
    needs_terminal
    make_db a.db 10
    serve --database "pubs=$PWD/a.db"
    on_a_terminal "$(printf '%q ' "$VDIPIPE" list-databases "$url") --ask-password >names"
    type_at 'Password: ' 'correct horse'
    expect_end "$terminal" 30 0
    [[ $(<names) == pubs ]]
    fails grep -q horse screen
    on_a_terminal "$(printf '%q ' "$VDIPIPE" list-databases "$url") --ask-password >names"
    type_at 'Password: ' 'typo horse'
    expect_end "$terminal" 30 1
    grep -q 18456 screen
    nothing_left
}

test_what_is_no_server() {
    expect_exit 2 vdipipe list-databases
    expect_error mssql://
    expect_exit 2 vdipipe list-databases a.db
    expect_error mssql://
    expect_exit 2 vdipipe list-databases mssql://sa@localhost/pubs
    expect_error "'pubs'"
    expect_exit 2 vdipipe list-databases mssql://sa:secret@localhost
    expect_error --password-file
    fails grep -q secret err
    expect_exit 2 vdipipe list-databases mssql://sa@192.0.2.1
    expect_error 'another machine'
    expect_exit 1 vdipipe list-databases mssql://sa@localhost:1
    expect_error 'localhost, port 1'
}

test_encryption() {
    make_db a.db 10
    serve --database "pubs=$PWD/a.db"
    expect_exit 0 vdipipe list-databases "$url" --encrypt off
    expect_exit 0 vdipipe list-databases "$url" --encrypt request
    expect_exit 1 vdipipe list-databases "$url" --encrypt require
    expect_error "no connection" "encryption is required, and the server may have none"
    expect_exit 2 vdipipe list-databases "$url" --encrypt maybe
}

# Nothing that the user set for FreeTDS leads elsewhere, or writes the password to a file.
test_settings_of_freetds() {
    make_db a.db 10
    serve --database "pubs=$PWD/a.db"
    printf '[global]\ndump file = %s/dump\nhost = 192.0.2.1\n[127.0.0.1]\nhost = 192.0.2.1\nport = 1\n' "$PWD" >.freetds.conf
    export HOME=$PWD FREETDSCONF=$PWD/.freetds.conf TDSDUMP=$PWD/dump TDSDUMPCONFIG=$PWD/dump TDSPORT=1 TDSHOST=192.0.2.1 TDSVER=4.2
    expect_exit 0 vdipipe list-databases "$url"
    [[ $(<out) == pubs ]]
    [[ ! -e dump ]]
}

test_a_server_that_refuses() {
    make_db a.db 10
    serve --database "pubs=$PWD/a.db" --fault wrong-password
    expect_exit 1 vdipipe list-databases "$url"
    expect_error 18456
}

test_a_chain_of_files() {
    make_db a.db 100
    make_db b.db 100
    serve --database "pubs=$PWD/a.db" --database "sales=$PWD/b.db"
    vdipipe backup "$url/pubs" --no-copy-only --devices 2 -o '1.{device}'
    vdipipe backup "$url/pubs" -o 2
    vdipipe backup "$url/sales" -o 3
    expect_exit 0 vdipipe info --chain 1.1 1.2 2 3
    [[ $(grep -c '^database ' out) -eq 2 ]]
    grep -qE '^ +1 +full copy-only .* 2 *$' out
    grep -qE '^ +- +full .* 1\.1 1\.2 +not needed *$' out
    expect_exit 0 vdipipe info --chain --json 1.1 1.2 2 3
    [[ $(wc -l <out) -eq 2 ]]
    grep -qF '"files":["1.1","1.2"]' out
    expect_exit 1 vdipipe info --chain 1.1 2
    expect_error "'1.1' is one of 2 devices"
    grep -qF 'INCOMPLETE: has 1 of 2 devices' out
    expect_exit 1 vdipipe info --chain a.db 2
    expect_error "'a.db'" record
    grep -qF 'full copy-only' out
    head -c 2000 2 >part
    expect_exit 3 vdipipe info --chain part 3
    grep -qF 'full copy-only' out
}

run_tests
