//! The core side's end of the queue to the effects side, and what becomes of what finds no room in it.
//!
//! The core thread never waits for room. When the queue is full:
//! - a call is not begun; the core hears that it failed, and asks again;
//! - of the states to keep, of each group's states for hooks, and of what its gate is told the newest waits here: an older
//!   one says nothing that it does not;
//! - changes of role, warnings and answers wait here in their order. Beyond a bound the oldest changes and warnings go, and
//!   what is missing is itself written down, group by group. An answer stays: somebody waits for it;
//! - last words are not kept: whether they fit is looked at every second; neither is a command of another node's operator,
//!   who then hears that it was not ended.
//!
//! What waits is issued again with each step, before anything new of its kind. An answer waits for the state, too: what
//! gives it looks at what the disk has (see `Action::Persist`).

use super::ToEffects;
use havipd_core::model::action::Notification;
use havipd_core::model::ids::GroupName;
use havipd_core::model::persisted::Persisted;
use std::collections::{BTreeMap, VecDeque};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// Lines for log and history that wait beyond the queue.
const LINES: usize = 1024;

/// The queue, and what waits for room in it.
pub(super) struct Outbox {
    queue: mpsc::Sender<ToEffects>,
    state: Option<Persisted>,
    notifications: BTreeMap<GroupName, Notification>,
    gates: BTreeMap<GroupName, ToEffects>,
    lines: VecDeque<ToEffects>,
    /// Lines that even this had no room for, per group.
    missing: BTreeMap<Option<GroupName>, u64>,
    /// Messages that found no room at first.
    pub(super) refused: u64,
}

impl Outbox {
    pub(super) fn new(queue: mpsc::Sender<ToEffects>) -> Self {
        Self {
            queue,
            state: None,
            notifications: BTreeMap::new(),
            gates: BTreeMap::new(),
            lines: VecDeque::new(),
            missing: BTreeMap::new(),
            refused: 0,
        }
    }

    /// Hands a message over, or keeps it until there is room. Returns one that is neither: a call that is not begun, or
    /// last words.
    #[must_use]
    pub(super) fn send(&mut self, message: ToEffects) -> Option<ToEffects> {
        self.issue_again();
        self.offer(message)
    }

    /// Room may have come since what waits was last issued: nothing overtakes what must come before it.
    fn offer(&mut self, message: ToEffects) -> Option<ToEffects> {
        if self.waits_before(&message) {
            return self.keep(message);
        }
        match self.queue.try_send(message) {
            Ok(()) => None,
            Err(TrySendError::Full(message)) => self.keep(message),
            // Nobody is left to do anything.
            Err(TrySendError::Closed(message)) => Some(message),
        }
    }

    /// Issues what waits, as far as there is room.
    pub(super) fn issue_again(&mut self) {
        while self.waits()
            && let Ok(room) = self.queue.clone().try_reserve()
            && let Some(message) = self.next()
        {
            room.send(message);
        }
    }

    /// Issues everything that waits, however long that takes: for the end, when there is nothing else to do.
    pub(super) async fn issue_all(&mut self) {
        while let Some(message) = self.next() {
            if self.queue.send(message).await.is_err() {
                return;
            }
        }
    }

    /// Says that nothing comes any more.
    pub(super) async fn end(&self) {
        let _ = self.queue.send(ToEffects::Left).await;
    }

    fn waits(&self) -> bool {
        let one_by_one = !self.notifications.is_empty() || !self.gates.is_empty();
        self.state.is_some() || one_by_one || !self.lines.is_empty() || !self.missing.is_empty()
    }

    /// Whether something waits that must come before `message`.
    fn waits_before(&self, message: &ToEffects) -> bool {
        match message {
            ToEffects::Persist(_) => self.state.is_some(),
            ToEffects::Notify(group, _) => self.notifications.contains_key(group),
            ToEffects::RunGate { group, .. } | ToEffects::StopGate { group, .. } => self.gates.contains_key(group),
            ToEffects::Reply { .. } if self.state.is_some() => true,
            message if is_line(message) => !self.lines.is_empty() || !self.missing.is_empty(),
            _ => false,
        }
    }

