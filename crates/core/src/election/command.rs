//! What operators and signals ask for.

use super::Core;
use super::group::Group;
use super::rank;
use super::step_context::StepContext;
use crate::model::action::{Action, Actions, GateKind};
use crate::model::event::{Command, Reply};
use crate::model::ids::GroupIndex;
use crate::model::role::Role;
use crate::model::time::Instant;
use std::time::Duration;

/// Groups named in one line of an answer.
const NAMED: usize = 8;

impl Core {
    pub(super) fn command(&mut self, now: Instant, command: Command, request: u64, actions: &mut Actions) {
        let reply = match command {
            Command::Switchover { group, to } => self.in_group(now, group, actions, |g, step| g.switchover(step, to)),
            Command::RehearseSwitchover { group, to } => {
                self.in_group(now, group, actions, |g, step| g.rehearse_switchover(step, to))
            }
            Command::Trace { group } => self.begin_trace(now, group.0),
            Command::Drain { group, on } => self.drain(now, group, on, actions),
            Command::ResetNumbers { group } => self.reset_numbers(now, group, actions),
            Command::Maintenance { group, on, lasts } => self.maintenance(now, group, on, lasts, actions),
            Command::Stop { restart } => {
                self.stopping = true;
                self.each_group(now, actions, |group, step| group.begin_leaving(step, restart));
                Reply::Done("stopping".into())
            }
        };
        actions.push(Action::Reply { request, reply });
    }

