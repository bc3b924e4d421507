#!/usr/bin/env bash
# Encryption on the command line: keys made, given, missing and wrong; what the stock age makes of it; where secrets never are.
# shellcheck disable=SC2317,SC2119,SC2030,SC2031 # run_tests calls the functions by their names, each in its own subshell
# shellcheck source-path=SCRIPTDIR source=../support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

# Two pairs: key and other; recipient and other_recipient.
make_keys() {
    recipient=$(vdipipe keygen -o key)
    other_recipient=$(vdipipe keygen -o other)
}

needs_age() {
    command -v age >/dev/null || skip "needs age"
}

# ---- keygen ----

test_keygen_makes_what_age_keygen_makes() {
    needs_age
    umask 000
    expect_exit 0 vdipipe keygen -o key
    expect_silence
    [[ $(stat -c %a key) == 600 ]] || fail "mode $(stat -c %a key)"
    [[ $(<out) =~ ^age1[a-z0-9]{58}$ ]] || fail "$(<out)"
    [[ $(age-keygen -y key) == "$(<out)" ]] || fail "age-keygen reads another recipient"
    [[ $(sed -n 's/^# public key: //p' key) == "$(<out)" ]]
    grep -q '^# created: 20' key
    [[ $(wc -l <key) -eq 3 ]]
    echo hello | age -r "$(<out)" | age -d -i key | grep -qx hello
}

test_keygen_never_overwrites() {
    echo precious >key
    expect_exit 2 vdipipe keygen -o key
    expect_error "'key' exists" 'another name'
    [[ ! -s out && $(<key) == precious ]]
    ln -s nowhere link
    expect_exit 2 vdipipe keygen -o link
    [[ ! -e nowhere ]]
    expect_exit 1 vdipipe keygen -o missing/key
    expect_error missing/key
    ! vdipipe keygen key 2>err || fail "an operand is taken"
}

test_keygen_to_standard_output() {
    umask 077
    vdipipe keygen >key 2>err
    [[ $(<err) == "vdipipe: public key: $(sed -n 's/^# public key: //p' key)" ]] || fail "$(<err)"
    umask 022
    vdipipe keygen >exposed 2>err
    grep -q 'others can read the file with the secret key.*chmod go-r' err
    [[ $(wc -l <err) -eq 2 ]]
    vdipipe keygen -q >piped 2>err
    expect_silence
    expect_exit 1 vdipipe keygen >/dev/full
    expect_error 'No space left'
    ! cmp -s key piped || fail "the same key twice"
}

# ---- writing and reading ----

test_a_backup_for_a_recipient() {
    needs_age
    make_keys
    make_db app.db 500
    expect_exit 0 vdipipe backup app.db -o f --zstd --recipient "$recipient" -v
    grep -qF "encrypted for $recipient" err || fail "$(<err)"
    ! grep -aqF 'SQLite format' f || fail "plaintext in the file"
    [[ $(head -c 21 f) == age-encryption.org/v1 ]]
    age -d -i key f | zstd -dcq | cmp - app.db
    expect_exit 0 vdipipe verify --identity key f
    expect_silence
    expect_exit 0 vdipipe restore copy.db --identity key -i f
    cmp copy.db app.db
    expect_exit 0 vdipipe restore copy2.db --identity key <f
    cmp copy2.db app.db
    expect_exit 0 vdipipe backup app.db --recipient "$recipient" -o from-a-cron-job
    expect_silence
}

test_the_machine_that_backs_up_needs_no_secret_key() {
    local made
    make_db app.db 50
    made=$(vdipipe keygen -o key)
    mv key elsewhere
    vdipipe backup app.db -r "$made" >f
    vdipipe verify --identity elsewhere f
}

test_several_recipients_each_read_it() {
    needs_age
    local third
    make_keys
    make_db app.db 50
    third=$(vdipipe keygen -o third)
    printf '# people\n\n%s\n# machines\n%s\n' "$other_recipient" "$third" >people
    vdipipe backup app.db -r "$recipient" -R people --progress json -v >f 2>said
    grep -qF "encrypted for $recipient, $other_recipient, $third" said || fail "$(<said)"
    grep -h '"last":true' said | jq -e --arg a "$recipient" --arg b "$other_recipient" --arg c "$third" \
        '.recipients == [$a, $b, $c] and .recipient_count == 3'
    for key in key other third; do
        vdipipe verify --identity "$key" f
        age -d -i "$key" f | zstd -dcq | cmp - app.db
    done
    # Stock age takes the same file of recipients.
    vdipipe backup app.db | age -R people -r "$recipient" >h
    for key in key other third; do
        expect_exit 0 vdipipe verify --identity "$key" h
        expect_silence
    done
    # A file of several keys, and several files.
    cat other key >both
    vdipipe verify --identity both f
    vdipipe backup app.db -r "$third" >g
    chmod 600 both
    expect_exit 0 vdipipe verify --identity both --identity third g
    expect_silence
}

