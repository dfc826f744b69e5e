//! Every reason that a node may have, what it says of it, and for how long.

use super::*;
use havipd_core::status::HavipSnapshot;
use havipd_core::wire::session::SessionStats;

fn member(node: &str, priority: i32, role: Option<Role>, unfit: Option<Unfit>) -> MemberSnapshot {
    MemberSnapshot {
        node: node.into(),
        witness: unfit == Some(Unfit::Witness),
        role,
        priority,
        unfit: unfit.map(Into::into),
        checks: Vec::new(),
        more_checks: 0,
    }
}

/// Node `b`'s view, with `a` active.
fn group(role: Role, cause: Cause, detail: &str) -> GroupSnapshot {
    GroupSnapshot {
        name: "web".into(),
        role,
        cause: cause.into(),
        detail: detail.into(),
        since_ms: 1_500,
        epoch: 7,
        priority: 100,
        active: Some("a".into()),
        waiting: String::new(),
        waiting_ms: None,
        member: true,
        members: vec![
            member("a", 150, Some(Role::Active), None),
            member("b", 100, Some(Role::Backup), None),
            member("c", 90, Some(Role::Backup), None),
        ],
        successor: Some("b".into()),
        no_failover: None,
        preemption_suspended: false,
        failed_claim: None,
        gate: None,
        failed_move: None,
        arbiter: Arbiter::Majority.into(),
        right_ms: None,
        votes_in_ms: None,
        vrrp: None,
        leader_key: None,
        election_key: None,
        observe: false,
        differs: None,
        drained: false,
        maintenance: false,
        maintenance_ends_ms: None,
        isolated: false,
        moves: 1,
        max_moves: 6,
        budget_ms: None,
        trace: None,
        fabric: None,
        fabric_ms: None,
        havips: vec![HavipSnapshot {
            id: "havip-x".into(),
            address: None,
            present: Some(false),
            holder: Some("i-a".into()),
            bound: vec!["i-a".into()],
            read_ms: Some(90),
            error: None,
            repairs: 0,
            repaired: None,
            contested: None,
        }],
    }
}

/// What `b` says with its peers in these states.
fn told(states: &[SessionState], g: &GroupSnapshot) -> Explanation {
    let peer = |(n, state): (usize, &SessionState)| PeerSnapshot {
        node: ["a", "c", "d", "e"][n].into(),
        state: *state,
        heard_ms: Some(20),
        dead_time_ms: 5_000,
        suspected: false,
        same_digest: Some(n == 0),
        target: ["i-a", "i-c", "i-d", "i-e"][n].parse().ok(),
        stats: SessionStats::default(),
    };
    let snapshot = Snapshot {
        cluster: "lab".into(),
        node: "b".into(),
        target: "i-b".parse().ok(),
        uptime_ms: 0,
        peers: states.iter().enumerate().map(peer).collect(),
        groups: vec![],
        counters: havipd_core::status::Counters::default(),
        pauses: 0,
        longest_pause_ms: 0,
        stopping: false,
    };
    explained(&snapshot, g, true)
}

fn backup() -> GroupSnapshot {
    group(Role::Backup, Cause::Started, "")
}

const UP: [SessionState; 2] = [SessionState::Up, SessionState::Up];

#[test]
fn a_backup_says_what_it_waits_for_and_what_says_so() {
    let waits = GroupSnapshot { waiting: "a is active".into(), ..group(Role::Backup, Cause::Started, "started") };
    let told = told(&UP, &waits);
    assert_eq!(told.answer, "b is not active for web: a is active (cause started, 1.5 s ago, epoch 7)");
    let has = |line: &str| told.text().lines().any(|l| l == format!("  - {line}"));
    assert!(has("a is connected; heard 20 ms ago, dead after 5.0 s"), "{}", told.text());
    assert!(has("the cloud says that i-a (node a) has havip-x, read 90 ms ago"), "{}", told.text());
    assert!(has("`havipctl switchover web --to b` moves it here now"), "{}", told.text());
    assert!(has("if a is silent for its dead time, leaves, or is in fault, this node takes over"), "{}", told.text());
    assert!(told.text().contains("other timing, voters, arbiter, HAVIPs or bindings"), "{}", told.text());
}

#[test]
fn who_was_away_claims_again_only_if_nobody_took_over() {
    let away = |active: Option<&str>| {
        let active = active.map(str::to_owned);
        told(&UP, &GroupSnapshot { cause: Cause::Away.into(), active, ..backup() }).change.join("\n")
    };
    assert!(away(None).contains("it claims again after one dead time"), "{}", away(None));
    let told = away(Some("a"));
    assert!(!told.contains("claims again") && told.contains("if a is silent for its dead time"), "{told}");
}

