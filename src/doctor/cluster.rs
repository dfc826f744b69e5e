//! The other nodes: sessions both ways, keys, digests; and what the groups are doing.

use super::Finding;
use super::facts::{Asked, AskedAnswer, DaemonFacts, Facts};
use havipd_core::model::role::{Cause, Role};
use havipd_core::model::settings::Node;
use havipd_core::status::{Counters, GroupSnapshot, PeerSnapshot};
use havipd_core::wire::session::SessionState;

/// All of it.
#[must_use]
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let Some(daemon) = &facts.daemon else {
        return facts.asked.iter().map(|(peer, asked)| of_asked(peer, asked)).collect();
    };
    let mut findings: Vec<Finding> = machine(facts, daemon).into_iter().collect();
    findings.push(keys(daemon));
    let peers = &daemon.after.core.election.peers;
    findings.extend(peers.iter().flat_map(|p| session(facts, daemon, p)));
    let groups = &daemon.after.core.election.groups;
    findings.extend(groups.iter().flat_map(|g| [Some(group(g)), failover(g)].into_iter().flatten()));
    findings
}

/// A copy of a node's machine has its file, its keys and its state. The copy says so here, and so does the original where
/// the copy is heard under its name.
fn machine(facts: &Facts, daemon: &DaemonFacts) -> Option<Finding> {
    let node = &facts.config.local_node().name;
    let faults = |cause| daemon.after.core.election.groups.iter().any(|g| g.role == Role::Fault && g.cause == cause);
    let sockets = &facts.host.sockets;
    let (text, remedy) = if faults(Cause::WrongHost) {
        (
            format!(
                "this machine is not the one that the file means by node {node}: a copy of it, or another host with its file"
            ),
            format!(
                "stop havipd here if this is a copy of {node}; else correct node.instance or node.eni, or start it as another \
                 node: havipd --node"
            ),
        )
    } else if faults(Cause::Cloned) {
        (
            format!("another machine runs as node {node}, with the same state"),
            "find the copy in the console and stop havipd there; a minute after its last sign this ends".to_owned(),
        )
    } else if !sockets.is_empty() && sockets.iter().all(|(_, error)| error.is_some()) {
        (
            format!(
                "no heartbeat address of node {node} can be used on this machine: it hears nobody, and takes nothing"
            ),
            format!("stop havipd here if this is a copy of {node}; else see udp, below"),
        )
    } else {
        return None;
    };
    Some(Finding::failed("machine", text, remedy))
}

/// Datagrams that did not verify while we looked.
fn unverified(daemon: &DaemonFacts) -> u64 {
    let count = |c: &Counters| c.unknown_key + c.bad_tag;
    count(&daemon.after.core.election.counters).saturating_sub(count(&daemon.before.core.election.counters))
}

fn keys(daemon: &DaemonFacts) -> Finding {
    match unverified(daemon) {
        0 => Finding::ok("keys", "every datagram that arrives verifies"),
        n => Finding::failed(
            "keys",
            format!("{n} datagrams arrived just now that no key here verifies: another key, or another cluster.name"),
            "make the key files of heartbeat.keys, their ids and cluster.name equal on all nodes",
        ),
    }
}

fn session(facts: &Facts, daemon: &DaemonFacts, peer: &PeerSnapshot) -> Vec<Finding> {
    let id = format!("peer.{}", peer.node);
    let (name, node) = (&peer.node, facts.config.nodes.iter().find(|n| n.name.as_str() == peer.node));
    let (theirs, ours) = (node.map(addresses).unwrap_or_default(), addresses(facts.config.local_node()));
    let mut findings = Vec::new();
    findings.push(match peer.state {
        SessionState::Up => {
            let heard = peer.heard_ms.unwrap_or_default();
            Finding::ok(&id, format!("{name} is heard ({heard} ms ago) and hears us"))
        }
        SessionState::OneWay if facts.host.refusals.iter().any(|r| r.node == *name) => Finding::failed(
            &id,
            format!("{name} is heard, but does not hear us: this host refuses to send to it"),
            "see udp, above",
        ),
        SessionState::OneWay => Finding::failed(
            &id,
            format!("{name} is heard, but does not hear us"),
            format!("let UDP from {ours} to {theirs} in there: security group, network ACL and firewall of {name}"),
        ),
        SessionState::Down | SessionState::Unproven if unverified(daemon) > 0 => Finding::failed(
            &id,
            format!("{name} is not heard, and datagrams arrive that no key here verifies"),
            "compare the key files first: havipctl keygen makes one, every node gets the same",
        ),
        SessionState::Down | SessionState::Unproven => Finding::failed(
            &id,
            format!("{name} is not heard"),
            format!(
                "see that havipd runs there, and let UDP from {theirs} to {ours} in here: security group, network ACL \
                 and firewall of this node"
            ),
        ),
    });
    if peer.same_digest == Some(false) {
        findings.push(Finding::failed(
            format!("config.{name}"),
            format!("{name} runs other timing, voters, arbiters, HAVIPs or bindings"),
            "copy the same file to every node; then, in maintenance, havipctl reload on each",
        ));
    } else if peer.same_digest == Some(true) {
        findings.push(Finding::ok(format!("config.{name}"), format!("{name} runs the same groups as this node")));
    }
    if peer.state == SessionState::Up {
        findings.extend(lost_paths(daemon, peer));
    }
    findings
}

