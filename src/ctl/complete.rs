//! What the shells' completions ask: names that the running daemon knows.

use super::print;
use crate::control::client::Client;
use crate::control::protocol::{Code, Request};
use havipd_core::model::ids::{GroupName, HavipId, NodeName};
use serde_json::Value;
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
}

/// Prints them, one a line; without a daemon, nothing.
pub(super) fn run(names: Names, socket: &Path) -> Code {
    let asked = Client::connect(socket, PATIENCE).and_then(|mut client| client.call(&Request::Status));
    if let Ok(status) = asked {
        for name in of(names, &status.data) {
            print(name);
        }
    }
    Code::Done
}

fn of(names: Names, status: &Value) -> Vec<&str> {
    let each = |list: &'static str, member: &'static str| {
        let all = status[list].as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter().filter_map(move |entry| entry[member].as_str())
    };
    let nodes = status["node"].as_str().into_iter().chain(each("peers", "node"));
    let groups = status["groups"].as_array().map(Vec::as_slice).unwrap_or_default();
    let havips = groups.iter().filter_map(|group| group["havips"].as_array()).flatten();
    // Nothing else reaches a shell, whoever answers there.
    match names {
        Names::Groups => each("groups", "name").filter(|name| name.parse::<GroupName>().is_ok()).collect(),
        Names::Nodes => nodes.filter(|name| name.parse::<NodeName>().is_ok()).collect(),
        Names::Havips => {
            let ids = havips.filter_map(|havip| havip["id"].as_str());
            ids.filter(|id| id.parse::<HavipId>().is_ok()).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_from_the_status() {
        let status = serde_json::json!({
            "node": "a", "peers": [{"node": "b"}, {}],
            "groups": [{"name": "web", "havips": [{"id": "havip-1"}, {}, {"id": "havip-2"}]}, {"name": "db"}],
        });
        assert_eq!(of(Names::Groups, &status), ["web", "db"]);
        assert_eq!(of(Names::Nodes, &status), ["a", "b"]);
        assert_eq!(of(Names::Havips, &status), ["havip-1", "havip-2"]);
        for names in [Names::Groups, Names::Nodes, Names::Havips] {
            assert_eq!(of(names, &Value::Null), [""; 0]);
        }
    }

    #[test]
    fn what_is_no_name_stays_out_of_the_shell() {
        let odd = ["$(reboot)", "`reboot`", "a b", "a\nb", "a;b", "\u{1b}[2J", "", "wéb"];
        let havips = |id: &str| serde_json::json!([{ "id": id }, { "id": format!("havip-{id}") }]);
        let group = |name: &&str| serde_json::json!({ "name": name, "havips": havips(name) });
        let groups: Vec<Value> = odd.iter().map(group).collect();
        let peers: Vec<Value> = odd.iter().map(|name| serde_json::json!({ "node": name })).collect();
        let status = serde_json::json!({ "node": "$(reboot)", "peers": peers, "groups": groups });
        assert_eq!((of(Names::Groups, &status), of(Names::Nodes, &status)), (vec![], vec![]));
        assert_eq!(of(Names::Havips, &status), [""; 0]);
    }
}
