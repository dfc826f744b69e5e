//! The etcd of a world: keys that are bound to leases, transactions, and a clock of its own.
//!
//! One logical store, since everything asked of it is linearizable. It may be slow, cut off from a node in one direction or both,
//! and without a leader for a while: then nothing is answered and no lease ends, and afterwards all of them begin anew, as etcd
//! does it. A request that got no answer in time may have been carried out, or be carried out later. Watches end where its past is
//! compacted away, and it may be restored from a backup: then it is what it was, in one instant, which is worse than any real one.

use super::clock::{BEGINNING, Clock};
use super::host::Reach;
use super::schedule::Scheduled;
use super::world::World;
use havipd_core::model::etcd::{EtcdAnswer, EtcdRequest, KeyFound, KeyRead, KeyState, LeaseId, Says};
use havipd_core::model::event::Event;
use havipd_core::model::ids::{GroupIndex, OperationId};
use havipd_core::model::settings::Arbiter;
use havipd_core::model::time::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// `etcd.request-timeout` of every node.
pub(super) const TIMEOUT: Duration = Duration::from_secs(1);
/// A daemon that stands still turns to its requests this much later.
const LATER: Duration = Duration::from_millis(10);
/// After a read that failed.
const AGAIN: Duration = Duration::from_millis(500);
/// Reads in a lease.
const IN_A_LEASE: u32 = 4;

/// Everything that it knows.
#[derive(Debug)]
pub(super) struct Etcd {
    clock: Clock,
    revision: u64,
    /// By group.
    keys: BTreeMap<usize, KeyFound>,
    leases: BTreeMap<LeaseId, Lease>,
    granted: u64,
    /// There is no leader before.
    down_until: Instant,
    /// Whatever is asked meanwhile is carried out by the next leader.
    all_wait: bool,
    delay: Duration,
    /// Its own, so that worlds without it are what they were.
    rng: fastrand::Rng,
    /// Per host and group: when what was answered about its lease, and about its key, was sent.
    answered: BTreeMap<(usize, usize), Answered>,
    /// Per group: when somebody last changed the key, or ended its lease, by hand.
    by_hand: BTreeMap<usize, Instant>,
    /// Watches that have ended, by host and group: nothing is heard before the next read.
    deaf: BTreeSet<(usize, usize)>,
    backup: Option<Backup>,
    /// How often it was restored, and when last.
    restored: (u64, Instant),
    /// Per host and group: what it knows of etcd.
    known: BTreeMap<(usize, usize), Known>,
}

/// What a backup has.
#[derive(Debug, Clone)]
struct Backup {
    revision: u64,
    keys: BTreeMap<usize, KeyFound>,
    leases: BTreeMap<LeaseId, Duration>,
}

/// The highest revision that one start of a daemon was told, since etcd was restored so often.
#[derive(Debug, Clone, Copy)]
struct Known {
    incarnation: u64,
    restored: u64,
    revision: u64,
    answered: Instant,
}

#[derive(Debug)]
struct Lease {
    length: Duration,
    /// By its own clock.
    ends: Instant,
}

#[derive(Debug, Default, Clone, Copy)]
struct Answered {
    renewed: Instant,
    read: Instant,
}

/// A request on its way.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    host: usize,
    incarnation: u64,
    group: usize,
    what: What,
    /// By the world's clock, and by the guest's.
    at: Instant,
    sent: Instant,
    /// How often etcd was restored when it was there.
    restored: u64,
    /// The client waits for it no longer.
    given_up: bool,
}

#[derive(Debug, Clone)]
enum What {
    Request(OperationId, EtcdRequest),
    Read,
}

impl Etcd {
    pub(super) fn new(seed: u64, ppm: i64) -> Self {
        Self {
            clock: Clock::new(BEGINNING, BEGINNING, ppm),
            revision: 1,
            keys: BTreeMap::new(),
            leases: BTreeMap::new(),
            granted: 0,
            down_until: BEGINNING,
            all_wait: false,
            delay: Duration::ZERO,
            rng: fastrand::Rng::with_seed(seed ^ 0xe7cd_0000),
            answered: BTreeMap::new(),
            by_hand: BTreeMap::new(),
            deaf: BTreeSet::new(),
            backup: None,
            restored: (0, BEGINNING),
            known: BTreeMap::new(),
        }
    }