/// Paths over which nothing came while others delivered.
fn lost_paths(daemon: &DaemonFacts, peer: &PeerSnapshot) -> Vec<Finding> {
    let before = daemon.before.core.election.peers.iter().find(|p| p.node == peer.node);
    let received = |p: &PeerSnapshot, i: usize| p.stats.paths.get(i).map_or(0, |path| path.received);
    let silent = |i: &usize| before.is_some_and(|b| received(b, *i) == received(peer, *i));
    let text = |i: usize| {
        Finding::warning(
            format!("peer.{}.path", peer.node),
            format!("nothing of {} arrives at address {} of this node any more", peer.node, i + 1),
            "look at that network; the session lives by its other addresses",
        )
    };
    (0..peer.stats.paths.len()).filter(silent).map(text).collect()
}

fn addresses(node: &Node) -> String {
    node.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

pub(crate) fn of_asked(peer: &str, asked: &[Asked]) -> Finding {
    let id = format!("peer.{peer}");
    let alive = asked.iter().find_map(|a| match a.answer {
        AskedAnswer::Alive(took) => Some(took),
        _ => None,
    });
    if let Some(took) = alive {
        let text = format!("{peer} answers with our key, {:.1} ms there and back", took.as_secs_f64() * 1e3);
        return Finding::ok(id, text);
    }
    let of = |pick: fn(&AskedAnswer) -> bool| asked.iter().find(|a| pick(&a.answer));
    if of(|a| *a == AskedAnswer::Unverified).is_some() {
        return Finding::failed(
            id,
            format!("{peer} answers, but no key here verifies what it says"),
            "make the key files and cluster.name equal on all nodes",
        );
    }
    if let Some((a, why)) = asked.iter().find_map(|a| match &a.answer {
        AskedAnswer::NotSent(why) => Some((a, why)),
        _ => None,
    }) {
        let text = format!("{peer} cannot be asked: {} to {}: {why}", a.from, a.to);
        return Finding::failed(id, text, "give this host the address of its [[node]], or correct node.address");
    }
    let to = asked.iter().map(|a| a.to.to_string()).collect::<Vec<_>>().join(", ");
    let from = asked.first().map(|a| a.from.to_string()).unwrap_or_default();
    Finding::warning(
        id,
        format!("{peer} does not answer at {to}"),
        format!(
            "start havipd there; if it runs, let UDP from {from} to {to} in, and back: security groups, firewalls, equal keys"
        ),
    )
}

fn group(g: &GroupSnapshot) -> Finding {
    let id = format!("group.{}", g.name);
    let name = &g.name;
    if !g.member {
        return Finding::ok(id, format!("this node is no member of {name}"));
    }
    if g.role == Role::Fault {
        return Finding::failed(
            id,
            format!("{name} is in fault here ({}): {}", g.cause, g.detail),
            format!("havipctl why {name}"),
        );
    }
    if g.isolated {
        return Finding::failed(
            id,
            format!("{name} is isolated: neither peers nor cloud answer"),
            "see the lines on peers and cloud",
        );
    }
    let Some(active) = &g.active else {
        return Finding::failed(
            id,
            format!(
                "{name} is active on no node that is heard: {}",
                if g.waiting.is_empty() { &g.detail } else { &g.waiting }
            ),
            format!("havipctl why {name}"),
        );
    };
    if g.maintenance {
        return Finding::warning(
            id,
            format!("{name} is in maintenance: nothing moves"),
            format!("havipctl maintenance {name} off ends it"),
        );
    }
    if g.drained {
        return Finding::warning(
            id,
            format!("{name} is drained here: this node does not take over"),
            format!("havipctl undrain {name} ends it"),
        );
    }
    if let Some(fabric) = g.fabric.as_ref().filter(|f| *f != active && g.fabric_ms.is_some_and(|ms| ms < g.since_ms)) {
        return Finding::failed(
            id,
            format!("{name} is active on {active}, but its packets arrive at {fabric}"),
            format!("look at the interfaces of {fabric} for the address of {name}, and at havipctl status there"),
        );
    }
    Finding::ok(id, format!("{name} is active on {active}"))
}

/// Whether somebody would take over if the active node failed now. Nothing where nobody is active, and where there is
/// nobody else by design.
fn failover(g: &GroupSnapshot) -> Option<Finding> {
    let (active, name) = (g.active.as_ref().filter(|_| g.member)?, &g.name);
    let id = format!("failover.{name}");
    if let Some(why) = &g.no_failover {
        let remedy = format!("havipctl why {name}, on the nodes that are named, says what would let them");
        return Some(Finding::failed(id, format!("if {active} failed now, {name} would stay down: {why}"), remedy));
    }
    if g.maintenance {
        return Some(Finding::warning(
            id,
            format!("if {active} failed now, {name} would stay down: in maintenance nothing moves"),
            format!("havipctl maintenance {name} off ends it"),
        ));
    }
    let to = g.successor.as_ref()?;
    Some(Finding::ok(id, format!("if {active} failed now, {to} would take {name} over")))
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::super::fixture::{find, healthy};
    use super::*;
    use std::time::Duration;

    fn after(facts: &mut Facts) -> &mut havipd_core::status::Snapshot {
        &mut facts.daemon.as_mut().expect("a daemon").after.core.election
    }

    #[test]
    fn a_session_is_judged_by_its_direction() {
        for (state, says, remedy) in [
            (SessionState::OneWay, "does not hear us", "from 10.0.0.11:11200 to 10.0.0.12:11200"),
            (SessionState::Down, "is not heard", "from 10.0.0.12:11200 to 10.0.0.11:11200"),
            (SessionState::Unproven, "is not heard", "havipd runs there"),
        ] {
            let mut facts = healthy();
            after(&mut facts).peers[0].state = state;
            let found = find(&judge(&facts), "peer.b");
            assert!(found.level == Level::Failed && found.text.contains(says), "{found:?}");
            assert!(found.remedy.contains(remedy), "{found:?}");
        }
    }

    #[test]
    fn a_copy_of_a_machine_is_named_as_such() {
        assert!(!judge(&healthy()).iter().any(|f| f.id == "machine"));
        for (cause, says, remedy) in [
            (Cause::WrongHost, "not the one that the file means by node a", "if this is a copy of a"),
            (Cause::Cloned, "another machine runs as node a", "stop havipd there"),
        ] {
            let mut facts = healthy();
            let group = &mut after(&mut facts).groups[0];
            (group.role, group.cause) = (Role::Fault, cause.into());
            let found = find(&judge(&facts), "machine");
            assert!(found.level == Level::Failed && found.text.contains(says), "{found:?}");
            assert!(found.remedy.contains(remedy), "{found:?}");
        }
        let mut facts = healthy();
        facts.host.sockets[0].1 = Some("it is not here".to_owned());
        let found = find(&judge(&facts), "machine");
        assert!(found.level == Level::Failed && found.text.contains("it hears nobody"), "{found:?}");
    }

    #[test]
    fn only_what_fails_to_verify_now_speaks_against_the_keys() {
        let mut facts = healthy();
        facts.daemon.as_mut().expect("a daemon").before.core.election.counters.bad_tag = 9;
        after(&mut facts).counters.bad_tag = 9;
        assert_eq!(find(&judge(&facts), "keys").level, Level::Ok, "that was during a rotation");
        after(&mut facts).counters.unknown_key = 4;
        assert_eq!(find(&judge(&facts), "keys").level, Level::Failed);
        after(&mut facts).peers[0].state = SessionState::Unproven;
        assert!(find(&judge(&facts), "peer.b").remedy.contains("key files"));
    }

    #[test]
    fn another_digest_and_another_fabric_fail() {
        let mut facts = healthy();
        after(&mut facts).peers[0].same_digest = Some(false);
        assert_eq!(find(&judge(&facts), "config.b").level, Level::Failed);
        after(&mut facts).groups[0].fabric = Some("b".into());
        after(&mut facts).groups[0].fabric_ms = Some(5);
        let found = find(&judge(&facts), "group.web");
        assert!(found.level == Level::Failed && found.text.contains("arrive at b"), "{found:?}");
    }

    #[test]
    fn a_failover_that_would_not_work_fails() {
        let mut facts = healthy();
        let found = find(&judge(&facts), "failover.web");
        assert!(found.level == Level::Ok && found.text == "if a failed now, b would take web over", "{found:?}");
        after(&mut facts).groups[0].maintenance = true;
        assert_eq!(find(&judge(&facts), "failover.web").level, Level::Warning);
        after(&mut facts).groups[0].no_failover = Some("nobody can take web over: b is drained".into());
        let found = find(&judge(&facts), "failover.web");
        assert!(found.level == Level::Failed && found.text.contains("b is drained"), "{found:?}");
        after(&mut facts).groups[0].member = false;
        let all = judge(&facts);
        assert!(all.iter().all(|f| f.id != "failover.web"), "{all:?}");
        assert_eq!(find(&all, "group.web").level, Level::Ok);
    }

    #[test]
    fn without_a_daemon_the_peers_were_asked() {
        let mut facts = healthy();
        facts.daemon = None;
        let (from, to) =
            ("10.0.0.11:11200".parse().expect("an address"), "10.0.0.12:11200".parse().expect("an address"));
        for (answer, level, says) in [
            (AskedAnswer::Alive(Duration::from_micros(1500)), Level::Ok, "1.5 ms"),
            (AskedAnswer::Unverified, Level::Failed, "no key here verifies"),
            (AskedAnswer::NotSent("no such address".into()), Level::Failed, "no such address"),
            (AskedAnswer::Silent, Level::Warning, "does not answer"),
        ] {
            facts.asked = [("b".to_owned(), vec![Asked { from, to, answer }])].into();
            let found = find(&judge(&facts), "peer.b");
            assert!(found.level == level && found.text.contains(says), "{found:?}");
        }
    }
}
