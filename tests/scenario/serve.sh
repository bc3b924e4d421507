#!/bin/bash
# A stand-in SQL Server and a real client of FreeTDS: logins, BACKUP and RESTORE with a device set that 'vdipipe create' serves,
# the questions that backup tools ask, faults on demand, and deaths in mid-transfer.
# shellcheck disable=SC2317,SC2119,SC2030,SC2031 # run_tests calls the functions by their names, each in its own subshell
# shellcheck source-path=SCRIPTDIR source=../support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

[[ -x $VDIPIPE_HELPERS/sqlcmd ]] || {
    echo "skip - built without FreeTDS"
    exit 0
}

# Starts a server; its process is $server, its port $port. Its log is server.log.
serve() { # OPTION...
    [[ -e pw ]] || (umask 077 && echo 'p w~1' >pw)
    : >server.out
    "$VDIPIPE" serve -v --listen 127.0.0.1:0 --password-file pw --server-name standin "$@" >server.out 2>server.log &
    server=$!
    wait_until 10 grep -q '^listening on ' server.out
    port=$(sed 's/.*://' server.out)
}

stop() {
    kill -TERM "$server"
    expect_end "$server" 5 0
}

sql() { # BATCH [OPTION...]
    SQLCMDPASSWORD='p w~1' timeout "$patience" "$VDIPIPE_HELPERS/sqlcmd" -S "127.0.0.1,$port" -U sa -b -W -h -1 -s '|' -Q "$@"
}

# Starts a client of the set NAME; its process is $client.
client() { # NAME OPTION...
    "$VDIPIPE" create "$@" >client.out 2>client.err &
    client=$!
    wait_until 10 set_is_there "$1"
}

make_database() { # PATH BYTES
    sqlite3 "$1" "create table t(x); insert into t values(randomblob($2))"
}

running() { # WHAT
    sql 'SELECT command, status, wait_type FROM sys.dm_exec_requests' | grep -qF -e "$1"
}

# What came out has this line, whole.
says() { # TEXT
    grep -qxF -e "$1" out || fail "no line '$1' in: $(cat -v out)"
}

test_logs_in_and_says_what_it_is() {
    serve
    [[ $(sql 'SELECT @@SERVERNAME') == standin ]]
    [[ $(sql 'SELECT @@VERSION' | head -1) == 'Microsoft SQL Server 2019 (vdipipe serve, a stand-in) - 15.0.'* ]]
    [[ $(sql "SELECT SERVERPROPERTY('ProductVersion'), SERVERPROPERTY(N'engineedition'), IS_SRVROLEMEMBER('sysadmin'), DB_NAME(), SUSER_SNAME(), CASE WHEN @@SPID > 50 THEN 'user' END") == '15.0.2000.5|3|1|master|sa|user' ]]
    stop
    [[ $(<server.out) == "listening on 127.0.0.1:$port" ]]
}

test_refuses_what_may_not_come_in() {
    serve --max-connections 2
    expect_exit 1 "$VDIPIPE_HELPERS/sqlcmd" -S "127.0.0.1,$port" -U sa -P wrong -b -Q 'SELECT 1'
    says "Msg 18456, Level 14, State 1, Server standin, Line 1"
    says "Login failed for user 'sa'."
    expect_exit 1 "$VDIPIPE_HELPERS/sqlcmd" -S "127.0.0.1,$port" -U nobody -P 'p w~1' -b -Q 'SELECT 1'
    says "Login failed for user 'nobody'."
    expect_exit 1 sql 'SELECT 1' -d nosuch
    says 'Cannot open database "nosuch" requested by the login. The login failed.'
    stop
    expect_exit 2 vdipipe serve --listen 0.0.0.0:0 --password-file pw
    expect_error 'nothing is encrypted' --allow-remote
    expect_exit 2 vdipipe serve --listen 127.0.0.1:0
    expect_error --password-file
    expect_exit 2 vdipipe serve --listen 127.0.0.1:0 --password-file pw --database a=a.db --database A=b.db
    expect_error "--database A=b.db: that name was given before"
    expect_exit 2 vdipipe serve --listen 127.0.0.1:0 --password-file pw --fault nosuch
    expect_error "'nosuch'"
    expect_exit 2 vdipipe serve --listen 127.0.0.1:0 --password-file pw --data-dir pw
    expect_error "--data-dir 'pw' is no folder"
}

