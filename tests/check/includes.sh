#!/bin/sh
# Layers point down: what each folder may include from the others.
set -eu

status=0
# FOLDER ALLOWED...: every quoted include of the files in FOLDER begins with one of ALLOWED, or is FOLDER's own.
allow() {
    folder=$1
    shift
    pattern="$folder/[a-z0-9_]*\\.h"
    for allowed in "$@"; do
        pattern="$pattern|$allowed"
    done
    # main() stands above everything.
    found=$(grep -nE '^#include "' "$folder"/*.[ch] | grep -vE "^cli/main\.c:|#include \"($pattern)" || true)
    if [ -n "$found" ]; then
        printf '%s may not include:\n%s\n' "$folder" "$found"
        status=1
    fi
}

vds='core/vds/(vds|trace|abi)\.h'
allow core/base
allow core/shm core/base/
allow core/vds core/base/ core/shm/ 'abi\.h'
allow core/sqlvdi core/base/ 'abi\.h' "$vds"
allow core/tsql core/base/ 'core/vds/abi\.h' 'core/vds/vds\.h'
allow core/servers core/base/ core/tsql/ "$vds"
allow core/tds core/base/ 'core/tsql/messages\.h'
allow core/script core/base/ core/servers/ "$vds"
allow core/sqlite core/base/ core/servers/ core/tsql/ "$vds"
allow core/mssql core/base/ core/servers/ core/tsql/ "$vds"
allow core/standin core/base/ core/servers/ core/tsql/ core/tds/ core/script/ core/sqlite/ "$vds"

allow codecs/base core/base/
allow codecs/ends core/base/ codecs/base/
allow codecs/stream core/base/ codecs/base/ codecs/ends/
allow codecs/age core/base/ codecs/base/ codecs/ends/ends.h
allow codecs core/base/ codecs/base/ codecs/ends/ codecs/stream/ codecs/age/
allow codecs/drives core/base/ codecs/

shared='cli/(args|options|command|config|message|exit_status|nearest|render|signals)\.h'
below="codecs/|$vds|core/(base/|servers/|mssql/(mssql|statement|history)\\.h|sqlite/(format|sqlite)\\.h|sqlvdi/(engine|library)\\.h)"
public="$below|core/(script/run|tsql/(statement|lexer)|standin/standin)\\.h"
allow cli "$shared" "$below"
allow cli/text "$shared" "$below"
allow cli/media "$shared" "$below" cli/text/
allow cli/run "$shared" "$below" cli/text/ cli/media/
allow cli/databases "$shared" "$public" cli/text/ cli/media/ cli/run/
allow cli/commands "$shared" "$public" cli/text/ cli/media/ cli/run/ cli/databases/
exit $status
