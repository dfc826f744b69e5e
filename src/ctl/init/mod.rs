//! `havipctl init`: a complete havipd.toml from the metadata service, the API, and what the operator answers.
//!
//! ```text
//!  find   what metadata service and API say        reads only; each call has an end
//!  plan   with the options, else with answers      what is open, or cannot work, ends here
//!  check  as the daemon will read the file         before anything is written
//!  store  key and file                             whole or not at all
//! ```

mod ask;
mod find;
mod plan;
mod store;

use self::ask::Asker;
use self::find::Found;
use self::plan::Plan;
use super::fingerprint::Fingerprint;
use super::oneshot::span;
use super::say;
use crate::config::{LoadError, Loaded, Unwritten, load_unwritten};
use crate::control::protocol::{Code, Response};
use crate::daemon::known_of_host;
use crate::plain;
use crate::runtime::reload::environment;
use clap::{Args, ValueEnum};
use havipd_core::model::ids::{ClusterName, GroupName, HavipId, InstanceId, NodeName};
use serde_json::json;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// Shown after the options.
pub(super) const HELP: &str = "\
Examples:
  havipctl init
      on a node: asks which HAVIP, which other nodes, who is preferred
  havipctl init --dry-run
      the same, and only prints what it would write
  havipctl init --havip havip-w2d4kgc3x0y1 --peer i-Kq3wXz9a
      in a script: the peer by its instance's id
  havipctl init --havip havip-w2d4kgc3x0y1 --peer web-2 \\
      --witness w=10.0.0.13 --priority web-2=150
      by its name; and a witness by its address
  havipctl init --yes
      the only HAVIP of the VPC, between those that are bound to it

Keys come from where the daemon takes them: --credentials, else the
environment, else credentials.toml beside the file, else the profile of
bce-cli, else the role of this instance. It says which; what the service
will not have is not written as if it had.

The file has every key with its text, and is what havipd --check-config
accepts. An existing file is left alone; only the untouched example of
the package makes room, as havipd.toml.example. A heartbeat.key that is
there is used. What is not known stands in the notes.

Exit codes: 0 written; 1 it cannot be (the reason says what to do); 64
an answer is missing or wrong; 69 metadata service or cloud did not
answer; 75 try again; 77 not allowed; 78 the file would be refused.";

/// Where the package puts the file.
const CONFIG: &str = "/etc/havipd/havipd.toml";
/// As a name for a file: standard output.
const STANDARD_OUTPUT: &str = "-";

/// Options of `init`.
#[derive(Debug, Clone, Args)]
pub(super) struct Options {
    /// Write the file there, and heartbeat.key beside it; - only prints it. An existing file is left alone.
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    out: PathBuf,
    /// Only print what would be written, and make no key.
    #[arg(long)]
    dry_run: bool,
    /// A HAVIP to keep; several move together.
    #[arg(long = "havip", value_name = "ID")]
    havips: Vec<HavipId>,
    /// Another node that may have the HAVIP: its instance's id or name, or NAME=ADDRESS. NAME= before either names the node.
    #[arg(long = "peer", value_name = "[NAME=]WHO")]
    peers: Vec<Who>,
    /// A node that only votes, as --peer has it.
    #[arg(long = "witness", value_name = "[NAME=]WHO")]
    witnesses: Vec<Who>,
    /// This node's name; else its instance's, else the host's.
    #[arg(long, value_name = "NAME")]
    name: Option<NodeName>,
    /// node.priority of one node; 100 for those not named. Without any, this node has 150.
    #[arg(long = "priority", value_name = "NODE=NUMBER", value_parser = priority)]
    priorities: Vec<(NodeName, u8)>,
    /// cluster.name; else the HAVIP's name, else its id.
    #[arg(long, value_name = "NAME")]
    cluster: Option<ClusterName>,
    /// group.name; else the HAVIP's name, else its id.
    #[arg(long, value_name = "NAME")]
    group: Option<GroupName>,
    /// heartbeat.port [default: 11200].
    #[arg(long, value_name = "PORT", value_parser = say::whole::<u16>(1, 65535))]
    port: Option<u16>,
    /// What becomes of targets that are bound and no node of the cluster; without it that is refused here.
    #[arg(long, value_name = "WHAT")]
    strangers: Option<Strangers>,
    /// Ask nothing: take the only HAVIP, and those that are bound to it.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    reach: Reach,
}

