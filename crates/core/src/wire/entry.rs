//! A group's entry in a heartbeat; the layout is drawn in [`super::heartbeat`].

use super::cursor::{Cursor, Malformed, micros};
use super::{Entry, Flags, Grant, Tag};
use crate::health::{CheckNote, CheckNotes};
use crate::model::ids::{BootId, Epoch};
use crate::model::maintenance;
use crate::model::role::Role;
use crate::model::settings::CheckState;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of an entry without its optional parts.
pub(super) const MIN_LEN: usize = 32;

const PART_SUCCESSOR: u8 = 1;
const PART_ASK: u8 = 1 << 1;
const PART_GRANT: u8 = 1 << 2;
const PART_MAINTENANCE: u8 = 1 << 3;
const PART_CHECKS: u8 = 1 << 4;

const CHECK_UNDECIDED: u8 = 1;
const CHECK_FAULT: u8 = 2;
const CHECK_FAILS: u8 = 3;
const CHECK_PASSES: u8 = 4;
/// Beside any of these: it flaps.
const CHECK_FLAPS: u8 = 1 << 7;

/// Bytes that `entry` takes in a heartbeat.
pub(super) fn len(entry: &Entry) -> usize {
    let part = |present: bool, len: usize| if present { len } else { 0 };
    MIN_LEN
        + part(entry.successor.is_some(), 8)
        + part(entry.lease_request.is_some(), 4)
        + part(entry.grant.is_some(), 40)
        + part(entry.maintenance != 0, 4)
        + entry.checks.as_ref().map_or(0, |checks| 2 + checks_len(checks))
}

fn checks_len(checks: &CheckNotes) -> usize {
    checks.named.iter().map(CheckNotes::len_of).sum()
}

/// Appends an entry.
///
/// # Errors
/// What of it the layout cannot carry.
pub(super) fn put(out: &mut Vec<u8>, entry: &Entry) -> Result<(), &'static str> {
    let numbers = [Some(entry.epoch), Some(entry.seen), entry.grant.map(|g| g.epoch)];
    if numbers.into_iter().flatten().any(|epoch| epoch > Epoch::LAST) {
        return Err("an epoch");
    }
    if entry.maintenance > maintenance::LAST {
        return Err("a maintenance number");
    }
    let part = |present: bool, bit: u8| if present { bit } else { 0 };
    let parts = part(entry.successor.is_some(), PART_SUCCESSOR)
        | part(entry.lease_request.is_some(), PART_ASK)
        | part(entry.grant.is_some(), PART_GRANT)
        | part(entry.maintenance != 0, PART_MAINTENANCE)
        | part(entry.checks.is_some(), PART_CHECKS);
    out.extend_from_slice(&entry.group.0.to_be_bytes());
    out.extend_from_slice(&[role_code(entry.role), entry.priority]);
    out.extend_from_slice(&entry.effective.to_be_bytes());
    out.extend_from_slice(&entry.flags.0.to_be_bytes());
    out.extend_from_slice(&[parts, 0]);
    out.extend_from_slice(&entry.epoch.0.to_be_bytes());
    out.extend_from_slice(&entry.seen.0.to_be_bytes());
    if let Some(successor) = entry.successor {
        out.extend_from_slice(&successor.0.to_be_bytes());
    }
    if let Some(lease) = entry.lease_request {
        out.extend_from_slice(&micros(lease).ok_or("the lease asked for")?);
    }
    if let Some(grant) = entry.grant {
        out.extend_from_slice(&grant.node.0.to_be_bytes());
        out.extend_from_slice(&grant.boot.0);
        out.extend_from_slice(&grant.epoch.0.to_be_bytes());
        out.extend_from_slice(&grant.seq.to_be_bytes());
    }
    if entry.maintenance != 0 {
        out.extend_from_slice(&entry.maintenance.to_be_bytes());
    }
    if let Some(checks) = &entry.checks {
        put_checks(out, checks)?;
    }
    Ok(())
}

fn put_checks(out: &mut Vec<u8>, checks: &CheckNotes) -> Result<(), &'static str> {
    if checks.named.is_empty() || checks_len(checks) > CheckNotes::ROOM {
        return Err("the names of checks");
    }
    out.extend_from_slice(&[checks.named.len() as u8, checks.more]);
    for note in &checks.named {
        let code = check_code(note).ok_or("the state of a check")?;
        out.extend_from_slice(&[code, note.name.as_str().len() as u8]);
        out.extend_from_slice(note.name.as_str().as_bytes());
    }
    Ok(())
}

