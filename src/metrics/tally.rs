//! What becomes of claims, counted from the transitions that the core records.

use crate::election::action::{Step, Transition};
use crate::election::role::Role;
use crate::histogram::Histogram;
use std::collections::BTreeMap;

/// Counts since the start.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    groups: BTreeMap<String, Group>,
    /// Steps of claims that were won, and `whole`.
    pub(super) steps: BTreeMap<&'static str, Histogram>,
}

/// Of one group.
#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    pub(super) activations: u64,
    /// By cause and result. Both are of closed lists, so this stays small.
    pub(super) claims: BTreeMap<(String, String), u64>,
    /// Why the claim that runs began.
    claiming: Option<String>,
}

impl Tally {
    /// Counts a change of role.
    pub fn record(&mut self, group: &str, transition: &Transition) {
        let Transition { from, to, cause, timeline, .. } = transition;
        let entry = self.groups.entry(group.to_owned()).or_default();
        entry.activations += u64::from(*to == Role::Active);
        if *from == Role::Claiming {
            let began = entry.claiming.take().unwrap_or_else(|| "unknown".to_owned());
            let result = if *to == Role::Active { "won".to_owned() } else { cause.as_str() };
            *entry.claims.entry((began, result)).or_default() += 1;
        }
        match to {
            Role::Claiming => entry.claiming = Some(cause.as_str()),
            Role::Active if *from == Role::Claiming => self.time(timeline),
            _ => {}
        }
    }

    /// Forgets groups that are not there any more.
    pub fn retain(&mut self, known: impl Fn(&str) -> bool) {
        self.groups.retain(|name, _| known(name));
    }

    pub(super) fn group(&self, name: &str) -> Option<&Group> {
        self.groups.get(name)
    }

    fn time(&mut self, timeline: &[Step]) {
        for pair in timeline.windows(2) {
            if let Some(step) = name_of(&pair[1].what) {
                self.steps.entry(step).or_default().observe(pair[1].at.since(pair[0].at));
            }
        }
        if let (Some(first), Some(last)) = (timeline.first(), timeline.last()) {
            self.steps.entry("whole").or_default().observe(last.at.since(first.at));
        }
    }
}

/// Which step of a claim ends with this entry of its timeline.
fn name_of(what: &str) -> Option<&'static str> {
    let steps = [("claiming (", "majority"), ("write answered", "write"), ("write failed", "write-failed")];
    let more = [("read back", "read"), ("read failed", "read-failed")];
    steps.into_iter().chain(more).find(|(begin, _)| what.starts_with(begin)).map(|(_, step)| step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::election::role::Cause;
    use crate::ids::{Epoch, GroupIndex};
    use crate::time::Instant;
    use std::time::Duration;

    fn change(from: Role, to: Role, cause: Cause, timeline: &[(u64, &str)]) -> Transition {
        let timeline = timeline.iter().map(|(ms, what)| Step { at: Instant::from_millis(*ms), what: (*what).into() });
        let (at, group, epoch) = (Instant::from_millis(99), GroupIndex(0), Epoch(1));
        let timeline = timeline.collect();
        Transition { at, group, from, to, epoch, cause, detail: String::new(), peer: None, timeline }
    }

    #[test]
    fn a_claim_is_counted_by_how_it_began_and_ended() {
        let mut tally = Tally::default();
        let steps = [
            (10, "asks a majority for epoch 2 (peer-dead)"),
            (12, "claiming (peer-dead)"),
            (20, "write answered"),
            (90, "read back: holder i-b"),
            (90, "active (confirmed)"),
        ];
        for transition in [
            change(Role::Backup, Role::Claiming, Cause::PeerDead, &[]),
            change(Role::Claiming, Role::Active, Cause::Confirmed, &steps),
            change(Role::Active, Role::Backup, Cause::Drained, &[]),
            change(Role::Backup, Role::Claiming, Cause::NoActive, &[]),
            change(Role::Claiming, Role::Backup, Cause::LostRace, &[]),
        ] {
            tally.record("web", &transition);
        }
        let web = tally.group("web").expect("counted");
        assert_eq!(web.activations, 1);
        let claims: Vec<_> =
            web.claims.iter().map(|((cause, result), n)| (cause.as_str(), result.as_str(), *n)).collect();
        assert_eq!(claims, [("no-active", "lost-race", 1), ("peer-dead", "won", 1)]);
        let sums: Vec<_> = tally.steps.iter().map(|(step, h)| (*step, h.sum())).collect();
        let ms = Duration::from_millis;
        assert_eq!(sums, [("majority", ms(2)), ("read", ms(70)), ("whole", ms(80)), ("write", ms(8))]);
        tally.retain(|name| name != "web");
        assert!(tally.group("web").is_none());
    }
}
