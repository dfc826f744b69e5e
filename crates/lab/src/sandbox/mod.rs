//! A whole cluster and its cloud on one machine, without root and without an account.
//!
//! `havipd-lab sandbox` starts the emulated cloud, a relay that is the network between the nodes, and
//! real daemons on the loopback, each a process of its own:
//!
//! ```text
//!   havipd-lab sandbox ─┬─ emulator   the cloud: signatures checked, faults per node, call log
//!                     ├─ relay      one UDP port per directed pair of nodes: any link can be cut
//!                     ├─ cluster    children, their logs and status; acts are done here
//!                     │    └─► story ─► moves, each with its timeline
//!                     └─ runner (a script)  or  screen (keys, a picture of the facts)
//!   havipd × N        the same program under the name of the daemon, or --havipd
//! ```
//! Whatever ends the sandbox, its daemons end with it. And whatever it does, it listens to what ends it: a signal, its
//! terminal that is closed, its reader that goes.

pub mod act;
pub mod cluster;
pub mod facts;
mod keys;
mod node;
pub mod output;
pub mod relay;
pub mod runner;
pub mod said;
pub mod screen;
pub mod script;
pub mod setup;
pub mod timeline;
pub mod view;

use crate::say::complain;
use crate::simulation::cloud::Profile;
use cluster::Cluster;
use havipd::config::parse_duration;
use havipd::control::protocol::Code;
use havipd::plain::quote;
use havipd::process::audience::{self, Gone, Watched};
use havipd::process::ignores;
use havipd::runtime::signals::Arrivals;
use output::Output;
use runner::{Printer, RunError};
use rustix::process::Signal as Number;
use screen::Terminal;
use setup::Plan;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::io::{self, IsTerminal};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long the end may take: to reap the daemons, and to remove their files.
const END_PATIENCE: Duration = Duration::from_secs(5);
/// A closed terminal, as exit code.
const HUNG_UP: Exit = 128 + 1;
/// Output that nobody reads any more, as exit code.
const UNREAD: Exit = 128 + 13;

/// `havipd-lab sandbox`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Run a script instead of showing the cluster: "failover", a file, or "-" for standard input.
    /// Exits with 1 if it fails.
    #[arg(long, value_name = "FILE|failover")]
    script: Option<String>,
    /// How the emulated cloud behaves where Baidu documents nothing: attach-moves, first-stays, garp-moves,
    /// garp-required, garp-steals, strict-errors, eventual, no-flags, busy or unwinnable.
    #[arg(long, value_name = "NAME", default_value = "attach-moves", value_parser = |name: &str| name.parse::<Profile>())]
    profile: Profile,
    /// Nodes that may hold the HAVIP, 2 to 5.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = havipd::ctl::say::whole::<u8>(2, 5))]
    nodes: u8,
    /// One node more, that only votes.
    #[arg(long)]
    witness: bool,
    /// Who decides when nodes cannot see each other.
    #[arg(long, value_name = "WHO", default_value = "auto")]
    arbiter: Arbiter,
    /// Time between heartbeats, 10ms to 60s; ten of them without a sign of life, and a node is dead.
    #[arg(long, value_name = "DURATION", default_value = "100ms", value_parser = interval)]
    interval: Duration,
    /// Leave the directory with configuration, keys and state behind.
    #[arg(long)]
    keep: bool,
    /// The daemon to run; without it, the one that is built into this program.
    #[arg(long, value_name = "PATH")]
    havipd: Option<PathBuf>,
}

/// `group.arbiter`, as far as a sandbox has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Arbiter {
    /// Majority with three or more voters, else the cloud.
    Auto,
    /// The cloud's record.
    Cloud,
    /// Leases from a majority of the nodes.
    Majority,
}

impl Arbiter {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cloud => "cloud",
            Self::Majority => "majority",
        }
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let allowed = Duration::from_millis(10)..=Duration::from_secs(60);
    let span = parse_duration(text).ok_or_else(|| format!("{} is no duration like 50ms or 1s", quote(text)))?;
    if allowed.contains(&span) { Ok(span) } else { Err(format!("{text} is not between 10ms and 60s")) }
}

/// How a sandbox ended, as exit code: those of [`Code`], or 128 + the number of the signal that ended it.
type Exit = u8;

