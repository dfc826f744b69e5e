//! What the shells' completions ask: names that the running daemon knows.

use super::print;
use crate::control::client::Client;
use crate::control::protocol::{Code, Request};
use crate::ids::{GroupName, NodeName};
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
    // Nothing else reaches a shell, whoever answers there.
    match names {
        Names::Groups => each("groups", "name").filter(|name| name.parse::<GroupName>().is_ok()).collect(),
        Names::Nodes => nodes.filter(|name| name.parse::<NodeName>().is_ok()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_from_the_status() {
        let status = serde_json::json!({
            "node": "a", "peers": [{"node": "b"}, {}], "groups": [{"name": "web"}, {"name": "db"}],
        });
        assert_eq!(of(Names::Groups, &status), ["web", "db"]);
        assert_eq!(of(Names::Nodes, &status), ["a", "b"]);
        assert_eq!(of(Names::Nodes, &Value::Null), [""; 0]);
    }

    #[test]
    fn what_is_no_name_stays_out_of_the_shell() {
        let odd = ["$(reboot)", "`reboot`", "a b", "a\nb", "a;b", "\u{1b}[2J", "", "wéb"];
        let groups: Vec<Value> = odd.iter().map(|name| serde_json::json!({ "name": name })).collect();
        let peers: Vec<Value> = odd.iter().map(|name| serde_json::json!({ "node": name })).collect();
        let status = serde_json::json!({ "node": "$(reboot)", "peers": peers, "groups": groups });
        assert_eq!((of(Names::Groups, &status), of(Names::Nodes, &status)), (vec![], vec![]));
    }
}
