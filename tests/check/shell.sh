#!/bin/sh
# Every shell script passes shellcheck.
set -eu
{
    git ls-files --cached --others --exclude-standard '*.sh' '*.bash'
    echo .ci/run cli/quickstart tests/run tests/golden/make tests/support/packages tests/sqlvdi/sqlcmd | tr ' ' '\n'
    [ ! -f tests/bench/run ] || echo tests/bench/run
} | sort -u | xargs shellcheck -x
