//! Scenarios from seeds.

use havipd_lab::simulation::{Scenario, replay, run};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Where cases are kept.
const CASES: &str = "../../tests/data/simulation";

/// A number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: a number")))
}

/// Seeds of the slice that every run plays; `havipd-lab simulate --seeds` and tests/simulation-ledger play more.
const SLICE: u64 = 120;

#[test]
fn seeds_break_no_promise() {
    let (from, count) = (setting("HAVIPD_SIM_FROM", 0), setting("HAVIPD_SIM_SEEDS", SLICE));
    let began = clock();
    let next = AtomicU64::new(from);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (simulated, broken) = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| sweep(&next, from + count))).collect();
        let results = workers.into_iter().map(|w| w.join().expect("no panic"));
        results.fold((Duration::ZERO, vec![]), |(time, all), (t, b)| (time + t, [all, b].concat()))
    });
    let (hours, wall) = (simulated.as_secs_f64() / 3600.0, began.elapsed().as_secs_f64());
    println!("{count} seeds from {from}: {hours:.1} h simulated in {wall:.1} s, {:.2} h/s", hours / wall);
    assert!(broken.is_empty(), "broken by seeds {broken:?}");
}

/// Plays seeds until `end`; gives the time simulated and those that broke a promise.
fn sweep(next: &AtomicU64, end: u64) -> (Duration, Vec<u64>) {
    let (mut simulated, mut broken) = (Duration::ZERO, vec![]);
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return (simulated, broken);
        }
        let report = run(&Scenario::random(seed));
        simulated += report.simulated;
        if report.violation.is_some() {
            println!("{}{report}", report.trace);
            println!("replay: cargo run -p havipd-lab -- simulate --seed {seed}");
            println!(
                "keep:   cargo run -p havipd-lab -- simulate --seed {seed} --print > {CASES}/seed-{seed}-NAME.toml\n"
            );
            broken.push(seed);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "how fast the simulator is, for people; nothing depends on it")]
fn clock() -> std::time::Instant {
    std::time::Instant::now()
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

/// What once broke a promise, as files.
#[test]
fn kept_cases_break_no_promise() {
    let mut files: Vec<_> = std::fs::read_dir(CASES).expect(CASES).flatten().map(|f| f.path()).collect();
    files.sort();
    assert!(!files.is_empty(), "cases are kept in {CASES}");
    for file in files {
        let file = file.display();
        let text = std::fs::read_to_string(file.to_string()).expect("a readable case");
        let scenario = Scenario::parse(&text).unwrap_or_else(|e| panic!("{file}: {e}"));
        let report = run(&scenario);
        assert!(
            report.violation.is_none(),
            "{}{report}\nreplay: cargo run -p havipd-lab -- simulate {file}",
            report.trace
        );
    }
}

/// The cases of single rules are played next to the core, so that `tests/mutants/run` can break the rules: none is left out.
#[test]
fn every_conformance_case_is_played() {
    let module = std::fs::read_to_string("src/simulation/conformance.rs").expect("the module");
    let files = std::fs::read_dir("../../tests/data/conformance").expect("the cases").flatten();
    let names: Vec<String> = files.map(|f| f.file_name().to_string_lossy().replace(".toml", "")).collect();
    assert!(!names.is_empty());
    for name in names {
        assert!(module.contains(&format!("{}: \"{name}\"", name.replace('-', "_"))), "{name} is not played");
    }
}
