//! `havipd`: command line, start and end.

use crate::config::{LoadError, Loaded};
use crate::control::SOCKET;
use crate::control::protocol::{Code, Request, Response};
use crate::control::server::{BindError, ControlRequest, Limits, Server};
use crate::log::{Logging, Overrides};
use crate::net::monitor::{Change, Monitor};
use crate::runtime::reload::{Known, load};
use crate::runtime::service::{End, Setup, run};
use crate::runtime::signals::{Signal, Signals};
use crate::runtime::stale;
use crate::status::Published;
use crate::systemd::{
    DEFAULT_UNIT, JOB_PATIENCE, Notifier, directory, odd_directory, stop_timeout, unit_of_this_process, unit_user,
};
use crate::{plain, process, state};
use clap::Parser;
use havipd_core::model::settings::{Log, LogFormat, LogLevel};
use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

mod release;

/// Control commands that wait. When full: a client is kept waiting, and its own deadline counts.
const COMMANDS: usize = 64;
/// How long the last lines of the log may take.
const LOG_PATIENCE: Duration = Duration::from_secs(1);
/// Without a change of addresses the file is read again this often while no node of it is this host.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Keeps a Baidu AI Cloud HAVIP on exactly one healthy node.
#[derive(Debug, Parser)]
#[command(name = "havipd", version, about, max_term_width = 80)]
pub struct Arguments {
    /// Configuration file.
    #[arg(long, value_name = "FILE", default_value = "/etc/havipd/havipd.toml")]
    config: PathBuf,
    /// Which `[[node]]` of the file this host is; else its addresses, else its host name tell.
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Check the configuration, print what is wrong with it, and exit.
    #[arg(long)]
    check_config: bool,
    /// After an unclean exit: take addresses off this host and tell the peers (systemd's ExecStopPost).
    #[arg(long, conflicts_with = "check_config")]
    release_stale: bool,
    /// Format of the log; wins over log.format.
    #[arg(long, value_name = "FORMAT", value_parser = crate::log::format_argument())]
    log_format: Option<LogFormat>,
    /// Level of the log; wins over log.level.
    #[arg(long, value_name = "LEVEL", value_parser = crate::log::level_argument())]
    log_level: Option<LogLevel>,
}

/// Why the daemon did not begin, as exit code; the text is printed or logged already.
type Refusal = Code;

/// Runs `havipd`.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // A closed standard output is no reason for another exit code. What an error repeats of the command line does
            // nothing to a terminal.
            let _ = match error.use_stderr() {
                true => write!(io::stderr(), "{}", plain::lines(&error.to_string())),
                false => error.print(),
            };
            let code = if error.use_stderr() { Code::Usage } else { Code::Done };
            return ExitCode::from(u8::from(code));
        }
    };
    if let Some(odd) = odd_directory() {
        let _ = writeln!(io::stderr(), "havipd: {odd}");
        return ExitCode::from(u8::from(Code::Configuration));
    }
    if process::init::is_first() {
        return ExitCode::from(process::init::run().unwrap_or_else(|error| {
            let text = format!("cannot start as the first process of a container: {error}");
            let _ = writeln!(io::stderr(), "havipd: {}", plain::in_words(&text));
            u8::from(Code::No)
        }));
    }
    if arguments.check_config {
        return ExitCode::from(u8::from(check_config(&arguments)));
    }
    let overrides = Overrides { level: arguments.log_level, format: arguments.log_format };
    let logging = match Logging::init(overrides, Log { level: LogLevel::Info, format: LogFormat::Text }) {
        Ok(logging) => logging,
        Err(error) => {
            let _ = writeln!(io::stderr(), "havipd: {}", plain::lines(&error.to_string()));
            return ExitCode::from(u8::from(Code::No));
        }
    };
    let code = if arguments.release_stale {
        release::run(&arguments.config, arguments.node.clone())
    } else {
        serve(arguments, &logging)
    };
    let _ = logging.flush(LOG_PATIENCE);
    ExitCode::from(u8::from(code))
}

