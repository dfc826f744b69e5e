//! Arbiter `etcd` without a leader key: havipd's own election, a key of each group that is bound to a lease.
//!
//! A node that may claim has etcd grant a lease, and writes its name into the group's key, bound to that lease, in a
//! transaction that does nothing unless there is no key, or one that its owner has given up in favour of this node. It
//! leads for as long as it knows the lease to live, and the key to be its own.
//!
//! ⚠ Why two nodes never lead at once (I1):
//! - While a key is bound to a live lease nobody writes it but the node that has it. So of two nodes at most one has the key.
//! - etcd keeps a lease for its whole length after each renewal. A renewal reaches etcd after it was *sent*, so it counts
//!   from then, less the margin for clock rates, and the node stops before etcd can end the lease
//!   (`etcd-lease-counts-from-its-answer`, `etcd-lease-counts-in-full`).
//! - That the key is still ours is counted in the same way, from when the read was sent that showed it: what an operator
//!   deletes or overwrites is so noticed in a lease at the latest, also where no watch tells (`a-key-that-nobody-reads`).
//! - Each term has a lease of its own. A node that has given leadership up never leads by that lease again, and revokes it.
//!   So a transaction of the past that is carried out late either fails, for want of its lease, or writes a key that nobody
//!   leads by; and revoking late ends no later term (`leads-by-a-lease-given-up`).
//! - A key that is passed on says to whom, and who passes it on does not lead any more when it writes that
//!   (`passes-on-and-leads`). Only one of the transactions that go on from there can succeed, as both name its revision.
//! - Who reads late what was asked for early has read nothing new (`an-older-read-is-news`).
//! - An etcd whose revision went back was restored from a backup: it may have forgotten the key of a holder that it renewed a
//!   moment before, and that may not hear of it. Whatever the one before confirmed was sent before the restoration, and
//!   that was before its first answer came here. So a lease after that answer the other holder leads no more, and not
//!   sooner does anything count that the restored one says (`a-restored-etcd-counts-at-once`).

use crate::election::Core;
use crate::election::group::Group;
use crate::election::group::waiting::Claim;
use crate::election::step_context::StepContext;
use crate::model::action::{Action, Actions};
use crate::model::etcd::{EtcdAnswer, EtcdRequest, KeyRead, KeyState, KeyValue, LeaseId, Says};
use crate::model::ids::{GroupIndex, NodeIndex, NodeName, OperationId};
use crate::model::role::Role;
use crate::model::settings::{Arbiter, Etcd};
use crate::model::time::Instant;
use std::time::Duration;

/// Share of the lease that counts: clock rates may differ by less than one per cent.
const COUNTED_SHARE: f64 = 0.98;
/// Renewals in a lease, so that a few may fail.
const IN_A_LEASE: u32 = 4;
/// After a request that failed, the next one comes so long later.
const AGAIN: Duration = Duration::from_millis(500);

/// What a group knows of its key, and of its leases.
#[derive(Debug, Default)]
pub(crate) struct KeyElection {
    seen: Option<Seen>,
    /// Why etcd has not answered since, in words.
    trouble: Option<String>,
    /// The lease of this term, or of the one that is asked for.
    lease: Option<Held>,
    granting: Option<Asked>,
    writing: Option<Asked>,
    /// Nothing is asked for before.
    asks_from: Instant,
    /// To whom the key is to be passed.
    passes_to: Option<NodeName>,
    /// The lease of the term before, of a key that was offered to another node and is to be taken back.
    offered: Option<Held>,
    /// Leases that are given back.
    ended: Vec<Ended>,
    /// etcd was restored from a backup, and does not count yet.
    went_back: Option<WentBack>,
}

/// etcd answered with a lower revision than before.
#[derive(Debug, Clone, Copy)]
struct WentBack {
    /// When the first such answer came.
    since: Instant,
    /// When etcd counts again.
    until: Instant,
}

/// What the key was last.
#[derive(Debug)]
struct Seen {
    state: KeyState,
    /// When that was asked for, and when it was answered.
    sent: Instant,
    answered: Instant,
    /// Who answered, where a read did.
    endpoint: Option<String>,
}

