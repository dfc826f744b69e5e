//! Which file a voter last ran together with most of the others.
//!
//! Two files can each have a majority of their own voters: {a, b} of three, and {c, d, e} of five. So a voter
//! keeps the digest, and the voters, that it last agreed on with the others. Under another digest it gives nothing
//! fresh until most of *those* voters were heard with that digest, too, and voting for nobody who has another: from
//! then on the file before has no majority. In maintenance a voter with the new file goes on renewing what a holder
//! with the old one has, so the new digest alone does not say so.
//! ⚠ What those voters gave by the file before lasts on: only once it has run out does this one give anything fresh.
//! Who replaces most of the voters has to have all of the new ones running, and sees to it that the old ones do not.

use super::group::Group;
use super::turn::Turn;
use crate::config::model::Arbiter;
use crate::ids::NodeIndex;
use serde::{Deserialize, Serialize};

/// What the voters agreed on last, as far as this one knows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Settled {
    /// Of the file.
    #[serde(with = "hex::serde")]
    digest: [u8; 16],
    /// Names of the voters.
    voters: Vec<String>,
}

impl Group {
    /// Compares the file in force with the one that was agreed on, and takes it over once most of the voters have it.
    pub(super) fn settle_digest(&mut self, turn: &mut Turn<'_>) {
        let (settings, config) = (self.settings(turn), turn.config);
        if settings.arbiter != Arbiter::Majority {
            self.unsettled = None;
            return;
        }
        let digest = turn.digest.0;
        self.unsettled = match &self.kept.settled {
            Some(settled) if settled.digest == digest => None,
            Some(Settled { voters: before, .. }) => {
                let with = before.iter().filter_map(|name| config.node_named(name));
                let with = with.filter(|n| self.went_over(turn, *n)).count();
                let all = settings.members.iter().all(|m| self.went_over(turn, m.node));
                (with * 2 <= before.len() && !all).then(|| {
                    let count = before.len();
                    format!(
                        "this file has other voters, arbiter, HAVIPs or bindings than before, and {with} of the \
                         {count} voters of before run with it, for a dead time, and vote for nobody else; make the \
                         files equal"
                    )
                })
            }
            None => None,
        };
        if self.unsettled.is_none() && self.kept.settled.as_ref().is_none_or(|s| s.digest != digest) {
            if self.kept.settled.is_some() {
                let lease = settings.keep_for.max(turn.config.heartbeat.dead_time());
                self.voter.hold_back(turn.now, lease);
            }
            let voters = settings.members.iter().map(|m| turn.config.node(m.node).name.to_string()).collect();
            self.kept.settled = Some(Settled { digest, voters });
            *turn.persist = true;
        }
    }

    /// Whether a voter has left the file before: it runs with ours, and votes for nobody who runs with another.
    fn went_over(&self, turn: &mut Turn<'_>, voter: NodeIndex) -> bool {
        let (ours, local) = (Some(turn.digest), turn.config.local);
        let with_ours = |n: NodeIndex| n == local || turn.peers.of(n).is_some_and(|p| p.digest == ours);
        if voter == local {
            return self.voter.stands_behind(turn.now).is_none_or(with_ours);
        }
        let Some(peer) = turn.peers.of(voter).filter(|p| p.met && p.digest == ours) else { return false };
        let given = peer.entries.get(&self.tag).and_then(|e| e.grant.as_ref());
        let node = |tag| if tag == turn.peers.me() { Some(local) } else { turn.peers.by_tag(tag) };
        // Right after its start it may not have been asked yet for what it gave before.
        given.is_none_or(|g| node(g.node).is_some_and(with_ours)) && turn.due(peer.digest_since + turn.dead_time())
    }

    /// Whether this node, as a voter, gives nothing but renewals.
    pub(super) fn only_renews(&self) -> bool {
        self.maintained() || self.unsettled.is_some()
    }

    /// What stands against ending maintenance, in words: nodes that run with other voters, arbiter, HAVIPs or bindings.
    pub(super) fn differs(&self, turn: &Turn<'_>) -> Option<String> {
        self.mismatch(turn).or_else(|| self.unsettled.clone())
    }

    /// The number of maintenance that others may go by. ⚠ That it is off is for the file that it was said with.
    pub(super) fn maintenance_said(&self) -> u32 {
        if self.unsettled.is_some() && !self.maintained() { 0 } else { self.kept.maintenance }
    }
}