/// What a check of a file without a daemon knows of this host: the record of its pauses, and the installed unit.
#[must_use]
pub fn known_of_host() -> Known {
    let state = directory("STATE_DIRECTORY", "/var/lib/havipd");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Known {
        longest_pause: state::peek(&state, state::PATIENCE).ok().flatten().map(|s| s.longest_pause),
        stop_timeout: runtime.as_ref().ok().and_then(|runtime| runtime.block_on(unit_stop_timeout())),
        // Another user who checks a file sees it as the daemon that he starts will.
        unit_user: runtime
            .ok()
            .filter(|_| rustix::process::geteuid().is_root())
            .and_then(|runtime| runtime.block_on(unit_user(OsStr::new("systemctl"), DEFAULT_UNIT, JOB_PATIENCE))),
    }
}

fn check_config(arguments: &Arguments) -> Code {
    let known = known_of_host();
    let (code, text) = match load(&arguments.config, arguments.node.clone(), &known) {
        Ok(loaded) => (Code::Done, loaded.report()),
        Err(LoadError::Invalid(all)) => (Code::Configuration, all.to_string()),
        Err(LoadError::NotYet { unplaced, warnings }) => {
            let mut text = warnings.to_string();
            if !text.is_empty() {
                text.push('\n');
            }
            (Code::Configuration, format!("{text}{}: error: {unplaced}", arguments.config.display()))
        }
    };
    let written = if code == Code::Done {
        writeln!(io::stdout(), "{text}")
    } else {
        writeln!(io::stderr(), "{}", plain::lines(&text))
    };
    // The one who asked has gone away; the exit code still tells.
    drop(written);
    code
}

async fn unit_stop_timeout() -> Option<Duration> {
    let unit = unit_of_this_process().unwrap_or_else(|| DEFAULT_UNIT.to_owned());
    stop_timeout(OsStr::new("systemctl"), &unit, JOB_PATIENCE).await
}

fn serve(arguments: Arguments, logging: &Logging) -> Code {
    if let Err(error) = process::harden() {
        tracing::warn!("{error}; heartbeat keys could end up in a core dump");
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("cannot start: {error}");
            return Code::No;
        }
    };
    let code = runtime.block_on(async { daemon(arguments, logging).await.unwrap_or_else(|refusal| refusal) });
    // What still blocks a thread, a hook or a disk, has had its time.
    runtime.shutdown_background();
    code
}

/// From the first signal handler to the last state.
async fn daemon(arguments: Arguments, logging: &Logging) -> Result<Code, Refusal> {
    let refuse = |code| {
        move |error: &dyn std::fmt::Display| {
            tracing::error!("{error}");
            code
        }
    };
    let mut signals = Signals::new().map_err(|e| refuse(Code::No)(&e))?;
    let notifier = Notifier::from_env().map_err(|e| refuse(Code::No)(&e))?;
    let runtime_directory = directory("RUNTIME_DIRECTORY", "/run/havipd");
    let state_directory = directory("STATE_DIRECTORY", "/var/lib/havipd");
    // Only looked at: what is good for one start belongs to who has the lock and a good file.
    let peeked = state::peek(&state_directory, state::PATIENCE);
    let longest_pause = peeked.as_ref().ok().map(|s| s.as_ref().map_or(Duration::ZERO, |s| s.longest_pause));
    // Without systemd nobody waits for an answer of it.
    let supervised = std::env::var_os("NOTIFY_SOCKET").is_some();
    let stop_timeout = if supervised { unit_stop_timeout().await } else { None };
    let known = Known { longest_pause, stop_timeout, unit_user: None };

    // A wrong file first: without it nothing else matters.
    let place = || load(&arguments.config, arguments.node.clone(), &known);
    let first = place();
    if let Err(LoadError::Invalid(all)) = &first {
        return Err(invalid(all));
    }
    let server = bind(&runtime_directory).map_err(|e| refuse(bind_code(&e))(&e))?;
    if let Err(error) = stale::forget(&runtime_directory) {
        tracing::warn!("{error}");
    }
    let (to_commands, mut commands) = mpsc::channel(COMMANDS);
    let status = watch::Sender::new(Arc::new(Published::Waiting { waiting: String::new() }));
    tokio::spawn(server.serve(to_commands, status.subscribe(), Limits::default()));
    let loaded = match first {
        Ok(loaded) => loaded,
        Err(_) => match wait_for_place(place, &notifier, &mut signals, &mut commands, &status).await? {
            Some(loaded) => loaded,
            None => return Ok(Code::Done),
        },
    };
    logging.apply(&loaded.config.log);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "havipd starts");
    tell(&loaded);
    let setup = Setup {
        config: Arc::new(loaded.config),
        path: arguments.config,
        known,
        state_directory,
        state_answers: peeked.is_ok(),
        runtime_directory,
        logging: logging.clone(),
        notifier,
        signals,
    };
    match run(setup, commands, status).await {
        Ok(End::Left) => Ok(Code::Done),
        Ok(End::Abandoned) => Err(Code::No),
        Ok(End::Crashed) => {
            tracing::error!("the core thread ended by itself; the kernel takes the addresses off");
            Err(Code::No)
        }
        Err(error) => Err(refuse(Code::Configuration)(&error)),
    }
}

