//! Completion of what clap's generators leave out: names that only the running daemon knows, values of words that
//! are no options, and nothing (instead of files) where no file belongs.

use clap::{Arg, Command};
use clap_complete::Shell;
use std::fmt::Write as _;

/// Commands whose first word is a group.
const OF_GROUPS: [&str; 7] = ["why", "history", "switchover", "drain", "undrain", "maintenance", "drill"];
/// Commands whose first word is a HAVIP.
const OF_HAVIPS: [&str; 3] = ["show", "attach", "detach"];
/// Commands whose words are files.
const OF_FILES: [&str; 3] = ["import", "sandbox", "simulate"];

const BASH: &str = r#"# Groups, nodes, targets and HAVIPs come from the running daemon; without one there are none.
_havipctl_live() {
    _havipctl "$@"
    local i word name verb="" option="" count=0 kind="" cur="${COMP_WORDS[COMP_CWORD]}"
    local -a socket=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        word="${COMP_WORDS[i]}"
        if [[ -n "${option}" ]]; then
            # Readline makes three words of --option=value.
            if [[ "${word}" == "=" ]]; then continue; fi
            if [[ "${option}" == --socket ]]; then socket=(--socket "${word}"); fi
            option=""
            continue
        fi
        case "${word}" in
            VALUES) option="${word}" ;;
            -*) ;;
            *) if [[ -z "${verb}" ]]; then verb="${word}"; else count=$((count + 1)); fi ;;
        esac
    done
    case "${verb} ${option}" in
        *" --to" | *" --node" | *" --on") kind=nodes ;;
        *" --instance") kind=instances ;;
        *" --eni") kind=enis ;;
        GROUPS) if [[ "${count}" -eq 0 && "${cur}" != -* ]]; then kind=groups; fi ;;
        HAVIPS) if [[ "${count}" -eq 0 && "${cur}" != -* ]]; then kind=havips; fi ;;
    esac
    if [[ "${cur}" == "=" ]]; then cur=""; fi
    if [[ -n "${kind}" ]]; then
        COMPREPLY=()
        # No files instead.
        compopt +o default +o bashdefault 2>/dev/null
        # Not by compgen -W, which evaluates what it is given.
        while IFS= read -r name; do
            if [[ "${name}" == "${cur}"* ]]; then COMPREPLY+=("${name}"); fi
        done < <("${COMP_WORDS[0]}" "${socket[@]}" complete "${kind}" 2>/dev/null)
    fi
}

"#;

const ZSH: &str = r#"# Groups, nodes, targets and HAVIPs come from the running daemon; without one there are none.
_havipctl_live() {
    local kind=$1
    shift
    local -a socket names
    # As it was typed, and with backslashes before what _arguments thinks is special: quoted twice.
    [[ -n "${havipctl_options[--socket]}" ]] && socket=(--socket "${(Q)${(Q)havipctl_options[--socket]}}")
    names=(${(f)"$(havipctl "${socket[@]}" complete "${kind}" 2>/dev/null)"})
    compadd "$@" -a names
}
(( $+functions[_havipctl_groups] )) || _havipctl_groups() { _havipctl_live groups "$@" }
(( $+functions[_havipctl_nodes] )) || _havipctl_nodes() { _havipctl_live nodes "$@" }
(( $+functions[_havipctl_havips] )) || _havipctl_havips() { _havipctl_live havips "$@" }
(( $+functions[_havipctl_instances] )) || _havipctl_instances() { _havipctl_live instances "$@" }
(( $+functions[_havipctl_enis] )) || _havipctl_enis() { _havipctl_live enis "$@" }

"#;

/// Before a command's own options are parsed, which forgets those that stand before it.
const ZSH_OPTIONS: &str = r#"    local -A havipctl_options
    havipctl_options=("${(@kv)opt_args}")
"#;

const FISH: &str = r#"# The words so far, without options and their values: the first is the command.
function __fish_havipctl_words
    set -l value no
    for word in (commandline -opc)[2..-1]
        if test $value = yes
            set value no
            continue
        end
        switch $word
            case VALUES
                set value yes
            case '-*'
            case '*'
                printf '%s\n' $word
        end
    end
end

# Whether the next word is the first of one of these commands.
function __fish_havipctl_first_of
    set -l words (__fish_havipctl_words)
    test (count $words) -eq 1
    and contains -- $words[1] $argv
end

# Groups, nodes, targets and HAVIPs come from the running daemon; without one there are none.
function __fish_havipctl_live
    set -l words (commandline -opc)
    set -l socket
    for i in (seq (count $words))
        switch $words[$i]
            case '--socket=*'
                set socket $words[$i]
            case --socket
                set socket --socket $words[(math $i + 1)]
        end
    end
    havipctl $socket complete $argv 2>/dev/null
end

"#;

