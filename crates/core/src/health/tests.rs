//! What runs come to.

use super::*;
use proptest::prelude::*;

fn rule() -> Rule {
    Rule { fall: 3, rise: 2, initial: CheckState::Unknown, weight: None, error_fails: false }
}

fn at(seconds: u64) -> Instant {
    Instant::from_millis(seconds * 1000)
}

/// The state after each of these runs: `p`assed, `f`ailed, `e`rror.
fn states(rule: Rule, runs: &str) -> String {
    let mut judge = Judge::new(rule, at(0));
    let reading = |c| match c {
        'p' => Reading::Passed,
        'f' => Reading::Failed,
        _ => Reading::NotRun,
    };
    let mut state = |(i, c)| {
        judge.record(at(i as u64), reading(c));
        match judge.state() {
            CheckState::Unknown => '?',
            CheckState::Up => 'U',
            CheckState::Down => 'D',
        }
    };
    runs.chars().enumerate().map(&mut state).collect()
}

#[test]
fn rise_and_fall_count_results_in_a_row() {
    assert_eq!(states(rule(), "ppffpfffpfpp"), "?UUUUUUDDDDU");
    assert_eq!(states(rule(), "fff"), "??D");
    assert_eq!(states(Rule { initial: CheckState::Up, ..rule() }, "fff"), "UUD");
    assert_eq!(states(Rule { initial: CheckState::Down, ..rule() }, "fpp"), "DDU");
    assert_eq!(states(Rule { fall: 1, rise: 1, ..rule() }, "pfp"), "UDU");
}

#[test]
fn a_run_that_could_not_be_made_is_no_failure_unless_the_file_says_so() {
    assert_eq!(states(rule(), "ppeeeee"), "?UUUUUU");
    assert_eq!(states(rule(), "ppfefef"), "?UUUUUD", "it does not end a row either");
    assert_eq!(states(Rule { error_fails: true, ..rule() }, "ppeee"), "?UUUD");
}

#[test]
fn without_weight_a_failing_check_is_a_fault() {
    let mut judge = Judge::new(Rule { fall: 1, ..rule() }, at(0));
    assert_eq!(combine([&judge]), Health { weight: 0, failed: false, undecided: true });
    judge.record(at(0), Reading::Failed);
    assert_eq!(combine([&judge]), Health { weight: 0, failed: true, undecided: false });
}

#[test]
fn a_weight_is_added_while_passing_or_while_failing() {
    for (weight, passing, failing) in [(20, 20, 0), (-20, 0, -20)] {
        let mut judge = Judge::new(Rule { fall: 1, rise: 1, weight: Some(weight), ..rule() }, at(0));
        assert_eq!(judge.weight(), 0, "not decided");
        judge.record(at(0), Reading::Passed);
        assert_eq!((judge.weight(), judge.is_fault()), (passing, false));
        judge.record(at(1), Reading::Failed);
        assert_eq!((judge.weight(), judge.is_fault()), (failing, false));
    }
    let mut check = Check {
        name: "web".parse().unwrap(),
        probe: Probe::Process("nginx".into()),
        nodes: Some(vec![NodeIndex(1)]),
        rule: Rule { weight: Some(20), ..rule() },
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        retry_interval: Duration::from_secs(1),
    };
    let here = |check: &Check, node| combine([&Judge::of(check, NodeIndex(node), at(0))]);
    assert_eq!(here(&check, 1), Health { weight: 0, failed: false, undecided: true });
    assert_eq!(here(&check, 0), Health { weight: 20, failed: false, undecided: false }, "it runs elsewhere");
    check.probe = Probe::File("/nowhere".into());
    assert_eq!(here(&check, 0), Health::default());
}

