//! The core of two or three nodes under any sequence of events.
//!
//! The simulator draws plausible histories; here the bytes of the input choose every delivery, drop,
//! copy, pause, answer, command, reload and restart, so that what no plan foresees is met as well.
//! Promises that hold whatever happens, and panic when they do not:
//!
//! - arbiter `majority`: never two nodes with leadership at one instant. All nodes share one clock here,
//!   and nobody has the key but they; an input that lets them lie to each other (`lies`) is not judged by this.
//! - No write, address or announcement is ordered without leadership, but the renewal of an address by who hands over
//!   or leaves for a restart.
//! - No effect is ordered whose time is over, no list of actions is long, no timer goes off in vain.
//! - What is sent is understood by who has the key; a role changes only from what it was.

pub mod act;
pub mod cloud;
pub mod cluster;
pub mod judge;
pub mod lie;
pub mod world;

use super::cursor::Cursor;
use cluster::Cluster;
use world::World;

/// Turns of all nodes together in one input: about half a minute of a quiet cluster, and many inputs a second.
const MOST_TURNS: usize = 2_500;
/// Acts of one input.
const MOST_ACTS: usize = 600;

/// One input.
///
/// # Panics
/// When one of the promises above is broken.
pub fn run(data: &[u8]) {
    let _ = play(data);
}

/// The same, and what became of it.
///
/// # Panics
/// When one of the promises above is broken.
#[must_use]
pub fn play(data: &[u8]) -> World {
    let mut bytes = Cursor::new(data);
    let mut world = World::new(Cluster::read(&mut bytes), &mut bytes);
    for _ in 0..MOST_ACTS {
        if bytes.is_empty() || world.turns >= MOST_TURNS {
            break;
        }
        act::act(&mut world, &mut bytes);
    }
    world
}
