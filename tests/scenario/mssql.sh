#!/usr/bin/env bash
# backup and restore of mssql:// databases, end to end against 'vdipipe serve' with FreeTDS: what works, and what is refused
# before anything is sent.
# shellcheck disable=SC2317,SC2119,SC2030,SC2031 # run_tests calls the functions by their names, each in its own subshell
# shellcheck source-path=SCRIPTDIR source=../support/lib.sh
. "$(dirname "$0")/../support/lib.sh"
# shellcheck source-path=SCRIPTDIR source=../support/mssql.sh
. "$(dirname "$0")/../support/mssql.sh"

test_two_devices_and_back() {
    make_db pubs.db 3000
    serve --database "pubs=$PWD/pubs.db"
    expect_exit 0 vdipipe backup "$url/pubs" --devices 2 --zstd -o 'f.{device}'
    expect_silence
    zstd -dcq f.1 f.2 | cmp - pubs.db
    expect_exit 0 vdipipe restore "$url/copy" --recovery -i f.2
    expect_silence
    cmp pubs.db copy.db
    expect_exit 0 vdipipe verify f.1 f.2
    nothing_left
}

test_by_the_library() {
    local library
    library=$(dropin) || skip "the drop-in is not built"
    without_leak_check
    make_db pubs.db 3000
    serve --database "pubs=$PWD/pubs.db"
    expect_exit 0 vdipipe backup "$url/pubs" -v --sqlvdi "$library" --devices 2 --zstd -o 'f.{device}'
    grep -qF "devices by '$library'" err
    zstd -dcq f.1 f.2 | cmp - pubs.db
    expect_exit 0 vdipipe restore "$url/copy" --sqlvdi "$library" --recovery -i f.1
    cmp pubs.db copy.db
    expect_exit 2 vdipipe backup "$url/pubs" --sqlvdi "$PWD/none.so" -o x
    expect_error "none.so"
    nothing_left
}

test_what_is_said_and_recorded() {
    make_db pubs.db 300
    serve --database "pubs=$PWD/pubs.db"
    expect_exit 0 vdipipe backup "$url/pubs" -v --label "Tom's [nightly]" --description 'x' -o '{db}-{type}.vdi'
    grep -qF "backup of 'pubs' (full, copy-only): " err
    grep -qF "NAME = N'Tom''s [nightly]'" err
    grep -qF "CHECKSUM" err
    grep -qF "server: BACKUP DATABASE successfully processed" err
    expect_exit 0 vdipipe info --json pubs-full.vdi
    grep -qF '"server":"mssql"' out
    grep -qF "\"origin\":\"$url/pubs\"" out
    # A version that is longer than SQLite's.
    grep -qE '"server_version":"Microsoft SQL Server 2019 \(vdipipe serve, a stand-in\) - [0-9.]+ \(X64\)"' out
    grep -qF "\"label\":\"Tom's [nightly]\"" out
    grep -qF '"is_copy_only":true' out
    expect_exit 0 vdipipe backup "$url/pubs" -v --no-copy-only --no-checksum -o base.vdi
    grep -qF "backup of 'pubs' (full): " err
    grep -qF "NO_CHECKSUM" err
    fails grep -qF COPY_ONLY err
    expect_exit 0 vdipipe info --json base.vdi
    grep -qF '"is_copy_only":false' out
}

test_pipes() {
    make_db pubs.db 300
    serve --database "pubs=$PWD/pubs.db"
    vdipipe backup "$url/pubs" | vdipipe restore "$url/copy" --recovery
    cmp pubs.db copy.db
    vdipipe backup "$url/pubs" | zstd -q | vdipipe restore "$url/copy" --recovery --replace --no-preverify
    same_content pubs.db copy.db
    mkdir moved
    vdipipe backup "$url/pubs" | vdipipe restore "$url/other" --recovery --move-to "$PWD/moved"
    cmp pubs.db moved/main
    nothing_left
}

test_files_move() {
    make_db pubs.db 300
    mkdir moved
    serve --database "pubs=$PWD/pubs.db"
    vdipipe backup "$url/pubs" --devices 3 -o 'f.{device}'
    expect_exit 0 vdipipe restore "$url/a" --recovery --move-to "$PWD/moved" -i f.1
    cmp pubs.db moved/main
    expect_exit 0 vdipipe restore "$url/b" --recovery --move "main=$PWD/moved/it's = b" -i f.1
    cmp pubs.db "moved/it's = b"
    expect_exit 2 vdipipe restore "$url/c" --recovery --move "none=/x" --move-to "$PWD/moved" -i f.1
    expect_error "the backup has no file 'none'"
    expect_real_options restore
    expect_exit 2 vdipipe restore "$url/c" --recovery --move "none" -i f.1
    expect_error "--move takes LOGICAL=PATH, not 'none'"
    nothing_left
}

