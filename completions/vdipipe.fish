# fish completion for vdipipe: the words come from the program itself.
function __vdipipe_words
    set -l tokens (commandline -opc)
    if test (count $tokens) -lt 2
        vdipipe __complete 2>/dev/null
    else if string match -q -- '-*' (commandline -ct)
        vdipipe __complete $tokens[2] 2>/dev/null
    else
        vdipipe __complete $tokens[2] operands 2>/dev/null
    end
end
complete -c vdipipe -n 'test (count (commandline -opc)) -lt 2' -f -k -a '(__vdipipe_words)'
complete -c vdipipe -n 'test (count (commandline -opc)) -ge 2' -k -a '(__vdipipe_words)'
