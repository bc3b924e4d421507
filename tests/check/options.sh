#!/usr/bin/env bash
# Help, completion words and the manual come from the same tables, and README shows no option that does not exist.
set -u
vdipipe=$1/vdipipe
status=0

complain() {
    echo "$*"
    status=1
}

man=$("$vdipipe" __complete man) || exit 1
for command in $("$vdipipe" __complete | cut -f1); do
    help=$("$vdipipe" "$command" --help) || complain "$command --help fails"
    [[ $("$vdipipe" help "$command") == "$help" ]] || complain "help $command differs from $command --help"
    [[ $(wc -L <<<"$help") -le 100 ]] || complain "$command --help is wider than 100 columns"
    while IFS=$'\t' read -r word _; do
        option=${word%=}
        grep -qF -- "$option" <<<"$help" || complain "$command --help lacks $option"
        grep -qF -- "${option//-/\\-}" <<<"$man" || complain "the manual lacks $option of $command"
    done < <("$vdipipe" __complete "$command")
done
known=$(for command in $("$vdipipe" __complete | cut -f1); do "$vdipipe" __complete "$command"; done | cut -f1 | tr -d '=')
while read -r option; do
    grep -qxF -- "$option" <<<"$known" || complain "README shows $option, which no command knows"
done < <(grep -E 'vdipipe [a-z]' README.md | sed 's/[|].*//' | grep -oE -- '--[a-z][a-z-]+' | sort -u)
exit $status