test_a_look_at_a_backup() {
    make_db pubs.db 300
    serve --database "pubs=$PWD/pubs.db"
    vdipipe backup "$url/pubs" --devices 2 -o 'f.{device}'
    expect_exit 0 vdipipe restore "$url" --header-only -i f.1
    grep -Eq '^BackupType +1$' out
    expect_exit 0 vdipipe restore "$url" --filelist-only --json -i f.1
    python3 -c 'import json; rows = json.load(open("out")); assert [r["LogicalName"] for r in rows] == ["main"], rows'
    expect_exit 0 vdipipe restore "$url" --label-only -i f.1
    grep -Eq '^FamilyCount +1$' out
    expect_exit 0 vdipipe restore "$url" --verify-only -i f.1 -v
    grep -qF "SQL Server finds the backup valid" err
    expect_exit 0 vdipipe restore "$url" --verify-only --checksum -i f.1
    expect_silence
    expect_exit 2 vdipipe restore "$url" --verify-only --header-only -i f.1
    expect_error "exclude each other"
    expect_exit 2 vdipipe restore "$url" --label-only --recovery -i f.1
    expect_error "--label-only restores nothing; leave --recovery out"
    expect_exit 2 vdipipe restore "$url/x" --json --recovery -i f.1
    expect_error "--json goes with --header-only"
    nothing_left
}

test_an_existing_database() {
    make_db pubs.db 300
    make_db other.db 5
    serve --database "pubs=$PWD/pubs.db" --database "other=$PWD/other.db"
    vdipipe backup "$url/pubs" --devices 2 -o 'f.{device}'
    sum other.db >before
    expect_exit 2 vdipipe restore "$url/other" --recovery -i f.1
    expect_error "the server has a database of that name; to overwrite it add --replace"
    sha256sum -c --quiet before
    # Rule 3: a damaged stripe is found before the server is told anything.
    mkdir aside && cp f.2 aside/f.2
    printf 'x' | dd of=f.2 bs=1 seek=70000 conv=notrunc status=none
    expect_exit 3 vdipipe restore "$url/other" --recovery --replace -i f.1 -v
    grep -qF "damaged" err
    fails grep -qF "RESTORE DATABASE" err
    sha256sum -c --quiet before
    vdipipe backup "$url/pubs" -o one
    expect_exit 2 vdipipe restore "$url/other" --recovery --replace < <(cat one)
    expect_error "give -i FILE, or --no-preverify"
    expect_real_options restore
    mv aside/f.2 f.2
    expect_exit 0 vdipipe restore "$url/other" --recovery --replace -i f.1
    same_content pubs.db other.db
    nothing_left
}

test_a_dry_run_needs_no_server() {
    make_db pubs.db 30
    serve --database "pubs=$PWD/pubs.db"
    vdipipe backup "$url/pubs" -o f.vdi
    end_server
    expect_exit 0 vdipipe restore "$url/new]one" --dry-run --norecovery --stop-at '2026-01-31 12:00:00' \
        --move "a=/b" -i f.vdi
    expect_error "would send to '$url/new]one': RESTORE DATABASE [new]]one] FROM VIRTUAL_DEVICE = N'" \
        "MOVE N'a' TO N'/b'" NORECOVERY "STOPAT = N'2026-01-31T12:00:00'"
}

test_names_of_any_kind() {
    make_db pubs.db 30
    serve --database "it's [a] \"b\" 100%=$PWD/pubs.db"
    expect_exit 0 vdipipe backup "$url/it's [a] \"b\" 100%25" -o '{db}.vdi'
    expect_exit 0 vdipipe restore "$url/c]''o" --recovery --move "main=$PWD/c.db" -i "it's [a] \"b\" 100%.vdi"
    cmp pubs.db c.db
    expect_exit 2 vdipipe backup "$url/a/b" -o f
    expect_error "%2F"
    nothing_left
}

