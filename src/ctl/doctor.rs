//! `havipctl doctor`: the running daemon examines itself; where none runs, this process examines the file.

use super::say::{self, Colour, Paint};
use crate::control::client::{Client, ClientError};
use crate::control::protocol::{Code, Request, Response};
use crate::doctor::gather::{DoctorError, Places, of_file};
use crate::doctor::{Finding, Level, worst};
use crate::systemd::{DEFAULT_UNIT, JOB_PATIENCE, directory, stop_timeout};
use clap::Args;
use serde_json::json;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

/// Shown below `--help`.
pub(super) const HELP: &str = "\
Examples:
  havipctl doctor
      the running daemon looks; without one, /etc/havipd/havipd.toml is
      examined
  havipctl doctor --config new.toml --node b
      a file that no daemon runs with yet
  havipctl doctor --json
      for programs: data.findings is a list of {id, level, text, remedy}

Attach and detach are never tried: the first move proves them, or
havipctl drill.

Exit codes: 0 nothing fails (there may be warnings), 1 something fails,
64 wrong arguments, 69 havipd does not answer, 75 try again, 77 not
allowed to ask havipd, 78 the configuration is wrong.";

/// The file of an installed havipd.
const DEFAULT_CONFIG: &str = "/etc/havipd/havipd.toml";

/// What to examine.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Examine this file without asking a daemon, as one that starts now would see things.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Which `[[node]]` of the file this host is; else its addresses, else its host name tell.
    #[arg(long, value_name = "NAME", requires = "config")]
    node: Option<String>,
}

/// Examines, prints, and says how it ended.
pub(super) fn run(socket: &Path, options: &Options, as_json: bool) -> Code {
    match examine(socket, options) {
        Ok((findings, code)) => {
            let response = Response::new(code, counts(&findings)).with_data(json!({ "findings": findings }));
            say::show(&response, as_json, || lines(&findings, Paint::of_stdout(), say::columns()))
        }
        Err(error) => say::tell(&Response::new(error.code(), error.to_string()), as_json),
    }
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
enum ExamineError {
    /// The daemon.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// It answers, and says why not.
    #[error("{0}")]
    Refused(String, Code),
    /// This process.
    #[error("cannot start: {0}")]
    Runtime(#[from] io::Error),
}

impl ExamineError {
    fn code(&self) -> Code {
        match self {
            Self::Client(error) => error.code(),
            Self::Refused(_, code) => *code,
            Self::Runtime(_) => Code::TryAgain,
        }
    }
}

fn examine(socket: &Path, options: &Options) -> Result<(Vec<Finding>, Code), ExamineError> {
    if options.config.is_none() {
        match Client::connect(socket, super::PATIENCE) {
            Ok(mut client) => {
                let response = client.call(&Request::Doctor)?;
                if response.code != Code::Done {
                    return Err(ExamineError::Refused(response.message, response.code));
                }
                let findings: Vec<Finding> = response.read().map_err(ClientError::from)?;
                let code = verdict(&findings);
                return Ok((findings, code));
            }
            // Nobody is there to ask: the file is examined.
            Err(ClientError::Unreachable { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let examined = runtime.block_on(async {
        let places = Places {
            file: options.config.clone().unwrap_or_else(|| DEFAULT_CONFIG.into()),
            state: directory("STATE_DIRECTORY", "/var/lib/havipd"),
            stop_timeout: stop_timeout(OsStr::new("systemctl"), DEFAULT_UNIT, JOB_PATIENCE).await,
        };
        of_file(&places, options.node.clone()).await
    });
    runtime.shutdown_background();
    Ok(match examined {
        Ok(findings) => {
            let code = verdict(&findings);
            (findings, code)
        }
        Err(DoctorError::Configuration(findings)) => (findings, Code::Configuration),
    })
}

pub(super) fn verdict(findings: &[Finding]) -> Code {
    if worst(findings) == Level::Failed { Code::No } else { Code::Done }
}

/// Where texts begin: after level and id.
const TEXT: usize = 7 + 2 + 24 + 2;

/// On fewer columns they stand below.
const NARROW: usize = 70;

/// A line each, the remedy below it, and how many there are of each level.
pub(super) fn lines(findings: &[Finding], paint: Paint, width: Option<usize>) -> String {
    let mut text = String::new();
    let narrow = width.is_some_and(|width| width < NARROW);
    for finding in findings {
        let colour = match finding.level {
            Level::Failed => Colour::Wrong,
            Level::Warning => Colour::Doubtful,
            Level::Ok => Colour::Right,
        };
        let level = paint.apply(colour, &format!("{:<7}", finding.level.as_str()));
        if narrow {
            let _ = writeln!(text, "{level}  {}\n    {}", finding.id, say::folded(&finding.text, 4, width));
            if !finding.remedy.is_empty() {
                let _ = writeln!(text, "    -> {}", say::folded(&finding.remedy, 7, width));
            }
            continue;
        }
        let _ = writeln!(text, "{level}  {:<24}  {}", finding.id, say::folded(&finding.text, TEXT, width));
        if !finding.remedy.is_empty() {
            let _ = writeln!(text, "{:<7}  {:<24}  -> {}", "", "", say::folded(&finding.remedy, TEXT + 3, width));
        }
    }
    text + &counts(findings)
}

pub(super) fn counts(findings: &[Finding]) -> String {
    let count = |level| findings.iter().filter(|f| f.level == level).count();
    let warnings = say::plural(count(Level::Warning), "warning");
    format!("{} failed, {warnings}, {} ok", count(Level::Failed), count(Level::Ok))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_remedy_below_it() {
        let findings = [Finding::failed("peer.b", "b is not heard", "look"), Finding::ok("clock", "is right")];
        let text = lines(&findings, Paint::new(false, None), None);
        assert_eq!(
            text.lines().map(str::trim_end).collect::<Vec<_>>(),
            [
                "failed   peer.b                    b is not heard",
                "                                   -> look",
                "ok       clock                     is right",
                "1 failed, 0 warnings, 1 ok",
            ]
        );
        let narrow = lines(&findings, Paint::new(false, None), Some(24));
        assert_eq!(
            narrow.lines().collect::<Vec<_>>(),
            [
                "failed   peer.b",
                "    b is not heard",
                "    -> look",
                "ok       clock",
                "    is right",
                "1 failed, 0 warnings, 1 ok"
            ]
        );
        assert!(lines(&findings, Paint::new(true, None), None).starts_with("\x1b[31mfailed \x1b[0m  peer.b"));
        assert_eq!((verdict(&findings), verdict(&findings[1..])), (Code::No, Code::Done));
    }
}