    fn keep(&mut self, message: ToEffects) -> Option<ToEffects> {
        self.refused += 1;
        match message {
            ToEffects::Persist(state) => self.state = Some(state),
            ToEffects::Notify(group, notification) => drop(self.notifications.insert(group, notification)),
            ToEffects::RunGate { ref group, .. } | ToEffects::StopGate { ref group, .. } => {
                drop(self.gates.insert(group.clone(), message));
            }
            message if is_line(&message) => {
                if self.lines.len() >= LINES {
                    self.drop_oldest();
                }
                self.lines.push_back(message);
            }
            message => return Some(message),
        }
        None
    }

    /// Answers are as many as operators wait for, so there is something else to drop; if not, the one who has waited longest
    /// has given up by now.
    fn drop_oldest(&mut self) {
        let oldest = self.lines.iter().position(|line| !is_answer(line)).unwrap_or(0);
        if let Some(line) = self.lines.remove(oldest)
            && !is_answer(&line)
        {
            *self.missing.entry(group_of(line)).or_default() += 1;
        }
    }

    /// What comes next of what waits: what is missing comes before the lines that follow it.
    fn next(&mut self) -> Option<ToEffects> {
        if let Some(state) = self.state.take() {
            return Some(ToEffects::Persist(state));
        }
        if let Some((_, gate)) = self.gates.pop_first() {
            return Some(gate);
        }
        if let Some((group, notification)) = self.notifications.pop_first() {
            return Some(ToEffects::Notify(group, notification));
        }
        let missing = self.missing.pop_first().map(|(group, lines)| ToEffects::Missing { group, lines });
        missing.or_else(|| self.lines.pop_front())
    }
}

/// What is written down one after the other, or answers somebody.
const fn is_line(message: &ToEffects) -> bool {
    matches!(message, ToEffects::Record { .. } | ToEffects::RecordLate { .. } | ToEffects::Warn { .. })
        || is_answer(message)
}

/// What somebody here waits for.
const fn is_answer(message: &ToEffects) -> bool {
    matches!(message, ToEffects::Reply { .. } | ToEffects::Forwarded { .. })
}

