//! What keepalived says, as data: its notify commands and the lines of its FIFO.
//!
//! ```text
//!   INSTANCE "VI_1" MASTER 150          as keepalived writes it to vrrp_notify_fifo
//!   GROUP "VG web" BACKUP 0             a sync group; names are quoted and may have spaces
//!   INSTANCE VI_1 MASTER_RX_LOWER_PRI 150   as words of a notify command
//! ```
//! Source: keepalived.conf(5) of 2.2, "notify" and "vrrp_notify_fifo". A line that is none of these
//! (virtual servers share the FIFO when `notify_fifo` is used) is no error of anybody.

mod lines;

pub use lines::{Lines, MAX_LINE};

use super::plain;
use super::plain::quote;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Longest name of an instance or a sync group.
pub const MAX_NAME: usize = 255;

/// Of what keepalived tells a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Kind {
    /// One `vrrp_instance`.
    Instance,
    /// One `vrrp_sync_group`.
    Group,
}

/// An instance or a sync group, by the name that keepalived.conf gives it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Vrrp {
    /// Which of the two.
    pub kind: Kind,
    /// Its name, without quotes.
    pub name: String,
}

/// A state of keepalived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// Elected.
    Master,
    /// Another router is.
    Backup,
    /// A tracked script, interface or file fails.
    Fault,
    /// keepalived ends, or has ended.
    Stop,
    /// A reload removed it from keepalived.conf.
    Deleted,
}

/// What one line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// It changed to this state, or keepalived says it again.
    Is(State),
    /// It stays in this state; its priority changed.
    Stays(State),
    /// It is master and heard a router of lower priority that takes itself for master: a split has ended, and we
    /// are the one who stays.
    HeardLower,
}

/// One line, or one notify command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Who.
    pub vrrp: Vrrp,
    /// What.
    pub word: Word,
    /// The VRRP priority, where keepalived gives one.
    pub priority: Option<u8>,
}

/// Why something is not a notice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoticeError {
    /// Neither an instance nor a sync group.
    #[error("{} is neither INSTANCE nor GROUP", quote(.0))]
    Kind(String),
    /// No name, or none that keepalived could have.
    #[error("a name of 1 to {MAX_NAME} characters without quotes or line breaks is needed, not {}", quote(.0))]
    Name(String),
    /// A state that this version does not know.
    #[error("{} is not a state of keepalived", quote(.0))]
    State(String),
    /// A priority that is not a number from 0 to 255.
    #[error("{} is not a priority from 0 to 255", quote(.0))]
    Priority(String),
    /// Not text, or too long.
    #[error("not a line of text of at most {MAX_LINE} bytes")]
    Line,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Instance, Self::Group];

    /// keepalived's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Instance => "INSTANCE",
            Self::Group => "GROUP",
        }
    }
}

impl FromStr for Kind {
    type Err = NoticeError;
    fn from_str(word: &str) -> Result<Self, NoticeError> {
        Self::ALL.into_iter().find(|k| k.as_str() == word).ok_or_else(|| NoticeError::Kind(word.to_owned()))
    }
}

impl State {
    /// keepalived's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Master => "MASTER",
            Self::Backup => "BACKUP",
            Self::Fault => "FAULT",
            Self::Stop => "STOP",
            Self::Deleted => "DELETED",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Word {
    const ALL: [Self; 8] = [
        Self::Is(State::Master),
        Self::Is(State::Backup),
        Self::Is(State::Fault),
        Self::Is(State::Stop),
        Self::Is(State::Deleted),
        Self::Stays(State::Master),
        Self::Stays(State::Backup),
        Self::HeardLower,
    ];

    /// keepalived's word; for a state that cannot "stay", the state's own.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stays(State::Master) => "MASTER_PRIORITY",
            Self::Stays(State::Backup) => "BACKUP_PRIORITY",
            Self::HeardLower => "MASTER_RX_LOWER_PRI",
            Self::Is(state) | Self::Stays(state) => state.as_str(),
        }
    }

    /// The state that it leaves keepalived in.
    #[must_use]
    pub const fn state(self) -> State {
        match self {
            Self::Is(state) | Self::Stays(state) => state,
            Self::HeardLower => State::Master,
        }
    }

    /// Whether keepalived has just decided, so that a MASTER counts against the node that is active now.
    #[must_use]
    pub const fn decides(self) -> bool {
        !matches!(self, Self::Stays(_))
    }
}

impl FromStr for Word {
    type Err = NoticeError;
    fn from_str(word: &str) -> Result<Self, NoticeError> {
        Self::ALL.into_iter().find(|w| w.as_str() == word).ok_or_else(|| NoticeError::State(word.to_owned()))
    }
}

