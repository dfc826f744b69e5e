//! The HAVIPs: that they exist, where, with which address, and who is bound.

use super::Finding;
use super::cloud::obstacle;
use super::facts::{CloudFacts, Facts};
use havipd_core::model::cloud::HaVip;
use havipd_core::model::ids::Target;
use havipd_core::model::settings::{Binding, Group, Havip, Strangers};
use havipd_core::status::HavipSnapshot;

/// The cloud binds at most so many targets to one HAVIP.
const QUOTA: usize = 5;

/// All of it.
#[must_use]
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let Some(cloud) = &facts.cloud else { return Vec::new() };
    let mut findings = Vec::new();
    for group in &facts.config.groups {
        for havip in &group.havips {
            let id = format!("havip.{}", havip.id);
            match cloud.havips.get(havip.id.as_str()) {
                Some(Ok(found)) => {
                    findings.push(place(&id, cloud, havip, found));
                    findings.extend(subnet(&id, cloud, found));
                    findings.extend(bound(&id, facts, group, havip, found));
                    findings.extend(contested(facts, group, havip).or_else(|| repaired(facts, group, havip)));
                }
                Some(Err(error)) if error.missing => findings.push(Finding::failed(
                    id,
                    format!("the cloud does not know {}: {error}", havip.id),
                    "create it in this region and account, or correct group.havip.id",
                )),
                Some(Err(error)) if obstacle(error).is_none() => {
                    findings.push(Finding::failed(id, error.to_string(), "the text has the cloud's reason"));
                }
                // `cloud.*` has said why.
                Some(Err(_)) => {
                    findings.push(Finding::warning(
                        id,
                        format!("{} could not be read", havip.id),
                        "see the lines on the cloud",
                    ));
                }
                None => {}
            }
        }
    }
    findings
}

/// What the running daemon knows of a HAVIP.
fn running<'a>(facts: &'a Facts, group: &Group, havip: &Havip) -> Option<&'a HavipSnapshot> {
    let groups = &facts.daemon.as_ref()?.after.core.election.groups;
    let of = groups.iter().find(|g| g.name == group.name.as_str())?;
    of.havips.iter().find(|h| h.id == havip.id.as_str())
}

/// Two masters outside each other's cluster take the HAVIP from each other: neither keeps it before somebody gives way.
fn contested(facts: &Facts, group: &Group, havip: &Havip) -> Option<Finding> {
    let by = running(facts, group, havip)?.contested.as_ref()?;
    Some(Finding::failed(
        format!("havip.{}.contested", havip.id),
        format!("{} is {by}", havip.id),
        format!(
            "leave the HAVIP to one of the two: take it out of the other's file or script, or out of this one; havipctl history {} \
             says when it was taken, the cloud's audit log by whose key",
            group.name
        ),
    ))
}

/// Somebody attaches another target again and again: each time this node puts the record right, and packets went astray.
fn repaired(facts: &Facts, group: &Group, havip: &Havip) -> Option<Finding> {
    let times = running(facts, group, havip)?.repairs;
    // Once may have been somebody's slip.
    (times > 1).then(|| {
        Finding::warning(
            format!("havip.{}.repaired", havip.id),
            format!(
                "the cloud's record of {} named another than this node {times} times since the start, and was put right: \
                 something attaches it elsewhere",
                havip.id
            ),
            format!(
                "havipctl history {} says when, and who was bound; look for keepalived, a script or another cluster with this \
                 HAVIP, and in the cloud's audit log for whose key it was",
                group.name
            ),
        )
    })
}

fn place(id: &str, cloud: &CloudFacts, havip: &Havip, found: &HaVip) -> Finding {
    if let Ok(vpc) = &cloud.vpc
        && !found.vpc_id.is_empty()
        && found.vpc_id != *vpc
    {
        let text = format!("{} is in {}, this machine in {vpc}: it cannot be bound here", havip.id, found.vpc_id);
        return Finding::failed(id, text, "use a HAVIP of the VPC that the nodes are in");
    }
    match (havip.address, found.private_ip_address) {
        (Some(ours), Some(theirs)) if ours != theirs => Finding::failed(
            id,
            format!("{} has the address {theirs}, the file says {ours}", havip.id),
            "correct group.havip.address, or leave it out",
        ),
        (None, None) => Finding::failed(
            id,
            format!("{} has no address", havip.id),
            "set group.havip.address, or look at the HAVIP in the console",
        ),
        (ours, theirs) => {
            let address = theirs.or(ours).map(|a| a.to_string()).unwrap_or_default();
            Finding::ok(id, format!("{} is {address}, {}", havip.id, found.status))
        }
    }
}

