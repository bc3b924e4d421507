# shellcheck shell=bash
#
# tedious.sh - the TDS client of the Node.js world
#
# needs_tedious sets NODE_PATH, or skips the scenario with the reason. Where $VDIPIPE_TEDIOUS names a folder with node_modules,
# that is used; else what tests/tds/tedious/package-lock.json says, each package by its checksum, is installed once beside the
# helper programs, which takes a network the first time.

tedious_sources=$(cd "$(dirname "${BASH_SOURCE[0]}")/../tds/tedious" && pwd)

install_tedious() { # FOLDER
    mkdir -p "$1" && cp "$tedious_sources/package.json" "$tedious_sources/package-lock.json" "$1" &&
        (cd "$1" && timeout -k 5 100 npm ci --ignore-scripts --no-audit --no-fund --fetch-retries 0 >npm.log 2>&1) &&
        touch "$1/complete"
}

needs_tedious() {
    local folder=${VDIPIPE_TEDIOUS:-}
    command -v node >/dev/null || skip "needs node (package nodejs) and tedious"
    if [[ -z $folder ]]; then
        folder=$VDIPIPE_HELPERS/tedious
        command -v npm >/dev/null || [[ -e $folder/complete ]] || skip "needs npm, to get tedious"
        mkdir -p "$folder"
        # Of several scenarios one installs.
        exec 7>"$folder.lock"
        flock 7
        [[ -e $folder/complete && $folder/package.json -nt $tedious_sources/package-lock.json ]] || rm -rf "$folder"
        [[ -e $folder/complete ]] || install_tedious "$folder" ||
            skip "tedious cannot be installed by npm here (no network?), see $folder/npm.log"
        exec 7>&-
    fi
    export NODE_PATH=$folder/node_modules
    [[ -d $NODE_PATH/tedious ]] || skip "no tedious in $NODE_PATH"
}
