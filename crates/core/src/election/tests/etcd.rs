//! Arbiter `etcd` with a leader key: whose name counts, for how long, and what is as with keepalived.

use super::*;
use crate::model::event::{Command, Reply};
use crate::model::leader::{KeyRecord, KeyReport, LeaderKey, LeaderReport};

/// What a read counts for.
const LEASE: Duration = Duration::from_secs(10);
const KEY: &str = "/service/pg/leader";

fn config_of(nodes: usize, local: usize) -> Config {
    let mut config = config(nodes, local, Arbiter::Etcd);
    let value = config.nodes[local].name.to_string();
    config.groups[0].leader = Some(LeaderKey { key: KEY.to_owned(), value });
    config
}

fn pair() -> Pair {
    let mut pair = Pair::new(2, Arbiter::Etcd);
    for node in 0..2 {
        pair.give(node, Event::ConfigReloaded(Arc::new(config_of(2, node))));
    }
    pair.run(Duration::from_secs(2));
    pair
}

/// A read that `node` sent now and that found `value`.
fn read(pair: &mut Pair, node: usize, value: Option<&str>, created: u64, decided: bool) {
    let ours = value == Some(["a", "b"][node]);
    let record = KeyRecord { value: value.map(str::to_owned), ours, created, revision: created + 1 };
    let report = KeyReport {
        record: Some(record),
        read: Some(pair.now),
        until: pair.now + LEASE,
        decided,
        endpoint: Some("http://127.0.0.1:2379".to_owned()),
        trouble: None,
    };
    tell(pair, node, report);
}

fn tell(pair: &mut Pair, node: usize, report: KeyReport) {
    pair.give(node, Event::LeaderReported { group: GroupIndex(0), report: LeaderReport::Etcd(report) });
}

/// Both read the same, every two seconds, for `span`; `deaf` reads nothing.
fn reading(pair: &mut Pair, value: Option<&str>, created: u64, span: Duration, deaf: Option<usize>) {
    let end = pair.now + span;
    while pair.now < end {
        for node in (0..2).filter(|node| Some(*node) != deaf) {
            read(pair, node, value, created, false);
        }
        pair.run(Duration::from_secs(2));
    }
}

/// `a` is named and active.
fn settled() -> Pair {
    let mut pair = pair();
    read(&mut pair, 1, Some("a"), 5, false);
    read(&mut pair, 0, Some("a"), 5, true);
    reading(&mut pair, Some("a"), 5, Duration::from_secs(10), None);
    assert_eq!(roles(&pair), (Role::Active, Role::Backup));
    pair
}

fn roles(pair: &Pair) -> (Role, Role) {
    (pair.role(0), pair.role(1))
}

fn detail(pair: &Pair, node: usize) -> String {
    pair.core(node).groups[0].detail.clone()
}

#[test]
fn nobody_claims_before_etcd_has_been_read() {
    let mut pair = pair();
    pair.run(Duration::from_secs(60));
    assert_eq!(roles(&pair), (Role::Backup, Role::Backup));
    let waiting = &pair.core(0).groups[0].candidacy.waiting().text;
    assert_eq!(waiting, "etcd's /service/pg/leader has not been read yet");
}

#[test]
fn the_named_node_claims_at_once_and_the_other_lets_go_at_once() {
    let mut pair = settled();
    read(&mut pair, 0, Some("b"), 9, false);
    read(&mut pair, 1, Some("b"), 9, true);
    assert_eq!(roles(&pair), (Role::Backup, Role::Claiming), "without a wait");
    pair.run(Duration::from_secs(1));
    assert_eq!((roles(&pair), &pair.bound[..]), ((Role::Backup, Role::Active), &["i-b".to_owned()][..]));
    assert_eq!(pair.causes(0).last(), Some(&Cause::VrrpBackup));
    assert_eq!(detail(&pair, 0), "etcd's /service/pg/leader names b");
}

#[test]
fn a_key_that_is_gone_names_nobody() {
    let mut pair = settled();
    read(&mut pair, 0, None, 0, false);
    read(&mut pair, 1, None, 0, false);
    reading(&mut pair, None, 0, Duration::from_secs(60), None);
    assert_eq!(roles(&pair), (Role::Backup, Role::Backup));
    assert_eq!(detail(&pair, 0), "etcd has no key /service/pg/leader, so nobody leads");
    assert_eq!(pair.core(0).groups[0].reconcilers[0].address.present, Some(false));
}

/// ⚠ What was read counts for the lease and not an instant longer, and nobody needs to say so: the task that reads
/// may hang.
#[test]
fn what_was_read_counts_for_the_lease() {
    let mut pair = settled();
    read(&mut pair, 0, Some("a"), 5, false);
    pair.run(LEASE - Duration::from_millis(20));
    assert_eq!(pair.role(0), Role::Active);
    pair.run(Duration::from_millis(20));
    assert_eq!((pair.role(0), pair.causes(0).last()), (Role::Fault, Some(&Cause::VrrpFault)));
    let said = detail(&pair, 0);
    assert!(said.contains("has not confirmed /service/pg/leader"), "{said}");
    pair.run(Duration::from_secs(5));
    assert_eq!(pair.core(0).groups[0].reconcilers[0].address.present, Some(false));
}

