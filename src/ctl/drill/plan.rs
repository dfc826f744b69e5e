//! What a drill needs before every move: a healthy cluster, and room in the budget of moves.

use super::Stop;
use crate::control::protocol::Code;
use crate::plain::quote;
use havipd_core::model::ids::Target;
use havipd_core::model::plural::there_are;
use havipd_core::model::role::Role;
use havipd_core::status::{GroupSnapshot, Snapshot};
use havipd_core::wire::session::SessionState;

/// Which way a move goes, as seen from this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// From here to another.
    Away,
    /// From another to here.
    Back,
}

impl Direction {
    /// The move after it.
    pub(super) const fn back(self) -> Self {
        match self {
            Self::Away => Self::Back,
            Self::Back => Self::Away,
        }
    }
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) here: String,
    pub(super) active: String,
    /// The other end, where it is known before the first move.
    pub(super) other: Option<String>,
    pub(super) first: Direction,
}

impl Plan {
    /// The plan for `repeat` times there and back, or why that cannot work.
    pub(super) fn of(status: &Snapshot, name: &str, repeat: u32) -> Result<Self, Stop> {
        let g = group(status, name)?;
        let no = |text: String| Err(Stop::Refused(text, Code::No));
        let here = status.node.clone();
        let Some(active) = g.active.clone() else {
            return no(format!("{name} is active on no node that is heard: havipctl why {name}"));
        };
        let first = if active == here { Direction::Away } else { Direction::Back };
        let (made, most) = (g.moves as u64, u64::from(g.max_moves));
        let needed = u64::from(repeat) * 2;
        if most > 0 && made + needed > most {
            return no(format!(
                "{needed} moves are more than max-moves leaves: {made} of {most} are made within max-moves-window, and beyond it \
                 a node that fails its checks would keep the address; wait, raise max-moves, or use a smaller --repeat"
            ));
        }
        if let Err(doubt) = settled(status, g, first) {
            return no(doubt);
        }
        let other = (first == Direction::Back).then(|| active.clone());
        Ok(Self { here, active, other, first })
    }
}

/// The group of that name.
pub(super) fn group<'a>(status: &'a Snapshot, name: &str) -> Result<&'a GroupSnapshot, Stop> {
    status.groups.iter().find(|g| g.name == name).ok_or_else(|| {
        let known = there_are(status.groups.iter().map(|g| g.name.as_str()));
        Stop::Refused(format!("there is no group {}; {known}", quote(name)), Code::Usage)
    })
}

/// Whether everything is as it should be for a move in this direction; else the first doubt.
pub(super) fn settled(status: &Snapshot, g: &GroupSnapshot, next: Direction) -> Result<(), String> {
    let (name, here) = (&g.name, &status.node);
    for (flag, text) in [
        (g.maintenance, "is in maintenance"),
        (g.observe, "is only observed here: nothing would move"),
        (g.drained, "is drained here"),
        (g.isolated, "is isolated: neither peers nor cloud answer"),
    ] {
        if flag {
            return Err(format!("{name} {text}"));
        }
    }
    if status.stopping {
        return Err("havipd is leaving".to_owned());
    }
    for peer in &status.peers {
        if peer.state != SessionState::Up {
            return Err(format!("{} is not heard both ways", peer.node));
        }
        if peer.same_digest == Some(false) {
            return Err(format!("{} runs other timing, voters, arbiters, HAVIPs or bindings", peer.node));
        }
    }
    match (next, g.role) {
        (Direction::Away, Role::Active) => {}
        (Direction::Back, Role::Backup) if g.active.as_ref().is_some_and(|active| active != here) => return Ok(()),
        (_, Role::Fault) => return Err(format!("{here} is in fault: {}", g.detail)),
        (_, role) => return Err(format!("{name} is between two nodes: {here} is {role}")),
    }
    let ours = status.target.as_ref().map_or("", Target::id);
    for havip in &g.havips {
        let id = &havip.id;
        if let Some(error) = &havip.error {
            return Err(format!("{id} cannot be read: {error}"));
        }
        let bound = havip.bound.iter().any(|bound| bound == ours);
        if havip.holder.as_ref().map_or(!bound, |holder| holder != ours) {
            let holder = havip.holder.as_deref().unwrap_or("nobody");
            return Err(format!("{here} is active, but the cloud names {holder} for {id}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fixture;
    use havipd_core::status::HavipSnapshot;

    fn status() -> Snapshot {
        let mut status = fixture::status().core.election;
        status.target = "i-a".parse().ok();
        status.groups[0].moves = 1;
        status.groups[0].havips = vec![HavipSnapshot {
            id: "havip-x".into(),
            address: None,
            present: Some(true),
            holder: Some("i-a".into()),
            bound: vec!["i-a".into()],
            read_ms: Some(90),
            error: None,
            repairs: 0,
            repaired: None,
            contested: None,
        }];
        status
    }

    fn why(change: impl FnOnce(&mut Snapshot)) -> String {
        let mut status = status();
        change(&mut status);
        Plan::of(&status, "web", 1).expect_err("refused").to_string()
    }

    fn why_of_group(change: impl FnOnce(&mut GroupSnapshot)) -> String {
        why(|status| change(&mut status.groups[0]))
    }

    #[test]
    fn a_healthy_cluster_may_be_drilled_from_both_ends() {
        let plan = Plan::of(&status(), "web", 2).expect("a plan");
        assert_eq!((plan.first, plan.other), (Direction::Away, None));
        let mut other = status();
        (other.groups[0].role, other.groups[0].active) = (Role::Backup, Some("b".into()));
        let plan = Plan::of(&other, "web", 1).expect("a plan");
        assert_eq!((plan.first, plan.other.as_deref()), (Direction::Back, Some("b")));
    }

    #[test]
    fn every_doubt_is_told() {
        assert!(Plan::of(&status(), "db", 1).is_err_and(|e| e.code() == Code::Usage));
        let flags: [fn(&mut GroupSnapshot) -> &mut bool; 4] =
            [|g| &mut g.maintenance, |g| &mut g.observe, |g| &mut g.drained, |g| &mut g.isolated];
        for flag in flags {
            let told = why_of_group(|g| *flag(g) = true);
            assert!(told.contains("web is "), "{told}");
        }
        assert!(why(|s| s.peers[0].state = SessionState::OneWay).contains("b is not heard both ways"));
        assert!(why(|s| s.peers[0].same_digest = Some(false)).contains("b runs other"));
        assert!(why(|s| s.stopping = true).contains("is leaving"));
        assert!(why_of_group(|g| g.active = None).contains("no node that is heard"));
        assert!(why_of_group(|g| g.role = Role::Releasing).contains("between two nodes"));
        assert!(why_of_group(|g| g.havips[0].holder = Some("i-b".into())).contains("the cloud names i-b"));
        assert!(why_of_group(|g| g.havips[0].error = Some("503".into())).contains("503"));
    }

    #[test]
    fn the_budget_of_moves_is_not_spent_on_rehearsals() {
        assert!(Plan::of(&status(), "web", 2).is_ok(), "1 + 4 of 6");
        let refused = Plan::of(&status(), "web", 3).expect_err("1 + 6 of 6").to_string();
        assert!(refused.contains("1 of 6 are made"), "{refused}");
        let mut free = status();
        free.groups[0].max_moves = 0;
        assert!(Plan::of(&free, "web", 100).is_ok());
    }
}