test_what_the_stock_age_wrote() {
    needs_age
    make_keys
    make_db app.db 300
    vdipipe backup app.db | age -r "$recipient" >f
    vdipipe restore 1.db --identity key -i f
    vdipipe backup app.db --raw | age -a -r "$recipient" -r "$other_recipient" >g
    vdipipe restore 2.db --identity other <g
    vdipipe backup app.db | zstd | age -r "$recipient" | zstd >h
    vdipipe restore 3.db --identity key <h
    for copy in 1 2 3; do
        cmp app.db "$copy.db"
    done
}

test_a_crowd_of_recipients_is_counted() {
    local i
    make_db app.db 5
    for i in {1..20}; do
        vdipipe keygen -o "key.$i" >>people
    done
    vdipipe backup app.db -R people --progress json -v >f 2>said
    grep -qF "$(sed -n 16p people) and 4 more" said || fail "$(<said)"
    grep -h '"last":true' said | jq -e '.recipient_count == 20 and (.recipients | length) == 16'
    vdipipe verify --identity key.20 f
}

test_armor() {
    needs_age
    make_keys
    make_db app.db 300
    vdipipe backup app.db -r "$recipient" --armor >f
    [[ $(head -n 1 f) == '-----BEGIN AGE ENCRYPTED FILE-----' && $(tail -n 1 f) == '-----END AGE ENCRYPTED FILE-----' ]]
    ! grep -qvE '^[-A-Za-z0-9+/= ]{1,64}$' f || fail "not text"
    age -d -i key f | zstd -dcq | cmp - app.db
    vdipipe extract --identity key f | cmp - app.db
}

test_stripes_find_each_other() {
    make_keys
    make_db app.db 2000
    vdipipe backup app.db --devices 3 --zstd -r "$recipient" -o 'f.{device}'
    vdipipe restore copy.db --identity key -i f.2
    cmp app.db copy.db
    rm f.3
    expect_exit 3 vdipipe restore gone.db --identity key -i f.1
    expect_error 'device 3 of 3 is missing'
    [[ ! -e gone.db ]]
    # Files of two backups do not mix, whoever encrypted them.
    vdipipe backup app.db --devices 3 --zstd -r "$recipient" -o 'g.{device}'
    expect_exit 3 vdipipe restore gone.db --identity key -i f.1 -i f.2 -i g.3
    expect_error 'belongs to another backup'
    [[ ! -e gone.db ]]
}

test_raw_inside_age() {
    needs_age
    make_keys
    make_db app.db 300
    vdipipe backup app.db --raw -r "$recipient" >f
    age -d -i key f | cmp - app.db
    expect_exit 0 vdipipe verify --identity key f
    expect_silence
    vdipipe restore copy.db --identity key <f
    cmp app.db copy.db
}

test_one_layer_is_taken_off() {
    needs_age
    make_keys
    make_db app.db 300
    vdipipe backup app.db --zstd -r "$recipient" >f
    vdipipe extract --layer age --identity key f >inner
    age -d -i key f | cmp - inner
    vdipipe verify inner
    zstd -q f -o g
    vdipipe extract --layer zstd g | cmp - f
    # A layer that is not the outermost, or not there.
    expect_exit 2 vdipipe extract --layer age --identity key g
    expect_error "outermost layer is 'zstd', not 'age'"
    expect_exit 2 vdipipe extract --layer zstd inner
    expect_error "outermost layer is 'vdi stream'"
    expect_exit 2 vdipipe extract --layer vdi inner
    expect_exit 2 vdipipe extract --layer age --identity key app.db -o x
    [[ ! -e x ]]
    # What is inside need be nothing that vdipipe knows.
    echo hello | age -r "$recipient" >h
    [[ $(vdipipe extract --layer age --identity key h) == hello ]]
    echo hello | zstd -q >h
    [[ $(vdipipe extract --layer zstd <h) == hello ]]
    # Cut off it is refused all the same.
    head -c -1 f >short
    expect_exit 3 vdipipe extract --layer age --identity key short -o x
    [[ ! -e x ]]
}

