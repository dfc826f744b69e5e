//! `havipctl history`: past changes of role, a line each, and every move as bars.
//!
//! The daemon is asked. Where none answers, this process reads the journal that the daemon left on disk, and
//! says so: after a crash that is what there is to read.

mod svg;

use super::say;
use crate::control::client::{Client, ClientError};
use crate::control::default_socket;
use crate::control::protocol::{Code, Request, Response};
use crate::journal::{self, Entry, Step};
use crate::plain::{self, quote};
use crate::status::Status;
use crate::systemd::directory;
use clap::Args;
use jiff::{Span, Timestamp};
use serde::Serialize;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Shown below `--help`.
pub(super) const HELP: &str = "\
Examples:
  havipctl history web
      the newest changes of role of group web, the last one at the end
  havipctl history -n 5
      only the newest five; -n all for every one that is still known
  havipctl history --since 2h
      what happened in the last two hours
  havipctl history web --svg move.svg
      and a drawing of the last move of group web
  havipctl history web --on b
      as node b has it, by way of this one
  havipctl history --state /mnt/havipd
      from the state directory of a daemon that does not run, or of a
      lost machine
  havipctl history --json
      for programs: data.entries; times are RFC 3339, steps in
      milliseconds

Where no daemon answers, the journal in its state directory is read
instead, standard error says so, and data.source is \"journal\", not
\"daemon\". It may be readable for root and the group havipd only.";

/// Columns of the longest bar.
const WIDTH: f64 = 40.0;
/// The same on a terminal of fewer than [`ROOMY`] columns.
const NARROW: f64 = 16.0;
const ROOMY: usize = 100;
/// Columns of a bar's line besides the bar: the time before it, and what stands around it.
const BEFORE: usize = 2 + 9 + 5 + 2;
/// Lines of an entry after its first begin here.
const INDENT: usize = 4;
/// Entries that people get unless they ask for more: about a screen.
const SCREEN: usize = 20;
/// Somebody waits for it; a daemon that hangs has a journal that can be read.
const PATIENCE: Duration = Duration::from_secs(10);
/// Of an installed havipd.
const STATE: &str = "/var/lib/havipd";

/// What is wanted, and how.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Which group; else every group.
    group: Option<String>,
    /// Only what is newer: a duration such as 90m, 2h or 7d, or a time such as 2026-11-23T04:00:00Z.
    #[arg(long, value_name = "T", value_parser = since)]
    since: Option<Since>,
    /// Only the newest N, or all. Unless given: 20, and all of them with --since or --json.
    #[arg(short = 'n', long = "lines", value_name = "N", value_parser = count)]
    most: Option<usize>,
    /// Also draw the last move into this file; an existing one is left alone.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Read the journal in this state directory and ask no daemon.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// The node whose history it is, by way of this one; else this one's.
    #[arg(long, value_name = "NODE", conflicts_with = "state")]
    on: Option<String>,
}

/// Where the past begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Since(Timestamp);

/// Where the entries come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "source", rename_all = "kebab-case")]
pub(super) enum Source {
    /// A daemon that runs.
    Daemon,
    /// Another node's, by way of this one.
    Node {
        /// That node.
        node: String,
    },
    /// The disk.
    Journal {
        /// The state directory.
        #[serde(rename = "state_directory")]
        directory: PathBuf,
        /// Why no daemon was asked; `None`: nobody wanted that.
        #[serde(rename = "daemon_error", skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
}

/// What is known of the past, oldest first.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Past {
    #[serde(flatten)]
    pub(super) source: Source,
    entries: Vec<Entry>,
}

/// Why nothing was drawn.
#[derive(Debug, thiserror::Error)]
enum DrawError {
    /// Nothing to draw.
    #[error("no move is known that could be drawn into {}", .0.display())]
    Nothing(PathBuf),
    /// Whatever it is, it was not made by this call.
    #[error("{} exists, and is left alone: name another file with --svg, or take that one away", .0.display())]
    Exists(PathBuf),
    /// The file.
    #[error("cannot write {}: {error}", path.display())]
    Write { path: PathBuf, error: io::Error },
}

