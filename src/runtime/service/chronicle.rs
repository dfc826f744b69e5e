//! What explains a change of role, or is one elsewhere: who is active now as seen from here, drain, maintenance, checks.
//!
//! A bystander's own role does not change when a HAVIP goes from one node to another, and nobody's does when
//! maintenance begins; a reader of a history wants both. So every snapshot is held against the one before it.

use crate::checks::status::CheckStatus;
use crate::journal::Entry;
use havipd_core::model::ids::CheckName;
use havipd_core::model::role::Cause;
use havipd_core::model::settings::CheckState;
use havipd_core::status::{GroupSnapshot, Snapshot};
use std::collections::BTreeMap;

/// How each group was when last looked at.
#[derive(Debug, Default)]
pub(super) struct Chronicle {
    groups: BTreeMap<String, Seen>,
    checks: BTreeMap<CheckName, Judged>,
}

/// What a check of this node said, and whether it flapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Judged {
    state: CheckState,
    flapping: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    /// The last node that was active.
    active: Option<String>,
    drained: bool,
    maintenance: bool,
    /// How often the record of each HAVIP was put right.
    repairs: Vec<u64>,
}

impl Chronicle {
    /// What has happened since the last call. How a group is when it is first seen is no news.
    pub(super) fn note(&mut self, snapshot: &Snapshot) -> Vec<Entry> {
        let mut news = Vec::new();
        for group in &snapshot.groups {
            let mut now = Seen {
                active: group.confirmed().map(str::to_owned),
                drained: group.drained,
                maintenance: group.maintenance,
                repairs: group.havips.iter().map(|h| h.repairs).collect(),
            };
            let Some(before) = self.groups.get_mut(&group.name) else {
                self.groups.insert(group.name.clone(), now);
                continue;
            };
            // Who was active before nobody was is still to be compared with.
            now.active = now.active.or_else(|| before.active.clone());
            if *before != now {
                let before = std::mem::replace(before, now);
                news.extend(changes(group, &snapshot.node, &before));
            }
        }
        self.groups.retain(|name, _| snapshot.groups.iter().any(|g| g.name == *name));
        news
    }
}

impl Chronicle {
    /// The same of the checks of this node, in the history of each group that uses them. Between two looks one may have
    /// failed and recovered: the log has every change.
    pub(super) fn note_checks(&mut self, snapshot: &Snapshot, checks: &[CheckStatus]) -> Vec<Entry> {
        let mut news = Vec::new();
        for check in checks {
            let now = Judged { state: check.state, flapping: check.flapping };
            let Some(before) = self.checks.insert(check.name.clone(), now) else { continue };
            // One that flaps changes all the time: that it does is the news, and that it does no more.
            let quiet = before.flapping && now.flapping;
            let cause = match now.state {
                _ if now.flapping && !before.flapping => "check-flaps",
                CheckState::Up if !quiet && now != before => "check-passes",
                CheckState::Down if !quiet && now != before => "check-fails",
                _ => continue,
            };
            let said = check.last.as_ref().map(|last| format!(": {}", last.text)).unwrap_or_default();
            let detail = match cause {
                "check-flaps" => format!("check {} keeps changing between passing and failing", check.name),
                "check-passes" => format!("check {} passes{said}", check.name),
                _ => format!("check {} fails{said}", check.name),
            };
            let used = snapshot.groups.iter().filter(|g| check.groups.iter().any(|name| name.as_str() == g.name));
            news.extend(used.map(|g| Entry::happened(&g.name, g.epoch, cause, detail.clone(), None)));
        }
        self.checks.retain(|name, _| checks.iter().any(|check| check.name == *name));
        news
    }
}