# ---- keys that are missing, wrong, exposed or malformed ----

test_a_wrong_or_missing_key() {
    make_keys
    make_db app.db 500
    vdipipe backup app.db -r "$recipient" >f
    for command in 'verify f' 'extract f -o x' 'restore copy.db -i f' 'restore copy.db'; do
        # shellcheck disable=SC2086 # a list of words
        expect_exit 4 vdipipe $command <f
        expect_error --identity
        # shellcheck disable=SC2086
        expect_exit 4 vdipipe $command --identity other <f
        expect_error ''
    done
    [[ ! -e x && ! -e copy.db ]]
    echo phrase >phrase
    chmod 600 phrase
    expect_exit 4 vdipipe verify --passphrase-file phrase f
    no_leftovers
}

# Anybody can make a stream that is not encrypted; whoever gives a key does not take it for the one that is.
test_what_is_not_encrypted_although_a_key_is_given() {
    local file
    make_keys
    make_db app.db 500
    make_db precious.db 5
    cp precious.db before
    echo phrase >phrase
    chmod 600 phrase
    vdipipe backup app.db -o stream
    zstd -q stream -o zstd
    vdipipe backup app.db --raw >raw
    for file in stream zstd raw; do
        for words in 'verify' 'extract -o x' 'restore copy.db -i' 'restore --replace precious.db -i' 'create demo --open-timeout 5 -i'; do
            # shellcheck disable=SC2086 # a list of words
            expect_exit 4 vdipipe $words "$file" --identity key
            expect_error "'$file' is not encrypted, although a key was given" 'give no key'
        done
        expect_exit 4 vdipipe restore copy.db --passphrase-file phrase <"$file"
        expect_error 'standard input is not encrypted'
        expect_exit 0 vdipipe info --identity key "$file"
        expect_exit 0 vdipipe restore copy.db <"$file"
        cmp copy.db app.db
        rm copy.db
    done
    expect_exit 4 vdipipe create demo --open-timeout 5 --raw -i raw --identity key
    vdipipe extract --layer zstd zstd --identity key | cmp - stream
    cmp precious.db before
    [[ ! -e x && ! -e copy.db ]]
    no_leftovers
}

# It is found in the header: not one byte more than a read ahead of it is taken from a pipe.
test_a_wrong_key_is_told_before_the_data_comes() {
    make_keys
    make_db app.db 3000
    vdipipe backup app.db -r "$recipient" >f
    mkfifo pipe
    exec 6<>pipe
    head -c 400 f >&6
    expect_exit 4 vdipipe verify --identity other -i pipe
    exec 6>&-
}

test_info_without_a_key() {
    needs_age
    command -v jq >/dev/null || skip "needs jq"
    make_keys
    make_db app.db 50
    vdipipe backup app.db -r "$recipient" -r "$other_recipient" >f
    expect_exit 0 vdipipe info f
    expect_silence
    grep -qE '^layers +age$' out || fail "$(<out)"
    grep -qE '^encrypted_for +\{"X25519":2\}$' out || fail "$(<out)"
    expect_exit 0 vdipipe info --json <f
    [[ $(jq -c '[.layers, .encrypted_for, .needs_key, has("complete")]' out) == '[["age"],{"X25519":2},true,false]' ]] || fail "$(<out)"
    # With a key it says everything; with a wrong one it fails.
    expect_exit 0 vdipipe info --json --identity key f
    [[ $(jq -c '[.layers, .encrypted_for, .complete, .database]' out) == '[["age","vdi stream"],{"X25519":2},true,"app.db"]' ]] || fail "$(<out)"
    vdipipe keygen -o third >/dev/null
    expect_exit 4 vdipipe info --identity third f
    zstd -q f -o g
    expect_exit 0 vdipipe info --json g
    [[ $(jq -c .layers out) == '["zstd","age"]' ]] || fail "$(<out)"
}

test_an_identity_that_others_can_read() {
    make_keys
    make_db app.db 10
    vdipipe backup app.db -r "$recipient" >f
    chmod 644 key
    expect_exit 0 vdipipe verify --identity key f
    expect_error "others can read 'key'" 'chmod go-r'
    expect_exit 0 vdipipe verify -q --identity key f
    expect_silence
}

