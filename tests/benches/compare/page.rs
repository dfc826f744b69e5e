//! The tables, and where they go.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// One cell of a table.
#[derive(Debug, Clone)]
pub(crate) struct Row(String);

impl Row {
    pub(crate) fn text(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// The one in the middle, or between the two in the middle.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let all = sorted(values);
    match all.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => all[n / 2],
        n => f64::midpoint(all[n / 2 - 1], all[n / 2]),
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut all: Vec<f64> = values.filter(|v| v.is_finite()).collect();
    all.sort_by(f64::total_cmp);
    all
}

/// Median, least and most.
pub(crate) fn spread(values: impl Iterator<Item = f64> + Clone) -> Row {
    let digits = if median(values.clone()).abs() < 100.0 { 1 } else { 0 };
    spread_of(values, digits)
}

/// The same with so many digits.
pub(crate) fn spread_of(values: impl Iterator<Item = f64>, digits: usize) -> Row {
    let all = sorted(values);
    let (Some(least), Some(most)) = (all.first(), all.last()) else { return Row::text("-") };
    let middle = median(all.iter().copied());
    // Whole numbers of things need no digits.
    let digits = if all.iter().all(|v| v.fract() == 0.0) { 0 } else { digits };
    Row(format!("{middle:.digits$} ({least:.digits$} to {most:.digits$})"))
}

/// One section of the page.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) heading: &'static str,
    about: &'static str,
    table: String,
}

impl Section {
    pub(crate) fn new(heading: &'static str, about: &'static str, columns: &[&str]) -> Self {
        let mut table = String::new();
        let _ = writeln!(table, "| {} |\n|{}", columns.join(" | "), "---|".repeat(columns.len()));
        Self { heading, about, table }
    }

    pub(crate) fn row(&mut self, cells: &[Row]) {
        let line = cells.iter().map(|c| c.0.as_str()).collect::<Vec<_>>().join(" | ");
        println!("| {line} |");
        let _ = writeln!(self.table, "| {line} |");
    }

    /// All of it, with how it was made.
    pub(crate) fn text(&self, load: &str) -> String {
        let build = match std::env::var("HAVIPD_BIN") {
            Ok(other) => other,
            Err(_) if cfg!(debug_assertions) => "an unoptimised build".to_owned(),
            Err(_) => "an optimised build".to_owned(),
        };
        let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
        format!(
            "## {}\n\n{}\n\nMade by `cargo bench --bench compare -- {}` at commit {}, {build}, with {}, on {}; load average before \
             it began: {load}. Medians, with the least and the most in brackets.\n\n{}",
            self.heading,
            self.about,
            arguments.join(" "),
            commit(),
            keepalived(),
            machine(),
            self.table
        )
    }
}

fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    output.status.success().then(|| String::from_utf8_lossy(&text).trim().to_owned())
}

fn commit() -> String {
    let tree = env!("CARGO_MANIFEST_DIR");
    said("git", &["-C", tree, "describe", "--always", "--dirty", "--exclude=*"]).unwrap_or_else(|| "unknown".to_owned())
}

fn keepalived() -> String {
    let text = said("keepalived", &["--version"]).unwrap_or_default();
    let first = text.lines().next().unwrap_or("keepalived of an unknown version");
    first.split(" (").next().unwrap_or(first).to_owned()
}

/// Processors and memory.
fn machine() -> String {
    let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|l| l.strip_prefix("model name")?.split_once(": ").map(|(_, m)| m));
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory.lines().find_map(|l| l.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<u64>().ok());
    format!("{count} × {}, {} GiB", model.unwrap_or("an unknown processor"), kib.unwrap_or_default() >> 20)
}

/// As `uptime` shows it.
pub(crate) fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// Puts a section in the place of the one that was there, or at the end.
pub(crate) fn write(heading: &str, section: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = text.split_once(&format!("## {heading}\n")).unwrap_or((&text, ""));
    let tail = rest.find("\n## ").map_or("", |at| &rest[at..]);
    std::fs::write(&path, format!("{}\n\n{section}{tail}", head.trim_end())).unwrap();
}
