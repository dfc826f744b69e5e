//! Arbiter `cloud`: whose silence counts as death.
//!
//! A node that was itself cut off, from its peers and from the cloud, hears nobody either. When its network
//! comes back, the cloud's answer may well be here before the first heartbeat; by that answer alone it would
//! take the address from a holder that is alive and well. So silence counts only if the cloud answered during
//! it and the peer was still not heard one suspicion later. In a real death that was long ago. And if this host's own
//! paths were out of order, once it has listened since (`paths`).

use super::group::Group;
use super::peer::Peer;
use super::step_context::StepContext;
use crate::model::ids::NodeIndex;
use crate::model::time::Instant;
use crate::wire::Flags;
use std::time::Duration;

impl Group {
    /// Notes what the last reads say of our own network.
    pub(crate) fn note_reach(&mut self, step: &StepContext<'_>) {
        let answers: Vec<Option<Instant>> = self.reconcilers.iter().map(|l| l.answered_at).collect();
        let cut_off = answers.contains(&None);
        let answers: Vec<Instant> = answers.into_iter().flatten().collect();
        for peer in step.peers.iter() {
            let since = self.counts_for_nothing_since(step, peer);
            self.reach.note(peer.node, since, &answers, cut_off);
        }
    }

    /// Since when a peer is silent, or is heard to be isolated. Its word counts from when it is heard, not from when
    /// it was meant: the first words after a network is back are older than the network.
    fn counts_for_nothing_since(&mut self, step: &StepContext<'_>, peer: &Peer) -> Instant {
        let silent = peer.session.suspected_at().filter(|at| *at <= step.now);
        let isolated = peer.entries.get(&self.tag).is_some_and(|e| e.flags.has(Flags::ISOLATED));
        if silent.is_some() || !isolated {
            self.reach.not_isolated(peer.node);
            return silent.unwrap_or(Instant::FAR_FUTURE);
        }
        self.reach.heard_isolated(peer.node, step.now)
    }

    /// From when the silence of `node` counts; `None` if the cloud has not answered during it.
    pub(crate) fn silence_counts(&self, step: &StepContext<'_>, node: NodeIndex) -> Option<Instant> {
        let peer = step.peers.of(node)?;
        let heard = peer.says(self.tag, step.now).is_some_and(|e| !e.flags.has(Flags::ISOLATED));
        if peer.gone || !peer.met || heard {
            // It says so itself; or it was never heard, which has a rule of its own.
            return Some(step.now);
        }
        let listened: Duration = peer.session.peer_interval().saturating_mul(3) / 2;
        self.reach.answered(node).map(|at| (at + listened).max(peer.listened_from()))
    }
}
