//! What must hold after every turn, whatever came before.

use super::world::World;
use havipd_core::model::action::Action;
use havipd_core::model::ids::GroupIndex;
use havipd_core::model::role::Role;
use havipd_core::model::settings::Arbiter;
use havipd_core::model::time::Instant;
use havipd_core::wire::heartbeat::decode;

/// Actions of one turn. The most that a right core was seen to want is about a third of this.
const MOST_ACTIONS: usize = 200;
/// One datagram in so many is read again: the tag is most of what an input costs.
const READ_ONE_IN: usize = 4;
/// Every so many turns all that a core can tell is asked for.
const ASK_EVERY: usize = 32;

/// What a turn ordered.
///
/// # Panics
/// When it is too much, too late, or not what its own past allows.
pub fn actions(world: &World, i: usize, actions: &[Action]) {
    let (now, host) = (world.now, &world.hosts[i]);
    assert!(actions.len() <= MOST_ACTIONS, "{} actions in one turn", actions.len());
    let in_time = |what: &str, until: Instant| assert!(until >= now, "{what} was over at {until:?}, now is {now:?}");
    let mut roles = host.roles.clone();
    for action in actions {
        match action {
            Action::SendDatagram { bytes, .. } => understood(world, bytes),
            Action::ReadHavip { deadline, .. } => in_time("a look at the HAVIP", *deadline),
            Action::ReadInstance { deadline, .. } => in_time("a look at an instance", *deadline),
            Action::PutAddress { group, leadership_until, .. } => {
                in_time("leadership to an address", *leadership_until);
                let role = roles[group.0];
                // Who hands over, or leaves for a restart, may renew it, and do nothing else.
                let keeps = role.has_leadership() || role == Role::Releasing || stops(world, i);
                assert!(keeps, "an address as {role}");
            }
            Action::Announce { group, leadership_until, .. } => {
                in_time("leadership to announce", *leadership_until);
                assert!(roles[group.0].has_leadership(), "an announcement as {}", roles[group.0]);
            }
            Action::Write(write) => {
                in_time("leadership to a write", write.leadership_until);
                in_time("a write", write.deadline);
                assert!((1..=5).contains(&write.targets.len()), "{} targets", write.targets.len());
                let kind = write.targets[0].api_type();
                assert!(write.targets.iter().all(|t| t.api_type() == kind), "{:?} in one write", write.targets);
                assert!(write.token.len() <= 64 && write.token.is_ascii(), "token {:?}", write.token);
                assert!(roles[write.group.0].has_leadership(), "a write as {}", roles[write.group.0]);
            }
            Action::Record(t) => {
                assert_eq!(t.from, roles[t.group.0], "a change from a role that it was not: {t:?}");
                roles[t.group.0] = t.to;
            }
            _ => {}
        }
    }
}

/// Whether the daemon is on its way out.
fn stops(world: &World, i: usize) -> bool {
    world.hosts[i].core.as_ref().is_some_and(|core| core.snapshot(world.now).stopping)
}

/// A node that has the keys understands it.
fn understood(world: &World, bytes: &[u8]) {
    if !usize::from(bytes[bytes.len() - 1]).is_multiple_of(READ_ONE_IN) {
        return;
    }
    let cluster = super::super::datagram::cluster();
    match decode(bytes, &world.ring, &cluster) {
        Ok(_) => {}
        Err(error) => panic!("sends what nobody understands: {error}"),
    }
}

/// A timer that went off has no reason to go off again at once.
///
/// # Panics
/// When it has.
pub fn timers(world: &World, i: usize) {
    let Some(core) = &world.hosts[i].core else { return };
    let (next, now) = (core.next_deadline(), world.now);
    assert!(next > now, "a timer that went off at {now:?} is set to {next:?}");
}

/// Under arbiter `majority` nobody else has the leadership that this node has.
///
/// # Panics
/// When somebody has.
pub fn rights(world: &World, i: usize) {
    if world.cluster.arbiter != Arbiter::Majority || world.cluster.lies {
        return;
    }
    let right = |n: usize, g| world.hosts[n].core.as_ref().and_then(|c| c.leadership_until(GroupIndex(g), world.now));
    for group in 0..world.cluster.groups {
        let Some(ours) = right(i, group) else { continue };
        for other in (0..world.hosts.len()).filter(|n| *n != i) {
            let theirs = right(other, group);
            assert!(theirs.is_none(), "two rights at {:?}: {i} until {ours:?}, {other} until {theirs:?}", world.now);
        }
    }
}

/// A core can always tell what it is, and make its last words.
///
/// # Panics
/// When it cannot.
pub fn words(world: &World, i: usize) {
    let Some(core) = world.hosts[i].core.as_ref().filter(|_| world.turns.is_multiple_of(ASK_EVERY)) else { return };
    let snapshot = core.snapshot(world.now);
    assert!(serde_json::to_vec(&snapshot).is_ok(), "a snapshot that is not JSON: {snapshot:?}");
    assert_eq!(snapshot.counters.unsendable, 0, "a heartbeat could not be encoded");
    assert_eq!(core.goodbye_basis().0.len(), world.hosts.len());
    core.goodbyes(world.now).iter().for_each(|f| understood(world, &f.bytes));
}
