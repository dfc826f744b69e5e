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
use std::collections::BTreeMap;
use std::time::Duration;

/// What our own network showed of itself while a peer counted for nothing.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    /// Per peer that is silent, or isolated by its own word: when the cloud first answered during that.
    answered: BTreeMap<NodeIndex, Instant>,
    /// Per peer that is heard and says that it is isolated: since when we hear that.
    isolated: BTreeMap<NodeIndex, Instant>,
}

impl Group {
    /// Notes what the last reads say of our own network.
    pub(crate) fn note_reach(&mut self, step: &StepContext<'_>) {
        let answers: Vec<Option<Instant>> = self.reconcilers.iter().map(|l| l.answered_at).collect();
        let cut_off = answers.contains(&None);
        for peer in step.peers.iter() {
            let since = self.counts_for_nothing_since(step, peer);
            let kept = self.reach.answered.get(&peer.node).copied();
            let answered = kept.into_iter().chain(answers.iter().flatten().copied()).filter(|at| *at >= since).min();
            match answered {
                Some(at) if !cut_off => self.reach.answered.insert(peer.node, at),
                // An older answer is no answer during this silence; one that failed ends what it showed.
                _ => self.reach.answered.remove(&peer.node),
            };
        }
    }

    /// Since when a peer is silent, or is heard to be isolated. Its word counts from when it is heard, not from when
    /// it was meant: the first words after a network is back are older than the network.
    fn counts_for_nothing_since(&mut self, step: &StepContext<'_>, peer: &Peer) -> Instant {
        let silent = peer.session.suspected_at().filter(|at| *at <= step.now);
        let isolated = peer.entries.get(&self.tag).is_some_and(|e| e.flags.has(Flags::ISOLATED));
        if silent.is_some() || !isolated {
            self.reach.isolated.remove(&peer.node);
            return silent.unwrap_or(Instant::FAR_FUTURE);
        }
        *self.reach.isolated.entry(peer.node).or_insert(step.now)
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
        self.reach.answered.get(&node).map(|at| (*at + listened).max(peer.listened_from()))
    }
}
