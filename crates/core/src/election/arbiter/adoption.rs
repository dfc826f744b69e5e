//! Which file a voter last ran together with most of the others.
//!
//! Two files can each have a majority of their own voters: {a, b} of three, and {c, d, e} of five. So a voter
//! keeps the digest, and the voters, that it last agreed on with the others. Under another digest it gives nothing
//! fresh until most of *those* voters were heard with that digest, too, and voting for nobody who has another: from
//! then on the file before has no majority. In maintenance a voter with the new file goes on renewing what a holder
//! with the old one has, so the new digest alone does not say so.
//! ⚠ What those voters gave by the file before lasts on: only once it has run out does this one give anything fresh,
//! and only then is the new file the one that was agreed on.
//! Who replaces most of the voters has to have all of the new ones running, and sees to it that the old ones do not.
//!
//! Interval and leases are part of the digest. Until maintenance is over nodes with the new file go by those of the file
//! before: a lease of another length would be refused by, or renewed too rarely by, voters that have yet to get it.

use crate::election::group::Group;
use crate::election::step_context::StepContext;
use crate::model::adopted::{Adopted, Pace};
use crate::model::digest::Digest;
use crate::model::ids::NodeIndex;
use crate::model::settings::Config;
use std::time::Duration;

impl Group {
    /// Compares the file in force with the one that was agreed on, and takes it over once most of the voters have it.
    pub(in crate::election) fn adopt_digest(&mut self, step: &mut StepContext<'_>) {
        let (settings, config) = (self.settings(step), step.config);
        if !settings.arbiter.grants_leases() {
            self.adoption.waits_no_more();
            return;
        }
        let waits = match self.adoption.to_follow(step.digest) {
            Some(Adopted { voters: before, .. }) => {
                let with = before.iter().filter_map(|name| config.node_named(name));
                let with = with.filter(|n| self.has_adopted(step, *n)).count();
                let all = settings.members.iter().all(|m| self.has_adopted(step, m.node));
                (with * 2 <= before.len() && !all).then(|| {
                    let count = before.len();
                    format!(
                        "this file has other timing, voters, arbiter, HAVIPs or bindings than before, and {with} of the \
                         {count} voters of before run with it, for a dead time, and vote for nobody else; make the \
                         files equal"
                    )
                })
            }
            None => None,
        };
        if !self.adoption.proceeds(waits, step.digest) {
            return;
        }
        let pace = Pace::of(config, settings);
        if let Some(longest) = self.adoption.agreed().map(|before| before.longest(pace)) {
            if self.adoption.begin(step.digest) {
                self.voter.hold_back(step.now + longest);
            }
            // A start before then is to wait as long again.
            if self.maintained() || self.voter.quarantined(step.now) {
                return;
            }
        }
        let voters = settings.members.iter().map(|m| config.node(m.node).name.to_string()).collect();
        self.adoption.adopt(Adopted { digest: step.digest.0, voters, pace: Some(pace) });
        *step.persist = true;
    }

    /// What this node goes by while others may have the file before: the pace of that one.
    pub(crate) fn pace(&self, config: &Config, digest: Digest) -> Pace {
        let settings = &config.groups[self.index.0];
        let changing = self.maintained() || self.adoption.waits().is_some();
        let of_before = self.adopted_before(digest).filter(|_| changing && settings.arbiter.grants_leases());
        of_before.and_then(Adopted::pace).unwrap_or(Pace::of(config, settings))
    }

    /// The file that was agreed on, if ours is another one.
    pub(crate) fn adopted_before(&self, digest: Digest) -> Option<&Adopted> {
        self.adoption.before(digest)
    }

    /// ⚠ The longest lease that this voter gives or gave: none is longer than a file of its own says, so after a crash
    /// it knows how long to wait.
    pub(crate) fn longest_lease(&self, config: &Config, digest: Digest) -> Duration {
        let ours = Pace::of(config, &config.groups[self.index.0]);
        self.adopted_before(digest).map_or(ours.longest(), |before| before.longest(ours))
    }

    /// Whether a voter has left the file before: it runs with ours, and votes for nobody who runs with another.
    fn has_adopted(&self, step: &mut StepContext<'_>, voter: NodeIndex) -> bool {
        let (ours, local) = (Some(step.digest), step.config.local);
        let with_ours = |n: NodeIndex| n == local || step.peers.of(n).is_some_and(|p| p.digest == ours);
        if voter == local {
            return self.voter.votes_for(step.now).is_none_or(with_ours);
        }
        let Some(peer) = step.peers.of(voter).filter(|p| p.met && p.digest == ours) else { return false };
        let given = peer.entries.get(&self.tag).and_then(|e| e.grant.as_ref());
        let node = |tag| if tag == step.peers.me() { Some(local) } else { step.peers.by_tag(tag) };
        // Right after its start it may not have been asked yet for what it gave before.
        given.is_none_or(|g| node(g.node).is_some_and(with_ours)) && step.due(peer.digest_since + step.dead_time())
    }

    /// Whether this node, as a voter, gives more than renewals to a node with its file that leads already, or does not.
    ///
    /// In maintenance nobody comes to lead. ⚠ But the node that leads may need this vote, which it had not until now, or which has run
    /// out: the next fault would cost its lease. It has a majority without it, so no second one begins with it. (I1, I12;
    /// `maintenance::a_free_voter_votes_for_who_leads`)
    pub(in crate::election) fn grants_afresh(&self, leads: bool) -> bool {
        self.adoption.waits().is_none() && (leads || !self.maintained())
    }

    /// What stands against ending maintenance, in words: nodes that run with other timing, voters, arbiter, HAVIPs or
    /// bindings.
    pub(in crate::election) fn differs(&self, step: &StepContext<'_>) -> Option<String> {
        self.mismatch(step).or_else(|| self.adoption.waits().cloned())
    }

    /// The number of maintenance that others may go by. ⚠ That it is off is for the file that it was said with.
    pub(in crate::election) fn maintenance_said(&self) -> u32 {
        if self.adoption.waits().is_some() && !self.maintained() { 0 } else { self.maintenance.number() }
    }
}
