//! The page says what is so, and nothing of what is gone.

use super::*;
use crate::gates::status::{GateOutcome, GateRuns};
use crate::program::Ended;
use havipd_core::model::action::Transition;
use havipd_core::model::ids::{Epoch, GroupIndex};
use havipd_core::model::role::Cause;
use havipd_core::model::time::Instant;
use havipd_core::status::Unfit;
use havipd_lab::simulation::cluster::Cluster;

fn snapshot() -> Snapshot {
    let start = havipd_core::election::Start {
        config: std::sync::Arc::new(Cluster::of(3, 0, Arbiter::Cloud).config(0)),
        boot: havipd_core::model::ids::BootId([1; 16]),
        seed: 1,
        persisted: Some(havipd_core::model::persisted::Persisted::default()),
        machine_boot: String::new(),
    };
    havipd_core::election::Core::new(start, Instant::default()).snapshot(Instant::from_millis(1500))
}

#[test]
fn who_could_take_over_is_counted_where_it_can_be_known() {
    let mut group = snapshot().groups.remove(0);
    assert_eq!((group.members.len(), successors(&group)), (3, None), "nobody is active");
    let active = group.members[0].node.clone();
    group.active = Some(active);
    group.members.iter_mut().for_each(|m| m.unfit = None);
    assert_eq!(successors(&group), Some(2.0));
    group.members[1].unfit = Some(Unfit::Drained.into());
    assert_eq!(successors(&group), Some(1.0));
    group.no_failover = Some("no majority".into());
    assert_eq!(successors(&group), Some(0.0));
    group.arbiter = Arbiter::Keepalived.into();
    assert_eq!(successors(&group), None);
    group.arbiter = Arbiter::Cloud.into();
    group.members.truncate(1);
    assert_eq!(successors(&group), None, "there never is anybody");
}

#[test]
fn a_node_says_of_a_group_only_what_it_can_know() {
    let mut now = snapshot();
    let group = now.groups[0].name.clone();
    let series = |now: &Snapshot, prefix: &str| {
        let page = page(now, &Facts::default(), &Tally::default());
        page.lines().filter(|l| l.starts_with(prefix)).count()
    };
    now.groups[0].havips[0].read_ms = Some(1);
    assert!(series(&now, "havipd_group_") > 10 && series(&now, "havipd_havip_") > 2, "a member that may be active");
    now.groups[0].members.iter_mut().find(|m| m.node == now.node).expect("a member").witness = true;
    assert_eq!(series(&now, "havipd_havip_"), 0, "a witness never asks the cloud");
    assert!(series(&now, "havipd_group_is_active{") == 1 && series(&now, "havipd_group_role{") == 5, "but it votes");
    now.groups[0].member = false;
    assert_eq!(series(&now, "havipd_group_") + series(&now, "havipd_havip_"), 0, "no member of {group}");
    assert!(series(&now, "havipd_peer_") > 3);
}

/// Lines of a page that name something, whatever they say of it.
fn about(page: &str, what: &str) -> usize {
    page.lines().filter(|l| l.contains(&format!("=\"{what}\""))).count()
}