test_own_statement() {
    make_db pubs.db 30
    serve --database "pubs=$PWD/pubs.db"
    expect_exit 0 vdipipe backup "$url/pubs" -v --devices 2 -o 'f.{device}' \
        --sql "BACKUP DATABASE pubs TO {devices} WITH COPY_ONLY, NAME = '{devices}'"
    grep -qF "(full, copy-only)" err
    grep -qF "NAME = '{devices}'" err
    zstd -dcq f.1 f.2 | cmp - pubs.db
    expect_exit 2 vdipipe backup "$url/pubs" -o f --sql "BACKUP DATABASE pubs TO DISK = 'x'"
    expect_error "{devices}"
    expect_exit 2 vdipipe backup "$url/pubs" -o f --sql "RESTORE DATABASE pubs FROM {devices}"
    expect_error "--sql holds no BACKUP"
    expect_exit 2 vdipipe backup "$url/pubs" -o f --sql "BACKUP DATABASE [pubs.] TO {devices}"
    expect_error "--sql backs up 'pubs.', and the URI names 'pubs'"
    expect_exit 2 vdipipe backup "$url/pubs" -o f --label x --sql "BACKUP DATABASE pubs TO {devices}"
    expect_error "--sql and --label exclude each other"
    expect_exit 2 vdipipe backup "$url/pubs" --sql "backup /* x */ log pubs TO {devices}" >f
    expect_error "cannot be taken again"
    nothing_left
}

test_a_log_backup_is_not_risked() {
    make_db pubs.db 30
    serve --database "pubs=$PWD/pubs.db"
    expect_exit 2 vdipipe backup "$url/pubs" --type log >f
    expect_error "a log backup to standard output" --accept-pipe-risk
    expect_real_options backup
    mkfifo fifo
    cat fifo >/dev/null &
    expect_exit 2 vdipipe backup "$url/pubs" --type log -o fifo
    expect_error "a log backup to fifo may be lost"
    wait $!
    # The stand-in's databases have no log to back up; it says so, so the statement was sent.
    expect_exit 1 vdipipe backup "$url/pubs" --type log --accept-pipe-risk >f
    grep -qF "Msg 4208" err
    expect_exit 1 vdipipe backup "$url/pubs" --type log --copy-only >f
    grep -qF "Msg 4208" err
    expect_exit 2 vdipipe backup "$url/pubs" --accept-pipe-risk >f
    expect_error "this one does not"
}

test_options_of_the_other_server() {
    local option
    make_db a.db 10
    for option in --copy-only --no-copy-only --file=x --filegroup=x --description=x --sql=x --encrypt=off --user=x \
        --password-fd=0 --login-timeout=3 --server-timeout=3 --sqlvdi=/x --accept-pipe-risk --no-checksum; do
        expect_exit 2 vdipipe backup a.db "$option" -o f
        expect_error "${option%%=*} is for databases of SQL Server, and 'a.db' is one of SQLite; leave it out"
    done
    for option in --max-lock=3 --max-wal=1G --spool-dir=/tmp --immutable; do
        expect_exit 2 vdipipe backup mssql://sa@localhost/pubs "$option" -o f
        expect_error "${option%%=*} is for databases of SQLite, and 'pubs' is one of SQL Server; leave it out"
    done
    expect_exit 2 vdipipe backup a.db --type log -o f
    expect_error "a SQLite database has no log backups; leave --type out"
    expect_exit 0 vdipipe backup a.db --type full --checksum --label nightly -o f
    expect_exit 0 vdipipe info f
    grep -Eq '^label +nightly$' out
    for option in --recovery --norecovery --standby=x --move=a=b --move-to=/x --stop-at=x --no-preverify --verify-only; do
        expect_exit 2 vdipipe restore b.db "$option" -i f
        expect_error "${option%%=*} is for databases of SQL Server"
    done
    expect_exit 2 vdipipe restore mssql://sa@localhost/b --check=full --recovery -i f
    expect_error "--check is for databases of SQLite"
    expect_exit 2 vdipipe restore mssql://sa@localhost/b --recovery -i f --password-file "$password"
    expect_error "the backup is of a SQLite database"
    fails test -e b.db
}

test_contradictions() {
    local uri=mssql://sa@localhost/pubs
    : >f
    expect_exit 2 vdipipe backup "$uri" --copy-only --no-copy-only -o x
    expect_error "--copy-only and --no-copy-only exclude each other"
    expect_exit 2 vdipipe backup "$uri" --checksum --no-checksum -o x
    expect_error "--checksum and --no-checksum exclude each other"
    expect_exit 2 vdipipe backup "$uri" --type diff --copy-only -o x
    expect_error "a differential backup is never copy-only"
    expect_exit 2 vdipipe backup "$uri" --type log --file a -o x
    expect_error "a log backup has no --file"
    expect_exit 2 vdipipe backup mssql://sa@localhost -o x
    expect_error "names no database"
    expect_exit 2 vdipipe restore "$uri" -i f
    expect_error "--recovery" "--norecovery" "--standby"
    expect_exit 2 vdipipe restore "$uri" --recovery --norecovery -i f
    expect_error "one of them"
    expect_exit 2 vdipipe restore "$uri" --recovery --replace=aside -i f
    expect_error "give --replace alone"
    expect_exit 2 vdipipe restore "$uri" --recovery --no-preverify -i f
    expect_error "--no-preverify goes with --replace"
    expect_exit 2 vdipipe restore "$uri" --recovery --stop-at yesterday -i f
    expect_error "--stop-at takes YYYY-MM-DDThh:mm:ss, not 'yesterday'"
    expect_exit 2 vdipipe backup "$uri" --label "$(printf '%129s' x)" -o x
    expect_error "--label has 129 characters; 128 are allowed"
}

