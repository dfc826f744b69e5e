//! The cases. Each begins with both groups at rest and asserts facts, never speed.

mod address;
mod api;
mod checks;
mod drill;
mod groups;
mod large;
mod leaving;
mod moves;
mod partitions;
mod unwinnable;

use crate::fabric::Havip;
use crate::lab::{Lab, Mark, Settled};
use crate::network::Node;
use crate::report::Findings;
use havipd_lab::simulation::cloud::Profile;
use std::time::Duration;

/// A case under way: the lab, and where to put figures.
#[derive(Debug)]
pub(crate) struct Scene<'l> {
    pub(crate) lab: &'l mut Lab,
    pub(crate) findings: &'l mut Findings,
}

/// A case: its name, and what it does.
pub(crate) type Case = (&'static str, fn(&mut Scene<'_>) -> Result<(), String>);

/// Whether the cases that want a machine to themselves are to be tried: `HAVIPD_LAB_GROUPS` says with how many groups.
fn asked() -> bool {
    std::env::var_os("HAVIPD_LAB_GROUPS").is_some()
}

/// Every case that makes sense under `profile`.
pub(crate) fn cases(profile: &Profile) -> Vec<Case> {
    if !profile.winnable() {
        return unwinnable::CASES.to_vec();
    }
    let mut all = [moves::CASES, leaving::CASES, partitions::CASES, address::CASES, api::CASES].concat();
    all.extend(api::cases(profile));
    all.extend(drill::cases(profile));
    all.extend(checks::cases(profile));
    all.extend(groups::cases(profile));
    all.extend(large::cases(profile));
    all
}

impl Scene<'_> {
    /// Holds a stretch of the record against what must have happened in it: the group went from
    /// `from` to where it is now by one term, and packets went nowhere else.
    fn moved_once(&self, havip: Havip, from: Node, since: Mark, now: Settled) -> Result<(), String> {
        if now.node == from {
            return Err(format!("the group stayed on {}\n{}", from.name(), self.lab.story(havip)));
        }
        let terms = self.lab.terms_since(havip, since.at);
        let answered = self.lab.probe.answerers(havip, since.datagram..now.datagram + 1);
        if terms != [now.node] || answered.iter().any(|n| *n != from && *n != now.node) {
            return Err(format!("active became {terms:?}, answers came from {answered:?}\n{}", self.lab.story(havip)));
        }
        Ok(())
    }

    /// The same of a group that must not have moved.
    fn stayed(&self, havip: Havip, at: Node, since: Mark, now: Settled) -> Result<(), String> {
        let terms = self.lab.terms_since(havip, since.at);
        let answered = self.lab.probe.answerers(havip, since.datagram..now.datagram + 1);
        if now.node != at || !terms.is_empty() || answered != [at] {
            return Err(format!("active became {terms:?}, answers came from {answered:?}\n{}", self.lab.story(havip)));
        }
        Ok(())
    }

    /// Whether the node that is active now began its claim for one of these reasons.
    fn claimed_because(&self, havip: Havip, since: Mark, now: Settled, causes: &[&str]) -> Result<(), String> {
        let changes = self.lab.changes_since(havip, since.at);
        let claim = changes.iter().rev().find(|c| c.node == now.node && c.to == "claiming");
        match claim {
            Some(claim) if causes.contains(&claim.cause.as_str()) => Ok(()),
            other => Err(format!("claimed because of {:?}, not {causes:?}", other.map(|c| &c.cause))),
        }
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