/// A lease of this node.
#[derive(Debug)]
struct Held {
    id: LeaseId,
    length: Duration,
    /// Until then etcd keeps it for certain.
    lives_until: Instant,
    /// The revision of the key that this node wrote with it, and until when that counts.
    key: Option<(u64, Instant)>,
    renewed: Instant,
    renewing: Option<Asked>,
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    op: OperationId,
    at: Instant,
}

/// A lease that is given back: until etcd says that it is gone, or it must be.
#[derive(Debug)]
struct Ended {
    id: LeaseId,
    since: Instant,
    until: Instant,
    asked: Option<Asked>,
}

/// Of the key, for people.
#[derive(Debug)]
pub(crate) struct KeyNow<'a> {
    pub(crate) state: &'a KeyState,
    pub(crate) sent: Instant,
    pub(crate) endpoint: Option<&'a str>,
}

impl KeyElection {
    /// Until when this node may lead by its key; `None` without one.
    pub(crate) fn until(&self) -> Option<Instant> {
        let held = self.lease.as_ref()?;
        let (_, ours_until) = held.key?;
        Some(held.lives_until.min(ours_until))
    }

    /// The revision of the key that this node leads by.
    pub(crate) fn revision(&self) -> Option<u64> {
        Some(self.lease.as_ref()?.key?.0)
    }

    /// How long the lease lasts yet for certain.
    pub(crate) fn lease_until(&self) -> Option<Instant> {
        self.lease.as_ref().map(|held| held.lives_until)
    }