test_secrets_as_arguments_are_refused_and_not_repeated() {
    local secret
    make_keys
    make_db app.db 10
    secret=$(tail -n 1 key)
    for option in --recipient --recipients-file; do
        expect_exit 2 vdipipe backup app.db "$option" "$secret" -o f
        expect_error 'secret key'
        ! grep -qi "${secret:20:10}" err || fail "$option repeats it"
    done
    expect_exit 2 vdipipe restore copy.db --identity "$secret" <app.db
    expect_error 'secret key'
    ! grep -qi "${secret:20:10}" err || fail "--identity repeats it"
    expect_exit 2 vdipipe backup app.db --passphrase="$secret" -o f
    expect_error 'unknown option'
    ! grep -qi "${secret:20:10}" err || fail "--passphrase= repeats it"
    # The whole file's text instead of its name, and a key where nobody expects one.
    for words in "backup app.db -o f --recipient" "backup app.db -o f --recipients-file" "backup app.db -o f --passphrase-file" \
        "backup" "verify --identity" "verify --passphrase-file" "verify" "extract" "info" "abort" ""; do
        for text in "$(<key)" " $secret" "x/$secret/x" "${secret,,}"; do
            # shellcheck disable=SC2086 # a list of words
            vdipipe $words "$text" >out 2>err && fail "$words takes it"
            ! grep -qi "${secret:17:10}" err out || fail "$words repeats it: $(<err)"
        done
    done
    # A file of secret keys where public ones are wanted, and the other way round.
    expect_exit 2 vdipipe backup app.db -R key -o f
    expect_error key
    ! grep -qi "${secret:20:10}" err || fail "-R repeats it"
    printf '%s\n' "$recipient" >public
    chmod 600 public
    expect_exit 2 vdipipe restore copy.db --identity public <app.db
    expect_error public
    [[ ! -e f && ! -e copy.db ]]
}

test_options_that_do_not_fit() {
    make_keys
    make_db app.db 10
    echo phrase >phrase
    chmod 600 phrase
    : >nobody
    expect_exit 2 vdipipe backup app.db --armor -o f
    expect_error --armor --recipient
    expect_exit 2 vdipipe backup app.db -r "$recipient" --passphrase-file phrase -o f
    expect_error 'exclude each other'
    expect_exit 2 vdipipe backup app.db --passphrase-fd 0 --passphrase-file phrase -o f
    expect_error 'exclude each other'
    expect_exit 2 vdipipe backup app.db -R nobody -o f
    expect_error "'nobody'" 'holds no key'
    expect_exit 2 vdipipe backup app.db -r "${recipient}x" -o f
    expect_exit 2 vdipipe backup app.db -r 'ssh-ed25519 AAAA' -o f
    expect_exit 2 vdipipe backup app.db -r age1yubikey1qqqq -o f
    expect_exit 2 vdipipe verify --identity missing app.db
    expect_error missing
    for kind in tape disk; do
        expect_exit 2 vdipipe create demo --features "$kind" -r "$recipient" -o f
        expect_error "$kind" 'not encrypted'
    done
    expect_exit 2 vdipipe create demo -i app.db -r "$recipient"
    expect_error '--recipient goes with -o FILE'
    expect_exit 2 vdipipe create demo -o f --identity key
    expect_error '--identity goes with -i FILE'
    [[ ! -e f ]]
}

test_the_configuration_names_keys() {
    make_keys
    make_db app.db 50
    printf '%s\n%s\n' "$recipient" "$other_recipient" >people
    mkdir -p "$XDG_CONFIG_HOME/vdipipe"
    cat >"$XDG_CONFIG_HOME/vdipipe/vdipipe.conf" <<END
[app]
database = $PWD/app.db
recipients-file = $PWD/people
identity = $PWD/key
output = $PWD/f
END
    vdipipe backup @app
    [[ $(head -c 3 f) == age ]] || fail "it is not encrypted"
    expect_exit 0 vdipipe restore @app --replace -i f
    # systemd's credentials are files in a folder.
    mkdir credentials
    cp other credentials/key
    CREDENTIALS_DIRECTORY=$PWD/credentials bash -c '"$VDIPIPE" verify --identity "$CREDENTIALS_DIRECTORY/key" f'
}

# ---- sets of others ----

