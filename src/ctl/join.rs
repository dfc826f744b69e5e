//! `havipctl join`: on a node to which file and key were copied, before havipd starts there.
//!
//! Nothing is fetched and nothing is changed. The file is read as the daemon will read it; a fingerprint says whether
//! file and key are those of another node; peers that run already are asked whether they have our key, and their
//! heartbeats say whether they run the same groups.

use super::doctor::{counts, lines, verdict};
use super::fingerprint::Fingerprint;
use super::say::{self, Paint};
use crate::cloud::metadata::{Metadata, MetadataError};
use crate::config::{LoadError, Loaded, Placed};
use crate::control::protocol::{Code, Response};
use crate::daemon::known_of_host;
use crate::doctor::{Finding, ask, cluster};
use crate::runtime::reload::load;
use clap::Args;
use havipd_core::model::digest::digest;
use havipd_core::model::ids::Target;
use havipd_core::model::settings::Config;
use serde_json::json;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Shown after the options.
pub(super) const HELP: &str = "\
Examples:
  havipctl join
      reads /etc/havipd/havipd.toml, prints the fingerprint, asks peers
  havipctl join --expect 7d3a91c211aa-9f3e2210b7c1
      compares it with what init or join printed on another node

Of the fingerprint, the first half is the file's, the second that of the
keys; it tells nothing about a key. Peers that do not run yet cannot
answer, and are no fault.

Exit codes: 0 nothing fails; 1 something does not match; 64 wrong
arguments; 78 the daemon would refuse the file.";

/// The file of an installed havipd.
const CONFIG: &str = "/etc/havipd/havipd.toml";

/// Options of `join`.
#[derive(Debug, Clone, Args)]
pub(super) struct Options {
    /// The file that was copied here.
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
    /// Which `[[node]]` of the file this host is; else its addresses, else its host name tell.
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// The fingerprint of another node.
    #[arg(long, value_name = "TEXT")]
    expect: Option<Fingerprint>,
}

/// Runs it.
pub(super) fn run(options: &Options, json: bool) -> Code {
    let (fingerprint, findings) = match examined(options) {
        Ok(examined) => examined,
        Err(response) => return say::tell(&response, json),
    };
    let code = verdict(&findings);
    let response = Response::new(code, counts(&findings))
        .with_data(json!({ "fingerprint": fingerprint.to_string(), "findings": findings }));
    say::show(&response, json, || {
        let mut text = lines(&findings, Paint::of_stdout(), say::columns());
        if code == Code::Done {
            text.push_str("\nThis node can start: systemctl enable --now havipd, then havipctl doctor");
        }
        text
    })
}

fn examined(options: &Options) -> Result<(Fingerprint, Vec<Finding>), Response> {
    let path = &options.config;
    let refuse = |text: String| Response::new(Code::Configuration, text);
    let loaded = load(path, options.node.clone(), &known_of_host()).map_err(|error| match error {
        LoadError::Invalid(all) => refuse(all.errors_first().to_string()),
        LoadError::NotYet { unplaced, .. } => refuse(format!(
            "{}: {unplaced}; copy the file of the cluster that this host belongs to, or say with --node which node it is",
            path.display()
        )),
    })?;
    let bytes = std::fs::read(path).map_err(|e| refuse(format!("{}: {e}", path.display())))?;
    let fingerprint = Fingerprint::of(&bytes, &loaded.config.heartbeat.keys);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Response::new(Code::No, format!("cannot start: {e}")))?;
    let config = &loaded.config;
    let (answers, instance) = runtime.block_on(async { tokio::join!(ask::peers(config), instance(config)) });
    runtime.shutdown_background();
    let mut findings = of_file(path, &loaded);
    findings.push(compared(&fingerprint, options.expect.as_ref()));
    findings.push(machine(config, &instance));
    findings.extend(answers.sockets.iter().map(|(address, error)| socket(*address, error.as_deref())));
    for (peer, asked) in &answers.peers {
        findings.push(cluster::of_asked(peer, asked));
        findings.extend(answers.digests.get(peer).map(|theirs| groups(peer, *theirs == digest(config))));
    }
    findings.sort_by_key(|finding| finding.level);
    Ok((fingerprint, findings))
}

