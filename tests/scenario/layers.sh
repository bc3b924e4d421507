#!/usr/bin/env bash
# Every layering of age, zstd, vdi stream and raw image: complete it is read by us and by the stock tools; killed, aborted or cut
# off it is refused by both.
# shellcheck disable=SC2317,SC2119,SC2030,SC2031 # run_tests calls the functions by their names, each in its own subshell
# shellcheck source-path=SCRIPTDIR source=../support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

# What vdipipe itself writes, and what it writes through stock tools. (--raw alone is left out: nothing protects it.)
own='vdi vdi_zstd age_vdi age_zstd age_raw armor_vdi armor_zstd'
wrapped='zstd_vdi zstd_raw zstd_age_vdi zstd_age_raw foreign_age_vdi foreign_age_zstd_vdi foreign_age_zstd_raw foreign_age_raw foreign_armor_vdi'

needs_age() {
    command -v age >/dev/null || skip "needs age"
    age-keygen -o key 2>/dev/null
    recipient=$(age-keygen -y key)
}

# The backup in one of the layerings, on standard output.
write() { # LAYERING DB
    case $1 in
    vdi) "$VDIPIPE" backup "$2" ;;
    vdi_zstd) "$VDIPIPE" backup "$2" --zstd ;;
    age_vdi) "$VDIPIPE" backup "$2" -r "$recipient" ;;
    age_zstd) "$VDIPIPE" backup "$2" --zstd -r "$recipient" ;;
    age_raw) "$VDIPIPE" backup "$2" --raw -r "$recipient" ;;
    armor_vdi) "$VDIPIPE" backup "$2" -r "$recipient" --armor ;;
    armor_zstd) "$VDIPIPE" backup "$2" --zstd -r "$recipient" --armor ;;
    zstd_vdi) write vdi "$2" | zstd -qc ;;
    zstd_raw) "$VDIPIPE" backup "$2" --raw | zstd -qc ;;
    zstd_age_vdi) write age_vdi "$2" | zstd -qc ;;
    zstd_age_raw) write age_raw "$2" | zstd -qc ;;
    foreign_age_vdi) write vdi "$2" | age -r "$recipient" ;;
    foreign_age_zstd_vdi) write zstd_vdi "$2" | age -r "$recipient" ;;
    foreign_age_zstd_raw) write zstd_raw "$2" | age -r "$recipient" ;;
    foreign_age_raw) "$VDIPIPE" backup "$2" --raw | age -r "$recipient" ;;
    foreign_armor_vdi) write vdi "$2" | age -a -r "$recipient" ;;
    esac
}

# What a command of ours needs to read it: a key for what is not encrypted is refused.
keys_for() { # LAYERING
    case $1 in
    *age_* | armor_* | foreign_*) keys=(--identity key) ;;
    *) keys=() ;;
    esac
}

# The stock tool that takes off the outermost layer, and all of them.
stock_outermost() { # LAYERING
    case $1 in
    age_* | armor_* | foreign_*) age -d -i key ;;
    *) zstd -dcq ;;
    esac
}

stock() { # LAYERING
    case $1 in
    age_raw | foreign_age_raw) age -d -i key ;;
    age_vdi | age_zstd | armor_* | foreign_age_vdi | foreign_armor_vdi | foreign_age_zstd_raw) age -d -i key | zstd -dcq ;;
    foreign_age_zstd_vdi) age -d -i key | zstd -dcq | zstd -dcq ;;
    zstd_age_raw) zstd -dcq | age -d -i key ;;
    zstd_age_vdi) zstd -dcq | age -d -i key | zstd -dcq ;;
    zstd_vdi) zstd -dcq | zstd -dcq ;;
    *) zstd -dcq ;;
    esac
}

layers_of() { # LAYERING
    case $1 in
    vdi | vdi_zstd) echo '["vdi stream"]' ;;
    age_raw | foreign_age_raw) echo '["age","SQLite database"]' ;;
    foreign_age_zstd_vdi) echo '["age","zstd","vdi stream"]' ;;
    foreign_age_zstd_raw) echo '["age","zstd","SQLite database"]' ;;
    age_* | armor_* | foreign_*) echo '["age","vdi stream"]' ;;
    zstd_age_vdi) echo '["zstd","age","vdi stream"]' ;;
    zstd_age_raw) echo '["zstd","age","SQLite database"]' ;;
    zstd_vdi) echo '["zstd","vdi stream"]' ;;
    zstd_raw) echo '["zstd","SQLite database"]' ;;
    esac
}

