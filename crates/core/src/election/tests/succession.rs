//! Every reason why a node could not take over, and in which order they are given: each by changing what is known.

use super::*;
use crate::election::succession::{nobody, unfit};
use crate::health::CheckNote;
use crate::model::digest::Digest;
use crate::status::{MemberSnapshot, Unfit};
use crate::wire::{Entry, Flags};

const SEC: Duration = Duration::from_secs(1);

/// Three nodes, the first of which is active.
fn settled() -> Pair {
    let mut pair = Pair::new(3, Arbiter::Cloud);
    pair.run(SEC * 35);
    assert_eq!(pair.role(0), Role::Active, "{}", pair.story());
    pair
}

/// What `a` thinks of `b` after it was told something of it.
fn of_b(pair: &mut Pair, change: impl FnOnce(&mut crate::election::peer::Peer)) -> Option<Unfit> {
    let now = pair.now;
    let core = pair.nodes[0].as_mut().expect("it runs");
    change(core.peers.of_mut(NodeIndex(1)).expect("a peer"));
    unfit(&core.peers, now, core.digest, &core.config.groups[0], core.groups[0].tag, NodeIndex(1))
}

/// The same after `b` said something of the group.
fn said(role: Role, flags: Flags) -> Option<Unfit> {
    let mut pair = settled();
    let tag = pair.core(0).groups[0].tag;
    of_b(&mut pair, |b| {
        let before = b.entries.remove(&tag).expect("it said something");
        b.entries.insert(tag, Entry { role, flags, ..before });
    })
}

#[test]
fn what_a_node_says_of_itself_is_told_by_its_first_reason() {
    let flags = |all: &[Flags]| all.iter().fold(Flags::default(), |f, flag| f.with(*flag, true));
    let all = [Flags::ELIGIBLE, Flags::DRAINED, Flags::FAILING, Flags::UNABLE, Flags::ISOLATED, Flags::UNDECIDED];
    assert_eq!(said(Role::Backup, flags(&all[..1])), None, "eligible, whatever else it does not say");
    assert_eq!(said(Role::Fault, flags(&all[1..])), Some(Unfit::Drained));
    assert_eq!(said(Role::Fault, flags(&all[2..])), Some(Unfit::CheckFailed));
    assert_eq!(said(Role::Fault, flags(&all[3..])), Some(Unfit::ClaimFailed));
    assert_eq!(said(Role::Fault, flags(&all[4..])), Some(Unfit::Fault));
    assert_eq!(said(Role::Backup, flags(&all[4..])), Some(Unfit::Isolated));
    assert_eq!(said(Role::Backup, flags(&all[5..])), Some(Unfit::CheckUndecided));
    let gate = Flags::UNABLE.with(Flags::GATE_FAILED, true);
    assert_eq!(said(Role::Fault, gate), Some(Unfit::GateFailed));
    assert_eq!(said(Role::Backup, Flags::default()), Some(Unfit::NotYet));
}

#[test]
fn who_is_not_there_or_runs_another_file_could_not_either() {
    let tag = settled().core(0).groups[0].tag;
    let mut pair = settled();
    assert_eq!(of_b(&mut pair, |_| {}), None);
    let now = pair.now;
    assert_eq!(of_b(&mut pair, |b| b.returns_by = Some(now + SEC)), Some(Unfit::Restarting));
    assert_eq!(of_b(&mut pair, |b| b.gone = true), Some(Unfit::Leaving), "before all else");
    let mut pair = settled();
    let other = of_b(&mut pair, |b| {
        b.digest = Some(Digest([1; 16]));
        let entry = b.entries.get_mut(&tag).expect("it said something");
        entry.flags = Flags::default().with(Flags::FAILING, true);
    });
    assert_eq!(other, Some(Unfit::OtherConfiguration));
    assert_eq!(of_b(&mut pair, |b| b.entries.clear()), Some(Unfit::Unknown));
    pair.cut.insert((0, 1));
    pair.run(SEC * 3);
    assert_eq!(of_b(&mut pair, |_| {}), Some(Unfit::OneWay));
    let core = pair.core(0);
    let stranger = unfit(&core.peers, pair.now, core.digest, &core.config.groups[0], tag, NodeIndex(9));
    assert_eq!(stranger, Some(Unfit::NotMember));
    assert_eq!(nobody("web", std::iter::empty::<(&str, Unfit)>()), "nobody can take web over: it has no other member");
}

/// The members as a node gives them, after `change` of its own state of the group.
fn members(pair: &mut Pair, i: usize, change: impl FnOnce(&mut Core)) -> Vec<MemberSnapshot> {
    let now = pair.now;
    let core = pair.nodes[i].as_mut().expect("it runs");
    change(core);
    core.members_snapshot(&core.groups[0], now)
}

fn own(pair: &mut Pair, change: impl FnOnce(&mut Core)) -> Option<Unfit> {
    members(pair, 1, change).into_iter().find(|m| m.node == "b").expect("a member").unfit?.known()
}

