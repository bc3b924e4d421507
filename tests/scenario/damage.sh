#!/usr/bin/env bash
# Whatever happens to a stream, every reader refuses it, and a restore does not touch its target.
# shellcheck disable=SC2317,SC2119,SC2030,SC2031 # run_tests calls the functions by their names, each in its own subshell
# shellcheck source-path=SCRIPTDIR source=../support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

# Each place of a stream is cut and changed in unit_codecs_stream_damage, within one process. Here every seventh is: the whole program
# takes a thousand times as long.
every=7
[[ -z ${VDIPIPE_THOROUGH:-} ]] || every=1

# Runs `verify` on every file of a folder, in two processes, and fails with the first that it accepts. The reader must say why, in
# one line; the status is 3, or for a changed byte that makes another format or a newer version of the stream, 1 or 2.
all_refused() { # FOLDER
    export -f refused_half
    refused_half "$1" 0 >half.0 &
    refused_half "$1" 1 >half.1
    wait $! || fail "a verifying shell failed"
    [[ ! -s half.0 && ! -s half.1 ]] || fail "$(sort half.0 half.1 | head -n 8)"
}

refused_half() { # FOLDER PARITY
    local file status number=0
    set +eE
    trap - ERR
    for file in "$1"/*; do
        number=$((number + 1))
        [[ $((number % 2)) -eq $2 ]] || continue
        "$VDIPIPE" verify <"$file" >/dev/null 2>"said.$2"
        status=$?
        if [[ $status -eq 3 ]]; then
            :
        elif [[ $status -eq 2 ]] && grep -q 'pipe it through\|not known here\|dictionary\|memory-limit' "said.$2"; then
            :
        elif [[ $status -eq 1 ]] && grep -q 'newer version' "said.$2"; then
            :
        else
            echo "${file##*/}: status $status: $(head -c 300 "said.$2")"
        fi
        [[ $(wc -l <"said.$2") -eq 1 ]] || echo "${file##*/}: not one line: $(head -c 300 "said.$2")"
    done
}

# A sample of the variants, by file and by standard input: the target is neither made nor changed.
none_restored() { # FOLDER EVERY
    local file number=0
    make_db precious.db 5 512
    cp precious.db before
    for file in "$1"/*; do
        number=$((number + 1))
        [[ $((number % $2)) -eq 1 ]] || continue
        if [[ $((number % 4)) -lt 2 ]]; then
            ! vdipipe restore copy.db <"$file" 2>err || fail "${file##*/} was restored"
        else
            ! vdipipe restore --replace precious.db -i "$file" 2>err || fail "${file##*/} was restored"
        fi
        [[ ! -e copy.db ]] || fail "${file##*/} made the target"
        cmp precious.db before || fail "${file##*/} changed the target"
    done
    no_leftovers
}

small_stream() { # FILE [OPTIONS...]
    sqlite3 small.db 'pragma page_size=512; pragma user_version=1; vacuum'
    [[ $(stat -c %s small.db) -eq 512 ]]
    vdipipe backup small.db "${@:2}" >"$1"
    vdipipe verify "$1"
}

test_a_stored_stream_cut_at_every_length() {
    small_stream f
    mkdir all
    helper tools vary f all "$every" cut
    [[ $(find all -type f | wc -l) -eq $((($(stat -c %s f) + every - 1) / every)) ]]
    all_refused all
    none_restored all $(($(stat -c %s f) / every / 20))
}

test_a_stored_stream_with_every_byte_changed() {
    small_stream f
    mkdir all
    helper tools vary f all "$every" change 1
    all_refused all
    none_restored all $(($(stat -c %s f) / every / 20))
    helper tools vary f all "$every" change 255
    all_refused all
}

test_a_compressed_stream_cut_and_changed_everywhere() {
    small_stream f --zstd
    mkdir all
    helper tools vary f all "$every" cut
    helper tools vary f all "$every" change 16
    all_refused all
    none_restored all $(($(stat -c %s f) / every / 10))
}