/// Runs `havipd-lab sandbox`; `json` prints one object a line.
///
/// To be called on the main thread: the daemons end when the thread that started them does.
#[must_use]
pub fn run(options: &Options, json: bool) -> Exit {
    let plan = Plan::new(options.nodes, options.witness, options.arbiter.as_str(), options.interval);
    if options.arbiter == Arbiter::Majority && plan.nodes.len() < 3 {
        complain("--arbiter majority needs three voters: use --nodes 3 or --witness");
        return Code::Usage.into();
    }
    let script = match options.script.as_deref().map(|name| read_script(name, &plan)).transpose() {
        Ok(script) => script,
        Err(text) => {
            complain(&text);
            return Code::Usage.into();
        }
    };
    let program = match options.havipd.as_deref().map(program).transpose() {
        Ok(program) => program,
        Err(text) => {
            complain(&text);
            return Code::Usage.into();
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("cannot start: {error}"));
            return Code::Unreachable.into();
        }
    };
    runtime.block_on(in_sandbox(options, plan, program, script.as_deref(), json))
}

/// The program that `--havipd` names, as a shell would find it here: the daemons start in other directories.
fn program(named: &Path) -> Result<PathBuf, String> {
    let is_program = |path: &Path| {
        std::fs::metadata(path).is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
    };
    let takes = "--havipd takes the path of a havipd";
    if named.components().count() == 1 && !named.as_os_str().as_bytes().contains(&b'/') {
        let directories = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&directories).map(|directory| directory.join(named)).find(|p| is_program(p));
        return found.ok_or_else(|| format!("no directory of PATH has a program {}: {takes}", shown(named)));
    }
    let path = std::path::absolute(named).map_err(|error| format!("{} cannot be found: {error}", shown(named)))?;
    match std::fs::metadata(&path) {
        Err(error) => Err(format!("{} cannot be run: {error}; {takes}", shown(named))),
        Ok(_) if !is_program(&path) => Err(format!("{} is not a program: {takes}", shown(named))),
        Ok(_) => Ok(path),
    }
}

fn shown(path: &Path) -> String {
    quote(&path.to_string_lossy())
}

/// The built-in script, else the file of that name.
fn read_script(name: &str, plan: &Plan) -> Result<Vec<script::Line>, String> {
    let text = match name {
        "failover" => script::FAILOVER.to_owned(),
        file => crate::text::read(Path::new(file)).map_err(|why| format!("cannot run the script: {why}"))?,
    };
    let all = |errors: Vec<script::ScriptError>| {
        errors.iter().map(|e| format!("{name}:{e}")).collect::<Vec<_>>().join("\nhavipd-lab: ")
    };
    script::parse(&text, &plan.names()).map_err(all)
}

async fn in_sandbox(
    options: &Options,
    plan: Plan,
    program: Option<PathBuf>,
    script: Option<&[script::Line]>,
    json: bool,
) -> Exit {
    let view = script.is_none() && !json && io::stdin().is_terminal() && io::stdout().is_terminal();
    // A script may stand in a loop whose input is not for it, and the view reads its keys itself.
    let watched = if script.is_none() && !view { Watched::Both } else { Watched::Output };
    let mut ending = match Ending::new(watched) {
        Ok(ending) => ending,
        Err(error) => {
            complain(&format!("cannot take signals: {error}"));
            return Code::Unreachable.into();
        }
    };
    let begun = tokio::select! {
        begun = Cluster::start(plan, options.profile.clone(), program, options.keep) => begun,
        code = ending.asked() => return code,
    };
    let mut cluster = match begun {
        Ok(cluster) => cluster,
        Err(error) => {
            complain(&error.to_string());
            return Code::Unreachable.into();
        }
    };
    let code = match Output::stdout() {
        Ok(out) if view => look(&mut cluster, out, &mut ending).await,
        Ok(out) => tokio::select! {
            code = tell(&mut cluster, script, Printer::new(out, json)) => code,
            code = ending.asked() => code,
        },
        Err(error) => unprinted(&error),
    };
    if options.keep {
        complain(&format!("configuration, keys and state stay in {}", cluster.directory().display()));
    }
    // The kernel kills, when this process ends, what is not reaped by then.
    let _ = tokio::time::timeout(END_PATIENCE, cluster.shutdown()).await;
    code
}

