//! Which file a voter last ran together with most of the others.
//!
//! Two files can each have a majority of their own voters: {a, b} of three, and {c, d, e} of five. So a voter
//! keeps the digest, and the voters, that it last agreed on with the others. Under another digest it gives nothing
//! fresh until most of *those* voters were heard with that digest, too: from then on the file before has no majority.
//! ⚠ What those voters gave by the file before lasts on: only once it has run out does this one give anything fresh.
//! Who replaces most of the voters has to have all of the new ones running, and sees to it that the old ones do not.

use super::group::Group;
use super::turn::Turn;
use crate::config::model::Arbiter;
use serde::{Deserialize, Serialize};

/// What the voters agreed on last, as far as this one knows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Settled {
    #[serde(with = "hex::serde")]
    digest: [u8; 16],
    /// Names of the voters.
    voters: Vec<String>,
}

impl Group {
    /// Compares the file in force with the one that was agreed on, and takes it over once most of the voters have it.
    pub(super) fn settle_digest(&mut self, turn: &mut Turn<'_>) {
        let settings = self.settings(turn);
        if settings.arbiter != Arbiter::Majority {
            self.unsettled = None;
            return;
        }
        let digest = turn.digest.0;
        let heard = |name: &str| {
            let node = turn.config.node_named(name);
            let peer = |n| turn.peers.of(n).is_some_and(|p| p.met && p.digest == Some(turn.digest));
            node.is_some_and(|n| n == turn.config.local || peer(n))
        };
        self.unsettled = match &self.kept.settled {
            Some(settled) if settled.digest == digest => None,
            Some(Settled { voters: before, .. }) => {
                let with = before.iter().filter(|name| heard(name)).count();
                let all = settings.members.iter().all(|m| heard(turn.config.node(m.node).name.as_str()));
                (with * 2 <= before.len() && !all).then(|| {
                    let count = before.len();
                    format!(
                        "this file has other voters, arbiter, HAVIPs or bindings than before, and {with} of the \
                             {count} voters of before run with it; make the files equal"
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