# Both ways in, as a file and through a pipe.
is_read_everywhere() { # LAYERING FILE DB
    keys_for "$1"
    stock "$1" <"$2" | cmp - "$3" || fail "$1: the stock tools give something else"
    vdipipe extract "${keys[@]}" "$2" | cmp - "$3" || fail "$1: extract gives something else"
    vdipipe verify -q "${keys[@]}" "$2" || fail "$1: verify of a file"
    # shellcheck disable=SC2002 # a pipe is wanted
    cat "$2" | vdipipe verify -q "${keys[@]}" || fail "$1: verify of a pipe"
    [[ $(vdipipe info --json "${keys[@]}" "$2" | jq -c .layers) == "$(layers_of "$1")" ]] || fail "$1: $(vdipipe info --json "${keys[@]}" "$2")"
    rm -f copy.db copy2.db
    vdipipe restore copy.db -i "$2" "${keys[@]}"
    # shellcheck disable=SC2002
    cat "$2" | vdipipe restore copy2.db "${keys[@]}"
    cmp copy.db "$3"
    cmp copy2.db "$3"
}

test_what_is_complete_is_read_by_us_and_by_the_stock_tools() {
    local layering
    needs_age
    make_db app.db 2500
    for layering in $own $wrapped; do
        write "$layering" app.db >f
        is_read_everywhere "$layering" f app.db
    done
    no_leftovers
}

test_databases_of_no_pages_and_of_one_chunk() {
    local layering rows
    needs_age
    : >empty.db
    make_db chunk.db 0
    for layering in $own; do
        case $layering in
        *raw) continue ;; # no bytes are no image
        esac
        write "$layering" empty.db >f
        is_empty=$(stock "$layering" <f | wc -c)
        [[ $is_empty -eq 0 ]] || fail "$layering"
        keys_for "$layering"
        vdipipe verify -q "${keys[@]}" f
    done
    # Data that ends at the boundary of a chunk, before it, and behind it.
    for rows in 16 17 15; do
        rm -f aligned.db
        sqlite3 aligned.db "pragma page_size=4096; create table t(a); begin;
            with recursive n(i) as (select 1 union all select i + 1 from n where i < $((rows - 2))) insert into t select randomblob(3900) from n; commit" >/dev/null
        for layering in $own; do
            write "$layering" aligned.db >f
            is_read_everywhere "$layering" f aligned.db
        done
    done
}

# ---- what is not complete ----

refused() { # LAYERING FILE WHAT
    local got=0
    keys_for "$1"
    ! stock_outermost "$1" <"$2" >/dev/null 2>&1 || fail "$1, $3: the stock tool accepts it"
    vdipipe verify "${keys[@]}" "$2" >/dev/null 2>said || got=$?
    [[ $got -eq 3 ]] || fail "$1, $3: verify ends with $got: $(<said)"
    got=0
    vdipipe restore refused.db "${keys[@]}" -i "$2" >/dev/null 2>said || got=$?
    [[ $got -eq 3 && ! -e refused.db ]] || fail "$1, $3: restore ends with $got: $(<said)"
}

# Kills the client at its first, second, ... write, until the backup succeeds.
kill_at_every_write() { # LAYERING
    local layering=$1 at=1 got kills=0
    while :; do
        got=0
        VDIPIPE_FAULT="sink-write=kill@$at#client" write "$layering" app.db >f 2>err || got=$?
        [[ $got -ne 0 ]] || break
        [[ $got -eq 137 ]] || fail "$layering, write $at: $got: $(<err)"
        refused "$layering" f "killed at write $at"
        kills=$((kills + 1))
        at=$((at < 6 ? at + 1 : at * 4 / 3))
        [[ $at -lt 4000 ]] || fail "$layering has no end"
    done
    [[ $kills -ge 2 ]] || fail "$layering: killed only $kills times"
    stock "$layering" <f | cmp - app.db
}

test_killed_at_any_write() {
    local layering
    needs_faults
    needs_age
    make_db app.db 6000
    for layering in $own; do
        kill_at_every_write "$layering"
    done
    no_leftovers
}

