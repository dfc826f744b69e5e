//! What a session says of datagrams and of its peer.

use super::PathStats;
use crate::model::histogram::Histogram;
use serde::{Deserialize, Serialize};

/// What a datagram was worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It is the peer's word: take it.
    Counts {
        /// The session began with it, or began again with another boot.
        proven: bool,
    },
    /// Later ones of the same boot were heard first. It says nothing of the session any more, but of groups that those did not
    /// speak of: a heartbeat may take several datagrams.
    Late,
    /// It only taught us a boot; answer soon, so that it can prove itself.
    Candidate,
    /// It changed nothing.
    Dropped(Reason),
}

/// Why a datagram changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Its number was seen before, or is too old to tell.
    Replayed,
    /// A copy that came over another path, or one that later ones overtook, that names another boot of ours.
    Overtaken,
    /// It names another boot of ours, or none, and is not worth an answer.
    StaleEcho,
    /// It is for another node. Found by the caller.
    WrongReceiver,
    /// Its sender is no peer. Found by the caller.
    UnknownSender,
    /// It echoes a number that this boot never sent: another one runs with our boot id.
    ImpossibleEcho,
}

/// What is known of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionState {
    /// Heard and echoed within the dead time.
    Up,
    /// Heard, but it does not hear us. It is alive.
    OneWay,
    /// Silent for a dead time, or it said that it is gone.
    Down,
    /// Not proven since our start.
    Unproven,
}

impl SessionState {
    /// The word of JSON and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::OneWay => "one-way",
            Self::Down => "down",
            Self::Unproven => "unproven",
        }
    }
}

/// Counters, all since our start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionStats {
    /// Datagrams that counted.
    pub counted: u64,
    /// Boots that proved themselves.
    pub proven: u64,
    /// [`Verdict::Candidate`].
    pub candidates: u64,
    /// [`Reason::Replayed`].
    pub replayed: u64,
    /// [`Verdict::Late`] and [`Reason::Overtaken`]: usual, no cause for alarm.
    pub overtaken: u64,
    /// [`Reason::StaleEcho`].
    pub stale_echo: u64,
    /// [`Reason::WrongReceiver`].
    pub wrong_receiver: u64,
    /// [`Reason::UnknownSender`].
    pub unknown_sender: u64,
    /// [`Reason::ImpossibleEcho`].
    pub impossible_echo: u64,
    /// From sending a datagram until its echo came, which waits for the peer's next one.
    #[serde(default)]
    pub echo: Histogram,
    /// Per address of ours.
    pub paths: Vec<PathStats>,
}

impl SessionStats {
    pub(super) fn count(&mut self, verdict: Verdict) {
        let counter = match verdict {
            Verdict::Counts { proven } => {
                self.proven += u64::from(proven);
                &mut self.counted
            }
            Verdict::Late => &mut self.overtaken,
            Verdict::Candidate => &mut self.candidates,
            Verdict::Dropped(Reason::Replayed) => &mut self.replayed,
            Verdict::Dropped(Reason::Overtaken) => &mut self.overtaken,
            Verdict::Dropped(Reason::StaleEcho) => &mut self.stale_echo,
            Verdict::Dropped(Reason::WrongReceiver) => &mut self.wrong_receiver,
            Verdict::Dropped(Reason::UnknownSender) => &mut self.unknown_sender,
            Verdict::Dropped(Reason::ImpossibleEcho) => &mut self.impossible_echo,
        };
        *counter += 1;
    }
}