#[test]
fn a_number_in_a_file_is_a_switch_or_a_weight() {
    let mut judge = Judge::new(Rule { fall: 1, rise: 1, ..rule() }, at(0));
    for (value, fault) in [(0, false), (1, true), (-1, true), (i64::MIN, true), (0, false)] {
        judge.record(at(0), Reading::Value(value));
        assert_eq!(judge.is_fault(), fault, "{value}");
    }
    let mut judge = Judge::new(Rule { fall: 1, rise: 1, weight: Some(-2), ..rule() }, at(0));
    for (value, weight) in [(0, 0), (1, -2), (10, -20), (-10, 20), (i64::MAX, -253), (i64::MIN, 253)] {
        judge.record(at(0), Reading::Value(value));
        assert_eq!((judge.weight(), judge.is_fault()), (weight, false), "{value}");
    }
}

#[test]
fn a_first_failure_is_looked_into_soon_and_nothing_takes_longer_than_the_file_says() {
    let (interval, retry) = (Duration::from_secs(1), Duration::from_millis(250));
    let mut judge = Judge::new(Rule { initial: CheckState::Up, ..rule() }, at(0));
    assert_eq!(next_run(interval, retry, &judge, 0), interval);
    judge.record(at(1), Reading::Failed);
    assert_eq!(next_run(interval, retry, &judge, 0), retry);
    assert!((225..=250).contains(&next_run(interval, retry, &judge, u32::MAX).as_millis()));
    judge.record(at(2), Reading::Failed);
    judge.record(at(3), Reading::Failed);
    assert_eq!(next_run(interval, retry, &judge, 0), interval, "it is down");
    judge.record(at(4), Reading::Passed);
    assert_eq!(next_run(interval, retry, &judge, 0), interval, "on its way up nothing presses");
}

#[test]
fn a_check_that_changes_all_the_time_flaps_until_it_has_been_quiet() {
    let mut judge = Judge::new(Rule { fall: 1, rise: 1, ..rule() }, at(0));
    for i in 0..=FLAPS as u64 {
        assert!(!judge.flaps(at(i)), "{i}");
        judge.record(at(i), if i % 2 == 0 { Reading::Passed } else { Reading::Failed });
    }
    assert!(judge.flaps(at(10)));
    assert!(judge.flaps(at(600)));
    assert!(!judge.flaps(at(602)));
}

fn readings() -> impl Strategy<Value = Vec<Reading>> {
    let one = prop_oneof![
        Just(Reading::Passed),
        Just(Reading::Failed),
        Just(Reading::NotRun),
        any::<i64>().prop_map(Reading::Value)
    ];
    proptest::collection::vec(one, 0..60)
}

proptest! {
    /// Whatever comes: down needs `fall` results against it since it was up, and up needs `rise` for it.
    #[test]
    fn no_verdict_comes_early(runs in readings(), fall in 1..5u32, rise in 1..5u32, error_fails: bool) {
        let rule = Rule { fall, rise, error_fails, ..rule() };
        let mut judge = Judge::new(rule, at(0));
        let (mut row, mut bad) = (0, false);
        for (i, reading) in runs.into_iter().enumerate() {
            let fails = match reading {
                Reading::Passed | Reading::Value(0) => Some(false),
                Reading::NotRun if !error_fails => None,
                _ => Some(true),
            };
            if let Some(fails) = fails {
                row = if fails == bad { row + 1 } else { 1 };
                bad = fails;
            }
            let before = judge.state();
            judge.record(at(i as u64), reading);
            if judge.state() != before {
                let needed = if judge.state() == CheckState::Down { fall } else { rise };
                prop_assert!(row >= needed);
            } else if fails.is_some() && row >= if bad { fall } else { rise } {
                prop_assert_eq!(judge.state(), if bad { CheckState::Down } else { CheckState::Up });
            }
        }
    }

    /// No sum of weights leaves the range that a priority can be moved by.
    #[test]
    fn weights_stay_in_range(all in proptest::collection::vec((-253..=253i16, readings()), 0..20)) {
        let judges: Vec<Judge> = all.into_iter().map(|(weight, runs)| {
            let weight = Some(weight).filter(|w| *w != 0);
            let mut judge = Judge::new(Rule { fall: 1, rise: 1, weight, ..rule() }, at(0));
            for reading in runs {
                judge.record(at(1), reading);
            }
            judge
        }).collect();
        prop_assert!(combine(&judges).weight.abs() <= MOST_WEIGHT);
    }
}
