//! What one read of the cloud calls for: a pure function from the HAVIP as read to the next write.

use crate::model::cloud::{Bound, HaVip};
use crate::model::settings::{Binding, Strangers};

/// Most targets that the cloud binds to one HAVIP (VPC API, "at most 5").
const MAX_BOUND: usize = 5;

/// Everything that the decision depends on besides the read.
#[derive(Debug)]
pub struct Facts<'a> {
    /// Our own target id.
    pub me: &'a str,
    /// Target ids of the group's members, as far as they are known.
    pub members: &'a [&'a str],
    /// Who stays bound.
    pub binding: Binding,
    /// What happens to targets that are no member's.
    pub strangers: Strangers,
    /// A node of this cluster was seen to hold the HAVIP before.
    pub once_held: bool,
    /// Members that a claim gives way to.
    pub yield_to: &'a [String],
    /// Holders that only the election may decide about.
    pub hands_off: &'a [String],
    /// Targets that may stay bound beside us.
    pub leave_bound: &'a [String],
}

/// The next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Ours; these may be detached when there is time.
    Ours {
        /// They are bound beside us.
        detach: Vec<Bound>,
    },
    /// Attach us.
    Attach,
    /// Detach these first: without it the address does not come to us.
    Detach(Vec<Bound>),
    /// Bound, but somebody else is master: announce and read again.
    Announce,
    /// A member that goes before us has it.
    Rival(String),
    /// Somebody has it whom the election must judge first.
    HandsOff,
    /// Targets that are no member's are in the way and may not be touched.
    Stranger(String),
}

/// Decides on the next step.
pub fn next(read: &HaVip, facts: &Facts<'_>) -> Next {
    let holder = read.holder();
    if let Some(other) = holder.filter(|h| *h != facts.me) {
        if facts.yield_to.iter().any(|id| id == other) {
            return Next::Rival(other.to_owned());
        }
        if facts.hands_off.iter().any(|id| id == other) {
            return Next::HandsOff;
        }
    }
    let others: Vec<&Bound> = read.binded_instances.iter().filter(|b| b.instance_id != facts.me).collect();
    let touchable = |b: &&Bound| facts.members.contains(&b.instance_id.as_str()) || facts.may_detach_foreign();
    if !read.binds(facts.me) {
        return when_unbound(&others, touchable);
    }
    let ours = match holder {
        Some(h) => h == facts.me,
        None if facts.binding == Binding::Exclusive => others.is_empty(),
        None => read.binded_instances.iter().all(|b| b.master.is_none()),
    };
    if facts.binding == Binding::Shared {
        return if ours { Next::Ours { detach: vec![] } } else { Next::Announce };
    }
    let detach: Vec<Bound> = others.iter().copied().filter(|b| touchable(b)).cloned().collect();
    if ours {
        let detach = detach.into_iter().filter(|b| !facts.leave_bound.contains(&b.instance_id)).collect();
        return Next::Ours { detach };
    }
    let in_the_way = others.iter().copied().find(|b| !touchable(b) && (b.master == Some(true) || holder.is_none()));
    match in_the_way {
        Some(b) if detach.is_empty() || b.master == Some(true) => Next::Stranger(b.instance_id.clone()),
        _ if detach.is_empty() => Next::Announce,
        _ => Next::Detach(master_first(detach)),
    }
}

fn when_unbound(others: &[&Bound], touchable: impl Fn(&&Bound) -> bool) -> Next {
    if others.len() < MAX_BOUND {
        return Next::Attach;
    }
    // Full: one must go before we fit. The one that is not master goes first, so that the traffic
    // has somewhere to go until we are bound.
    let free = others.iter().copied().filter(|b| touchable(b)).min_by_key(|b| b.master == Some(true));
    match free {
        Some(b) => Next::Detach(vec![b.clone()]),
        None => Next::Stranger(others[0].instance_id.clone()),
    }
}

/// The master alone when one is flagged: it is the one in the way, and a refusal of the others must not hide it.
fn master_first(mut detach: Vec<Bound>) -> Vec<Bound> {
    if let Some(i) = detach.iter().position(|b| b.master == Some(true)) {
        return vec![detach.swap_remove(i)];
    }
    detach
}

