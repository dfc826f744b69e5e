//! The layout of every datagram, version 1. All numbers are big-endian.
//!
//! ```text
//!  byte 0        1        2        3        4        5        6        7
//!      +--------+--------+--------+--------+--------+--------+--------+--------+
//!    0 |   'H'      'V'      'I'      'P'  |version | type   | key id | newer  |  every datagram
//!    8 |                            sender tag                                 |
//!   16 |                           receiver tag                                |
//!      +=======================================================================+
//!   24 |                         sender's boot id (16)                         |  type 1: heartbeat
//!   40 |                          sequence number                              |
//!   48 |                     echo: receiver's boot id (16)                     |
//!   64 |                  echo: highest sequence number heard                  |
//!   72 |                        configuration digest (16)                      |
//!   88 |        interval, microseconds     |leaving | path   |entries | keys   |
//!   96 |                       uptime, milliseconds                            |
//!  104 |    keep-for, microseconds         |  key ids accepted, zero-filled ...|
//!  112 |  ... (8 in all)                   | target | length |   0        0    |
//!      +-----------------------------------+--------+--------+-----------------+
//!  120 | target id, `length` bytes of ASCII; then the entries, without padding |
//!      +-----------------------------------------------------------------------+
//!
//!      +--------+--------+--------+--------+--------+--------+--------+--------+
//!   +0 |                             group tag                                 |  each entry
//!   +8 |  role  |priority|    effective    |      flags      | parts  |   0    |
//!  +16 |                               epoch                                   |
//!  +24 |                         highest epoch seen                            |
//!  +32 | parts bit 0: successor tag (8)                                        |
//!   .. | parts bit 1: lease asked for, microseconds (4)                        |
//!   .. | parts bit 2: grant: node tag (8), boot id (16), epoch (8), number (8) |
//!   .. | parts bit 3: number of the last change of maintenance (4), never zero |
//!   .. | parts bit 4: checks that do not simply pass: how many are named (1),  |
//!      | how many more (1); of each named one: state (1), length (1), name     |
//!      +-----------------------------------------------------------------------+
//!
//!      +=======================================================================+
//!   24 |                             nonce (16)                                |  types 2 and 3: fabric
//!   40 |                             HAVIP tag                                 |  probe and its answer
//!   48 |               node tag: who received it (question: 0)                 |
//!      +=======================================================================+
//!   24 |                         sender's boot id (16)                         |  types 4 and 5: a command
//!   40 |                     echo: receiver's boot id (16)                     |  that is forwarded, and the
//!   56 |                  echo: highest sequence number heard                  |  answer to it
//!   64 |                         number of the command                         |
//!   72 |  part  | parts  |     length      |                 0                 |
//!      +-----------------+-----------------+-----------------------------------+
//!   80 | the command, or one part of the answer: `length` bytes                |
//!      +=======================================================================+
//!  end |              HMAC-SHA256 over all before it (32), see `auth`          |  every datagram
//!      +-----------------------------------------------------------------------+
//! ```
//!
//! The tag is checked before anything but the header is looked at, and of the header only what can refuse a datagram: length,
//! magic, version, sender, receiver and key id, in that order. What comes after is still read strictly: bytes marked 0, unknown codes, and anything left over are refused, so a
//! datagram has exactly one meaning and one encoding. The exceptions are `flags`, whose unknown bits
//! are kept and mean nothing: a later release may add facts that an earlier one can do without; and, in
//! heartbeats, `newer`: how many versions beyond this one the sender reads. A release that has two
//! versions begins in the earlier one, so nodes of both talk to each other during an upgrade.
//! Everything else needs another version number.

use super::auth::{KeyRing, TAG_LEN};
use super::cursor::{Cursor, Malformed, micros};
use super::{Datagram, Digest, Echo, Entry, Forwarded, Heartbeat, Leaving, Probe, Tag, entry};
use crate::model::ids::{BootId, ClusterName, KeyId, Target};
use std::time::Duration;

/// No datagram is longer: it then fits any path of IPv6 (RFC 8200: 1,280 bytes) with its headers.
pub const MAX_DATAGRAM: usize = 1200;
/// More entries than this do not fit, whatever is in them.
pub const MAX_ENTRIES: usize = (MAX_DATAGRAM - FIXED_LEN - TAG_LEN) / entry::MIN_LEN;
/// A heartbeat names at most this many accepted keys.
pub const MAX_KEYS: usize = 8;
/// A command that is forwarded, and one part of an answer, is no longer.
pub const MAX_BODY: usize = MAX_DATAGRAM - FORWARDED_LEN - TAG_LEN;
/// An answer has no more parts.
pub const MAX_PARTS: u8 = 64;

