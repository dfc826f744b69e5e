//! Who could take a group over, and why the others could not: what a planned move, `status --check` and `doctor`
//! all ask. Nothing here decides a claim.

use super::Core;
use super::group::Group;
use super::peer::Peers;
use crate::model::digest::Digest;
use crate::model::ids::NodeIndex;
use crate::model::plural::are;
use crate::model::role::{Cause, Role};
use crate::model::settings::Group as Settings;
use crate::model::tag::Tag;
use crate::model::time::Instant;
use crate::status::{MemberSnapshot, Reported, Unfit};
use crate::wire::Flags;
use crate::wire::session::SessionState;
use std::cmp::Reverse;
use std::fmt;

/// Whether `node`, another one than this, could take a group over now; if not, why.
pub(crate) fn unfit(
    peers: &Peers,
    now: Instant,
    digest: Digest,
    settings: &Settings,
    tag: Tag,
    node: NodeIndex,
) -> Option<Unfit> {
    let (Some(member), Some(peer)) = (settings.member(node), peers.of(node)) else { return Some(Unfit::NotMember) };
    if member.witness {
        return Some(Unfit::Witness);
    }
    match peer.session.state(now) {
        _ if peer.gone => return Some(Unfit::Leaving),
        _ if peer.returning(now) => return Some(Unfit::Restarting),
        SessionState::Down | SessionState::Unproven => return Some(Unfit::Silent),
        SessionState::OneWay => return Some(Unfit::OneWay),
        SessionState::Up => {}
    }
    let Some(entry) = peer.says(tag, now) else { return Some(Unfit::Unknown) };
    match () {
        () if entry.flags.has(Flags::ELIGIBLE) => None,
        () if entry.flags.has(Flags::DRAINED) => Some(Unfit::Drained),
        () if peer.digest.is_some_and(|d| d != digest) => Some(Unfit::OtherConfiguration),
        () if entry.flags.has(Flags::FAILING) => Some(Unfit::CheckFailed),
        () if entry.flags.has(Flags::UNABLE) && entry.flags.has(Flags::GATE_FAILED) => Some(Unfit::GateFailed),
        () if entry.flags.has(Flags::UNABLE) => Some(Unfit::ClaimFailed),
        () if entry.role == Role::Fault => Some(Unfit::Fault),
        () if entry.flags.has(Flags::ISOLATED) => Some(Unfit::Isolated),
        () if entry.flags.has(Flags::UNDECIDED) => Some(Unfit::CheckUndecided),
        () => Some(Unfit::NotYet),
    }
}

/// The same in words, with the checks that say so.
pub(crate) fn unfit_in_words(
    peers: &Peers,
    now: Instant,
    digest: Digest,
    settings: &Settings,
    tag: Tag,
    node: NodeIndex,
) -> Option<String> {
    let unfit = Reported::from(unfit(peers, now, digest, settings, tag, node)?);
    let told = peers.of(node).and_then(|p| p.says(tag, now)?.checks.as_deref());
    Some(told.map_or_else(|| unfit.to_string(), |told| unfit.in_words(&told.named, told.more)))
}

/// Why nobody else could take a group over, in words: `nobody can take web over: b is drained, w is a witness`.
pub(crate) fn nobody<'a>(group: &str, others: impl Iterator<Item = (&'a str, impl fmt::Display)>) -> String {
    let others: Vec<String> = others.map(|(node, unfit)| format!("{node} {unfit}")).collect();
    match others.as_slice() {
        [] => format!("nobody can take {group} over: it has no other member"),
        others => format!("nobody can take {group} over: {}", others.join(", ")),
    }
}

impl Core {
    /// The members of a group, those that go first in rank first.
    pub(super) fn members_snapshot(&self, g: &Group, now: Instant) -> Vec<MemberSnapshot> {
        let settings = &self.config.groups[g.index.0];
        let mut members: Vec<MemberSnapshot> = settings
            .members
            .iter()
            .map(|m| {
                let configured = i32::from(m.priority);
                let here = m.node == self.config.local;
                let said = self.peers.of(m.node).and_then(|p| p.says(g.tag, now));
                let told = said.and_then(|entry| entry.checks.as_deref());
                MemberSnapshot {
                    node: self.config.node(m.node).name.to_string(),
                    witness: m.witness,
                    role: if here { Some(g.role()) } else { said.map(|e| e.role) },
                    priority: match said {
                        _ if here => (configured + i32::from(g.health.weight)).clamp(1, 254),
                        Some(entry) => i32::from(entry.effective),
                        None => configured,
                    },
                    unfit: match here {
                        true => self.unfit_here(g, m.witness, now),
                        false => unfit(&self.peers, now, self.digest, settings, g.tag, m.node),
                    }
                    .map(Reported::from),
                    checks: match told {
                        _ if here => g.check_notes.to_vec(),
                        Some(told) => told.named.clone(),
                        None => Vec::new(),
                    },
                    more_checks: told.filter(|_| !here).map_or(0, |told| told.more),
                }
            })
            .collect();
        members
            .sort_by(|a, b| (a.witness, Reverse(a.priority), &a.node).cmp(&(b.witness, Reverse(b.priority), &b.node)));
        members
    }

    fn unfit_here(&self, g: &Group, witness: bool, now: Instant) -> Option<Unfit> {
        match g.eligibility.fault() {
            _ if witness => Some(Unfit::Witness),
            _ if self.stopping || g.leave.is_done() => Some(Unfit::Leaving),
            _ if g.is_drained() => Some(Unfit::Drained),
            Some((Cause::ConfigMismatch, _)) => Some(Unfit::OtherConfiguration),
            Some((Cause::CheckFailed, _)) => Some(Unfit::CheckFailed),
            Some(_) if g.backoff.waits_for_gate(now) => Some(Unfit::GateFailed),
            Some(_) if g.backoff.claim_until(now).is_some() => Some(Unfit::ClaimFailed),
            Some(_) => Some(Unfit::Fault),
            None if g.health.undecided && !g.role().has_leadership() => Some(Unfit::CheckUndecided),
            None if g.eligibility.since().is_none() && !g.role().has_leadership() => Some(Unfit::NotYet),
            None => None,
        }
    }

    /// Why nobody would take over if `active` failed now, in words. Nothing where somebody else elects, or where the file
    /// names no second node.
    pub(super) fn no_failover(
        &self,
        g: &Group,
        members: &[MemberSnapshot],
        active: &str,
        now: Instant,
    ) -> Option<String> {
        let settings = &self.config.groups[g.index.0];
        let one = members.iter().filter(|m| !m.witness).count() < 2;
        if one || settings.arbiter.is_external() || settings.member(self.config.local).is_none() {
            return None;
        }
        let others = members.iter().filter(|m| m.node != active);
        if others.clone().all(|m| m.unfit.is_some()) {
            let others = others.filter_map(|m| Some((m.node.as_str(), m.unfit_in_words()?)));
            return Some(nobody(settings.name.as_str(), others));
        }
        let votes = |n: NodeIndex| n == self.config.local || self.peers.of(n).is_some_and(|p| p.up(now));
        let voters = settings.members.len();
        let left = settings
            .members
            .iter()
            .filter(|m| self.config.node(m.node).name.as_str() != active && votes(m.node))
            .count();
        (settings.arbiter.grants_leases() && left * 2 <= voters).then(|| {
            format!(
                "without {active} only {left} of {voters} nodes {} left, which is no majority: nobody could take over",
                are(left)
            )
        })
    }
}
