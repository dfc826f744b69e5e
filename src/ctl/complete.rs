//! What the shells' completions ask: names that the running daemon knows.

use super::print;
use crate::control::client::Client;
use crate::control::protocol::{Code, Request};
use crate::status::Status;
use havipd_core::model::ids::{GroupName, HavipId, NodeName, Target};
use havipd_core::status::Snapshot;
use std::path::Path;
use std::time::Duration;

/// Nobody waits longer for a name than it takes to type it.
const PATIENCE: Duration = Duration::from_millis(500);

/// What is to be completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Names {
    /// Groups.
    Groups,
    /// Nodes.
    Nodes,
    /// HAVIPs of its groups.
    Havips,
    /// Instances that are nodes.
    Instances,
    /// Network interfaces that are.
    Enis,
}

/// Prints them, one a line; without a daemon, nothing.
pub(super) fn run(names: Names, socket: &Path) -> Code {
    let asked = Client::connect(socket, PATIENCE).and_then(|mut client| client.call(&Request::Status));
    if let Some(status) = asked.ok().and_then(|response| response.read::<Status>().ok()) {
        for name in of(names, &status.core.election) {
            print(name);
        }
    }
    Code::Done
}

fn of(names: Names, status: &Snapshot) -> Vec<&str> {
    let groups = status.groups.iter().map(|group| group.name.as_str());
    let nodes = std::iter::once(&status.node).chain(status.peers.iter().map(|peer| &peer.node)).map(String::as_str);
    let havips = status.groups.iter().flat_map(|group| &group.havips).map(|havip| havip.id.as_str());
    let targets = || status.target.iter().chain(status.peers.iter().filter_map(|peer| peer.target.as_ref()));
    // Nothing else reaches a shell, whatever answers there.
    match names {
        Names::Groups => groups.filter(|name| name.parse::<GroupName>().is_ok()).collect(),
        Names::Nodes => nodes.filter(|name| name.parse::<NodeName>().is_ok()).collect(),
        Names::Havips => havips.filter(|id| id.parse::<HavipId>().is_ok()).collect(),
        // Read as ids already.
        Names::Instances => targets().filter(|t| matches!(t, Target::Instance(_))).map(Target::id).collect(),
        Names::Enis => targets().filter(|t| matches!(t, Target::Eni(_))).map(Target::id).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fixture;
    use havipd_core::status::{GroupSnapshot, HavipSnapshot, PeerSnapshot};

    /// With these peers, and groups of these names and HAVIPs.
    fn status(peers: &[&str], groups: &[(&str, &[&str])]) -> Snapshot {
        let mut status = fixture::status().core.election;
        let (group, peer) = (status.groups.remove(0), status.peers.remove(0));
        let havip = |id: &&str| HavipSnapshot {
            id: (*id).to_owned(),
            address: None,
            present: None,
            holder: None,
            bound: Vec::new(),
            read_ms: None,
            error: None,
            repairs: 0,
            repaired: None,
            contested: None,
        };
        let with = |(name, havips): &(&str, &[&str])| GroupSnapshot {
            name: (*name).to_owned(),
            havips: havips.iter().map(havip).collect(),
            ..group.clone()
        };
        status.groups = groups.iter().map(with).collect();
        status.peers = peers.iter().map(|name| PeerSnapshot { node: (*name).to_owned(), ..peer.clone() }).collect();
        status
    }

    #[test]
    fn names_are_taken_from_the_status() {
        let status = status(&["b"], &[("web", &["havip-1", "havip-2"]), ("db", &[])]);
        assert_eq!(of(Names::Groups, &status), ["web", "db"]);
        assert_eq!(of(Names::Nodes, &status), ["a", "b"]);
        assert_eq!(of(Names::Havips, &status), ["havip-1", "havip-2"]);
    }

    #[test]
    fn what_is_no_name_stays_out_of_the_shell() {
        let odd = ["$(reboot)", "`reboot`", "a b", "a\nb", "a;b", "\u{1b}[2J", "", "wéb"];
        let havips = odd.map(|id| format!("havip-{id}"));
        let havips: Vec<&str> = odd.into_iter().chain(havips.iter().map(String::as_str)).collect();
        let groups = odd.map(|name| (name, havips.as_slice()));
        let mut status = status(&odd, &groups);
        "$(reboot)".clone_into(&mut status.node);
        assert_eq!((of(Names::Groups, &status), of(Names::Nodes, &status)), (vec![], vec![]));
        assert_eq!(of(Names::Havips, &status), [""; 0]);
    }
}