    /// Ends the leases whose time is over. Gives the groups whose keys went with them.
    fn expire(&mut self, now: Instant) -> Vec<usize> {
        if now < self.down_until {
            return vec![];
        }
        let shown = self.clock.read(now);
        let over: Vec<LeaseId> = self.leases.iter().filter(|(_, l)| l.ends <= shown).map(|(id, _)| *id).collect();
        over.into_iter().flat_map(|id| self.end(id)).collect()
    }

    fn end(&mut self, id: LeaseId) -> Vec<usize> {
        self.leases.remove(&id);
        let gone: Vec<usize> = self.keys.iter().filter(|(_, k)| k.lease == Some(id)).map(|(g, _)| *g).collect();
        for group in &gone {
            self.keys.remove(group);
        }
        self.revision += u64::from(!gone.is_empty());
        gone
    }

    fn next_end(&self) -> Option<Instant> {
        let ends = self.leases.values().map(|l| l.ends).min()?;
        Some(self.clock.world_at(ends)?.max(self.down_until))
    }

    fn state(&self, group: usize) -> KeyState {
        KeyState { revision: self.revision, found: self.keys.get(&group).cloned() }
    }

    fn put(&mut self, group: usize, says: Says, lease: Option<LeaseId>) {
        self.revision += 1;
        self.keys.insert(group, KeyFound { says, modified: self.revision, lease });
    }

    /// Carries a request out. Gives the answer, and the groups whose keys changed.
    fn carry_out(
        &mut self,
        now: Instant,
        group: usize,
        request: EtcdRequest,
    ) -> (Result<EtcdAnswer, String>, Vec<usize>) {
        let shown = self.clock.read(now);
        match request {
            EtcdRequest::Grant(length) => {
                self.granted += 1;
                let id = LeaseId(self.granted);
                self.leases.insert(id, Lease { length, ends: shown + length });
                (Ok(EtcdAnswer::Granted(id, length)), vec![])
            }
            EtcdRequest::KeepAlive(id) => {
                let left = self.leases.get_mut(&id).map_or(Duration::ZERO, |lease| {
                    lease.ends = shown + lease.length;
                    lease.length
                });
                (Ok(EtcdAnswer::KeptAlive(left)), vec![])
            }
            EtcdRequest::Write { after, value, lease } => {
                let is = self.keys.get(&group).map_or(0, |key| key.modified);
                if is == after && !self.leases.contains_key(&lease) {
                    return (Err("etcd refuses: requested lease not found".to_owned()), vec![]);
                }
                let written = is == after;
                if written {
                    self.put(group, Says::Value(value), Some(lease));
                }
                (Ok(EtcdAnswer::Key(self.state(group))), if written { vec![group] } else { vec![] })
            }
            EtcdRequest::Revoke(id) => (Ok(EtcdAnswer::Revoked), self.end(id)),
        }
    }

    fn way(&mut self) -> Duration {
        let own = Duration::from_micros(self.rng.u64(100..2_000));
        own + self.delay.mul_f64(self.rng.f64())
    }
}

impl World {
    pub(super) fn beside_etcd(&self) -> bool {
        self.scenario.cluster.arbiter == Arbiter::EtcdLease
    }

    /// The core asks something.
    pub(super) fn ask_etcd(&mut self, host: usize, group: GroupIndex, op: OperationId, request: EtcdRequest) {
        self.note(Some(host), || format!("asks etcd: {request}"));
        self.begin_ask(host, group.0, What::Request(op, request));
    }

    fn begin_ask(&mut self, host: usize, group: usize, what: What) {
        let Some(p) = &self.hosts[host].process else { return };
        let (incarnation, at) = (p.incarnation, self.now);
        let ask = Ask { host, incarnation, group, what, at, sent: Instant::default(), restored: 0, given_up: false };
        let after = Duration::from_micros(self.etcd.rng.u64(20..1_000));
        self.after(after, Scheduled::EtcdAsk { ask: Box::new(ask) });
    }

    /// The effects side sends it.
    pub(super) fn etcd_ask(&mut self, mut ask: Ask) {
        if !self.runs(ask.host, ask.incarnation) {
            return;
        }
        let h = &self.hosts[ask.host];
        if h.halted.is_some() || h.effects_stuck {
            self.after(LATER, Scheduled::EtcdAsk { ask: Box::new(ask) });
            return;
        }
        (ask.at, ask.sent) = (self.now, h.clock.read(self.now));
        let lost = h.etcd_reach == Reach::Nothing || !h.link_up;
        let there = self.etcd.way();
        let ask = Box::new(ask);
        // Whatever becomes of it, the client waits no longer.
        if lost {
            self.after(TIMEOUT, Scheduled::EtcdAnswer { ask, answer: Box::new(Err(Self::silence())) });
        } else {
            self.after(there, Scheduled::EtcdArrive { ask });
        }
    }

