//! The command line of `havipd-lab`.

use crate::{sandbox, say, serve, simulate};
use clap::{Parser, Subcommand};
use havipd::control::protocol::{Code, Response};
use havipd_core::model::plain::lines;
use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

/// Tries havipd out: a cluster on this machine, faults in virtual time, the cloud without an account.
#[derive(Debug, Parser)]
#[command(name = "havipd-lab", version, about, max_term_width = 80)]
pub struct Arguments {
    /// Answer in JSON, errors included, on standard output.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// A whole cluster and an emulated cloud on this machine: no root, no account.
    #[command(after_help = sandbox::script::HELP)]
    Sandbox(sandbox::Options),
    /// Play faults against the daemon's own decisions in virtual time: a script, or what the dice of a number say.
    #[command(after_help = simulate::HELP)]
    Simulate(simulate::Options),
    /// The emulated cloud alone, over HTTP, until SIGTERM or SIGINT.
    #[command(after_help = serve::HELP)]
    Emulator(serve::Options),
}

/// Runs `havipd-lab`. Under the names `havipd` and `havipctl` it is those: so the sandbox needs no other program.
#[must_use]
pub fn main() -> ExitCode {
    let name = std::env::args_os().next().unwrap_or_default();
    match Path::new(&name).file_name().and_then(OsStr::to_str) {
        Some("havipd") => return havipd::daemon::main(),
        Some("havipctl") => return havipd::ctl::main(),
        _ => {}
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return ExitCode::from(misunderstood(&error)),
    };
    let json = arguments.json;
    ExitCode::from(match &arguments.command {
        Verb::Sandbox(options) => sandbox::run(options, json),
        Verb::Simulate(options) => simulate::execute(options, json).into(),
        Verb::Emulator(options) => serve::run(options, json).into(),
    })
}

/// Help that was asked for, or what is wrong with the command line.
fn misunderstood(error: &clap::Error) -> u8 {
    let code = if error.use_stderr() { Code::Usage } else { Code::Done };
    let as_json = std::env::args_os().any(|argument| argument == "--json");
    if code == Code::Usage && as_json {
        say::tell(&Response::new(code, error.to_string().trim_end()), true);
    } else if error.use_stderr() {
        // What it repeats of the command line does nothing to a terminal.
        let _ = write!(io::stderr(), "{}", lines(&error.to_string()));
    } else {
        // A closed standard output is no reason for another exit code.
        let _ = error.print();
    }
    code.into()
}