/// How the cloud is reached, and what else the metadata service says.
#[derive(Debug, Clone, Args)]
struct Reach {
    /// The cloud's region (bj, gz, su, ...); else the metadata service says.
    #[arg(long, value_name = "REGION", value_parser = word)]
    region: Option<String>,
    /// The cloud's endpoint, for a private one or the emulated cloud.
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Certificates (PEM) that replace the system's, for a private endpoint.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Another metadata service, for the emulated cloud.
    #[arg(long, value_name = "URL")]
    metadata_endpoint: Option<String>,
    /// A file with access-key-id and secret-access-key, or bce-cli's config.json, which the daemon is to read.
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// The VPC; else the metadata service says.
    #[arg(long, value_name = "ID", value_parser = word)]
    vpc: Option<String>,
    /// This node's instance; else the metadata service says.
    #[arg(long, value_name = "ID")]
    instance: Option<InstanceId>,
    /// This node's address; else the metadata service says.
    #[arg(long, value_name = "IP")]
    address: Option<IpAddr>,
    /// Each question to the cloud may take this long: a number and ms, s, m or h.
    #[arg(long, value_name = "DURATION", value_parser = span, default_value = "10s")]
    timeout: Duration,
}

/// `group.havip.strangers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Strangers {
    Detach,
}

impl Strangers {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Detach => "detach",
        }
    }
}

/// Another node, as the operator names it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Who {
    name: Option<NodeName>,
    is: WhoIs,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum WhoIs {
    Address(IpAddr),
    Instance(InstanceId),
    /// The instance is called so.
    Named(String),
}

impl FromStr for Who {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, is) = match text.split_once('=') {
            Some((name, is)) => (Some(name.parse().map_err(|e: havipd_core::model::ids::IdError| e.to_string())?), is),
            None => (None, text),
        };
        let is = match (is.parse(), is.parse()) {
            _ if is.is_empty() => return Err("expected an instance's id or name, or NAME=ADDRESS".to_owned()),
            (Ok(address), _) => WhoIs::Address(address),
            (_, Ok(id)) => WhoIs::Instance(id),
            _ => WhoIs::Named(is.to_owned()),
        };
        Ok(Self { name, is })
    }
}

fn priority(text: &str) -> Result<(NodeName, u8), String> {
    let (name, number) = text.split_once('=').ok_or("expected NODE=NUMBER, as in web-1=150")?;
    let name = name.parse().map_err(|e: havipd_core::model::ids::IdError| e.to_string())?;
    Ok((name, say::whole(1, 254)(number)?))
}

/// What becomes part of a host's name or of a query.
fn word(text: &str) -> Result<String, String> {
    let fits = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!("{} is not a word of letters, digits, - and _", plain::quote(text)))
    }
}

/// Runs it.
pub(super) fn run(options: &Options, json: bool) -> Code {
    let printed = options.dry_run || options.out == Path::new(STANDARD_OUTPUT);
    match made(options, printed, json) {
        Ok(made) if json => say::tell(&made.response(printed), true),
        Ok(made) if printed => {
            let code = say::show(&made.response(printed), false, || made.toml.trim_end().to_owned());
            let _ = writeln!(io::stderr(), "{}", made.text(true, say::columns_of(io::stderr())));
            code
        }
        Ok(made) => say::show(&made.response(printed), false, || made.text(false, say::columns())),
        Err(response) => say::tell(&response, json),
    }
}

/// What there is to tell of a file.
struct Made {
    toml: String,
    path: PathBuf,
    key: PathBuf,
    key_found: bool,
    example: Option<PathBuf>,
    fingerprint: Fingerprint,
    openings: Vec<String>,
    notes: Vec<String>,
    /// Addresses of the other nodes.
    others: Vec<IpAddr>,
}

fn made(options: &Options, printed: bool, json: bool) -> Result<Made, Response> {
    let out = if options.out == Path::new(STANDARD_OUTPUT) { Path::new(CONFIG) } else { options.out.as_path() };
    let path = std::path::absolute(out).map_err(|e| Response::new(Code::No, format!("{}: {e}", out.display())))?;
    if !printed {
        store::free(&path)?;
    }
    let asker = Asker::new(options.yes, json);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Response::new(Code::No, format!("cannot start: {e}")))?;
    let planned = runtime.block_on(async {
        let found = Found::of(&options.reach, &path).await?;
        let plan = Plan::of(&found, options, asker).await?;
        Ok((found, plan))
    });
    // A name that is still being looked up has had its time.
    runtime.shutdown_background();
    let (found, mut plan) = planned?;
    let toml = plan.toml(&found, options, &path);
    let key = store::key_beside(&path)?;
    let loaded = checked(&path, &toml, &key, &plan)?;
    plan.notes.extend(loaded.warnings.0.iter().map(ToString::to_string));
    let fingerprint = Fingerprint::of(toml.as_bytes(), &loaded.config.heartbeat.keys);
    let example = if printed { None } else { store::store(&path, &toml, &key)? };
    Ok(Made {
        openings: plan.openings(),
        others: plan.nodes.iter().skip(1).map(|node| node.address).collect(),
        notes: plan.notes,
        key_found: key.found,
        key: key.path,
        toml,
        path,
        example,
        fingerprint,
    })
}

