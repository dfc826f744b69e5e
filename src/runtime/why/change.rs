//! What would make it otherwise. Only what is so is promised, and only commands that would be taken are named, with
//! the node that takes them.

use super::{View, age};
use havipd_core::election::NO_INTERFACE;
use havipd_core::model::role::{Cause, Role};
use havipd_core::model::settings::Arbiter;
use havipd_core::status::GroupSnapshot;
use havipd_core::wire::session::SessionState;

impl View<'_> {
    pub(super) fn change(&self) -> Vec<String> {
        let (g, name) = (self.group, &self.group.name);
        if !g.member {
            let text = format!("with this node in the `nodes` of {name}, on every node, and a reload, it would be one");
            return vec![text];
        }
        let mut lines = self.own_state();
        lines.extend(self.no_majority());
        if let Some(vrrp) = &g.vrrp {
            lines.push(format!("keepalived elects: what moves {} there moves {name}", vrrp.name));
            return lines;
        }
        if let Some(key) = &g.leader_key {
            lines.push(format!(
                "the program that writes etcd's {} elects: where the leader is moved there, {name} follows",
                key.key
            ));
            return lines;
        }
        match &g.active {
            Some(active) if *active == self.snapshot.node => lines.extend(self.while_active()),
            Some(active) => {
                lines.extend(self.if_it_fails(active));
                lines.extend(self.preemption(active));
                lines.extend(self.ordered_here(active));
            }
            None => lines.extend(self.while_nobody_is()),
        }
        lines
    }

    /// What an operator, or the cloud, has against this node.
    fn own_state(&self) -> Vec<String> {
        let (g, name) = (self.group, &self.group.name);
        let mut lines = Vec::new();
        if g.drained {
            lines.push(format!("`havipctl undrain {name}` lets this node take part again"));
        }
        if g.maintenance {
            let ends = g.maintenance_ends_ms.map(|ms| format!(" (this node does so in {})", age(ms)));
            let ends = ends.unwrap_or_default();
            lines.push(format!(
                "`havipctl maintenance {name} off`{ends}: until then nothing moves by itself on any node"
            ));
        }
        if g.isolated {
            lines.push("neither peers nor cloud answer: restore this node's network".to_owned());
        }
        if let Some(ms) = g.budget_ms {
            lines.push(format!(
                "the budget of max-moves is spent: no preemption for {}, until older moves leave max-moves-window",
                age(ms)
            ));
        }
        lines.extend(remedy(g));
        lines
    }

    fn no_majority(&self) -> Option<String> {
        let voters = self.group.members.len();
        let heard = self.peers().filter(|p| p.state == SessionState::Up).count() + 1;
        let lost = self.group.arbiter == Arbiter::Majority && heard * 2 <= voters;
        lost.then(|| {
            format!(
                "this node hears only {heard} of {voters} nodes of {}, itself included, which is no majority: bring the \
                 others, or the network, back",
                self.group.name
            )
        })
    }

    fn while_active(&self) -> Vec<String> {
        let (g, name) = (self.group, &self.group.name);
        let mut lines = Vec::new();
        if let Some(failed) = &g.failed_move {
            lines.push(format!("on {}: `havipctl why {name}` says why it could not take it over", failed.to));
        }
        lines.extend(g.no_failover.clone());
        if let Some(to) = g.successor.as_ref().filter(|_| !g.maintenance && g.role == Role::Active) {
            lines.push(format!(
                "`havipctl switchover {name}` moves it to {to}; `havipctl drain {name}` keeps it away, too"
            ));
        }
        lines
    }

    /// Who would go on if the active node fell silent.
    fn if_it_fails(&self, active: &str) -> Vec<String> {
        let g = self.group;
        let here = self.snapshot.node.as_str();
        if let Some(why) = &g.no_failover {
            return vec![why.clone()];
        }
        if g.maintenance {
            return vec![];
        }
        let able = || g.members.iter().filter(|m| m.unfit.is_none() && m.node != active).map(|m| m.node.as_str());
        let fails = format!("if {active} is silent for its dead time, leaves, or is in fault");
        let line = match able().position(|node| node == here) {
            Some(0) => format!("{fails}, this node takes over"),
            Some(_) => {
                let first: Vec<&str> = able().take_while(|node| *node != here).collect();
                format!("{fails}, {} may take over first, and this node a dead time later for each", first.join(", "))
            }
            None => match &g.successor {
                Some(other) => format!("{fails}, {other} takes over"),
                None => return vec![],
            },
        };
        vec![line]
    }

    fn preemption(&self, active: &str) -> Option<String> {
        let g = self.group;
        let ours = self.ourselves().filter(|m| !m.witness && self.preempt && !g.maintenance && !g.drained)?;
        let place = |node: &str| g.members.iter().position(|m| m.node == node);
        let first = place(&ours.node) < place(active);
        match () {
            () if !first => None,
            () if g.preemption_suspended => Some(format!(
                "preemption is suspended since a switchover: {active} keeps it until it fails, or until another switchover"
            )),
            () if ours.unfit.is_some() || g.budget_ms.is_some() => None,
            () => {
                let left = g.waiting_ms.map(|ms| format!(" in {}", age(ms))).unwrap_or_default();
                Some(format!(
                    "preempt is on, and this node goes before {active} in rank: it takes over by itself{left}"
                ))
            }
        }
    }

    /// The command that moves it here, if it would.
    fn ordered_here(&self, active: &str) -> Option<String> {
        let (g, here) = (self.group, &self.snapshot.node);
        let able = self.ourselves().is_some_and(|m| m.unfit.is_none());
        let up = self.peers().any(|p| p.node == active && p.state == SessionState::Up);
        let settled = self.member(active).is_some_and(|m| m.role == Some(Role::Active));
        let taken = able && up && settled && !g.maintenance;
        taken.then(|| format!("`havipctl switchover {} --to {here}` moves it here now", g.name))
    }

    fn while_nobody_is(&self) -> Vec<String> {
        let g = self.group;
        let mut lines = Vec::new();
        let silent: Vec<&str> =
            self.peers().filter(|p| p.state == SessionState::Unproven).map(|p| p.node.as_str()).collect();
        if !silent.is_empty() && g.role == Role::Backup {
            lines.push(format!("start havipd on {}, or wait until what is waited for is over", silent.join(", ")));
        }
        if let Some(ms) = g.waiting_ms.filter(|_| !g.maintenance && !g.drained) {
            lines.push(format!("if nobody is active by then, this node goes on by itself in {}", age(ms)));
        }
        lines
    }
}