/// The trouble is told, and prolongs nothing.
#[test]
fn a_report_of_trouble_prolongs_nothing() {
    let mut pair = settled();
    let until = pair.now + LEASE;
    read(&mut pair, 0, Some("a"), 5, false);
    for _ in 0..6 {
        pair.run(Duration::from_secs(2));
        let record = KeyRecord { value: Some("a".into()), ours: true, created: 5, revision: 6 };
        let trouble = Some("connection refused".to_owned());
        let report = KeyReport { record: Some(record), read: None, until, decided: false, endpoint: None, trouble };
        tell(&mut pair, 0, report);
    }
    assert_eq!(pair.role(0), Role::Fault);
    let text = pair.core(0).snapshot(pair.now).groups[0].leader_key.clone().expect("it follows one").text;
    assert!(text.contains("connection refused"), "{text}");
}

/// ⚠ Decided once, acted on once: after a loss the same record takes nothing from a node that is active.
#[test]
fn the_same_decision_is_used_up_and_a_new_one_is_not() {
    let mut pair = settled();
    // `a` cannot read etcd; the key moves to `b`, and `a` then reads through a member that lags: nothing has changed.
    reading(&mut pair, Some("a"), 5, Duration::from_secs(12), Some(0));
    assert_eq!(pair.role(0), Role::Fault);
    read(&mut pair, 1, Some("b"), 9, true);
    pair.run(Duration::from_secs(1));
    assert_eq!(roles(&pair), (Role::Fault, Role::Active));
    for _ in 0..30 {
        read(&mut pair, 0, Some("a"), 5, false);
        read(&mut pair, 1, Some("b"), 9, false);
        pair.run(Duration::from_secs(2));
    }
    assert_eq!(roles(&pair), (Role::Backup, Role::Active), "it waits for the one that is active");
    read(&mut pair, 0, Some("a"), 12, true);
    pair.run(Duration::from_secs(1));
    assert_eq!(pair.role(0), Role::Active, "a new decision goes before everybody");
}

#[test]
fn a_restarted_daemon_resumes_where_the_key_still_names_it() {
    let mut pair = settled();
    pair.kill(0);
    pair.run(Duration::from_millis(300));
    pair.start(0, config_of(2, 0));
    read(&mut pair, 0, Some("a"), 5, false);
    pair.run(Duration::from_secs(2));
    assert_eq!(pair.role(0), Role::Active);
    assert_eq!(pair.causes(0)[pair.causes(0).len() - 2..], [Cause::Resumed, Cause::Confirmed]);
    assert_eq!(pair.moves(), 0);
}

#[test]
fn maintenance_freezes_whatever_etcd_says_and_however_long_it_says_nothing() {
    let mut pair = settled();
    let maintenance =
        |on| Event::Commanded { command: Command::Maintenance { group: None, on, lasts: None }, request: 9 };
    pair.give(0, maintenance(true));
    pair.run(Duration::from_secs(60));
    assert_eq!(roles(&pair), (Role::Active, Role::Backup));
    read(&mut pair, 0, Some("b"), 9, false);
    read(&mut pair, 1, Some("b"), 9, true);
    pair.run(Duration::from_secs(5));
    assert_eq!(roles(&pair), (Role::Active, Role::Backup));
    pair.give(0, maintenance(false));
    reading(&mut pair, Some("b"), 9, Duration::from_secs(10), None);
    assert_eq!(roles(&pair), (Role::Backup, Role::Active));
}

#[test]
fn operators_are_told_who_elects() {
    let mut pair = settled();
    for command in [Command::Switchover { group: GroupIndex(0), to: None }, Command::Drain { group: None, on: true }] {
        let actions = pair.give(0, Event::Commanded { command: command.clone(), request: 9 });
        let refused = actions.iter().any(|a| match a {
            Action::Reply { reply: Reply::Refused(why), .. } => {
                why.contains("the program that writes etcd's /service/pg/leader")
            }
            _ => false,
        });
        assert!(refused, "{command:?}: {actions:?}");
    }
}

#[test]
fn the_status_has_the_key_and_how_long_it_counts() {
    let mut pair = settled();
    read(&mut pair, 0, Some("a"), 5, false);
    pair.run(Duration::from_secs(4));
    let snapshot = pair.core(0).snapshot(pair.now);
    let key = snapshot.groups[0].leader_key.as_ref().expect("it follows one");
    assert_eq!((key.key.as_str(), key.value.as_deref(), key.created), (KEY, Some("a"), Some(5)));
    assert_eq!((key.read_ms, key.left_ms), (Some(4_000), Some(6_000)));
    assert!(snapshot.groups[0].vrrp.is_none());
    assert!(snapshot.groups[0].right_ms.is_some_and(|ms| ms <= 6_000));
}
