//! The shipped completions in the real shells: of a running daemon, of none, and of one that lies.

use crate::lab::script::script;
use crate::lab::{HAVIP, Lab, Options};
use crate::wait::wait_for;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Debian's package of each has the name of the program; tests/run installs them.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Fish, Shell::Zsh];

/// For bash, what readline does: a word ends at blanks, and at `=`.
const BASH: &str = r#"
source "$COMPLETIONS/${1##*/}.bash"
complete -p "${1##*/}" | grep -q -- '-F _' || exit 9
for word; do
    case "$word" in
        --*=*) COMP_WORDS+=("${word%%=*}" = ${word#*=}) ;;
        *) COMP_WORDS+=("$word") ;;
    esac
done
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
function=$(complete -p "${1##*/}" | sed 's/.*-F \([^ ]*\) .*/\1/')
"$function" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;
const FISH: &str = "set -p fish_complete_path $COMPLETIONS; complete -C $LINE";
/// Its line editor wants a terminal.
const ZSH: &str = "zmodload zsh/zpty && zpty inner zsh -d -i; while zpty -r inner said; do :; done";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shell {
    Bash,
    Fish,
    Zsh,
}

/// A home, and a directory where somebody types.
struct Desk {
    shell: Shell,
    home: TempDir,
    /// Where `havipctl` is.
    bin: PathBuf,
}

impl Desk {
    fn new(shell: Shell) -> Self {
        let home = TempDir::new().unwrap();
        std::fs::create_dir(home.path().join("here")).unwrap();
        std::fs::write(home.path().join("here/file.toml"), "").unwrap();
        std::fs::write(home.path().join(".zshrc"), include_str!("completions.zsh")).unwrap();
        Self { shell, home, bin: Path::new(env!("CARGO_BIN_EXE_havipctl")).parent().unwrap().to_owned() }
    }

    /// What is offered behind these words, sorted; an empty one is one that is only begun.
    fn offers(&self, words: &[&str]) -> Vec<String> {
        // The first of them has blanks and worse in it, now and then.
        let quoted = |word: &&str| match word.is_empty() || word.starts_with("--") {
            true => (*word).to_owned(),
            false => word.replace(' ', "\\ "),
        };
        let line: Vec<String> = words.iter().map(quoted).collect();
        let file = |name| self.home.path().join(name);
        let (offered, said) = (file("offered"), file("said"));
        let _ = std::fs::remove_file(&offered);
        // A shell that waits for something is no reason to wait for it.
        let mut command = Command::new("timeout");
        match self.shell {
            Shell::Bash => command.args(["60", "bash", "--norc", "-c", BASH, "bash"]).args(words),
            Shell::Fish => command.args(["60", "fish", "--no-config", "-c", FISH]),
            Shell::Zsh => command.args(["60", "zsh", "-f", "-c", ZSH]),
        };
        command.env("COMPLETIONS", Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/completions"));
        command.env("LINE", line.join(" ")).env("OFFERED", &offered).env("SAID", &said);
        command.env("HOME", self.home.path()).env("ZDOTDIR", self.home.path()).env("TERM", "xterm");
        command.env("PATH", format!("{}:{}", self.bin.display(), std::env::var("PATH").unwrap()));
        command.env_remove("XDG_CONFIG_HOME").env_remove("XDG_DATA_HOME").current_dir(file("here"));
        // bash complains of a locale that is not installed.
        command.env("LC_ALL", "C.UTF-8");
        let output = command.output().unwrap();
        assert!(self.shell == Shell::Bash || output.status.success(), "{:?}: {output:?}", self.shell);
        assert_ne!(output.status.code(), Some(9), "bash has no function for it");
        let errors = String::from_utf8(output.stderr).unwrap() + &std::fs::read_to_string(&said).unwrap_or_default();
        assert_eq!(errors, "", "{:?} for {line:?}: silent, whatever happens", self.shell);
        let text = match self.shell {
            Shell::Zsh => std::fs::read_to_string(&offered).unwrap_or_default(),
            _ => String::from_utf8(output.stdout).unwrap(),
        };
        // Behind a tab, fish says what it is.
        let names = text.lines().map(|line| line.split('\t').next().unwrap_or_default());
        let mut names: Vec<String> = names.filter(|name| !name.is_empty()).map(str::to_owned).collect();
        names.sort();
        names
    }
}

#[test]
fn groups_nodes_and_havips_are_those_of_the_running_daemon() {
    let lab = Lab::new(Options { more_groups: 2, ..Options::default() });
    let a = lab.start(0);
    a.wait_for("answers", |_| true);
    let socket = a.socket();
    let socket = socket.to_str().unwrap();
    for shell in SHELLS {
        let desk = Desk::new(shell);
        let asks = |words: &[&str]| {
            let answer = || Some(desk.offers(words)).filter(|offered| !offered.is_empty());
            // A daemon that takes half a second for its answer, as on a busy machine, is not waited for.
            wait_for(&format!("{shell:?}: something is offered for {words:?}"), answer)
        };
        let offers = |words: &[&str]| asks(&[&["havipctl", "--socket", socket], words].concat());
        // Where nothing may be offered.
        let has = |words: &[&str], name: &str| {
            desk.offers(&[&["havipctl", "--socket", socket], words].concat()).iter().any(|offered| offered == name)
        };
        for verb in ["why", "history", "switchover", "drain", "undrain", "drill"] {
            assert_eq!(offers(&[verb, ""]), ["g0", "g1", "web"], "{shell:?}: {verb}");
        }
        assert_eq!(offers(&["why", "g"]), ["g0", "g1"], "{shell:?}");
        assert_eq!(offers(&["drain", "--wait", "w"]), ["web"], "{shell:?}");
        assert_eq!(offers(&["switchover", "web", "--to", ""]), ["a", "b"], "{shell:?}");
        assert_eq!(offers(&["switchover", "--to", "b", "w"]), ["web"], "{shell:?}");
        let ids = ["havip-more0", "havip-more1", HAVIP];
        for verb in ["show", "attach", "detach"] {
            assert_eq!(offers(&[verb, ""]), ids, "{shell:?}: {verb}");
        }
        assert_eq!(offers(&["attach", "--wait", "havip-m"]), ids[..2], "{shell:?}");
        assert_eq!(offers(&["detach", "--instance", "i-a", "havip-t"]), [HAVIP], "{shell:?}");
        assert!(!has(&["show", HAVIP, ""], HAVIP), "{shell:?}: only the first word is one");
        assert_eq!(offers(&["attach", HAVIP, "--instance", ""]), ["i-a"], "{shell:?}");
        assert_eq!(offers(&["doctor", "--node", ""]), ["a", "b"], "{shell:?}");
        assert_eq!(offers(&["history", "-n", "5", "w"]), ["web"], "{shell:?}");
        // fish repeats what is typed already.
        let joined: Vec<_> =
            offers(&["switchover", "--to="]).iter().map(|n| n.trim_start_matches("--to=").to_owned()).collect();
        assert_eq!(joined, ["a", "b"], "{shell:?}");
        // Only the first word is a group.
        let second = offers(&["maintenance", "web", ""]);
        assert!(second.contains(&"on".to_owned()) && !second.contains(&"web".to_owned()), "{shell:?}: {second:?}");
        assert!(!has(&["switchover", "web", ""], "web"), "{shell:?}");
        // The socket may stand behind the command, and in one word.
        assert_eq!(asks(&["havipctl", "why", "--socket", socket, "w"]), ["web"], "{shell:?}");
        let joined = format!("--socket={socket}");
        assert_eq!(asks(&["havipctl", "why", &joined, "w"]), ["web"], "{shell:?}");
    }
    drop(a);
    // One that takes the connection and says nothing more is not waited for.
    let mute = lab.dir.path().join("mute.sock");
    let _listener = UnixListener::bind(&mute).unwrap();
    for shell in SHELLS {
        let desk = Desk::new(shell);
        for socket in [socket, mute.to_str().unwrap()] {
            let offered = desk.offers(&["havipctl", "--socket", socket, "why", ""]);
            assert!(!offered.contains(&"web".to_owned()), "{shell:?}: nobody to ask, but {offered:?}");
        }
    }
}

#[test]
fn commands_options_levels_and_files_are_offered() {
    for shell in SHELLS {
        let desk = Desk::new(shell);
        let has = |words: &[&str], wanted: &str| {
            let offered = desk.offers(words);
            assert!(offered.iter().any(|o| o == wanted), "{shell:?}: {words:?}: {wanted} is not in {offered:?}");
        };
        assert_eq!(desk.offers(&["havipctl", "stat"]), ["status"], "{shell:?}");
        assert_eq!(desk.offers(&["havipctl", "help", "stat"]), ["status"], "{shell:?}");
        has(&["havipctl", ""], "switchover");
        has(&["havipctl", "why", "--js"], "--json");
        has(&["havipctl", "switchover", "web", "--"], "--dry-run");
        has(&["havipctl", "log-level", ""], "debug");
        has(&["havipctl", "history", "--since", ""], "2h");
        has(&["havipctl", "history", "-n", ""], "all");
        has(&["havipctl", "maintenance", "web", "on", "--for", "3"], "30m");
        has(&["havipctl", "list", "--region", "b"], "bj");
        has(&["havipctl", "notify", ""], "INSTANCE");
        has(&["havipctl", "notify", "INSTANCE", "VI_1", "MAS"], "MASTER");
        has(&["havipctl", "import", "--arbiter", ""], "keepalived");
        has(&["havipd-lab", "sandbox", "--profile", "g"], "garp-moves");
        has(&["havipd-lab", "sandbox", "--nodes", ""], "5");
        has(&["havipctl", "sandbox", "--profile", "g"], "garp-moves");
        has(&["havipctl", "simulate", "--se"], "--seed");
        has(&["havipctl", "simulate", "--config", "f"], "file.toml");
        has(&["havipctl", "bundle", "--out", ""], "file.toml");
        has(&["havipctl", "bundle", "--config", "f"], "file.toml");
        has(&["havipd", "--check"], "--check-config");
        has(&["havipd", "--config", "f"], "file.toml");
        has(&["havipd", "--log-level", "w"], "warn");
        // What is hidden is for the shells alone.
        assert!(!desk.offers(&["havipctl", "c"]).contains(&"complete".to_owned()), "{shell:?}");
    }
}

#[test]
fn no_shell_runs_what_a_name_or_a_socket_says() {
    let touched = |desk: &Desk| std::fs::read_dir(desk.home.path().join("here")).unwrap().count() - 1;
    for shell in SHELLS {
        let mut desk = Desk::new(shell);
        desk.bin = desk.home.path().join("bin");
        std::fs::create_dir(&desk.bin).unwrap();
        let liar = "#!/bin/sh\ncat <<'END'\nx$(touch one)\nx`touch two`\nx;touch three\nx*\nx(touch four)\nxy\nEND\n";
        script(&desk.bin.join("havipctl"), liar);
        // It does ask the liar, and what is a name is offered.
        for words in [
            &["havipctl", "why", "x"][..],
            &["havipctl", "show", "x"],
            &["havipctl", "--socket", "/x$(touch five)", "why", "x"],
        ] {
            let offered = desk.offers(words);
            assert!(offered.contains(&"xy".to_owned()), "{shell:?}: {offered:?}");
            assert!(!offered.contains(&"x".to_owned()), "{shell:?}: it was run: {offered:?}");
            assert_eq!(touched(&desk), 0, "{shell:?}: it was run");
        }
    }
}
