//! What one look at the cloud calls for: the decision of the daemon's ownership loop, for a caller without a cluster.

use havipd_core::model::cloud::{Bound, HaVip};
use havipd_core::model::settings::{Binding, Strangers};
use havipd_core::reconcile::{Facts, Next, next};

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The target has the HAVIP.
    Attached {
        /// Alone.
        exclusive: bool,
        /// And the cloud says so; else it is enough that it is bound.
        wait: bool,
    },
    /// The target is not bound.
    Detached {
        /// And the cloud says so.
        wait: bool,
    },
}

/// The next thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing: it is as it was asked for. Of these it was asked that they go too.
    There(Vec<Bound>),
    /// Attach the target.
    Attach,
    /// Detach these: without it there is no getting on.
    Detach(Vec<Bound>),
    /// Bound, and another one has it: announcing and time may help.
    Ask,
    /// As many are bound as there can be, and none of them may be touched.
    Full,
}

impl Wanted {
    /// Whether the cloud has to be seen to agree.
    pub(super) const fn waits(self) -> bool {
        match self {
            Self::Attached { wait, .. } | Self::Detached { wait } => wait,
        }
    }
}

/// Decides on the next step for the target `me`.
pub(super) fn step(read: &HaVip, me: &str, wanted: Wanted) -> Step {
    let (exclusive, wait) = match wanted {
        Wanted::Detached { .. } => {
            let own: Vec<Bound> = read.binded_instances.iter().filter(|b| b.instance_id == me).cloned().collect();
            return if own.is_empty() { Step::There(own) } else { Step::Detach(own) };
        }
        Wanted::Attached { exclusive, wait } => (exclusive, wait),
    };
    if !wait && read.binds(me) {
        return Step::There(Vec::new());
    }
    let (binding, strangers) =
        if exclusive { (Binding::Exclusive, Strangers::Detach) } else { (Binding::Shared, Strangers::Refuse) };
    let none: &[String] = &[];
    let facts = Facts {
        me,
        members: &[],
        binding,
        strangers,
        once_held: true,
        yield_to: none,
        hands_off: none,
        leave_bound: none,
    };
    match next(read, &facts) {
        Next::Ours { detach } => Step::There(detach),
        Next::Attach => Step::Attach,
        Next::Detach(others) => Step::Detach(others),
        Next::Stranger(_) => Step::Full,
        // The last two need somebody to yield to, and there is nobody.
        Next::Announce | Next::Rival(_) | Next::HandsOff => Step::Ask,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(list: &[(&str, Option<bool>)]) -> HaVip {
        let bound: Vec<_> = list
            .iter()
            .map(|(id, master)| serde_json::json!({"instanceId": id, "instanceType": "SERVER", "master": master}))
            .collect();
        let json = serde_json::json!({"haVipId": "havip-1", "bindedInstances": bound, "privateIpAddress": null});
        serde_json::from_value(json).expect("a HAVIP")
    }

    fn ids(step: Step) -> (&'static str, Vec<String>) {
        let of = |all: Vec<Bound>| all.into_iter().map(|b| b.instance_id).collect();
        match step {
            Step::There(rest) => ("there", of(rest)),
            Step::Detach(others) => ("detach", of(others)),
            Step::Attach => ("attach", vec![]),
            Step::Ask => ("ask", vec![]),
            Step::Full => ("full", vec![]),
        }
    }

    #[test]
    fn what_is_asked_for_decides() {
        const BOUND: Wanted = Wanted::Attached { exclusive: false, wait: false };
        const HELD: Wanted = Wanted::Attached { exclusive: false, wait: true };
        const ALONE: Wanted = Wanted::Attached { exclusive: true, wait: true };
        const GONE: Wanted = Wanted::Detached { wait: true };
        let (yes, no) = (Some(true), Some(false));
        let of = |list: &[_], wanted| ids(step(&read(list), "i-a", wanted));
        let list = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();

        assert_eq!(of(&[], BOUND), ("attach", vec![]));
        assert_eq!(of(&[("i-a", no), ("i-b", yes)], BOUND), ("there", vec![]));
        assert_eq!(of(&[("i-a", no), ("i-b", yes)], HELD), ("ask", vec![]), "others are not touched");
        assert_eq!(of(&[("i-a", yes), ("i-b", no)], HELD), ("there", vec![]));
        assert_eq!(of(&[("i-a", None), ("i-b", None)], HELD), ("there", vec![]), "nobody says who has it");
        assert_eq!(of(&[("i-a", no), ("i-b", yes)], ALONE), ("detach", list(&["i-b"])));
        assert_eq!(of(&[("i-a", yes), ("i-b", no)], ALONE), ("there", list(&["i-b"])), "it is here already");
        assert_eq!(of(&[("i-a", None), ("i-b", None)], ALONE), ("detach", list(&["i-b"])));
        let full = [("i-1", no), ("i-2", no), ("i-3", no), ("i-4", no), ("i-5", yes)];
        assert_eq!(of(&full, HELD), ("full", vec![]));
        assert_eq!(of(&full, ALONE), ("detach", list(&["i-1"])), "make room, but not where the traffic goes");
        assert_eq!(of(&[("i-a", yes), ("i-b", no)], GONE), ("detach", list(&["i-a"])));
        assert_eq!(of(&[("i-b", yes)], GONE), ("there", vec![]));
    }
}