fn group_of(message: ToEffects) -> Option<GroupName> {
    match message {
        ToEffects::Record { group, .. } | ToEffects::RecordLate { group, .. } => Some(group),
        ToEffects::Warn { group, .. } => group,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use havipd_core::model::action::NotifyState;
    use havipd_core::model::event::Reply;
    use havipd_core::model::ids::{Epoch, GroupIndex};
    use havipd_core::model::role::Cause;
    use havipd_core::model::time::Instant;
    use std::time::Duration;

    fn state(ms: u64) -> ToEffects {
        ToEffects::Persist(Persisted { longest_pause: Duration::from_millis(ms), ..Persisted::default() })
    }

    fn notify(group: &str, state: NotifyState) -> ToEffects {
        let (index, epoch, cause) = (GroupIndex(0), Epoch(1), Cause::Started);
        let notification = Notification {
            group: index,
            state,
            priority: 1,
            epoch,
            cause,
            holder: None,
            leadership_until: Instant::FAR_FUTURE,
        };
        ToEffects::Notify(group.parse().expect("a name"), notification)
    }

    fn line(n: u64) -> ToEffects {
        let group = "web".parse().expect("a name");
        ToEffects::RecordLate { group, epoch: Epoch(n), ms: 0.0, what: String::new() }
    }

    fn answer(request: u64) -> ToEffects {
        ToEffects::Reply { request, reply: Reply::Done(String::new()) }
    }

    fn what(message: &ToEffects) -> String {
        match message {
            ToEffects::Persist(state) => format!("state {}", state.longest_pause.as_millis()),
            ToEffects::Notify(group, n) => format!("{group} {}", n.state.as_str()),
            ToEffects::RecordLate { epoch, .. } => format!("line {epoch}"),
            ToEffects::Reply { request, .. } => format!("answer {request}"),
            ToEffects::Missing { group, lines } => {
                format!("{lines} of {} missing", group.as_ref().map_or("nothing", |g| g.as_str()))
            }
            other => format!("{other:?}"),
        }
    }

    /// Takes out what is there, and lets what waits follow, until nothing does.
    fn all(outbox: &mut Outbox, queue: &mut mpsc::Receiver<ToEffects>) -> Vec<String> {
        let mut all = vec![];
        while let Ok(message) = queue.try_recv() {
            all.push(what(&message));
            outbox.issue_again();
        }
        all
    }

    #[test]
    fn what_found_no_room_is_issued_again_and_only_the_newest_of_what_replaces_each_other() {
        let (sender, mut queue) = mpsc::channel(1);
        let mut outbox = Outbox::new(sender);
        for message in [
            line(1),
            state(1),
            notify("web", NotifyState::Backup),
            line(2),
            state(2),
            notify("web", NotifyState::Master),
            notify("db", NotifyState::Fault),
            line(3),
        ] {
            assert!(outbox.send(message).is_none(), "kept");
        }
        let told = all(&mut outbox, &mut queue);
        assert_eq!(told, ["line 1", "state 2", "db FAULT", "web MASTER", "line 2", "line 3"]);
    }

    #[test]
    fn what_no_room_at_all_is_left_for_is_named_in_its_place() {
        let (sender, mut queue) = mpsc::channel(1);
        let mut outbox = Outbox::new(sender);
        let count = LINES as u64 + 10;
        assert!((0..=count).all(|n| outbox.send(line(n)).is_none()), "kept");
        let told = all(&mut outbox, &mut queue);
        assert_eq!(told[..3], ["line 0", "10 of web missing", "line 11"]);
        assert_eq!((told.len(), told.last().map(String::as_str)), (LINES + 2, Some(&*format!("line {count}"))));
    }

    /// Else an operator hears that an order is in force, and not that a restart forgets it.
    #[test]
    fn an_answer_does_not_overtake_the_state_that_waits_for_room() {
        let (sender, mut queue) = mpsc::channel(2);
        let mut outbox = Outbox::new(sender);
        for message in [line(1), line(2), state(1)] {
            assert!(outbox.send(message).is_none(), "kept");
        }
        // The effects side takes something just after what waits was looked at.
        outbox.issue_again();
        assert_eq!(queue.try_recv().as_ref().map(what), Ok("line 1".to_owned()));
        assert!(outbox.offer(answer(1)).is_none(), "kept");
        assert_eq!(all(&mut outbox, &mut queue), ["line 2", "state 1", "answer 1"]);
    }

    #[test]
    fn an_answer_is_not_among_what_no_room_is_left_for() {
        let (sender, mut queue) = mpsc::channel(1);
        let mut outbox = Outbox::new(sender);
        assert!([line(0), answer(1), line(1), answer(2)].into_iter().all(|m| outbox.send(m).is_none()), "kept");
        let count = LINES as u64;
        assert!((2..=count).all(|n| outbox.send(line(n)).is_none()), "kept");
        let told = all(&mut outbox, &mut queue);
        assert_eq!(told[..5], ["line 0", "2 of web missing", "answer 1", "answer 2", "line 3"]);
        assert_eq!(told.last().map(String::as_str), Some(&*format!("line {count}")));
    }

    #[tokio::test]
    async fn the_end_waits_for_room() {
        let (sender, mut queue) = mpsc::channel(1);
        let mut outbox = Outbox::new(sender);
        for message in [line(1), state(1), notify("web", NotifyState::Stop)] {
            assert!(outbox.send(message).is_none(), "kept");
        }
        let told = async {
            let mut told = vec![];
            while told.len() < 3 {
                told.push(what(&queue.recv().await.expect("more")));
            }
            told
        };
        let ((), told) = tokio::join!(outbox.issue_all(), told);
        assert_eq!(told, ["line 1", "state 1", "web STOP"]);
    }
}
