//! The transitions of docs/protocol.md §3 where a key in etcd decides, a case each: what leads to each, and what the key says then.
//! The rules of lease and key alone are with `arbiter::etcd`. See `conformance`.

use super::*;
use crate::model::etcd::{EtcdAnswer, EtcdRequest, KeyFound, KeyRead, KeyState, LeaseId, Says};
use crate::model::event::Command;
use Role::{Active, Backup, Claiming, Fault, Releasing};

const LEASE: Duration = Duration::from_secs(10);
const WEB: GroupIndex = GroupIndex(0);
const SEC: Duration = Duration::from_secs(1);

fn config_of(local: usize) -> Config {
    let mut config = config(2, local, Arbiter::EtcdLease);
    config.etcd = Some(Etcd {
        endpoints: vec!["http://127.0.0.1:2379".to_owned()],
        prefix: "/havipd".to_owned(),
        lease: LEASE,
        request_timeout: SEC,
        ca_file: None,
        client: None,
        user: None,
    });
    config.groups[0].preempt = false;
    config
}

/// Two nodes, and etcd as they hear of it: one key, and leases.
struct Cluster {
    pair: Pair,
    revision: u64,
    key: Option<KeyFound>,
    leases: BTreeMap<LeaseId, Instant>,
    granted: u64,
    /// Who gets no answer.
    cut: BTreeSet<usize>,
    read_at: BTreeMap<usize, Instant>,
    taken: usize,
    changed: bool,
}

impl Cluster {
    /// `a` is active.
    fn settled() -> Self {
        let pair = Pair::with(2, Instant::from_millis(1_000_000), config_of);
        let (leases, cut, read_at) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        let mut cluster =
            Self { pair, revision: 1, key: None, leases, granted: 0, cut, read_at, taken: 0, changed: false };
        cluster.run(SEC * 10);
        assert_eq!((cluster.pair.role(0), cluster.says()), (Active, "a".to_owned()), "{}", cluster.pair.story());
        cluster
    }

    fn run(&mut self, span: Duration) {
        let end = self.pair.now + span;
        while self.pair.now < end {
            self.pair.run(Duration::from_millis(10));
            self.end_leases();
            self.answer();
            self.read();
        }
    }

    fn end_leases(&mut self) {
        let now = self.pair.now;
        self.leases.retain(|_, ends| *ends > now);
        let lease = self.key.as_ref().and_then(|key| key.lease);
        if lease.is_some_and(|lease| !self.leases.contains_key(&lease)) {
            self.write(None);
        }
    }

    fn write(&mut self, key: Option<(Says, Option<LeaseId>)>) {
        (self.revision, self.changed) = (self.revision + 1, true);
        self.key = key.map(|(says, lease)| KeyFound { says, modified: self.revision, lease });
    }

    fn by_hand(&mut self, says: Option<&str>) {
        self.write(says.map(|says| (Says::read(says.as_bytes()), None)));
    }

    fn answer(&mut self) {
        let asked = self.pair.log[self.taken..].iter().filter_map(|(_, node, action)| match action {
            Action::AskEtcd { op, request, .. } => Some((*node, *op, request.clone())),
            _ => None,
        });
        let asked: Vec<_> = asked.collect();
        self.taken = self.pair.log.len();
        for (node, op, request) in asked {
            let silence = || Err("no whole answer within 1s".to_owned());
            let answer = if self.cut.contains(&node) { silence() } else { Ok(self.carry_out(request)) };
            let sent = self.pair.clock(node);
            self.pair.give(node, Event::EtcdAnswered { group: WEB, op, sent, answer });
        }
    }

    fn carry_out(&mut self, request: EtcdRequest) -> EtcdAnswer {
        let ends = self.pair.now + LEASE;
        match request {
            EtcdRequest::Grant(length) => {
                self.granted += 1;
                self.leases.insert(LeaseId(self.granted), ends);
                return EtcdAnswer::Granted(LeaseId(self.granted), length);
            }
            EtcdRequest::KeepAlive(id) => {
                let left = self.leases.get_mut(&id).map_or(Duration::ZERO, |lease| {
                    *lease = ends;
                    LEASE
                });
                return EtcdAnswer::KeptAlive(left);
            }
            EtcdRequest::Revoke(id) => {
                self.leases.remove(&id);
                self.end_leases();
                return EtcdAnswer::Revoked;
            }
            EtcdRequest::Write { after, value, lease } => {
                if self.key.as_ref().map_or(0, |key| key.modified) == after && self.leases.contains_key(&lease) {
                    self.write(Some((Says::Value(value), Some(lease))));
                }
            }
        }
        EtcdAnswer::Key(self.state())
    }

