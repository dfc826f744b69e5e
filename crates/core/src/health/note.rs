//! What a node tells the others of its checks: those that do not simply pass, by name.

use super::Judge;
use crate::model::ids::CheckName;
use crate::model::settings::CheckState;
use crate::model::time::Instant;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// One check that fails, has not decided yet, or flaps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckNote {
    /// Its name.
    pub name: CheckName,
    /// What it says.
    pub state: CheckState,
    /// It fails and has no weight: its node is in fault.
    pub fault: bool,
    /// It changes its state all the time.
    pub flapping: bool,
}

impl CheckNote {
    /// What there is to say of a check; nothing of one that simply passes.
    #[must_use]
    pub fn of(name: &CheckName, judge: &Judge, now: Instant) -> Option<Self> {
        let note =
            Self { name: name.clone(), state: judge.state(), fault: judge.is_fault(), flapping: judge.flaps(now) };
        (note.state != CheckState::Up || note.flapping).then_some(note)
    }

    /// What matters most goes first.
    const fn rank(&self) -> u8 {
        match self.state {
            CheckState::Down if self.fault => 0,
            CheckState::Down => 1,
            CheckState::Unknown => 2,
            CheckState::Up => 3,
        }
    }
}

impl fmt::Display for CheckNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, flaps) = (&self.name, if self.flapping { " and flaps" } else { "" });
        match self.state {
            CheckState::Down => write!(f, "{name} fails{flaps}"),
            CheckState::Unknown => write!(f, "{name} has not decided yet"),
            CheckState::Up => write!(f, "{name} flaps"),
        }
    }
}

/// Puts those that matter most first; those that matter the same stay in the order of the file.
#[must_use]
pub fn in_order(mut notes: Vec<CheckNote>) -> Arc<[CheckNote]> {
    notes.sort_by_key(CheckNote::rank);
    notes.into()
}

/// Which checks stand in the way of being active, in words that do not change with every run; empty if none does.
#[must_use]
pub fn in_the_way(notes: &[CheckNote]) -> String {
    let names = |of: &dyn Fn(&CheckNote) -> bool| {
        let names: Vec<&str> = notes.iter().filter(|note| of(note)).map(|note| note.name.as_str()).collect();
        names.join(", ")
    };
    let (failing, waiting) = (names(&|note| note.fault), names(&|note| note.state == CheckState::Unknown));
    match (failing.as_str(), waiting.as_str()) {
        ("", "") => String::new(),
        ("", _) => format!("checks that have not decided yet: {waiting}"),
        _ => format!("checks that fail: {failing}"),
    }
}

/// The notes of one group as a heartbeat carries them: as many as there is room for, and how many there are besides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckNotes {
    /// Those that are named, what matters most first.
    pub named: Vec<CheckNote>,
    /// How many more there are; 255 stands for that many or more.
    pub more: u8,
}

impl CheckNotes {
    /// Bytes that the notes of one entry may take: one with the longest name always fits. A node whose checks all fail
    /// must not crowd out what the election needs.
    pub const ROOM: usize = 96;

    /// Bytes that one note takes.
    pub(crate) fn len_of(note: &CheckNote) -> usize {
        2 + note.name.as_str().len()
    }

    /// As many of `notes`, from the first, as there is room for; `None` if there are none.
    #[must_use]
    pub fn of(notes: &[CheckNote]) -> Option<Arc<Self>> {
        let ends = notes.iter().scan(0, |end, note| {
            *end += Self::len_of(note);
            Some(*end)
        });
        let (named, more) = notes.split_at(ends.take_while(|end| *end <= Self::ROOM).count());
        let more = u8::try_from(more.len()).unwrap_or(u8::MAX);
        (!named.is_empty()).then(|| Arc::new(Self { named: named.to_vec(), more }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(name: &str, state: CheckState, fault: bool) -> CheckNote {
        CheckNote { name: name.parse().expect("a name"), state, fault, flapping: false }
    }

    #[test]
    fn what_makes_a_node_unfit_is_named_first_and_what_has_no_room_is_counted() {
        let long = |i: usize| note(&format!("{i:02}{}", "x".repeat(43)), CheckState::Unknown, false);
        let mut all: Vec<CheckNote> = (0..4).map(long).collect();
        all.push(note("slow", CheckState::Down, false));
        all.push(note("nginx", CheckState::Down, true));
        let all = in_order(all);
        let told = CheckNotes::of(&all).expect("there are some");
        let names: Vec<&str> = told.named.iter().map(|n| &n.name.as_str()[..2]).collect();
        assert_eq!((names, told.more), (vec!["ng", "sl", "00"], 3));
        assert_eq!(in_the_way(&all), "checks that fail: nginx");
        assert_eq!(CheckNotes::of(&[]), None);
    }

    #[test]
    fn the_longest_name_has_room_and_no_number_of_others_is_too_large() {
        let longest = note(&"x".repeat(63), CheckState::Down, true);
        let told = CheckNotes::of(&vec![longest; 400]).expect("there are some");
        assert_eq!((told.named.len(), told.more), (1, 255));
    }
}