impl DrawError {
    fn code(&self) -> Code {
        match self {
            Self::Write { error, .. } if error.kind() == io::ErrorKind::PermissionDenied => Code::Permission,
            Self::Nothing(_) | Self::Exists(_) | Self::Write { .. } => Code::No,
        }
    }
}

/// Reads `--since`.
fn since(text: &str) -> Result<Since, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(Since(at));
    }
    let wrong = || {
        format!(
            "{text} is neither a duration such as 90m, 2h or 7d, nor a time such as 2026-11-23T04:00:00Z",
            text = quote(text)
        )
    };
    let span: Span = text.parse().map_err(|_| wrong())?;
    // A day is 24 hours here: which calendar day somebody means does not matter.
    let length = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    let at = Timestamp::now().checked_sub(length.abs()).map_err(|_| wrong())?;
    Ok(Since(at))
}

/// Reads `--lines`.
fn count(text: &str) -> Result<usize, String> {
    if text == "all" { Ok(usize::MAX) } else { text.parse().map_err(|_| "a number, or all".to_owned()) }
}

/// Shows it, draws what is to be drawn, and says how that ended.
pub(super) fn run(socket: &Path, options: &Options, as_json: bool) -> Code {
    let asked = match &options.on {
        Some(node) => of_other(socket, node, options.group.as_deref()),
        None => past(socket, options.state.as_deref(), options.group.as_deref()),
    };
    let mut past = match asked {
        Ok(past) => past,
        Err(refusal) => return say::tell(&refusal, as_json),
    };
    if let Some(Since(at)) = options.since {
        past.entries.retain(|e| e.time.parse::<Timestamp>().is_ok_and(|t| t >= at));
    }
    if let Some(path) = &options.svg
        && let Err(error) = draw(&past.entries, path, &whose(&past.source, socket))
    {
        return say::tell(&Response::new(error.code(), error.to_string()), as_json);
    }
    if let Some(path) = options.svg.as_ref().filter(|_| !as_json) {
        say::complain(&format!("the last move is drawn in {}", path.display()));
    }
    let usual = if as_json || options.since.is_some() { usize::MAX } else { SCREEN };
    let left_out = past.entries.len().saturating_sub(options.most.unwrap_or(usual));
    past.entries.drain(..left_out);
    let mut message = match past.entries.len() {
        1 => "1 entry".to_owned(),
        n => format!("{n} entries"),
    };
    if let Source::Journal { directory, why: Some(why) } = &past.source {
        message = format!("{why}; this is the journal in {}, as far as it was written", directory.display());
        if !as_json {
            say::complain(&message);
        }
    }
    let response = match serde_json::to_value(&past) {
        Ok(data) => Response::done(message).with_data(data),
        Err(error) => Response::new(Code::No, error.to_string()),
    };
    say::show(&response, as_json, || text(&past.entries, left_out, say::columns()))
}

/// What the daemon knows; where none answers, or with a state directory, what is on disk.
///
/// # Errors
/// The refusal to show.
pub(super) fn past(socket: &Path, state: Option<&Path>, group: Option<&str>) -> Result<Past, Response> {
    if let Some(directory) = state {
        return on_disk(directory, group, None);
    }
    let request = Request::History { group: group.map(str::to_owned), node: None };
    let asked = Client::connect(socket, PATIENCE).and_then(|mut client| client.call(&request));
    let state = match &asked {
        Err(ClientError::Silent { silent, .. }) => silent.state_directory(),
        _ => None,
    };
    let (code, why) = match asked {
        Ok(response) if response.code == Code::Done => {
            let entries = response.read().map_err(|e| {
                let error = ClientError::from(e);
                Response::new(error.code(), error.to_string())
            })?;
            return Ok(Past { source: Source::Daemon, entries });
        }
        // It does not get on, which does not touch what is written.
        Ok(response) if response.code == Code::TryAgain => (response.code, response.message),
        Ok(refusal) => return Err(refusal),
        Err(
            error @ (ClientError::Unreachable { .. }
            | ClientError::Silent { .. }
            | ClientError::TimedOut(_)
            | ClientError::Lost(_)),
        ) => (error.code(), error.to_string()),
        Err(error) => return Err(Response::new(error.code(), error.to_string())),
    };
    left_behind(socket, state, group, code, why)
}

