//! `havipctl import`: reads the files, finds those that they include, and writes what [`crate::import`] makes of them.

use super::say::{self, complain, print};
use crate::control::protocol::{Code, Response};
use crate::import::{ImportError, Include, Input, Notes, Options as What, import};
use clap::{Args, ValueEnum};
use serde_json::json;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Shown after the options.
pub(super) const HELP: &str = "\
Examples:
  havipctl import /etc/keepalived/keepalived.conf                    one node's file; its peers become nodes too
  havipctl import a=web1.conf b=web2.conf --out havipd.toml          one file for each node, with names
  havipctl import a=web1.conf b=web2.conf --observe                  shadow mode: elect, report, touch nothing
  havipctl import a=web1.conf b=web2.conf --arbiter keepalived       beside: keepalived elects, havipd has the HAVIP

The havipd.toml goes to standard output, the same for all nodes; what was not carried over, and why, to standard
error and into comments. Ids that keepalived does not know are left open: havipd --check-config names them.
NAME= is also the config-id for lines that begin with @NAME.

Exit codes: 0 written; 1 there is nothing to import; 77 a file may not be read; 78 a file is not keepalived's.";

/// No configuration is longer; a mistaken path may lead to anything.
const LONGEST: u64 = 4 * 1024 * 1024;
/// Most files that one include may name.
const MOST_FILES: usize = 1000;

/// Options of `import`.
#[derive(Debug, Clone, Args)]
pub(super) struct Options {
    /// keepalived's file of each node, with the node's name if it is to have another than the file suggests.
    #[arg(required = true, value_name = "[NAME=]FILE")]
    files: Vec<String>,
    /// Write the havipd.toml there, not to standard output. An existing file is left alone.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// cluster.name: other clusters of the same network need other names.
    #[arg(long, value_name = "NAME", default_value = "imported")]
    cluster: String,
    /// Who elects: havipd, or still keepalived, which havipd then follows.
    #[arg(long, value_name = "WHO", default_value = "auto")]
    arbiter: Arbiter,
    /// Write observe = true into every group: havipd elects and reports, and touches nothing.
    #[arg(long)]
    observe: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Arbiter {
    Auto,
    Keepalived,
}

/// Runs it.
pub(super) fn run(options: &Options, json: bool) -> Code {
    let (response, notes) = match made(options) {
        Ok((toml, notes)) => match &options.out {
            Some(path) => (written(path, &toml, &notes), Some(notes)),
            None => (Response::done(toml.clone()).with_data(json!({"toml": toml, "notes": notes})), Some(notes)),
        },
        Err(response) => (response, None),
    };
    if json {
        return say::tell(&response, true);
    }
    if let Some(notes) = notes.filter(|_| response.code == Code::Done) {
        let _ = io::stderr().write_all(notes.text().as_bytes());
    }
    match response.code {
        Code::Done => drop(print(response.message.trim_end())),
        _ => complain(&response.message),
    }
    response.code
}

fn made(options: &Options) -> Result<(String, Notes), Response> {
    let inputs = options.files.iter().map(|argument| input(argument)).collect::<Result<Vec<_>, _>>()?;
    let what = What {
        cluster: options.cluster.clone(),
        beside: options.arbiter == Arbiter::Keepalived,
        observe: options.observe,
    };
    let made = import(&inputs, &what, &mut |include| included(include)).map_err(|error| {
        let code = match error {
            ImportError::Syntax { .. } => Code::Configuration,
            ImportError::Nothing(_) => Code::No,
            ImportError::SameName(_) | ImportError::Name(_) => Code::Usage,
        };
        Response::new(code, error.to_string())
    })?;
    Ok((made.toml, made.notes))
}

/// `NAME=FILE`, or the file alone; a path may have an equals sign behind a slash.
fn input(argument: &str) -> Result<Input, Response> {
    let (node, path) = match argument.split_once('=') {
        Some((name, path)) if !name.contains('/') => (Some(name.to_owned()), path),
        _ => (None, argument),
    };
    let text = text(Path::new(path)).map_err(|error| {
        let code = if error.kind() == io::ErrorKind::PermissionDenied { Code::Permission } else { Code::Configuration };
        Response::new(code, format!("cannot read {path}: {error}"))
    })?;
    Ok(Input { node, path: path.to_owned(), text })
}

/// Bytes that are no text are shown as such: keepalived takes any.
fn text(path: &Path) -> io::Result<String> {
    let other = |text: &str| io::Error::other(text.to_owned());
    if !fs::metadata(path)?.is_file() {
        return Err(other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(other("it is longer than any configuration"));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The files of an include, in the order of their names.
fn included(include: Include<'_>) -> Result<Vec<(String, String)>, String> {
    let directory = Path::new(include.from).parent().unwrap_or(Path::new(""));
    let pattern = directory.join(include.pattern);
    let pattern = pattern.to_str().ok_or("its path is not text")?;
    let mut all = Vec::new();
    for path in glob::glob(pattern).map_err(|e| e.to_string())?.take(MOST_FILES) {
        let path = path.map_err(|e| e.to_string())?;
        // A pattern may match a directory, which keepalived passes over too.
        if path.is_dir() {
            continue;
        }
        let text = text(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        all.push((path.display().to_string(), text));
    }
    if all.is_empty() {
        return Err(format!("there is no file {pattern}"));
    }
    Ok(all)
}

/// Never over an existing file: it may be the one that a cluster runs on.
fn written(path: &Path, toml: &str, notes: &Notes) -> Response {
    let store = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)?;
        file.write_all(toml.as_bytes())?;
        file.sync_all()
    };
    match store() {
        Ok(()) => {
            Response::done(format!("{} is written; fill in what is open, then havipd --check-config", path.display()))
                .with_data(json!({"toml": toml, "notes": notes}))
        }
        Err(error) => {
            let code = if error.kind() == io::ErrorKind::PermissionDenied { Code::Permission } else { Code::No };
            Response::new(code, format!("cannot write {}: {error}", path.display()))
        }
    }
}