    /// What the key was last.
    pub(crate) fn now(&self) -> Option<KeyNow<'_>> {
        let Seen { state, sent, endpoint, .. } = self.seen.as_ref()?;
        Some(KeyNow { state, sent: *sent, endpoint: endpoint.as_deref() })
    }

    /// Why etcd has not answered since, in words.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Whether etcd answered within its lease: without it this node can neither lead nor come to.
    fn is_read(&self, now: Instant, etcd: &Etcd) -> bool {
        self.counts().is_some_and(|seen| now < seen.sent + etcd.lease)
    }

    /// Leadership by this lease is over, for good.
    pub(crate) fn give_up(&mut self, now: Instant) {
        (self.passes_to, self.granting, self.writing) = (None, None, None);
        if let Some(held) = self.lease.take() {
            self.end(now, held);
        }
        self.forget_offer(now);
    }

    fn end(&mut self, now: Instant, held: Held) {
        // etcd may have renewed it a moment ago, and its clock may be the slower one.
        self.ended.push(Ended { id: held.id, since: now, until: now + held.length * 2, asked: None });
    }

    /// What was offered is not to come back any more, or has.
    fn forget_offer(&mut self, now: Instant) {
        if let Some(held) = self.offered.take() {
            self.end(now, held);
        }
    }

    /// Leadership is over, and the key goes to `to`.
    pub(crate) fn pass_on(&mut self, now: Instant, to: NodeName) {
        match &mut self.lease {
            Some(held) => {
                held.key = None;
                self.passes_to = Some(to);
            }
            None => self.give_up(now),
        }
    }

    /// The key stays for the next start of this node; until then this one goes on to lead.
    pub(crate) fn keep(&mut self, me: &NodeName) {
        self.passes_to.get_or_insert_with(|| me.clone());
    }

    /// Whether the key says that the next start of this node may take it.
    pub(crate) fn is_kept(&self, me: &NodeName) -> bool {
        let held = self.lease.as_ref().map(|held| held.id);
        held.is_some_and(|lease| self.ours(me, lease).is_some_and(|(_, to)| to == Some(me)))
    }

    /// What was offered is to come back, by a new term with a lease of its own.
    pub(crate) fn take_back(&mut self) {
        (self.passes_to, self.writing) = (None, None);
        self.offered = self.lease.take().or(self.offered.take());
    }

    /// Whether a lease that is given back is waited for: etcd has not said that it is gone, and not much time has passed.
    pub(crate) fn gives_back(&self, now: Instant, patience: Duration) -> Option<Instant> {
        self.ended.iter().map(|ended| ended.since + patience).filter(|until| *until > now).min()
    }

    /// The key, if this node wrote it with `lease`: its revision, and to whom it is given up.
    fn ours(&self, me: &NodeName, lease: LeaseId) -> Option<(u64, Option<&NodeName>)> {
        let found = self.counts()?.state.found.as_ref().filter(|found| found.lease == Some(lease))?;
        match &found.says {
            Says::Value(value) if value.node == *me => Some((found.modified, value.to.as_ref())),
            _ => None,
        }
    }

    /// What was found last, unless etcd has begun anew since.
    fn counts(&self) -> Option<&Seen> {
        self.seen.as_ref().filter(|_| self.went_back.is_none())
    }

    /// The revision after which this node may write the key now; 0: there is none.
    fn may_write_after(&self, me: &NodeName) -> Option<u64> {
        let Some(found) = &self.counts()?.state.found else { return Some(0) };
        let offered = matches!(&found.says, Says::Value(KeyValue { to: Some(to), .. }) if to == me);
        let back = self.offered.as_ref().is_some_and(|held| self.ours(me, held.id).is_some());
        (offered || back).then_some(found.modified)
    }

    /// Whether what was found counts: asked for at `sent`, at `revision`.
    fn believes(&mut self, now: Instant, revision: u64, sent: Instant, etcd: &Etcd) -> bool {
        if let Some(back) = self.went_back {
            // ⚠ Whatever its revision is by now, and not what was asked of the one before.
            let counts = now >= back.until && sent >= back.since;
            if counts {
                self.went_back = None;
            }
            return counts;
        }
        let Some(seen) = self.seen.as_ref().filter(|seen| revision < seen.state.revision) else { return true };
        // What was asked for before the other was answered may be older. What was asked for later is not.
        if sent >= seen.answered {
            let was = seen.state.revision;
            let text = format!(
                "its revision was {was} and is {revision}, as if it was restored from a backup, so it does not count for {} s",
                etcd.lease.as_secs()
            );
            self.trouble = Some(text);
            self.went_back = Some(WentBack { since: now, until: now + etcd.lease });
        }
        false
    }

    /// Takes what a read or a transaction found.
    fn found(
        &mut self,
        now: Instant,
        state: KeyState,
        sent: Instant,
        endpoint: Option<String>,
        (me, etcd): (&NodeName, &Etcd),
    ) {
        if !self.believes(now, state.revision, sent, etcd) {
            return;
        }
        let endpoint = endpoint.or_else(|| self.seen.take()?.endpoint);
        self.seen = Some(Seen { state, sent, answered: now, endpoint });
        self.trouble = None;
        let passed_on = self.passes_to.as_ref().is_some_and(|to| to != me);
        let Some(held) = self.lease.as_ref() else { return };
        let (ours, until) = (self.ours(me, held.id), sent + held.length.mul_f64(COUNTED_SHARE));
        let leads = match ours {
            // ⚠ Offered to somebody, or about to be, it is no key to lead by. Kept for our own next start it is.
            Some((revision, to)) if !passed_on && to.is_none_or(|to| to == me) => Some(revision),
            _ => None,
        };
        if let Some(held) = self.lease.as_mut() {
            let before = held.key.map_or(until, |(_, before)| before);
            held.key = leads.map(|revision| (revision, until.max(before)));
        }
    }

    /// Whether an answer is to what is asked for.
    fn is_expected(asked: &mut Option<Asked>, op: OperationId) -> bool {
        asked.take_if(|asked| asked.op == op).is_some()
    }

    /// Takes an answer. False if nobody waits for it.
    fn answered(
        &mut self,
        now: Instant,
        op: OperationId,
        sent: Instant,
        answer: Result<EtcdAnswer, String>,
        (me, etcd): (&NodeName, &Etcd),
    ) -> bool {
        let answer = match answer {
            Ok(answer) => answer,
            Err(why) => {
                self.trouble = Some(why);
                return self.failed(now, op);
            }
        };
        match answer {
            EtcdAnswer::Granted(id, length) if Self::is_expected(&mut self.granting, op) => {
                // etcd may grant more than was asked for. The others wait for what the file says.
                let length = length.min(etcd.lease);
                let lives_until = sent + length.mul_f64(COUNTED_SHARE);
                self.lease = Some(Held { id, length, lives_until, key: None, renewed: sent, renewing: None });
            }
            EtcdAnswer::KeptAlive(left) => {
                let Some(held) = self.lease.as_mut().filter(|h| h.renewing.is_some_and(|asked| asked.op == op)) else {
                    return false;
                };
                held.renewing = None;
                if left.is_zero() {
                    self.lease = None;
                } else {
                    held.renewed = sent;
                    let until = sent + left.min(held.length).mul_f64(COUNTED_SHARE);
                    held.lives_until = held.lives_until.max(until);
                }
            }
            EtcdAnswer::Key(state) if Self::is_expected(&mut self.writing, op) => {
                self.found(now, state, sent, None, (me, etcd));
            }
            EtcdAnswer::Revoked => {
                let before = self.ended.len();
                self.ended.retain(|ended| ended.asked.is_none_or(|asked| asked.op != op));
                return self.ended.len() < before;
            }
            EtcdAnswer::Granted(id, length) => {
                // Nobody waits for it any more: given back.
                self.ended.push(Ended { id, since: sent, until: sent + length, asked: None });
                return false;
            }
            EtcdAnswer::Key(_) => return false,
        }
        true
    }

    /// A request got no answer that counts: whether it was carried out, the next read tells.
    fn failed(&mut self, now: Instant, op: OperationId) -> bool {
        let renewing = self.lease.as_mut().map(|held| &mut held.renewing);
        let ended = self.ended.iter_mut().map(|ended| &mut ended.asked);
        let mut all = [&mut self.granting, &mut self.writing].into_iter().chain(renewing).chain(ended);
        let expected = all.any(|asked| Self::is_expected(asked, op));
        if expected {
            self.asks_from = now + AGAIN;
        }
        expected
    }
}