/// Nothing for a check that simply passes, or that is a fault without failing: nobody says so.
const fn check_code(note: &CheckNote) -> Option<u8> {
    let state = match (note.state, note.fault) {
        (CheckState::Unknown, false) => CHECK_UNDECIDED,
        (CheckState::Down, true) => CHECK_FAULT,
        (CheckState::Down, false) => CHECK_FAILS,
        (CheckState::Up, false) if note.flapping => CHECK_PASSES,
        _ => return None,
    };
    Some(if note.flapping { state | CHECK_FLAPS } else { state })
}

fn read_checks(c: &mut Cursor<'_>) -> Result<CheckNotes, Malformed> {
    let bad = Malformed("the checks of an entry");
    let [named, more] = c.array("the checks of an entry")?;
    let mut checks = CheckNotes { named: Vec::new(), more };
    for _ in 0..named {
        let [code, len] = c.array("a check")?;
        let (state, fault) = match code & !CHECK_FLAPS {
            CHECK_UNDECIDED => (CheckState::Unknown, false),
            CHECK_FAULT => (CheckState::Down, true),
            CHECK_FAILS => (CheckState::Down, false),
            CHECK_PASSES => (CheckState::Up, false),
            _ => return Err(bad),
        };
        let name = std::str::from_utf8(c.take(len.into(), "the name of a check")?).ok().and_then(|n| n.parse().ok());
        let note = CheckNote { name: name.ok_or(bad)?, state, fault, flapping: code & CHECK_FLAPS != 0 };
        if check_code(&note).is_none() {
            return Err(bad);
        }
        checks.named.push(note);
    }
    if checks.named.is_empty() || checks_len(&checks) > CheckNotes::ROOM { Err(bad) } else { Ok(checks) }
}

const fn role_code(role: Role) -> u8 {
    match role {
        Role::Backup => 1,
        Role::Claiming => 2,
        Role::Active => 3,
        Role::Releasing => 4,
        Role::Fault => 5,
    }
}

fn role(code: u8) -> Result<Role, Malformed> {
    let roles = [Role::Backup, Role::Claiming, Role::Active, Role::Releasing, Role::Fault];
    roles.into_iter().find(|role| role_code(*role) == code).ok_or(Malformed("a role"))
}

/// ⚠ A number near the end of its range would leave none for the node that takes over, on every node that hears it.
fn epoch(c: &mut Cursor<'_>) -> Result<Epoch, Malformed> {
    Some(Epoch(c.u64("an epoch")?)).filter(|epoch| *epoch <= Epoch::LAST).ok_or(Malformed("an epoch"))
}

/// Reads an entry.
pub(super) fn read(c: &mut Cursor<'_>) -> Result<Entry, Malformed> {
    let group = Tag(c.u64("an entry's group")?);
    let [role_code, priority] = c.array("an entry's role")?;
    let effective = i16::from_be_bytes(c.array("an entry's priority")?);
    let flags = Flags(c.u16("an entry's flags")?);
    let parts = c.u8("an entry's parts")?;
    if parts & !(PART_SUCCESSOR | PART_ASK | PART_GRANT | PART_MAINTENANCE | PART_CHECKS) != 0 {
        return Err(Malformed("an entry's parts"));
    }
    c.zeroes(1, "an entry's reserved byte")?;
    let (epoch, seen) = (epoch(c)?, epoch(c)?);
    let mut entry = Entry {
        group,
        role: role(role_code)?,
        flags,
        priority,
        effective,
        epoch,
        seen,
        successor: None,
        lease_request: None,
        grant: None,
        maintenance: 0,
        checks: None,
    };
    if parts & PART_SUCCESSOR != 0 {
        entry.successor = Some(Tag(c.u64("a successor")?));
    }
    if parts & PART_ASK != 0 {
        entry.lease_request = Some(Duration::from_micros(c.u32("a lease")?.into()));
    }
    if parts & PART_GRANT != 0 {
        entry.grant = Some(Grant {
            node: Tag(c.u64("a grant")?),
            boot: BootId(c.array("a grant")?),
            epoch: self::epoch(c)?,
            seq: c.u64("a grant")?,
        });
    }
    if parts & PART_MAINTENANCE != 0 {
        entry.maintenance = c.u32("a maintenance number")?;
        if !(1..=maintenance::LAST).contains(&entry.maintenance) {
            return Err(Malformed("a maintenance number"));
        }
    }
    if parts & PART_CHECKS != 0 {
        entry.checks = Some(Arc::new(read_checks(c)?));
    }
    Ok(entry)
}