    fn state(&self) -> KeyState {
        KeyState { revision: self.revision, found: self.key.clone() }
    }

    fn read(&mut self) {
        let changed = std::mem::take(&mut self.changed);
        for node in (0..2).filter(|node| !self.cut.contains(node)).collect::<Vec<_>>() {
            let due = self.read_at.get(&node).is_none_or(|at| self.pair.now >= *at + LEASE / 4);
            if (changed || due) && self.pair.nodes[node].is_some() {
                self.read_at.insert(node, self.pair.now);
                let (state, sent) = (self.state(), self.pair.clock(node));
                let read = Ok(KeyRead { state, sent, endpoint: "http://127.0.0.1:2379".to_owned() });
                self.pair.give(node, Event::EtcdKeyRead { group: WEB, read });
            }
        }
    }

    fn says(&self) -> String {
        self.key.as_ref().map_or_else(String::new, |key| key.says.to_string())
    }

    /// The changes of role of a node since `from`.
    fn changes(&self, from: Instant, node: usize) -> Vec<(Role, Role)> {
        let own = self.pair.log.iter().filter(|(at, i, _)| *at >= from && *i == node);
        own.filter_map(|(_, _, a)| if let Action::Record(t) = a { Some((t.from, t.to)) } else { None }).collect()
    }

    /// Until `a` has let go; no longer than its lease.
    fn run_until_a_lets_go(&mut self) {
        let latest = self.pair.now + LEASE * 98 / 100;
        while self.pair.role(0) == Active && self.pair.now < latest {
            self.run(Duration::from_millis(10));
        }
        assert_eq!(self.pair.causes(0).last(), Some(&Cause::LeaseLost), "{}", self.pair.story());
    }

    fn switchover(&mut self) {
        let command = Command::Switchover { group: WEB, to: Some(NodeIndex(1)) };
        self.pair.give(0, Event::Commanded { command, request: 1 });
    }

    #[track_caller]
    fn expect(&self, from: Instant, node: usize, changes: &[(Role, Role)], says: &str) {
        let story = self.pair.story();
        assert_eq!((self.changes(from, node).as_slice(), self.says().as_str()), (changes, says), "{story}");
    }
}

/// The key is won: Backup, Claiming, Active. Its revision is the epoch.
#[test]
fn a_key_that_is_written_begins_a_claim() {
    let cluster = Cluster::settled();
    cluster.expect(Instant::default(), 0, &[(Backup, Claiming), (Claiming, Active)], "a");
    cluster.expect(Instant::default(), 1, &[], "a");
    assert_eq!(cluster.pair.core(0).groups[0].epochs.ours(), Epoch(2));
}

/// Active, Releasing, Backup; the other one goes on from the key that names it.
#[test]
fn a_planned_move_passes_the_key_on() {
    let mut cluster = Cluster::settled();
    let from = cluster.pair.now;
    cluster.switchover();
    cluster.run(SEC * 5);
    cluster.expect(from, 0, &[(Active, Releasing), (Releasing, Backup)], "b");
    cluster.expect(from, 1, &[(Backup, Claiming), (Claiming, Active)], "b");
    // The old lease is given back.
    assert_eq!(cluster.leases.len(), 1);
}

/// Active to Backup where etcd is silent, before the lease can end; and the other one by the end of that.
#[test]
fn a_lease_that_is_not_renewed_ends_leadership() {
    let mut cluster = Cluster::settled();
    let from = cluster.pair.now;
    cluster.cut.insert(0);
    cluster.run_until_a_lets_go();
    cluster.expect(from, 0, &[(Active, Backup)], "a");
    cluster.expect(from, 1, &[], "a");
    cluster.run(SEC * 5);
    cluster.expect(from, 1, &[(Backup, Claiming), (Claiming, Active)], "b");
}