fn subnet(id: &str, cloud: &CloudFacts, found: &HaVip) -> Option<Finding> {
    let ours = cloud.subnet.as_ref().ok()?;
    (!found.subnet_id.is_empty() && found.subnet_id != *ours).then(|| {
        Finding::warning(
            format!("{id}.subnet"),
            format!("its subnet is {}, this machine's is {ours}: the cloud asks for the same VPC, and documents nothing on subnets", found.subnet_id),
            "havipctl drill proves it; the same subnet for HAVIP and nodes is the safe choice",
        )
    })
}

/// Who is bound, held against who may be and who should be.
fn bound(id: &str, facts: &Facts, group: &Group, havip: &Havip, found: &HaVip) -> Vec<Finding> {
    let id = format!("{id}.bound");
    let members: Vec<(&str, Option<Target>)> = members(facts, group);
    let ids = |b: &[&str]| b.join(", ");
    let bound: Vec<&str> = found.binded_instances.iter().map(|b| b.instance_id.as_str()).collect();
    let ours = |id: &str| members.iter().any(|(_, t)| t.as_ref().is_some_and(|t| t.id() == id));
    let known = members.iter().all(|(_, t)| t.is_some());
    let strangers: Vec<&str> = bound.iter().copied().filter(|b| known && !ours(b)).collect();
    let mut findings = Vec::new();
    if !strangers.is_empty() {
        let text = format!("{} is bound to {}, which is no member of {}", havip.id, ids(&strangers), group.name);
        findings.push(match havip.strangers {
            Strangers::Detach => {
                Finding::warning(&id, text, "the next claim detaches it, as strangers = \"detach\" says")
            }
            Strangers::Guard | Strangers::Refuse => Finding::failed(
                &id,
                text,
                "detach it in the console, or name its node in group.nodes, or set strangers = \"detach\"",
            ),
        });
    }
    if bound.len() >= QUOTA && !bound.iter().any(|b| ours(b)) {
        let text = format!("{QUOTA} targets are bound, the most that the cloud allows: an attach will be refused");
        findings.push(Finding::failed(&id, text, "detach one that is not needed"));
    }
    if havip.binding == Binding::Shared {
        let missing: Vec<&str> =
            members.iter().filter_map(|(_, t)| t.as_ref()).map(Target::id).filter(|t| !bound.contains(t)).collect();
        if !missing.is_empty() {
            let text = format!("binding is shared, and {} is not bound", ids(&missing));
            findings.push(Finding::warning(
                &id,
                text,
                "the active node attaches it; see its log if that does not happen",
            ));
        }
    }
    findings.extend(holder(&id, facts, group, found, &members));
    if findings.is_empty() {
        let who = if bound.is_empty() { "nobody".to_owned() } else { ids(&bound) };
        findings
            .push(Finding::ok(id, format!("bound: {who}; the cloud names {}", found.holder().unwrap_or("no holder"))));
    }
    findings
}

/// The members that may be bound, with what they are to the cloud where that is known.
fn members<'a>(facts: &'a Facts, group: &Group) -> Vec<(&'a str, Option<Target>)> {
    let peers = facts.daemon.iter().flat_map(|d| &d.after.core.election.peers);
    let said: Vec<(&str, &Target)> = peers.filter_map(|p| Some((p.node.as_str(), p.target.as_ref()?))).collect();
    let own = facts.cloud.as_ref().and_then(|c| c.target.as_ref().ok());
    let target = |n: &'a havipd_core::model::settings::Node| {
        let name = n.name.as_str();
        let local = n.name == facts.config.local_node().name;
        let heard = said.iter().find(|(node, _)| *node == name).map(|(_, t)| *t);
        (name, n.target.as_ref().or(heard).or(own.filter(|_| local)).cloned())
    };
    group.members.iter().filter(|m| !m.witness).map(|m| target(facts.config.node(m.node))).collect()
}

