#!/usr/bin/env bash
# Clients of others speak TDS with tests/tds/tds_server: FreeTDS's tools and its db-lib, and tedious of Node.js.
# shellcheck disable=SC2317,SC2119,SC2030,SC2031 # run_tests calls the functions by their names, each in its own subshell
# shellcheck source-path=SCRIPTDIR source=../support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
# shellcheck source-path=SCRIPTDIR source=../support/tedious.sh
. "$(dirname "$0")/../support/tedious.sh"

password='Säcret1'

# Starts the server on a port of the kernel's choice; sets $server and $port.
start_server() { # [LOGIN-TIMEOUT-MS]
    rm -f server_in server_out
    mkfifo server_in
    "$VDIPIPE_HELPERS/tds_server" "$@" <server_in >server_out 2>server_err &
    server=$!
    exec 8>server_in
    wait_until 20 test -s server_out
    port=$(head -n 1 server_out)
}

# The server ends with its connections, and all was well.
stop_server() {
    exec 8>&-
    expect_end "$server" 20 0
    [[ ! -s server_err ]] || fail "$(cat server_err)"
}

expect_connections() { # COUNT LINE
    [[ $(grep -cx -- "$2" server_out) -eq $1 ]] || fail "not $1 times '$2': $(tail -n +2 server_out)"
}

# A folder of FreeTDS's own configuration, with a server of that name.
configure_freetds() { # [VERSION [ENCRYPTION]]
    cat >freetds.conf <<END
[global]
    client charset = UTF-8
    timeout = 20
    connect timeout = 20
    tds version = ${1:-auto}
    encryption = ${2:-off}
[here]
    host = 127.0.0.1
    port = $port
END
    export FREETDSCONF=$PWD/freetds.conf LC_ALL=C.UTF-8
}

needs_tool() { # NAME
    command -v "$1" >/dev/null || skip "needs $1 (package freetds-bin)"
}

test_tsql() {
    needs_tool tsql
    start_server
    configure_freetds
    tsql -S here -U sa -P "$password" -D pubs -o q <<'END' >out 2>err
login
go
types
go
mixed
go
raise 3013 16 2 7 BACKUP DATABASE is terminating abnormally.
go
use master
go
echo äöü 😀
go
END
    cat >want <<'END'
sa	NULL	TSQL	pubs
2147483647	9223372036854775807	1	grüß 😀	9999999999999999999999999	37.5	Nov 21 2026 02:05PM	0E984725-C51C-4BF4-9960-E1C80E27ABA0	short
-2147483648	-9223372036854775808	0		-42	-0.25	Jan  1 1753 12:00AM	00000000-0000-0000-0000-000000000001	
NULL	NULL	NULL	NULL	NULL	NULL	NULL	NULL	NULL
1
2
äöü 😀
END
    # Real tabs and empty fields matter; prompts, headings and blank lines do not.
    grep -E $'^(sa|NULL|-?[0-9]+|äöü 😀)(\t|$)' out >got || :
    diff want got || fail "$(cat -A out)"
    cat >want <<'END'
Msg 3211 (severity 0, state 1) from STANDIN Line 1:
	"50 percent processed."
Msg 3211 (severity 0, state 1) from STANDIN Line 1:
	"100 percent processed."
Msg 3014 (severity 0, state 1) from STANDIN Line 1:
	"BACKUP DATABASE successfully processed 1 pages."
Msg 3013 (severity 16, state 2) from STANDIN Line 7:
	"BACKUP DATABASE is terminating abnormally."
END
    grep -A 1 '^Msg' err | grep -v '^--$' >got
    diff want got
    stop_server
    expect_connections 1 closed
}

test_bsqldb_and_fisql() {
    needs_tool bsqldb
    start_server
    configure_freetds
    # It knows neither uniqueidentifier nor nvarchar(max).
    echo 'short grüß 😀' >q.sql
    expect_exit 0 bsqldb -S here -U sa -P "$password" -q -t '|' -i q.sql
    [[ $(<out) == 'grüß 😀' ]] || fail "$(cat out err)"
    needs_tool fisql
    printf 'raise 911 16 1 1 no such database\ngo\nshort abc\ngo\n' |
        fisql -S here -U sa -P "$password" >out 2>&1 || :
    grep -q 'Msg 911, Level 16, State 1' out || fail "$(cat out)"
    grep -q 'no such database' out
    grep -q '^ *abc *$' out || fail "$(cat out)"
    stop_server
}

test_wrong_password() {
    needs_tool tsql
    start_server
    configure_freetds
    expect_exit 1 tsql -S here -U sa -P wrong
    grep -q 'Msg 18456 (severity 14, state 1) from STANDIN' err || fail "$(cat out err)"
    grep -q "Login failed for user 'sa'." err
    stop_server
    expect_connections 1 "refused: login refused with message 18456: Login failed for user 'sa'."
}

test_encryption_that_a_client_insists_on() {
    needs_tool tsql
    start_server
    configure_freetds auto require
    expect_exit 1 tsql -S here -U sa -P "$password"
    stop_server
    # FreeTDS goes away by itself before it sends the password.
    expect_connections 1 'refused: TDS client hung up before it had logged in'
}

test_versions_before_7_1() {
    needs_tool tsql
    start_server
    configure_freetds 7.0
    expect_exit 1 tsql -S here -U sa -P "$password"
    grep -q 'The client speaks TDS before 7.1; set its TDS version to 7.4.' err || fail "$(cat out err)"
    configure_freetds 5.0
    expect_exit 1 tsql -S here -U sa -P "$password"
    stop_server
    grep -q '^refused: TDS client logs in with a version before 7, which is not spoken here' server_out ||
        fail "$(cat server_out)"
}

test_a_client_that_says_nothing() {
    start_server 100
    exec 6<>"/dev/tcp/127.0.0.1/$port"
    # The server hangs up.
    expect_exit 0 timeout 20 cat <&6
    exec 6>&-
    stop_server
    expect_connections 1 'refused: TDS client connected, but did not log in in time'
}

test_db_lib() {
    local version
    [[ -x $VDIPIPE_HELPERS/dblib_client ]] || skip "built without FreeTDS"
    export LC_ALL=C.UTF-8
    for version in 71 72 73 74; do
        start_server
        expect_exit 0 timeout 50 "$VDIPIPE_HELPERS/dblib_client" "$port" "$version"
        [[ $(tail -n 1 out) == 'a server that dies' ]] || fail "$(cat out)"
        stop_server
    done
}

test_tedious() {
    local version
    needs_tedious
    for version in 7_1 7_2 7_3_B 7_4; do
        start_server
        expect_exit 0 timeout 100 node "$tedious_sources/client.js" "$port" "$version"
        [[ $(tail -n 1 out) == 'a server that dies' ]] || fail "$(cat out)"
        stop_server
        expect_connections 12 cancelled
    done
}

run_tests
