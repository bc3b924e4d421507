# shellcheck shell=bash
# shellcheck disable=SC2030,SC2031 # what a scenario sets in its subshell is for its subshell
#
# lib.sh - what the scenario scripts share
#
# A script sources this file, defines functions named test_*, and ends with `run_tests`. Each function is one scenario: it runs
# in a subshell of its own, in a fresh folder whose path has a space in it, with `set -e` and its own runtime folder; it fails
# when a command fails or fail() is called. The environment says what is tested:
#
#   VDIPIPE           the executable
#   VDIPIPE_HELPERS   the folder with the helper programs of tests/support
#   VDIPIPE_SANITIZED not empty: the executable is slow and takes much address space
#
# A script may be run by hand; ONLY=PATTERN picks scenarios by their function's name, KEEP=1 keeps the folder.
set -uE -o pipefail

: "${VDIPIPE:?the vdipipe executable to test}"
: "${VDIPIPE_HELPERS:?the folder of the helper programs}"
export LC_ALL=C TZ=UTC

scratch=$(mktemp -d "${TMPDIR:-/tmp}/vdipipe scenario.XXXXXX") || exit 1
passed=0
failed=0

# The time a command may take before it counts as hanging; sanitizers are slow.
patience=${VDIPIPE_TEST_PATIENCE:-60}

# ---- running ----

# Ends what a scenario left running. Only processes that carry this script's own runtime folder in their environment.
end_strays() {
    local pid
    for pid in $(strays "$scratch"); do
        kill -KILL "$pid" 2>/dev/null
    done
}