test_verify_is_about_files() {
    expect_exit 2 vdipipe verify mssql://sa@localhost/pubs
    expect_error "vdipipe restore mssql://sa@localhost/pubs --verify-only -i FILE"
}

test_sections() {
    make_db pubs.db 30
    serve --database "pubs=$PWD/pubs.db"
    cat >conf <<CONF
[defaults]
no-copy-only = yes
max-lock = 3

[pubs]
database = $url/pubs
password-file = $password
output = {db}-{type}.vdi

[wrong]
database = $url/pubs
immutable = yes
CONF
    chmod 600 conf
    unset VDIPIPE_PASSWORD_FILE
    expect_exit 0 vdipipe backup --config conf @pubs -v
    grep -qF "backup of 'pubs' (full): " err
    expect_exit 0 vdipipe backup --config conf @pubs -v --copy-only --force
    grep -qF "backup of 'pubs' (full, copy-only): " err
    expect_exit 2 vdipipe backup --config conf @wrong -o x
    expect_error "section [wrong] has 'immutable', which is for databases of SQLite"
}

test_no_server_is_asked_unasked() {
    make_db pubs.db 30
    serve --database "pubs=$PWD/pubs.db"
    vdipipe backup "$url/pubs" -o f.vdi
    expect_exit 2 vdipipe restore -i f.vdi
    expect_error "a password goes only to a server that you name" "$url/pubs"
    expect_exit 2 vdipipe restore copy.db -i f.vdi
    expect_error "cannot become a SQLite database"
    expect_exit 2 vdipipe backup mssql://sa:secret@localhost/pubs -o x
    expect_error "password"
    fails grep -qF secret err
    expect_exit 2 vdipipe backup mssql://sa@192.0.2.1/pubs -o x
    expect_error "is another machine"
}

test_a_chain_of_full_diff_and_log() {
    printf 'set direction write\ndevice 1\n  write 64K x4 data pattern 3\n  flush\n' >backup.vds
    printf 'set direction read\ndevice 1\n  read 64K until eof check pattern 3 total 256K\n  clearerror\n' >restore.vds
    serve --database app --script backup.vds --restore-script restore.vds
    expect_exit 1 vdipipe backup "$url/app" --type diff -o x
    expect_error "Msg 3035"
    expect_exit 0 vdipipe backup "$url/app" --no-copy-only -o '1-{type}.vdi'
    expect_exit 0 vdipipe backup "$url/app" --type log -o '2-{type}.vdi'
    expect_exit 0 vdipipe backup "$url/app" --type diff -o '3-{type}.vdi' -v
    grep -qF "backup of 'app' (differential): " err
    expect_exit 0 vdipipe backup "$url/app" --type log -o '4-{type}.vdi' -v
    grep -qF "backup of 'app' (log): " err
    expect_exit 0 vdipipe backup "$url/app" --filegroup PRIMARY --file data -v -o part.vdi
    grep -qF "BACKUP DATABASE [app] FILE = N'data', FILEGROUP = N'PRIMARY' TO" err
    expect_exit 0 vdipipe info --chain 4-log.vdi 3-diff.vdi 2-log.vdi 1-full.vdi
    [[ $(grep -o '[0-9]-[a-z]*\.vdi' out | tr '\n' ' ') == "1-full.vdi 3-diff.vdi 4-log.vdi 2-log.vdi " ]] || fail "$(<out)"
    expect_exit 1 vdipipe info --chain 4-log.vdi 1-full.vdi
    expect_exit 0 vdipipe restore "$url/other" --norecovery --move-to /srv -i 1-full.vdi -v
    grep -qF "MOVE N'data' TO N'/srv/data.mdf'" err
    expect_exit 0 vdipipe restore "$url/other" --norecovery -i 3-diff.vdi
    expect_exit 0 vdipipe restore "$url/other" --recovery -i 4-log.vdi -v --stop-at 2026-01-31T12:00:00
    grep -qF "RESTORE LOG [other] FROM" err
    grep -qF "STOPAT = N'2026-01-31T12:00:00'" err
    nothing_left
}

run_tests
