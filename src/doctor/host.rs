//! This host: sockets, interfaces, addresses, ARP, hooks, state directory.

use super::facts::{Facts, HookFact, Place};
use super::{Finding, gateway};
use crate::config::check::as_list;
use crate::process::memory::Memory;
use crate::process::realtime::Realtime;
use crate::status::Refusal;
use havipd_core::model::role::Role;
use havipd_core::model::settings::{Group, HoldOrRelease, Interface};
use std::net::IpAddr;

/// Less room than this in the state directory is none, bytes.
const FULL: u64 = 4 << 20;
/// Less than this will be none soon.
const NEARLY_FULL: u64 = 64 << 20;

/// All of it.
#[must_use]
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        facts.host.sockets.iter().map(|(a, e)| socket(&a.to_string(), e.as_deref())).collect();
    findings.extend(facts.host.refusals.iter().map(refusal));
    if let Some(error) = &facts.host.netlink {
        let text = format!("links and addresses of this host cannot be read: {error}");
        findings.push(Finding::failed("netlink", text, "see the journal; the unit must allow AF_NETLINK"));
    }
    for group in &facts.config.groups {
        findings.extend(places(facts, group));
    }
    findings.extend(addresses(facts));
    findings.extend(facts.host.hooks.iter().map(|h| hook(facts, h)));
    findings.push(state(facts));
    findings.extend(rights(facts));
    findings.extend(losses(facts));
    findings
}

fn socket(address: &str, error: Option<&str>) -> Finding {
    match error {
        None => Finding::ok("udp", format!("UDP {address} is ours")),
        Some(error) => Finding::failed(
            "udp",
            format!("UDP {address} cannot be used: {error}"),
            "give this host that address, end the program that has the port (ss -ulpn), or change heartbeat.port everywhere",
        ),
    }
}

fn refusal(refusal: &Refusal) -> Finding {
    let Refusal { node, address, error } = refusal;
    Finding::failed(
        "udp",
        format!("sending to {node} is refused here: {error}"),
        format!(
            "let UDP to {address} out of this host: its own output rules (nft list ruleset), routes and interfaces"
        ),
    )
}

fn places(facts: &Facts, group: &Group) -> Vec<Finding> {
    let mut findings = Vec::new();
    for havip in group.havips.iter().filter(|h| h.interface != Interface::None) {
        let Some(place) = facts.host.places.get(havip.id.as_str()) else { continue };
        let id = format!("interface.{}", havip.id);
        findings.push(match place {
            Place { error: Some(error), .. } => Finding::failed(
                id,
                format!("the address of {} has no interface: {error}", havip.id),
                "set node.interface or group.havip.interface",
            ),
            Place { interface: Some(name), up: false, .. } => Finding::failed(
                id,
                format!("{name}, for {}, is down", havip.id),
                format!("ip link set {name} up, or look at its cable"),
            ),
            Place { interface: Some(name), .. } => {
                Finding::ok(id, format!("the address of {} goes on {name}, which is up", havip.id))
            }
            Place { interface: None, .. } => continue,
        });
        findings.extend(arp(group, place).map(|text| Finding::ok(format!("arp.{}", havip.id), text)));
        findings.extend(gateway::judge(facts, group, havip.id.as_str(), place));
    }
    findings
}

/// Whether the host answers ARP for an address that an isolated holder keeps silently.
fn arp(group: &Group, place: &Place) -> Option<String> {
    let holds = group.when_isolated == HoldOrRelease::Hold && !group.arbiter.is_leased();
    let (name, value) = (place.interface.as_ref().filter(|_| holds)?, place.arp_ignore?);
    let answers = match value {
        8.. => "does not answer",
        _ => "answers",
    };
    Some(format!(
        "while {} is isolated and holds its address silently, this host {answers} ARP for it (arp_ignore is {value} on {name}); \
         when-isolated = \"release\" takes the address off instead",
        group.name
    ))
}