/// How long an answer is waited for: each endpoint has its time, and a question may come after another one for a token.
fn patience(etcd: &Etcd) -> Duration {
    let endpoints = u32::try_from(etcd.endpoints.len()).unwrap_or(u32::MAX);
    etcd.request_timeout.saturating_mul(endpoints.saturating_mul(2)) + AGAIN
}

impl Core {
    pub(in crate::election) fn etcd_answered(
        &mut self,
        now: Instant,
        to: GroupIndex,
        (op, sent, answer): (OperationId, Instant, Result<EtcdAnswer, String>),
        actions: &mut Actions,
    ) {
        let mut late = false;
        self.one_group(now, to, actions, |group, step| {
            let Some(etcd) = &step.config.etcd else { return };
            let of = (&step.config.local_node().name, etcd);
            late = !group.key.answered(now, op, sent.min(now), answer, of);
        });
        self.counters.late_results += u64::from(late);
    }

    pub(in crate::election) fn etcd_key_read(
        &mut self,
        now: Instant,
        to: GroupIndex,
        read: Result<KeyRead, String>,
        actions: &mut Actions,
    ) {
        self.one_group(now, to, actions, |group, step| match read {
            Ok(KeyRead { state, sent, endpoint }) => {
                let Some(etcd) = &step.config.etcd else { return };
                let of = (&step.config.local_node().name, etcd);
                group.key.found(now, state, sent.min(now), Some(endpoint), of);
            }
            Err(why) => group.key.trouble = Some(why),
        });
    }
}

impl Group {
    /// Whether this node could come to lead, as far as etcd goes. Right after a start it has not asked yet: nodes that start
    /// together are to claim in their rank, and not as their reads come in.
    pub(in crate::election) fn etcd_allows(&self, step: &StepContext<'_>) -> bool {
        let etcd = step.config.etcd.as_ref().filter(|_| self.arbiter(step) == Arbiter::EtcdLease);
        let starts = |etcd: &Etcd| self.key.seen.is_none() && step.now < step.started + etcd.lease;
        etcd.is_none_or(|etcd| self.key.is_read(step.now, etcd) || starts(etcd))
    }

    /// Asks for the key until this node has it.
    pub(super) fn request_key(&mut self, step: &mut StepContext<'_>, claim: Claim) {
        if self.key.until().is_some_and(|until| until > step.now) {
            self.begin_term_by_key(step);
            self.begin_claim(step, claim);
            return;
        }
        let planned = self.offered(step).is_some();
        self.ask_for_key(step, planned);
        let text = self.key_in_words(step);
        self.candidacy.wait_for(text);
    }

