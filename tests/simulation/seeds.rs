//! Scenarios from seeds.

use super::must_hold;
use havipd::simulation::{Scenario, replay, run};
use std::time::Duration;

/// A number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: a number")))
}

#[test]
fn seeds_break_no_promise() {
    let (from, count) = (setting("HAVIPD_SIM_FROM", 0), setting("HAVIPD_SIM_SEEDS", 60));
    let began = havip_test_clock();
    let mut simulated = Duration::ZERO;
    let mut broken = vec![];
    for seed in from..from + count {
        let report = run(&Scenario::random(seed));
        simulated += report.simulated;
        if report.violation.is_some() {
            println!("{}{report}", report.trace);
            println!("replay: HAVIPD_SIM_REPLAY={seed} cargo test --test simulation replay -- --nocapture\n");
            broken.push(seed);
        }
    }
    let (hours, wall) = (simulated.as_secs_f64() / 3600.0, began.elapsed().as_secs_f64());
    println!("{count} seeds from {from}: {hours:.1} h simulated in {wall:.1} s, {:.2} h/s", hours / wall);
    assert!(broken.is_empty(), "broken by seeds {broken:?}");
}

#[expect(clippy::disallowed_methods, reason = "how fast the simulator is, for people; nothing depends on it")]
fn havip_test_clock() -> std::time::Instant {
    std::time::Instant::now()
}

#[test]
fn replay_of_one_seed() {
    if let Ok(seed) = std::env::var("HAVIPD_SIM_REPLAY") {
        let scenario = Scenario::random(seed.parse().expect("HAVIPD_SIM_REPLAY is a seed"));
        let report = replay(&scenario, 4000);
        println!("{}\n{}{report}", scenario.text(), report.trace);
        assert!(report.violation.is_none(), "{report}");
    }
}

#[test]
fn a_run_is_the_same_each_time() {
    for seed in [3, 8, 11] {
        let scenario = Scenario::random(seed);
        let (one, two) = (replay(&scenario, 4000), replay(&scenario, 4000));
        assert_eq!(one.trace, two.trace);
        assert_eq!(one.stats, run(&scenario).stats, "the account changes nothing");
    }
}

/// I10: where the clocks stand, which is what a step changes, decides nothing.
#[test]
fn clock_steps_change_nothing() {
    for seed in 0..6 {
        let scenario = Scenario::random(seed);
        let mut other = scenario.clone();
        for (i, machine) in other.cluster.machines.iter_mut().enumerate() {
            machine.clock_ms = 5_000 + 977 * i as u64;
        }
        let (one, two) = (run(&scenario), run(&other));
        assert_eq!((one.moves, one.stats), (two.moves, two.stats), "seed {seed}");
    }
}

#[test]
fn a_scenario_survives_its_text_form() {
    for seed in 0..100 {
        let scenario = Scenario::random(seed);
        let text = scenario.text();
        assert_eq!(Scenario::parse(&text).expect(&text), scenario);
    }
}

#[test]
fn kept_cases_break_no_promise() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/simulation/cases");
    let mut files: Vec<_> = std::fs::read_dir(folder).expect("tests/simulation/cases").flatten().collect();
    files.sort_by_key(std::fs::DirEntry::path);
    for file in files {
        let text = std::fs::read_to_string(file.path()).expect("a readable case");
        must_hold(&Scenario::parse(&text).unwrap_or_else(|e| panic!("{}: {e}", file.path().display())));
    }
}