    /// ⚠ `off` waits until every node that is heard runs with the same timing, voters, arbiter, HAVIPs and bindings.
    fn maintenance(
        &mut self,
        now: Instant,
        group: Option<GroupIndex>,
        on: bool,
        lasts: Option<Duration>,
        actions: &mut Actions,
    ) -> Reply {
        let local = self.config.local;
        let ours: Vec<bool> = self.config.groups.iter().map(|g| g.member(local).is_some()).collect();
        let asked = |g: &Group| ours[g.index.0] && group.is_none_or(|index| g.index == index);
        // What a node says of a group that is none of its nobody hears, and nobody would tell it the end.
        if !self.groups.iter().any(asked) {
            let mut member = None;
            self.each_group(now, actions, |g, step| {
                member =
                    member.or_else(|| g.member_for_us(step).filter(|_| group.is_some_and(|index| g.index == index)));
            });
            let text = "this node is no member: say it on one that is".to_owned();
            return member.map_or_else(
                || Reply::Refused(text.clone()),
                |node| Reply::Elsewhere { node, known: true, text: text.clone() },
            );
        }
        let mut refusal = None;
        self.each_group(now, actions, |g, step| {
            if !on && g.maintained() && asked(g) && refusal.is_none() {
                let name = &g.settings(step).name;
                refusal = g.differs(step).map(|why| format!("maintenance of {name} stays on: {why}"));
            }
        });
        if let Some(text) = refusal {
            return Reply::Refused(text);
        }
        for g in self.groups.iter_mut().filter(|g| asked(g)) {
            let said = self.peers.iter().filter_map(|p| p.entries.get(&g.tag)).map(|e| e.maintenance);
            let heard = said.filter(|number| !g.maintenance.leaves_number_aside(*number)).max().unwrap_or(0);
            if !g.maintenance.switch(now, on, lasts, heard) {
                let name = &self.config.groups[g.index.0].name;
                let text = format!(
                    "{name}: no maintenance number is left; havipctl maintenance {name} reset on every node begins again"
                );
                return Reply::Refused(text);
            }
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

    /// Done if it was done in any group; else the first reason why not.
    fn reset_numbers(&mut self, now: Instant, group: Option<GroupIndex>, actions: &mut Actions) -> Reply {
        let mut said = Vec::new();
        self.each_group(now, actions, |g, step| {
            if group.is_none_or(|index| g.index == index) {
                said.push(g.reset_numbers(step));
            }
        });
        let done = said.iter().position(|reply| matches!(reply, Reply::Done(_))).unwrap_or(0);
        if said.is_empty() { Reply::Refused("there is no such group".into()) } else { said.swap_remove(done) }
    }

    /// What it means is told for each group: who takes over, or why nobody does.
    fn drain(&mut self, now: Instant, group: Option<GroupIndex>, on: bool, actions: &mut Actions) -> Reply {
        let mut told: Vec<(String, Vec<&str>)> = Vec::new();
        let mut refused = None;
        let config = std::sync::Arc::clone(&self.config);
        self.each_group(now, actions, |g, step| {
            if group.is_some_and(|index| g.index != index) {
                return;
            }
            let name = config.groups[g.index.0].name.as_str();
            match g.drain(step, on) {
                Err(why) => drop(refused.get_or_insert(why)),
                Ok(text) => match told.iter_mut().find(|(other, _)| *other == text) {
                    Some((_, names)) => names.push(name),
                    None => told.push((text, vec![name])),
                },
            }
        });
        if told.is_empty() {
            return Reply::Refused(refused.unwrap_or_else(|| "there is no such group".into()));
        }
        self.persist = true;
        self.changed = true;
        Reply::Done(per_group(told))
    }

    fn in_group(
        &mut self,
        now: Instant,
        group: GroupIndex,
        actions: &mut Actions,
        act: impl Fn(&mut Group, &mut StepContext<'_>) -> Reply,
    ) -> Reply {
        let mut reply = Reply::Refused("there is no such group".into());
        self.each_group(now, actions, |g, step| {
            if g.index == group {
                reply = act(g, step);
            }
        });
        reply
    }
}

/// A line for each thing that is said, with the groups that it is said of unless there is one only.
fn per_group(told: Vec<(String, Vec<&str>)>) -> String {
    if let [(text, names)] = told.as_slice()
        && names.len() == 1
    {
        return text.clone();
    }
    let line = |(text, names): (String, Vec<&str>)| {
        let (shown, more) = names.split_at(names.len().min(NAMED));
        let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        format!("{}{more}: {text}", shown.join(", "))
    };
    told.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

impl Group {
    /// Drains this node, or ends that; says what follows, or why it cannot be.
    fn drain(&mut self, step: &StepContext<'_>, on: bool) -> Result<String, String> {
        if !on {
            self.drain.order(false);
            // What it has stopped only the gate of a new term starts again.
            let goes_on = self.gate.now().is_some_and(|gate| gate.kind == GateKind::BeforeRelease);
            let text = if goes_on {
                "eligible again; before-release runs already, so the handover goes on"
            } else {
                "eligible again"
            };
            return Ok(text.into());
        }
        let name = &self.settings(step).name;
        match self.membership(step) {
            None => return Err(format!("this node is no member of {name}: there is nothing to drain")),
            Some(member) if member.witness => {
                return Err(format!("this node is a witness of {name}: it is never active, there is nothing to drain"));
            }
            Some(_) if self.arbiter(step).is_external() => {
                return Err(self.no_drain(step));
            }
            Some(_) => self.drain.order(true),
        }
        let successor = rank::successor(step, self.settings(step), self.tag);
        // A drained node is often stopped next; its vote may be one that is needed.
        let vote =
            self.no_majority_without_us(step).map_or_else(String::new, |why| format!("; keep it running: {why}"));
        let text = match (self.role(), successor) {
            (Role::Backup | Role::Fault, _) => "drained: stays ineligible".into(),
            (Role::Releasing, _) => "drained: hands over and stays ineligible".into(),
            (Role::Claiming | Role::Active, _) if self.maintained() => {
                format!("drained, but stays active: in maintenance; havipctl maintenance {name} off ends it")
            }
            (Role::Claiming | Role::Active, None) => {
                format!("drained, but stays active until somebody can take over: {}", self.nobody_else(step))
            }
            (Role::Claiming | Role::Active, Some(to)) => {
                format!("drained: hands over to {} and stays ineligible", step.config.node(to).name)
            }
        };
        Ok(text + &vote)
    }
}