/// What another node knows, by way of the daemon here.
fn of_other(socket: &Path, node: &str, group: Option<&str>) -> Result<Past, Response> {
    let request = Request::History { group: group.map(str::to_owned), node: Some(node.to_owned()) };
    let failed = |error: ClientError| Response::new(error.code(), error.to_string());
    let response =
        Client::connect(socket, super::PATIENCE).and_then(|mut client| client.call(&request)).map_err(failed)?;
    if response.code != Code::Done {
        return Err(response);
    }
    let entries = response.read().map_err(|error| failed(error.into()))?;
    Ok(Past { source: Source::Node { node: node.to_owned() }, entries })
}

/// What the daemon at `socket`, which does not answer, has left on disk: in `state` if that is known to be its own, else in
/// this host's state directory.
///
/// # Errors
/// The refusal to show, with why the daemon was of no use.
pub(super) fn left_behind(
    socket: &Path,
    state: Option<PathBuf>,
    group: Option<&str>,
    code: Code,
    why: String,
) -> Result<Past, Response> {
    if let Some(state) = state {
        return on_disk(&state, group, Some((code, why)));
    }
    // The state of this host's daemon says nothing of one that has another socket.
    if std::env::var_os("STATE_DIRECTORY").is_none() && socket != default_socket() {
        return Err(Response::new(code, format!("{why}; --state DIR reads the journal in its state directory")));
    }
    on_disk(&directory("STATE_DIRECTORY", STATE), group, Some((code, why)))
}

fn on_disk(state: &Path, group: Option<&str>, daemon: Option<(Code, String)>) -> Result<Past, Response> {
    let (code, why) = daemon.map_or((Code::No, None), |(code, why)| (code, Some(why)));
    let refused = |text: String| {
        let before = why.as_ref().map_or_else(String::new, |why| format!("{why}; and "));
        Response::new(code, format!("{before}{text}"))
    };
    match journal::read(state, group) {
        Ok(_) if !journal::is_in(state) => Err(refused(format!("there is no journal in {}", state.display()))),
        Ok(entries) => {
            // What wrote there need not have been a havipd.
            let entries = serde_json::to_value(entries).map(plain::document).and_then(serde_json::from_value);
            let entries = entries.map_err(|error| refused(error.to_string()))?;
            Ok(Past { source: Source::Journal { directory: state.to_owned(), why }, entries })
        }
        Err(error) => Err(refused(format!("the journal in {} cannot be read: {error}", state.display()))),
    }
}

fn draw(entries: &[Entry], path: &Path, whose: &str) -> Result<(), DrawError> {
    let last = entries.iter().rev().find(|e| e.steps.len() > 1).ok_or_else(|| DrawError::Nothing(path.to_owned()))?;
    let written = File::create_new(path).and_then(|mut file| file.write_all(svg::svg(last, whose).as_bytes()));
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => DrawError::Exists(path.to_owned()),
        _ => DrawError::Write { path: path.to_owned(), error },
    })
}

/// Whose history it is: the node of the daemon that answered, else this host; a directory that was named may be of another
/// machine.
fn whose(source: &Source, socket: &Path) -> String {
    let host = || format!("host {}", rustix::system::uname().nodename().to_string_lossy());
    match source {
        Source::Node { node } => node.clone(),
        Source::Daemon => {
            let status = Client::connect(socket, PATIENCE).and_then(|mut client| client.call(&Request::Status)).ok();
            let status = status.and_then(|answer| answer.read::<Status>().ok());
            status.map_or_else(host, |status| status.core.election.node)
        }
        // It has just not answered: it is not waited for again.
        Source::Journal { why: Some(_), .. } => host(),
        Source::Journal { directory, why: None } => format!("the node of {}", directory.display()),
    }
}