const MAGIC: [u8; 4] = *b"HVIP";
const VERSION: u8 = 1;
const HEADER_LEN: usize = 24;
const FIXED_LEN: usize = 120;
const FORWARDED_LEN: usize = 80;

const TYPE_HEARTBEAT: u8 = 1;
const TYPE_PROBE: u8 = 2;
const TYPE_PROBE_ANSWER: u8 = 3;
const TYPE_COMMAND: u8 = 4;
const TYPE_ANSWER: u8 = 5;

/// Why a datagram cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The ring has no such key.
    #[error("there is no heartbeat key {}", .0.0)]
    UnknownKey(KeyId),
    /// It would be longer than [`MAX_DATAGRAM`].
    #[error("a datagram of {0} bytes is longer than {MAX_DATAGRAM}")]
    TooLong(usize),
    /// A field holds what the layout cannot carry.
    #[error("{0} cannot be put into a datagram")]
    OutOfRange(&'static str),
}

/// Why bytes are not a datagram of this cluster. Nothing of it may be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Too short, too long, or without the magic.
    #[error("{0} bytes that are no datagram of havipd")]
    Foreign(usize),
    /// Of another version.
    #[error("version {0} is not supported")]
    Version(u8),
    /// Made with a key that this node does not accept.
    #[error("heartbeat key {} is not accepted here", .0.0)]
    UnknownKey(KeyId),
    /// Another key, another cluster, or changed on the way.
    #[error("the tag does not verify with key {}", .0.0)]
    BadTag(KeyId),
    /// Made by somebody with the key, but not to this layout.
    #[error("{0} is malformed")]
    Malformed(&'static str),
}

impl From<Malformed> for DecodeError {
    fn from(Malformed(field): Malformed) -> Self {
        Self::Malformed(field)
    }
}

/// How many of `entries`, from the first, fit into one heartbeat of a sender with this `target`.
///
/// At least one always does.
#[must_use]
pub fn entries_that_fit(target: Option<&Target>, entries: &[Entry]) -> usize {
    let room = MAX_DATAGRAM - FIXED_LEN - TAG_LEN - target.map_or(0, |target| target.id().len());
    let ends = entries.iter().scan(0, |end, entry| {
        *end += entry::len(entry);
        Some(*end)
    });
    ends.take_while(|end| *end <= room).count()
}

/// The bytes of `heartbeat`, sealed with its `key`.
///
/// Durations are cut to the unit of their field.
///
/// # Errors
/// [`EncodeError`]; nothing that the core makes of a checked configuration leads to one, as long as it
/// asks [`entries_that_fit`].
pub fn encode(heartbeat: &Heartbeat, keys: &KeyRing, cluster: &ClusterName) -> Result<Vec<u8>, EncodeError> {
    let hb = heartbeat;
    check(hb)?;
    let mut out = header(TYPE_HEARTBEAT, hb.key, hb.newer, hb.sender, hb.receiver);
    out.extend_from_slice(&hb.boot.0);
    out.extend_from_slice(&hb.seq.to_be_bytes());
    out.extend_from_slice(&hb.echo.boot.0);
    out.extend_from_slice(&hb.echo.seq.to_be_bytes());
    out.extend_from_slice(&hb.digest.0);
    out.extend_from_slice(&micros(hb.interval).ok_or(EncodeError::OutOfRange("the interval"))?);
    let (leaving, keep_for) = match hb.leaving {
        Leaving::No => (0, Duration::ZERO),
        Leaving::Restarting(keep_for) => (1, keep_for),
        Leaving::Gone => (2, Duration::ZERO),
    };
    let entries = u8::try_from(hb.entries.len()).map_err(|_| EncodeError::OutOfRange("the number of entries"))?;
    out.extend_from_slice(&[leaving, hb.path, entries, hb.accepts.len() as u8]);
    let uptime = u64::try_from(hb.uptime.as_millis()).map_err(|_| EncodeError::OutOfRange("the uptime"))?;
    out.extend_from_slice(&uptime.to_be_bytes());
    out.extend_from_slice(&micros(keep_for).ok_or(EncodeError::OutOfRange("keep-for"))?);
    let mut accepts = [0; MAX_KEYS];
    accepts.iter_mut().zip(&hb.accepts).for_each(|(slot, key)| *slot = key.0);
    out.extend_from_slice(&accepts);
    let (kind, id) = match &hb.target {
        None => (0, ""),
        Some(Target::Instance(id)) => (1, id.as_str()),
        Some(Target::Eni(id)) => (2, id.as_str()),
    };
    let id_len = u8::try_from(id.len()).map_err(|_| EncodeError::OutOfRange("the target"))?;
    out.extend_from_slice(&[kind, id_len, 0, 0]);
    out.extend_from_slice(id.as_bytes());
    for entry in &hb.entries {
        entry::put(&mut out, entry).map_err(EncodeError::OutOfRange)?;
    }
    seal(out, hb.key, keys, cluster)
}