#[test]
fn every_reason_comes_with_its_remedy() {
    let cases = [
        (GroupSnapshot { drained: true, ..backup() }, "havipctl undrain web"),
        (GroupSnapshot { maintenance: true, ..backup() }, "havipctl maintenance web off"),
        (GroupSnapshot { isolated: true, ..backup() }, "restore this node's network"),
        (GroupSnapshot { cause: Cause::Superseded.into(), ..backup() }, "reclaim-wait"),
        (GroupSnapshot { cause: Cause::LeaseLost.into(), ..backup() }, "as soon as a majority hears"),
        (GroupSnapshot { budget_ms: Some(90_000), ..backup() }, "no preemption for 90.0 s"),
        (group(Role::Fault, Cause::Denied, ""), "grant read, attach and detach"),
        (group(Role::Fault, Cause::LinkDown, ""), "bring the interface up"),
    ];
    for (g, remedy) in cases {
        let text = told(&UP, &g).change.join("\n");
        assert!(text.contains(remedy), "{remedy:?} is not in {text:?}");
    }
}

#[test]
fn who_never_asks_the_cloud_says_nothing_of_it() {
    let mut unread = backup();
    unread.havips.iter_mut().for_each(|h| h.read_ms = None);
    assert!(told(&UP, &unread).text().contains("the cloud was not read for havip-x yet"));
    let outside = GroupSnapshot { member: false, ..unread.clone() };
    assert!(!told(&UP, &outside).text().contains("cloud"), "{}", told(&UP, &outside).text());
    unread.members.iter_mut().find(|m| m.node == "b").expect("a member").witness = true;
    let text = told(&UP, &unread).text();
    assert!(!text.contains("cloud") && text.contains("it votes and is never active"), "{text}");
}

#[test]
fn a_majority_is_one_of_the_groups_members() {
    let down = SessionState::Down;
    let nobody = GroupSnapshot { active: None, ..backup() };
    let text = told(&[down, down], &nobody).change.join("\n");
    assert!(text.contains("hears only 1 of 3 nodes"), "{text}");
    // Two more nodes, dead, that have no vote here.
    let told = told(&[SessionState::Up, down, down, down], &backup());
    assert!(!told.text().contains("no majority") && !told.text().contains("d is dead"), "{}", told.text());
    assert!(told.text().contains("c is dead"), "{}", told.text());
}

#[test]
fn every_wait_says_how_long() {
    for (g, answer) in [
        (
            GroupSnapshot { waiting: "c goes first in rank".into(), waiting_ms: Some(1_200), ..backup() },
            "rank, 1.2 s left",
        ),
        (
            GroupSnapshot {
                waiting: "the next claim waits".into(),
                waiting_ms: Some(3_000),
                ..group(Role::Fault, Cause::Denied, "attach: 403")
            },
            "b is not eligible for web: attach: 403; the next claim waits, 3.0 s left",
        ),
    ] {
        let told = told(&UP, &GroupSnapshot { active: None, ..g });
        assert!(told.answer.contains(answer), "{answer:?} is not in {:?}", told.answer);
        assert!(told.change.iter().any(|l| l.contains("goes on by itself in")), "{told:?}");
    }
    let unheard =
        GroupSnapshot { active: None, waiting: "a was not heard".into(), waiting_ms: Some(9_000), ..backup() };
    let text = told(&[SessionState::Unproven, SessionState::Up], &unheard).change.join("\n");
    assert!(text.contains("start havipd on a"), "{text}");
}

