//! `havipd-lab simulate`: the election and the ownership loop that the daemon runs, in virtual time.

use crate::say::{self, complain, print};
use crate::simulation::cloud::Profile;
use crate::simulation::cluster::Cluster;
use crate::simulation::{PROMISES, Report, Scenario, Violation, replay, run};
use havipd::clock;
use havipd::config::LoadError;
use havipd::control::protocol::{Code, Response};
use havipd::plain::{lines, quote};
use havipd::process::audience::{self, Watched};
use havipd::runtime::reload::{Known, load};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// More lines than any account has.
const ALL: usize = 10_000_000;

/// Shown below the options.
pub(crate) const HELP: &str = r#"Examples:
  havipd-lab simulate --seed 42
      what happens in scenario 42 of those that the tests draw
  havipd-lab simulate --seeds 0..1000
      a thousand of them; tells which break a promise
  havipd-lab simulate --invariants
      the promises that every run is held against
  havipd-lab simulate --seed 42 --print
      the same scenario as a file to change
  havipd-lab simulate night.toml --config havipd.toml --node a
      a script of faults on your own cluster

A scenario names nodes as the cluster does, HAVIPs by number from 0:
  name = "the active node dies in a partition"
  [[step]]
  at-ms = 60000
  do = { partition = { sides = [["a"], ["b", "c"]] } }
  [[step]]
  at-ms = 70000
  do = { crash = { node = "a", back-ms = 20000 } }
  [[step]]
  at-ms = 120000
  do = "heal-network"
  [expect]
  moves-max = 2

Exit status: 0 no promise was broken as far as the scenario goes (the
last line says how far, and whether all settled), 1 one was broken or
the outcome is not the expected one, 75 --seeds was ended before its
last number, 78 the scenario or the configuration is wrong."#;

/// `havipd-lab simulate`.
#[derive(Debug, Clone, clap::Args)]
// The one that clap makes is wider than a terminal.
#[command(
    override_usage = "havipd-lab simulate [OPTIONS] SCENARIO\n       havipd-lab simulate [OPTIONS] --seed N | --seeds FROM..TO | --invariants"
)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["scenario", "seed", "seeds", "invariants"]))]
pub(crate) struct Options {
    /// A script of faults (TOML); "-" for standard input.
    #[arg(value_name = "SCENARIO")]
    scenario: Option<PathBuf>,
    /// The scenario that belongs to this number, with a readable account.
    #[arg(long, value_name = "N", value_parser = say::whole::<u64>(0, u64::MAX))]
    seed: Option<u64>,
    /// All scenarios of these numbers, the last one not included.
    #[arg(long, value_name = "FROM..TO", value_parser = range)]
    seeds: Option<(u64, u64)>,
    /// List what every run is held against.
    #[arg(long)]
    invariants: bool,
    /// Play the scenario on the cluster of this configuration.
    #[arg(long, value_name = "FILE", requires = "scenario")]
    config: Option<PathBuf>,
    /// Which node of the configuration this host is, when it is none of them.
    #[arg(long, value_name = "NAME", requires = "config")]
    node: Option<String>,
    /// The group of the configuration; else its first.
    #[arg(long, value_name = "NAME", requires = "config")]
    group: Option<String>,
    /// How the cloud behaves where Baidu documents nothing, as with `havipd-lab sandbox`.
    #[arg(long, value_name = "NAME", requires = "config", default_value = "attach-moves",
          value_parser = |name: &str| name.parse::<Profile>().map(|p| p.name))]
    profile: String,
    /// Lines of the account that are shown, from its end, or "all".
    #[arg(long, value_name = "LINES", default_value = "200", value_parser = count)]
    trace: usize,
    /// Show also what is the same as before: reads with the same answer, repeated announcements.
    #[arg(long)]
    verbose: bool,
    /// Print the scenario as text and do not play it.
    #[arg(long, conflicts_with_all = ["seeds", "invariants"])]
    print: bool,
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let parts = text.split_once("..").and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    parts.filter(|(from, to)| from < to).ok_or_else(|| "two numbers, as in 0..1000, the first one less".to_owned())
}