test_sets_are_written_and_read_with_keys() {
    make_keys
    make_db app.db 2000
    vdipipe create demo --devices 2 -o '{device}.vdi' -o other.vdi -r "$recipient" 2>create.err &
    local client=$!
    expect_exit 0 vdipipe exec --open-timeout 20 "BACKUP DATABASE [$PWD/app.db] TO VIRTUAL_DEVICE='demo', VIRTUAL_DEVICE='demo2'"
    wait "$client" || fail "$(<create.err)"
    [[ $(head -c 3 1.vdi) == age && $(head -c 3 other.vdi) == age ]]
    vdipipe verify --identity key 1.vdi other.vdi
    vdipipe create back --devices 2 -i 1.vdi -i other.vdi --identity key 2>create.err &
    client=$!
    expect_exit 0 vdipipe exec --open-timeout 20 "RESTORE DATABASE [$PWD/copy.db] FROM VIRTUAL_DEVICE='back', VIRTUAL_DEVICE='back2'"
    wait "$client" || fail "$(<create.err)"
    cmp app.db copy.db
    expect_exit 4 vdipipe create back -i 1.vdi --identity other
    expect_exit 4 vdipipe create back -i 1.vdi
    for kind in tape disk; do
        expect_exit 2 vdipipe create back --features "$kind" -i 1.vdi --identity key
        expect_error '1.vdi'
    done
}

# ---- damage ----

test_nothing_unauthenticated_reaches_a_database() {
    local size at
    make_keys
    make_db app.db 3000
    make_db precious.db 5
    cp precious.db before
    vdipipe backup app.db -r "$recipient" >f
    vdipipe backup app.db --raw -r "$recipient" >g
    for file in f g; do
        size=$(stat -c %s "$file")
        for at in 10 60 150 190 220 70000 $((size / 2)) $((size - 20)) $((size - 1)); do
            cp "$file" bad
            printf '\377' | dd of=bad bs=1 seek="$at" conv=notrunc status=none
            ! cmp -s bad "$file" || continue
            ! vdipipe verify --identity key bad 2>err || fail "$file, byte $at is accepted"
            ! vdipipe restore copy.db --identity key -i bad 2>err || fail "$file, byte $at is restored"
            ! vdipipe restore --replace precious.db --identity key <bad 2>err || fail "$file, byte $at replaces"
            [[ ! -e copy.db ]]
            cmp precious.db before
        done
    done
    no_leftovers
}

# One allocation of some thousand fails: the run does without it, or fails for want of memory. The backup is not blamed, and
# nobody crashes, libcrypto neither.
test_memory_that_is_refused() {
    [[ -z ${VDIPIPE_SANITIZED:-} ]] || skip "a sanitizer has its own allocator"
    local count status failed=0
    make_keys
    make_db app.db 200
    vdipipe backup app.db --zstd -r "$recipient" -o f
    for ((count = 0; count < 5400; count += 60)); do
        status=0
        LD_PRELOAD=$VDIPIPE_HELPERS/librefuse.so VDIPIPE_REFUSE=$count \
            "$VDIPIPE" extract --threads 1 --identity key f >out 2>err || status=$?
        case $status in
        0) cmp out app.db ;;
        1)
            grep -qE 'out of memory|Cannot allocate|unavailable' err || fail "allocation $count: $(<err)"
            failed=$((failed + 1))
            ;;
        *) fail "allocation $count: exit $status: $(<err)" ;;
        esac
    done
    ((failed > 0)) || fail "nothing was refused"
    for ((count = 0; count < 12; count++)); do
        ! LD_PRELOAD=$VDIPIPE_HELPERS/librefuse.so VDIPIPE_REFUSE=$count "$VDIPIPE" verify --nonsense 2>err ||
            fail "allocation $count: it is well"
        [[ -s err ]] || fail "allocation $count: not a word"
    done
}

# ---- where secrets are not ----

# Runs a command until it comes to the point for the N-th time, and stops there.
stop_at() { # POINT N COMMAND...
    mkfifo -m 600 stops 2>/dev/null || :
    exec 9<>stops
    VDIPIPE_FAULT="$1=stop@$2#client" VDIPIPE_FAULT_FD=9 "${@:3}" &
    stopped=$!
    read -rt 20 _ <&9 || fail "$1 is not reached: $(cat err 2>/dev/null)"
}

not_in_view() { # PID TEXT
    local pid
    for pid in "$1" $(pgrep -P "$1"); do
        ! grep -aqF -e "$2" "/proc/$pid/cmdline" || fail "in the command line of $pid"
        ! grep -aqF -e "$2" "/proc/$pid/environ" || fail "in the environment of $pid"
    done
}

