#compdef vdipipe
# zsh completion for vdipipe: the words come from the program itself.
_vdipipe() {
    local -a words_found
    local line
    if ((CURRENT == 2)); then
        for line in ${(f)"$(vdipipe __complete 2>/dev/null)"}; do
            words_found+=("${line%%$'\t'*}:${line#*$'\t'}")
        done
        _describe -V command words_found
    elif [[ ${words[CURRENT]} == -* ]]; then
        for line in ${(f)"$(vdipipe __complete "${words[2]}" 2>/dev/null)"}; do
            words_found+=("${line%%$'\t'*}:${line#*$'\t'}")
        done
        _describe -V option words_found -S ''
    else
        for line in ${(f)"$(vdipipe __complete "${words[2]}" operands 2>/dev/null)"}; do
            words_found+=("${line%%$'\t'*}:${line#*$'\t'}")
        done
        ((${#words_found})) && _describe 'device set' words_found || _files
    fi
}
_vdipipe "$@"