fn count(text: &str) -> Result<usize, String> {
    if text == "all" { Ok(ALL) } else { text.parse().map_err(|_| "a number of lines, or all".to_owned()) }
}

/// Runs the command.
pub(crate) fn execute(options: &Options, as_json: bool) -> Code {
    if options.invariants {
        return list(as_json);
    }
    if let Some((from, to)) = options.seeds {
        return sweep(from, to, as_json);
    }
    let scenario = match options.seed {
        Some(seed) => Scenario::random(seed),
        None => match read(options) {
            Ok(scenario) => scenario,
            Err(text) => return say::tell(&Response::new(Code::Configuration, text), as_json),
        },
    };
    if options.print {
        let text = scenario.text();
        let response = Response::done("not played").with_data(json!({ "scenario": text }));
        return say::show(&response, as_json, || text.trim_end().to_owned());
    }
    // What is left out of the account is left out after it is kept.
    let mut report = replay(&scenario, if options.trace == 0 { 0 } else { ALL });
    report.trace = last(&report.trace, options.trace, options.verbose);
    let code = if report.violation.is_some() { Code::No } else { Code::Done };
    let said = report.to_string();
    let response = Response::new(code, said.trim_end()).with_data(outcome(&report));
    say::show(&response, as_json, || format!("{}{}", lines(&report.trace), lines(said.trim_end())))
}

fn list(as_json: bool) -> Code {
    let all: Vec<Value> = PROMISES.iter().map(|(name, text)| json!({"name": name, "text": text})).collect();
    let response = Response::done(format!("{} promises", all.len())).with_data(json!({ "promises": all }));
    let lines = PROMISES.iter().map(|(name, text)| format!("{name:<4} {text}"));
    say::show(&response, as_json, || lines.collect::<Vec<_>>().join("\n"))
}

fn read(options: &Options) -> Result<Scenario, String> {
    let path = options.scenario.as_deref().unwrap_or(Path::new("-"));
    let text = crate::text::read(path)?;
    let scenario = match &options.config {
        Some(config) => Scenario::parse_for(&text, own_cluster(config, options)?),
        None => Scenario::parse(&text),
    };
    let mut scenario = scenario.map_err(|e| format!("{}: {e}", path.display()))?;
    if scenario.name.is_empty() {
        scenario.name = path.display().to_string();
    }
    Ok(scenario)
}

fn own_cluster(path: &Path, options: &Options) -> Result<Cluster, String> {
    let loaded = load(path, options.node.clone(), &Known::default()).map_err(|error| match error {
        LoadError::Invalid(all) => all.to_string(),
        LoadError::NotYet { unplaced, .. } => format!("{}: {unplaced}; --node tells", path.display()),
    })?;
    let config = loaded.config;
    let group = match &options.group {
        Some(name) => {
            config.group_named(name).ok_or_else(|| format!("{}: no group {}", path.display(), quote(name)))?
        }
        None => config.groups.first().map(|_| havipd_core::model::ids::GroupIndex(0)).ok_or("it has no group")?,
    };
    Ok(Cluster::of_config(&config, group, &options.profile))
}

/// The last lines of an account. Unless `all`, without what only says again what it said before.
fn last(trace: &str, count: usize, all: bool) -> String {
    let mut said = HashSet::new();
    let mut kept: Vec<&str> = vec![];
    for line in trace.lines() {
        let (_, words) = line.split_at_checked(12).unwrap_or(("", line));
        let again =
            ["reads back", "announces", "read havip", "list havips", "instance:"].iter().any(|w| words.contains(w));
        if !again {
            // Something happened: from here on even the same answer is news.
            said.clear();
        }
        if all || !again || said.insert(words) {
            kept.push(line);
        }
    }
    kept.iter().skip(kept.len().saturating_sub(count)).fold(String::new(), |text, line| text + line + "\n")
}