#[test]
fn no_command_is_named_that_would_be_refused_and_no_move_promised_that_does_not_come() {
    let with = |unfit| {
        let mut g = backup();
        g.members[1] = member("b", 100, Some(Role::Backup), Some(unfit));
        g.successor = Some("c".into());
        g
    };
    let elsewhere = GroupSnapshot { member: false, members: vec![member("a", 150, None, None)], ..backup() };
    let cases = [
        GroupSnapshot { maintenance: true, ..backup() },
        GroupSnapshot { drained: true, ..with(Unfit::Drained) },
        GroupSnapshot { role: Role::Fault, ..with(Unfit::Fault) },
        with(Unfit::Witness),
        elsewhere,
        GroupSnapshot { maintenance: true, active: Some("b".into()), ..group(Role::Active, Cause::Confirmed, "") },
        GroupSnapshot { successor: None, active: Some("b".into()), ..group(Role::Active, Cause::Confirmed, "") },
    ];
    for g in cases {
        let text = told(&UP, &g).change.join("\n");
        assert!(!text.contains("switchover") && !text.contains("this node takes over"), "{g:?}: {text}");
    }
    let votes = "b is a witness of web: it votes and is never active";
    let mut witness = with(Unfit::Witness);
    assert!(told(&UP, &witness).answer.starts_with(&format!("{votes}; a is active, epoch")));
    witness.members[0].role = Some(Role::Claiming);
    assert!(told(&UP, &witness).answer.starts_with(&format!("{votes}; a claims, epoch")), "which may yet fail");
    let claiming = {
        let mut g = backup();
        g.members[0].role = Some(Role::Claiming);
        g
    };
    assert!(!told(&UP, &claiming).text().contains("switchover"), "it would be refused there");
    let nobody = "nobody can take web over: b is drained, c is not heard";
    let alone = GroupSnapshot { no_failover: Some(nobody.into()), ..with(Unfit::Drained) };
    assert!(told(&UP, &alone).change.contains(&nobody.to_owned()));
}

#[test]
fn who_is_outranked_expects_no_preemption_and_who_is_not_is_told_when() {
    let text = |g: &GroupSnapshot| told(&UP, g).change.join("\n");
    assert!(!text(&backup()).contains("preempt"), "{}", text(&backup()));
    let mut first = GroupSnapshot { waiting_ms: Some(54_000), ..backup() };
    first.members.swap(0, 1);
    assert!(text(&first).contains("goes before a in rank: it takes over by itself in 54.0 s"), "{}", text(&first));
    first.preemption_suspended = true;
    assert!(text(&first).contains("suspended since a switchover"), "{}", text(&first));
    assert!(!text(&first).contains("by itself"), "{}", text(&first));
    let spent = GroupSnapshot { preemption_suspended: false, budget_ms: Some(1), ..first };
    assert!(!text(&spent).contains("preempt is on"), "{}", text(&spent));
}

#[test]
fn the_clouds_word_against_an_active_node_comes_first() {
    let mine = || GroupSnapshot {
        active: Some("b".into()),
        ..group(Role::Active, Cause::Confirmed, "the cloud was read back to name this node")
    };
    let told_of = |g: &GroupSnapshot| told(&UP, g).answer;
    let answer = told_of(&mine());
    let words = "b is active for web here, but the cloud names i-a (node a) as holder of havip-x, read 90 ms ago";
    assert!(answer.starts_with(words), "{answer}");
    let observing = GroupSnapshot { observe: true, ..mine() };
    assert!(told_of(&observing).starts_with("b is active for web: "), "it wrote nothing");
    let mut ours = mine();
    ours.havips[0].holder = Some("i-b".into());
    let evidence = told(&UP, &ours).evidence;
    assert!(evidence.iter().any(|l| l.starts_with("the cloud says that i-b (this node) has havip-x")), "{evidence:?}");
    assert!(told_of(&ours).starts_with("b is active for web: the cloud was read back"));
}

#[test]
fn a_claim_that_failed_is_not_forgotten_when_the_next_may_be_tried() {
    let failed = havipd_core::status::FailedClaimSnapshot {
        cause: Cause::Denied.into(),
        text: "attach havip-x: 403".into(),
        ago_ms: 90_000,
    };
    let g = GroupSnapshot { failed_claim: Some(failed), ..backup() };
    let line = "the last claim of this node failed 90.0 s ago (denied): attach havip-x: 403";
    assert!(told(&UP, &g).evidence.iter().any(|l| l == line), "{:?}", told(&UP, &g));
    let in_fault = GroupSnapshot { role: Role::Fault, detail: "attach havip-x: 403".into(), ..g };
    assert!(!told(&UP, &in_fault).text().contains("the last claim"), "once is enough");
}

#[test]
fn an_active_node_says_what_became_of_its_last_move() {
    let failed = havipd_core::status::FailedMoveSnapshot {
        to: "c".into(),
        reason: "declined: it has just failed to claim it".into(),
        ago_ms: 2_000,
    };
    let g = GroupSnapshot {
        active: Some("b".into()),
        failed_move: Some(failed),
        successor: Some("a".into()),
        ..group(Role::Active, Cause::Confirmed, "")
    };
    let told = told(&UP, &g);
    let line = "the last planned move, to c, failed 2.0 s ago: c declined: it has just failed to claim it";
    assert!(told.evidence.iter().any(|l| l == line), "{told:?}");
    let text = told.change.join("\n");
    assert!(
        text.contains("on c: `havipctl why web`") && text.contains("`havipctl switchover web` moves it to a"),
        "{text}"
    );
}