/// All of it as people read it, the newest at the end, as `journalctl` has it.
fn text(entries: &[Entry], left_out: usize, width: Option<usize>) -> String {
    if entries.is_empty() {
        return "no change of role is known".to_owned();
    }
    let mut lines = Vec::new();
    if left_out > 0 {
        lines.push(format!("({left_out} older ones: -n all)"));
    }
    for (i, entry) in entries.iter().enumerate() {
        lines.push(say::folded(&line(entry), INDENT, width));
        let next = entries[i + 1..].iter().find(|e| e.group == entry.group && !e.to.is_empty());
        if !next.is_some_and(|next| goes_on(entry, next)) {
            lines.extend(bars(entry, width));
        }
    }
    lines.join("\n")
}

/// Whether the steps of one entry come again in the next one of its group, as those of a move that goes on do.
fn goes_on(entry: &Entry, next: &Entry) -> bool {
    entry.steps.len() <= next.steps.len() && entry.steps.iter().zip(&next.steps).all(|(a, b)| a.what == b.what)
}

fn line(entry: &Entry) -> String {
    let time = entry.shown_time();
    let peer = entry.peer.as_ref().map(|p| format!(", {p}")).unwrap_or_default();
    let Entry { group, from, to, epoch, cause, detail, .. } = entry;
    if to.is_empty() {
        return format!("{time}  {group}  {cause}: {detail}");
    }
    format!("{time}  {group}  {from} -> {to}  epoch {epoch}  ({cause}{peer}) {detail}")
}