test_aborted_at_any_point() {
    local layering point got
    needs_faults
    needs_age
    make_db app.db 6000
    for layering in $own; do
        for point in first_write middle flush verdict; do
            got=0
            VDIPIPE_FAULT="backup.$point=kill#server" write "$layering" app.db >f 2>err || got=$?
            [[ $got -eq 1 ]] || fail "$layering, $point: $got: $(<err)"
            refused "$layering" f "aborted at $point"
            got=0
            VDIPIPE_FAULT="backup.$point=fail#server" write "$layering" app.db >f 2>err || got=$?
            [[ $got -eq 1 ]] || fail "$layering, $point: $got: $(<err)"
            refused "$layering" f "failed at $point"
        done
    done
    no_leftovers
}

test_no_file_appears_when_the_disk_is_full_or_a_process_dies() {
    local options point
    needs_faults
    needs_age
    make_db app.db 3000
    for options in "-r $recipient" "-r $recipient --armor" "--zstd -r $recipient" "--raw -r $recipient"; do
        for point in sink-write=fail:28@2 sink-sync=fail:5 sink-rename=fail:5 sink-write=kill@2#client sink-sync=kill#client; do
            # shellcheck disable=SC2086 # a list of options
            ! VDIPIPE_FAULT=$point "$VDIPIPE" backup app.db $options -o f 2>err || fail "$options, $point"
            [[ ! -e f ]] || fail "$options, $point: there is a file"
        done
    done
    # The next run removes what a killed one left.
    "$VDIPIPE" backup app.db -o f
    no_leftovers
}

# Cuts near both ends, around the chunks of age and the frames of zstd, and in between.
cuts_of() { # FILE
    local size at step=21
    [[ -z ${VDIPIPE_THOROUGH:-} ]] || step=7
    size=$(stat -c %s "$1")
    {
        seq 0 "$step" 420
        seq "$((size - 140))" "$step" "$((size - 2))"
        seq "$((size - 9))" "$((size - 2))"
        for ((at = 65552 + 200; at < size; at += 65552)); do
            echo "$((at - 17))"
            echo "$at"
        done
        seq 0 "$((size / 16))" "$((size - 2))"
    } | awk -v size="$size" '$1 >= 0 && $1 < size' | sort -nu
}

cut_everywhere() { # LAYERING FILE
    local at cut count=0 got=0 lines
    rm -rf cuts && mkdir cuts
    keys_for "$1"
    for at in $(cuts_of "$2"); do
        head -c "$at" "$2" >"cuts/$at"
        count=$((count + 1))
    done
    [[ $count -gt 40 ]] || fail "$1: only $count cuts"
    vdipipe verify "${keys[@]}" cuts/* >/dev/null 2>said || got=$?
    [[ $got -eq 3 || $got -eq 4 ]] || fail "$1: verify ends with $got: $(head -n 3 said)"
    lines=$(wc -l <said)
    [[ $lines -eq $count ]] || fail "$1: $lines lines for $count cuts: $(head -n 3 said)"
    ! grep -E 'complete and|raw image' said || fail "$1: a cut is accepted"
    # No cut of an age file is a matter of the key.
    ! grep -qE 'no identity|wrong key' said || fail "$1: $(grep -E 'no identity|wrong key' said | head -n 2)"
    for cut in cuts/*; do
        ! stock "$1" <"$cut" >/dev/null 2>&1 || fail "$1: the stock tools accept $cut of $(stat -c %s "$2")"
    done
}

test_cut_off_anywhere() {
    local layering
    needs_age
    make_db app.db 700
    for layering in $own zstd_age_vdi foreign_age_zstd_vdi foreign_age_zstd_raw; do
        write "$layering" app.db >f
        cut_everywhere "$layering" f
    done
}

test_something_behind_the_end() {
    local layering
    needs_age
    make_db app.db 100
    for layering in age_vdi age_zstd age_raw armor_vdi; do
        write "$layering" app.db >f
        { cat f && echo x; } >g
        expect_exit 3 vdipipe verify --identity key g
        ! age -d -i key g >/dev/null 2>&1 || fail "$layering: age accepts it"
        cat f f >g
        expect_exit 3 vdipipe verify --identity key g
    done
}

test_more_than_four_layers() {
    needs_age
    make_db app.db 10
    vdipipe backup app.db | zstd -q | zstd -q | age -r "$recipient" >f
    expect_exit 0 vdipipe verify --identity key f
    zstd -q f -o g
    expect_exit 3 vdipipe verify --identity key g
    expect_error 'more than 4 layers'
}

run_tests