test_a_stream_through_zstd_cut_and_changed_everywhere() {
    small_stream f
    zstd -q -c f >g
    mkdir all
    helper tools vary g all "$every" cut
    helper tools vary g all "$every" change 4
    all_refused_but_harmless all
}

# Around a vdi stream stands a foreign frame in which some bits mean nothing; what decodes to the same stream is no damage.
all_refused_but_harmless() { # FOLDER
    local file
    for file in "$1"/*; do
        "$VDIPIPE" verify <"$file" 2>/dev/null >&2 || continue
        zstd -dcq <"$file" 2>/dev/null | cmp -s - f || fail "${file##*/} was accepted"
    done
}

# Where one frame ends and the next begins, what stands before is whole; no run ever leaves a stream at such a place (kill.sh).
test_stock_zstd_refuses_every_cut_but_those_between_frames() {
    local file size at=0 borders=' ' number
    command -v python3 >/dev/null || skip "needs python3"
    make_db app.db 40
    vdipipe backup app.db >f
    split_frames f >/dev/null
    for ((number = 0; ; number++)); do
        [[ -e piece.$number ]] || break
        borders+="$at "
        at=$((at + $(stat -c %s "piece.$number")))
    done
    size=$(stat -c %s f)
    [[ $at -eq $size ]]
    mkdir all
    helper tools vary f all 1 cut
    # The cuts that matter to zstd are those near the ends of frames; the rest is sampled.
    for file in all/*; do
        number=${file##*-}
        [[ $number -gt $((size - 250)) || $((number % 97)) -eq 0 ]] || continue
        [[ $borders != *" $number "* ]] || continue
        fails zstd -tq "$file" 2>/dev/null || fail "$number of $size bytes pass zstd -t"
    done
}

# A stream of several data frames, split at their borders into pieces: piece.0 is the header, piece.1 the first data frame.
split_frames() { # FILE
    python3 - "$1" <<'PYTHON'
import struct, sys
data = open(sys.argv[1], 'rb').read()
at, cuts = 0, []
while at < len(data):
    cuts.append(at)
    magic = struct.unpack_from('<I', data, at)[0]
    if magic & 0xFFFFFFF0 == 0x184D2A50:
        at += 8 + struct.unpack_from('<I', data, at + 4)[0]
        continue
    assert magic == 0xFD2FB528
    descriptor = data[at + 4]
    single, size_flag = descriptor >> 5 & 1, descriptor >> 6
    at += 5 + (0 if single else 1) + [1 if single else 0, 2, 4, 8][size_flag]
    while True:
        header = int.from_bytes(data[at:at + 3], 'little')
        kind, size = header >> 1 & 3, header >> 3
        at += 3 + (1 if kind == 1 else size)
        if header & 1:
            break
    at += 4 if descriptor & 4 else 0
for i, (a, b) in enumerate(zip(cuts, cuts[1:] + [len(data)])):
    open('piece.%d' % i, 'wb').write(data[a:b])
print(len(cuts))
PYTHON
}

pieces() { # FIRST COUNT
    local i
    for ((i = $1; i < $2; i++)); do
        cat "piece.$i"
    done
}

refused_now() { # WHAT
    expect_exit 3 vdipipe verify g
    expect_error "'g'" byte
    expect_exit 3 vdipipe restore copy.db <g
    [[ ! -e copy.db ]] || fail "$1: copy.db was made"
}

test_frames_swapped_dropped_and_repeated() {
    local count mode
    command -v python3 >/dev/null || skip "needs python3"
    make_db app.db 40000
    for mode in '' --zstd; do
        vdipipe backup app.db ${mode:+"$mode"} >f
        count=$(split_frames f)
        [[ $count -ge 7 ]] || fail "only $count frames"
        pieces 0 "$count" | cmp - f
        { cat piece.0 piece.2 piece.1 && pieces 3 "$count"; } >g
        refused_now swapped
        { cat piece.0 piece.1 && pieces 3 "$count"; } >g
        refused_now dropped
        { cat piece.0 piece.1 piece.1 && pieces 2 "$count"; } >g
        refused_now repeated
        { cat piece.0 && pieces 0 "$count"; } >g
        refused_now 'a second header'
        pieces 1 "$count" >g
        refused_now 'no header'
    done
    no_leftovers
}

test_a_frame_of_another_backup_of_the_same_database() {
    local count
    command -v python3 >/dev/null || skip "needs python3"
    make_db app.db 40000
    vdipipe backup app.db >f
    split_frames f >/dev/null
    mkdir one
    mv piece.* one
    sqlite3 app.db "update item set name = 'other'"
    vdipipe backup app.db >f
    count=$(split_frames f)
    cp one/piece.2 piece.2
    pieces 0 "$count" >g
    refused_now foreign
    cp one/piece.0 piece.0
    pieces 0 "$count" >g
    refused_now 'foreign header'
}

test_something_behind_the_end() {
    small_stream f
    { cat f && printf x; } >g
    expect_exit 3 vdipipe verify g
    expect_error "'g'" "byte $(stat -c %s f)" follows
    cat f f >g
    refused_now doubled
    { cat f && head -c 4096 /dev/zero; } >g
    refused_now padded
    { cat f && printf '\x50\x2a\x4d\x18\x00\x00\x00\x00'; } >g
    refused_now 'a skippable frame behind it'
    { cat f && cat f; } | zstd -q >g
    expect_exit 3 vdipipe verify g
}

test_bytes_that_are_no_backup() {
    : >empty
    printf 'Dear diary, today nothing happened.\n' >text
    head -c 100000 /dev/zero >zeros
    head -c 1 /dev/zero >byte
    for file in empty text zeros byte; do
        expect_exit 3 vdipipe verify "$file"
        expect_error "'$file'"
        expect_exit 3 vdipipe restore copy.db <"$file"
        expect_error 'standard input'
        expect_exit 3 vdipipe restore copy.db -i "$file"
        expect_error "'$file'"
        expect_exit 3 vdipipe extract "$file" >plain
        [[ ! -s plain ]]
    done
    expect_exit 3 vdipipe restore copy.db </dev/null
    expect_error empty
    [[ ! -e copy.db ]]
    no_leftovers
}

# Of the two kinds of raw image only one says how long it is.
test_what_is_said_of_raw_images() {
    make_db app.db 10
    expect_exit 0 vdipipe verify app.db
    expect_error "raw image" "complete by its own header" "nothing protects its content"
    printf 'TAPE and more' >app.bak
    expect_exit 0 vdipipe verify app.bak
    expect_error "'app.bak': raw SQL Server backup" "nothing here can tell whether it is whole"
}

test_other_formats_are_named_with_the_tool() {
    local tool
    small_stream f
    for tool in gzip xz lz4; do
        command -v "$tool" >/dev/null || continue
        "$tool" -c <f >g
        expect_exit 2 vdipipe verify g
        expect_error "$tool" pipe
        expect_exit 2 vdipipe restore copy.db <g
        expect_error "$tool" pipe
    done
    [[ ! -e copy.db ]]
}

test_zstd_around_zstd() {
    small_stream f
    zstd -q -c f | zstd -q -c >g
    expect_exit 0 vdipipe verify g
    expect_exit 0 vdipipe restore copy.db <g
    cmp copy.db small.db
    rm copy.db
    zstd -q -c g | zstd -q -c | zstd -q -c >h
    expect_exit 3 vdipipe verify h
    expect_error layers
    expect_exit 3 vdipipe restore copy.db <h
    [[ ! -e copy.db ]]
}

# Without a checksum outside, one changed literal can alter the tags of all records at once: what is left are zstd frames around an
# image, and must not pass for somebody else's.
test_a_stream_whose_records_have_lost_their_tags() {
    local file
    small_stream plain.vdi
    LC_ALL=C sed 's/VDIS/VDIX/g' plain.vdi >untagged
    ! cmp -s plain.vdi untagged || fail "nothing was changed"
    zstd -q --no-check untagged -o untagged.zst
    for file in untagged untagged.zst; do
        expect_exit 3 vdipipe verify "$file"
        expect_exit 3 vdipipe restore copy.db -i "$file"
        [[ ! -e copy.db ]] || fail "$file was restored"
    done
}

test_a_cut_outer_zstd() {
    make_db app.db 3000
    vdipipe backup app.db | zstd -q >f
    head -c $(($(stat -c %s f) / 2)) f >g
    refused_now 'cut zstd'
    head -c -1 f >g
    refused_now 'cut zstd by a byte'
}

test_the_place_of_the_damage_is_named() {
    local size
    make_db app.db 3000
    vdipipe backup app.db >f
    size=$(stat -c %s f)
    head -c 700000 f >g
    expect_exit 3 vdipipe verify g
    expect_error "'g'" 'byte 700000' 'cut off'
    expect_exit 3 vdipipe restore copy.db <g
    expect_error 'byte 700000'
    head -c 700000 f | expect_exit 3 vdipipe restore copy.db
    expect_error 'standard input' 'byte 700000'
    head -c $((size - 1)) f >g
    expect_exit 3 vdipipe verify g
    expect_error "byte $((size - 1))"
    expect_exit 3 vdipipe extract g >plain
    expect_error "byte $((size - 1))"
}

test_a_stream_without_its_verdict() {
    local size cut
    make_db app.db 100
    vdipipe backup app.db >f
    size=$(stat -c %s f)
    # The longest cut that is unconfirmed rather than damaged lies shortly before the end.
    for ((cut = 1; cut < 400; cut++)); do
        head -c -"$cut" f >g
        ! vdipipe verify g 2>err || fail "a cut of $cut bytes of $size is accepted"
        ! grep -q verdict err || break
    done
    [[ $cut -lt 400 ]] || fail "no cut leaves a complete but unconfirmed stream"
    expect_exit 3 vdipipe verify g
    expect_error verdict --accept-unconfirmed
    expect_exit 3 vdipipe restore copy.db -i g
    expect_error --accept-unconfirmed
    [[ ! -e copy.db ]]
    ! zstd -tq g 2>/dev/null || fail "stock zstd accepts an unconfirmed stream"
    expect_exit 0 vdipipe verify --accept-unconfirmed g
    expect_exit 0 vdipipe restore --accept-unconfirmed copy.db -i g
    cmp app.db copy.db
    rm copy.db
    head -c 5000 f >g
    expect_exit 3 vdipipe restore --accept-unconfirmed copy.db -i g
    [[ ! -e copy.db ]]
}

test_extract_to_a_file_makes_none_from_a_damaged_stream() {
    make_db app.db 3000
    vdipipe backup app.db >f
    head -c 900000 f >g
    expect_exit 3 vdipipe extract g -o plain
    [[ ! -e plain ]]
    echo old >plain
    expect_exit 3 vdipipe extract g -o plain --force
    [[ $(<plain) == old ]]
    no_leftovers
}

test_headers_that_ask_for_memory() {
    # A window of 2 GiB; a skippable frame of 4 GiB; a content size of 2^63: refused without taking them.
    printf '\x28\xb5\x2f\xfd\x00\xa8\x00\x00\x00' >window
    printf '\x5f\x2a\x4d\x18\xff\xff\xff\xff' >skippable
    printf '\x28\xb5\x2f\xfd\xc0\x58\xff\xff\xff\xff\xff\xff\xff\x7f' >content
    for file in window skippable content; do
        (
            # Address space that a sanitizer takes is no measure.
            [[ -n ${VDIPIPE_SANITIZED:-} ]] || ulimit -v 600000
            expect_exit_one_of 2 3 vdipipe verify "$file"
        )
    done
}

expect_exit_one_of() { # STATUS STATUS COMMAND...
    local got=0
    "${@:3}" 2>err || got=$?
    [[ $got -eq $1 || $got -eq $2 ]] || fail "exit $got: $(<err)"
}

run_tests
