//! How often the cloud named another than the node that was confirmed, and who that was: once may be anybody's slip, more
//! often means that something attaches the HAVIP elsewhere, and each time packets went astray.

use crate::model::time::Instant;
use crate::status::RepairsSnapshot;
use std::time::Duration;

/// Without another one for this long, the next is the first again, and there is nothing to tell.
const OVER_AFTER: Duration = Duration::from_secs(1800);

/// The repairs of one HAVIP.
#[derive(Debug, Default)]
pub(crate) struct Repairs {
    /// Since the start.
    pub(crate) total: u64,
    /// The last one.
    last: Option<Repair>,
}

#[derive(Debug)]
struct Repair {
    /// Of how many that followed each other it is the last.
    times: u64,
    /// When the first of them was.
    first: Instant,
    at: Instant,
    /// Who was bound instead.
    by: Option<String>,
}

impl Repairs {
    /// `by`, or nobody, was found in our place.
    pub(super) fn note(&mut self, now: Instant, by: Option<&str>) {
        self.total += 1;
        let by = by.map(str::to_owned);
        let run = self.last.take().filter(|last| now.since(last.at) < OVER_AFTER);
        self.last = Some(match run {
            Some(run) => Repair { times: run.times + 1, at: now, by, ..run },
            None => Repair { times: 1, first: now, at: now, by },
        });
    }

    /// Those that followed each other, while the last one is not long ago.
    pub(crate) fn snapshot(&self, now: Instant) -> Option<RepairsSnapshot> {
        let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        self.last.as_ref().filter(|last| now.since(last.at) < OVER_AFTER).map(|last| RepairsSnapshot {
            times: last.times,
            over_ms: ms(last.at.since(last.first)),
            ago_ms: ms(now.since(last.at)),
            by: last.by.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_follow_each_other_are_counted_together_and_forgotten_after_a_while() {
        let at = |s: u64| Instant::from_millis(s * 1000);
        let mut repairs = Repairs::default();
        assert_eq!(repairs.snapshot(at(1)), None);
        repairs.note(at(10), Some("i-x"));
        repairs.note(at(70), None);
        repairs.note(at(190), Some("i-y"));
        let told = repairs.snapshot(at(200)).expect("recent");
        assert_eq!(told, RepairsSnapshot { times: 3, over_ms: 180_000, ago_ms: 10_000, by: Some("i-y".to_owned()) });
        assert_eq!(told.to_string(), "repaired 3 times in 3 minutes, last bound: i-y");
        assert_eq!(repairs.snapshot(at(190 + 1800)), None, "long ago");
        repairs.note(at(190 + 1800), Some("i-x"));
        let told = repairs.snapshot(at(191 + 1800)).expect("recent");
        assert_eq!((told.times, repairs.total), (1, 4), "the first again");
        assert_eq!(told.to_string(), "repaired once, last bound: i-x");
    }
}
