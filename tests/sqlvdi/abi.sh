#!/usr/bin/env bash
# abi.sh LIBRARY LAYOUT EXPECTED CLIENT - what programs rely on that were compiled elsewhere: the library's symbols, its name
# and needs, and what LAYOUT prints. CLIENT is a program that includes no header of ours.
set -u

library=$1 layout=$2 expected=$3 client=$4
status=0

wrong() {
    printf '%s\n' "$@"
    status=1
}

compare() { # WHAT EXPECTED GOT
    local difference
    difference=$(diff <(printf '%s\n' "$2") <(printf '%s\n' "$3")) || wrong "$1 (< expected, > got):" "$difference"
}

part() { # WORD: the lines of the expectation that begin with it, without it
    sed -n "s/^$1 //p" "$expected"
}

dynamic() { # TAG
    readelf -dW "$library" | sed -n "s/.*($1).*\[\(.*\)\]$/\1/p" | sort
}

compare "symbols that the library shows" "$(part symbol | sort)" \
    "$(nm -D --defined-only "$library" | awk '{ print $2, $3 }' | sort)"
for function in 19ClientVirtualDevice{C,D} 22ClientVirtualDeviceSet{C,D}; do
    compare "places of _ZN${function}1Ev and _ZN${function}2Ev" 1 \
        "$(nm -D --defined-only "$library" | awk -v f="_ZN$function" '$3 == f "1Ev" || $3 == f "2Ev" { print $1 }' | sort -u | wc -l)"
done
compare "the library's name" libsqlvdi.so "$(dynamic SONAME)"
others=$(comm -23 <(nm -D --undefined-only "$client" | awk '/ClientVirtualDevice/ { print "T", $2 }' | sort) <(part symbol | sort))
[[ -z $others ]] || wrong "symbols that a client needs and the library must have:" "$others"

# A sanitizer adds what it needs.
if [[ -z ${VDIPIPE_SANITIZED-} ]]; then
    foreign=$(dynamic NEEDED | grep -vE '^(libc\.so|ld-linux)')
    [[ -z $foreign ]] || wrong "libraries that it may not need:" "$foreign"
    cxx=$(nm -D --undefined-only "$library" | awk '$1 == "U" { print $2 }' | grep '^_Z')
    [[ -z $cxx ]] || wrong "symbols of a C++ library that it needs:" "$cxx"
    # What a program can do without, it may lack.
    compare "symbols that it uses if they are there" "$(part weak | sort)" \
        "$(nm -D --undefined-only "$library" | awk '$1 == "w" && $2 ~ /^_Z/ { print $2 }' | sort)"
fi
readelf -dW "$library" | grep -q 'NODELETE' || wrong "the library may be unloaded while its thread runs"
readelf -lW "$library" | grep 'GNU_STACK' | grep -q 'RW ' || wrong "the library wants an executable stack"
readelf -nW "$library" | grep -q '^ *vdipipe ' || wrong "the library bears no note of ours"

compare "sizes, offsets, values and calls" "$(grep -vE '^(symbol|weak) ' "$expected")" "$("$layout")"
exit $status