/// What asks for the end.
struct Ending {
    hangup: Option<Arrivals>,
    interrupt: Arrivals,
    terminate: Arrivals,
    gone: oneshot::Receiver<Gone>,
}

impl Ending {
    fn new(watched: Watched) -> io::Result<Self> {
        let (tell, gone) = oneshot::channel();
        audience::watch(watched, |who| {
            // The one who asked may have ended already.
            let _ = tell.send(who);
        });
        Ok(Self {
            hangup: (!ignores(Number::HUP)).then(|| Arrivals::of(SIGHUP)).transpose()?,
            interrupt: Arrivals::of(SIGINT)?,
            terminate: Arrivals::of(SIGTERM)?,
            gone,
        })
    }

    /// Waits for the first of them; the exit code that says which.
    async fn asked(&mut self) -> Exit {
        let Self { hangup, interrupt, terminate, gone } = self;
        let hangup = async {
            match hangup {
                Some(hangup) => hangup.next().await,
                None => std::future::pending().await,
            }
        };
        // Where nobody watches, nobody is missed, nor asked a second time.
        let gone = async {
            if gone.is_terminated() {
                return std::future::pending().await;
            }
            match gone.await {
                Ok(Gone::Terminal) => HUNG_UP,
                Ok(Gone::Reader) => UNREAD,
                Ok(Gone::Input) => Code::Done.into(),
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            () = hangup => HUNG_UP,
            () = interrupt.next() => 128 + 2,
            () = terminate.next() => 128 + 15,
            code = gone => code,
        }
    }
}

/// On a terminal: the live view.
async fn look(cluster: &mut Cluster, out: Output, ending: &mut Ending) -> Exit {
    let mut terminal = match Terminal::enter(out).await {
        Ok(terminal) => terminal,
        Err(error) => return unprinted(&error),
    };
    let code = tokio::select! {
        shown = screen::show(cluster, &mut terminal) => shown,
        code = ending.asked() => Ok(code),
    };
    terminal.leave().await;
    code.unwrap_or_else(|error| unprinted(&error))
}

/// Line by line: the script, else what happens.
async fn tell(cluster: &mut Cluster, script: Option<&[script::Line]>, mut printer: Printer) -> Exit {
    let done = match script {
        None => plain(cluster, &mut printer).await.map_err(RunError::Output),
        Some(script) => runner::run(cluster, script, &mut printer).await,
    };
    let (code, printed) = match done {
        Ok(()) => (Code::Done, printer.finish().await),
        Err(RunError::Output(error)) => (Code::No, Err(error)),
        Err(error @ RunError::Failed { .. }) => match printer.failed(&error, cluster).await {
            Ok(()) => (Code::No, printer.finish().await),
            Err(error) => (Code::No, Err(error)),
        },
    };
    printed.map_or_else(|error| unprinted(&error), |()| code.into())
}

/// What it means that standard output cannot be written. Of a reader that has gone nobody needs to be told.
fn unprinted(error: &io::Error) -> Exit {
    match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::PIPE) => UNREAD,
        Some(rustix::io::Errno::IO) => HUNG_UP,
        _ => {
            complain(&format!("cannot print: {error}"));
            Code::No.into()
        }
    }
}

/// Without a terminal: what happens, line by line, for as long as somebody reads it.
async fn plain(cluster: &mut Cluster, printer: &mut Printer) -> io::Result<()> {
    let where_it_is = format!("emulated cloud at {}; files in {}", cluster.endpoint(), cluster.directory().display());
    printer.note(&where_it_is).await?;
    loop {
        let news = cluster.turn().await;
        printer.news(&news).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Args;

    #[test]
    fn the_help_names_every_profile() {
        let help = Options::augment_args(clap::Command::new("sandbox")).render_long_help().to_string();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        Profile::names().iter().for_each(|name| assert!(help.contains(name.as_str()), "no {name} in {help}"));
    }

    #[test]
    fn intervals_have_a_range() {
        assert_eq!(interval("50ms"), Ok(Duration::from_millis(50)));
        assert_eq!(interval("5ms"), Err("5ms is not between 10ms and 60s".to_owned()));
        assert_eq!(interval("fast"), Err("\"fast\" is no duration like 50ms or 1s".to_owned()));
    }
}