/// Active to Backup where somebody deletes the key, and a new term by a new key.
#[test]
fn a_key_that_is_deleted_is_elected_anew() {
    let mut cluster = Cluster::settled();
    let from = cluster.pair.now;
    cluster.by_hand(None);
    cluster.run(SEC * 5);
    cluster.expect(from, 0, &[(Active, Backup), (Backup, Claiming), (Claiming, Active)], "a");
    let lost = cluster.pair.causes(0).contains(&Cause::LeaseLost);
    assert!(lost && cluster.pair.core(0).groups[0].epochs.ours() > Epoch(2), "{}", cluster.pair.story());
}

/// Nobody leads by a key that no havipd wrote, and nobody deletes it.
#[test]
fn a_foreign_key_stands() {
    let mut cluster = Cluster::settled();
    let from = cluster.pair.now;
    cluster.by_hand(Some("who is that"));
    cluster.run(LEASE * 3);
    cluster.expect(from, 0, &[(Active, Backup)], "who is that");
    cluster.expect(from, 1, &[], "who is that");
    cluster.by_hand(None);
    cluster.run(SEC * 5);
    assert!([0, 1].map(|node| cluster.pair.role(node)).contains(&Active), "{}", cluster.pair.story());
}

/// Claiming to Backup: the key goes while the cloud does not answer.
#[test]
fn a_claim_ends_with_its_key() {
    let mut cluster = Cluster::settled();
    cluster.pair.kill(0);
    cluster.pair.unanswered.insert(1);
    let from = cluster.pair.now;
    cluster.run(LEASE + SEC * 2);
    cluster.expect(from, 1, &[(Backup, Claiming)], "b");
    cluster.by_hand(Some("who is that"));
    cluster.run(SEC);
    cluster.expect(from, 1, &[(Backup, Claiming), (Claiming, Backup)], "who is that");
}

/// Releasing to Claiming, and Active again: the successor is gone, and the key comes back by a lease of its own.
#[test]
fn a_key_that_nobody_takes_comes_back() {
    let mut cluster = Cluster::settled();
    let (from, lease) = (cluster.pair.now, cluster.key.as_ref().and_then(|key| key.lease));
    cluster.switchover();
    cluster.pair.kill(1);
    cluster.run(SEC * 15);
    cluster.expect(from, 0, &[(Active, Releasing), (Releasing, Claiming), (Claiming, Active)], "a");
    assert_ne!(cluster.key.as_ref().and_then(|key| key.lease), lease);
}

/// Any role to Fault, whatever the key says, which is given back at once; and Fault to Backup.
#[test]
fn a_fault_gives_the_key_back() {
    let mut cluster = Cluster::settled();
    let from = cluster.pair.now;
    cluster.pair.give(0, Event::HostChecked { differs: Some("it is i-x".to_owned()) });
    cluster.run(SEC * 5);
    cluster.expect(from, 0, &[(Active, Fault)], "b");
    cluster.expect(from, 1, &[(Backup, Claiming), (Claiming, Active)], "b");
    cluster.pair.give(0, Event::HostChecked { differs: None });
    cluster.run(SEC * 5);
    cluster.expect(from, 0, &[(Active, Fault), (Fault, Backup)], "b");
}

/// ⚠ §5: an etcd that was restored from a backup counts after a lease; its holder of before may lead for as long.
#[test]
fn a_restored_etcd_counts_after_a_lease() {
    let mut cluster = Cluster::settled();
    let from = cluster.pair.now;
    // a cannot hear of it, and neither node hears the other.
    cluster.cut.insert(0);
    cluster.pair.partition(0, 1, true);
    (cluster.revision, cluster.key, cluster.changed) = (1, None, true);
    cluster.leases.clear();
    cluster.run_until_a_lets_go();
    cluster.expect(from, 1, &[], "");
    cluster.run(SEC * 5);
    cluster.expect(from, 0, &[(Active, Backup)], "b");
    cluster.expect(from, 1, &[(Backup, Claiming), (Claiming, Active)], "b");
}