    fn silence() -> String {
        "no whole answer within 1s".to_owned()
    }

    /// It reaches etcd.
    pub(super) fn etcd_arrive(&mut self, mut ask: Ask) {
        let gone = self.etcd.expire(self.now);
        self.etcd_changed(&gone);
        let timeout = (ask.at + TIMEOUT).max(self.now);
        let (host, back) = (ask.host, self.now + self.etcd.way());
        let down = self.now < self.etcd.down_until;
        // What waits for a leader may be carried out by the next one, long after nobody waits for it.
        let waits =
            down && matches!(ask.what, What::Request(..)) && (self.etcd.all_wait || self.etcd.rng.u32(0..3) == 0);
        if waits {
            let again = self.etcd.down_until + Duration::from_millis(self.etcd.rng.u64(1..50));
            if again > timeout && !ask.given_up {
                ask.given_up = true;
                let answer = Box::new(Err(Self::silence()));
                self.at(timeout, Scheduled::EtcdAnswer { ask: Box::new(ask.clone()), answer });
            }
            self.at(again, Scheduled::EtcdArrive { ask: Box::new(ask) });
            return;
        }
        ask.restored = self.etcd.restored.0;
        let answer = match &ask.what {
            _ if down => Err("etcd has no leader".to_owned()),
            What::Read => Ok((self.etcd.state(ask.group), None)),
            What::Request(_, request) => {
                let (answer, changed) = self.etcd.carry_out(self.now, ask.group, request.clone());
                self.note(None, || match &answer {
                    Ok(answer) => format!("etcd: {request} -> {answer}"),
                    Err(why) => format!("etcd: {request} -> {why}"),
                });
                self.etcd_changed(&changed);
                answer.map(|answer| (self.etcd.state(ask.group), Some(answer)))
            }
        };
        if ask.given_up {
            self.plan_etcd_end();
            return;
        }
        let h = &self.hosts[host];
        let lost = h.etcd_reach != Reach::Both || !h.link_up || back > timeout;
        let (at, answer) = if lost { (timeout, Err(Self::silence())) } else { (back, answer) };
        self.at(at, Scheduled::EtcdAnswer { ask: Box::new(ask), answer: Box::new(answer) });
        self.plan_etcd_end();
    }

    /// It, or the end of the wait for it, reaches the daemon.
    pub(super) fn etcd_answer(&mut self, ask: &Ask, answer: Result<(KeyState, Option<EtcdAnswer>), String>) {
        let (host, group) = (ask.host, GroupIndex(ask.group));
        if !self.runs(host, ask.incarnation) {
            return;
        }
        if let Ok((state, what)) = &answer {
            if matches!(what, Some(EtcdAnswer::Key(_)) | None) {
                self.etcd_told(ask, state.revision);
            }
            let known = self.etcd.answered.entry((host, ask.group)).or_default();
            match what {
                Some(EtcdAnswer::Granted(..) | EtcdAnswer::KeptAlive(_)) => known.renewed = known.renewed.max(ask.at),
                Some(EtcdAnswer::Key(_)) | None => known.read = known.read.max(ask.at),
                Some(EtcdAnswer::Revoked) => {}
            }
        }
        let event = match &ask.what {
            What::Read => {
                let endpoint = "http://10.0.0.1:2379".to_owned();
                let read = answer.map(|(state, _)| KeyRead { state, sent: ask.sent, endpoint });
                Event::EtcdKeyRead { group, read }
            }
            What::Request(op, _) => {
                let answer = answer.and_then(|(_, answer)| answer.ok_or_else(|| "no answer".to_owned()));
                Event::EtcdAnswered { group, op: *op, sent: ask.sent, answer }
            }
        };
        if let Event::EtcdKeyRead { read: Ok(_), .. } = &event {
            // A watch that has ended is opened anew.
            self.etcd.deaf.remove(&(host, ask.group));
        }
        if matches!(&event, Event::EtcdKeyRead { read: Err(_), .. }) {
            self.etcd.deaf.insert((host, ask.group));
            let incarnation = ask.incarnation;
            self.after(AGAIN, Scheduled::EtcdRead { host, incarnation, group: ask.group });
        }
        self.step(host, event);
    }

