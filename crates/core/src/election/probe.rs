//! The fabric probe: who gets the packets of a HAVIP, as opposed to whom the cloud names.
//!
//! A node that does not serve the HAVIP sends an authenticated question to its address. The node
//! that receives it there answers with its name. The answer touches no session and no role; it dates the
//! first packet on a new holder, and during a hold-down it shows that the address is served.

use super::Core;
use super::group::fabric::OFTEN;
use crate::model::action::{Action, Actions};
use crate::model::role::Role;
use crate::model::tag::Tag;
use crate::model::time::Instant;
use crate::wire::Probe;
use crate::wire::heartbeat::encode_probe;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// For this long after a change.
const WATCHFUL: Duration = Duration::from_secs(60);

impl Core {
    /// Sends the questions that are due.
    pub(super) fn probe_due(&mut self, now: Instant, actions: &mut Actions) {
        if !self.config.heartbeat.fabric_probe {
            return;
        }
        for group in &mut self.groups {
            let settings = &self.config.groups[group.index.0];
            let member = settings.member(self.config.local).is_some_and(|m| !m.witness);
            let serves = matches!(group.role(), Role::Claiming | Role::Active | Role::Releasing);
            if !member || serves || settings.observe {
                group.fabric.rest(now);
                continue;
            }
            let watchful = group.superseded.held().is_some() || now.since(group.moved_at) < WATCHFUL;
            if let Some(until) = group.fabric.rests_until(now, watchful) {
                self.timers.wake(until);
                continue;
            }
            let every = if watchful { OFTEN } else { self.config.cloud.audit_interval };
            self.timers.wake(now + every);
            let mut nonce = [0; 16];
            self.jitter.fill(&mut nonce);
            group.fabric.ask(nonce, now + every);
            let address = |(h, l): (&crate::model::settings::Havip, &crate::reconcile::HavipReconciler)| {
                l.address.ip.filter(|_| l.address.wanted).map(|ip| (Tag::havip(&h.id), ip))
            };
            let Some((havip, ip)) = settings.havips.iter().zip(group.reconcilers.iter()).find_map(address) else {
                continue;
            };
            let probe = Probe {
                key: self.config.heartbeat.send_key,
                sender: self.peers.me(),
                receiver: Tag::NONE,
                nonce,
                havip,
                node: Tag::NONE,
            };
            if let Ok(bytes) = encode_probe(&probe, false, &self.keys, &self.config.cluster) {
                let to = SocketAddr::new(IpAddr::V4(ip), self.config.heartbeat.port);
                actions.push(Action::SendDatagram { path: 0, to, bytes, until: Instant::FAR_FUTURE });
            }
        }
    }

    /// An answer: believed only with the nonce of the last question.
    pub(super) fn probe_answered(&mut self, now: Instant, probe: &Probe, actions: &mut Actions) {
        self.traced(now, probe, actions);
        let Some(node) = self.peers.by_tag(probe.node) else { return };
        let Some((index, _)) = self.havips_by_tag.get(&probe.havip).copied() else { return };
        self.one_group(now, index, actions, |group, step| {
            if !group.fabric.note_answer(probe.nonce, node, step.now) {
                return;
            }
            let settings = group.settings(step);
            group.superseded.still_served(step, settings);
        });
    }
}