fn tell(loaded: &Loaded) {
    for line in loaded.report().lines() {
        if line.contains(": warning: ") { tracing::warn!("{line}") } else { tracing::info!("{line}") }
    }
}

fn invalid(all: &crate::config::Diagnostics) -> Refusal {
    for diagnostic in &all.0 {
        tracing::error!("{diagnostic}");
    }
    Code::Configuration
}

/// Waits until an address shows which node this host is. `None`: told to end.
async fn wait_for_place(
    place: impl Fn() -> Result<Loaded, LoadError>,
    notifier: &Notifier,
    signals: &mut Signals,
    commands: &mut mpsc::Receiver<ControlRequest>,
    status: &watch::Sender<Arc<Published>>,
) -> Result<Option<Loaded>, Refusal> {
    let mut said = String::new();
    loop {
        // Opened before the look, so that what comes in between is seen.
        let mut monitor = Monitor::open().ok();
        match place() {
            Ok(loaded) => return Ok(Some(loaded)),
            Err(LoadError::Invalid(all)) => return Err(invalid(&all)),
            Err(LoadError::NotYet { unplaced, .. }) => {
                let text = unplaced.to_string();
                notifier.status(&text);
                // Up, and waiting: systemd must not take it for a start that hangs.
                notifier.ready();
                if text != said {
                    tracing::warn!("{text}");
                    status.send_replace(Arc::new(Published::Waiting { waiting: text.clone() }));
                    said = text;
                }
            }
        }
        tokio::select! {
            () = new_address(monitor.as_mut()) => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
            () = answer(commands, &said) => {}
            signal = signals.next() => if signal == Signal::Terminate {
                notifier.stopping();
                return Ok(None);
            },
        }
    }
}

/// Says to everybody who asks why there is nothing to ask yet; `reload` has the file looked at again.
async fn answer(commands: &mut mpsc::Receiver<ControlRequest>, why: &str) {
    while let Some(ControlRequest { command, reply, .. }) = commands.recv().await {
        let _ = reply.send(Response::new(Code::TryAgain, why));
        if command == Request::Reload {
            return;
        }
    }
    std::future::pending().await
}

async fn new_address(monitor: Option<&mut Monitor>) {
    if let Some(monitor) = monitor {
        loop {
            match monitor.next().await {
                Ok(Change::Address { present: true, .. }) => return,
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }
    std::future::pending().await
}

fn bind(directory: &Path) -> Result<Server, BindError> {
    if !directory.exists() {
        // Without systemd nobody else makes it. What goes wrong, the socket's own error tells.
        let _ = std::fs::DirBuilder::new().recursive(true).mode(0o750).create(directory);
    }
    Server::bind(&directory.join(SOCKET))
}

fn bind_code(error: &BindError) -> Code {
    match error {
        BindError::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => Code::Permission,
        _ => Code::Unreachable,
    }
}
