# bash completion for vdipipe: the words come from the program itself.
_vdipipe() {
    local current=${COMP_WORDS[COMP_CWORD]} words IFS=$'\n'
    if ((COMP_CWORD == 1)); then
        words=$(vdipipe __complete 2>/dev/null | cut -f1)
    elif [[ $current == -* ]]; then
        words=$(vdipipe __complete "${COMP_WORDS[1]}" 2>/dev/null | cut -f1)
        compopt -o nosort 2>/dev/null # in the order of the help
    else
        words=$(vdipipe __complete "${COMP_WORDS[1]}" operands 2>/dev/null | cut -f1)
        compopt -o default # files, where no set fits
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
}
complete -F _vdipipe vdipipe
