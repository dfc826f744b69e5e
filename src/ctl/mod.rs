//! `havipctl`: the operator's tool. It asks a running daemon, and shows the answer.

mod bundle;
mod complete;
mod doctor;
mod drill;
mod history;
mod import;
mod keygen;
mod notify;
mod oneshot;
mod simulate;
mod status;
mod wait;

use crate::config::model::LogLevel;
use crate::config::parse_duration;
use crate::control::client::{Client, ClientError};
use crate::control::default_socket;
use crate::control::protocol::{Code, Request, Response};
use crate::sandbox;
use clap::{Parser, Subcommand, ValueEnum};
use serde_json::Value;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// How long the daemon may take for an answer; a reload or a handover has its own limit there.
const PATIENCE: Duration = Duration::from_secs(65);
/// Moves the cursor home and clears what follows: one picture takes the place of the last.
const HOME: &str = "\x1b[H\x1b[J";

/// Asks a running havipd, or tells it what to do.
#[derive(Debug, Parser)]
#[command(name = "havipctl", version, about)]
pub struct Arguments {
    /// The daemon's control socket.
    #[arg(long, global = true, value_name = "PATH", default_value_os_t = default_socket())]
    socket: PathBuf,
    /// Answer in JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Roles, peers, holder, and how old every fact is.
    Status {
        /// Show every change as it happens, until interrupted.
        #[arg(long)]
        watch: bool,
        /// Only what somebody should look at; exits 1 if there is anything.
        #[arg(long, conflicts_with = "watch")]
        check: bool,
    },
    /// In words: why this node is, or is not, active; what says so, and what would change it.
    Why {
        /// Which group.
        group: String,
    },
    /// Past changes of role, with their cause and a timeline of each move in milliseconds.
    #[command(after_help = history::HELP)]
    History {
        /// Which group; else every group.
        group: Option<String>,
        /// Only what is newer: a duration such as 90m, 2h or 7d, or a time such as 2026-11-23T04:00:00Z.
        #[arg(long, value_name = "T", value_parser = history::since)]
        since: Option<history::Since>,
        /// Also draw the last move into this file.
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
    },
    /// A planned move: the new node serves before the old one lets go.
    Switchover {
        /// Which group.
        group: String,
        /// The node that is to be active; else the next in rank.
        #[arg(long, value_name = "NODE")]
        to: Option<String>,
        /// Wait until the other node serves; exits 1 if the move failed.
        #[arg(long, conflicts_with = "dry_run")]
        wait: bool,
        /// Only say what would happen.
        #[arg(long)]
        dry_run: bool,
    },
    /// Hand over, and do not become active again until `undrain`, across restarts.
    Drain {
        /// Which group; else every group.
        group: Option<String>,
        /// Wait until other nodes serve.
        #[arg(long)]
        wait: bool,
    },
    /// Take part again.
    Undrain {
        /// Which group; else every group.
        group: Option<String>,
    },
    /// Freeze a group on every node of the cluster, or end that.
    #[command(allow_missing_positional = true)]
    Maintenance {
        /// Which group.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        group: Option<String>,
        /// Every group.
        #[arg(long)]
        all: bool,
        /// On or off.
        #[arg(value_name = "on|off")]
        switch: Switch,
        /// Off again by itself after this long: 1s to 720h, such as 30m or 2h. The node of this havipctl sees to it,
        /// across restarts; if it is down then, once it is back.
        #[arg(long = "for", value_name = "DURATION", value_parser = whole_seconds)]
        lasts: Option<Duration>,
    },
    /// Check everything that could go wrong, on the real cloud, and change nothing. Exits 1 if something fails.
    #[command(after_help = doctor::HELP)]
    Doctor(doctor::Options),
    /// Really move a group there and back, and measure it.
    #[command(after_help = drill::HELP)]
    Drill(drill::Options),
    /// Read the configuration again, as SIGHUP does, and say what came of it.
    Reload,
    /// Change the level of the log until the next reload or restart.
    LogLevel {
        /// How much is told.
        #[arg(ignore_case = true)]
        level: LogLevel,
    },
    /// Every HAVIP that the cloud shows: address, holder, and who else is bound. No daemon needed.
    #[command(after_help = oneshot::LIST_HELP)]
    List(oneshot::List),
    /// One HAVIP as the cloud shows it. No daemon needed.
    #[command(after_help = oneshot::SHOW_HELP)]
    Show(oneshot::Show),
    /// Bind a target to a HAVIP, this node unless another is named. No daemon needed.
    #[command(after_help = oneshot::ATTACH_HELP)]
    Attach(oneshot::Attach),
    /// Unbind a target from a HAVIP, this node unless another is named. No daemon needed.
    #[command(after_help = oneshot::DETACH_HELP)]
    Detach(oneshot::Detach),
    /// Take a state of keepalived: its notify command.
    #[command(after_help = notify::HELP)]
    Notify(notify::Words),
    /// A havipd.toml from keepalived's configuration, with what could not be carried over and why.
    #[command(after_help = import::HELP)]
    Import(import::Options),
    /// A whole cluster and an emulated cloud on this machine: no root, no account.
    #[command(after_help = sandbox::script::HELP)]
    Sandbox(sandbox::Options),
    /// Play faults against the daemon's own decisions in virtual time: a script, or what the dice of a number say.
    #[command(after_help = simulate::HELP)]
    Simulate(simulate::Options),
    /// Everything that whoever helps needs to see, in one archive without secrets.
    #[command(after_help = bundle::HELP)]
    Bundle(bundle::Options),
    /// Names for the shell's completion.
    #[command(hide = true)]
    Complete {
        /// Of what.
        names: complete::Names,
    },
    /// Make a heartbeat key: the same file goes to every node.
    Keygen {
        /// Write it there (mode 0600), not to standard output. An existing file is left alone.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

impl Verb {
    /// What the daemon is asked; `None` for what needs no daemon.
    fn request(&self) -> Option<Request> {
        Some(match self {
            Self::Status { watch: false, .. } => Request::Status,
            Self::Status { watch: true, .. } => Request::Watch,
            Self::Why { group } => Request::Why { group: group.clone() },
            Self::History { group, .. } => Request::History { group: group.clone() },
            Self::Switchover { group, to, dry_run, .. } => {
                Request::Switchover { group: group.clone(), to: to.clone(), dry_run: *dry_run }
            }
            Self::Drain { group, .. } => Request::Drain { group: group.clone() },
            Self::Undrain { group } => Request::Undrain { group: group.clone() },
            Self::Maintenance { group, switch, lasts, .. } => Request::Maintenance {
                group: group.clone(),
                on: *switch == Switch::On,
                for_seconds: lasts.map(|span| span.as_secs()),
            },
            Self::Reload => Request::Reload,
            Self::LogLevel { level } => Request::LogLevel { level: named(*level) },
            Self::List(_) | Self::Show(_) | Self::Attach(_) | Self::Detach(_) | Self::Import(_) => return None,
            Self::Bundle(_) | Self::Complete { .. } => return None,
            Self::Notify(_)
            | Self::Doctor(_)
            | Self::Drill(_)
            | Self::Sandbox(_)
            | Self::Simulate(_)
            | Self::Keygen { .. } => {
                return None;
            }
        })
    }
}

/// Runs `havipctl`. Under the name `havipd` it is the daemon: so the sandbox needs no second program.
#[must_use]
pub fn main() -> ExitCode {
    let name = std::env::args_os().next().unwrap_or_default();
    if Path::new(&name).file_name() == Some("havipd".as_ref()) {
        return crate::daemon::main();
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // A closed standard output is no reason for another exit code.
            let _ = error.print();
            return exit(if error.use_stderr() { Code::Usage } else { Code::Done });
        }
    };
    match (&arguments.command, arguments.command.request()) {
        (Verb::List(options), _) => exit(oneshot::list(options, arguments.json)),
        (Verb::Show(options), _) => exit(oneshot::show(options, arguments.json)),
        (Verb::Attach(options), _) => exit(oneshot::attach(options, &arguments.socket, arguments.json)),
        (Verb::Detach(options), _) => exit(oneshot::detach(options, &arguments.socket, arguments.json)),
        (Verb::Import(options), _) => exit(import::run(options, arguments.json)),
        (Verb::Sandbox(options), _) => ExitCode::from(sandbox::run(options, arguments.json)),
        (Verb::Doctor(options), _) => exit(doctor::run(&arguments.socket, options, arguments.json)),
        (Verb::Drill(options), _) => exit(drill::run(&arguments.socket, options, arguments.json)),
        (Verb::Simulate(options), _) => exit(simulate::execute(options, arguments.json)),
        (Verb::Notify(words), _) => {
            let response = notify::run(words, &arguments.socket);
            tell(&arguments, &response);
            exit(response.code)
        }
        (Verb::Bundle(options), _) => exit(bundle::run(&arguments.socket, options)),
        (Verb::Complete { names }, _) => exit(complete::run(*names, &arguments.socket)),
        (Verb::Keygen { out }, _) => exit(keygen::run(out.as_deref())),
        (Verb::History { since, svg, .. }, Some(request)) => {
            let wanted = history::Wanted { since: *since, svg: svg.as_deref(), json: arguments.json };
            exit(tell_history(&arguments, &request, &wanted).unwrap_or_else(|e| failed(&e)))
        }
        (_, Some(Request::Watch)) => exit(watch(&arguments).unwrap_or_else(|e| failed(&e))),
        (_, Some(request)) => exit(ask(&arguments, &request).unwrap_or_else(|e| failed(&e))),
        (_, None) => exit(Code::Usage),
    }
}

/// As the command line has it, and the protocol.
fn named(level: LogLevel) -> String {
    level.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn exit(code: Code) -> ExitCode {
    ExitCode::from(u8::from(code))
}

fn failed(error: &ClientError) -> Code {
    complain(&error.to_string());
    error.code()
}

fn ask(arguments: &Arguments, request: &Request) -> Result<Code, ClientError> {
    let mut client = Client::connect(&arguments.socket, PATIENCE)?;
    let response = client.call(request)?;
    if let (Verb::Status { check: true, .. }, Code::Done) = (&arguments.command, response.code) {
        return Ok(check(arguments, &response.data));
    }
    let response = match (&arguments.command, response.code) {
        (Verb::Switchover { group, to, wait: true, .. }, Code::Done) => {
            wait::until_moved(&mut client, Some(group), &wait::Order::Switchover { to: to.as_deref() })?
        }
        (Verb::Drain { group, wait: true }, Code::Done) => {
            wait::until_moved(&mut client, group.as_deref(), &wait::Order::Drain)?
        }
        _ => response,
    };
    show(arguments, request, &response);
    Ok(response.code)
}

fn tell_history(arguments: &Arguments, request: &Request, wanted: &history::Wanted) -> Result<Code, ClientError> {
    let response = Client::connect(&arguments.socket, PATIENCE)?.call(request)?;
    if response.code != Code::Done {
        show(arguments, request, &response);
        return Ok(response.code);
    }
    Ok(match history::show(&response.data, wanted) {
        Ok(text) => {
            print(&text);
            Code::Done
        }
        Err(error) => {
            complain(&error.to_string());
            Code::No
        }
    })
}

/// What somebody should look at, one a line; the exit code says whether there is anything.
fn check(arguments: &Arguments, status: &Value) -> Code {
    let problems = status::problems(status);
    let code = if problems.is_empty() { Code::Done } else { Code::No };
    if arguments.json {
        print(&serde_json::json!({ "ok": code == Code::Done, "problems": problems }).to_string());
    } else if code == Code::Done {
        print("ok");
    } else {
        print(&problems.join("\n"));
    }
    code
}

fn show(arguments: &Arguments, request: &Request, response: &Response) {
    if *request != Request::Status || response.code != Code::Done {
        return tell(arguments, response);
    }
    let text = if arguments.json { response.data.to_string() } else { status::text(&response.data) };
    // Nobody reads any more: the exit code still tells.
    let _ = print(&text);
}

fn tell(arguments: &Arguments, response: &Response) {
    if arguments.json {
        print(&serde_json::to_string(response).unwrap_or_default());
    } else if response.code == Code::Done {
        print(&response.message);
    } else {
        complain(&response.message);
    }
}

fn watch(arguments: &Arguments) -> Result<Code, ClientError> {
    let clear = io::stdout().is_terminal() && !arguments.json;
    Client::connect(&arguments.socket, PATIENCE)?.watch(|line| {
        if arguments.json {
            return print(String::from_utf8_lossy(line).trim_end());
        }
        let snapshot: Value = serde_json::from_slice(line).unwrap_or_default();
        let picture = status::text(&snapshot);
        print(&if clear { format!("{HOME}{picture}") } else { format!("{picture}\n") })
    })?;
    complain("havipd has ended");
    Ok(Code::Unreachable)
}

/// A duration of at least a second.
fn whole_seconds(text: &str) -> Result<Duration, String> {
    let span = parse_duration(text).ok_or("write a whole number and one of s, m, h, as in \"2h\"")?;
    if span.as_millis() == 0 || span.subsec_millis() != 0 {
        Err("whole seconds, at least one".into())
    } else {
        Ok(span)
    }
}

/// Prints a line; false once nobody reads any more.
fn print(text: &str) -> bool {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).is_ok()
}

fn complain(text: &str) {
    // Nowhere is left to say that this failed.
    let _ = writeln!(io::stderr(), "havipctl: {text}");
}
