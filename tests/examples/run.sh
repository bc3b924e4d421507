#!/usr/bin/env bash
# The public API as others meet it: installed, found by pkg-config, compiled as C and as C++.
# shellcheck disable=SC2317,SC2119,SC2030,SC2031 # run_tests calls the functions by their names, each in its own subshell
# shellcheck source-path=SCRIPTDIR source=../support/lib.sh
. "$(dirname "$0")/../support/lib.sh"

: "${VDIPIPE_BUILD_DIR:?the folder that was built}"
: "${VDIPIPE_CC:?the C compiler that it was built with}"
source_dir=$(cd "$(dirname "$0")" && pwd)
strict='-Wall -Wextra -Werror -pedantic'
languages='c c++'

# Installs into a folder, and has pkg-config look there and nowhere else.
install_copy() { # FOLDER
    cmake --install "$VDIPIPE_BUILD_DIR" --prefix "$1"
    PKG_CONFIG_LIBDIR=$(dirname "$(find "$1" -name vdipipe.pc)")
    export PKG_CONFIG_LIBDIR
}

# What a sanitized library needs of the programs that use it, and who can give it.
sanitize() {
    [[ -z $VDIPIPE_SANITIZED ]] || echo "-fsanitize=$VDIPIPE_SANITIZED"
}

compilers_of() { # LANGUAGE
    if [[ -n $VDIPIPE_SANITIZED ]]; then
        [[ $1 == c ]] && echo "$VDIPIPE_CC" || echo "${VDIPIPE_CC/%clang/clang++}"
    else
        [[ $1 == c ]] && echo gcc clang || echo g++ clang++
    fi
}

# Compiles an example with every compiler of the language; what is left is the last one's.
build() { # LANGUAGE EXAMPLE OUTPUT
    local compiler standard=c11
    local -a flags
    [[ $1 == c ]] || standard=c++11
    eval "flags=($(pkg-config --cflags --libs vdipipe))"
    for compiler in $(compilers_of "$1"); do
        # shellcheck disable=SC2046,SC2086 # lists of words
        "$compiler" -x "$1" "-std=$standard" $strict $(sanitize) "$source_dir/$2.c" -x none "${flags[@]}" -o "$3"
    done
}

# Starts a client of the set `demo`, and waits until a server can come.
start_client() { # CLIENT FILE
    "$1" demo "$2" >client.out 2>&1 &
    client=$!
    wait_until 10 compgen -G "$VDIPIPE_RUNTIME_DIR/*.sock"
}

operate() { # CLIENT SERVER write|read FILE
    local client
    start_client "$1" "$4"
    timeout -k 5 "$patience" "$2" demo "$3" >server.out 2>&1 || fail "$2: $(<server.out) -- $(<client.out)"
    wait "$client" || fail "$1: $(<client.out)"
    [[ $(<client.out) == "demo: VD_E_CLOSE"* ]] || fail "$(<client.out)"
    [[ $(<server.out) == "demo: NOERROR "* ]] || fail "$(<server.out)"
}

test_every_client_serves_every_server() {
    local client server
    install_copy "$PWD/where it is"
    for language in $languages; do
        build "$language" client "./client.$language"
        build "$language" server "./server.$language"
    done
    for client in $languages; do
        for server in $languages; do
            rm -f data
            operate "./client.$client" "./server.$server" write data
            [[ $(stat -c %s data) -eq $((64 * 65536)) ]] || fail "$(stat -c %s data) bytes"
            operate "./client.$client" "./server.$server" read data
        done
    done
    no_leftovers
}

# The drop-in, from an installed copy: found by the program itself, and by no loader that is not told.
test_a_program_for_libsqlvdi_is_served() {
    local compiler
    local -a flags
    install_copy "$PWD/copy"
    build c server ./server
    eval "flags=($(pkg-config --cflags --libs vdipipe-sqlvdi))"
    for compiler in $(compilers_of c++); do
        # shellcheck disable=SC2046,SC2086 # lists of words
        "$compiler" -std=c++11 $strict $(sanitize) "$source_dir/sqlvdi_client.cpp" "${flags[@]}" -o ./sqlvdi_client
        readelf -d ./sqlvdi_client | grep -q 'NEEDED.*\[libsqlvdi\.so\]' || fail "$(readelf -d ./sqlvdi_client)"
        rm -f data
        operate ./sqlvdi_client ./server write data
        [[ $(stat -c %s data) -eq $((64 * 65536)) ]] || fail "$(stat -c %s data) bytes"
        operate ./sqlvdi_client ./server read data
    done
    [[ $(find copy -name libsqlvdi.so) == copy/lib*/vdipipe/libsqlvdi.so ]] || fail "$(find copy -name libsqlvdi.so)"
    mv copy/lib*/vdipipe/libsqlvdi.so .
    fails ./sqlvdi_client demo data
    LD_LIBRARY_PATH=$PWD operate ./sqlvdi_client ./server read data
    no_leftovers
}

test_a_server_notices_what_is_not_its_data() {
    local client size
    install_copy "$PWD/copy"
    build c client ./client
    build c server ./server
    for size in $((64 * 65536)) 65536; do
        head -c "$size" /dev/zero >data
        start_client ./client data
        expect_exit 1 timeout -k 5 "$patience" ./server demo read
        expect_end "$client" 10 1
    done
    no_leftovers
}

test_the_library_shows_the_functions_of_the_header_and_no_other_name() {
    install_copy "$PWD/copy"
    nm --defined-only --extern-only "$(find copy -name libvdipipe.a)" | awk 'NF == 3 { print $3 }' | sort >shown
    grep -ohE '\bvds_[a-z_]+\(' copy/include/vdipipe/vds.h | tr -d '(' | sort -u >declared
    comm -13 declared shown >extra
    [[ ! -s extra ]] || fail "shown and not declared: $(<extra)"
}

test_the_copy_may_be_moved() {
    install_copy "$PWD/first"
    mv first second
    PKG_CONFIG_LIBDIR=$(dirname "$(find "$PWD/second" -name vdipipe.pc)")
    build c client ./client
    [[ $(pkg-config --modversion vdipipe) == "$(sed -n 's/^project(vdipipe VERSION \([0-9.]*\).*/\1/p' "$source_dir/../../CMakeLists.txt")" ]]
}

# The first function of that head in README, without its indentation.
shown_in_readme() { # HEAD
    sed -n "/^    $1/,/^    }/s/^    //p" "$source_dir/../../core/vds/README.md"
}

test_the_examples_fit_a_page_and_are_what_the_manual_shows() {
    local example shown
    for example in client server; do
        [[ $(wc -l <"$source_dir/$example.c") -le 80 ]] || fail "$example.c has more than 80 lines"
        shown=$(shown_in_readme "static int $([[ $example == client ]] && echo serve || echo run)(")
        [[ $(wc -l <<<"$shown") -gt 15 ]] || fail "README shows no $example"
        # Blank lines carry no indentation to take off.
        [[ $(grep -v '^$' "$source_dir/$example.c") == *"$shown"* ]] || fail "README shows another $example"
    done
}

run_tests