/// The addresses of the HAVIPs: here exactly where this node is active.
fn addresses(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, group) in facts.config.groups.iter().enumerate() {
        let state = |d: &super::facts::DaemonFacts| d.after.core.election.groups.get(index).cloned();
        let running = facts.daemon.as_ref().and_then(state);
        let serves =
            running.as_ref().is_some_and(|g| matches!(g.role, Role::Active | Role::Claiming | Role::Releasing));
        let active = running.as_ref().is_some_and(|g| g.role == Role::Active);
        for havip in group.havips.iter().filter(|h| h.interface != Interface::None && !group.observe) {
            let read = facts.cloud.as_ref().and_then(|c| c.havips.get(havip.id.as_str())?.as_ref().ok());
            let address = havip.address.or_else(|| read.and_then(|h| h.private_ip_address));
            let Some(address) = address else { continue };
            let present = facts.host.addresses.contains(&IpAddr::V4(address));
            let id = format!("address.{}", havip.id);
            findings.push(match (present, active, serves) {
                (true, _, false) => Finding::failed(
                    id,
                    format!("{address} is on this host, which is not active for {}", group.name),
                    "find who put it there (keepalived, a network script); ip address del takes it off",
                ),
                (false, true, _) => Finding::failed(
                    id,
                    format!("this node is active for {}, and {address} is not on it", group.name),
                    "the log says why; the unit needs CAP_NET_ADMIN",
                ),
                (true, ..) => Finding::ok(id, format!("{address} is on this host, which is active for {}", group.name)),
                (false, ..) => {
                    Finding::ok(id, format!("{address} is not on this host, which is not active for {}", group.name))
                }
            });
        }
    }
    findings
}

fn hook(facts: &Facts, hook: &HookFact) -> Finding {
    let HookFact { group, key, program, broken, open } = hook;
    let id = format!("hook.{group}.{key}");
    if let Some(why) = broken {
        let remedy = as_list(program).unwrap_or_else(|| "install it, chmod +x, or correct the key".to_owned());
        return Finding::failed(id, format!("{program} {why}"), remedy);
    }
    if *open {
        let text = format!("{program} can be written by others than root, and runs with what havipd may do");
        return Finding::warning(id, text, format!("chown root {program}; chmod go-w {program}"));
    }
    let ran = facts.daemon.as_ref().and_then(|d| {
        let status = d.after.effects.hooks.iter().find(|(name, _)| name.as_str() == group)?.1;
        status.last.iter().find(|o| o.hook == *key)
    });
    match ran {
        Some(outcome) if !outcome.result.success() => Finding::warning(
            id,
            format!("{program} did not end well for {}: {}", outcome.state.as_str(), outcome.result),
            as_list(program)
                .unwrap_or_else(|| "its output is in the journal; try it by hand as user havipd".to_owned()),
        ),
        Some(outcome) => {
            Finding::ok(id, format!("{program} ran for {} in {} ms", outcome.state.as_str(), outcome.milliseconds))
        }
        None => Finding::ok(id, format!("{program} can be run; it did not yet")),
    }
}

fn state(facts: &Facts) -> Finding {
    let (id, directory) = ("state", facts.host.state.display());
    if let Some(error) = &facts.host.state_error {
        return Finding::failed(
            id,
            format!("{directory} cannot be written: {error}"),
            "mount it read-write, and give it to user havipd",
        );
    }
    match facts.host.free_bytes {
        Some(free) if free < FULL => Finding::failed(
            id,
            format!("{directory} has {} KiB left", free >> 10),
            "make room: epochs, drain and maintenance live there",
        ),
        Some(free) if free < NEARLY_FULL => Finding::warning(
            id,
            format!("{directory} has {} MiB left", free >> 20),
            "make room: epochs, drain and maintenance live there",
        ),
        Some(free) => Finding::ok(id, format!("{directory} can be written and has {} MiB left", free >> 20)),
        None => Finding::ok(id, format!("{directory} can be written")),
    }
}