/// The bytes of a fabric probe, or of the answer to one.
///
/// # Errors
/// [`EncodeError::UnknownKey`], or [`EncodeError::OutOfRange`] for a question that names a node or an
/// answer that names none.
pub fn encode_probe(
    probe: &Probe,
    answer: bool,
    keys: &KeyRing,
    cluster: &ClusterName,
) -> Result<Vec<u8>, EncodeError> {
    if answer == (probe.node == Tag::NONE) {
        return Err(EncodeError::OutOfRange("the node of a probe"));
    }
    let kind = if answer { TYPE_PROBE_ANSWER } else { TYPE_PROBE };
    let mut out = header(kind, probe.key, 0, probe.sender, probe.receiver);
    out.extend_from_slice(&probe.nonce);
    out.extend_from_slice(&probe.havip.0.to_be_bytes());
    out.extend_from_slice(&probe.node.0.to_be_bytes());
    seal(out, probe.key, keys, cluster)
}

/// The bytes of a command that is forwarded, or of a part of the answer to one.
///
/// # Errors
/// [`EncodeError::UnknownKey`], or [`EncodeError::OutOfRange`] for what [`decode`] would refuse.
pub fn encode_forwarded(
    forwarded: &Forwarded,
    answer: bool,
    keys: &KeyRing,
    cluster: &ClusterName,
) -> Result<Vec<u8>, EncodeError> {
    let f = forwarded;
    if !is_forwarded(f, answer) {
        return Err(EncodeError::OutOfRange("a forwarded command or its answer"));
    }
    let length = u16::try_from(f.body.len()).map_err(|_| EncodeError::TooLong(f.body.len()))?;
    let kind = if answer { TYPE_ANSWER } else { TYPE_COMMAND };
    let mut out = header(kind, f.key, 0, f.sender, f.receiver);
    out.extend_from_slice(&f.boot.0);
    out.extend_from_slice(&f.echo.boot.0);
    out.extend_from_slice(&f.echo.seq.to_be_bytes());
    out.extend_from_slice(&f.id.to_be_bytes());
    out.extend_from_slice(&[f.part, f.parts]);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&f.body);
    seal(out, f.key, keys, cluster)
}

/// The first bytes of a datagram, which nobody has vouched for yet.
///
/// They tell most of what is not for this node before a tag is computed, which costs a hundred times as much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    kind: u8,
    newer: u8,
    /// The key that it says to be made with.
    pub key: KeyId,
    /// The node that it says to come from.
    pub sender: Tag,
    /// The node that it is for; [`Tag::NONE`] is any receiver.
    pub receiver: Tag,
}

