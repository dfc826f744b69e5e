//! Past changes of role, as people read them: a line each, and the move that led to it as bars.

use crate::journal::{Entry, Step};
use jiff::{Span, Timestamp};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Shown below `--help`.
pub(super) const HELP: &str = "\
Examples:
  havipctl history web                  every change of role of group web that is still known
  havipctl history --since 2h           what happened in the last two hours
  havipctl history web --svg move.svg   and a drawing of the last move of group web
  havipctl history --json               for programs; times are RFC 3339, steps in milliseconds";

/// Columns of the longest bar.
const WIDTH: f64 = 40.0;

/// Where the past begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Since(Timestamp);

/// What of it is wanted, and how.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) since: Option<Since>,
    pub(super) svg: Option<&'a Path>,
    pub(super) json: bool,
}

/// Why a history was not shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum HistoryError {
    /// The daemon is of another version.
    #[error("the daemon's answer is not a history: {0}")]
    Answer(#[from] serde_json::Error),
    /// Nothing to draw.
    #[error("no move is known that could be drawn into {}", .0.display())]
    NothingToDraw(PathBuf),
    /// The file.
    #[error("cannot write {}: {error}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
}

/// Reads `--since`.
pub(super) fn since(text: &str) -> Result<Since, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(Since(at));
    }
    let wrong =
        || format!("{text:?} is neither a duration such as 90m, 2h or 7d, nor a time such as 2026-11-23T04:00:00Z");
    let span: Span = text.parse().map_err(|_| wrong())?;
    // A day is 24 hours here: which calendar day somebody means does not matter.
    let length = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    let at = Timestamp::now().checked_sub(length.abs()).map_err(|_| wrong())?;
    Ok(Since(at))
}

/// The text to print; draws what is to be drawn.
pub(super) fn show(data: &Value, wanted: &Wanted<'_>) -> Result<String, HistoryError> {
    let mut entries: Vec<Entry> = serde_json::from_value(data.clone())?;
    if let Some(Since(at)) = wanted.since {
        entries.retain(|e| e.time.parse::<Timestamp>().is_ok_and(|t| t >= at));
    }
    if let Some(path) = wanted.svg {
        let last = entries.iter().rev().find(|e| e.steps.len() > 1);
        let last = last.ok_or_else(|| HistoryError::NothingToDraw(path.to_path_buf()))?;
        std::fs::write(path, svg(last)).map_err(|error| HistoryError::Write { path: path.to_path_buf(), error })?;
    }
    if wanted.json {
        return Ok(serde_json::to_string(&entries)?);
    }
    if entries.is_empty() {
        return Ok("no change of role is known".to_owned());
    }
    Ok(entries.iter().map(text).collect::<Vec<_>>().join("\n"))
}

fn text(entry: &Entry) -> String {
    let peer = entry.peer.as_ref().map(|p| format!(", {p}")).unwrap_or_default();
    let mut text = format!(
        "{}  {}  {} -> {}  epoch {}  ({}{peer}) {}",
        entry.time, entry.group, entry.from, entry.to, entry.epoch, entry.cause, entry.detail
    );
    let scale = WIDTH / length(entry).max(f64::MIN_POSITIVE);
    for (step, took) in spans(&entry.steps) {
        // Bars are counted from the left edge; rounding keeps neighbours together.
        let (begin, end) = ((step.ms * scale).round(), ((step.ms + took) * scale).round());
        let gap = " ".repeat(columns(begin));
        let bar = "#".repeat(columns(end - begin).max(1));
        let _ = write!(text, "\n  {:>9.1} ms |{:<42}| {}", step.ms, format!("{gap}{bar}"), step.what);
    }
    text
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

/// One move as a drawing.
fn svg(entry: &Entry) -> String {
    const ROW: usize = 22;
    let height = (entry.steps.len() + 2) * ROW;
    let scale = 480.0 / length(entry).max(f64::MIN_POSITIVE);
    let title = format!("{} {}: {} to {} ({})", entry.time, entry.group, entry.from, entry.to, entry.cause);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1000\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"16\" font-weight=\"bold\">{}</text>\n",
        escaped(&title)
    );
    for (row, (step, took)) in spans(&entry.steps).enumerate() {
        let y = (row + 1) * ROW + 8;
        let (x, width) = (90.0 + step.ms * scale, (took * scale).max(2.0));
        let _ = writeln!(
            svg,
            "<text x=\"80\" y=\"{}\" text-anchor=\"end\">{:.1} ms</text>\
             <rect x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"14\" fill=\"#3b6ea5\"/>\
             <text x=\"585\" y=\"{}\">{}</text>",
            y + 11,
            step.ms,
            y + 11,
            escaped(&step.what)
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn data() -> Value {
        json!([
            {"time": "2026-11-22T10:00:00Z", "group": "web", "from": "backup", "to": "claiming", "epoch": 7,
                "cause": "peer-dead", "detail": "a was active and is silent", "peer": "a"},
            {"time": "2026-11-23T10:00:00Z", "group": "web", "from": "claiming", "to": "active", "epoch": 7,
                "cause": "confirmed", "detail": "read back", "steps": [
                    {"ms": 0.0, "what": "claiming <a>"}, {"ms": 10.0, "what": "attach sent"},
                    {"ms": 40.0, "what": "active"}]},
        ])
    }

    fn wanted() -> Wanted<'static> {
        Wanted { since: None, svg: None, json: false }
    }

    #[test]
    fn a_move_is_shown_as_bars() {
        let text = show(&data(), &wanted()).expect("a history");
        for line in [
            "2026-11-22T10:00:00Z  web  backup -> claiming  epoch 7  (peer-dead, a) a was active and is silent",
            "        0.0 ms |##########                                | claiming <a>",
            "       10.0 ms |          ##############################  | attach sent",
            "       40.0 ms |                                        # | active",
        ] {
            assert!(text.lines().any(|l| l == line), "{line:?} is not in\n{text}");
        }
        assert_eq!(show(&json!([]), &wanted()).expect("a history"), "no change of role is known");
    }

    #[test]
    fn what_is_older_is_left_out() {
        let newer = since("2026-11-23T00:00:00Z").expect("a time");
        let json = show(&data(), &Wanted { since: Some(newer), json: true, ..wanted() }).expect("a history");
        assert_eq!(serde_json::from_str::<Vec<Entry>>(&json).expect("JSON").len(), 1);
        for text in ["90m", "2h", "7d", "1h 30m"] {
            assert!(since(text).is_ok_and(|s| s.0 < Timestamp::now()), "{text}");
        }
        for text in ["", "yesterday", "-", "2026-11-23"] {
            assert!(since(text).is_err_and(|e| e.contains("neither")), "{text}");
        }
    }

    #[test]
    fn a_drawing_has_every_step_and_is_well_formed() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("move.svg");
        show(&data(), &Wanted { svg: Some(&path), ..wanted() }).expect("drawn");
        let svg = std::fs::read_to_string(&path).expect("written");
        assert_eq!(svg.matches("<rect").count(), 4);
        assert!(svg.contains("claiming &lt;a&gt;") && svg.ends_with("</svg>\n"), "{svg}");
        let nothing = show(&json!([]), &Wanted { svg: Some(&path), ..wanted() }).expect_err("nothing to draw");
        assert!(nothing.to_string().contains("no move is known"), "{nothing}");
    }
}
