//! How much may be sent: as much as the cloud takes without pushing back.
//!
//! Additive increase, multiplicative decrease. Without a refusal only the number of calls under way is bounded. A refusal
//! (429, `RateLimit`, `RequestLimitExceeded`) halves the rate at which calls were made until then; it grows again by
//! itself until it bounds nothing any more. Answers that become slow halve the number of calls under way.

use super::NotSent;
use crate::model::cloud::CallClass;
use crate::model::time::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// Calls under way at once: at first, at least, at most.
const PLACES: (f64, f64, f64) = (16.0, 4.0, 32.0);
/// Places beyond those that only the most urgent class may use.
const RESERVED: usize = 2;
/// The least rate that refusals lead to, calls per second.
const LEAST_RATE: f64 = 1.0;
/// It grows by so many calls per second in each second.
const GROWTH: f64 = 2.0;
/// From this rate on it bounds nothing.
const OPEN_RATE: f64 = 64.0;
/// What a claim may draw in advance: attach, read, detach, read.
const ADVANCE: f64 = 4.0;
/// An answer that takes less is never slow.
const QUICK: Duration = Duration::from_secs(1);
/// How far an answer must exceed what is usual to be slow.
const SLOW_FACTOR: u32 = 4;

/// How a call ended, as far as it concerns the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// An answer came.
    Answered,
    /// The cloud said that there are too many calls.
    PushedBack,
    /// Nothing came back.
    Unanswered,
    /// It was never made.
    Unused,
}

/// Calls that go before the one that is judged.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    learned: f64,
    ceiling: f64,
    reads: Vec<Option<String>>,
}

impl Ahead {
    /// Notes a read of that VPC; false if one goes ahead with which it shares the call.
    pub(super) fn reads(&mut self, vpc: &Option<String>) -> bool {
        let first = !self.reads.contains(vpc);
        if first {
            self.reads.push(vpc.clone());
        }
        first
    }
}

/// An allowance that refills.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    rate: f64,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn refill(&mut self, now: Instant) {
        self.tokens = (self.tokens + now.since(self.at).as_secs_f64() * self.rate).min(self.rate.max(1.0));
        self.at = self.at.max(now);
    }

    /// When `tokens` more than there are now will be there.
    fn when(&self, now: Instant, tokens: f64) -> Option<Instant> {
        let missing = tokens - self.tokens;
        // Rounded up, so that a caller that waits so long finds it.
        (missing > 1e-9).then(|| now + Duration::from_secs_f64(missing / self.rate) + Duration::from_micros(1))
    }
}

/// The limits of one daemon.
#[derive(Debug)]
pub(super) struct Limit {
    ceiling: Option<Bucket>,
    /// After a refusal: what is sent at most, of whatever class.
    learned: Option<Bucket>,
    /// A refusal of a call that began before is part of the last one.
    halved: Option<Instant>,
    /// Beginnings of the last second.
    began: VecDeque<Instant>,
    places: f64,
    narrowed: Option<Instant>,
    /// How long answers take, seconds.
    usual: Option<f64>,
}

impl Limit {
    pub(super) fn new(ceiling: Option<f64>, now: Instant) -> Self {
        let mut limit = Self {
            ceiling: None,
            learned: None,
            halved: None,
            began: VecDeque::new(),
            places: PLACES.0,
            narrowed: None,
            usual: None,
        };
        limit.set_ceiling(ceiling, now);
        limit
    }

    pub(super) fn set_ceiling(&mut self, ceiling: Option<f64>, now: Instant) {
        self.ceiling = ceiling.map(|rate| {
            let tokens = self.ceiling.map_or(f64::MAX, |old| old.tokens).min(rate.max(1.0));
            Bucket { rate, tokens, at: now }
        });
    }

    /// Time has passed.
    pub(super) fn advance(&mut self, now: Instant) {
        if let Some(bucket) = &mut self.ceiling {
            bucket.refill(now);
        }
        if let Some(bucket) = &mut self.learned {
            let grown = now.since(bucket.at).as_secs_f64() * GROWTH;
            bucket.refill(now);
            bucket.rate += grown;
        }
        self.learned = self.learned.filter(|bucket| bucket.rate < OPEN_RATE);
        while self.began.front().is_some_and(|at| now.since(*at) > Duration::from_secs(1)) {
            self.began.pop_front();
        }
    }

    /// How many calls may be under way when one of that class begins.
    pub(super) fn places(&self, class: CallClass) -> usize {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 4 and 32")]
        let all = self.places as usize;
        match class {
            CallClass::Holding => all + RESERVED,
            CallClass::Claim => all,
            CallClass::Standby => all / 2,
            CallClass::Background => all / 4,
        }
    }

    /// From when on a call of that class may begin, if not now, and why. It then counts as one that goes ahead.
    pub(super) fn obstacle(&self, now: Instant, class: CallClass, ahead: &mut Ahead) -> Option<(Instant, NotSent)> {
        let advance = if class <= CallClass::Claim { ADVANCE } else { 0.0 };
        let learned = self.learned.and_then(|b| b.when(now, ahead.learned + 1.0 - advance));
        let ceiling = self.ceiling.filter(|_| class != CallClass::Claim);
        let capped = ceiling.and_then(|b| Some((b.when(now, ahead.ceiling + 1.0)?, NotSent::Ceiling(b.rate))));
        ahead.learned += 1.0;
        if class != CallClass::Claim {
            ahead.ceiling += 1.0;
        }
        learned.map(|at| (at, NotSent::PushedBack)).into_iter().chain(capped).max_by_key(|(at, _)| *at)
    }

    /// A call begins.
    pub(super) fn spend(&mut self, class: CallClass, now: Instant) {
        self.began.push_back(now);
        if let Some(bucket) = &mut self.learned {
            bucket.tokens -= 1.0;
        }
        if let Some(bucket) = self.ceiling.as_mut().filter(|_| class != CallClass::Claim) {
            bucket.tokens -= 1.0;
        }
    }

    /// A call that began at `began` has ended.
    pub(super) fn ended(&mut self, now: Instant, began: Instant, ended: Ended) {
        self.advance(now);
        match ended {
            Ended::Unused => {}
            Ended::PushedBack => self.halve(now, began),
            Ended::Unanswered => self.narrow(now, began),
            Ended::Answered => {
                let took = now.since(began).as_secs_f64();
                let usual = *self.usual.get_or_insert(took);
                if took > QUICK.as_secs_f64().max(usual * f64::from(SLOW_FACTOR)) {
                    self.narrow(now, began);
                } else {
                    self.places = (self.places + 1.0 / self.places).min(PLACES.2);
                }
                self.usual = Some(usual + (took - usual) / 8.0);
            }
        }
    }

    fn halve(&mut self, now: Instant, began: Instant) {
        if self.halved.is_some_and(|at| began <= at) {
            return;
        }
        self.halved = Some(now);
        #[expect(clippy::cast_precision_loss, reason = "at most some thousands")]
        let made = self.began.len() as f64;
        let rate = self.learned.map_or(made, |bucket| bucket.rate.min(made.max(1.0)));
        let tokens = self.learned.map_or(0.0, |bucket| bucket.tokens.min(0.0));
        self.learned = Some(Bucket { rate: (rate / 2.0).max(LEAST_RATE), tokens, at: now });
    }

    fn narrow(&mut self, now: Instant, began: Instant) {
        if self.narrowed.is_none_or(|at| began > at) {
            self.narrowed = Some(now);
            self.places = (self.places / 2.0).max(PLACES.1);
        }
    }
}
