//! Figures of a drill: what each watcher missed, and how they are distributed.

use havipd_core::status::SeenSnapshot;
use serde::Serialize;
use std::fmt::Write as _;

/// What one node missed of a move.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Outage {
    /// Who watched.
    pub(super) from: String,
    /// From the last answer of the old node to the first of the new one, milliseconds.
    pub(super) ms: f64,
}

/// One line of the summary, milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Distribution {
    pub(super) what: String,
    pub(super) count: usize,
    pub(super) min: f64,
    pub(super) median: f64,
    pub(super) p90: f64,
    pub(super) max: f64,
}

impl Distribution {
    /// Nearest rank: every figure is one that was measured. `None` of nothing.
    fn of(what: impl Into<String>, mut all: Vec<f64>) -> Option<Self> {
        all.sort_by(f64::total_cmp);
        let rank = |percent: usize| all[(all.len() * percent).div_ceil(100).max(1) - 1];
        let (min, max) = (*all.first()?, *all.last()?);
        Some(Self { what: what.into(), count: all.len(), min, median: rank(50), p90: rank(90), max })
    }
}

/// What every watcher missed between `old` and `new`.
///
/// # Errors
/// The first watcher that had seen the old node and does not see the new one.
pub(super) fn outages(seen: &[SeenSnapshot], old: &str, new: &str) -> Result<Vec<Outage>, String> {
    let mut all = Vec::new();
    // The new node has the address itself now.
    for watcher in seen.iter().filter(|s| s.at == old && s.from != new) {
        let from = &watcher.from;
        let first = seen.iter().find(|s| s.from == *from && s.at == new).ok_or_else(|| from.clone())?.first_ms;
        all.push(Outage { from: from.clone(), ms: (first - watcher.last_ms).max(0.0) });
    }
    Ok(all)
}

/// How long moves took, and what each watcher missed.
pub(super) fn distributions<'a>(moves: impl Iterator<Item = (f64, &'a [Outage])>) -> Vec<Distribution> {
    let (mut took, mut missed): (Vec<f64>, Vec<(String, Vec<f64>)>) = (Vec::new(), Vec::new());
    for (ms, outages) in moves {
        took.push(ms);
        for outage in outages {
            match missed.iter_mut().find(|(from, _)| *from == outage.from) {
                Some((_, all)) => all.push(outage.ms),
                None => missed.push((outage.from.clone(), vec![outage.ms])),
            }
        }
    }
    let of = |(from, all): (String, Vec<f64>)| Distribution::of(format!("missed by {from}"), all);
    Distribution::of("move", took).into_iter().chain(missed.into_iter().filter_map(of)).collect()
}

/// The summary as people read it; nothing for nothing.
pub(super) fn table(all: &[Distribution]) -> String {
    let mut text = String::new();
    if !all.is_empty() {
        let _ = writeln!(text, "{:<24}{:>9}{:>9}{:>9}{:>9}{:>7}", "ms", "min", "median", "p90", "max", "count");
    }
    for d in all {
        let (min, median, p90, max) = (d.min, d.median, d.p90, d.max);
        let _ = writeln!(text, "{:<24}{min:>9.1}{median:>9.1}{p90:>9.1}{max:>9.1}{:>7}", d.what, d.count);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_ones_that_were_measured() {
        let d = Distribution::of("x", (1..=10).rev().map(f64::from).collect()).expect("some");
        assert_eq!((d.count, d.min, d.median, d.p90, d.max), (10, 1.0, 5.0, 9.0, 10.0));
        let one = Distribution::of("x", vec![7.0]).expect("one");
        assert_eq!((one.min, one.median, one.p90, one.max), (7.0, 7.0, 7.0, 7.0));
        assert_eq!(Distribution::of("x", vec![]), None);
        assert_eq!(table(&[]), "");
    }

    #[test]
    fn an_outage_is_the_time_between_two_answers() {
        let one = |from: &str, at: &str, first_ms, last_ms| SeenSnapshot {
            from: from.into(),
            at: at.into(),
            first_ms,
            last_ms,
            answers: 3,
        };
        let mut seen = vec![one("c", "a", 10.0, 510.0), one("b", "a", 10.0, 505.0)];
        assert_eq!(outages(&seen, "a", "b"), Err("c".to_owned()), "c does not see b yet");
        seen.push(one("c", "b", 551.5, 890.0));
        let found = outages(&seen, "a", "b").expect("all seen");
        assert_eq!(found, [Outage { from: "c".into(), ms: 41.5 }], "b does not watch itself");
        assert_eq!(outages(&[], "a", "b"), Ok(vec![]));
        let moves = [(100.0, found.as_slice()), (200.0, found.as_slice())];
        let all = distributions(moves.into_iter());
        assert_eq!(
            all.iter().map(|d| (d.what.as_str(), d.count)).collect::<Vec<_>>(),
            [("move", 2), ("missed by c", 2)]
        );
    }
}