#[test]
fn a_gate_is_counted_by_how_its_runs_ended() {
    let outcome = GateOutcome {
        kind: GateKind::BeforeRelease,
        program: "/demote".into(),
        epoch: Epoch(3),
        result: Ended::Exited { code: 1 },
        milliseconds: 40,
        left_running: 0,
        left_behind: false,
        lines_suppressed: 0,
        tail: Vec::new(),
    };
    let runs = GateRuns { passed: 2, failed: 1, milliseconds: 1500, ..GateRuns::default() };
    let mut gates = GateStatus {
        running: Some(GateKind::BeforeActive),
        last: Some(outcome.clone()),
        results: [(GateKind::BeforeRelease, runs)].into(),
        ..GateStatus::default()
    };
    let shown = |gates: &GateStatus| {
        let facts = Facts { gates: vec![("db".into(), gates.clone())], ..Facts::default() };
        page(&snapshot(), &facts, &Tally::default())
    };
    let text = shown(&gates);
    for line in [
        "havipd_gate_running{group=\"db\",gate=\"before-active\"} 1\n",
        "havipd_gate_running{group=\"db\",gate=\"before-release\"} 0\n",
        "havipd_gate_runs_total{group=\"db\",gate=\"before-release\",result=\"passed\"} 2\n",
        "havipd_gate_runs_total{group=\"db\",gate=\"before-release\",result=\"timed-out\"} 0\n",
        "havipd_gate_run_seconds_total{group=\"db\",gate=\"before-release\"} 1.5\n",
        "havipd_gate_failing{group=\"db\"} 1\n",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    gates.last = Some(GateOutcome { result: Ended::Cut, ..outcome });
    assert!(shown(&gates).contains("havipd_gate_failing{group=\"db\"} 0\n"), "its program did nothing wrong");
    gates.last = None;
    assert!(!shown(&gates).contains("havipd_gate_failing"));
}

#[test]
fn what_is_gone_from_the_snapshot_is_gone_from_the_page() {
    let (mut now, mut tally) = (snapshot(), Tally::default());
    let group = now.groups[0].name.clone();
    let peer = now.peers[0].node.clone();
    now.groups[0].havips[0].holder = Some("i-x".into());
    now.groups[0].havips[0].read_ms = Some(900);
    now.groups[0].active = Some("x".into());
    let transition = Transition {
        at: Instant::from_millis(1),
        group: GroupIndex(0),
        from: Role::Claiming,
        to: Role::Active,
        epoch: Epoch(1),
        cause: Cause::Confirmed,
        detail: String::new(),
        peer: None,
        timeline: Vec::new(),
    };
    tally.record(&group, &transition);
    let facts =
        Facts { sockets: vec![("10.0.0.9:1".into(), true)], record_bound: Duration::from_secs(1), ..Facts::default() };
    let before = page(&now, &facts, &tally);
    assert!(about(&before, &group) > 10 && about(&before, &peer) > 10, "{before}");
    assert_eq!((about(&before, "i-x"), about(&before, "x"), about(&before, "10.0.0.9:1")), (1, 1, 1));
    assert!(before.contains("havipd_claims_total{") && before.contains("havipd_group_active_node{"));
    assert!(!before.contains("havipd_credentials_expiry"), "not known");

    // Another holder, nobody active, and then no group, no peer and no socket.
    now.groups[0].havips[0].holder = Some("i-y".into());
    now.groups[0].active = None;
    let after = page(&now, &facts, &tally);
    assert_eq!((about(&after, "i-x"), about(&after, "i-y")), (0, 1));
    assert!(!after.contains("havipd_group_active_node"), "without a sample there is no header either");
    // A record that cannot be read, or was not for long, says nothing of the present.
    for (error, read_ms) in [(Some("500".to_owned()), Some(900)), (None, Some(1100)), (None, None)] {
        now.groups[0].havips[0].error = error;
        now.groups[0].havips[0].read_ms = read_ms;
        let after = page(&now, &facts, &tally);
        assert!(!after.contains("havipd_havip_holder") && !after.contains("havipd_havip_held"), "{after}");
    }
    now.groups.clear();
    now.peers.clear();
    let found = vec![("clock".to_owned(), "ok"), ("peer.b".to_owned(), "failed")];
    let doctor_interval = Some(Duration::from_secs(3600));
    let facts = Facts { credentials_end: Some(7), doctor_interval, doctor: Some((9.5, found)), ..Facts::default() };
    let after = page(&now, &facts, &tally);
    assert!(!before.contains("havipd_doctor"), "it has not looked yet");
    for line in [
        "havipd_doctor_last_look_timestamp_seconds 9.5\n",
        "havipd_doctor_interval_seconds 3600\n",
        "havipd_doctor_findings{level=\"ok\"} 1\nhavipd_doctor_findings{level=\"warning\"} 0\n",
        "# TYPE havipd_doctor_finding gauge\nhavipd_doctor_finding{id=\"peer.b\",level=\"failed\"} 1\n",
    ] {
        assert!(after.contains(line), "{line} in {after}");
    }
    assert_eq!((about(&after, &group), about(&after, &peer), about(&after, "10.0.0.9:1")), (0, 0, 0), "{after}");
    assert!(after.contains("havipd_credentials_expiry_timestamp_seconds 7\n"));
}