fn changes(group: &GroupSnapshot, here: &str, before: &Seen) -> Vec<Entry> {
    let entry = |cause, detail, peer| Entry::happened(&group.name, group.epoch, cause, detail, peer);
    let mut all = Vec::new();
    if group.drained != before.drained {
        all.push(if group.drained {
            entry("drained", "this node hands over, and stays ineligible until undrain".to_owned(), None)
        } else {
            entry("undrained", "this node may be active again".to_owned(), None)
        });
    }
    if group.maintenance != before.maintenance {
        let ends = group.maintenance_ends_ms.map(|ms| format!("; this node ends it in {} s", ms.div_ceil(1000)));
        all.push(if group.maintenance {
            entry("maintenance-on", format!("nothing moves, on any node{}", ends.unwrap_or_default()), None)
        } else {
            entry("maintenance-off", "it may move again".to_owned(), None)
        });
    }
    for (havip, before) in group.havips.iter().zip(&before.repairs).filter(|(h, before)| h.repairs > **before) {
        let times = havip.repairs - before;
        let detail = format!(
            "the cloud did not name this node as holder of {}; last bound: {}; put right {}, {} since the start",
            havip.id,
            havip.repaired.as_ref().and_then(|r| r.by.as_deref()).unwrap_or("nobody"),
            if times == 1 { "once".to_owned() } else { format!("{times} times") },
            havip.repairs
        );
        all.push(entry("repaired", detail, None));
    }
    // A node that becomes active, or hands over in order, has said so with its own role.
    let told = |active: &str| active == here || group.cause == Cause::HandoverComplete;
    match (&before.active, &group.active) {
        (Some(old), Some(new)) if old != new && !told(new) && group.confirmed().is_some() => {
            all.push(entry("moved", format!("{new} is active (epoch {}), before it {old}", group.epoch), Some(new)));
        }
        _ => {}
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::status::Runs;
    use crate::doctor::fixture;
    use havipd_core::model::role::Role;
    use havipd_core::status::{HavipSnapshot, MemberSnapshot, RepairsSnapshot};

    /// What `changes` to a group, one after the other, are noted as.
    fn noted(changes: &[&dyn Fn(&mut GroupSnapshot)]) -> Vec<String> {
        let mut snapshot = fixture::status().core.election;
        let mut chronicle = Chronicle::default();
        assert_eq!(chronicle.note(&snapshot), [], "how it is at first is no news");
        let mut all = Vec::new();
        for change in changes {
            change(&mut snapshot.groups[0]);
            let news = chronicle.note(&snapshot);
            assert!(news.iter().all(|e| e.group == "web" && e.to.is_empty() && e.from.is_empty()));
            all.extend(news.into_iter().map(|e| format!("{}: {}", e.cause, e.detail)));
        }
        assert_eq!(chronicle.note(&snapshot), [], "each is told once");
        all
    }

    fn active(group: &mut GroupSnapshot, node: Option<&str>, cause: Cause) {
        group.role = if node == Some("a") { Role::Active } else { Role::Backup };
        group.active = node.map(str::to_owned);
        group.cause = cause.into();
    }

    #[test]
    fn one_that_only_claims_is_not_active_yet() {
        let claims = |role| {
            move |g: &mut GroupSnapshot| {
                active(g, Some("b"), Cause::Started);
                let member = MemberSnapshot {
                    node: "b".to_owned(),
                    witness: false,
                    role: Some(role),
                    priority: 100,
                    unfit: None,
                    checks: Vec::new(),
                    more_checks: 0,
                };
                g.members = vec![member];
            }
        };
        let seen = noted(&[&claims(Role::Claiming), &claims(Role::Backup)]);
        assert_eq!(seen, [""; 0], "it failed");
        let seen = noted(&[&claims(Role::Claiming), &claims(Role::Active)]);
        assert_eq!(seen.len(), 1, "{seen:?}");
    }

    #[test]
    fn a_check_is_noted_in_the_history_of_its_groups_and_one_that_flaps_only_once() {
        let snapshot = fixture::status().core.election;
        let check = |state, flapping| CheckStatus {
            name: "nginx".parse().unwrap(),
            kind: "http".to_owned(),
            groups: vec!["web".parse().unwrap(), "gone".parse().unwrap()],
            here: true,
            state,
            since_ms: 0,
            streak: 0,
            fault: false,
            weight: 0,
            flapping,
            last: None,
            runs: Runs::default(),
            left_behind: 0,
        };
        let mut chronicle = Chronicle::default();
        let mut noted = |state, flapping| {
            let news = chronicle.note_checks(&snapshot, &[check(state, flapping)]);
            assert!(news.iter().all(|e| e.group == "web" && e.epoch == snapshot.groups[0].epoch), "{news:?}");
            news.into_iter().map(|e| format!("{}: {}", e.cause, e.detail)).collect::<Vec<_>>()
        };
        assert_eq!(noted(CheckState::Unknown, false), [""; 0], "how it is at first is no news");
        assert_eq!(noted(CheckState::Up, false), ["check-passes: check nginx passes"]);
        assert_eq!(noted(CheckState::Up, false), [""; 0]);
        assert_eq!(noted(CheckState::Down, false), ["check-fails: check nginx fails"]);
        let flaps = "check-flaps: check nginx keeps changing between passing and failing";
        assert_eq!(noted(CheckState::Up, true), [flaps]);
        assert_eq!(noted(CheckState::Down, true), [""; 0]);
        assert_eq!(noted(CheckState::Down, false), ["check-fails: check nginx fails"], "it does no more");
    }

    #[test]
    fn a_bystander_notes_who_is_active_now() {
        let seen = noted(&[
            &|g| active(g, Some("b"), Cause::HandoverComplete),
            &|g| active(g, None, Cause::HandoverComplete),
            &|g| active(g, Some("b"), Cause::Started),
            &|g| {
                active(g, Some("c"), Cause::Started);
                g.epoch = 5;
            },
            &|g| active(g, Some("a"), Cause::Confirmed),
        ]);
        assert_eq!(seen, ["moved: c is active (epoch 5), before it b"], "what this node did itself has its own entry");
    }

    #[test]
    fn a_repair_is_noted() {
        let havip = HavipSnapshot {
            id: "havip-x".to_owned(),
            address: None,
            present: None,
            holder: None,
            bound: vec![],
            read_ms: None,
            error: None,
            repairs: 0,
            repaired: None,
            contested: None,
        };
        let begins = |g: &mut GroupSnapshot| g.havips = vec![havip.clone()];
        let taken = |g: &mut GroupSnapshot| {
            g.havips[0].repairs += 1;
            let by = Some("i-x".to_owned());
            g.havips[0].repaired = Some(RepairsSnapshot { times: 1, over_ms: 0, ago_ms: 0, by });
        };
        let seen = noted(&[&begins, &taken, &|g| g.havips[0].repairs += 2]);
        assert_eq!(seen.len(), 2, "{seen:?}");
        assert!(seen[0].ends_with("of havip-x; last bound: i-x; put right once, 1 since the start"), "{seen:?}");
        assert!(
            seen[1].starts_with("repaired: ") && seen[1].ends_with("put right 2 times, 3 since the start"),
            "{seen:?}"
        );
    }

    #[test]
    fn drain_and_maintenance_are_noted_when_they_begin_and_end() {
        let seen = noted(&[
            &|g| g.drained = true,
            &|g| g.drained = false,
            &|g| (g.maintenance, g.maintenance_ends_ms) = (true, Some(7_199_500)),
            &|g| (g.maintenance, g.maintenance_ends_ms) = (false, None),
        ]);
        let causes: Vec<&str> = seen.iter().map(|line| line.split(':').next().expect("a cause")).collect();
        assert_eq!(causes, ["drained", "undrained", "maintenance-on", "maintenance-off"]);
        assert!(seen[2].contains("this node ends it in 7200 s"), "{seen:?}");
    }
}
