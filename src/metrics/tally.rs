//! What becomes of claims, counted from the transitions that the core records and the steps that come in after them.

use havipd_core::model::action::{Step, Transition};
use havipd_core::model::histogram::Histogram;
use havipd_core::model::role::{Cause, Role};
use havipd_core::model::time::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Counts since the start.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    groups: BTreeMap<String, Group>,
    /// Steps of claims that were won, by their names and by whether the move was a planned one.
    pub(super) steps: BTreeMap<(&'static str, bool), Histogram>,
}

/// Of one group.
#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    pub(super) activations: u64,
    /// Moves that nobody asked for.
    pub(super) unplanned: u64,
    /// By cause and result. Both are of closed lists, so this stays small.
    pub(super) claims: BTreeMap<(&'static str, &'static str), u64>,
    /// Why the claim that runs, or the one that was won last, began.
    claiming: Option<Cause>,
    /// The claim that was won last: steps of it may come in late.
    won: Option<Won>,
}

/// A claim that was won. Times are from the first step of its timeline.
#[derive(Debug, Clone, Copy)]
struct Won {
    epoch: u64,
    planned: bool,
    claimed: Duration,
    active: Duration,
    announced: bool,
    arrived: bool,
}

impl Tally {
    /// Counts a change of role.
    pub fn record(&mut self, group: &str, transition: &Transition) {
        let Transition { from, to, cause, timeline, .. } = transition;
        let entry = self.groups.entry(group.to_owned()).or_default();
        entry.activations += u64::from(*to == Role::Active);
        if *from == Role::Claiming {
            let began = entry.claiming.map_or("unknown", Cause::as_str);
            let result = if *to == Role::Active { "won" } else { cause.as_str() };
            *entry.claims.entry((began, result)).or_default() += 1;
        }
        match to {
            Role::Claiming => entry.claiming = Some(*cause),
            // The receiving side of this is a claim by handover, which is not counted there.
            Role::Releasing => entry.unplanned += u64::from(!asked_for(*cause)),
            Role::Active if *from == Role::Claiming => {
                let began = entry.claiming;
                entry.unplanned += u64::from(began.is_none_or(moves_by_itself));
                let planned = began.is_some_and(of_handover);
                entry.won = Some(time(&mut self.steps, transition, timeline, planned));
            }
            _ => {}
        }
    }

    /// Counts a step of a move that came in, `ms` after its first one, when its role was decided already.
    pub fn late(&mut self, group: &str, epoch: u64, ms: f64, what: &str) {
        let won = self.groups.get_mut(group).and_then(|g| g.won.as_mut()).filter(|won| won.epoch == epoch);
        let (Some(won), Ok(at)) = (won, Duration::try_from_secs_f64(ms / 1e3)) else { return };
        let (step, from) = if what.starts_with("hooks done") {
            ("hooks", won.active)
        } else if what.starts_with("first packet") && !std::mem::replace(&mut won.arrived, true) {
            ("first-packet", Duration::ZERO)
        } else if what.ends_with(" announced") && !std::mem::replace(&mut won.announced, true) {
            ("announce", won.claimed)
        } else if what.ends_with(" added") {
            ("address", won.claimed)
        } else {
            return;
        };
        self.steps.entry((step, won.planned)).or_default().observe(at.saturating_sub(from));
    }

    /// Forgets groups that are not there any more.
    pub fn retain(&mut self, known: impl Fn(&str) -> bool) {
        self.groups.retain(|name, _| known(name));
    }

    pub(super) fn group(&self, name: &str) -> Option<&Group> {
        self.groups.get(name)
    }
}

/// Whether leadership that is given away for this reason is given away because somebody wants that.
fn asked_for(cause: Cause) -> bool {
    matches!(cause, Cause::Switchover | Cause::Drained | Cause::Stopping)
}

