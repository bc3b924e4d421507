#!/usr/bin/env bash
# A client of another ecosystem: tedious, of Node.js, has the stand-in server back databases up and restore them, while C++
# programs on the drop-in for Microsoft's library serve the devices.
# shellcheck disable=SC2317,SC2119,SC2030,SC2031 # run_tests calls the functions by their names, each in its own subshell
# shellcheck source-path=SCRIPTDIR source=../support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
# shellcheck source-path=SCRIPTDIR source=../support/mssql.sh
. "$(dirname "$0")/../support/mssql.sh"
# shellcheck source-path=SCRIPTDIR source=../support/tedious.sh
. "$(dirname "$0")/../support/tedious.sh"

export SQLCMDPASSWORD='correct horse'

# The server with a database pubs of so many rows.
serve_pubs() { # ROWS [OPTION...]
    needs_tedious
    make_db app.db "$1"
    serve --server-name standin --database pubs=app.db "${@:2}"
    port=${url##*:}
}

sql() { # BATCH [OPTION...]
    timeout "$patience" node "$tedious_sources/sql.js" "$port" sa "$@"
}

says() { # LINE
    grep -qxF -e "$1" out || fail "no line '$1' in: $(cat -v out)"
}

# A client of the set `demo` on the drop-in.
start_client() { # FILE
    [[ -x $VDIPIPE_HELPERS/headerless_client ]] || skip "built without C++"
    "$VDIPIPE_HELPERS/headerless_client" demo "$1" >client.out 2>client.err &
    client=$!
    wait_until 20 set_is_there demo
}

test_backs_up_while_a_client_on_the_dropin_serves_the_device() {
    serve_pubs 40000
    start_client app.bak
    expect_exit 0 sql "BACKUP DATABASE [pubs] TO VIRTUAL_DEVICE = N'demo' WITH STATS = 25, COPY_ONLY"
    expect_end "$client" 20 0
    cmp app.db app.bak
    [[ $(grep percent out) == $'25 percent processed.\n50 percent processed.\n75 percent processed.\n100 percent processed.' ]] ||
        fail "$(cat -v out)"
    grep -q "^Processed [0-9]* pages for database 'pubs', file 'app.db' on file 1\.$" out || fail "$(cat -v out)"
    [[ $(tail -n 1 out) == 'BACKUP DATABASE successfully processed '* ]] || fail "$(cat -v out)"
    nothing_left
}

test_backs_up_by_a_procedure_call() {
    serve_pubs 500
    start_client app.bak
    expect_exit 0 sql "BACKUP DATABASE [pubs] TO VIRTUAL_DEVICE = N'demo'" --call
    expect_end "$client" 20 0
    cmp app.db app.bak
    nothing_left
}

# The sample calls a sqlcmd, which here is tedious.
test_restores_what_the_sample_client_delivers() {
    serve_pubs 2000
    [[ -x $VDIPIPE_HELPERS/sample_client ]] || skip "built without C++"
    mkdir bin
    cat >bin/sqlcmd <<END
#!/bin/sh
# -U USER -P PASSWORD -S SERVER -Q STATEMENT
exec node '$tedious_sources/sql.js' $port "\$2" "\$8"
END
    chmod +x bin/sqlcmd
    export PATH=$PWD/bin:$PATH
    expect_exit 0 timeout "$patience" "$VDIPIPE_HELPERS/sample_client" backup database pubs sa secret app.bak
    cmp app.db app.bak
    expect_exit 0 timeout "$patience" "$VDIPIPE_HELPERS/sample_client" restore database copy sa secret app.bak
    grep -q '^sqlcmd: RESTORE DATABASE successfully processed ' out || fail "$(cat -v out)"
    cmp app.db copy.db
    nothing_left
}

test_what_backup_tools_ask_first() {
    serve_pubs 10
    expect_exit 0 sql 'SELECT @@SERVERNAME'
    [[ $(<out) == standin ]]
    expect_exit 0 sql 'SELECT name, state_desc FROM sys.databases WHERE name = @name' --parameter name=pubs
    [[ $(<out) == 'pubs|ONLINE' ]] || fail "$(cat -v out)"
    nothing_left
}

test_errors_arrive_with_their_numbers() {
    serve_pubs 10
    expect_exit 1 sql "BACKUP DATABASE [pubs] TO VIRTUAL_DEVICE = N'nobody'"
    grep -q '^Msg 3201, Level 16, State [0-9]*, Server standin, Line 1$' out || fail "$(cat -v out)"
    says 'Msg 3013, Level 16, State 1, Server standin, Line 1'
    says 'BACKUP DATABASE is terminating abnormally.'
    SQLCMDPASSWORD=wrong expect_exit 1 sql 'SELECT 1'
    says "Login failed for user 'sa'."
    nothing_left
}

test_a_backup_that_is_cancelled() {
    # Messages on progress come only once data has moved.
    serve_pubs 40000 --fault hang:8M
    start_client app.bak
    expect_exit 0 sql "BACKUP DATABASE [pubs] TO VIRTUAL_DEVICE = N'demo' WITH STATS = 1" --cancel-at percent
    says cancelling
    says cancelled
    [[ $(tail -n 1 out) == standin ]] || fail "$(cat -v out)"
    wait "$client" && fail "the client believes in its backup"
    nothing_left
}

run_tests