impl Vrrp {
    /// A name that keepalived could have.
    ///
    /// # Errors
    /// It could not.
    pub fn new(kind: Kind, name: &str) -> Result<Self, NoticeError> {
        let odd = |c: char| c.is_control() || c == '"';
        if name.trim().is_empty() || name.len() > MAX_NAME || name.contains(odd) {
            return Err(NoticeError::Name(name.chars().take(MAX_NAME).collect()));
        }
        Ok(Self { kind, name: name.to_owned() })
    }
}

/// As havipd.toml writes it: `NAME`, or `GROUP:NAME` for a sync group.
impl FromStr for Vrrp {
    type Err = NoticeError;
    fn from_str(text: &str) -> Result<Self, NoticeError> {
        match text.strip_prefix("GROUP:") {
            Some(name) => Self::new(Kind::Group, name),
            None => Self::new(Kind::Instance, text),
        }
    }
}

impl Vrrp {
    /// As people read it: keepalived takes any name, also one that turns the direction of writing.
    #[must_use]
    pub fn shown(&self) -> String {
        plain::line(&self.to_string())
    }
}

/// As havipd.toml writes it.
impl fmt::Display for Vrrp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Instance => f.write_str(&self.name),
            Kind::Group => write!(f, "GROUP:{}", self.name),
        }
    }
}

impl Notice {
    /// From the words of a notify command: TYPE NAME STATE and perhaps PRIORITY.
    ///
    /// # Errors
    /// Which word is wrong.
    pub fn from_words(kind: &str, name: &str, state: &str, priority: Option<&str>) -> Result<Self, NoticeError> {
        let name = name.strip_prefix('"').and_then(|n| n.strip_suffix('"')).unwrap_or(name);
        let vrrp = Vrrp::new(kind.parse()?, name)?;
        let number = |p: &str| p.parse().map_err(|_| NoticeError::Priority(p.to_owned()));
        Ok(Self { vrrp, word: state.parse()?, priority: priority.map(number).transpose()? })
    }

    /// From one line of the FIFO, without its line break. Where a line was cut off and the next one follows in its
    /// place, the next one counts.
    ///
    /// # Errors
    /// Why it says nothing to us.
    pub fn from_line(line: &[u8]) -> Result<Self, NoticeError> {
        let text = std::str::from_utf8(line).ok().filter(|l| l.len() <= MAX_LINE).ok_or(NoticeError::Line)?;
        whole(text.trim()).or_else(|why| {
            let begins = Kind::ALL.iter().filter_map(|k| text.rfind(&format!("{} \"", k.as_str())));
            begins.max().filter(|at| *at > 0).and_then(|at| whole(text[at..].trim()).ok()).ok_or(why)
        })
    }

    /// The line of the FIFO that says this, without its line break.
    #[must_use]
    pub fn line(&self) -> String {
        let (kind, name, word) = (self.vrrp.kind.as_str(), &self.vrrp.name, self.word.as_str());
        match self.priority {
            Some(priority) => format!("{kind} \"{name}\" {word} {priority}"),
            None => format!("{kind} \"{name}\" {word}"),
        }
    }
}

