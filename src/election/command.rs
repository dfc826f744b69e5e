//! What operators and signals ask for.

use super::Core;
use super::action::{Action, Actions};
use super::event::{Command, Reply};
use super::group::Group;
use super::receive::MAINTENANCE_END;
use super::turn::Turn;
use crate::config::model::Arbiter;
use crate::ids::GroupIndex;
use crate::time::Instant;
use std::time::Duration;

impl Core {
    pub(super) fn command(&mut self, now: Instant, command: Command, request: u64, actions: &mut Actions) {
        let reply = match command {
            Command::Switchover { group, to } => self.in_group(now, group, actions, |g, turn| g.switchover(turn, to)),
            Command::RehearseSwitchover { group, to } => {
                self.in_group(now, group, actions, |g, turn| g.rehearse_switchover(turn, to))
            }
            Command::Fetch { group } => self.in_group(now, group, actions, |g, turn| g.fetch(turn)),
            Command::Trace { group } => self.begin_trace(now, group.0),
            Command::Drain { group, on } => self.drain(group, on),
            Command::Maintenance { group, on, lasts } => self.maintenance(now, group, on, lasts, actions),
            Command::Stop { restart } => {
                self.stopping = true;
                self.each_group(now, actions, |group, turn| group.begin_leaving(turn, restart));
                Reply::Done("stopping".into())
            }
        };
        actions.push(Action::Reply { request, reply });
    }

    /// ⚠ `off` waits until every node that is heard runs with the same voters, arbiter, HAVIPs and bindings.
    fn maintenance(
        &mut self,
        now: Instant,
        group: Option<GroupIndex>,
        on: bool,
        lasts: Option<Duration>,
        actions: &mut Actions,
    ) -> Reply {
        let mut refusal = None;
        self.each_group(now, actions, |g, turn| {
            if !on && g.maintained() && group.is_none_or(|index| g.index == index) && refusal.is_none() {
                let name = &g.settings(turn).name;
                refusal = g.differs(turn).map(|why| format!("maintenance of {name} stays on: {why}"));
            }
        });
        if let Some(text) = refusal {
            return Reply::Refused(text);
        }
        for g in self.groups.iter_mut().filter(|g| group.is_none_or(|index| g.index == index)) {
            let said = self.peers.iter().filter_map(|p| p.entries.get(&g.tag)).map(|e| e.maintenance);
            let heard = said.filter(|n| *n < MAINTENANCE_END).max().unwrap_or(0);
            g.kept.switch_maintenance(now, on, lasts, heard);
        }
        self.persist = true;
        self.changed = true;
        Reply::Done(match (on, lasts) {
            (true, Some(span)) => {
                format!("in maintenance on every node that is heard; this node ends it after {} s", span.as_secs())
            }
            (true, None) => "in maintenance on every node that is heard".to_owned(),
            (false, _) => "out of maintenance".to_owned(),
        })
    }

    /// Groups that keepalived elects for are drained there: without us nobody would have their HAVIPs.
    fn drain(&mut self, group: Option<GroupIndex>, on: bool) -> Reply {
        let elects = |i: usize| self.config.groups[i].arbiter != Arbiter::Keepalived;
        let mut wanted = (0..self.groups.len()).filter(|i| group.is_none_or(|g| g.0 == *i));
        if on && !wanted.any(elects) {
            return Reply::Refused("keepalived elects: lower its priority on this node, or stop it".into());
        }
        let text = if on { "drained: hands over and stays ineligible" } else { "eligible again" };
        for (g, settings) in self.groups.iter_mut().zip(&self.config.groups) {
            if group.is_none_or(|index| g.index == index) {
                g.kept.drained = on && settings.arbiter != Arbiter::Keepalived;
            }
        }
        self.persist = true;
        self.changed = true;
        Reply::Done(text.to_owned())
    }

    fn in_group(
        &mut self,
        now: Instant,
        group: GroupIndex,
        actions: &mut Actions,
        act: impl Fn(&mut Group, &mut Turn<'_>) -> Reply,
    ) -> Reply {
        let mut reply = Reply::Refused("there is no such group".into());
        self.each_group(now, actions, |g, turn| {
            if g.index == group {
                reply = act(g, turn);
            }
        });
        reply
    }
}