/// The cloud's holder against the active node, unless a move is under way.
fn holder(
    id: &str,
    facts: &Facts,
    group: &Group,
    found: &HaVip,
    members: &[(&str, Option<Target>)],
) -> Option<Finding> {
    // Who only observes has no part in it.
    let daemon = facts.daemon.as_ref().filter(|_| !group.observe)?;
    let state = |s: &crate::status::Status| {
        s.core.election.groups.iter().find(|g| g.name == group.name.as_str()).map(|g| (g.active.clone(), g.epoch))
    };
    let (before, after) = (state(&daemon.before)?, state(&daemon.after)?);
    let active = after.0.clone().filter(|_| before == after)?;
    let (_, target) = members.iter().find(|(name, _)| *name == active)?;
    let target = target.as_ref()?.id();
    match found.holder() {
        Some(holder) if holder == target => None,
        // Without flags nobody can be told from the others.
        None if found.binds(target) => None,
        other => Some(Finding::failed(
            id,
            format!("{active} ({target}) is active, but the cloud names {}", other.unwrap_or("nobody")),
            format!("havipctl why {} on {active}: it repairs this by itself where the cloud allows it", group.name),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::super::fixture::{HAVIP, bind, error, find, havip, healthy};
    use super::*;
    use std::sync::Arc;

    const ID: &str = "havip.havip-x";
    const BOUND: &str = "havip.havip-x.bound";

    fn judged(change: impl FnOnce(&mut Facts)) -> Vec<Finding> {
        let mut facts = healthy();
        change(&mut facts);
        judge(&facts)
    }

    fn read(facts: &mut Facts) -> &mut HaVip {
        facts.cloud.as_mut().expect("a member").havips.get_mut(HAVIP).expect("there").as_mut().expect("read")
    }

    #[test]
    fn a_thief_is_told_once_he_comes_again() {
        let repairs = |times, contested: Option<&str>| {
            let mut facts = healthy();
            let groups = &mut facts.daemon.as_mut().expect("a daemon").after.core.election.groups;
            groups[0].havips = vec![HavipSnapshot {
                id: "havip-x".to_owned(),
                address: None,
                present: None,
                holder: None,
                bound: vec![],
                read_ms: None,
                error: None,
                repairs: times,
                repaired: None,
                contested: contested.map(str::to_owned),
            }];
            judge(&facts)
        };
        assert!(!repairs(1, None).iter().any(|f| f.id.ends_with(".repaired")));
        let found = find(&repairs(3, None), "havip.havip-x.repaired");
        assert!(found.level == Level::Warning && found.text.contains("3 times since the start"), "{found:?}");
        let war = repairs(5, Some("taken by i-z 5 times"));
        let found = find(&war, "havip.havip-x.contested");
        assert!(found.level == Level::Failed && found.text == "havip-x is taken by i-z 5 times", "{found:?}");
        assert!(!war.iter().any(|f| f.id.ends_with(".repaired")), "one line for one trouble");
    }

    #[test]
    fn a_havip_that_is_gone_elsewhere_or_another_fails() {
        let missing =
            havipd_core::model::cloud::CallError { missing: true, status: Some(404), ..error("NoSuchObject") };
        let gone = judged(|f| drop(f.cloud.as_mut().expect("a member").havips.insert(HAVIP.into(), Err(missing))));
        assert!(find(&gone, ID).text.contains("does not know havip-x"));
        assert!(find(&judged(|f| read(f).vpc_id = "vpc-z".into()), ID).remedy.contains("VPC that the nodes are in"));
        let other = judged(|f| read(f).private_ip_address = Some("10.0.0.101".parse().expect("an address")));
        assert!(find(&other, ID).text.contains("the file says 10.0.0.100"));
        let subnet = judged(|f| read(f).subnet_id = "sbn-z".into());
        assert_eq!(find(&subnet, "havip.havip-x.subnet").level, Level::Warning);
    }

    #[test]
    fn strangers_and_a_full_house_are_told_before_the_claim() {
        let found = find(&judged(|f| *read(f) = havip(&[("i-a", Some(true)), ("i-z", None)])), BOUND);
        assert!(found.level == Level::Failed && found.text.contains("i-z"), "{found:?}");
        let full = judged(|f| {
            let five = ["i-1", "i-2", "i-3", "i-4", "i-5"].map(|i| (i, None));
            *read(f) = havip(&five);
        });
        assert!(
            full.iter().any(|f| f.level == Level::Failed && f.text.contains("most that the cloud allows")),
            "{full:?}"
        );
    }

    #[test]
    fn the_holder_is_the_active_node() {
        let found = find(&judged(|f| *read(f) = havip(&[("i-b", Some(true))])), BOUND);
        assert!(found.level == Level::Failed && found.text.contains("the cloud names i-b"), "{found:?}");
        let moving = judged(|f| {
            *read(f) = havip(&[("i-b", Some(true))]);
            f.daemon.as_mut().expect("a daemon").before.core.election.groups[0].epoch = 0;
        });
        assert_eq!(find(&moving, BOUND).level, Level::Ok, "a move is under way");
    }

    #[test]
    fn shared_wants_every_member_bound() {
        let found = judged(|f| {
            let config = Arc::make_mut(&mut f.config);
            config.groups[0].havips[0].binding = Binding::Shared;
        });
        assert_eq!(find(&found, BOUND).level, Level::Warning);
        let both = judged(|f| {
            Arc::make_mut(&mut f.config).groups[0].havips[0].binding = Binding::Shared;
            *read(f) = bind(&["i-a", "i-b"]);
        });
        assert_eq!(find(&both, BOUND).level, Level::Ok);
    }
}
