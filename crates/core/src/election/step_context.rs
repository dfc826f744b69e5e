//! One step of the core: the facts that every part may read and the lists that it may add to.

use super::peer::Peers;
use crate::model::action::Actions;
use crate::model::digest::Digest;
use crate::model::ids::{BootId, NodeIndex, OperationId, Target};
use crate::model::settings::Config;
use crate::model::step::{Jitter, Operations, ReconcileContext};
use crate::model::time::Instant;
use crate::model::timer::Timers;
use std::time::Duration;

/// What a part of the core sees and may do during one event.
#[derive(Debug)]
pub(crate) struct StepContext<'a> {
    /// The instant of the event.
    pub(crate) now: Instant,
    pub(crate) config: &'a Config,
    /// Of our configuration.
    pub(crate) digest: Digest,
    /// Our current start.
    pub(crate) boot: BootId,
    /// When the daemon started.
    pub(crate) started: Instant,
    /// Nothing is claimed before this instant (after a pause of this host).
    pub(crate) claims_from: Instant,
    /// Nor under a lease before this one, which is no earlier (by what the peers' clocks say of ours).
    pub(crate) leases_from: Instant,
    /// Effects need a step of the effects side before this instant.
    pub(crate) alive_until: Instant,
    pub(crate) peers: &'a Peers,
    /// What this node is to the cloud.
    pub(crate) identity: Option<&'a Target>,
    /// How this machine is another one than this node is to the cloud, if it is.
    pub(crate) wrong_host: Option<&'a str>,
    /// No heartbeat address of this node is on this host.
    pub(crate) unbound: bool,
    /// Whether this process is leaving.
    pub(crate) stopping: bool,
    /// Until when another machine counts as running with our state.
    pub(crate) cloned_until: Instant,
    pub(crate) ops: &'a mut Operations,
    pub(crate) jitter: &'a mut Jitter,
    pub(crate) out: &'a mut Actions,
    pub(crate) timers: &'a mut Timers,
    /// Set when peers must hear of a change at once.
    pub(crate) changed: &'a mut bool,
    /// Set when the state file must be written.
    pub(crate) persist: &'a mut bool,
}

impl<'a> StepContext<'a> {
    /// What of it the reconciler sees: neither peers nor what they are told.
    pub(crate) fn context(&mut self) -> ReconcileContext<'_> {
        ReconcileContext {
            now: self.now,
            config: self.config,
            boot: self.boot,
            identity: self.identity,
            ops: self.ops,
            jitter: self.jitter,
            out: self.out,
            timers: self.timers,
            persist: self.persist,
        }
    }

    /// Asks for another step at `at`.
    pub(crate) fn wake(&mut self, at: Instant) {
        if at > self.now {
            self.timers.wake(at);
        }
    }

    /// Whether `at` has come; if not, asks for a step when it does.
    pub(crate) fn due(&mut self, at: Instant) -> bool {
        self.timers.due(self.now, at)
    }

    /// A new operation number.
    pub(crate) fn operation(&mut self) -> OperationId {
        self.ops.next()
    }

    /// `span`, made longer or shorter by up to a fifth.
    pub(crate) fn jittered(&mut self, span: Duration) -> Duration {
        self.jitter.around(span)
    }

    /// A random part of `span`.
    pub(crate) fn part_of(&mut self, span: Duration) -> Duration {
        self.jitter.part_of(span)
    }

    /// Our own dead time, which is also the lease that we ask for.
    pub(crate) fn dead_time(&self) -> Duration {
        self.config.heartbeat.dead_time()
    }

    /// The target of a node: ours, what it said itself, or what the file says.
    pub(crate) fn target_of(&self, node: NodeIndex) -> Option<&'a Target> {
        if node == self.config.local {
            return self.identity;
        }
        let said = self.peers.of(node).and_then(|p| p.target.as_ref());
        said.or(self.config.node(node).target.as_ref())
    }
}