fn outcome(report: &Report) -> Value {
    let moves: Vec<Value> = report
        .moves
        .iter()
        .map(|group| group.iter().map(|(at, to)| json!({"at_s": at.as_secs_f64(), "to": to})).collect())
        .collect();
    json!({
        "scenario": report.scenario.name,
        "seed": report.scenario.seed,
        "simulated_s": report.simulated.as_secs_f64(),
        "turns": report.stats.turns,
        "datagrams": report.stats.datagrams,
        "calls": report.stats.calls,
        "forged": report.stats.forged,
        "active": report.active,
        "moves": moves,
        "settled_s": report.converged.map(|c| c.as_secs_f64()),
        "bound_s": report.bound.as_secs_f64(),
        "ending": report.ending(),
        "violation": report.violation.as_ref().map(violation),
        "trace": report.trace.lines().collect::<Vec<_>>(),
    })
}

fn violation(v: &Violation) -> Value {
    json!({"invariant": v.invariant, "at_s": v.at.as_secs_f64(), "text": v.text})
}

/// Plays all of them, until the last, or until a signal asks for the end or nobody reads it any more: then the figures are of
/// what was played. A second signal ends it at once.
fn sweep(from: u64, to: u64, as_json: bool) -> Code {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // In this order: the first one sets the flag, and only the next finds it set.
        let registered = signal_hook::flag::register_conditional_default(signal, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)));
        if let Err(error) = registered {
            complain(&format!("signal {signal} will end this at once: {error}"));
        }
    }
    let unread = Arc::clone(&stop);
    audience::watch(Watched::Output, move |_| unread.store(true, Ordering::Relaxed));
    let began = clock::now();
    let (mut simulated, mut broken, mut next) = (Duration::ZERO, vec![], from);
    while next < to && !stop.load(Ordering::Relaxed) {
        let report = run(&Scenario::random(next));
        simulated += report.simulated;
        if let Some(v) = &report.violation {
            if !as_json {
                print(&format!("seed {next}: {} broken at {:.3} s: {}", v.invariant, v.at.as_secs_f64(), v.text));
                print(&format!("  replay: havipd-lab simulate --seed {next}"));
            }
            let mut one = violation(v);
            one["seed"] = next.into();
            broken.push(one);
        }
        next += 1;
    }
    let wall = clock::now().since(began).as_secs_f64();
    let hours = simulated.as_secs_f64() / 3600.0;
    let count = broken.len();
    let rate = hours / wall.max(0.001);
    let text =
        format!("seeds {from}..{next}: {hours:.1} h simulated in {wall:.1} s, {rate:.2} h/s; {count} broke a promise");
    let (seconds, done) = (simulated.as_secs_f64(), next - from);
    let figures = json!({
        "from": from, "to": next, "seeds": done, "simulated_s": seconds, "wall_s": wall, "broken": broken,
    });
    let code = match () {
        () if count > 0 => Code::No,
        () if next < to => Code::TryAgain,
        () => Code::Done,
    };
    say::show(&Response::new(code, text.clone()).with_data(figures), as_json, || text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_says_what_changed() {
        let trace = "\
     10.0000   a starts
     11.0000   a reads back: i-a
     12.0000   a reads back: i-a
     12.5000   b reads back: i-a
     13.0000   a reads back: i-b
     14.0000   a active -> backup
     15.0000   a reads back: i-b
";
        let count = |lines, all| last(trace, lines, all).lines().count();
        assert_eq!(count(ALL, true), 7);
        assert_eq!(count(ALL, false), 6, "the second look said what the first did");
        assert_eq!(count(2, false), 2);
        assert!(last(trace, 1, false).contains("15.0000"));
    }

    #[test]
    fn ranges_are_what_they_look_like() {
        assert_eq!(range("3..7"), Ok((3, 7)));
        for bad in ["", "7", "7..3", "3..3", "a..b", "..5"] {
            assert!(range(bad).is_err(), "{bad:?}");
        }
    }
}
