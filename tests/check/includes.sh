#!/bin/sh
# Layers point down: what each folder may include from the others.
set -eu

status=0
# FOLDER ALLOWED...: every quoted include in FOLDER begins with one of ALLOWED.
allow() {
    folder=$1
    shift
    pattern=""
    for allowed in "$@"; do
        pattern="$pattern|$allowed"
    done
    found=$(grep -rnE '^#include "' "$folder" --include='*.c' --include='*.h' |
        grep -vE "#include \"(${pattern#|})" || true)
    if [ -n "$found" ]; then
        printf '%s may not include:\n%s\n' "$folder" "$found"
        status=1
    fi
}

allow core/base core/base/
allow core/shm core/base/ core/shm/
allow core/vds core/base/ core/shm/ core/vds/ 'abi\.h'
for room in servers tsql tds script sqlite mssql standin; do
    allow "core/$room" core/base/ 'core/(servers|tsql|tds|script|sqlite|mssql|standin)/' 'core/vds/(vds|trace|abi)\.h'
done
allow core/sqlvdi core/base/ core/sqlvdi/ 'abi\.h' 'core/vds/vds\.h' 'core/vds/trace\.h' 'core/vds/abi\.h'
allow codecs core/base/ codecs/
allow cli cli/ codecs/ core/base/ 'core/sqlvdi/(engine|library)\.h' 'core/vds/vds\.h' 'core/vds/trace\.h' 'core/vds/abi\.h' 'core/servers/(server|events)\.h' 'core/script/run\.h' 'core/tsql/(statement|lexer)\.h' 'core/standin/standin\.h' 'core/mssql/(mssql|statement|history)\.h'
exit $status