impl Header {
    /// Reads it off a datagram. Total: any bytes give an answer.
    ///
    /// # Errors
    /// [`DecodeError::Foreign`] and [`DecodeError::Version`].
    pub fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let foreign = || DecodeError::Foreign(bytes.len());
        if bytes.len() > MAX_DATAGRAM || bytes.len() < HEADER_LEN + TAG_LEN {
            return Err(foreign());
        }
        let mut cursor = Cursor::new(bytes);
        if cursor.array("magic")? != MAGIC {
            return Err(foreign());
        }
        let [version, kind, key, newer] = cursor.array("header")?;
        if version != VERSION {
            return Err(DecodeError::Version(version));
        }
        let (sender, receiver) = (Tag(cursor.u64("sender")?), Tag(cursor.u64("receiver")?));
        Ok(Self { kind, newer, key: KeyId(key), sender, receiver })
    }

    /// Whether it is, or says to be, a question who receives it: the only one that may be for nobody in particular.
    #[must_use]
    pub const fn is_probe(&self) -> bool {
        self.kind == TYPE_PROBE
    }

    /// Checks the tag of the datagram that it was read off.
    ///
    /// # Errors
    /// [`DecodeError::UnknownKey`] and [`DecodeError::BadTag`].
    pub fn verify(&self, bytes: &[u8], keys: &KeyRing, cluster: &ClusterName) -> Result<(), DecodeError> {
        let (signed, tag) = bytes.split_last_chunk::<TAG_LEN>().ok_or(DecodeError::Foreign(bytes.len()))?;
        match keys.verify(self.key, cluster, signed, tag) {
            None => Err(DecodeError::UnknownKey(self.key)),
            Some(false) => Err(DecodeError::BadTag(self.key)),
            Some(true) => Ok(()),
        }
    }

    /// What the datagram that it was read off says, if it verifies.
    ///
    /// # Errors
    /// Those of [`Self::verify`], and [`DecodeError::Malformed`].
    pub fn open(&self, bytes: &[u8], keys: &KeyRing, cluster: &ClusterName) -> Result<Datagram, DecodeError> {
        self.verify(bytes, keys, cluster)?;
        if self.newer != 0 && self.kind != TYPE_HEARTBEAT {
            return Err(DecodeError::Malformed("a reserved byte of the header"));
        }
        let body = &bytes[HEADER_LEN..bytes.len() - TAG_LEN];
        let mut cursor = Cursor::new(body);
        let datagram = match self.kind {
            TYPE_HEARTBEAT => Datagram::Heartbeat(heartbeat_body(self, &mut cursor)?),
            TYPE_PROBE => Datagram::Probe(probe_body(self, false, &mut cursor)?),
            TYPE_PROBE_ANSWER => Datagram::ProbeAnswer(probe_body(self, true, &mut cursor)?),
            TYPE_COMMAND => Datagram::Command(forwarded_body(self, false, &mut cursor)?),
            TYPE_ANSWER => Datagram::Answer(forwarded_body(self, true, &mut cursor)?),
            _ => return Err(DecodeError::Malformed("the type")),
        };
        cursor.end("what follows the last field")?;
        Ok(datagram)
    }
}

/// What `bytes` say, if they verify. Total: any bytes give an answer.
///
/// # Errors
/// [`DecodeError`], of which [`DecodeError::Malformed`] alone means that the tag did verify.
pub fn decode(bytes: &[u8], keys: &KeyRing, cluster: &ClusterName) -> Result<Datagram, DecodeError> {
    Header::read(bytes)?.open(bytes, keys, cluster)
}

/// Whether a datagram says to be a heartbeat, verified or not.
#[must_use]
pub fn is_heartbeat(bytes: &[u8]) -> bool {
    bytes.get(5) == Some(&TYPE_HEARTBEAT)
}

fn header(kind: u8, key: KeyId, newer: u8, sender: Tag, receiver: Tag) -> Vec<u8> {
    let mut out = Vec::with_capacity(MAX_DATAGRAM);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[VERSION, kind, key.0, newer]);
    out.extend_from_slice(&sender.0.to_be_bytes());
    out.extend_from_slice(&receiver.0.to_be_bytes());
    out
}

fn seal(mut out: Vec<u8>, key: KeyId, keys: &KeyRing, cluster: &ClusterName) -> Result<Vec<u8>, EncodeError> {
    if out.len() + TAG_LEN > MAX_DATAGRAM {
        return Err(EncodeError::TooLong(out.len() + TAG_LEN));
    }
    if keys.seal(key, cluster, &mut out) { Ok(out) } else { Err(EncodeError::UnknownKey(key)) }
}

/// What [`decode`] would refuse is never sent.
fn check(hb: &Heartbeat) -> Result<(), EncodeError> {
    let refuse = |bad: bool, what| if bad { Err(EncodeError::OutOfRange(what)) } else { Ok(()) };
    refuse(hb.accepts.is_empty() || hb.accepts.len() > MAX_KEYS, "the number of accepted keys")?;
    refuse(hb.accepts.contains(&KeyId(0)), "an accepted key")?;
    refuse(hb.boot == BootId::NONE, "the boot id")?;
    refuse(hb.seq == 0, "the sequence number")?;
    refuse((hb.echo.boot == BootId::NONE) != (hb.echo.seq == 0), "the echo")?;
    refuse(hb.interval < Duration::from_micros(1), "the interval")
}