fn of_file(path: &Path, loaded: &Loaded) -> Vec<Finding> {
    let (shown, node) = (path.display(), loaded.config.local_node());
    let mut findings =
        vec![Finding::ok("config.file", format!("{shown} is right; this node is {}, {}", node.name, loaded.placed))];
    if let Placed::ByHostName(_) = loaded.placed {
        let addresses: Vec<String> = node.addresses.iter().map(ToString::to_string).collect();
        findings.push(Finding::failed(
            "config.node",
            format!(
                "this host is {} by its name, but has none of the addresses of that node: {}",
                node.name,
                addresses.join(", ")
            ),
            "correct node.address, or give this host the address: heartbeats are sent from it",
        ));
    }
    let warning = |w: &crate::config::Diagnostic| {
        Finding::warning("config.warning", w.to_string(), "change the key, or leave it knowingly")
    };
    findings.extend(loaded.warnings.0.iter().map(warning));
    let keys: Vec<String> = loaded.config.heartbeat.keys.iter().map(|key| key.id.0.to_string()).collect();
    findings
        .push(Finding::ok("keys", format!("heartbeat keys {} can be read here, and by nobody else", keys.join(", "))));
    findings
}

fn compared(ours: &Fingerprint, expected: Option<&Fingerprint>) -> Finding {
    let id = "fingerprint";
    match expected.map(|expected| (expected, ours.difference(expected))) {
        None => Finding::ok(id, format!("{ours}: the same on every node, if file and keys are; --expect compares it")),
        Some((_, None)) => Finding::ok(id, format!("{ours}, as expected: file and keys are those of the other node")),
        Some((expected, Some(difference))) => Finding::failed(
            id,
            format!("{ours}, expected was {expected}: {difference}"),
            "copy both from the node that the cluster runs on; heartbeats with another key are dropped",
        ),
    }
}

/// Which instance this machine is.
async fn instance(config: &Config) -> Result<String, MetadataError> {
    let service = Metadata::new(&config.cloud.metadata_endpoint);
    let unusable = |detail| MetadataError::Unreachable { url: config.cloud.metadata_endpoint.clone(), detail };
    service.map_err(unusable)?.instance().await.map(|id| id.to_string())
}

fn machine(config: &Config, instance: &Result<String, MetadataError>) -> Finding {
    let id = "identity";
    let node = config.local_node();
    if node.witness {
        return Finding::ok(id, format!("{} is a witness: it may be any machine", node.name));
    }
    match (&node.target, instance) {
        (Some(Target::Instance(ours)), Ok(is)) if ours.as_str() != is => Finding::failed(
            id,
            format!("{} is {ours} in the file, but this machine is {is}: havipd would be in fault here", node.name),
            "correct node.instance; or this host is another node: --node",
        ),
        (Some(Target::Instance(ours)), Ok(_)) => {
            Finding::ok(id, format!("this machine is {ours}, as the metadata service says"))
        }
        (Some(target), _) => Finding::ok(id, format!("{} is {target}, as the file says", node.name)),
        (None, Ok(is)) => Finding::ok(id, format!("this machine is {is}, as the metadata service says")),
        (None, Err(error)) => Finding::failed(
            id,
            format!("what {} is to the cloud is not known: {error}", node.name),
            "set node.instance or node.eni, or make the metadata service reachable",
        ),
    }
}

fn socket(address: SocketAddr, error: Option<&str>) -> Finding {
    let id = "udp";
    let in_use = io::Error::from(rustix::io::Errno::ADDRINUSE).to_string();
    match error {
        None => Finding::ok(id, format!("heartbeats can be sent from {address}")),
        Some(error) if error == in_use => Finding::warning(
            id,
            format!("a program has UDP {address} already"),
            "right if havipd runs here; else end it, or change heartbeat.port on every node",
        ),
        Some(error) => Finding::failed(
            id,
            format!("heartbeats cannot be sent from {address}: {error}"),
            "correct node.address, or give this host the address",
        ),
    }
}

fn groups(peer: &str, same: bool) -> Finding {
    let id = format!("config.{peer}");
    if same {
        return Finding::ok(id, format!("{peer} runs the same groups as this file has"));
    }
    Finding::failed(
        id,
        format!("{peer} runs other timing, voters, arbiters, HAVIPs or bindings than this file has"),
        "copy the file that the cluster runs with",
    )
}
