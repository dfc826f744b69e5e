//! One act out of the next bytes: what it is, on whom, and how much of it.

use super::super::cursor::Cursor;
use super::world::{Packet, World};
use super::{MOST_TURNS, lie};
use havipd_core::model::cloud::HaVip;
use havipd_core::model::event::{Command, Event, OperationResult};
use havipd_core::model::ids::{GroupIndex, HavipIndex, NodeIndex, OperationId};
use std::sync::Arc;
use std::time::Duration;

/// Does what the next bytes say.
pub fn act(world: &mut World, bytes: &mut Cursor<'_>) {
    let which = bytes.byte() % 32;
    let i = usize::from(which != 0 && !bytes.is_empty()) * bytes.below(world.hosts.len());
    match which {
        0..=7 => world.run(Duration::from_millis(20) * (u32::from(bytes.byte()) + 1), MOST_TURNS),
        8 => world.now += Duration::from_millis(10) * (u32::from(bytes.byte()) + 1),
        9 => world.now += Duration::from_millis(500) * (u32::from(bytes.byte()) + 1),
        10 => world.turn(i, Event::TimerExpired),
        11..=14 => datagram(world, which - 11, bytes),
        15 | 16 => {
            let (at, kind) = (bytes.below(4), bytes.byte());
            world.end_call(i, at, Some(kind));
        }
        17 => late_result(world, i, bytes),
        18 | 19 => command(world, i, bytes),
        20 => reload(world, i, bytes.byte()),
        21 | 22 => crash(world, i, bytes.byte()),
        23 => world.cut = u16::from(bytes.byte()) << 1,
        24 => faults(world, bytes.byte()),
        25 | 26 => fact(world, i, bytes),
        27 => world.store(i),
        28 => {
            let path = [None, Some(0)][bytes.below(2)];
            let length = bytes.below(64);
            let bytes = bytes.take(length).to_vec();
            let source = super::cluster::Cluster::address(i, 0);
            world.deliver(Packet { from: i, to: i, path, source, bytes });
        }
        _ => lie::lie(world, bytes),
    }
}

/// The datagrams under way come out of order, not at all, twice, or long after.
fn datagram(world: &mut World, way: u8, bytes: &mut Cursor<'_>) {
    if way == 3 {
        let at = bytes.below(world.late.len());
        if let Some(packet) = world.late.get(at).cloned() {
            world.deliver(packet);
        }
        return;
    }
    let at = bytes.below(world.wire.len());
    if way == 2
        && let Some((_, packet)) = world.wire.get(at).cloned()
    {
        world.keep(packet.clone());
        return world.deliver(packet);
    }
    let Some((_, packet)) = world.wire.remove(at) else { return };
    if way == 0 { world.deliver(packet) } else { world.keep(packet) }
}

/// A call ends that has ended before, or that was never made.
fn late_result(world: &mut World, i: usize, bytes: &mut Cursor<'_>) {
    let op = OperationId(bytes.byte().into());
    let result = match bytes.below(3) {
        0 => OperationResult::Written(Ok(())),
        1 => OperationResult::Havip(Ok(world.records[0].document(0, bytes.yes()))),
        _ => OperationResult::Havip(
            serde_json::from_str::<HaVip>(r#"{"haVipId":""}"#).map_err(|_| super::cloud::error(0)),
        ),
    };
    world.turn(i, Event::OperationEnded { op, result });
}

fn command(world: &mut World, i: usize, bytes: &mut Cursor<'_>) {
    let (what, more) = (bytes.below(9), bytes.byte());
    let group = (more & 1 == 1).then_some(GroupIndex(usize::from(more >> 1 & 1)));
    let on = more & 4 == 0;
    let to = (more & 8 == 8).then_some(NodeIndex(usize::from(more >> 4) % world.hosts.len()));
    if what == 8 {
        let node = NodeIndex(usize::from(more >> 4) % world.hosts.len());
        return world.turn(i, Event::CommandForOther { node, command: vec![more; 9], request: more.into() });
    }
    let command = match what {
        0..=2 => Command::Switchover { group: group.unwrap_or(GroupIndex(0)), to },
        3 | 4 => Command::Drain { group, on },
        5 | 6 => Command::Maintenance { group, on, lasts: on.then(|| Duration::from_millis(more.into())) },
        _ => Command::Stop { restart: on },
    };
    world.turn(i, Event::Commanded { command, request: more.into() });
}

/// As the driver does it: refused, or the new file.
fn reload(world: &mut World, i: usize, variant: u8) {
    let config = Arc::new(world.cluster.config(i, variant));
    let now = world.now;
    let Some(core) = world.hosts[i].core.as_ref() else { return };
    // Groups come and go with a restart: the driver refuses a reload that changes their list.
    if config.groups.len() != core.config().groups.len() || core.reload_refusal(&config, now).is_some() {
        return;
    }
    world.hosts[i].variant = variant;
    world.turn(i, Event::ConfigReloaded(config));
}

/// The daemon dies, perhaps with its goodbyes, and perhaps comes back, perhaps with another file or no disk.
fn crash(world: &mut World, i: usize, how: u8) {
    if let Some(core) = world.hosts[i].core.as_ref().filter(|_| how & 1 == 1) {
        for goodbye in core.goodbyes(world.now) {
            if let Some((to, path)) = world.cluster.at(goodbye.to) {
                let source = super::cluster::Cluster::address(i, goodbye.path);
                let packet = Packet { from: i, to, path: Some(path), source, bytes: goodbye.bytes };
                world.late.push_back(packet);
            }
        }
    }
    world.kill(i);
    if how & 2 == 2 {
        world.hosts[i].disk = Default::default();
    }
    if how & 4 == 4 {
        world.hosts[i].variant ^= how >> 3;
    }
    if how & 0x80 == 0 {
        world.start(i);
    }
}

/// Who stands still, and how.
fn faults(world: &mut World, mask: u8) {
    let all = mask >> 6;
    for (i, host) in world.hosts.iter_mut().enumerate() {
        let on = mask >> (2 * i) & 3;
        match all {
            0 => host.paused = on != 0,
            1 => (host.stuck, host.cut_off) = (on & 1 == 1, on & 2 == 2),
            2 => (host.read_only, host.cut_off) = (on & 1 == 1, on & 2 == 2),
            _ => (host.paused, host.stuck, host.cut_off, host.read_only) = (false, false, false, false),
        }
    }
}

/// Something that the shell found out.
fn fact(world: &mut World, i: usize, bytes: &mut Cursor<'_>) {
    let (what, more) = (bytes.below(8), bytes.byte());
    let (group, havip) = (GroupIndex(usize::from(more >> 6) % world.cluster.groups), HavipIndex(0));
    let event = match what {
        0 => Event::LinkChanged { group, havip, up: more & 1 == 0, missing: None },
        1 if more & 6 == 6 => {
            let error = (more & 1 == 1).then(|| "made up".to_owned());
            Event::AddressAnswered { group, havip, error }
        }
        1 => Event::AddressObserved { group, havip, present: more & 1 == 0 },
        2 => Event::IdentityLearned { target: world.cluster.target(i).parse().expect("a right id") },
        3 => Event::EffectsProgressed,
        4 => Event::BootIdDrawn(world.draw()),
        5 => match world.hosts[i].facts.pop_front() {
            Some(event) => event,
            None => return,
        },
        _ => {
            let weight = i16::from_le_bytes([bytes.byte(), bytes.byte()]);
            Event::HealthChanged {
                group,
                weight,
                failed: more & 1 == 1,
                undecided: more & 2 == 2,
                notes: Arc::default(),
            }
        }
    };
    world.turn(i, event);
}
