//! `havipctl import`: reads the files, finds those that they include, and writes what [`crate::import`] makes of them.

mod files;

use super::say::{self, complain};
use crate::control::protocol::{Code, Response};
use crate::import::{ImportError, Notes, Options as What, import, vip_manager};
use clap::{Args, ValueEnum};
use files::Nodes;
use serde_json::json;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Shown after the options.
pub(super) const HELP: &str = "\
Examples:
  havipctl import /etc/keepalived/keepalived.conf
      one node's file; its peers become nodes too
  havipctl import a=web1.conf b=web2.conf --out havipd.toml
      one file for each node, with names
  havipctl import a=web1.conf b=web2.conf --observe
      shadow mode: elect, report, touch nothing
  havipctl import a=web1.conf b=web2.conf --arbiter keepalived
      beside: keepalived elects, havipd has the HAVIP
  havipctl import a=/etc/keepalived/keepalived.conf b=fetched/b
      b's files below a directory that stands for its /
  havipctl import --from vip-manager a=a.yml b=b.yml
      vip-manager's files: a group that follows its trigger-key in etcd

The havipd.toml goes to standard output, the same for all nodes; what
was not carried over, and why, to standard error and into comments. Ids
that keepalived does not know are left open: havipd --check-config names
them. NAME= is also the config-id for lines that begin with @NAME;
without it that is this host's name, as for keepalived. Of a DIRECTORY
etc/keepalived/keepalived.conf is read, and what that includes comes
from the same directory.

Exit codes: 0 written; 1 there is nothing to import; 77 a file may not
be read; 78 a file is not there, or is not keepalived's or
vip-manager's.";

/// Options of `import`.
#[derive(Debug, Clone, Args)]
pub(super) struct Options {
    /// keepalived's file of each node, or vip-manager's, with the node's name if it is to have another than the file suggests; or a
    /// directory with the node's files, which stands for its /.
    #[arg(required = true, value_name = "[NAME=]FILE")]
    files: Vec<String>,
    /// Write the havipd.toml there, not to standard output. An existing file is left alone.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Whose configuration the files are.
    #[arg(long, value_name = "WHAT", default_value = "keepalived")]
    from: Origin,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Origin {
    Keepalived,
    VipManager,
}

/// Runs it.
pub(super) fn run(options: &Options, json: bool) -> Code {
    let (response, notes) = match made(options) {
        Ok((toml, notes)) => match &options.out {
            Some(path) => (written(path, &toml, &notes), Some(notes)),
            None => (Response::done(toml.clone()).with_data(json!({"toml": toml, "notes": notes})), Some(notes)),
        },
        Err(failed) => *failed,
    };
    if json {
        return say::tell(&response, true);
    }
    if let Some(notes) = notes.filter(|_| matches!(response.code, Code::Done | Code::No)) {
        let text = say::fitted(&notes.text(), say::columns_of(io::stderr()));
        if !text.is_empty() {
            let _ = writeln!(io::stderr(), "{text}");
        }
    }
    if response.code == Code::Done {
        return say::show(&response, false, || response.message.trim_end().to_owned());
    }
    complain(&response.message);
    response.code
}

/// Why nothing was made, with what was found out on the way.
type Failure = Box<(Response, Option<Notes>)>;

/// What was made; else why nothing was, with what was found out on the way.
fn made(options: &Options) -> Result<(String, Notes), Failure> {
    if options.from == Origin::VipManager && options.arbiter == Arbiter::Keepalived {
        let text = "--arbiter keepalived has no meaning with --from vip-manager: the group follows the key in etcd";
        return Err(Box::new((Response::new(Code::Usage, text), None)));
    }
    let nodes = Nodes::read(&options.files).map_err(|response| Box::new((response, None)))?;
    let what = What {
        cluster: options.cluster.clone(),
        beside: options.arbiter == Arbiter::Keepalived,
        observe: options.observe,
    };
    let made = match options.from {
        Origin::Keepalived => import(&nodes.inputs, &what, &mut |include| nodes.included(include)),
        Origin::VipManager => vip_manager::import(&nodes.inputs, &what),
    };
    let made = made.map_err(|error| {
        let text = error.to_string();
        let (response, notes) = match error {
            ImportError::Nothing { notes, .. } => {
                (Response::new(Code::No, text).with_data(json!({"notes": notes})), Some(notes))
            }
            ImportError::Syntax { .. } => (Response::new(Code::Configuration, text), None),
            ImportError::SameName(_) | ImportError::Name(_) => (Response::new(Code::Usage, text), None),
        };
        Box::new((response, notes))
    })?;
    Ok((made.toml, made.notes))
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
            let path = path.display();
            let message = if error.kind() == io::ErrorKind::AlreadyExists {
                format!(
                    "{path} exists and may be the file that a cluster runs on, so it is left alone: name another file, or \
                     move it away"
                )
            } else {
                format!("cannot write {path}: {error}")
            };
            Response::new(code, message)
        }
    }
}
