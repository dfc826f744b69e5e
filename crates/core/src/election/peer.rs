//! What is known of the other nodes: their sessions and what they said last.

use crate::model::digest::Digest;
use crate::model::ids::{BootId, NodeIndex, Target};
use crate::model::role::Role;
use crate::model::settings::Config;
use crate::model::tag::Tag;
use crate::model::time::Instant;
use crate::wire::session::{Session, SessionState, suspicion};
use crate::wire::{Entry, Flags};
use std::collections::BTreeMap;
use std::time::Duration;

/// One other node.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) node: NodeIndex,
    pub(crate) tag: Tag,
    pub(crate) session: Session,
    /// What it said last of each group.
    pub(crate) entries: BTreeMap<Tag, Entry>,
    /// The number of the datagram that said so.
    pub(crate) said: BTreeMap<Tag, u64>,
    pub(crate) digest: Option<Digest>,
    /// Since when this start of it has said so.
    pub(crate) digest_since: Instant,
    pub(crate) target: Option<Target>,
    /// It proved itself at least once since we started.
    pub(crate) met: bool,
    /// It said that it goes, and has not come back.
    pub(crate) gone: bool,
    /// It is restarting: its silence means nothing until then.
    pub(crate) returns_by: Option<Instant>,
    /// It said that it restarts, and may resume until then, whether or not it is back.
    pub(crate) expected_by: Option<Instant>,
    /// Whether this host lets us hear it.
    hearing: Hearing,
}

impl Peer {
    pub(crate) fn new(config: &Config, node: NodeIndex, now: Instant, boot: BootId) -> Self {
        let heartbeat = &config.heartbeat;
        Self {
            node,
            tag: Tag::node(&config.node(node).name),
            session: Session::new(now, boot, heartbeat.dead_multiplier, heartbeat.interval),
            entries: BTreeMap::new(),
            said: BTreeMap::new(),
            digest: None,
            digest_since: Instant::default(),
            target: None,
            met: false,
            gone: false,
            returns_by: None,
            expected_by: None,
            hearing: Hearing::default(),
        }
    }

    /// Heard and hears us.
    pub(crate) fn up(&self, now: Instant) -> bool {
        self.session.state(now) == SessionState::Up
    }

    /// Heard, whether or not it hears us: it may be broken, it is not dead.
    pub(crate) fn alive(&self, now: Instant) -> bool {
        matches!(self.session.state(now), SessionState::Up | SessionState::OneWay) || self.returning(now)
    }

    /// Silent by its own word.
    pub(crate) fn returning(&self, now: Instant) -> bool {
        self.returns_by.is_some_and(|t| now < t)
    }

    /// One heartbeat or more is missing.
    pub(crate) fn suspected(&self, now: Instant) -> bool {
        !self.up(now) || self.session.suspected_at().is_some_and(|at| now >= at)
    }

    /// It is not known to have heard us within a dead time: it may have given us up, and what we hear of it may be of before.
    pub(crate) fn may_have_given_us_up(&self, now: Instant) -> bool {
        !self.up(now) || self.session.last_echoed().is_none_or(|sent| now >= sent + self.session.dead_time())
    }

    /// What it says may be of long ago: it has not heard us for two dead times. Who takes over since it does not hear us says so
    /// when it has not for one, and needs no second to say it.
    pub(crate) fn may_be_of_the_past(&self, now: Instant) -> bool {
        self.session.last_echoed().is_some_and(|sent| now >= sent + self.session.dead_time() * 2)
    }

    /// What it says of a group, if it is alive.
    pub(crate) fn says(&self, group: Tag, now: Instant) -> Option<&Entry> {
        self.entries.get(&group).filter(|_| self.alive(now))
    }

    /// It has, or is just taking, leadership in a group.
    pub(crate) fn owns(&self, group: Tag, now: Instant) -> Option<&Entry> {
        self.says(group, now).filter(|e| e.role.has_leadership() && !e.flags.has(Flags::ISOLATED))
    }

    /// It gives leadership in a group away.
    pub(crate) fn releases(&self, group: Tag, now: Instant) -> Option<&Entry> {
        self.says(group, now).filter(|e| e.role == Role::Releasing)
    }
}

/// What every group goes by of a peer, but for what it says of the group itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    state: SessionState,
    suspected: bool,
    dead_time: Duration,
    digest: Option<Digest>,
    gone: bool,
    returns: bool,
}