/// When, to the millisecond.
fn bars(entry: &Entry, width: Option<usize>) -> Vec<String> {
    // Where there is little room the words need it more than the bars.
    let widest = if width.is_some_and(|width| width < ROOMY) { NARROW } else { WIDTH };
    let scale = widest / length(entry).max(f64::MIN_POSITIVE);
    let (room, begin) = (columns(widest) + 2, columns(widest) + 2 + BEFORE);
    let bar = |(step, took): (&Step, f64)| {
        // Bars are counted from the left edge; rounding keeps neighbours together.
        let (left, end) = ((step.ms * scale).round(), ((step.ms + took) * scale).round());
        let mut bar = " ".repeat(columns(left));
        let _ = write!(bar, "{}", "#".repeat(columns(end - left).max(1)));
        format!("  {:>9.1} ms |{bar:<room$}| {}", step.ms, say::folded(&step.what, begin, width))
    };
    spans(&entry.steps).map(bar).collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to WIDTH, rounded before")]
fn columns(count: f64) -> usize {
    count.clamp(0.0, WIDTH) as usize
}

/// Milliseconds from the first step to the last.
fn length(entry: &Entry) -> f64 {
    entry.steps.last().map_or(0.0, |s| s.ms)
}

/// Steps with the time until the next one.
fn spans(steps: &[Step]) -> impl Iterator<Item = (&Step, f64)> {
    let ends = steps.iter().skip(1).map(|s| s.ms).chain(steps.last().map(|s| s.ms));
    steps.iter().zip(ends).map(|(step, end)| (step, (end - step.ms).max(0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entries() -> Vec<Entry> {
        serde_json::from_value(json!([
            {"time": "2026-11-22T10:00:00Z", "group": "web", "from": "backup", "to": "claiming", "epoch": 7,
                "cause": "peer-dead", "detail": "a was active and is silent", "peer": "a",
                "steps": [{"ms": 0.0, "what": "claiming <a>"}]},
            {"time": "2026-11-22T10:00:00Z", "group": "web", "epoch": 7, "cause": "drained", "detail": "by an operator"},
            {"time": "2026-11-23T10:00:00.123456789Z", "group": "web", "from": "claiming", "to": "active", "epoch": 7,
                "cause": "confirmed", "detail": "read back", "steps": [
                    {"ms": 0.0, "what": "claiming <a>"}, {"ms": 10.0, "what": "attach sent"},
                    {"ms": 40.0, "what": "active"}]},
        ]))
        .expect("entries")
    }

    #[test]
    fn a_move_is_shown_as_bars_once() {
        let expected = "\
2026-11-22T10:00:00.000Z  web  backup -> claiming  epoch 7  (peer-dead, a) a was active and is silent
2026-11-22T10:00:00.000Z  web  drained: by an operator
2026-11-23T10:00:00.123Z  web  claiming -> active  epoch 7  (confirmed) read back
        0.0 ms |##########                                | claiming <a>
       10.0 ms |          ##############################  | attach sent
       40.0 ms |                                        # | active";
        assert_eq!(text(&entries(), 0, None), expected);
        assert_eq!(text(&entries()[..1], 0, None).lines().count(), 2, "a claim that did not go on has its own bars");
        assert_eq!(text(&[], 0, None), "no change of role is known");
        let narrow = text(&entries(), 0, Some(60));
        assert!(narrow.lines().all(|line| line.chars().count() <= 60), "{narrow}");
        assert!(narrow.contains("       10.0 ms |    ############  | attach sent"), "{narrow}");
        assert!(text(&entries()[2..], 2, None).starts_with("(2 older ones: -n all)\n"));
    }

    #[test]
    fn a_journal_of_another_disk_drives_no_terminal() {
        let state = tempfile::tempdir().expect("a directory");
        let odd = "x\u{1b}[2J\u{202e}\ny";
        let mut entry = entries().remove(0);
        (entry.group, entry.cause, entry.detail) = (odd.to_owned(), odd.to_owned(), odd.to_owned());
        entry.steps[0].what = odd.to_owned();
        let file = serde_json::to_string(&entry).expect("JSON") + "\n";
        std::fs::write(state.path().join("history.jsonl"), file).expect("written");
        let Ok(past) = on_disk(state.path(), None, None) else { panic!("it is read") };
        let shown = text(&past.entries, 0, None).replace('\n', "");
        assert!(shown.contains("x [2J") && !shown.contains(plain::is_odd), "{shown:?}");
    }

    #[test]
    fn what_is_wanted_is_read_or_refused() {
        for text in ["90m", "2h", "7d", "1h 30m", "2026-11-23T00:00:00Z"] {
            assert!(since(text).is_ok_and(|s| s.0 < Timestamp::now()), "{text}");
        }
        for text in ["", "yesterday", "-", "2026-11-23"] {
            assert!(since(text).is_err_and(|e| e.contains("neither")), "{text}");
        }
        assert_eq!((count("7"), count("all")), (Ok(7), Ok(usize::MAX)));
        assert!(count("few").is_err());
    }

    #[test]
    fn a_drawing_has_every_step_and_is_well_formed() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("move.svg");
        let journal = |why| Source::Journal { directory: "/mnt/<havipd>".into(), why };
        let here = whose(&journal(Some("havipd does not run".to_owned())), Path::new("/nowhere"));
        draw(&entries(), &path, &here).expect("drawn");
        let svg = std::fs::read_to_string(&path).expect("written");
        assert_eq!(svg.matches("<rect").count(), 4);
        assert!(svg.contains(" on host ") && svg.contains("A bar lasts from its step until the next"), "{svg}");
        assert!(svg.contains("claiming &lt;a&gt;") && svg.ends_with("</svg>\n"), "{svg}");
        let again = draw(&entries(), &path, "a").expect_err("there is one");
        assert!(again.to_string().contains("move.svg exists, and is left alone: name another file"), "{again}");
        assert_eq!(std::fs::read_to_string(&path).expect("still there"), svg);
        let elsewhere = directory.path().join("elsewhere.svg");
        draw(&entries(), &elsewhere, &whose(&journal(None), Path::new("/nowhere"))).expect("drawn");
        assert!(std::fs::read_to_string(&elsewhere).expect("written").contains(" on the node of /mnt/&lt;havipd&gt;"));
        let nothing = draw(&[], &directory.path().join("no.svg"), "a").expect_err("nothing to draw");
        assert!(nothing.to_string().contains("no move is known"), "{nothing}");
    }
}
