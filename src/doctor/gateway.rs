//! A host whose address is the next hop of a route: whether it lets through what others send.

use super::Finding;
use super::facts::{Facts, Place};
use havipd_core::model::settings::{Config, Group, Hooks, Probe};

/// What shows that the address of a group is a gateway's, the next hop of a route: a program that it runs, or runs by way of another,
/// is one of conntrack-tools, or is called after it.
fn of_a_gateway<'a>(config: &'a Config, group: &'a Group) -> Option<&'a str> {
    let Hooks { notify, notify_master, notify_backup, notify_fault, notify_stop, timeout: _ } = &group.hooks;
    let hooks = [notify, notify_master, notify_backup, notify_fault, notify_stop];
    let gates = [&group.before_active, &group.before_release];
    let checks = group.checks.iter().filter_map(|name| match &config.check_named(name)?.probe {
        Probe::Script(argv) => Some(argv),
        _ => None,
    });
    let all = gates.into_iter().chain(hooks).flatten().chain(checks).flatten();
    all.map(String::as_str).find(|word| word.rsplit('/').next().is_some_and(|name| name.contains("conntrack")))
}

/// Whether the host lets packets through as a gateway has to.
pub(super) fn judge(facts: &Facts, group: &Group, havip: &str, place: &Place) -> Option<Finding> {
    let program = of_a_gateway(&facts.config, group)?;
    let (id, default_route) = (format!("gateway.{havip}"), facts.host.default_route.as_deref());
    let (name, forwards, filter) = (place.interface.as_deref()?, place.forwards?, place.rp_filter?);
    if !forwards {
        return Some(Finding::failed(
            id,
            format!(
                "this host drops what others send through it by {name} (net.ipv4.conf.{name}.forwarding is 0), and {program} \
                 is a gateway's"
            ),
            "net.ipv4.ip_forward = 1 in a file of /etc/sysctl.d, then sysctl --system",
        ));
    }
    Some(match default_route {
        // Strict: what has no route back by the interface on which it came is taken for forged.
        Some(other) if filter == 1 && other != name => Finding::warning(
            id,
            format!(
                "this host drops what comes in by {name} from addresses that it would answer by {other}, its default route \
                 (rp_filter is 1)"
            ),
            format!(
                "net.ipv4.conf.{name}.rp_filter = 2 in a file of /etc/sysctl.d, or routes by {name} to all that send through it"
            ),
        ),
        _ => Finding::ok(id, format!("this host passes on what comes in by {name} (rp_filter is {filter})")),
    })
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::super::fixture::{config, healthy};
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_gateway_lets_packets_through() {
        let of = |more: &str, forwards, filter, default: &str| {
            let mut facts = healthy();
            facts.config = Arc::new(config(more));
            let place = facts.host.places.get_mut("havip-x").expect("there");
            (place.forwards, place.rp_filter) = (Some(forwards), Some(filter));
            facts.host.default_route = Some(default.to_owned());
            judge(&facts, &facts.config.groups[0], "havip-x", &facts.host.places["havip-x"])
        };
        let hook = "[group.hooks]\nnotify-backup = [\"/etc/havipd/conntrack\", \"follow\"]\n";
        assert_eq!(of("", false, 1, "eth1"), None, "nothing says that it is one");
        let found = of(hook, false, 0, "eth0").expect("a finding");
        assert_eq!(found.level, Level::Failed);
        assert!(found.text.contains("net.ipv4.conf.eth0.forwarding is 0"), "{found:?}");
        let found = of(hook, true, 1, "eth1").expect("a finding");
        assert_eq!(found.level, Level::Warning);
        assert!(found.text.contains("by eth1"), "{found:?}");
        for (filter, default) in [(1, "eth0"), (2, "eth1"), (0, "eth1")] {
            assert_eq!(of(hook, true, filter, default).expect("a finding").level, Level::Ok, "{filter} {default}");
        }
        // It may be an argument of an interpreter, or a check's.
        let check = "[[check]]\nname = \"c\"\nscript = [\"/bin/sh\", \"/x/conntrackd-lives\"]\n";
        let mut facts = healthy();
        facts.config = Arc::new(config(check));
        assert_eq!(of_a_gateway(&facts.config, &facts.config.groups[0]), None, "this group does not use it");
        Arc::make_mut(&mut facts.config).groups[0].checks.push("c".parse().expect("a name"));
        assert_eq!(of_a_gateway(&facts.config, &facts.config.groups[0]), Some("/x/conntrackd-lives"));
    }
}
