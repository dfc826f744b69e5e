//! Values that the shells offer for options and words that take others, too: the usual ones.

use clap::builder::PossibleValuesParser;
use clap::{Arg, Command};
use havipd_lab::simulation::cloud::Profile;

/// Of an option by its long name, or of a word by its own.
fn usual(name: &str) -> &'static [&'static str] {
    match name {
        "since" => &["15m", "1h", "2h", "12h", "1d", "7d"],
        "lines" => &["5", "10", "50", "100", "all"],
        "for" => &["30m", "1h", "2h", "4h", "8h", "24h"],
        "timeout" => &["10s", "30s", "1m", "2m"],
        "repeat" => &["1", "2", "3"],
        "region" => &["bd", "bj", "cd", "fsh", "fwh", "gz", "hkg", "sin", "su"],
        "kind" => &["INSTANCE", "GROUP"],
        "state" => &[
            "MASTER",
            "BACKUP",
            "FAULT",
            "STOP",
            "DELETED",
            "MASTER_RX_LOWER_PRI",
            "MASTER_PRIORITY",
            "BACKUP_PRIORITY",
        ],
        // Of the laboratory.
        "nodes" => &["2", "3", "4", "5"],
        "interval" => &["50ms", "100ms", "300ms", "1s"],
        _ => &[],
    }
}

/// The same command, as the generators are to see it.
pub(crate) fn offer(command: Command) -> Command {
    let verbs: Vec<String> = command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    verbs.into_iter().fold(command, |command, verb| command.mut_subcommand(verb, |verb| verb.mut_args(with)))
}

fn with(arg: Arg) -> Arg {
    let name = arg.get_long().unwrap_or_else(|| arg.get_id().as_str());
    // `--state` is a directory, and the word `state` one of keepalived's.
    if arg.get_long() == Some("state") || !arg.get_possible_values().is_empty() {
        return arg;
    }
    let names = match name {
        "profile" => Profile::names().into_iter().map(|name| &*name.leak()).collect(),
        name => usual(name).to_vec(),
    };
    if names.is_empty() { arg } else { arg.value_parser(PossibleValuesParser::new(names)) }
}