impl Facts<'_> {
    fn may_detach_foreign(&self) -> bool {
        match self.strangers {
            Strangers::Detach => true,
            Strangers::Guard => self.once_held,
            Strangers::Refuse => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(id: &str, master: Option<bool>) -> Bound {
        Bound { instance_id: id.into(), instance_type: "SERVER".into(), master }
    }

    fn read(list: &[(&str, Option<bool>)]) -> HaVip {
        HaVip {
            ha_vip_id: "havip-1".into(),
            name: String::new(),
            vpc_id: String::new(),
            subnet_id: String::new(),
            status: String::new(),
            private_ip_address: None,
            public_ip_address: None,
            binded_instances: list.iter().map(|(id, m)| bound(id, *m)).collect(),
        }
    }

    fn decide(list: &[(&str, Option<bool>)], binding: Binding, once_held: bool) -> Next {
        let members = ["i-me", "i-peer", "i-unheard"];
        let facts = Facts {
            me: "i-me",
            members: &members,
            binding,
            strangers: Strangers::Guard,
            once_held,
            yield_to: &["i-better".to_owned()],
            hands_off: &["i-judged".to_owned()],
            leave_bound: &["i-unheard".to_owned()],
        };
        next(&read(list), &facts)
    }

    #[test]
    fn exclusive_cases() {
        use Binding::Exclusive as X;
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(decide(&[], X, true), Next::Attach);
        assert_eq!(decide(&[("i-peer", yes)], X, true), Next::Attach);
        assert_eq!(decide(&[("i-me", None)], X, true), Next::Ours { detach: vec![] });
        assert_eq!(decide(&[("i-me", no)], X, true), Next::Ours { detach: vec![] }, "bound alone");
        assert_eq!(decide(&[("i-peer", no), ("i-me", yes)], X, true), Next::Ours { detach: vec![bound("i-peer", no)] });
        assert_eq!(decide(&[("i-unheard", no), ("i-me", yes)], X, true), Next::Ours { detach: vec![] });
        assert_eq!(
            decide(&[("i-unheard", yes), ("i-me", no)], X, true),
            Next::Detach(vec![bound("i-unheard", yes)]),
            "but not as master"
        );
        assert_eq!(decide(&[("i-peer", yes), ("i-me", no)], X, true), Next::Detach(vec![bound("i-peer", yes)]));
        assert_eq!(decide(&[("i-peer", None), ("i-me", None)], X, true), Next::Detach(vec![bound("i-peer", None)]));
        assert_eq!(decide(&[("i-better", yes), ("i-me", no)], X, true), Next::Rival("i-better".into()));
        assert_eq!(decide(&[("i-judged", yes), ("i-me", no)], X, true), Next::HandsOff);
    }

    #[test]
    fn strangers_are_guarded_until_the_cluster_held_it() {
        use Binding::Exclusive as X;
        let list = [("i-alien", Some(true)), ("i-me", Some(false))];
        assert_eq!(decide(&list, X, false), Next::Stranger("i-alien".into()));
        assert_eq!(decide(&list, X, true), Next::Detach(vec![bound("i-alien", Some(true))]));
    }

    #[test]
    fn a_full_havip_gives_up_a_backup_first() {
        let list = [("i-1", None), ("i-2", None), ("i-3", None), ("i-peer", Some(false)), ("i-5", Some(true))];
        assert_eq!(decide(&list, Binding::Exclusive, false), Next::Detach(vec![bound("i-peer", Some(false))]));
    }

    #[test]
    fn shared_keeps_everybody_bound() {
        use Binding::Shared as S;
        let list = [("i-peer", Some(false)), ("i-me", Some(true))];
        assert_eq!(decide(&list, S, true), Next::Ours { detach: vec![] });
        assert_eq!(decide(&[("i-peer", Some(true)), ("i-me", Some(false))], S, true), Next::Announce);
        assert_eq!(decide(&[("i-peer", None), ("i-me", None)], S, true), Next::Ours { detach: vec![] });
    }
}