/// What the running daemon was to have of the host, and whether it has it.
fn rights(facts: &Facts) -> Vec<Finding> {
    const REMEDY: &str = "install the drop-in realtime.conf (docs/installation.md) and restart, or remove the key";
    let Some(daemon) = &facts.daemon else { return Vec::new() };
    let realtime = match &daemon.after.core.network.realtime {
        Realtime::Off => None,
        Realtime::InForce { priority } => {
            let text = format!("the heartbeat thread, and nothing else, has real-time priority {priority}");
            Some(Finding::ok("realtime", text))
        }
        Realtime::GivenUp { percent } => Some(Finding::warning(
            "realtime",
            format!(
                "the heartbeat thread needed {percent} % of a processor and gave up its real-time priority until it is quiet"
            ),
            "look at havipd_datagrams_received_total for a flood, or remove daemon.realtime-priority",
        )),
        Realtime::Refused { error } => {
            let text = format!("daemon.realtime-priority is not in force: {error}");
            Some(Finding::warning("realtime", text, REMEDY))
        }
    };
    let memory = match &daemon.after.effects.memory {
        Memory::Swappable => None,
        Memory::Locked => Some(Finding::ok("memory", "the daemon's memory is locked")),
        Memory::Refused { error } => {
            Some(Finding::warning("memory", format!("daemon.lock-memory is not in force: {error}"), REMEDY))
        }
    };
    realtime.into_iter().chain(memory).collect()
}

