//! What the packages carry and a program can write: man pages, completions and the commented configuration. They
//! are committed, so that a package needs no generator; this test writes them anew and compares.
//!
//! `WRITE=1 cargo test --test generated` puts the new ones in place.

mod keys;
mod live;
mod programs;
mod roff;
mod shipped;
mod values;
mod words;

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};
use std::fs;
use std::path::Path;

/// Every generated file: its path in the repository, and what has to be in it.
fn all() -> Vec<(&'static str, String)> {
    vec![
        ("packaging/man/havipd.8", programs::havipd()),
        ("packaging/man/havipctl.8", programs::havipctl()),
        ("packaging/man/havipd-lab.8", programs::havipd_lab()),
        ("packaging/man/havipd.toml.5", keys::page()),
        ("config/havipd.toml", shipped::file()),
        ("packaging/completions/havipd.bash", completion("havipd", Shell::Bash)),
        ("packaging/completions/_havipd", completion("havipd", Shell::Zsh)),
        ("packaging/completions/havipd.fish", completion("havipd", Shell::Fish)),
        ("packaging/completions/havipctl.bash", completion("havipctl", Shell::Bash)),
        ("packaging/completions/_havipctl", completion("havipctl", Shell::Zsh)),
        ("packaging/completions/havipctl.fish", completion("havipctl", Shell::Fish)),
        ("packaging/completions/havipd-lab.bash", completion("havipd-lab", Shell::Bash)),
        ("packaging/completions/_havipd-lab", completion("havipd-lab", Shell::Zsh)),
        ("packaging/completions/havipd-lab.fish", completion("havipd-lab", Shell::Fish)),
    ]
}

fn completion(program: &'static str, shell: Shell) -> String {
    let mut command = match program {
        "havipd" => havipd::daemon::Arguments::command(),
        "havipd-lab" => havipd_lab::Arguments::command(),
        _ => havipd::ctl::Arguments::command(),
    };
    // Without what is hidden, which the generators would offer.
    let lab = havipd_lab::Arguments::command();
    // What is handed over to the laboratory has its words.
    let handed_over = |verb: &clap::Command| match lab.find_subcommand(verb.get_name()) {
        Some(there) if program == "havipctl" => there.clone().about(verb.get_about().cloned().unwrap_or_default()),
        _ => verb.clone(),
    };
    let visible: Vec<_> = command.get_subcommands().filter(|verb| !verb.is_hide_set()).map(handed_over).collect();
    let arguments: Vec<_> = command.get_arguments().cloned().collect();
    command = clap::Command::new(program).version(env!("CARGO_PKG_VERSION")).args(arguments).subcommands(visible);
    command = values::offer(command);
    let mut text = Vec::new();
    generate(shell, &mut command, program, &mut text);
    let text = String::from_utf8(text).expect("completions are text");
    // clap calls the commands of a program with a hyphen one thing and looks for another, so bash would offer nothing.
    let text = text.replace("havipd__subcmd__lab", "havipd__lab");
    let text = if program == "havipctl" { live::add(&text, shell, &command) } else { text };
    // Blanks at the ends of lines, which git complains about.
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[test]
fn the_generated_files_are_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let write = std::env::var_os("WRITE").is_some();
    let mut stale = Vec::new();
    for (path, text) in all() {
        let there = fs::read_to_string(root.join(path)).unwrap_or_default();
        if there == text {
            continue;
        }
        if write {
            fs::write(root.join(path), &text).unwrap_or_else(|e| panic!("cannot write {path}: {e}"));
        } else {
            let differs = there.lines().zip(text.lines()).position(|(a, b)| a != b).unwrap_or(there.lines().count());
            stale.push(format!("{path}:{}: {:?}", differs + 1, text.lines().nth(differs).unwrap_or_default()));
        }
    }
    assert!(stale.is_empty(), "stale; run WRITE=1 cargo test --test generated\n{}", stale.join("\n"));
}

#[test]
fn completions_know_every_command() {
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let text = completion("havipctl", shell);
        for command in havipd::ctl::Arguments::command().get_subcommands().filter(|verb| !verb.is_hide_set()) {
            assert!(text.contains(command.get_name()), "{shell}: {}", command.get_name());
        }
    }
}

#[test]
fn every_command_has_examples_in_its_help() {
    for mut command in havipd::ctl::Arguments::command().get_subcommands().cloned() {
        if command.is_hide_set() || command.get_name() == "help" {
            continue;
        }
        // However wide the terminal is.
        command = command.term_width(100);
        let help = command.render_long_help().to_string();
        let call = format!("havipctl {}", command.get_name());
        let shown = help.split_once("\nExamples:\n").is_some_and(|(_, examples)| examples.contains(&call));
        assert!(shown, "{call} --help has no examples:\n{help}");
    }
}
