//! `havipctl`: the operator's tool. It asks a running daemon, and shows the answer.

mod bundle;
mod cluster;
mod complete;
mod doctor;
mod drill;
mod fingerprint;
mod help;
mod history;
mod import;
mod init;
mod join;
mod keygen;
mod lab;
mod notify;
mod oneshot;
pub mod say;
pub(crate) mod status;
mod wait;

use crate::config::parse_duration;
use crate::control::client::{Client, ClientError};
use crate::control::default_socket;
use crate::control::protocol::{Code, ProtocolError, Request, Response};
use crate::plain;
use crate::process::audience::{self, Gone, Watched};
use crate::status::{Published, Status};
use crate::systemd::odd_directory;
use clap::{Parser, Subcommand, ValueEnum};
use havipd_core::model::settings::LogLevel;
use say::{Paint, print};
use serde::Deserialize as _;
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
#[command(name = "havipctl", version, about, max_term_width = 80, after_help = help::WHOLE)]
pub struct Arguments {
    /// The daemon's control socket.
    #[arg(long, global = true, value_name = "PATH", default_value_os_t = default_socket())]
    socket: PathBuf,
    /// Answer in JSON, errors included, on standard output: {"protocol":1,"code":0,"message":"...","data":{...}}.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Roles, peers, holder, and how old every fact is.
    #[command(after_help = help::STATUS)]
    Status {
        /// Show every change as it happens, until interrupted; without a terminal only what is new.
        #[arg(long)]
        watch: bool,
        /// Only what somebody should look at; exits 1 if there is anything.
        #[arg(long, conflicts_with = "watch")]
        check: bool,
        /// The node that is asked, by way of this one; else this one.
        #[arg(long, value_name = "NODE", conflicts_with = "watch")]
        on: Option<String>,
        /// Every node, as each sees itself: version, roles, whom it hears, checks; exits 1 if one does not answer.
        #[arg(long, conflicts_with_all = ["watch", "check", "on"])]
        cluster: bool,
    },
    /// In words: why this node, or another, is or is not active; what says so, and what would change it.
    #[command(after_help = help::WHY)]
    Why {
        /// Which group; may be left out where there is one.
        group: Option<String>,
        /// The node that is asked, by way of this one; else this one.
        #[arg(long, value_name = "NODE")]
        on: Option<String>,
    },
    /// Past changes of role, with their cause and a timeline of each move in milliseconds.
    ///
    /// Where no daemon answers, the journal on disk is read.
    #[command(after_help = history::HELP)]
    History(history::Options),
    /// A planned move: the new node serves before the old one lets go. From any node.
    #[command(after_help = help::SWITCHOVER)]
    Switchover {
        /// Which group; may be left out where there is one.
        group: Option<String>,
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
    #[command(after_help = help::DRAIN)]
    Drain {
        /// Which group; else every group.
        group: Option<String>,
        /// The node that is to be drained, from this one; else this one.
        #[arg(long, value_name = "NODE")]
        on: Option<String>,
        /// Wait until other nodes serve.
        #[arg(long)]
        wait: bool,
    },
    /// Take part again.
    #[command(after_help = help::UNDRAIN)]
    Undrain {
        /// Which group; else every group.
        group: Option<String>,
        /// The node that is to take part again, from this one; else this one.
        #[arg(long, value_name = "NODE")]
        on: Option<String>,
    },
    /// Freeze a group on every node of the cluster, or end that.
    #[command(allow_missing_positional = true, after_help = help::MAINTENANCE)]
    Maintenance {
        /// Which group; may be left out where there is one.
        #[arg(conflicts_with = "all")]
        group: Option<String>,
        /// Every group.
        #[arg(long)]
        all: bool,
        /// On, off, or reset for numbers that are too high to be right.
        #[arg(value_name = "on|off|reset")]
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
    #[command(after_help = help::RELOAD)]
    Reload,
    /// Change the level of the log until the next reload or restart.
    #[command(after_help = help::LOG_LEVEL)]
    LogLevel {
        /// How much is told.
        #[arg(ignore_case = true, value_parser = crate::log::level_argument())]
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
    /// A havipd.toml from keepalived's or vip-manager's configuration, with what could not be carried over and why.
    #[command(after_help = import::HELP)]
    Import(import::Options),
    /// A havipd.toml for the nodes of a HAVIP, from the metadata service, the API, and your answers. No daemon needed.
    ///
    /// Asks on a terminal; in scripts the options answer. Makes the heartbeat key beside the file, and says what it cannot know.
    #[command(after_help = init::HELP)]
    Init(Box<init::Options>),
    /// Before havipd starts on another node: are file and key the ones that the cluster has, and would it start?
    ///
    /// Fetches nothing: copy havipd.toml and the key here first.
    #[command(after_help = join::HELP)]
    Join(join::Options),
    /// A whole cluster and an emulated cloud on this machine: no root, no account. Done by havipd-lab, a package of its own.
    #[command(disable_help_flag = true, after_help = help::SANDBOX)]
    Sandbox(lab::Words),
    /// Play faults against the daemon's own decisions in virtual time. Done by havipd-lab, a package of its own.
    #[command(disable_help_flag = true, after_help = help::SIMULATE)]
    Simulate(lab::Words),
    /// Everything that somebody who helps needs to see, in one archive without secrets.
    #[command(after_help = bundle::HELP)]
    Bundle(bundle::Options),
    /// Names for the shell's completion.
    #[command(hide = true)]
    Complete {
        /// Of what.
        names: complete::Names,
    },
    /// Make a heartbeat key: the same file goes to every node.
    #[command(after_help = help::KEYGEN)]
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
    Reset,
}

impl Verb {
    /// The group that this command needs and that was not named.
    fn open_group(&mut self) -> Option<&mut Option<String>> {
        let group = match self {
            Self::Why { group, .. } | Self::Switchover { group, .. } | Self::Maintenance { group, all: false, .. } => {
                group
            }
            Self::Drill(options) => &mut options.group,
            _ => return None,
        };
        Some(group).filter(|group| group.is_none())
    }

    /// What the daemon is asked; `None` for what needs no daemon. A group that was not named is known by now.
    fn request(&self) -> Option<Request> {
        Some(match self {
            Self::Status { watch: false, on: Some(node), .. } => Request::StatusOf { node: node.clone(), group: None },
            Self::Status { watch: false, .. } => Request::Status,
            Self::Status { watch: true, .. } => Request::Watch,
            Self::Why { group, on } => Request::Why { group: group.clone().unwrap_or_default(), node: on.clone() },
            Self::Switchover { group, to, dry_run, .. } => {
                Request::Switchover { group: group.clone().unwrap_or_default(), to: to.clone(), dry_run: *dry_run }
            }
            Self::Drain { group, on, .. } => Request::Drain { group: group.clone(), node: on.clone() },
            Self::Undrain { group, on } => Request::Undrain { group: group.clone(), node: on.clone() },
            // With --for it is left to the daemon to say that only `on` ends by itself.
            Self::Maintenance { group, switch: Switch::Reset, lasts: None, .. } => {
                Request::ResetNumbers { group: group.clone() }
            }
            Self::Maintenance { group, switch, lasts, .. } => Request::Maintenance {
                group: group.clone(),
                on: *switch == Switch::On,
                for_seconds: lasts.map(|span| span.as_secs()),
            },
            Self::Reload => Request::Reload,
            Self::LogLevel { level } => Request::LogLevel { level: level.as_str().to_owned() },
            Self::List(_) | Self::Show(_) | Self::Attach(_) | Self::Detach(_) | Self::Import(_) => return None,
            Self::Init(_) | Self::Join(_) => return None,
            Self::Bundle(_) | Self::Complete { .. } => return None,
            Self::Notify(_)
            | Self::Doctor(_)
            | Self::Drill(_)
            | Self::History(_)
            | Self::Sandbox(_)
            | Self::Simulate(_)
            | Self::Keygen { .. } => {
                return None;
            }
        })
    }
}

/// Runs `havipctl`.
#[must_use]
pub fn main() -> ExitCode {
    let mut arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return exit(misunderstood(&error)),
    };
    if let Some(odd) = odd_directory() {
        return exit(say::tell(&Response::new(Code::Configuration, odd), arguments.json).into());
    }
    if let Some(group) = arguments.command.open_group()
        && let Err(response) = only_group(&arguments.socket).map(|only| *group = Some(only))
    {
        return exit(say::tell(&response, arguments.json).into());
    }
    exit(run(&arguments))
}

/// The group of a daemon that has one.
fn only_group(socket: &Path) -> Result<String, Response> {
    let failed = |error: ClientError| Response::new(error.code(), error.to_string());
    let status =
        Client::connect(socket, PATIENCE).and_then(|mut client| client.call(&Request::Status)).map_err(failed)?;
    if status.code != Code::Done {
        return Err(status);
    }
    let status: Status =
        status.read().map_err(|error| Response::new(Code::Unreachable, ClientError::from(error).to_string()))?;
    let groups = status.core.election.groups.iter().map(|group| group.name.as_str());
    match groups.collect::<Vec<_>>().as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => Err(Response::new(Code::Usage, "this node knows of no group")),
        all => Err(Response::new(Code::Usage, format!("say which group: {}", all.join(", ")))),
    }
}

fn run(arguments: &Arguments) -> u8 {
    let (socket, json) = (&*arguments.socket, arguments.json);
    u8::from(match (&arguments.command, arguments.command.request()) {
        (Verb::Status { cluster: true, .. }, _) => cluster::run(socket, json).unwrap_or_else(|e| say::failed(&e, json)),
        (Verb::List(options), _) => oneshot::list(options, json),
        (Verb::Show(options), _) => oneshot::show(options, json),
        (Verb::Attach(options), _) => oneshot::attach(options, socket, json),
        (Verb::Detach(options), _) => oneshot::detach(options, socket, json),
        (Verb::Import(options), _) => import::run(options, json),
        (Verb::Init(options), _) => init::run(options, json),
        (Verb::Join(options), _) => join::run(options, json),
        (Verb::Sandbox(words), _) => lab::hand_over("sandbox", words, json),
        (Verb::Doctor(options), _) => doctor::run(socket, options, json),
        (Verb::Drill(options), _) => drill::run(socket, options, json),
        (Verb::History(options), _) => history::run(socket, options, json),
        (Verb::Simulate(words), _) => lab::hand_over("simulate", words, json),
        (Verb::Notify(words), _) => say::tell(&notify::run(words, socket), json),
        (Verb::Bundle(options), _) => bundle::run(socket, options, json),
        (Verb::Complete { names }, _) => complete::run(*names, socket),
        (Verb::Keygen { out }, _) => keygen::run(out.as_deref(), json),
        (_, Some(Request::Watch)) => watch(socket, json).unwrap_or_else(|e| say::failed(&e, json)),
        (_, Some(request)) => ask(arguments, &request).unwrap_or_else(|e| say::failed(&e, json)),
        (_, None) => Code::Usage,
    })
}

/// Help that was asked for, or what is wrong with the command line.
fn misunderstood(error: &clap::Error) -> u8 {
    let code = if error.use_stderr() { Code::Usage } else { Code::Done };
    let as_json = std::env::args_os().any(|argument| argument == "--json");
    if code == Code::Usage && as_json {
        say::document(&Response::new(code, error.to_string().trim_end()));
    } else if error.use_stderr() {
        // What it repeats of the command line does nothing to a terminal.
        let _ = write!(io::stderr(), "{}", plain::lines(&error.to_string()));
    } else {
        // A closed standard output is no reason for another exit code.
        let _ = error.print();
    }
    code.into()
}

fn exit(code: u8) -> ExitCode {
    ExitCode::from(code)
}

fn ask(arguments: &Arguments, request: &Request) -> Result<Code, ClientError> {
    let mut client = Client::connect(&arguments.socket, PATIENCE)?;
    if request.needs_root() {
        client.introduce()?;
    }
    let response = client.call(request)?;
    // The node that carried it out, where that is another one.
    let on = response.data["node"].as_str().map(str::to_owned);
    let as_json = arguments.json;
    if response.code != Code::Done {
        return Ok(say::tell(&response, as_json));
    }
    let response = match &arguments.command {
        Verb::Status { check: true, .. } => status::check(&response.read()?),
        Verb::Status { .. } if !as_json => {
            let status: Status = response.read()?;
            return Ok(say::show(&response, as_json, || status::text(&status, Paint::of_stdout())));
        }
        Verb::Switchover { group, to, wait: true, .. } => wait::until_moved(
            &mut client,
            on.as_deref(),
            group.as_deref(),
            &wait::Order::Switchover { to: to.as_deref() },
        )?,
        Verb::Drain { group, wait: true, .. } => {
            wait::until_moved(&mut client, on.as_deref(), group.as_deref(), &wait::Order::Drain)?
        }
        _ => response,
    };
    // What a check finds is what was asked for, and no complaint.
    Ok(match arguments.command {
        Verb::Status { .. } | Verb::Why { .. } => {
            say::show(&response, as_json, || say::fitted(&response.message, say::columns()))
        }
        _ => say::tell(&response, as_json),
    })
}

fn watch(socket: &Path, as_json: bool) -> Result<Code, ClientError> {
    let terminal = io::stdout().is_terminal();
    let clear = terminal && !as_json;
    let paint = Paint::of_stdout();
    // A quiet daemon gives nothing to print, and so no occasion to find out that nobody reads it.
    audience::watch(Watched::Both, |gone| std::process::exit(gone.exit_code()));
    // Without a terminal nobody sees a picture change: the first one is whole, then only what is new in the next.
    let mut known: Option<Vec<String>> = None;
    let ended = Client::connect(socket, PATIENCE)?.watch(|line| {
        let snapshot: Value = plain::document(serde_json::from_slice(line).unwrap_or_default());
        if as_json {
            return say::document(&Response::done("").with_data(snapshot));
        }
        let status = match Published::deserialize(&snapshot) {
            Ok(Published::Running(status)) => status,
            Ok(Published::Waiting { waiting }) => return print(&format!("havipd waits: {waiting}")),
            Err(error) => return print(&ClientError::from(ProtocolError::Data(error)).to_string()),
        };
        if clear {
            return print(&format!("{HOME}{}", status::text(&status, paint)));
        }
        let facts = status::facts(&status);
        match known.replace(facts.clone()) {
            None => print(&format!("{}\n", status::text(&status, paint))),
            Some(before) => {
                let now = jiff::Timestamp::now();
                facts.iter().filter(|fact| !before.contains(fact)).all(|fact| print(&format!("{now:.3} {fact}")))
            }
        }
    })?;
    if !ended {
        // A print may notice before the thread that waits for it.
        std::process::exit(Gone::from_output(terminal).exit_code());
    }
    Ok(say::tell(&Response::new(Code::Unreachable, "havipd has ended"), as_json))
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
