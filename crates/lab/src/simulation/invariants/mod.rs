//! What must hold, one file each. They see what happens in the world and say so when it must not.

// What they say is read by people.
#![warn(clippy::use_debug)]

mod calm;
mod i01_one_leader;
mod i02_effects_need_leadership;
pub(super) mod i03_convergence;
mod i03_takeover;
mod i03_windows;
mod i04_no_human;
mod i05_cloud_alone;
mod i05_moves_have_causes;
mod i05_one_active;
mod i06_no_needless_moves;
mod i07_forgeries;
mod i08_address_lifetime;
mod i09_bounds;
mod i10_clock_rates;
mod i11_no_gap;
mod i12_truth_of_cause;
mod i13_gates_alone;
mod i14_gate_first;
pub(super) mod moves;

use super::cluster::Cluster;
use super::watch::Seen;
use super::world::World;

/// What is promised, in words: the number of each, and what it says.
pub const PROMISES: [(&str, &str); 14] = [
    ("I1", "majority: never two nodes with leadership at one instant of guest time"),
    ("I2", "no effect is started without leadership, and none is retried after losing it"),
    (
        "I3",
        "from a quiet network on: cloud holder = elected node = the one node with the address, within a bound; after \
         the death of the active node in calm within the dead time and one claim",
    ),
    ("I4", "no fault needs a human"),
    (
        "I5",
        "every move has a cause, and none happens from a healthy connected holder except a planned one, whatever the \
         cloud says",
    ),
    ("I6", "reload, restart and upgrade move nothing"),
    ("I7", "forged, replayed, reflected and cross-cluster datagrams change nothing"),
    ("I8", "the address of a dead, hung or frozen holder is gone within its lifetime + 2 s"),
    ("I9", "every call ends by its deadline, and every queue is bounded"),
    ("I10", "clock steps change nothing"),
    ("I11", "a planned move never leaves the HAVIP without a serving node"),
    ("I12", "the cause of every change of role is true"),
    ("I13", "majority: no before-active runs while another node's term lasts"),
    ("I14", "no address, announcement or notify-master of a term before its before-active has succeeded"),
];

/// One promise.
pub(super) trait Invariant: std::fmt::Debug {
    /// Its number.
    fn name(&self) -> &'static str;

    /// Judges what was seen.
    ///
    /// # Errors
    /// How the promise was broken.
    fn see(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String>;
}

/// All of them but the convergence of I3, which also measures; of I10 half is a comparison of two runs.
pub(super) fn all(cluster: &Cluster) -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(i01_one_leader::OneLeader::new(cluster)),
        Box::new(i02_effects_need_leadership::EffectsNeedLeadership::new(cluster)),
        Box::new(i03_takeover::Takeovers::new(cluster)),
        Box::new(i03_windows::Windows::new(cluster)),
        Box::new(i04_no_human::NoHuman::default()),
        Box::new(i05_cloud_alone::CloudAlone::new(cluster)),
        Box::new(i05_moves_have_causes::MovesHaveCauses::new(cluster)),
        Box::new(i05_one_active::OneActive::new(cluster)),
        Box::new(i06_no_needless_moves::NoNeedlessMoves::default()),
        Box::new(i07_forgeries::Forgeries),
        Box::new(i08_address_lifetime::AddressLifetime::new(cluster)),
        Box::new(i09_bounds::Bounds::new(cluster)),
        Box::new(i10_clock_rates::ClockRates::default()),
        Box::new(i11_no_gap::NoGap::new(cluster)),
        Box::new(i12_truth_of_cause::TruthOfCause::default()),
        Box::new(i13_gates_alone::GatesAlone::new(cluster)),
        Box::new(i14_gate_first::GateFirst::new(cluster)),
    ]
}
