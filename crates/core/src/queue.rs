//! Which call to the cloud is made next. Pure: time is an argument, and the simulated daemon has the same queue.
//!
//! Calls wait in one ordered queue: by what depends on them ([`CallClass`]), then by the moment by which they must start.
//! Reads of HAVIPs share calls: when one may start, every read of the same VPC that waits goes with it, as one list. A
//! read joins only a call that has not begun, so what it gets is never older than the wish for it. A call that cannot
//! start in time takes nothing and is told apart from one that failed; asked for again it keeps its turn, so that nobody
//! waits for ever.
//!
//! How much is sent follows from the cloud (`limit`): as much as it takes without pushing back. A configured ceiling
//! bounds everything but claims.

mod limit;
#[cfg(test)]
mod tests;

pub use limit::Ended;

use crate::model::action::WriteKind;
use crate::model::cloud::CallClass;
use crate::model::ids::HavipId;
use crate::model::time::Instant;
use limit::Limit;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// Reads of one VPC that may be under way at once; the next ones share the call after them.
const READS_AT_ONCE: usize = 2;
/// One that is not answered for so long holds up no other.
const READ_HOLDS: Duration = Duration::from_millis(500);
/// The turn of a call that was not sent is remembered for so long.
const TURN_KEPT: Duration = Duration::from_secs(60);

/// What a call is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A read of one HAVIP, which may share a call.
    Havip(HavipId),
    /// A write to one HAVIP.
    Write(HavipId, WriteKind),
    /// Anything else: it shares nothing.
    Other,
}

/// A call that is asked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What depends on it.
    pub class: CallClass,
    /// What it is about.
    pub subject: Subject,
    /// It is of no use if it starts later.
    pub start_by: Instant,
}

/// Names a call that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// Names a call that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId(u64);

/// Why a call was not sent.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum NotSent {
    /// The configured ceiling.
    #[error("cloud.requests-per-second = {0} allows no further call by the moment by which it must start")]
    Ceiling(f64),
    /// The limit that the cloud's refusals taught.
    #[error("the cloud has pushed back, and takes no further call by the moment by which it must start")]
    PushedBack,
    /// Others came first, or that moment had passed already.
    #[error("its turn did not come by the moment by which it had to start")]
    Busy,
}

/// What the queue decides next.
#[derive(Debug, PartialEq)]
pub enum Decision<T> {
    /// One call begins now.
    Start {
        /// To be told to [`Queue::ended`].
        call: CallId,
        /// Who waited for it. Several are reads of HAVIPs that share one list call.
        items: Vec<T>,
        /// The VPC that a shared call lists; `None`: that of some HAVIP is not known, so all are listed.
        vpc: Option<String>,
    },
    /// A call takes nothing, and is not sent.
    Refuse(T, NotSent),
}

/// Order of the queue: class, then what finishes a claim before what begins one, then the earliest moment by which a call
/// must start, then the order of asking.
type Place = (CallClass, u8, Instant, u64);

#[derive(Debug)]
struct Waiting<T> {
    wanted: Wanted,
    item: T,
}

#[derive(Debug)]
struct UnderWay {
    began: Instant,
    /// Of a read of HAVIPs: where.
    reads: Option<Option<String>>,
}

/// What may keep a call from starting.
enum Obstacle {
    /// Until then at the earliest.
    Until(Instant, NotSent),
    /// Until a call under way has ended, or the read begins with which it goes.
    Busy,
}

/// The calls of one daemon, waiting and under way.
#[derive(Debug)]
pub struct Queue<T> {
    waiting: BTreeMap<Place, Waiting<T>>,
    under_way: BTreeMap<CallId, UnderWay>,
    number: u64,
    limit: Limit,
    /// The VPC of each HAVIP that was read once.
    vpcs: HashMap<HavipId, String>,
    /// When reads of a VPC last began.
    read_at: HashMap<Option<String>, Instant>,
    /// Turns of calls that were not sent: the moment that counts in the order, and when that was.
    turns: BTreeMap<Subject, (Instant, Instant)>,
}

impl<T> Queue<T> {
    /// An empty queue; `ceiling` is in calls per second.
    #[must_use]
    pub fn new(ceiling: Option<f64>, now: Instant) -> Self {
        Self {
            waiting: BTreeMap::new(),
            under_way: BTreeMap::new(),
            number: 0,
            limit: Limit::new(ceiling, now),
            vpcs: HashMap::new(),
            read_at: HashMap::new(),
            turns: BTreeMap::new(),
        }
    }

    /// Goes on with another ceiling.
    pub fn set_ceiling(&mut self, ceiling: Option<f64>, now: Instant) {
        self.limit.set_ceiling(ceiling, now);
    }

    /// A read told in which VPC a HAVIP is.
    pub fn learn(&mut self, havip: &HavipId, vpc: &str) {
        if !vpc.is_empty() && self.vpcs.get(havip).map(String::as_str) != Some(vpc) {
            self.vpcs.insert(havip.clone(), vpc.to_owned());
        }
    }

    /// Adds a call.
    pub fn push(&mut self, now: Instant, wanted: Wanted, item: T) -> Ticket {
        self.number += 1;
        self.turns.retain(|_, (_, since)| now.since(*since) < TURN_KEPT);
        let kept = self.turns.get(&wanted.subject).map(|(due, _)| *due);
        let due = kept.unwrap_or(wanted.start_by).min(wanted.start_by);
        let place = (wanted.class, stage(&wanted.subject), due, self.number);
        self.waiting.insert(place, Waiting { wanted, item });
        Ticket(self.number)
    }