    /// A daemon reads its keys in turn.
    pub(super) fn etcd_turn(&mut self, host: usize, incarnation: u64) {
        if !self.beside_etcd() || !self.runs(host, incarnation) || self.hosts[host].witness {
            return;
        }
        for group in 0..self.groups() {
            self.etcd_read(host, incarnation, group);
        }
        let every = Duration::from_millis(self.scenario.cluster.etcd_lease_ms) / IN_A_LEASE;
        self.after(every, Scheduled::EtcdTurn { host, incarnation });
    }

    pub(super) fn etcd_read(&mut self, host: usize, incarnation: u64, group: usize) {
        if self.runs(host, incarnation) && self.scenario.cluster.member(group, self.node_of(host)) {
            self.begin_ask(host, group, What::Read);
        }
    }

    /// Keys have changed: who watches them, and can hear it, reads them.
    fn etcd_changed(&mut self, groups: &[usize]) {
        for group in groups {
            for host in 0..self.hosts.len() {
                let h = &self.hosts[host];
                let Some(p) = h.process.as_ref().filter(|_| h.etcd_reach == Reach::Both && h.link_up && !h.witness)
                else {
                    continue;
                };
                let (incarnation, group) = (p.incarnation, *group);
                if self.etcd.deaf.contains(&(host, group)) {
                    continue;
                }
                let after = self.etcd.way();
                self.after(after, Scheduled::EtcdRead { host, incarnation, group });
            }
        }
        self.plan_etcd_end();
    }

    fn plan_etcd_end(&mut self) {
        if let Some(at) = self.etcd.next_end() {
            self.at(at, Scheduled::EtcdEnds);
        }
    }

    /// A lease may have ended.
    pub(super) fn etcd_ends(&mut self) {
        if self.now == self.etcd.down_until {
            self.touch_all();
        }
        let gone = self.etcd.expire(self.now);
        if !gone.is_empty() {
            self.note(None, || {
                let groups: Vec<String> = gone.iter().map(usize::to_string).collect();
                format!("etcd: the keys of groups {} end with their leases", groups.join(", "))
            });
            self.etcd_changed(&gone);
        }
    }

    /// Whether a node reaches etcd.
    pub(super) fn etcd_reach(&mut self, host: usize, reach: Reach) {
        self.hosts[host].etcd_reach = reach;
        self.touch(host);
    }

    /// etcd has no leader for a while. The next one gives every lease its whole length again. With `all_wait` it carries out
    /// whatever was asked meanwhile, long after nobody waits for an answer.
    pub(super) fn etcd_down(&mut self, span: Duration, all_wait: bool) {
        self.etcd.all_wait = all_wait;
        let gone = self.etcd.expire(self.now);
        self.etcd_changed(&gone);
        let until = self.now + span;
        self.etcd.down_until = self.etcd.down_until.max(until);
        let shown = self.etcd.clock.read(self.etcd.down_until);
        for lease in self.etcd.leases.values_mut() {
            lease.ends = lease.ends.max(shown + lease.length);
        }
        self.touch_all();
        self.at(self.etcd.down_until, Scheduled::EtcdEnds);
        self.plan_etcd_end();
    }

    /// Its past is compacted away, and every watch ends: its daemon reads the key anew a moment later.
    pub(super) fn etcd_compacts(&mut self) {
        for host in 0..self.hosts.len() {
            let Some(p) = self.hosts[host].process.as_ref() else { continue };
            let incarnation = p.incarnation;
            for group in 0..self.groups() {
                self.etcd.deaf.insert((host, group));
                self.after(AGAIN, Scheduled::EtcdRead { host, incarnation, group });
            }
        }
    }

    /// Somebody makes a backup.
    pub(super) fn etcd_backup(&mut self) {
        let gone = self.etcd.expire(self.now);
        self.etcd_changed(&gone);
        let leases = self.etcd.leases.iter().map(|(id, lease)| (*id, lease.length)).collect();
        self.etcd.backup = Some(Backup { revision: self.etcd.revision, keys: self.etcd.keys.clone(), leases });
    }

    /// It is what it was when the backup was made. Each lease has its whole length, and nobody's watch has seen it.
    pub(super) fn etcd_restore(&mut self) {
        let Some(Backup { revision, keys, leases }) = self.etcd.backup.clone() else { return };
        let shown = self.etcd.clock.read(self.now);
        let lease = |(id, length): (LeaseId, Duration)| (id, Lease { length, ends: shown + length });
        (self.etcd.revision, self.etcd.keys) = (revision, keys);
        self.etcd.leases = leases.into_iter().map(lease).collect();
        self.etcd.restored = (self.etcd.restored.0 + 1, self.now);
        self.note(None, || format!("etcd is restored, at revision {revision}"));
        self.touch_all();
        self.etcd_compacts();
        self.plan_etcd_end();
    }