test_lets_in_no_more_than_its_limit() {
    serve --max-connections 1 --fault never-open --database db="$PWD/x.db"
    sql "BACKUP DATABASE db TO VIRTUAL_DEVICE='x'" >waiting.out &
    waiting=$!
    wait_until 10 grep -q 'logged in' server.log
    expect_exit 1 sql 'SELECT 1'
    grep -q '^Msg 17809, ' out
    stop
    wait_for_pid_end "$waiting" 5
    wait "$waiting" || :
}

test_a_taken_port_is_busy() {
    serve
    expect_exit 5 vdipipe serve --listen "127.0.0.1:$port" --password-file pw
    stop
}

test_backs_up_restores_and_remembers() {
    make_database app.db 3000000
    mkdir data
    mkdir -p "$XDG_CONFIG_HOME/vdipipe"
    printf '[pubs]\ndatabase = %s\n' "$PWD/app.db" >"$XDG_CONFIG_HOME/vdipipe/vdipipe.conf"
    serve --data-dir data
    [[ $(sql 'SELECT name, database_id, state_desc, recovery_model_desc FROM sys.databases') == 'pubs|5|ONLINE|SIMPLE' ]]

    client one -o one.vdi
    expect_exit 0 sql "BACKUP DATABASE [pubs] TO VIRTUAL_DEVICE = N'one' WITH STATS = 50, CHECKSUM, COPY_ONLY, NAME = N'it''s'"
    expect_end "$client" 5 0
    says '50 percent processed.'
    says '100 percent processed.'
    grep -q "^Processed [0-9]* pages for database 'pubs', file 'app.db' on file 1\.$" out
    grep -q '^BACKUP DATABASE successfully processed [0-9]* pages in ' out
    [[ $(grep -c percent out) -eq 2 ]]
    vdipipe extract one.vdi | cmp - app.db

    [[ $(sql "SELECT TOP (1) b.database_name, b.type, b.is_copy_only, b.has_backup_checksums, b.name, b.backup_size, f.device_type
              FROM msdb.dbo.backupset AS b WITH (NOLOCK) JOIN [msdb]..backupmediafamily f ON f.media_set_id = b.media_set_id
              WHERE f.physical_device_name = N'one' ORDER BY b.backup_set_id DESC") == "pubs|D|1|1|it's|$(stat -c %s app.db)|7" ]]

    client two -i one.vdi
    expect_exit 0 sql "RESTORE DATABASE copy FROM VIRTUAL_DEVICE='two'"
    expect_end "$client" 5 0
    cmp app.db data/copy.db
    [[ $(sql "SELECT DB_ID(N'copy'), DATABASEPROPERTYEX('copy', 'Status')") == '6|ONLINE' ]]
    [[ $(sql "SELECT destination_database_name, restore_type FROM msdb.dbo.restorehistory") == 'copy|D' ]]
    stop
    no_leftovers
}

test_a_restore_needs_the_database_for_itself() {
    make_database app.db 100000
    serve --database pubs=app.db
    client one -o one.vdi
    sql "BACKUP DATABASE pubs TO VIRTUAL_DEVICE='one'"
    expect_end "$client" 5 0
    expect_exit 1 sql "RESTORE DATABASE pubs FROM VIRTUAL_DEVICE='x' WITH REPLACE" -d pubs
    grep -q '^Msg 3102, ' out
    says 'RESTORE DATABASE is terminating abnormally.'
    client two -i one.vdi
    expect_exit 0 sql "USE pubs; USE master RESTORE DATABASE pubs FROM VIRTUAL_DEVICE='two' WITH REPLACE"
    expect_end "$client" 5 0
    client three -i one.vdi
    expect_exit 1 sql "RESTORE DATABASE pubs FROM VIRTUAL_DEVICE='three'"
    grep -q '^Msg 3142, ' out
    expect_end "$client" 5 2
    stop
}

test_lists_what_a_set_holds() {
    make_database app.db 100000
    serve --database pubs=app.db
    client one -o one.vdi
    sql "BACKUP DATABASE pubs TO VIRTUAL_DEVICE='one'"
    expect_end "$client" 5 0
    client two -i one.vdi
    expect_exit 0 sql "RESTORE FILELISTONLY FROM VIRTUAL_DEVICE='two'"
    grep -q '^main|' out
    expect_end "$client" 5 0
    client three -i one.vdi
    expect_exit 0 sql "RESTORE VERIFYONLY FROM VIRTUAL_DEVICE='three' WITH CHECKSUM"
    says 'The backup set on file 1 is valid.'
    expect_end "$client" 5 0
    stop
}

# Wrong statement, number.
refused=(
    'BACKUP DATABASE nosuch TO VIRTUAL_DEVICE=^x^' 911
    'BACKUP DATABASE pubs TO VIRTUAL_DEVICE=^nosuch^' 3201
    'BACKUP DATABASE pubs TO VIRTUAL_DEVICE=^x^ WITH DIFFERENTIAL' 3035
    'BACKUP LOG pubs TO VIRTUAL_DEVICE=^x^' 4208
    'BACKUP DATABASE pubs' 102
    'BEGIN TRAN BACKUP DATABASE pubs TO VIRTUAL_DEVICE=^x^' 3021
    'SELECT nosuch FROM sys.databases' 207
    'SELECT d.name FROM sys.databases b' 4104
    'SELECT * FROM sys.nosuch' 208
    'SELECT * FROM backupset' 208
    'SELECT * FROM sqlite_master' 208
    'SELECT nosuch(1)' 195
    'SELECT FROM sys.databases' 102
    'SELECT @x' 137
    'SELECT ^open' 105
    'SET NOSUCH ON' 195
    'EXEC sp_nosuch 1' 2812
    'sp_nosuch' 2812
    'USE nosuch' 911
    'DROP DATABASE pubs' 50000
    'RESTORE DATABASE new FROM VIRTUAL_DEVICE=^x^' 3156
    'RESTORE DATABASE new FROM VIRTUAL_DEVICE=^x^ WITH MOVE ^main^ TO ^relative.db^' 3156
)

test_refuses_with_the_numbers_of_sql_server() {
    make_database app.db 1000
    serve --database pubs=app.db
    for ((i = 0; i < ${#refused[@]}; i += 2)); do
        expect_exit 1 sql "${refused[i]//^/\'}"
        grep -q "^Msg ${refused[i + 1]}, " out || fail "${refused[i]}: $(cat -v out)"
    done
    # What is wrong in a batch keeps all of it from being done; what fails in it does not.
    expect_exit 1 sql "PRINT 'said' BACKUP DATABAS pubs"
    fails grep -q said out
    expect_exit 1 sql "USE nosuch; PRINT 'said'"
    says said
    stop
}

# Weeks begin on Sundays, and the first one with the year.
test_counts_weeks_as_sql_server_does() {
    serve
    [[ $(sql "SELECT DATEPART(week, '2026-01-01'), DATEPART(week, '2026-01-04'), DATEPART(wk, '2026-11-30 13:14:15.678')") == '1|2|49' ]]
    [[ $(sql "SELECT DATEDIFF(week, '2026-01-03', '2026-01-04'), DATEDIFF(week, '2026-01-04', '2026-01-10')") == '1|0' ]]
    stop
}

# What a query may call and how long it may keep the server is bounded, whatever it is made of.
test_queries_do_no_harm() {
    local a b call query
    serve
    for call in "fts3_tokenizer('simple')" "load_extension('x')" "randomblob(9)" "hex('a')" "printf('%9d', 1)"; do
        expect_exit 1 sql "SELECT $call"
        grep -q '^Msg 195, ' out || fail "$call: $(cat -v out)"
    done
    [[ $(sql "SELECT UPPER('a'), LEN(REPLACE('aaa', 'a', 'bb')), COALESCE(NULL, SUBSTRING('abc', 2, 1)), MAX(ABS(-1))") == 'A|6|b|1' ]]
    a="REPLACE('$(printf 'a%.0s' {1..30000})', 'a', 'aaaa')"
    b="REPLACE('$(printf 'a%.0s' {1..15000})', 'a', 'aaaa')"
    sql "WITH r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT COUNT(REPLACE($a, CONCAT($b, n, 'b'), 'x')) FROM r" >query.out &
    query=$!
    wait_until 10 running SELECT
    stop
    wait_for_pid_end "$query" 5
    wait "$query" || :
}

test_two_backups_run_at_the_same_time() {
    make_database a.db 4000000
    make_database b.db 4000000
    serve --database a=a.db --database b=b.db
    client one -o a.vdi
    first=$client
    client two --devices 2 -o 'b.{device}.vdi'
    sql "BACKUP DATABASE a TO VIRTUAL_DEVICE='one'" >a.out &
    sql_a=$!
    sql "BACKUP DATABASE b TO VIRTUAL_DEVICE='two', VIRTUAL_DEVICE='two1'" >b.out
    wait "$sql_a"
    expect_end "$first" 5 0
    expect_end "$client" 5 0
    vdipipe extract a.vdi | cmp - a.db
    cat <(vdipipe extract b.1.vdi) <(vdipipe extract b.2.vdi) | cmp - b.db
    [[ $(sql 'SELECT COUNT(*) FROM msdb.dbo.backupset') == 2 ]]
    stop
}

# ---- faults ----

# A backup of 3 MB under the faults given; out holds what sql said, $got its status, the client has ended.
faulty() { # FAULT...
    local fault options=()
    for fault in "$@"; do
        options+=(--fault "$fault")
    done
    [[ -e app.db ]] || make_database app.db 3000000
    serve --database pubs=app.db "${options[@]}"
    client one -o one.vdi
    got=0
    sql "BACKUP DATABASE pubs TO VIRTUAL_DEVICE='one'" >out || got=$?
}

# The client fails, and leaves nothing.
expect_client_failed() {
    expect_end "$client" 5 1
    [[ ! -e one.vdi ]] || fail "a failed backup left a file"
    stop
    no_leftovers
}

test_permission_is_denied() {
    faulty permission-denied
    [[ $got -eq 1 ]]
    says "BACKUP DATABASE permission denied in database 'pubs'."
    says 'BACKUP DATABASE is terminating abnormally.'
    kill -TERM "$client"
    expect_end "$client" 5 143
    stop
}

test_fails_before_the_set_is_opened() {
    faulty fail-before-open
    [[ $got -eq 1 ]]
    says "Cannot open backup device 'one'. Operating system error 5(Access is denied.)."
    vdipipe list | grep -q '^one '
    kill -TERM "$client"
    expect_end "$client" 5 143
    stop
}

test_fails_after_all_the_data() {
    faulty fail-after-data
    [[ $got -eq 1 ]]
    grep -q '^Msg 3202, ' out
    says 'BACKUP DATABASE is terminating abnormally.'
    [[ $(SQLCMDPASSWORD='p w~1' sql 'SELECT COUNT(*) FROM msdb.dbo.backupset') == 0 ]]
    expect_client_failed
}

test_fails_amid_the_data() {
    faulty fail-after-data:1M
    [[ $got -eq 1 ]]
    grep -q '^Msg 3202, ' out
    expect_client_failed
}

test_the_connection_breaks_amid_the_data() {
    faulty disconnect:1M
    [[ $got -eq 2 ]]
    expect_client_failed
}

test_hangs_until_it_is_cancelled() {
    make_database app.db 3000000
    serve --database pubs=app.db --fault hang:1M
    client one -o one.vdi
    SQLCMDPASSWORD='p w~1' "$VDIPIPE_HELPERS/sqlcmd" -S "127.0.0.1,$port" -U sa -b -Q "BACKUP DATABASE pubs TO VIRTUAL_DEVICE='one'" >out &
    statement=$!
    wait_until 10 grep -q 'fault: ' server.log
    running 'BACKUP DATABASE|suspended|BACKUPTHREAD'
    kill -INT "$statement"
    wait_for_pid_end "$statement" 5
    wait_until 5 fails running BACKUP
    expect_client_failed
}

test_hangs_until_the_set_is_aborted() {
    make_database app.db 3000000
    serve --database pubs=app.db --fault hang:1M
    client one -o one.vdi
    sql "BACKUP DATABASE pubs TO VIRTUAL_DEVICE='one'" >out &
    statement=$!
    wait_until 10 grep -q 'fault: ' server.log
    running 'BACKUP DATABASE|suspended|BACKUPTHREAD'
    vdipipe abort one
    expect_end "$statement" 5 1
    grep -q '^Msg 18210, ' out
    grep -qF 'Operating system error 995(' out
    expect_end "$client" 5 1
    stop
}

test_a_deaf_server_hears_only_the_end_of_the_connection() {
    make_database app.db 3000000
    serve --database pubs=app.db --fault deaf:1M
    client one -o one.vdi
    SQLCMDPASSWORD='p w~1' "$VDIPIPE_HELPERS/sqlcmd" -S "127.0.0.1,$port" -U sa -b -Q "BACKUP DATABASE pubs TO VIRTUAL_DEVICE='one'" >out &
    statement=$!
    wait_until 10 grep -q 'fault: ' server.log
    running 'BACKUP DATABASE|suspended|BACKUPTHREAD'
    vdipipe abort one
    expect_end "$client" 5 1
    running BACKUP
    kill -KILL "$statement"
    wait_until 5 fails running BACKUP
    wait "$statement" || :
    stop
}

test_never_opens_the_set() {
    make_database app.db 1000
    serve --database pubs=app.db --fault never-open
    sql "BACKUP DATABASE pubs TO VIRTUAL_DEVICE='one'" >out &
    statement=$!
    wait_until 10 running LCK_M_U
    [[ $(sql "SELECT r.blocking_session_id, t.text FROM sys.dm_exec_requests r CROSS APPLY sys.dm_exec_sql_text(r.sql_handle) AS t WHERE r.command = 'BACKUP DATABASE'") == "50|BACKUP DATABASE pubs TO VIRTUAL_DEVICE='one'" ]]
    stop
    wait_for_pid_end "$statement" 5
    wait "$statement" || :
}

test_what_may_not_be_asked() {
    serve --fault deny-history --fault deny-state
    expect_exit 1 sql 'SELECT * FROM msdb.dbo.backupset'
    says "The SELECT permission was denied on the object 'backupset', database 'msdb', schema 'dbo'."
    expect_exit 1 sql 'SELECT session_id FROM sys.dm_exec_requests'
    grep -q '^Msg 300, ' out
    expect_exit 0 sql 'SELECT name FROM sys.databases'
    stop
}

test_wrong_password_on_demand() {
    serve --fault wrong-password
    expect_exit 1 sql 'SELECT 1'
    grep -q '^Msg 18456, ' out
    stop
}

# ---- deaths in mid-transfer ----

# A statement is running before it has opened its set: who kills the server waits for what has moved.
moving() { # SET
    "$VDIPIPE" status --json "$1" | jq -e '.devices[0].completions > 0' >/dev/null
}

midway() {
    make_database app.db 3000000
    serve --database pubs=app.db --fault hang:1M
    client one -o one.vdi
    sql "BACKUP DATABASE pubs TO VIRTUAL_DEVICE='one'" >out &
    statement=$!
    wait_until 10 running BACKUP
    wait_until 10 moving one
}

test_the_server_is_killed() {
    midway
    kill -KILL "$server"
    expect_end "$statement" 5 2
    expect_end "$client" 5 1
    wait "$server" || :
    no_leftovers
}

test_the_server_kills_itself() {
    faulty crash:1M
    [[ $got -eq 2 ]]
    expect_end "$client" 5 1
    wait "$server" || :
    no_leftovers
}

test_the_server_is_told_to_end() {
    midway
    stop
    wait_for_pid_end "$statement" 5
    wait "$statement" || :
    expect_end "$client" 5 1
    no_leftovers
}

test_the_creator_of_the_set_is_killed() {
    midway
    kill -KILL "$client"
    expect_end "$statement" 5 1
    grep -q '^Msg 18210, ' out
    says 'BACKUP DATABASE is terminating abnormally.'
    wait "$client" || :
    stop
}

# ---- scripts ----

test_a_script_plays_the_server_and_makes_a_chain() {
    cat >backup.vds <<'EOF'
set direction write
device 1
  write 64K x4 data pattern 3
  flush
EOF
    cat >restore.vds <<'EOF'
set direction read
device 1
  read 64K until eof check pattern 3 total 256K
  clearerror
EOF
    serve --database app --script backup.vds --restore-script restore.vds
    [[ $(sql 'SELECT recovery_model_desc FROM sys.databases') == FULL ]]
    expect_exit 1 sql "BACKUP LOG app TO VIRTUAL_DEVICE='x'"
    grep -q '^Msg 4214, ' out
    expect_exit 1 sql "BACKUP DATABASE app TO VIRTUAL_DEVICE='x' WITH DIFFERENTIAL"
    grep -q '^Msg 3035, ' out
    for statement in 'DATABASE app|' 'LOG app|' 'DATABASE app|WITH DIFFERENTIAL' 'LOG app|'; do
        client one --raw -f -o one.raw
        sql "BACKUP ${statement%|*} TO VIRTUAL_DEVICE='one' ${statement#*|}"
        wait_for_pid_end "$client" 5
        [[ $(stat -c %s one.raw) -eq 262144 ]]
    done
    [[ $(sql 'SELECT type FROM msdb.dbo.backupset ORDER BY backup_set_id' | tr -d '\n') == DLIL ]]
    # Each log begins where the one before ended; the differential has the full backup for its base.
    [[ $(sql "SELECT COUNT(*) FROM msdb.dbo.backupset a JOIN msdb.dbo.backupset b ON a.last_lsn = b.first_lsn WHERE a.type = 'L' AND b.type = 'L'") == 1 ]]
    [[ $(sql "SELECT COUNT(*) FROM msdb.dbo.backupset d JOIN msdb.dbo.backupset f ON d.differential_base_lsn = f.checkpoint_lsn AND d.differential_base_guid = f.backup_set_uuid WHERE d.type = 'I'") == 1 ]]
    client files --raw -i one.raw
    expect_exit 0 sql "RESTORE FILELISTONLY FROM VIRTUAL_DEVICE='files'"
    says 'data|/var/opt/mssql/data/data.mdf|D|PRIMARY|0|0|1'
    wait_for_pid_end "$client" 5
    expect_exit 1 sql "RESTORE DATABASE other FROM VIRTUAL_DEVICE='x' WITH MOVE 'nosuch' TO '/x'"
    grep -q '^Msg 3234, ' out
    client two --raw -i one.raw
    sql "RESTORE DATABASE other FROM VIRTUAL_DEVICE='two' WITH NORECOVERY"
    wait_for_pid_end "$client" 5
    [[ $(sql "SELECT state_desc FROM sys.databases WHERE name = N'OTHER'") == RESTORING ]]
    expect_exit 1 sql 'USE other'
    grep -q '^Msg 927, ' out
    stop
}

run_tests
