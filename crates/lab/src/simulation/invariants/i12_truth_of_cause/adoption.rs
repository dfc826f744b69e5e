//! For how long a voter may be taking over a file that is new to it, by what the world knows.
//!
//! A voter grants nothing fresh meanwhile, so it excuses a holder that loses its lease. Its own word for it would excuse an
//! adoption that never ends.

use super::Case;
use havipd_core::model::settings::Config;
use havipd_core::model::time::Instant;
use std::time::Duration;

/// Intervals without a word of a node after which it is not taken to be heard.
const GAP: u32 = 3;

impl Case<'_> {
    /// Whether a voter that has taken a file may not be done with it: all that this needs is there since a moment, and that is
    /// not long ago. It hears the others with that file for a dead time; what they granted to nodes that are gone runs out; then
    /// it holds back for the longest lease of its files. Two dead times more are for being asked, and for an answer.
    pub(super) fn may_adopt(&self, voter: usize) -> bool {
        let Some(since) = self.nothing_in_the_way_since(voter) else { return true };
        let (now, host) = (self.world.now, &self.world.hosts[voter]);
        let facts = self.world.facts.host(voter);
        let files = || facts.files_before.iter().chain([&host.config]);
        let dead_time = files().map(|file| file.heartbeat.dead_time()).max().unwrap_or_default();
        let lease = |file: &Config| file.groups[self.group].keep_for.max(file.heartbeat.dead_time());
        let lease = files().map(|file| lease(file)).max().unwrap_or_default();
        // By its own clocks, which run apart by a per cent, and stand while its guest is frozen.
        let long: Duration = (dead_time * 3 + lease * 2) * 102 / 100 + facts.frozen_for(now, now.since(since));
        now.since(since) < long
    }

    /// Since when a voter hears every node that runs, all with its own file, and these are most of the voters of each file that it
    /// had before; `None` if that is not so.
    fn nothing_in_the_way_since(&self, voter: usize) -> Option<Instant> {
        let (world, own) = (self.world, self.world.facts.host(voter));
        let digest = Some(world.hosts[voter].digest);
        let stood = own.stood.iter().map(|s| s.until).max();
        let started = world.hosts[voter].process.as_ref()?.started;
        let mut since = started.max(own.digest_set?).max(own.state_read.max(stood).unwrap_or_default());
        for other in (0..world.nodes()).filter(|n| *n != voter && self.runs(*n)) {
            let last = world.facts.heard(voter, other).last.as_ref()?;
            let heard = last.run == world.hosts[other].starts && world.now.since(last.at) <= last.stated.interval * GAP;
            if !heard || last.stated.digest != digest {
                return None;
            }
            since = since.max(last.unbroken).max(world.facts.host(other).digest_set.unwrap_or_default());
        }
        own.files_before.iter().all(|file| self.most_run(file)).then_some(since)
    }

    fn runs(&self, node: usize) -> bool {
        self.world.hosts[node].process.is_some()
    }

    /// Whether most of a file's voters run.
    fn most_run(&self, file: &Config) -> bool {
        let voters = &file.groups[self.group].members;
        let place = |name: &str| self.world.scenario.cluster.position(name);
        let run = voters.iter().filter(|m| place(file.node(m.node).name.as_str()).is_some_and(|n| self.runs(n)));
        run.count() * 2 > voters.len()
    }
}