/// What the running daemon could not do.
fn losses(facts: &Facts) -> Vec<Finding> {
    let Some(daemon) = &facts.daemon else { return Vec::new() };
    let (network, effects) = (&daemon.after.core.network, &daemon.after.effects);
    let mut findings = Vec::new();
    if let Some(error) = &network.address_error {
        findings.push(Finding::failed(
            "address",
            error,
            "the log has more; the unit needs CAP_NET_ADMIN and CAP_NET_RAW",
        ));
    }
    // Once may have been somebody's slip; what comes again is somebody's configuration.
    for stray in network.strays.iter().filter(|stray| stray.times > 1) {
        findings.push(Finding::warning(
            "stray",
            format!(
                "{} was taken off this host {} times, the last time {} s ago: something puts it there",
                stray.found,
                stray.times,
                stray.ago_ms / 1000
            ),
            "take it out of netplan, ifcfg, start scripts and keepalived.conf: havipd alone puts it, on the active node",
        ));
    }
    if effects.history_lost > 0 {
        let text = match effects.history_lost {
            1 => "1 change of role is not in the history: the disk was too slow, or full".to_owned(),
            n => format!("{n} changes of role are not in the history: the disk was too slow, or full"),
        };
        findings.push(Finding::warning("history", text, "look at the state directory"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::super::fixture::{find, healthy};
    use super::*;
    use crate::status::StrayStatus;

    #[test]
    fn an_address_belongs_where_the_group_is_active() {
        let mut facts = healthy();
        facts.host.addresses.retain(|a| a.to_string() != "10.0.0.100");
        let found = find(&judge(&facts), "address.havip-x");
        assert!(found.level == Level::Failed && found.text.contains("is not on it"), "{found:?}");
        let mut facts = healthy();
        facts.daemon.as_mut().expect("a daemon").after.core.election.groups[0].role = Role::Backup;
        let found = find(&judge(&facts), "address.havip-x");
        assert!(found.level == Level::Failed && found.text.contains("is not active"), "{found:?}");
    }

    #[test]
    fn an_interface_that_is_missing_or_down_fails() {
        for place in [
            Place { error: Some("there is no eth9".into()), ..Place::default() },
            Place { interface: Some("eth0".into()), up: false, ..Place::default() },
        ] {
            let mut facts = healthy();
            facts.host.places.insert("havip-x".into(), place);
            assert_eq!(find(&judge(&facts), "interface.havip-x").level, Level::Failed);
        }
    }

    #[test]
    fn it_says_whether_the_host_answers_arp_for_a_silent_address() {
        let text = find(&judge(&healthy()), "arp.havip-x").text;
        assert!(text.contains("this host answers ARP"), "{text}");
        let mut facts = healthy();
        facts.host.places.get_mut("havip-x").expect("there").arp_ignore = Some(8);
        assert!(find(&judge(&facts), "arp.havip-x").text.contains("does not answer"));
        std::sync::Arc::make_mut(&mut facts.config).groups[0].when_isolated = HoldOrRelease::Release;
        assert!(!judge(&facts).iter().any(|f| f.id.starts_with("arp.")));
    }

    #[test]
    fn hooks_are_judged_by_their_file_and_their_last_run() {
        let mut facts = healthy();
        assert_eq!(find(&judge(&facts), "hook.web.notify").level, Level::Ok);
        facts.host.hooks[0].open = true;
        assert_eq!(find(&judge(&facts), "hook.web.notify").level, Level::Warning);
        facts.host.hooks[0].broken = Some("is not an executable file".into());
        assert_eq!(find(&judge(&facts), "hook.web.notify").level, Level::Failed);
    }

    #[test]
    fn an_address_that_comes_again_is_a_warning_and_one_that_came_once_is_not() {
        let taken = |times| {
            let mut facts = healthy();
            let address = std::net::Ipv4Addr::new(10, 0, 0, 100);
            let stray = StrayStatus { address, found: "10.0.0.100/32 on lo".into(), times, ago_ms: 90_000 };
            facts.daemon.as_mut().expect("a daemon").after.core.network.strays = vec![stray];
            judge(&facts)
        };
        assert!(!taken(1).iter().any(|f| f.id == "stray"), "once may have been a slip");
        let found = find(&taken(3), "stray");
        assert_eq!(found.level, Level::Warning);
        assert!(found.text.starts_with("10.0.0.100/32 on lo was taken off this host 3 times"), "{found:?}");
    }

    #[test]
    fn a_full_or_closed_state_directory_fails() {
        for (free, level) in [(Some(1 << 30), Level::Ok), (Some(32 << 20), Level::Warning), (Some(9), Level::Failed)] {
            let mut facts = healthy();
            facts.host.free_bytes = free;
            assert_eq!(find(&judge(&facts), "state").level, level);
        }
        let mut facts = healthy();
        facts.host.state_error = Some("Read-only file system".into());
        assert_eq!(find(&judge(&facts), "state").level, Level::Failed);
    }

    #[test]
    fn a_right_that_is_not_there_is_a_warning_with_the_drop_in() {
        let mut facts = healthy();
        assert!(!judge(&facts).iter().any(|f| f.id == "realtime" || f.id == "memory"), "not asked for");
        let set = |facts: &mut Facts, realtime, memory| {
            let after = &mut facts.daemon.as_mut().expect("a daemon").after;
            (after.core.network.realtime, after.effects.memory) = (realtime, memory);
        };
        set(&mut facts, Realtime::InForce { priority: 20 }, Memory::Locked);
        let found = find(&judge(&facts), "realtime");
        assert!(found.level == Level::Ok && found.text.ends_with("20"), "{found:?}");
        assert_eq!(find(&judge(&facts), "memory").level, Level::Ok);
        let error = || "no right".to_owned();
        set(&mut facts, Realtime::Refused { error: error() }, Memory::Refused { error: error() });
        for id in ["realtime", "memory"] {
            let found = find(&judge(&facts), id);
            assert!(found.level == Level::Warning && found.text.ends_with("no right"), "{found:?}");
            assert!(found.remedy.contains("realtime.conf"), "{found:?}");
        }
        set(&mut facts, Realtime::GivenUp { percent: 93 }, Memory::Locked);
        let found = find(&judge(&facts), "realtime");
        assert!(found.level == Level::Warning && found.text.contains("93 %"), "{found:?}");
    }

    #[test]
    fn what_this_host_refuses_to_send_is_its_own_rules_to_mend() {
        let mut facts = healthy();
        let address = "10.0.0.12:11200".parse().expect("one");
        facts.host.refusals.push(Refusal { node: "b".into(), address, error: "Operation not permitted".into() });
        let found = judge(&facts).into_iter().filter(|f| f.id == "udp").find(|f| f.level == Level::Failed);
        let found = found.expect("a failure");
        assert_eq!(found.text, "sending to b is refused here: Operation not permitted");
        assert!(found.remedy.contains("output rules") && found.remedy.contains("10.0.0.12:11200"), "{}", found.remedy);
    }

    #[test]
    fn a_port_that_another_has_fails() {
        let mut facts = healthy();
        facts.host.sockets[0].1 = Some("Address already in use".into());
        assert!(find(&judge(&facts), "udp").remedy.contains("ss -ulpn"));
    }
}
