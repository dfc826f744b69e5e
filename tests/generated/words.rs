//! What the programs say to people: help that fits into a terminal, and messages without Rust's debug form.

use clap::{Command, CommandFactory as _};
use std::fs;
use std::path::{Path, PathBuf};

/// What most terminals have at least.
const COLUMNS: usize = 80;

/// Files whose debug forms are those of durations, which read as people write them: 300ms, 1.5s.
const DURATIONS: [&str; 4] = [
    "src/doctor/file.rs",
    "crates/lab/src/simulation/invariants/",
    "crates/lab/src/simulation/machines.rs",
    "crates/lab/src/sandbox/runner.rs",
];

fn too_wide(command: &mut Command, wide: &mut Vec<String>) {
    for text in [command.render_help(), command.render_long_help(), command.render_usage()] {
        let text = text.to_string();
        let lines = text.lines().filter(|line| line.chars().count() > COLUMNS);
        wide.extend(lines.map(|line| format!("{}: {line}", command.get_name())));
    }
    command.get_subcommands_mut().for_each(|verb| too_wide(verb, wide));
}

#[test]
fn help_fits_into_a_terminal() {
    let mut wide = Vec::new();
    for mut command in
        [havipd::daemon::Arguments::command(), havipd::ctl::Arguments::command(), havipd_lab::Arguments::command()]
    {
        command.build();
        too_wide(&mut command, &mut wide);
    }
    assert!(wide.is_empty(), "{wide:#?}");
}

/// What man takes as it stands, each line with the columns that are left of it.
fn verbatim(page: &str) -> Vec<(usize, String)> {
    let (mut lines, mut inside, mut indents) = (Vec::new(), false, vec![7]);
    for line in page.lines() {
        match line.split(' ').collect::<Vec<_>>().as_slice() {
            [".nf"] => inside = true,
            [".fi"] => inside = false,
            [".RS", columns] => indents.push(columns.parse().expect("columns")),
            [".RS"] => indents.push(7),
            [".RE"] => drop(indents.pop()),
            _ if inside => {
                let shown = line.replace("\\-", "-").replace("\\(dq", "\"").replace("\\&", "").replace("\\e", "\\");
                lines.push((indents.iter().sum(), shown));
            }
            _ => {}
        }
    }
    lines
}

#[test]
fn man_pages_fit_into_a_terminal() {
    let pages = super::all().into_iter().filter(|(path, _)| path.starts_with("packaging/man/"));
    let lines: Vec<(usize, String)> = pages.flat_map(|(_, text)| verbatim(&text)).collect();
    assert!(lines.len() > 300, "they have examples: {}", lines.len());
    let wide: Vec<_> = lines.iter().filter(|(begin, line)| begin + line.chars().count() > COLUMNS).collect();
    assert!(wide.is_empty(), "{wide:#?}");
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Whether a line formats something in its debug form: `{x:?}`, `{:#?}`, `{x:.0?}`.
fn formats_debug(line: &str) -> bool {
    line.match_indices("?}")
        .any(|(at, _)| line[..at].trim_end_matches(|c: char| c.is_ascii_digit() || "#.xX".contains(c)).ends_with(':'))
}

#[test]
fn no_message_has_the_debug_form() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for directory in ["src", "crates/core/src", "crates/lab/src"] {
        sources(&root.join(directory), &mut files);
    }
    let mut found = Vec::new();
    for path in files {
        let name = path.strip_prefix(root).expect("below it").display().to_string();
        let of_tests = name.ends_with("/tests.rs") || name.contains("/tests/") || name.ends_with("/fixture.rs");
        if of_tests || DURATIONS.iter().any(|durations| name.starts_with(durations)) {
            continue;
        }
        let text = fs::read_to_string(&path).expect("source");
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let lines = code.lines().enumerate().filter(|(_, line)| formats_debug(line));
        found.extend(lines.map(|(number, line)| format!("{name}:{}: {}", number + 1, line.trim())));
    }
    assert!(
        found.is_empty(),
        "what people read quotes with plain::quote, not with {{:?}}, which shows \\u{{1b}} and Some(..):\n{}",
        found.join("\n")
    );
}