impl Peer {
    /// As it is now.
    pub(crate) fn standing(&self, now: Instant) -> Standing {
        Standing {
            state: self.session.state(now),
            suspected: self.suspected(now),
            dead_time: self.session.dead_time(),
            digest: self.digest,
            gone: self.gone,
            returns: self.returns_by.is_some(),
        }
    }
}

/// How this node hears one peer, as far as this host itself goes.
#[derive(Debug, Default)]
pub(crate) struct Hearing {
    /// Why it cannot, and since when.
    deaf: Option<(Instant, String)>,
    /// The peer's silence counts no sooner.
    counts_from: Instant,
    /// The silence that was listened to from its beginning again, by when the peer was heard last before it.
    listened_to: Option<Option<Instant>>,
}

impl Peer {
    /// A node that can hear again listens for a whole dead time; but once in a silence, for a path that comes and goes must not keep
    /// it waiting for a dead peer for ever: then it is the time in which the next heartbeat would come.
    pub(super) fn note_hearing(&mut self, now: Instant, deaf: Option<String>) {
        let was = self.hearing.deaf.take();
        if was.is_some() && deaf.is_none() {
            let heard = Some(self.session.last_heard());
            let again = self.hearing.listened_to == heard;
            let listen = if again { suspicion(self.session.peer_interval()) } else { self.session.dead_time() };
            self.hearing.listened_to = heard;
            self.hearing.counts_from = self.hearing.counts_from.max(now + listen);
        }
        self.hearing.deaf = deaf.map(|why| (was.map_or(now, |(since, _)| since), why));
    }

    /// Nobody read here between `last_turn` and `now`. ⚠ Its word that it lives may wait to be read, also if it was dead before: a
    /// claim that was about to come waits for its next heartbeat. (I12, seed 59355)
    pub(super) fn hear_out(&mut self, last_turn: Instant, now: Instant) {
        if self.session.hear_out(last_turn, now) {
            let listened = now + suspicion(self.session.peer_interval());
            self.hearing.counts_from = self.hearing.counts_from.max(listened);
        }
    }

    /// What we say does not reach it: by what it says itself, or since this host refuses to send it.
    pub(crate) fn cannot_hear_us(&self, now: Instant) -> bool {
        self.hearing.deaf.is_some() || self.session.state(now) == SessionState::OneWay
    }

    /// Since when, and why, this node can neither hear it nor be sure to be heard, if it is silent.
    pub(crate) fn unheard(&self, now: Instant) -> Option<(Instant, &str)> {
        let (since, why) = self.hearing.deaf.as_ref().filter(|_| !self.alive(now) && !self.gone)?;
        Some((*since, why))
    }

    /// From when on its silence counts, as far as this host's own paths go.
    pub(crate) fn listened_from(&self) -> Instant {
        self.hearing.counts_from
    }
}

/// All other nodes.
#[derive(Debug)]
pub(crate) struct Peers {
    by_node: Vec<Option<Peer>>,
    /// Of every node of the configuration, ours too: each datagram has several, and a tag is a hash.
    tags: Vec<Tag>,
    me: Tag,
}

impl Peers {
    pub(crate) fn new(config: &Config, now: Instant, boot: BootId) -> Self {
        let peer = |i| (NodeIndex(i) != config.local).then(|| Peer::new(config, NodeIndex(i), now, boot));
        let tags: Vec<Tag> = config.nodes.iter().map(|n| Tag::node(&n.name)).collect();
        Self { by_node: (0..config.nodes.len()).map(peer).collect(), me: tags[config.local.0], tags }
    }

    /// The tag of this node.
    pub(crate) fn me(&self) -> Tag {
        self.me
    }

    /// The tag of any node.
    pub(crate) fn tag(&self, node: NodeIndex) -> Tag {
        self.tags.get(node.0).copied().unwrap_or(Tag::NONE)
    }

    pub(crate) fn of(&self, node: NodeIndex) -> Option<&Peer> {
        self.by_node.get(node.0)?.as_ref()
    }

    pub(crate) fn of_mut(&mut self, node: NodeIndex) -> Option<&mut Peer> {
        self.by_node.get_mut(node.0)?.as_mut()
    }

    pub(crate) fn by_tag(&self, tag: Tag) -> Option<NodeIndex> {
        self.iter().find(|p| p.tag == tag).map(|p| p.node)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.by_node.iter().flatten()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Peer> {
        self.by_node.iter_mut().flatten()
    }
}