    /// A daemon is told a revision. One that cannot know by it that etcd was restored is as badly off as if somebody had
    /// deleted the key by hand.
    fn etcd_told(&mut self, ask: &Ask, revision: u64) {
        let ((restored, at), place) = (self.etcd.restored, (ask.host, ask.group));
        let told = Known { incarnation: ask.incarnation, restored: ask.restored, revision, answered: self.now };
        let before = self.etcd.known.get(&place).filter(|before| before.incarnation == told.incarnation).copied();
        if before.is_some_and(|before| revision < before.revision && ask.at < before.answered) {
            return;
        }
        let news = before.is_none_or(|before| before.restored < restored);
        let noticed = before.is_some_and(|before| revision < before.revision);
        if restored > 0 && told.restored == restored && news && !noticed {
            self.etcd.by_hand.entry(ask.group).and_modify(|last| *last = at.max(*last)).or_insert(at);
        }
        self.etcd.known.insert(place, told);
    }

    /// Requests take up to so much longer each way.
    pub(super) fn etcd_delay(&mut self, delay: Duration) {
        self.etcd.delay = delay;
        self.touch_all();
    }

    /// Somebody writes a group's key by hand, or deletes it.
    pub(super) fn etcd_key_by_hand(&mut self, group: usize, says: Option<&str>) {
        match says {
            Some(says) => self.etcd.put(group, Says::read(says.as_bytes()), None),
            None => {
                self.etcd.revision += 1;
                self.etcd.keys.remove(&group);
            }
        }
        self.etcd.by_hand.insert(group, self.now);
        self.touch_all();
        self.etcd_changed(&[group]);
    }

    /// Somebody revokes the lease of a group's key by hand.
    pub(super) fn etcd_revoke_by_hand(&mut self, group: usize) {
        let lease = self.etcd.keys.get(&group).and_then(|key| key.lease);
        let gone = lease.map(|id| self.etcd.end(id)).unwrap_or_default();
        self.etcd.by_hand.insert(group, self.now);
        self.touch_all();
        self.etcd_changed(&gone);
    }

    /// Everything is well with it again, and what somebody wrote by hand is deleted.
    pub(super) fn quieten_etcd(&mut self) {
        if !self.beside_etcd() {
            return;
        }
        self.etcd.delay = Duration::ZERO;
        self.etcd.down_until = self.etcd.down_until.min(self.now);
        for host in 0..self.hosts.len() {
            self.hosts[host].etcd_reach = Reach::Both;
        }
        let for_good: Vec<usize> = self.etcd.keys.iter().filter(|(_, k)| k.lease.is_none()).map(|(g, _)| *g).collect();
        for group in for_good {
            self.etcd_key_by_hand(group, None);
        }
    }

    /// Whether etcd answers a node as it should, and nobody keeps a key.
    pub(super) fn etcd_is_sound(&self, host: usize) -> bool {
        let kept = self.etcd.keys.values().any(|key| key.lease.is_none());
        let up = self.now >= self.etcd.down_until && self.etcd.delay.is_zero();
        self.hosts[host].etcd_reach == Reach::Both && up && !kept
    }

    /// Whether a holder may not know yet what somebody did to its key by hand: for a lease at most, while no watch tells.
    pub(super) fn etcd_touched_by_hand(&self, group: usize) -> bool {
        let lease = Duration::from_millis(self.scenario.cluster.etcd_lease_ms);
        self.etcd.by_hand.get(&group).is_some_and(|at| self.now.since(*at) <= lease)
    }

    /// Whether a node had good reason to say that its lease, or its key, is lost.
    pub(super) fn etcd_lost(&self, host: usize, group: usize) -> bool {
        let name = &self.scenario.cluster.machines[self.node_of(host)].name;
        let own = self.etcd.keys.get(&group).is_some_and(|key| {
            matches!(&key.says, Says::Value(value) if value.node.as_str() == name) && key.lease.is_some()
        });
        let known = self.etcd.answered.get(&(host, group)).copied().unwrap_or_default();
        let lease = Duration::from_millis(self.scenario.cluster.etcd_lease_ms);
        // What a restored one says does not count.
        let begun_anew = self.etcd.restored.0 > 0 && self.now.since(self.etcd.restored.1) < lease * 3;
        !own || begun_anew || self.now.since(known.renewed.min(known.read)) * 100 >= lease * 90
    }
}
