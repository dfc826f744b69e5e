//! A whole cluster and its cloud on one machine, without root and without an account.
//!
//! `havipctl sandbox` starts the emulated cloud, a relay that is the network between the nodes, and
//! real daemons on the loopback, each a process of its own:
//!
//! ```text
//!   havipctl sandbox ─┬─ emulator   the cloud: signatures checked, faults per node, call log
//!                     ├─ relay      one UDP port per directed pair of nodes: any link can be cut
//!                     ├─ cluster    children, their logs and status; deeds are done here
//!                     │    └─► story ─► moves, each with its timeline
//!                     └─ runner (a script)  or  screen (keys, a picture of the facts)
//!   havipd × N        the same program under the name of the daemon, or --havipd
//! ```
//! Whatever ends the sandbox, its daemons end with it.

pub mod cluster;
pub mod deed;
pub mod emulator;
pub mod facts;
mod node;
pub mod relay;
pub mod runner;
pub mod said;
pub mod screen;
pub mod script;
pub mod setup;
pub mod timeline;
pub mod view;

use crate::config::parse_duration;
use crate::control::protocol::Code;
use crate::simulation::cloud::Profile;
use cluster::Cluster;
use runner::{Printer, RunError};
use setup::Plan;
use std::io::{self, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// `havipctl sandbox`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Run a script instead of showing the cluster: "failover", a file, or "-" for standard input.
    /// Exits with 1 if it fails.
    #[arg(long, value_name = "FILE|failover")]
    script: Option<String>,
    /// How the emulated cloud behaves where Baidu documents nothing: attach-moves, first-stays, garp-moves,
    /// garp-required, garp-steals, strict-errors, eventual, no-flags or unwinnable.
    #[arg(long, value_name = "NAME", default_value = "attach-moves", value_parser = |name: &str| name.parse::<Profile>())]
    profile: Profile,
    /// Nodes that may hold the HAVIP, 2 to 5.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=5))]
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
    /// Silence is enough.
    None,
    /// The cloud's record.
    Cloud,
    /// Leases from a majority of the nodes.
    Majority,
}

impl Arbiter {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::None => "none",
            Self::Cloud => "cloud",
            Self::Majority => "majority",
        }
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let allowed = Duration::from_millis(10)..=Duration::from_secs(60);
    let span = parse_duration(text).ok_or_else(|| format!("{text:?} is no duration like 50ms or 1s"))?;
    if allowed.contains(&span) { Ok(span) } else { Err(format!("{text} is not between 10ms and 60s")) }
}

/// How a sandbox ended, as exit code: those of [`Code`], or 128 + the number of the signal that ended it.
type Exit = u8;

/// Runs `havipctl sandbox`; `json` prints one object a line.
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
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("cannot start: {error}"));
            return Code::Unreachable.into();
        }
    };
    runtime.block_on(in_sandbox(options, plan, script.as_deref(), json))
}

fn complain(text: &str) {
    // Nobody reads it; the exit code still tells.
    let _ = writeln!(io::stderr(), "havipctl: {text}");
}

/// The built-in script, else the file of that name.
fn read_script(name: &str, plan: &Plan) -> Result<Vec<script::Line>, String> {
    let cannot = |error: io::Error| format!("cannot read the script {name:?}: {error}");
    let text = match name {
        "failover" => script::FAILOVER.to_owned(),
        "-" => {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).map_err(cannot)?;
            text
        }
        file => std::fs::read_to_string(file).map_err(cannot)?,
    };
    let all = |errors: Vec<script::ScriptError>| {
        errors.iter().map(|e| format!("{name}:{e}")).collect::<Vec<_>>().join("\nhavipctl: ")
    };
    script::parse(&text, &plan.names()).map_err(all)
}

async fn in_sandbox(options: &Options, plan: Plan, script: Option<&[script::Line]>, json: bool) -> Exit {
    let mut interrupted = std::pin::pin!(interrupted());
    let begun = tokio::select! {
        begun = Cluster::start(plan, options.profile.clone(), options.havipd.clone(), options.keep) => begun,
        number = &mut interrupted => return 128 + number,
    };
    let mut cluster = match begun {
        Ok(cluster) => cluster,
        Err(error) => {
            complain(&error.to_string());
            return Code::Unreachable.into();
        }
    };
    let code = tokio::select! {
        code = use_it(&mut cluster, script, json) => code,
        number = &mut interrupted => 128 + number,
    };
    if options.keep {
        complain(&format!("configuration, keys and state stay in {}", cluster.directory().display()));
    }
    cluster.shutdown().await;
    code
}

/// The number of the first signal that asks for the end.
async fn interrupted() -> u8 {
    let wait = |kind: SignalKind| async move {
        match signal(kind) {
            Ok(mut signals) => drop(signals.recv().await),
            // Its default action, to end at once, stays: the daemons end too.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = wait(SignalKind::hangup()) => 1,
        () = wait(SignalKind::interrupt()) => 2,
        () = wait(SignalKind::terminate()) => 15,
    }
}

async fn use_it(cluster: &mut Cluster, script: Option<&[script::Line]>, json: bool) -> Exit {
    let mut printer = Printer::new(io::stdout(), json);
    let Some(script) = script else {
        if io::stdout().is_terminal() && !json && screen::show(cluster).await.is_ok() {
            return Code::Done.into();
        }
        return plain(cluster, &mut printer).await;
    };
    match runner::run(cluster, script, &mut printer).await {
        Ok(()) => Code::Done.into(),
        Err(error @ RunError::Failed { .. }) => {
            let _ = printer.failed(&error, cluster);
            Code::No.into()
        }
        Err(error @ RunError::Output(_)) => {
            complain(&error.to_string());
            Code::No.into()
        }
    }
}

/// Without a terminal: what happens, line by line, until a signal or until nobody reads it.
async fn plain<W: Write>(cluster: &mut Cluster, printer: &mut Printer<W>) -> Exit {
    let where_it_is = format!("emulated cloud at {}; files in {}", cluster.endpoint(), cluster.directory().display());
    let mut printed = printer.note(&where_it_is);
    while printed.is_ok() {
        let news = cluster.turn().await;
        printed = news.iter().try_for_each(|n| printer.news(n));
    }
    Code::Done.into()
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