    /// The key is ours: the term has its revision as its number, or the next one where a higher one was seen.
    fn begin_term_by_key(&mut self, step: &mut StepContext<'_>) {
        let revision = self.key.revision().unwrap_or_default();
        self.epochs.take_revision(revision);
        self.key.forget_offer(step.now);
        let text = format!("{} is ours, at revision {revision}", self.key_name(step));
        self.step_done(step, text);
    }

    /// One step further: a lease, then the key. With a handover announced, the lease comes ahead of the key.
    fn ask_for_key(&mut self, step: &mut StepContext<'_>, planned: bool) {
        let Some(etcd) = &step.config.etcd else { return };
        let me = &step.config.local_node().name;
        let after = self.key.may_write_after(me);
        if after.is_none() && !planned {
            self.key.granting = None;
            if self.key.writing.is_none() && self.key.lease.is_some() {
                // Another one was first.
                self.key.give_up(step.now);
            }
            return;
        }
        let patience = patience(etcd);
        let index = self.index;
        if self.key.lease.is_none() {
            if may_ask(step, &mut self.key.granting, self.key.asks_from, patience) {
                self.key.granting = Some(ask(step, index, EtcdRequest::Grant(etcd.lease)));
            }
        } else if let (Some(after), Some(lease)) = (after, self.key.lease.as_ref().map(|held| held.id))
            && may_ask(step, &mut self.key.writing, self.key.asks_from, patience)
        {
            let value = KeyValue { node: me.clone(), to: None };
            self.key.writing = Some(ask(step, index, EtcdRequest::Write { after, value, lease }));
        }
    }

    /// Level-triggered, in each step: the lease is renewed while it is needed, the key passed on, and what is over given back.
    pub(in crate::election) fn tend_key(&mut self, step: &mut StepContext<'_>) {
        let Some(etcd) = step.config.etcd.as_ref().filter(|_| self.arbiter(step) == Arbiter::EtcdLease) else { return };
        let (patience, index) = (patience(etcd), self.index);
        self.pass_key_on(step, patience);
        let key = &mut self.key;
        if let Some(held) = key.lease.as_mut() {
            let every = held.length / IN_A_LEASE;
            let from = (held.renewed + every).max(key.asks_from);
            if may_ask(step, &mut held.renewing, from, patience) {
                held.renewing = Some(ask(step, index, EtcdRequest::KeepAlive(held.id)));
            }
        }
        key.ended.retain(|ended| ended.until > step.now);
        let from = key.asks_from;
        for ended in &mut key.ended {
            if may_ask(step, &mut ended.asked, from.max(ended.since), patience) {
                ended.asked = Some(ask(step, index, EtcdRequest::Revoke(ended.id)));
            }
        }
        if !self.key.is_read(step.now, etcd) {
            return;
        }
        if let Some(seen) = &self.key.seen {
            // From then on this node is not fit to lead.
            step.wake(seen.sent + etcd.lease);
        }
    }

    /// Says in the key who may take it.
    fn pass_key_on(&mut self, step: &mut StepContext<'_>, patience: Duration) {
        let me = &step.config.local_node().name;
        let (Some(to), Some(held)) = (self.key.passes_to.clone(), self.key.lease.as_ref()) else { return };
        let lease = held.id;
        if let Some((after, None)) = self.key.ours(me, lease)
            && may_ask(step, &mut self.key.writing, self.key.asks_from, patience)
        {
            let value = KeyValue { node: me.clone(), to: Some(to) };
            self.key.writing = Some(ask(step, self.index, EtcdRequest::Write { after, value, lease }));
        }
    }

    /// Why a term by the key is over, in words.
    pub(super) fn why_the_key_is_lost(&self, step: &StepContext<'_>) -> String {
        match (&self.key.lease, self.key.until()) {
            (None, _) => "etcd has this node's lease no more: it has ended, or somebody revoked it".to_owned(),
            (Some(_), None) => format!("{}, and this node did not give it up", self.key_in_words(step)),
            (Some(_), Some(_)) => {
                let trouble = self.key.trouble().map_or_else(String::new, |trouble| format!(": {trouble}"));
                format!("etcd did not renew the lease, or confirm the key, in time{trouble}")
            }
        }
    }

