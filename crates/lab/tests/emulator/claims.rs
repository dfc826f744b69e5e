//! A preset that can be won is won by the documented sequence; in the one that cannot, the first one stays.

use crate::semantics::*;
use havipd_core::model::time::Instant;
use havipd_lab::simulation::cloud::*;
use std::time::Duration;

/// Takes over with exclusive binding as a daemon would: attach, announce, read, detach the others.
fn claim(model: &mut CloudModel, mut now: Instant, target: &str) -> (Instant, bool) {
    let busy = model.profile().busy;
    for _ in 0..5 {
        let others: Vec<String> = model
            .havip(now, HAVIP)
            .map_or_else(Vec::new, |h| h.bound.into_iter().map(|b| b.id).filter(|id| id != target).collect());
        status(model, now, &attach(&[target]));
        model.announce(now, target, HAVIP);
        for other in others {
            now += busy;
            status(model, now, &detach(&[&other]));
        }
        model.announce(now, target, HAVIP);
        now += Duration::from_secs(2) + busy;
        let view = model.havip(now, HAVIP).expect("exists");
        let alone = view.bound.iter().all(|b| b.id == target);
        if alone && view.traffic.as_deref() == Some(target) {
            return (now, true);
        }
    }
    (now, false)
}

#[test]
fn every_winnable_preset_is_won_back_and_forth() {
    for profile in Profile::all() {
        let (name, winnable) = (profile.name.clone(), profile.winnable());
        let mut model = model(profile);
        let (mut now, first) = claim(&mut model, at(1000), "i-a");
        assert!(first, "{name}: the first claim meets nobody");
        for target in ["i-b", "i-a", "i-c"] {
            let (later, won) = claim(&mut model, now, target);
            let expected = winnable || target == "i-a";
            assert_eq!(won, expected, "{name}: {target} {}", shown(&model, later));
            now = later;
        }
    }
}