/// What the daemon will say of the file once it is there.
fn checked(path: &Path, toml: &str, key: &store::Key, plan: &Plan) -> Result<Loaded, Response> {
    let this = plan.nodes.first().map(|node| node.name.to_string());
    let key = (!key.found).then_some((key.path.as_path(), &key.text));
    let file = Unwritten { path, text: toml, key };
    load_unwritten(&file, &environment(this, &known_of_host())).map_err(|error| {
        let why = match error {
            LoadError::Invalid(all) => all.errors_first().to_string(),
            other @ LoadError::NotYet { .. } => other.to_string(),
        };
        Response::new(Code::Configuration, format!("nothing is written, since the daemon would refuse it:\n{why}"))
    })
}

impl Made {
    fn response(&self, printed: bool) -> Response {
        let text = if printed { "not written" } else { "written" };
        let fingerprint = (!printed || self.key_found).then(|| self.fingerprint.to_string());
        Response::done(text).with_data(json!({
            "toml": self.toml, "path": self.path, "key": self.key, "key-made": !printed && !self.key_found,
            "example": self.example, "fingerprint": fingerprint, "open": self.openings, "notes": self.notes,
        }))
    }

    /// Sentences in lines of `width` columns; commands stay whole, so that they can be copied.
    fn text(&self, printed: bool, width: Option<usize>) -> String {
        let mut text = say::fitted(&plain::lines(&self.told(printed).join("\n")), width);
        if !printed {
            text.push('\n');
            text.push_str(&plain::lines(&self.next().join("\n")));
        }
        text
    }

    fn told(&self, printed: bool) -> Vec<String> {
        let (path, key) = (self.path.display(), self.key.display());
        let made = if self.key_found { "was there and is used" } else { "is new" };
        let mut lines = vec![if printed {
            format!("Nothing is written. The file is meant for {path}; the daemon will accept it.")
        } else {
            format!("{path} is written, and the daemon will accept it. {key} {made}.")
        }];
        if let Some(example) = &self.example {
            lines.push(format!("The example of the package is {} now.", example.display()));
        }
        lines.push("Let heartbeats in, in the security group and the firewall of".to_owned());
        lines.extend(self.openings.iter().map(|line| format!("  {line}")));
        lines.push("Not known from here:".to_owned());
        lines.extend(self.notes.iter().map(|note| format!("  - {note}")));
        lines
    }

    /// What to do next, as commands.
    fn next(&self) -> Vec<String> {
        let (path, key) = (self.path.display(), self.key.display());
        let directory = self.path.parent().unwrap_or(Path::new("/")).display();
        let mut lines = vec!["Copy both files to the other nodes:".to_owned()];
        lines.extend(self.others.iter().map(|address| format!("  scp -p {path} {key} root@{address}:{directory}/")));
        let installed = self.path == Path::new(CONFIG);
        let config = if installed { String::new() } else { format!(" --config {path}") };
        lines.push("On each of them:".to_owned());
        lines.push(format!("  chgrp havipd {key} && chmod 0640 {key}"));
        lines.push(format!("  havipctl join{config} --expect {}", self.fingerprint));
        if installed {
            lines.push("Then on every node, this one included:".to_owned());
            lines.push("  systemctl enable --now havipd && havipctl doctor".to_owned());
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_named_by_address_id_or_name() {
        let who = |text: &str| text.parse::<Who>().map(|w| (w.name.map(|n| n.to_string()), w.is));
        let name = |n: &str| Some(n.to_owned());
        assert_eq!(who("b=10.0.0.12"), Ok((name("b"), WhoIs::Address("10.0.0.12".parse().expect("an address")))));
        assert_eq!(who("i-Kq3"), Ok((None, WhoIs::Instance("i-Kq3".parse().expect("an id")))));
        assert_eq!(who("b=网关/2"), Ok((name("b"), WhoIs::Named("网关/2".to_owned()))));
        for bad in ["", "b=", "网关=10.0.0.12", "=x"] {
            assert!(who(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_priority_names_its_node() {
        assert_eq!(priority("a=254").map(|(n, p)| (n.to_string(), p)), Ok(("a".to_owned(), 254)));
        for bad in ["a", "a=0", "a=255", "=1", "a=x"] {
            assert!(priority(bad).is_err(), "{bad}");
        }
    }
}
