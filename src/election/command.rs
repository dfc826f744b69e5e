//! What operators and signals ask for.

use super::Core;
use super::action::{Action, Actions};
use super::event::{Command, Reply};
use crate::ids::GroupIndex;
use crate::time::Instant;

impl Core {
    pub(super) fn command(&mut self, now: Instant, command: Command, request: u64, actions: &mut Actions) {
        let reply = match command {
            Command::Switchover { group, to } => self.switchover(now, group, to, actions),
            Command::Drain { group, on } => {
                let text = if on { "drained: hands over and stays ineligible" } else { "eligible again" };
                self.flag(group, |kept| kept.drained = on, text)
            }
            Command::Maintenance { group, on } => {
                let text = if on { "in maintenance on every node that is heard" } else { "out of maintenance" };
                // Odd is on: the next number of that parity is newer than anything known.
                self.flag(group, |kept| kept.maintenance += u32::from((kept.maintenance % 2 == 1) != on), text)
            }
            Command::Stop { restart } => {
                self.stopping = true;
                self.each_group(now, actions, |group, turn| group.begin_leaving(turn, restart));
                Reply::Done("stopping".into())
            }
        };
        actions.push(Action::Reply { request, reply });
    }

    fn switchover(
        &mut self,
        now: Instant,
        group: GroupIndex,
        to: Option<crate::ids::NodeIndex>,
        actions: &mut Actions,
    ) -> Reply {
        let mut reply = Reply::Refused("there is no such group".into());
        self.each_group(now, actions, |g, turn| {
            if g.index == group {
                reply = g.switchover(turn, to);
            }
        });
        reply
    }

    fn flag(
        &mut self,
        group: Option<GroupIndex>,
        set: impl Fn(&mut super::action::PersistedGroup),
        text: &str,
    ) -> Reply {
        for g in self.groups.iter_mut().filter(|g| group.is_none_or(|index| g.index == index)) {
            set(&mut g.kept);
        }
        self.persist = true;
        self.changed = true;
        Reply::Done(text.to_owned())
    }
}