    /// The key in etcd, as people read it.
    pub(in crate::election) fn key_name(&self, step: &StepContext<'_>) -> String {
        format!("etcd's {}", step.config.election_key(self.index).unwrap_or_default())
    }

    /// What is known of the key, in words.
    pub(in crate::election) fn key_in_words(&self, step: &StepContext<'_>) -> String {
        key_in_words(&self.key, &self.key_name(step))
    }

    /// Leadership is over here, and the key goes to the successor of a planned move.
    pub(in crate::election) fn pass_key(&mut self, step: &StepContext<'_>, to: NodeIndex) {
        self.key.pass_on(step.now, step.config.node(to).name.clone());
    }

    /// The handover has failed: asks for the key back, by a term of its own. Whether it is back.
    pub(in crate::election) fn has_key_back(&mut self, step: &mut StepContext<'_>) -> bool {
        if self.key.until().is_none_or(|until| until <= step.now) {
            self.ask_for_key(step, true);
            return false;
        }
        self.begin_term_by_key(step);
        self.epochs.begin_term();
        true
    }

    /// Whether a stop has to wait: for the key to be kept for the next start, or for its lease to be gone.
    pub(in crate::election) fn key_is_being_left(&mut self, step: &mut StepContext<'_>, keep: bool) -> bool {
        let Some(etcd) = step.config.etcd.as_ref().filter(|_| self.arbiter(step) == Arbiter::EtcdLease) else {
            return false;
        };
        let me = &step.config.local_node().name;
        if keep && self.role() == Role::Active {
            self.key.keep(me);
            return !self.key.is_kept(me);
        }
        let until = self.key.gives_back(step.now, patience(etcd));
        until.is_some_and(|until| !step.due(until))
    }
}

/// What is known of the key, in words.
pub(in crate::election) fn key_in_words(key: &KeyElection, name: &str) -> String {
    let trouble = key.trouble().map_or_else(String::new, |trouble| format!("; etcd cannot be asked: {trouble}"));
    let Some(KeyNow { state, .. }) = key.now() else {
        return format!("{name} has not been read yet{trouble}");
    };
    let text = match &state.found {
        None => format!("there is no {name}"),
        Some(found) => match (&found.says, found.lease) {
            (Says::Foreign(text), _) => {
                format!("{name} says \"{text}\", which is not havipd's; etcdctl del it to have the nodes elect again")
            }
            (Says::Value(value), None) => {
                format!("{name} names {value} for good: it has no lease; etcdctl del it to have the nodes elect again")
            }
            (Says::Value(value), Some(_)) => format!("{name} names {value}"),
        },
    };
    text + &trouble
}

/// Whether a request may go out now: none is under way, or that one has not been answered for too long.
fn may_ask(step: &mut StepContext<'_>, asked: &mut Option<Asked>, from: Instant, patience: Duration) -> bool {
    if let Some(before) = asked
        && !step.due(before.at + patience)
    {
        return false;
    }
    *asked = None;
    step.due(from)
}

