//! Changes of role, for the log: one line each, with its cause and the steps that led to it.

use havipd_core::model::action::{Step, Transition};
use havipd_core::model::ids::GroupName;
use havipd_core::model::role::Role;
use havipd_core::model::time::Instant;
use std::fmt::Write as _;

/// Logs one transition.
pub(super) fn log(group: &GroupName, peer: Option<&str>, transition: &Transition) {
    let Transition { from, to, epoch, cause, detail, timeline, at, .. } = transition;
    let steps = steps(timeline, *at);
    let (from, to, cause, peer) = (from.as_str(), to.as_str(), cause.as_str(), peer.unwrap_or("-"));
    let epoch = epoch.0;
    // The log's own time is when the line was made, a little later, and wall time besides.
    let at_ms = at.since(Instant::default()).as_secs_f64() * 1e3;
    if transition.to == Role::Fault {
        tracing::warn!(%group, from, to, cause, epoch, peer, at_ms, timeline = steps, "{group} is in fault: {detail}");
    } else {
        tracing::info!(%group, from, to, cause, epoch, peer, at_ms, timeline = steps, "{group} is {to}: {detail}");
    }
}

/// `+0.0ms claiming (peer-dead), +12.3ms write answered`: counted from the first step.
fn steps(timeline: &[Step], end: Instant) -> String {
    let start = timeline.first().map_or(end, |s| s.at);
    let mut text = String::new();
    for step in timeline {
        let separator = if text.is_empty() { "" } else { ", " };
        let millis = step.at.since(start).as_secs_f64() * 1e3;
        let _ = write!(text, "{separator}+{millis:.1}ms {}", step.what);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_counts_from_its_first_step() {
        let step = |ms: u64, what: &str| Step { at: Instant::from_nanos(ms * 100_000), what: what.into() };
        let timeline = [step(10_000, "claiming (peer-dead)"), step(10_123, "write answered")];
        assert_eq!(steps(&timeline, Instant::from_millis(2000)), "+0.0ms claiming (peer-dead), +12.3ms write answered");
        assert_eq!(steps(&[], Instant::from_millis(7)), "");
    }
}
