# The .zshrc of an interactive zsh that writes what it would offer for $LINE into $OFFERED, one a line, and ends.
fpath=($COMPLETIONS $fpath)
autoload -Uz compinit && compinit -D -u
compadd() {
    local -a matches
    # With -O, -A or -D it only fills arrays.
    if [[ " ${(j: :)@[1,(i)(-|--)]} " != *' '-[a-zA-Z0-9]#[OAD]' '* ]]; then
        builtin compadd -A matches "$@"
        print -rl -- $matches >>$OFFERED
    fi
    builtin compadd "$@"
}
zle-line-init() { BUFFER=$LINE CURSOR=$#LINE; zle complete-word 2>>$SAID; exit }
zle -N zle-line-init
