//! Completion of names that only the running daemon knows, put into what clap generates.

use clap_complete::Shell;

/// Commands whose first word is a group.
const OF_GROUPS: [&str; 7] = ["why", "history", "switchover", "drain", "undrain", "maintenance", "drill"];

const BASH: &str = r#"# Groups and nodes come from the running daemon; without one there are none.
_havipctl_live() {
    _havipctl "$@"
    local i word verb="" count=0 kind="" cur="${COMP_WORDS[COMP_CWORD]}"
    local -a socket=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        word="${COMP_WORDS[i]}"
        case "${word}" in
            --socket) socket=(--socket "${COMP_WORDS[i + 1]}"); i=$((i + 1)) ;;
            --to | --since | --svg | --for | --repeat) i=$((i + 1)) ;;
            -*) ;;
            *) if [[ -z "${verb}" ]]; then verb="${word}"; else count=$((count + 1)); fi ;;
        esac
    done
    case "${verb}:${COMP_WORDS[COMP_CWORD - 1]}" in
        switchover:--to) kind=nodes ;;
        *:--socket | *:--since | *:--svg | *:--for | *:--repeat) ;;
        GROUPS) if [[ "${count}" -eq 0 && "${cur}" != -* ]]; then kind=groups; fi ;;
    esac
    if [[ -n "${kind}" ]]; then
        COMPREPLY=( $(compgen -W "$("${COMP_WORDS[0]}" "${socket[@]}" complete "${kind}" 2>/dev/null)" -- "${cur}") )
    fi
}

"#;

const ZSH: &str = r#"# Groups and nodes come from the running daemon; without one there are none.
_havipctl_live() {
    local -a socket names
    [[ -n "${opt_args[--socket]}" ]] && socket=(--socket "${opt_args[--socket]}")
    names=(${(f)"$(havipctl "${socket[@]}" complete "$1" 2>/dev/null)"})
    compadd -a names
}
(( $+functions[_havipctl_groups] )) || _havipctl_groups() { _havipctl_live groups }
(( $+functions[_havipctl_nodes] )) || _havipctl_nodes() { _havipctl_live nodes }

"#;

/// `script` with it.
pub(crate) fn add(script: &str, shell: Shell) -> String {
    match shell {
        Shell::Bash => {
            let groups: Vec<String> = OF_GROUPS.iter().map(|verb| format!("{verb}:*")).collect();
            let function = BASH.replace("GROUPS", &groups.join(" | "));
            let at = script.rfind("if [[ \"${BASH_VERSINFO").expect("clap registers its function at the end");
            let (before, after) = script.split_at(at);
            format!("{before}{function}{}", after.replace("complete -F _havipctl ", "complete -F _havipctl_live "))
        }
        Shell::Zsh => {
            let at = script.find("_havipctl() {").expect("clap defines its function");
            let (before, after) = script.split_at(at);
            let after = after.replace("NODE:_default'", "NODE:_havipctl_nodes'");
            let group = |line: &str| match line.contains(":group -- ") {
                true => line.replace(":_default'", ":_havipctl_groups'"),
                false => line.to_owned(),
            };
            let after: String = after.lines().map(|line| group(line) + "\n").collect();
            format!("{before}{ZSH}{after}")
        }
        _ => {
            let ask = |what: &str| format!("-a \"(havipctl complete {what} 2>/dev/null)\"");
            let mut text = script.to_owned();
            for verb in OF_GROUPS {
                let when = format!("complete -c havipctl -n \"__fish_havipctl_using_subcommand {verb}\" -f");
                text.push_str(&format!("{when} {}\n", ask("groups")));
            }
            let when = "complete -c havipctl -n \"__fish_havipctl_using_subcommand switchover\" -l to -x";
            text + &format!("{when} {}\n", ask("nodes"))
        }
    }
}