/// Whether a claim that began so came by a handover: then, and only then, it was counted where it was begun.
fn of_handover(cause: Cause) -> bool {
    matches!(cause, Cause::HandedOver | Cause::HandoverFailed)
}

/// Whether a claim that began so moves leadership, without anybody's wish.
fn moves_by_itself(cause: Cause) -> bool {
    !of_handover(cause) && cause != Cause::Resumed
}

/// How long the steps of a claim that was won took.
fn time(
    into: &mut BTreeMap<(&'static str, bool), Histogram>,
    transition: &Transition,
    timeline: &[Step],
    planned: bool,
) -> Won {
    let start = timeline.first().map_or(transition.at, |s| s.at);
    let end = timeline.last().map_or(transition.at, |s| s.at);
    let mut observe =
        |step, from: Instant, to: Instant| into.entry((step, planned)).or_default().observe(to.since(from));
    let (mut asked, mut claimed) = (None, start);
    let mut announced = false;
    let mut arrived = false;
    let mut sent: VecDeque<Instant> = VecDeque::new();
    // A look begins when what was done before it, at the cloud or by the claim, is over.
    let mut settled = start;
    for Step { at, what } in timeline {
        let at = *at;
        if what.starts_with("asks a majority") {
            // Those before it were given up.
            asked = Some(at);
        } else if what.starts_with("epoch ") {
            if let Some(asked) = asked {
                observe("majority", asked, at);
            }
            (claimed, settled) = (at, at);
        } else if what.ends_with(" dead") {
            observe("detection", start, at);
        } else if what.ends_with(" sent") {
            sent.push_back(at);
        } else if what.starts_with("write ") {
            let step = if what.starts_with("write answered") { "write" } else { "write-failed" };
            observe(step, sent.pop_front().unwrap_or(settled), at);
            settled = at;
        } else if what.starts_with("read ") {
            let step = if what.starts_with("read back") { "read" } else { "read-failed" };
            observe(step, settled, at);
            settled = at;
        } else if what.ends_with(" added") {
            observe("address", claimed, at);
        } else if what.ends_with(" announced") && !std::mem::replace(&mut announced, true) {
            observe("announce", claimed, at);
        } else if what.starts_with("first packet") && !std::mem::replace(&mut arrived, true) {
            observe("first-packet", start, at);
        }
    }
    observe("claim", claimed, end);
    observe("whole", start, end);
    let (claimed, active) = (claimed.since(start), end.since(start));
    Won { epoch: transition.epoch.0, planned, claimed, active, announced, arrived }
}

#[cfg(test)]
mod tests {
    use super::*;
    use havipd_core::model::ids::{Epoch, GroupIndex};
    use havipd_core::model::role::Cause;
    use havipd_core::model::time::Instant;
    use std::time::Duration;

    fn change(from: Role, to: Role, cause: Cause, timeline: &[(u64, &str)]) -> Transition {
        let timeline = timeline.iter().map(|(ms, what)| Step { at: Instant::from_millis(*ms), what: (*what).into() });
        let (at, group, epoch) = (Instant::from_millis(99), GroupIndex(0), Epoch(1));
        let timeline = timeline.collect();
        Transition { at, group, from, to, epoch, cause, detail: String::new(), peer: None, timeline }
    }

    /// How often and how long, by step and whether it was planned.
    fn steps(tally: &Tally) -> Vec<(&'static str, bool, u64, Duration)> {
        tally.steps.iter().map(|((step, planned), h)| (*step, *planned, h.count(), h.sum())).collect()
    }

    #[test]
    fn a_claim_is_counted_by_how_it_began_and_ended() {
        let mut tally = Tally::default();
        // As the core words them: see `Group::note_silence`, `ask`, `begin_claim`, `note_effects`, `note_operation`.
        let timeline = [
            (10, "last heartbeat of a heard"),
            (12, "a suspected: a heartbeat is missing"),
            (40, "a dead"),
            (41, "asks a majority for epoch 2 (peer-dead)"),
            (44, "epoch 2 begins, of those stored ahead up to 1000"),
            (44, "claiming (peer-dead)"),
            (44, "attach of i-b sent"),
            (45, "10.0.0.100 added"),
            (46, "10.0.0.100 announced"),
            (52, "write answered"),
            (90, "read back: holder i-a"),
            (99, "read back: holder i-b"),
            (99, "active (confirmed)"),
        ];
        for transition in [
            change(Role::Backup, Role::Claiming, Cause::PeerDead, &[]),
            change(Role::Claiming, Role::Active, Cause::Confirmed, &timeline),
            change(Role::Active, Role::Backup, Cause::Drained, &[]),
            change(Role::Backup, Role::Claiming, Cause::NoActive, &[]),
            change(Role::Claiming, Role::Backup, Cause::LostRace, &[]),
        ] {
            tally.record("web", &transition);
        }
        let web = tally.group("web").expect("counted");
        assert_eq!((web.activations, web.unplanned), (1, 1));
        let claims: Vec<_> = web.claims.iter().map(|((cause, result), n)| (*cause, *result, *n)).collect();
        assert_eq!(claims, [("no-active", "lost-race", 1), ("peer-dead", "won", 1)]);
        // Of the same term, and of another one.
        tally.late("web", 1, 140.0, "first packet here: the fabric probe of c");
        tally.late("web", 1, 150.0, "first packet here: the fabric probe of d");
        tally.late("web", 1, 99.0, "hooks done, 1 failed");
        tally.late("web", 7, 99.0, "hooks done");
        let ms = Duration::from_millis;
        let expected = [
            ("address", 1, 1),
            ("announce", 1, 2),
            ("claim", 1, 55),
            ("detection", 1, 30),
            ("first-packet", 1, 140),
            ("hooks", 1, 10),
            ("majority", 1, 3),
            ("read", 2, 47),
            ("whole", 1, 89),
            ("write", 1, 8),
        ];
        assert_eq!(steps(&tally), expected.map(|(step, n, sum)| (step, false, n, ms(sum))));
        tally.retain(|name| name != "web");
        assert!(tally.group("web").is_none());
    }

    #[test]
    fn planned_moves_are_timed_apart_and_are_nobodys_surprise() {
        let mut tally = Tally::default();
        let timeline = [(10, "epoch 2 begins"), (10, "claiming (handed-over)"), (30, "active (confirmed)")];
        let unplanned = |tally: &Tally| tally.group("web").map_or(0, |g| g.unplanned);
        // A drill from there and back, a restart, and a rolling upgrade.
        for (given, taken) in [
            (Cause::Switchover, Cause::HandedOver),
            (Cause::Drained, Cause::HandedOver),
            (Cause::Stopping, Cause::HandedOver),
            (Cause::Switchover, Cause::HandoverFailed),
        ] {
            tally.record("web", &change(Role::Active, Role::Releasing, given, &[]));
            tally.record("web", &change(Role::Backup, Role::Claiming, taken, &[]));
            tally.record("web", &change(Role::Claiming, Role::Active, Cause::Confirmed, &timeline));
        }
        tally.record("web", &change(Role::Backup, Role::Claiming, Cause::Resumed, &[]));
        tally.record("web", &change(Role::Claiming, Role::Active, Cause::Confirmed, &timeline));
        assert_eq!((unplanned(&tally), tally.groups["web"].activations), (0, 5));
        assert_eq!(tally.steps[&("whole", true)].sum(), Duration::from_millis(80));
        assert_eq!(tally.steps[&("whole", false)].count(), 1, "resumed");
        // Handed over because something is wrong: counted where it begins, not a second time where it ends.
        for cause in [Cause::Preempted, Cause::CheckFailed] {
            tally.record("web", &change(Role::Active, Role::Releasing, cause, &[]));
        }
        assert_eq!(unplanned(&tally), 2);
    }
}