fn heartbeat_body(header: &Header, c: &mut Cursor<'_>) -> Result<Heartbeat, Malformed> {
    let Header { newer, key, sender, receiver, .. } = *header;
    let boot = BootId(c.array("boot id")?);
    let seq = c.u64("sequence number")?;
    let echo = Echo { boot: BootId(c.array("echo")?), seq: c.u64("echo")? };
    let digest = Digest(c.array("digest")?);
    let interval = Duration::from_micros(c.u32("interval")?.into());
    let [leaving, path, entries, key_count] = c.array("counts")?;
    let uptime = Duration::from_millis(c.u64("uptime")?);
    let keep_for = Duration::from_micros(c.u32("keep-for")?.into());
    let accepts = accepted_keys(c.take(MAX_KEYS, "accepted keys")?, key_count)?;
    let leaving = match leaving {
        0 if keep_for.is_zero() => Leaving::No,
        1 => Leaving::Restarting(keep_for),
        2 if keep_for.is_zero() => Leaving::Gone,
        _ => return Err(Malformed("leaving")),
    };
    let target = target(c)?;
    if boot == BootId::NONE || seq == 0 || interval.is_zero() || (echo.boot == BootId::NONE) != (echo.seq == 0) {
        return Err(Malformed("boot id, sequence number, interval or echo"));
    }
    let entries = (0..entries).map(|_| entry::read(c)).collect::<Result<Vec<_>, _>>()?;
    Ok(Heartbeat {
        newer,
        key,
        accepts,
        path,
        sender,
        receiver,
        boot,
        seq,
        echo,
        interval,
        uptime,
        digest,
        leaving,
        target,
        entries,
    })
}

fn accepted_keys(slots: &[u8], count: u8) -> Result<Vec<KeyId>, Malformed> {
    let bad = Malformed("accepted keys");
    let (used, free) = slots.split_at_checked(count.into()).ok_or(bad)?;
    if used.is_empty() || used.contains(&0) || free.iter().any(|slot| *slot != 0) {
        return Err(bad);
    }
    Ok(used.iter().copied().map(KeyId).collect())
}

fn target(c: &mut Cursor<'_>) -> Result<Option<Target>, Malformed> {
    let bad = Malformed("target");
    let [kind, len] = c.array("target")?;
    c.zeroes(2, "target")?;
    let id = std::str::from_utf8(c.take(len.into(), "target")?).map_err(|_| bad)?;
    match kind {
        0 if id.is_empty() => Ok(None),
        1 => id.parse().map(|id| Some(Target::Instance(id))).map_err(|_| bad),
        2 => id.parse().map(|id| Some(Target::Eni(id))).map_err(|_| bad),
        _ => Err(bad),
    }
}

fn probe_body(header: &Header, answer: bool, c: &mut Cursor<'_>) -> Result<Probe, Malformed> {
    let Header { key, sender, receiver, .. } = *header;
    let nonce = c.array("nonce")?;
    let havip = Tag(c.u64("havip")?);
    let node = Tag(c.u64("node")?);
    if answer == (node == Tag::NONE) {
        return Err(Malformed("the node of a probe"));
    }
    Ok(Probe { key, sender, receiver, nonce, havip, node })
}

fn forwarded_body(header: &Header, answer: bool, c: &mut Cursor<'_>) -> Result<Forwarded, Malformed> {
    let Header { key, sender, receiver, .. } = *header;
    let boot = BootId(c.array("boot id")?);
    let echo = Echo { boot: BootId(c.array("echo")?), seq: c.u64("echo")? };
    let id = c.u64("the number of a command")?;
    let [part, parts] = c.array("parts")?;
    let length = c.u16("length")?;
    c.zeroes(4, "length")?;
    let body = c.take(length.into(), "length")?.to_vec();
    let forwarded = Forwarded { key, sender, receiver, boot, echo, id, part, parts, body };
    if !is_forwarded(&forwarded, answer) {
        return Err(Malformed("a forwarded command or its answer"));
    }
    Ok(forwarded)
}

/// Whether the layout can carry it. Both boots are named: neither kind is part of the way to a session.
fn is_forwarded(f: &Forwarded, answer: bool) -> bool {
    let in_session = f.boot != BootId::NONE && f.echo.boot != BootId::NONE && f.echo.seq != 0;
    let parts = match f.parts {
        0 if answer => f.part == 0 && f.body.is_empty(),
        0 => f.part < MAX_PARTS && !f.body.is_empty(),
        parts => answer && parts <= MAX_PARTS && f.part < parts && !f.body.is_empty(),
    };
    in_session && f.id != 0 && parts && f.body.len() <= MAX_BODY
}