/// What ends the state that this cause led to.
fn remedy(g: &GroupSnapshot) -> Option<String> {
    let text = match g.cause.known()? {
        Cause::Superseded | Cause::LostRace => {
            "the cloud gave the address to another: this node claims again when that one leaves or says that it is \
             not active, or after reclaim-wait"
        }
        Cause::LeaseLost if g.election_key.is_some() => {
            "etcd has to renew this node's lease, and the key has to be its own; havipctl doctor asks each endpoint"
        }
        Cause::LeaseLost => "the lease comes back as soon as a majority hears this node",
        Cause::ClaimTimedOut => {
            "the claim is repeated by itself, with growing pauses; the cloud's answers are in the log"
        }
        Cause::ClaimRefused => "the cloud refused the claim; it is repeated by itself, with growing pauses",
        Cause::GateFailed => {
            "see what before-active says; it is run again by itself, with growing pauses, and other nodes go first meanwhile"
        }
        Cause::HavipMissing => "correct group.havip.id, or create the HAVIP; then it goes on by itself",
        Cause::Denied => {
            "renew the credentials, and grant read, attach and detach of the HAVIP; then it goes on by itself"
        }
        Cause::StrangerBound => "detach the stranger by hand, or set strangers = \"detach\"",
        Cause::DetachRefused => "detach the old holder by hand in the console, or release the address on it",
        Cause::LinkDown if g.detail.starts_with(NO_INTERFACE) => {
            "give this host the node's address back, or set node.interface or group.havip.interface"
        }
        Cause::CheckFailed => "bring what the check looks at back; it passes after `rise` good results in a row",
        Cause::LinkDown => "bring the interface up",
        Cause::AddressFailed => {
            "see why this host cannot put the address; others go first for a while, then it may try"
        }
        Cause::NoIdentity => "set node.instance or node.eni, or make the metadata service reachable",
        Cause::WrongHost => {
            "this machine is a copy of the node's, or the file is wrong: stop havipd here, or correct it"
        }
        Cause::Cloned => "stop the other machine that runs as this node",
        Cause::VrrpFault if g.leader_key.is_some() => {
            "etcd has to answer within etcd.lease; havipctl doctor asks each endpoint, and says what is wrong with it"
        }
        Cause::VrrpFault => "keepalived has to run, without a fault; keepalived.pid-file says which process counts",
        Cause::ConfigMismatch => "install the same configuration on every node and reload",
        // Another one took over meanwhile: this node claims when that one goes, as any other does.
        Cause::Away if g.active.is_some() => return None,
        Cause::Away => "this host was paused; it claims again after one dead time",
        _ => return None,
    };
    (!g.role.has_leadership()).then(|| text.to_owned())
}