/// `script`, which clap wrote for `command`, with it.
pub(crate) fn add(script: &str, shell: Shell, command: &Command) -> String {
    match shell {
        Shell::Bash => bash(script, command),
        Shell::Zsh => zsh(script),
        _ => fish(script, command),
    }
}

fn bash(script: &str, command: &Command) -> String {
    let first_of = |verbs: &[&str]| verbs.iter().map(|verb| format!("\"{verb} \"")).collect::<Vec<_>>().join(" | ");
    let function = BASH.replace("GROUPS", &first_of(&OF_GROUPS)).replace("HAVIPS", &first_of(&OF_HAVIPS));
    let function = function.replace("VALUES", &values(command).join(" | "));
    let at = script.rfind("if [[ \"${BASH_VERSINFO").expect("clap registers its function at the end");
    let (before, after) = script.split_at(at);
    format!("{before}{function}{}", after.replace("complete -F _havipctl ", "complete -F _havipctl_live "))
}

/// Whether a line of zsh's script is that of an option.
fn option(line: &str, name: &str) -> bool {
    line.trim_start().strip_prefix("'--").and_then(|rest| rest.strip_prefix(name)).is_some_and(|r| r.starts_with("=["))
}

fn zsh(script: &str) -> String {
    let at = script.find("_havipctl() {").expect("clap defines its function");
    let (before, after) = script.split_at(at);
    let after = after.replacen("    case $state in\n", &format!("{ZSH_OPTIONS}    case $state in\n"), 1);
    let named = |line: &str| match line {
        _ if ["to", "node", "on"].iter().any(|name| option(line, name)) => {
            line.replace(":_default'", ":_havipctl_nodes'")
        }
        _ if option(line, "instance") => line.replace(":_default'", ":_havipctl_instances'"),
        _ if option(line, "eni") => line.replace(":_default'", ":_havipctl_enis'"),
        _ if line.contains(":group -- ") => line.replace(":_default'", ":_havipctl_groups'"),
        _ if line.contains(":havip -- ") => line.replace(":_default'", ":_havipctl_havips'"),
        _ => line.to_owned(),
    };
    let after: String = after.lines().map(|line| named(line) + "\n").collect();
    format!("{before}{ZSH}{after}")
}

fn fish(script: &str, command: &Command) -> String {
    // A command that is in the list of what must not have been seen can never be completed.
    let script = script.replace(" keygen help\" -f -a", " keygen\" -f -a");
    let at = script.find("complete -c havipctl").expect("clap completes something");
    let (before, after) = script.split_at(at);
    let mut text = format!("{before}{}{after}", FISH.replace("VALUES", &values(command).join(" ")));
    let verbs = || command.get_subcommands().map(Command::get_name);
    let wordless: Vec<&str> = verbs().filter(|verb| !OF_FILES.contains(verb)).collect();
    let mut put = |when: &str, what: &str| {
        let _ = writeln!(text, "complete -c havipctl -n \"__fish_havipctl_{when}\" {what}");
    };
    put(&format!("using_subcommand {}", wordless.join(" ")), "-f");
    put(&format!("first_of {}", OF_GROUPS.join(" ")), "-f -a \"(__fish_havipctl_live groups)\"");
    put(&format!("first_of {}", OF_HAVIPS.join(" ")), "-f -a \"(__fish_havipctl_live havips)\"");
    for (option, names) in
        [("to", "nodes"), ("node", "nodes"), ("on", "nodes"), ("instance", "instances"), ("eni", "enis")]
    {
        let takes = |verb: &&Command| verb.get_arguments().any(|arg| arg.get_long() == Some(option));
        let of: Vec<&str> = command.get_subcommands().filter(takes).map(Command::get_name).collect();
        let what = format!("-l {option} -x -a \"(__fish_havipctl_live {names})\"");
        put(&format!("using_subcommand {}", of.join(" ")), &what);
    }
    for verb in command.get_subcommands() {
        for word in verb.get_positionals() {
            let names: Vec<_> = word.get_possible_values().iter().map(|v| v.get_name().to_owned()).collect();
            // What follows a word that may be left out can be the first.
            let when = if word.get_index() == Some(1) { "first_of" } else { "using_subcommand" };
            if !names.is_empty() {
                put(&format!("{when} {}", verb.get_name()), &format!("-f -a \"{}\"", names.join(" ")));
            }
        }
    }
    text
}

/// Options with a value, of every command.
fn values(command: &Command) -> Vec<String> {
    let all = command.get_arguments().chain(command.get_subcommands().flat_map(Command::get_arguments));
    let names = |arg: &Arg| {
        let long = arg.get_long().map(|name| format!("--{name}"));
        long.into_iter().chain(arg.get_short().map(|letter| format!("-{letter}")))
    };
    let mut names: Vec<String> = all.filter(|arg| arg.get_action().takes_values()).flat_map(names).collect();
    names.sort();
    names.dedup();
    names
}
