//! What somebody should know of an import, each thing said once.

use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

/// What kind of remark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Missing in the result: something that keepalived did is not done.
    Lost,
    /// Missing in the result, and not missed: havipd does it in its own way.
    OwnWay,
    /// Not said by the files: what was taken instead.
    Assumed,
    /// Cannot be known: somebody has to write it into the result.
    FillIn,
}

impl Kind {
    /// In the order in which they are told.
    pub const ALL: [Self; 4] = [Self::FillIn, Self::Lost, Self::Assumed, Self::OwnWay];

    /// Its heading.
    #[must_use]
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Lost => "not carried over",
            Self::OwnWay => "done by havipd in its own way",
            Self::Assumed => "assumed",
            Self::FillIn => "to be filled in",
        }
    }
}

/// One remark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// What kind.
    pub kind: Kind,
    /// What it is about.
    pub what: String,
    /// Why, and what to do.
    pub why: String,
    /// `file:line` of the first places, in order.
    pub places: Vec<String>,
    /// How many places there are besides.
    #[serde(skip_serializing_if = "is_zero")]
    pub more: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// All of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Notes(
    pub Vec<Note>,
    #[serde(skip)] HashMap<(Kind, String, String), usize>,
    #[serde(skip)] BTreeMap<Kind, usize>,
);

/// Places that are shown, at most.
const SHOWN: usize = 4;
/// Places that are kept, at most: a file may have a hundred thousand lines of one kind.
pub(super) const PLACES: usize = 100;

/// Remarks of one kind at most: a file of nonsense is not answered with a book.
const MOST: usize = 500;

impl Notes {
    /// Adds one; what was said already only gains a place.
    pub(super) fn add(&mut self, kind: Kind, place: Option<String>, what: impl Into<String>, why: impl Into<String>) {
        let key = (kind, shown(&what.into()), shown(&why.into()));
        let place = place.map(|place| crate::plain::line(&place));
        if let Some(note) = self.1.get(&key).and_then(|&index| self.0.get_mut(index)) {
            match place.filter(|p| !note.places.contains(p)) {
                Some(place) if note.places.len() < PLACES => note.places.push(place),
                Some(_) => note.more += 1,
                None => {}
            }
            return;
        }
        let of_kind = self.2.entry(kind).or_default();
        if *of_kind < MOST {
            *of_kind += 1;
            self.1.insert(key.clone(), self.0.len());
            self.0.push(Note { kind, what: key.1, why: key.2, places: place.into_iter().collect(), more: 0 });
        } else if *of_kind == MOST {
            *of_kind += 1;
            let why = format!("only the first {MOST} of this kind are told");
            self.0.push(Note { kind, what: "more".to_owned(), why, places: Vec::new(), more: 0 });
        }
    }

    /// Those of one kind, one a line.
    #[must_use]
    pub fn of(&self, kind: Kind) -> Vec<String> {
        self.0.iter().filter(|n| n.kind == kind).map(ToString::to_string).collect()
    }

    /// All of them under their headings, for people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for kind in Kind::ALL {
            let lines = self.of(kind);
            if !lines.is_empty() {
                let _ = write!(text, "{}:\n  {}\n", kind.heading(), lines.join("\n  "));
            }
        }
        text
    }
}

/// One line, and not nothing.
fn shown(text: &str) -> String {
    let line: String = crate::plain::line(text);
    if line.trim().is_empty() { "\"\"".to_owned() } else { line }
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)?;
        if !self.places.is_empty() {
            let shown = self.places.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
            let more = self.places.len().saturating_sub(SHOWN) + self.more;
            if more > 0 { write!(f, " ({shown} and {more} more)")? } else { write!(f, " ({shown})")? }
        }
        write!(f, ": {}", self.why)
    }
}
