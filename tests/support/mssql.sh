# shellcheck shell=bash
# shellcheck disable=SC2034 # the scenarios use what is set here
#
# mssql.sh - a stand-in SQL Server for a scenario, on a port that the kernel chose; to be sourced after lib.sh

# shellcheck disable=SC2154 # lib.sh made it
password=$scratch/password
(umask 077 && echo 'correct horse' >"$password")
export VDIPIPE_PASSWORD_FILE=$password

if ! "$VDIPIPE" --version | grep -i freetds >/dev/null; then
    echo "skip - built without FreeTDS"
    exit 0
fi

# Starts 'vdipipe serve'; its process is $server, and $url what reaches it. Databases that are restored go to this folder. What
# happens to it is in serve.err.
serve() { # ARGS...
    rm -f serve.out serve.err
    "$VDIPIPE" serve -v --listen 127.0.0.1:0 --data-dir "$PWD" "$@" >serve.out 2>serve.err &
    server=$!
    wait_until 20 grep -q '^listening on' serve.out
    url=mssql://sa@$(sed -n 's/^listening on //p' serve.out)
}

end_server() {
    kill "$server"
    wait "$server" || :
}

nothing_left() {
    end_server
    no_leftovers
}

# The drop-in for Microsoft's library, beside the executable or where the build puts it.
dropin() {
    find "$(dirname "$VDIPIPE")" -name libsqlvdi.so -print -quit | grep .
}