#[test]
fn a_node_knows_why_it_could_not_itself() {
    let fault = |cause| move |core: &mut Core| core.groups[0].eligibility.judge(Some((cause, "so".to_owned())));
    let mut pair = settled();
    assert_eq!(own(&mut pair, |_| {}), None);
    for (cause, reason) in [
        (Cause::LinkDown, Unfit::Fault),
        (Cause::CheckFailed, Unfit::CheckFailed),
        (Cause::ConfigMismatch, Unfit::OtherConfiguration),
    ] {
        assert_eq!(own(&mut pair, fault(cause)), Some(reason));
    }
    assert_eq!(own(&mut pair, |core| core.groups[0].drain.order(true)), Some(Unfit::Drained));
    assert_eq!(own(&mut pair, |core| core.stopping = true), Some(Unfit::Leaving));
    let mut pair = settled();
    assert_eq!(own(&mut pair, |core| core.groups[0].eligibility.begin_again()), Some(Unfit::NotYet));
    let active = members(&mut pair, 0, |core| core.groups[0].eligibility.begin_again());
    assert_eq!(active[0].unfit, None, "who is active could go on");
}

#[test]
fn members_stand_in_the_order_in_which_they_would_take_over() {
    let with_witness = |local| {
        let mut config = config(3, local, Arbiter::Majority);
        config.groups[0].members[0] = Member { node: NodeIndex(0), priority: 200, witness: true };
        config
    };
    let mut pair = Pair::with(3, Instant::from_millis(1_000_000), with_witness);
    pair.run(SEC * 35);
    let tag = pair.core(1).groups[0].tag;
    let seen = members(&mut pair, 1, |core| {
        core.groups[0].health.weight = -30;
        let c = core.peers.of_mut(NodeIndex(2)).expect("a peer");
        c.entries.get_mut(&tag).expect("it said something").effective = 125;
    });
    let order: Vec<_> = seen.iter().map(|m| (m.node.as_str(), m.priority, m.role)).collect();
    let backup = Some(Role::Backup);
    assert_eq!(order, [("c", 125, backup), ("b", 110, Some(Role::Active)), ("a", 200, backup)]);
    // Of itself it says so whatever its claims have come to.
    let own = members(&mut pair, 0, |core| {
        core.groups[0].epochs.begin_again(false);
    });
    assert_eq!(own.last().map(|m| (m.node.as_str(), m.unfit.clone())), Some(("a", Some(Unfit::Witness.into()))));
}

#[test]
fn half_of_the_voters_are_no_majority_and_only_there_it_matters() {
    let says = |nodes, arbiter, dead: usize| {
        let mut pair = Pair::new(nodes, arbiter);
        pair.run(SEC * 35);
        pair.kill(dead);
        pair.run(SEC * 2);
        pair.core(0).snapshot(pair.now).groups.remove(0).no_failover
    };
    let why = says(4, Arbiter::Majority, 3).expect("two of four");
    assert!(why.contains("without a only 2 of 4 nodes are left"), "{why}");
    assert_eq!(says(5, Arbiter::Majority, 4), None, "three of five");
    assert_eq!(says(3, Arbiter::Cloud, 2), None, "b alone is enough");
    let mut alone = Pair::new(1, Arbiter::Cloud);
    alone.run(SEC * 35);
    let g = alone.core(0).snapshot(alone.now).groups.remove(0);
    assert_eq!((g.role, g.no_failover), (Role::Active, None), "the file names no second node");
}

#[test]
fn which_checks_of_a_peer_do_not_pass_is_known_by_name_and_decides_nothing() {
    let mut pair = settled();
    let note =
        |name: &str, state, fault| CheckNote { name: name.parse().expect("a name"), state, fault, flapping: false };
    let notes = [note("nginx", CheckState::Down, true), note("slow", CheckState::Unknown, false)];
    let health = |failed, notes: &[CheckNote]| Event::HealthChanged {
        group: GroupIndex(0),
        weight: 0,
        failed,
        undecided: failed,
        notes: notes.into(),
    };
    pair.give(1, health(true, &notes));
    pair.give(2, health(true, &[]));
    pair.run(SEC);
    let b = |pair: &Pair, i: usize| {
        let members = pair.core(i).snapshot(pair.now).groups.remove(0).members;
        members.into_iter().find(|m| m.node == "b").expect("a member")
    };
    assert_eq!(b(&pair, 0).checks, notes);
    assert_eq!(b(&pair, 1).checks, notes, "and by itself");
    let words = "fails a check (nginx fails, slow has not decided yet)";
    assert_eq!(b(&pair, 0).unfit_in_words().as_deref(), Some(words));
    let told = pair.core(0).snapshot(pair.now).groups.remove(0).no_failover;
    let group = pair.core(0).config.groups[0].name.to_string();
    let others = [("b", words), ("c", "fails a check")];
    assert_eq!(told, Some(nobody(&group, others.into_iter())));
    // A name alone makes nobody unfit.
    pair.give(1, health(false, &notes[..1]));
    pair.run(SEC);
    assert_eq!((b(&pair, 0).checks.len(), b(&pair, 0).unfit), (1, None));
    pair.give(1, health(false, &[]));
    pair.run(SEC);
    assert_eq!(b(&pair, 0).checks, []);
}