fn ask(step: &mut StepContext<'_>, group: GroupIndex, request: EtcdRequest) -> Asked {
    let asked = Asked { op: step.operation(), at: step.now };
    step.out.push(Action::AskEtcd { op: asked.op, group, request });
    asked
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::etcd::KeyFound;

    const LEASE: Duration = Duration::from_secs(10);
    const ONE: LeaseId = LeaseId(1);

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    fn name(name: &str) -> NodeName {
        name.parse().expect("valid")
    }

    fn op(n: u64) -> OperationId {
        OperationId(n)
    }

    /// The key at a revision: what it says, and its lease.
    fn key(revision: u64, says: Option<(&str, u64)>) -> KeyState {
        let found = says.map(|(says, lease)| KeyFound {
            says: Says::read(says.as_bytes()),
            modified: revision,
            lease: (lease > 0).then_some(LeaseId(lease)),
        });
        KeyState { revision, found }
    }

    fn etcd() -> Etcd {
        Etcd {
            endpoints: vec!["http://127.0.0.1:2379".to_owned()],
            prefix: "/havipd".to_owned(),
            lease: LEASE,
            request_timeout: Duration::from_secs(1),
            ca_file: None,
            client: None,
            user: None,
        }
    }

    impl KeyElection {
        fn reads(&mut self, now: u64, sent: u64, state: KeyState) {
            self.found(at(now), state, at(sent), Some("e".to_owned()), (&name("a"), &etcd()));
        }

        fn hears(&mut self, now: u64, number: u64, sent: u64, answer: EtcdAnswer) -> bool {
            self.answered(at(now), op(number), at(sent), Ok(answer), (&name("a"), &etcd()))
        }
    }

    /// `a` has been granted a lease at 1000, asked for at 900, and has written its name at revision 7, asked for at 1000.
    fn leading() -> KeyElection {
        let mut election = KeyElection::default();
        election.reads(800, 700, key(5, None));
        election.granting = Some(Asked { op: op(1), at: at(900) });
        assert!(election.hears(1_000, 1, 900, EtcdAnswer::Granted(ONE, LEASE)));
        assert_eq!(election.until(), None, "a lease is no key");
        election.writing = Some(Asked { op: op(2), at: at(1_000) });
        assert!(election.hears(1_100, 2, 1_000, EtcdAnswer::Key(key(7, Some(("a", 1))))));
        election
    }

    fn renew(election: &mut KeyElection, number: u64, sent: u64, left: Duration) -> bool {
        if let Some(held) = &mut election.lease {
            held.renewing = Some(Asked { op: op(number), at: at(sent) });
        }
        election.hears(sent + 50, number, sent, EtcdAnswer::KeptAlive(left))
    }

    /// ⚠ Red where a renewal counts from its answer, or in full, and where nobody needs to have read the key.
    #[test]
    fn lease_and_key_both_count_from_when_they_were_asked_for() {
        let mut election = leading();
        assert_eq!((election.until(), election.revision()), (Some(at(10_700)), Some(7)));
        assert!(renew(&mut election, 3, 3_000, LEASE));
        assert_eq!(election.until(), Some(at(10_800)), "the key was read at 1000 last");
        election.reads(4_200, 4_000, key(9, Some(("a", 1))));
        assert_eq!(election.until(), Some(at(12_800)), "and now the lease is what ends first");
        assert!(renew(&mut election, 4, 5_000, Duration::from_secs(2)), "etcd may have granted less");
        assert_eq!(election.until(), Some(at(12_800)));
        assert!(
            !election.hears(5_100, 3, 5_000, EtcdAnswer::KeptAlive(LEASE)),
            "of a request that is answered already"
        );
    }

    #[test]
    fn what_somebody_does_by_hand_ends_leadership() {
        for (state, may_write) in [
            (key(8, None), Some(0)),
            (key(8, Some(("b", 2))), None),
            (key(8, Some(("a", 0))), None),
            (key(8, Some(("a", 2))), None),
            (key(8, Some(("no node of ours", 0))), None),
            (key(8, Some(("b -> c", 2))), None),
            (key(8, Some(("b -> a", 2))), Some(8)),
        ] {
            let mut election = leading();
            election.reads(2_000, 1_900, state.clone());
            assert_eq!((election.until(), election.may_write_after(&name("a"))), (None, may_write), "{state:?}");
        }
        let mut election = leading();
        assert!(renew(&mut election, 3, 2_000, Duration::ZERO), "its lease was revoked");
        assert_eq!(election.until(), None);
    }

    /// ⚠ Red where an older read is taken for what the key is now, or for an etcd that has begun anew.
    #[test]
    fn what_was_asked_for_before_does_not_count() {
        let mut election = leading();
        election.reads(2_000, 1_050, key(6, None));
        assert_eq!((election.revision(), election.trouble()), (Some(7), None));
        election.reads(2_300, 2_200, key(8, Some(("a", 1))));
        assert_eq!(election.revision(), Some(8));
    }

    /// ⚠ Red where a restored etcd counts at once: another node's lease, which it knows nothing of, may last for as long.
    #[test]
    fn a_restored_etcd_counts_after_a_lease() {
        let me = name("a");
        let mut election = KeyElection::default();
        election.reads(800, 700, key(9, Some(("b", 2))));
        for (now, state) in [(2_000, key(5, None)), (4_000, key(10, Some(("b -> a", 3)))), (11_900, key(12, None))] {
            election.reads(now, now - 100, state);
            assert_eq!(election.may_write_after(&me), None, "at {now}");
            assert!(!election.is_read(at(now), &etcd()));
        }
        let said = election.trouble().unwrap_or_default();
        assert!(said.contains("its revision was 9 and is 5"), "{said}");
        election.reads(12_100, 1_900, key(9, None));
        assert_eq!(election.may_write_after(&me), None, "asked of the one before");
        election.reads(12_100, 12_000, key(6, None));
        assert_eq!((election.may_write_after(&me), election.trouble()), (Some(0), None));
    }

    /// What the one before confirmed counts on, and nothing is added to it.
    #[test]
    fn a_holder_leads_by_what_was_confirmed_before_a_restoration() {
        let mut election = leading();
        let until = election.until();
        election.reads(2_000, 1_900, key(6, Some(("a", 1))));
        election.reads(4_000, 3_900, key(8, Some(("a", 1))));
        assert!(renew(&mut election, 3, 4_000, LEASE));
        assert_eq!((election.until(), election.revision()), (until.map(|_| at(10_800)), Some(7)));
        election.reads(12_100, 12_000, key(8, Some(("a", 1))));
        assert_eq!(election.revision(), Some(8), "and its own key is there");
    }

    /// ⚠ Red where a lease that was given back can be led by again: its revocation may be on its way.
    #[test]
    fn no_term_goes_on_by_a_lease_that_was_given_up() {
        let mut election = leading();
        election.give_up(at(2_000));
        election.reads(2_200, 2_100, key(9, Some(("a", 1))));
        assert_eq!((election.until(), election.may_write_after(&name("a"))), (None, None));
        assert_eq!(election.gives_back(at(2_200), Duration::from_secs(1)), Some(at(3_000)));
        election.ended[0].asked = Some(Asked { op: op(9), at: at(2_000) });
        assert!(election.hears(2_300, 9, 2_000, EtcdAnswer::Revoked));
        assert_eq!(election.gives_back(at(2_300), Duration::from_secs(1)), None);
        election.granting = None;
        assert!(!election.hears(2_400, 1, 900, EtcdAnswer::Granted(LeaseId(5), LEASE)), "which nobody waits for");
    }

    /// ⚠ Red where a node that passes its key on leads by it.
    #[test]
    fn a_key_that_is_passed_on_is_no_key_to_lead_by() {
        let mut election = leading();
        election.pass_on(at(2_000), name("b"));
        for state in [key(7, Some(("a", 1))), key(8, Some(("a -> b", 1)))] {
            election.reads(2_200, 2_100, state);
            assert_eq!((election.until(), election.may_write_after(&name("a"))), (None, None));
        }
        // It is not taken, and comes back by another lease: after the revision that is there.
        election.take_back();
        assert_eq!(election.may_write_after(&name("a")), Some(8));
        election.reads(2_400, 2_300, key(9, Some(("b", 4))));
        assert_eq!(election.may_write_after(&name("a")), None, "b was first");
    }

    #[test]
    fn a_key_that_is_kept_for_the_next_start_lets_this_one_lead_on() {
        let mut election = leading();
        election.keep(&name("a"));
        assert!(!election.is_kept(&name("a")));
        election.reads(2_200, 2_100, key(8, Some(("a -> a", 1))));
        assert!(election.is_kept(&name("a")));
        assert_eq!(election.revision(), Some(8));
        let mut next = KeyElection::default();
        next.reads(2_600, 2_500, key(8, Some(("a -> a", 1))));
        assert_eq!((next.until(), next.may_write_after(&name("a"))), (None, Some(8)));
    }

    #[test]
    fn a_request_without_an_answer_changes_nothing_by_itself() {
        let mut election = leading();
        election.writing = Some(Asked { op: op(5), at: at(2_000) });
        let failed = Err("no whole answer within 1s".to_owned());
        assert!(election.answered(at(3_000), op(5), at(2_000), failed.clone(), (&name("a"), &etcd())));
        assert!(!election.answered(at(3_000), op(6), at(2_000), failed, (&name("a"), &etcd())));
        assert_eq!((election.until(), election.trouble()), (Some(at(10_700)), Some("no whole answer within 1s")));
        assert_eq!(election.asks_from, at(3_500));
        election.reads(3_200, 3_100, key(7, Some(("a", 1))));
        assert_eq!(election.trouble(), None);
    }
}