    /// Takes a waiting call out again, when nobody waits for it any more.
    pub fn withdraw(&mut self, ticket: Ticket) -> Option<T> {
        let place = *self.waiting.keys().find(|place| place.3 == ticket.0)?;
        self.waiting.remove(&place).map(|w| w.item)
    }

    /// The next decision that can be made now; to be asked until there is none.
    pub fn next(&mut self, now: Instant) -> Option<Decision<T>> {
        self.limit.advance(now);
        let mut ahead = limit::Ahead::default();
        let mut found = None;
        for (place, waiting) in &self.waiting {
            let wanted = &waiting.wanted;
            let late = now > wanted.start_by;
            match self.obstacle(now, wanted, &mut ahead) {
                None if !late => {
                    found = Some((*place, None));
                    break;
                }
                Some(Obstacle::Until(at, why)) if late || at > wanted.start_by => {
                    found = Some((*place, Some(why)));
                    break;
                }
                _ if late => {
                    found = Some((*place, Some(NotSent::Busy)));
                    break;
                }
                _ => {}
            }
        }
        let (place, refused) = found?;
        let Waiting { wanted, item } = self.waiting.remove(&place)?;
        if let Some(why) = refused {
            if wanted.subject != Subject::Other {
                self.turns.insert(wanted.subject, (place.2, now));
            }
            return Some(Decision::Refuse(item, why));
        }
        Some(self.start(now, wanted, item))
    }

    fn start(&mut self, now: Instant, wanted: Wanted, item: T) -> Decision<T> {
        self.turns.remove(&wanted.subject);
        let reads = self.vpc_of(&wanted.subject);
        let mut items = vec![item];
        if let Some(vpc) = &reads {
            self.read_at.insert(vpc.clone(), now);
            for place in self.sharing(vpc) {
                if let Some(other) = self.waiting.remove(&place) {
                    self.turns.remove(&other.wanted.subject);
                    items.push(other.item);
                }
            }
        }
        self.number += 1;
        let call = CallId(self.number);
        self.limit.spend(wanted.class, now);
        let vpc = reads.clone().flatten();
        self.under_way.insert(call, UnderWay { began: now, reads });
        Decision::Start { call, items, vpc }
    }

    /// The reads that wait to be made in the same VPC.
    fn sharing(&self, vpc: &Option<String>) -> Vec<Place> {
        let same = |w: &Waiting<T>| self.vpc_of(&w.wanted.subject).as_ref() == Some(vpc);
        self.waiting.iter().filter(|(_, w)| same(w)).map(|(place, _)| *place).collect()
    }

    /// Of a read of a HAVIP: its VPC, where that is known.
    fn vpc_of(&self, subject: &Subject) -> Option<Option<String>> {
        match subject {
            Subject::Havip(id) => Some(self.vpcs.get(id).cloned()),
            Subject::Write(..) | Subject::Other => None,
        }
    }

    fn obstacle(&self, now: Instant, wanted: &Wanted, ahead: &mut limit::Ahead) -> Option<Obstacle> {
        if let Some(vpc) = self.vpc_of(&wanted.subject) {
            if !ahead.reads(&vpc) {
                return Some(Obstacle::Busy);
            }
            let holding = |u: &&UnderWay| u.reads.as_ref() == Some(&vpc) && now.since(u.began) < READ_HOLDS;
            if self.under_way.values().filter(holding).count() >= READS_AT_ONCE {
                return Some(Obstacle::Busy);
            }
            let next = self.read_at.get(&vpc).map(|at| *at + gap(wanted.class)).filter(|at| *at > now);
            if let Some(at) = next {
                return Some(Obstacle::Until(at, NotSent::Busy));
            }
        }
        if self.under_way.len() >= self.limit.places(wanted.class) {
            return Some(Obstacle::Busy);
        }
        self.limit.obstacle(now, wanted.class, ahead).map(|(at, why)| Obstacle::Until(at, why))
    }

    /// When [`Queue::next`] is worth asking again, if no call ends before.
    #[must_use]
    pub fn wake_at(&self, now: Instant) -> Option<Instant> {
        let mut ahead = limit::Ahead::default();
        let mut wake = |w: &Waiting<T>| {
            let expires = w.wanted.start_by + Duration::from_nanos(1);
            match self.obstacle(now, &w.wanted, &mut ahead) {
                None => now,
                Some(Obstacle::Until(at, _)) => at.min(expires),
                Some(Obstacle::Busy) => expires.min(now + READ_HOLDS),
            }
        };
        self.waiting.values().map(&mut wake).min()
    }

    /// A call has ended.
    pub fn ended(&mut self, now: Instant, call: CallId, ended: Ended) {
        if let Some(UnderWay { began, .. }) = self.under_way.remove(&call) {
            self.limit.ended(now, began, ended);
        }
    }

    /// Calls that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

/// A claim that has begun is finished before the next one begins.
fn stage(subject: &Subject) -> u8 {
    u8::from(matches!(subject, Subject::Write(_, WriteKind::Attach)))
}

/// Least time between two reads of one VPC: what many groups want at about the same time comes together by it.
fn gap(class: CallClass) -> Duration {
    match class {
        CallClass::Claim => Duration::ZERO,
        CallClass::Standby => Duration::from_millis(50),
        CallClass::Holding => Duration::from_millis(100),
        CallClass::Background => Duration::from_millis(250),
    }
}