/// A line that is nothing but a notice.
fn whole(line: &str) -> Result<Notice, NoticeError> {
    let (kind, rest) = line.split_once([' ', '\t']).ok_or_else(|| NoticeError::Kind(line.to_owned()))?;
    kind.parse::<Kind>()?;
    let rest = rest.trim_start();
    let (name, rest) = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"'),
        None => rest.split_once([' ', '\t']),
    }
    .ok_or_else(|| NoticeError::Name(rest.to_owned()))?;
    let mut words = rest.split_whitespace();
    let state = words.next().ok_or_else(|| NoticeError::State(String::new()))?;
    let priority = words.next();
    if let Some(more) = words.next() {
        return Err(NoticeError::State(more.to_owned()));
    }
    Notice::from_words(kind, name, state, priority)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(line: &str) -> Result<Notice, NoticeError> {
        Notice::from_line(line.as_bytes())
    }

    fn notice(kind: Kind, name: &str, word: Word, priority: Option<u8>) -> Notice {
        Notice { vrrp: Vrrp { kind, name: name.into() }, word, priority }
    }

    #[test]
    fn every_word_of_the_grammar() {
        for word in Word::ALL {
            for (kind, tag) in [(Kind::Instance, "INSTANCE"), (Kind::Group, "GROUP")] {
                let line = format!("{tag} \"VI_1\" {} 150", word.as_str());
                assert_eq!(read(&line), Ok(notice(kind, "VI_1", word, Some(150))), "{line}");
                let words = Notice::from_words(tag, "VI_1", word.as_str(), Some("150"));
                assert_eq!(words, Ok(notice(kind, "VI_1", word, Some(150))));
            }
        }
        assert_eq!(Word::HeardLower.state(), State::Master);
        assert!(!Word::Stays(State::Master).decides() && Word::HeardLower.decides());
    }

    #[test]
    fn names_may_be_quoted_and_have_spaces() {
        let master = Word::Is(State::Master);
        assert_eq!(read("INSTANCE \"a b\" MASTER 0"), Ok(notice(Kind::Instance, "a b", master, Some(0))));
        assert_eq!(read("  GROUP VG_1\tMASTER  "), Ok(notice(Kind::Group, "VG_1", master, None)));
        assert_eq!(
            Notice::from_words("GROUP", "\"x y\"", "MASTER", None),
            Ok(notice(Kind::Group, "x y", master, None))
        );
    }

    #[test]
    fn what_is_none_of_it_is_refused() {
        let long = format!("INSTANCE \"{}\" MASTER 1", "x".repeat(MAX_LINE));
        for line in [
            "",
            "INSTANCE",
            "INSTANCE \"VI_1\"",
            "INSTANCE \"VI_1",
            "INSTANCE \"\" MASTER 1",
            "instance \"VI_1\" MASTER 1",
            "INSTANCE \"VI_1\" master 1",
            "INSTANCE \"VI_1\" MASTER 256",
            "INSTANCE \"VI_1\" MASTER -1",
            "INSTANCE \"VI_1\" MASTER 1 2",
            "INSTANCE \"VI_1\" MAST",
            "VS [10.0.0.1]:tcp:80 UP",
            &long,
        ] {
            assert!(read(line).is_err(), "{line}");
        }
        assert!(Notice::from_line(b"INSTANCE \"\xff\" MASTER 1").is_err());
    }

    #[test]
    fn a_line_that_was_cut_off_does_not_swallow_the_next() {
        let backup = Ok(notice(Kind::Instance, "VI_1", Word::Is(State::Backup), Some(100)));
        for cut in ["INST", "INSTANCE \"VI", "INSTANCE \"VI_1\" MAS", "GROUP \"g\" MASTER 1"] {
            assert_eq!(read(&format!("{cut}INSTANCE \"VI_1\" BACKUP 100")), backup, "{cut}");
        }
    }

    #[test]
    fn a_name_that_turns_the_writing_is_one_and_is_shown_as_it_is() {
        let name = "web\u{202e}revo\u{2066}\u{200f}";
        let vrrp = Vrrp::new(Kind::Group, name).expect("keepalived has it");
        assert_eq!((vrrp.name.as_str(), vrrp.shown().as_str()), (name, "GROUP:web\u{fffd}revo\u{fffd}\u{fffd}"));
        let wrong = NoticeError::State(name.to_owned()).to_string();
        assert!(!wrong.contains(plain::is_odd), "{wrong}");
    }

    #[test]
    fn configured_names() {
        assert_eq!("VI_1".parse(), Ok(Vrrp { kind: Kind::Instance, name: "VI_1".into() }));
        assert_eq!("GROUP:VG".parse(), Ok(Vrrp { kind: Kind::Group, name: "VG".into() }));
        for wrong in ["", "GROUP:", "a\"b", "a\nb", &"x".repeat(256)] {
            assert!(wrong.parse::<Vrrp>().is_err(), "{wrong:?}");
        }
    }

    fn any_notice() -> impl Strategy<Value = Notice> {
        let name = "[^\"\\x00-\\x1f\\x7f-\\x9f]{0,20}[A-Za-z0-9_]";
        let word = prop::sample::select(Word::ALL.to_vec());
        (any::<bool>(), name, word, prop::option::of(any::<u8>())).prop_map(|(group, name, word, priority)| {
            let kind = if group { Kind::Group } else { Kind::Instance };
            Notice { vrrp: Vrrp { kind, name }, word, priority }
        })
    }

    proptest! {
        #[test]
        fn a_notice_survives_its_line(notice in any_notice()) {
            prop_assert_eq!(Notice::from_line(notice.line().as_bytes()), Ok(notice));
        }

        #[test]
        fn how_it_is_cut_into_reads_does_not_matter(
            notices in prop::collection::vec(any_notice(), 0..8),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let text: String = notices.iter().map(|n| n.line() + "\n").collect();
            let mut at: Vec<usize> = cuts.iter().map(|c| c.index(text.len() + 1)).collect();
            at.extend([0, text.len()]);
            at.sort_unstable();
            let mut lines = Lines::default();
            let read: Vec<Notice> = at
                .windows(2)
                .flat_map(|w| lines.push(&text.as_bytes()[w[0]..w[1]]))
                .map(|line| Notice::from_line(&line.expect("short")).expect("ours"))
                .collect();
            prop_assert_eq!(read, notices);
            prop_assert!(!lines.ended());
        }

        #[test]
        fn anything_at_all_is_a_notice_that_says_the_same_again_or_an_error(line in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(notice) = Notice::from_line(&line) {
                prop_assert_eq!(Notice::from_line(notice.line().as_bytes()), Ok(notice));
            }
        }
    }
}
