//! Who is bound to one HAVIP, who is its master, and how that changes.
//!
//! Refusals are errors without a documented code (none is published for HAVIPs), so their codes
//! are made up here; a client must not depend on them.

use super::objects::BoundTarget;
use super::profile::{Announcements, OnAttach, Profile, Reattach, Succession};
use super::request::ErrorReply;
use havipd_core::model::time::Instant;
use std::collections::VecDeque;

/// Targets that one HAVIP may have, and one call may name.
pub const BOUND_MAX: usize = 5;

/// The bound list with who has the address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Binding {
    /// In the order in which they were bound.
    pub(super) bound: Vec<BoundTarget>,
    /// Whom the control plane names; always one of the bound.
    pub(super) master: Option<String>,
    /// Whom the fabric sends packets to; another than `master` only after a theft by ARP.
    pub(super) port: Option<String>,
}

fn refused(code: &str, message: String) -> ErrorReply {
    ErrorReply::new(400, code, &message)
}

impl Binding {
    pub(super) fn binds(&self, id: &str) -> bool {
        self.bound.iter().any(|b| b.id == id)
    }

    fn set_master(&mut self, master: Option<String>) {
        if self.master == master {
            return;
        }
        if master.is_some() || self.port == self.master {
            self.port.clone_from(&master);
        }
        self.master = master;
    }

    /// Binds `targets`, all or none.
    pub(super) fn attach(&mut self, profile: &Profile, targets: &[BoundTarget]) -> Result<(), ErrorReply> {
        let mut next = self.clone();
        for target in targets {
            next.attach_one(profile, target)?;
        }
        *self = next;
        Ok(())
    }

    fn attach_one(&mut self, profile: &Profile, target: &BoundTarget) -> Result<(), ErrorReply> {
        if self.binds(&target.id) {
            match profile.reattach {
                Reattach::NoOp => return Ok(()),
                Reattach::Refused => {
                    return Err(refused("InstanceAlreadyBound", format!("{} is bound already", target.id)));
                }
                Reattach::Again => {}
            }
        } else {
            if let Some(other) = self.bound.iter().find(|b| !profile.mixing && b.kind != target.kind) {
                let text = format!("{} is bound as {}", other.id, other.kind.api_type());
                return Err(refused("InstanceTypeMismatch", text));
            }
            if self.bound.len() >= BOUND_MAX {
                return Err(refused("QuotaLimitExceeded", format!("no more than {BOUND_MAX} can be bound")));
            }
            self.bound.push(target.clone());
        }
        let takes_over = match profile.on_attach {
            OnAttach::LastTakesOver => self.bound.len() > 1 || profile.lone_is_master,
            OnAttach::FirstStays => self.master.is_none() && (self.bound.len() > 1 || profile.lone_is_master),
            OnAttach::Nothing => self.bound.len() == 1 && profile.lone_is_master,
        };
        if takes_over {
            self.set_master(Some(target.id.clone()));
        }
        Ok(())
    }

    /// Unbinds `ids`, all or none.
    pub(super) fn detach(&mut self, profile: &Profile, ids: &[String]) -> Result<(), ErrorReply> {
        if self.bound.is_empty() && profile.detach_unbound_refused {
            return Err(refused("HaVipNotBinded", "nothing is bound to it".to_owned()));
        }
        for id in ids {
            if !self.binds(id) && profile.detach_unbound_refused {
                return Err(refused("InstanceNotBound", format!("{id} is not bound")));
            }
            if self.master.as_ref() == Some(id) && profile.detach_master_refused {
                return Err(ErrorReply::new(409, "OperationDenied", &format!("{id} is the master")));
            }
        }
        for id in ids {
            self.remove(profile, id);
        }
        Ok(())
    }

    /// Unbinds one target whatever the profile refuses; says whether it was bound.
    pub(super) fn remove(&mut self, profile: &Profile, id: &str) -> bool {
        let was_bound = self.binds(id);
        self.bound.retain(|b| b.id != id);
        if self.master.as_deref() == Some(id) {
            let next = match self.bound.as_slice() {
                [one] if profile.lone_is_master => Some(one),
                [first, _, ..] if profile.succession == Succession::FirstRemaining => Some(first),
                _ => None,
            };
            let next = next.map(|b| b.id.clone());
            self.set_master(next);
        } else if let [one] = self.bound.as_slice()
            && profile.lone_is_master
            && self.master.is_none()
        {
            let one = one.id.clone();
            self.set_master(Some(one));
        }
        was_bound
    }

    /// A gratuitous ARP from `id`; says whether packets or the master moved.
    pub(super) fn announce(&mut self, profile: &Profile, id: &str) -> bool {
        let before = (self.master.clone(), self.port.clone());
        match (profile.announcements, self.binds(id)) {
            (Announcements::Ignored, _) | (Announcements::AmongBound, false) => {}
            (_, true) => self.force(id),
            (Announcements::Anyone, false) => self.port = Some(id.to_owned()),
        }
        before != (self.master.clone(), self.port.clone())
    }

    /// Makes `id`, which is bound, the master.
    pub(super) fn force(&mut self, id: &str) {
        self.master = Some(id.to_owned());
        self.port = Some(id.to_owned());
    }
}

/// A binding and what it was before, so that reads and packets can lag.
#[derive(Debug, Clone)]
pub(super) struct Timeline {
    entries: VecDeque<(Instant, Binding)>,
}

/// Changes remembered per HAVIP.
const TIMELINE_MAX: usize = 1024;

impl Timeline {
    pub(super) fn new(since: Instant) -> Self {
        Self { entries: VecDeque::from([(since, Binding::default())]) }
    }

    /// As it is now.
    pub(super) fn current(&self) -> &Binding {
        &self.entries.back().expect("a timeline is never empty").1
    }

    /// As it was then; before the beginning, as it was at first.
    pub(super) fn at(&self, then: Instant) -> &Binding {
        let found = self.entries.iter().rev().find(|(at, _)| *at <= then).or_else(|| self.entries.front());
        &found.expect("a timeline is never empty").1
    }

    /// Notes a change; says whether it was one.
    pub(super) fn record(&mut self, now: Instant, binding: Binding) -> bool {
        let (last, current) = self.entries.back().expect("a timeline is never empty");
        if *current == binding {
            return false;
        }
        let now = now.max(*last);
        if self.entries.len() == TIMELINE_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back((now, binding));
        true
    }
}
