//! Datagrams that nobody sent: altered on the way, which the tag must show, or, where the input says
//! that somebody with the key lies, altered and sealed again.

use super::super::cursor::Cursor;
use super::world::{Packet, World};
use havipd_core::model::digest::Digest;
use havipd_core::model::ids::{BootId, Epoch};
use havipd_core::model::maintenance;
use havipd_core::model::role::Role;
use havipd_core::model::tag::Tag;
use havipd_core::wire::heartbeat::{decode, encode};
use havipd_core::wire::{Datagram, Entry, Flags, Grant, Heartbeat, Leaving};
use std::time::Duration;

/// Takes a datagram that is under way, changes it, and delivers that.
pub fn lie(world: &mut World, bytes: &mut Cursor<'_>) {
    let at = bytes.below(world.wire.len() + world.late.len());
    let on_the_way = world.wire.get(at).map(|(_, packet)| packet);
    let Some(packet) = on_the_way.or_else(|| world.late.get(at - world.wire.len())).cloned() else { return };
    if world.cluster.lies {
        return lies(world, &packet, bytes);
    }
    let (place, change) = (bytes.byte(), bytes.byte().max(1));
    let mut forged = packet;
    let place = usize::from(place) * 7 % forged.bytes.len();
    forged.bytes[place] ^= change;
    let cluster = super::super::datagram::cluster();
    assert!(decode(&forged.bytes, &world.ring, &cluster).is_err(), "byte {place} was changed and nobody saw it");
    world.deliver(forged);
}

fn lies(world: &mut World, packet: &Packet, bytes: &mut Cursor<'_>) {
    let cluster = super::super::datagram::cluster();
    let Ok(Datagram::Heartbeat(mut heartbeat)) = decode(&packet.bytes, &world.ring, &cluster) else { return };
    for _ in 0..=bytes.below(4) {
        change(&mut heartbeat, bytes);
    }
    if let Ok(bytes) = encode(&heartbeat, &world.ring, &cluster) {
        world.deliver(Packet { bytes, ..packet.clone() });
    }
}

/// Numbers at the edges of what fits, and any other.
fn number(bytes: &mut Cursor<'_>, now: u64) -> u64 {
    match bytes.below(8) {
        0 => 0,
        1 => 1,
        2 => u64::MAX,
        3 => u64::MAX - 1,
        4 => now.wrapping_add(u64::from(bytes.byte())),
        5 => now.wrapping_sub(u64::from(bytes.byte())),
        6 => 1 << (bytes.byte() % 64),
        _ => bytes.u64(),
    }
}

/// One that can be said: what is beyond the last one is not decoded by anybody.
fn epoch(bytes: &mut Cursor<'_>, now: Epoch) -> Epoch {
    Epoch(number(bytes, now.0)).min(Epoch::LAST)
}

fn span(bytes: &mut Cursor<'_>) -> Duration {
    Duration::from_micros(number(bytes, 200_000) % (1 << 32))
}

fn change(hb: &mut Heartbeat, bytes: &mut Cursor<'_>) {
    match bytes.below(16) {
        0 => hb.seq = number(bytes, hb.seq),
        1 => hb.echo.seq = number(bytes, hb.echo.seq),
        2 => hb.echo.boot = BootId([bytes.byte(); 16]),
        3 => hb.boot = BootId([bytes.byte(); 16]),
        4 => hb.interval = span(bytes),
        5 => hb.uptime = Duration::from_millis(number(bytes, hb.uptime.as_millis() as u64)),
        6 => hb.digest = Digest([bytes.byte(); 16]),
        7 => hb.leaving = [Leaving::No, Leaving::Gone, Leaving::Restarting(span(bytes))][bytes.below(3)],
        8 => hb.target = [None, "i-z".parse().ok(), "eni-z".parse().ok()][bytes.below(3)].clone(),
        _ => {
            let at = bytes.below(hb.entries.len());
            if bytes.below(8) == 7
                && let Some(entry) = hb.entries.get(at).cloned()
            {
                hb.entries.push(entry);
            }
            if let Some(entry) = hb.entries.get_mut(at) {
                change_entry(entry, bytes);
            }
        }
    }
}

fn change_entry(e: &mut Entry, bytes: &mut Cursor<'_>) {
    let names = ["a", "b", "c"].map(|n| Tag::node(&n.parse().expect("a right name")));
    match bytes.below(12) {
        0 | 1 => {
            e.role = [Role::Backup, Role::Claiming, Role::Active, Role::Releasing, Role::Fault][bytes.below(5)];
        }
        2 => e.flags = Flags(bytes.u64() as u16),
        3 => e.priority = bytes.byte(),
        4 => e.effective = i16::from_le_bytes([bytes.byte(), bytes.byte()]),
        5 => e.epoch = epoch(bytes, e.epoch),
        6 => e.seen = epoch(bytes, e.seen),
        7 => e.successor = bytes.yes().then(|| names[bytes.below(3)]),
        8 => e.lease_request = bytes.yes().then(|| span(bytes)),
        9 => {
            let (node, boot) = (names[bytes.below(3)], BootId([bytes.byte(); 16]));
            let (epoch, seq) = (epoch(bytes, e.epoch), number(bytes, 1));
            e.grant = bytes.yes().then_some(Grant { node, boot, epoch, seq });
        }
        10 => e.group = Tag(bytes.u64()),
        _ => e.maintenance = (number(bytes, e.maintenance.into()) as u32).min(maintenance::LAST),
    }
}