expect_wiped() { # PID FILE
    local pid found
    for pid in "$1" $(pgrep -P "$1"); do
        found=$(helper tools find-secret "$pid" "$2")
        [[ $found == '0 0' ]] || fail "process $pid ($(tr '\0' ' ' <"/proc/$pid/cmdline")) holds the secret: $found"
    done
}

test_a_key_is_wiped_when_it_is_no_longer_needed() {
    needs_root
    needs_faults
    make_keys
    make_db app.db 20000
    vdipipe backup app.db -r "$recipient" >f
    stop_at source-read 8 "$VDIPIPE" restore copy.db --identity key -i f 2>err
    not_in_view "$stopped" "$(tail -n 1 key)"
    expect_wiped "$stopped" key
    kill -CONT "$stopped"
    expect_end "$stopped" 30 0
    # The search finds what is there.
    stop_at source-read 1 "$VDIPIPE" restore copy2.db --identity key -i f 2>err
    [[ $(helper tools find-secret "$stopped" key) == '0 1' ]] || fail "$(helper tools find-secret "$stopped" key)"
    kill -CONT "$stopped"
    expect_end "$stopped" 30 0
}

test_a_passphrase_is_wiped_when_it_is_no_longer_needed() {
    needs_root
    needs_faults
    make_db app.db 8000
    echo 'a phrase nobody guesses 83751' >phrase
    chmod 600 phrase
    stop_at sink-write 3 "$VDIPIPE" backup app.db --passphrase-file phrase >f 2>err
    not_in_view "$stopped" "$(<phrase)"
    expect_wiped "$stopped" phrase
    kill -CONT "$stopped"
    expect_end "$stopped" 30 0
    stop_at source-read 8 "$VDIPIPE" extract --passphrase-file phrase f >image 2>err
    not_in_view "$stopped" "$(<phrase)"
    expect_wiped "$stopped" phrase
    kill -CONT "$stopped"
    expect_end "$stopped" 30 0
    cmp image app.db
}

test_no_core_file_and_no_look_from_outside() {
    local pattern
    needs_faults
    make_keys
    make_db app.db 8000
    vdipipe backup app.db -r "$recipient" >f
    pattern=$(</proc/sys/kernel/core_pattern)
    ulimit -c unlimited 2>/dev/null || skip "no core files may be had here"
    stop_at source-read 1 "$VDIPIPE" verify --identity key f 2>err
    # What would be in a core file is nobody's but root's to read.
    [[ $(stat -c %u "/proc/$stopped/environ") -eq 0 ]]
    kill -ABRT "$stopped"
    kill -CONT "$stopped"
    expect_end "$stopped" 30 134
    [[ $pattern == '|'* || $pattern == /* ]] || [[ -z $(find . -name 'core*') ]] || fail "a core file: $(find . -name 'core*')"
}

test_no_core_file_of_keygen() {
    local pattern pid
    ulimit -c unlimited 2>/dev/null || skip "no core files may be had here"
    pattern=$(</proc/sys/kernel/core_pattern)
    mkfifo pipe
    exec 9<>pipe
    # It stands in a write to a full pipe.
    dd if=/dev/zero of=pipe oflag=nonblock bs=4096 status=none 2>/dev/null || :
    "$VDIPIPE" keygen >&9 2>err &
    pid=$!
    wait_until 20 grep -q pipe "/proc/$pid/wchan" || wait_until 20 grep -q '^State:.S' "/proc/$pid/status"
    kill -ABRT "$pid"
    expect_end "$pid" 30 134
    [[ $pattern == '|'* || $pattern == /* ]] || [[ -z $(find . -name 'core*') ]] || fail "a core file: $(find . -name 'core*')"
}

test_secrets_are_not_in_messages() {
    local secret
    make_keys
    make_db app.db 100
    secret=$(tail -n 1 key)
    echo 'phrase-83751' >phrase
    chmod 600 phrase
    {
        vdipipe backup app.db -v -r "$recipient" -o f
        vdipipe backup app.db -v --passphrase-file phrase -o g
        vdipipe verify -v --identity key f
        vdipipe info --identity key f
        vdipipe restore -v copy.db --passphrase-file phrase -i g --trace trace --progress json
        sed 's/.$/x/' key >bad
        vdipipe verify --identity bad f || :
        head -c 60 key | tail -c 20 >bad
        vdipipe verify --identity bad f || :
    } >said 2>&1
    ! grep -qiF -e "${secret:20:12}" -e 83751 said trace || fail "$(grep -iF -e "${secret:20:12}" -e 83751 said trace)"
}

run_tests
