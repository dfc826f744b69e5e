//! Causes that rest on what happened to this host, or on what keepalived and operators said to its daemon.

use super::super::super::host::AddressStuck;
use super::{Case, Untrue};
use havipd_core::model::role::Cause;
use havipd_core::model::vrrp::State;
use std::time::Duration;

/// As long as a node remembers a peer's uptimes, and a little more.
const UPTIMES: Duration = Duration::from_secs(420);
/// The least difference of two clock rates that is a fault, in millionths.
const RATES_APART: i64 = 10_000;

impl Case<'_> {
    /// This host stood still, its effects side did, or its clock runs at a rate of its own.
    pub(super) fn away(&self) -> Result<(), Untrue> {
        let (world, facts, dead_time) = (self.world, self.facts(), self.dead_time());
        let recent = dead_time * 2 + Duration::from_secs(1);
        // Its last turn may be an interval older, and the last progress of the effects side a quarter of the dead time.
        let stood = facts.stood_for(world.now, recent) + facts.stuck_for(world.now, recent);
        let stood = stood + dead_time / 4 + world.hosts[self.host].config.heartbeat.interval >= dead_time;
        let frozen = !facts.frozen_for(world.now, UPTIMES).is_zero();
        let ppm = |h: usize| world.hosts[h].clock.ppm();
        let apart = (0..world.nodes()).any(|p| (ppm(p) - ppm(self.host)).abs() >= RATES_APART);
        self.only(stood || frozen || apart, "this host ran all the time, and its clock with the others")
    }

    /// Nothing could be put on it; for a while after that others go first.
    pub(super) fn address_failed(&self) -> Result<(), Untrue> {
        let stuck: Option<AddressStuck> = self.world.hosts[self.host].address_stuck;
        let was = stuck.is_some() || self.facts().address_stuck.is_some();
        self.only(was, "every address could be put on it")
    }

    pub(super) fn no_identity(&self) -> Result<(), Untrue> {
        let known = self.world.hosts[self.host].config.local_node().target.is_some() || self.facts().identity;
        self.only(!known, "it was told its own target")
    }

    /// What it was in fault for is over.
    pub(super) fn recovered(&self) -> Result<(), Untrue> {
        let facts = self.facts();
        match self.fault {
            Some(Cause::LinkDown) => self.only(!self.link_down(), "its interface is down"),
            Some(Cause::CheckFailed) => self.only(!facts.check_failed, "a check of it fails"),
            // In maintenance nobody follows keepalived.
            Some(Cause::VrrpFault) if self.maintained() => Ok(()),
            Some(Cause::VrrpFault) => self.vrrp(|s| matches!(s, State::Master | State::Backup)),
            _ => Ok(()),
        }
    }

    pub(super) fn link_down(&self) -> bool {
        self.facts().links_down.contains(&self.group)
    }

    pub(super) fn maintained(&self) -> bool {
        self.world.maintains(self.host, self.group)
    }

    /// keepalived's last word to this run is such a state.
    pub(super) fn vrrp(&self, is: impl Fn(State) -> bool) -> Result<(), Untrue> {
        let state = self.facts().vrrp[self.group];
        match state.is_some_and(is) {
            true => Ok(()),
            false => Err(format!("keepalived told it {}", state.map_or("nothing", State::as_str))),
        }
    }

    /// An operator asked for it.
    pub(super) fn switchover(&self) -> Result<(), Untrue> {
        let long = self.dead_time() * 2 + Duration::from_secs(2);
        let asked = |h: usize| {
            let at = self.world.facts.host(h).switchover[self.group];
            at.is_some_and(|at| self.world.now.since(at) < long)
        };
        self.only((0..self.world.nodes()).any(asked), "no operator asked for it")
    }
}