clean_up() {
    end_strays
    if [[ -n ${KEEP:-} ]]; then
        echo "kept: $scratch"
    else
        chmod -R u+rwx "$scratch" 2>/dev/null
        rm -rf "$scratch"
    fi
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Runs every test_* function of the script, in the order of the file.
run_tests() {
    local name number=0
    shopt -s extdebug
    while read -r name; do
        number=$((number + 1))
        # shellcheck disable=SC2053 # a pattern is wanted
        [[ $name == ${ONLY:-*} ]] || continue
        run_one "$name" "$scratch/test $number"
    done < <(for name in $(compgen -A function test_); do declare -F "$name"; done | sort -k2n | cut -d' ' -f1)
    echo "$passed passed, $failed failed"
    [[ $failed -eq 0 ]]
    exit
}

run_one() { # FUNCTION FOLDER
    local title=${1#test_} status=0 start=$SECONDS
    title=${title//_/ }
    mkdir -p "$2/here" "$2/run" || exit 1
    chmod 700 "$2/run"
    (
        cd "$2/here" || exit 1
        export VDIPIPE_RUNTIME_DIR="$2/run"
        export XDG_CONFIG_HOME="$2/config" VDIPIPE_STATE_DIR="$2/state"
        test_log=$2/log
        test_reason=$2/reason
        shopt -u extdebug
        set -E # extdebug takes it along
        exec >"$test_log" 2>&1 </dev/null
        trap 'note_failure "line $LINENO: $BASH_COMMAND"' ERR
        set -e
        "$1"
    )
    status=$?
    end_strays
    [[ $((SECONDS - start)) -lt 3 ]] || title+=" ($((SECONDS - start)) s)"
    if [[ $status -eq 77 ]]; then
        echo "skip - $title: $(<"$2/reason")"
    elif [[ $status -eq 0 ]]; then
        echo "ok - $title"
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "not ok - $title (status $status)"
        sed -n '1,12s/^/    /p' "$2/reason" 2>/dev/null
        tail -n 20 "$2/log" | sed 's/^/    | /'
    fi
    [[ -n ${KEEP:-} ]] || { chmod -R u+rwx "$2" && rm -rf "$2"; } 2>/dev/null
}

note_failure() {
    printf '%s\n' "$1" >>"$test_reason"
}

fail() {
    note_failure "line ${BASH_LINENO[*]:0:3}: $*"
    exit 1
}

skip() {
    printf '%s\n' "$*" >"$test_reason"
    exit 77
}

# ---- the program ----

# For the foreground; a scenario that needs the process's id starts "$VDIPIPE" itself.
vdipipe() {
    timeout --foreground -k 5 "$patience" "$VDIPIPE" "$@"
}

helper() {
    "$VDIPIPE_HELPERS/$1" "${@:2}"
}

# Runs a command whose standard error goes to `err` and, unless the caller redirected it, standard output to `out`.
expect_exit() { # STATUS COMMAND...
    local want=$1 got=0
    shift
    if [[ /proc/self/fd/1 -ef $test_log ]]; then
        "$@" >out 2>err || got=$?
    else
        "$@" 2>err || got=$?
    fi
    [[ $got -eq $want ]] || fail "exit $got, not $want: $* -- $(cat -v err)"
}

# The leak checker guesses where the thread-local variables of opened libraries are, and crashes where it guesses wrong.
export ASAN_OPTIONS=intercept_tls_get_addr=0

# Its scanner has also crashed in processes that had opened an instrumented library. That no leaks are in that code is what its
# unit tests tell.
without_leak_check() {
    [[ -z ${VDIPIPE_SANITIZED:-} ]] || export ASAN_OPTIONS=detect_leaks=0
}

# The leak checker speaks of a thread that the kernel has not yet taken off its list; that is no word of ours.
drop_checker_words() { # FILE
    [[ -z ${VDIPIPE_SANITIZED:-} ]] || sed -i '/^==[0-9]*==Unable to get registers from thread [0-9]*\.$/d' "$1"
}

# What the last expect_exit printed holds every one of the texts, and is one line of ours.
expect_error() { # TEXT...
    local text
    drop_checker_words err
    [[ $(wc -l <err) -eq 1 ]] || fail "not one line of error: $(cat -v err)"
    [[ $(<err) == "vdipipe: "* ]] || fail "does not begin with the program's name: $(cat -v err)"
    for text in "$@"; do
        grep -qF -e "$text" err || fail "no '$text' in: $(cat -v err)"
    done
}

# What the message recommends exists: every option in it is one of the command's.
expect_real_options() { # COMMAND
    local option
    while read -r option; do
        vdipipe __complete "$1" | grep -e "^${option}[=[:space:]]" >/dev/null || fail "there is no $option: $(<err)"
    done < <(grep -o -e '--[a-z][a-z-]*' err)
}

# `!` alone would not end a scenario.
fails() { # COMMAND...
    ! "$@"
}

expect_silence() {
    [[ ! -s err ]] || fail "not silent: $(cat -v err)"
}

has_faults() {
    grep -aq VDIPIPE_FAULT_FD "$VDIPIPE"
}

needs_faults() {
    has_faults || skip "built without fault points"
}

needs_root() {
    [[ $(id -u) -eq 0 ]] || skip "needs root"
}

# ---- processes ----

# Ids of living processes (not zombies) that have a runtime folder below FOLDER.
strays() { # FOLDER
    local pid state
    for pid in $(pgrep -f 'vdipipe|writer|tools|sqlite3|_client'); do
        [[ $pid -ne $$ && $pid -ne $BASHPID ]] || continue
        grep -qzF -e "VDIPIPE_RUNTIME_DIR=$1" "/proc/$pid/environ" 2>/dev/null || continue
        state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$pid/status" 2>/dev/null)
        [[ -z $state || $state == Z ]] || echo "$pid"
    done
}

# The server process of a client, waiting until there is one.
server_of() { # PID
    local child='' deadline=$((SECONDS + 10))
    while [[ -z $child && $SECONDS -lt $deadline && -e /proc/$1 ]]; do
        child=$(pgrep -P "$1" -x vdipipe-server || :)
        [[ -n $child ]] || pause
    done
    [[ -n $child ]] || fail "process $1 has no server"
    echo "$child"
}

# Yields the processor between two looks at a condition; never what a scenario relies on.
pause() {
    read -rt 0.02 _ <> <(:) || :
}

# Waits until a condition (a command) holds.
wait_until() { # SECONDS COMMAND...
    local deadline=$((SECONDS + $1 + 1)) what=${*:2}
    shift
    until "$@" >/dev/null 2>&1; do
        [[ $SECONDS -lt $deadline ]] || fail "not within the time: $what"
        pause
    done
}

set_is_there() { # NAME
    vdipipe list | grep -q "^$1 "
}

wait_for_file() { # PATH SECONDS
    wait_until "$2" test -e "$1"
}

# The promised time in milliseconds, for this machine now: the promises are made for one that has a processor for who wants
# to run. Where N times as many want one, it is N times as long, 5 times at most, so that a hang stays one.
fair_ms() { # SECONDS
    awk -v seconds="$1" -v processors="$(nproc)" '{
        split($4, tasks, "/")
        share = ($1 > tasks[1] ? $1 : tasks[1]) / processors
        print int(seconds * 1000 * (share < 1 ? 1 : share > 5 ? 5 : share))
    }' /proc/loadavg
}

# Waits for the end of any process, and fails when it takes longer.
wait_for_pid_end() { # PID SECONDS
    local ms
    ms=$(fair_ms "$2")
    helper tools wait-pid "$1" "$ms" || fail "process $1 still lives after $ms ms"
}

# Waits for a child of this shell that must end by itself, and checks its exit status.
expect_end() { # PID SECONDS STATUS
    local got=0
    wait_for_pid_end "$1" "$2"
    wait "$1" || got=$?
    [[ $got -eq $3 ]] || fail "process ended with $got, not $3: $(cat -v err 2>/dev/null)"
}

# Nothing of a run is left: no temporary file in FOLDER, no file in the runtime folder, no process.
no_leftovers() { # [FOLDER]
    local folder=${1:-.} found pid
    # Whoever was told to end may still be about it; the promise is two seconds.
    for pid in $(strays "$VDIPIPE_RUNTIME_DIR"); do
        helper tools wait-pid "$pid" "$(fair_ms 2)" || fail "still alive: $(tr '\0' ' ' <"/proc/$pid/cmdline")"
    done
    found=$(find "$folder" "$VDIPIPE_RUNTIME_DIR" -mindepth 1 \( -name '.*.partial-*' -o -name '.*.restore-*' -o -name '.*.aside-*' -o -name '.*.lock-*' -o -name '.vdipipe-*' -o \
        -path "$VDIPIPE_RUNTIME_DIR/*" \))
    [[ -z $found ]] || fail "left over: $found"
}

# ---- databases ----

# A database with some tables, an index, a view and a trigger. ROWS of about 500 bytes each that do not compress.
make_db() { # PATH ROWS [PAGE-SIZE] [JOURNAL-MODE] [PRAGMA...]
    local pragma pragmas="pragma page_size=${3:-4096};"
    for pragma in "${@:5}"; do
        pragmas+="pragma $pragma;"
    done
    sqlite3 "$1" >/dev/null <<SQL
$pragmas
pragma journal_mode=${4:-delete};
pragma synchronous=off;
begin;
create table item(id integer primary key, name text, data blob);
create table note(item integer, words text);
create index note_item on note(item);
create view named as select id, name from item where name is not null;
create trigger item_gone after delete on item begin delete from note where item = old.id; end;
with recursive n(i) as (select 1 where $2 > 0 union all select i + 1 from n where i < $2)
  insert into item select i, 'item ' || i || ' äöü', randomblob(480) from n;
insert into note select id, 'note about ' || name from item where id % 3 = 0;
commit;
SQL
}

integrity() { # PATH
    local answer
    answer=$(sqlite3 "$1" 'pragma integrity_check')
    [[ $answer == ok ]] || fail "integrity_check of $1: $answer"
}

# The same rows, and both sound.
same_content() { # DB DB
    integrity "$1"
    integrity "$2"
    cmp <(sqlite3 "$1" .dump) <(sqlite3 "$2" .dump) || fail "$1 and $2 differ"
}

# The database as SQLite sees it, in one file: the log of a copy is brought home.
flatten() { # DB IMAGE
    local suffix
    for suffix in '' -wal; do
        [[ ! -e $1$suffix ]] || cp "$1$suffix" "$2$suffix"
    done
    sqlite3 "$2" 'pragma wal_checkpoint(truncate)' >/dev/null
    rm -f "$2-wal" "$2-shm"
}

# A database in WAL mode with frames that are not in the file yet. The process that made them was killed, so the log stays.
make_pending_wal() { # PATH ROWS [PAGE-SIZE]
    make_db "$1" "$2" "${3:-4096}" wal
    {
        sqlite3 "$1" >/dev/null <<SQL
pragma wal_autocheckpoint=0;
begin; update item set name = 'changed ' || id where id % 2 = 0; commit;
insert into item select null, 'late', randomblob(300) from item limit 50;
.system kill -9 \$PPID
SQL
    } 2>/dev/null || :
    [[ -s $1-wal ]] || fail "no frames are pending in $1"
}

sum() { # FILE...
    sha256sum -- "$@"
}

# ---- terminals ----

# A terminal of its own: keystrokes are sent by `type_at`, what appears is in `screen`.
on_a_terminal() { # COMMAND
    rm -f keyboard screen
    mkfifo keyboard
    exec 8<>keyboard
    script -qfec "$1" screen <keyboard >/dev/null 2>&1 &
    # shellcheck disable=SC2034 # scenarios wait for its end
    terminal=$!
}

type_at() { # PROMPT TEXT
    wait_until 20 grep -qF "$1" screen
    printf '%s\n' "$2" >&8
}

needs_terminal() {
    command -v script >/dev/null || skip "needs script"
}
