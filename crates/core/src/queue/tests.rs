use super::*;
use std::collections::BTreeSet;

const START: Instant = Instant::from_millis(1_000_000);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn id(n: usize) -> HavipId {
    format!("havip-{n}").parse().expect("an id")
}

/// A queue whose items are numbers, and the time.
struct Bench {
    queue: Queue<usize>,
    now: Instant,
}

impl Bench {
    fn new(ceiling: Option<f64>) -> Self {
        Self { queue: Queue::new(ceiling, START), now: START }
    }

    fn push(&mut self, class: CallClass, subject: Subject, within: Duration, item: usize) -> Ticket {
        self.queue.push(self.now, Wanted { class, subject, start_by: self.now + within }, item)
    }

    fn other(&mut self, class: CallClass, within: Duration, item: usize) {
        self.push(class, Subject::Other, within, item);
    }

    fn read(&mut self, class: CallClass, n: usize) {
        self.push(class, Subject::Havip(id(n)), ms(1500), n);
    }

    fn attach(&mut self, n: usize, within: Duration) {
        self.push(CallClass::Claim, Subject::Write(id(n), WriteKind::Attach), within, n);
    }

    /// Everything that can be decided now.
    fn decide(&mut self) -> Vec<Decision<usize>> {
        std::iter::from_fn(|| self.queue.next(self.now)).collect()
    }

    /// The items of the calls that start now.
    fn starts(&mut self) -> Vec<(CallId, Vec<usize>)> {
        let started = |d| if let Decision::Start { call, items, .. } = d { Some((call, items)) } else { None };
        self.decide().into_iter().filter_map(started).collect()
    }

    fn end(&mut self, calls: &[(CallId, Vec<usize>)], ended: Ended) {
        calls.iter().for_each(|(call, _)| self.queue.ended(self.now, *call, ended));
    }
}

#[test]
fn what_must_stop_goes_before_what_may_start_and_then_the_earliest_moment() {
    let mut bench = Bench::new(Some(1.0));
    // The ceiling's one call is taken: the others wait.
    bench.other(CallClass::Background, ms(5000), 0);
    assert_eq!(bench.starts().len(), 1);
    bench.other(CallClass::Background, ms(30_000), 1);
    bench.other(CallClass::Standby, ms(40_000), 2);
    bench.other(CallClass::Standby, ms(20_000), 3);
    bench.other(CallClass::Holding, ms(50_000), 4);
    let mut order = vec![];
    for _ in 0..4 {
        bench.now += ms(1001);
        let started = bench.starts();
        bench.end(&started, Ended::Answered);
        order.extend(started.into_iter().flat_map(|(_, items)| items));
    }
    assert_eq!(order, [4, 3, 2, 1]);
}

#[test]
fn a_call_that_cannot_start_in_time_is_refused_at_once_and_takes_nothing() {
    let mut bench = Bench::new(Some(0.5));
    bench.other(CallClass::Background, ms(100), 0);
    assert_eq!(bench.starts().len(), 1);
    bench.other(CallClass::Background, ms(1000), 1);
    assert_eq!(bench.decide(), [Decision::Refuse(1, NotSent::Ceiling(0.5))]);
    // Nothing was taken for it: two seconds later there is one.
    bench.now += ms(2001);
    bench.other(CallClass::Background, ms(1000), 2);
    assert_eq!(bench.starts().len(), 1);
}

#[test]
fn claims_wait_for_no_ceiling() {
    let mut bench = Bench::new(Some(0.1));
    (0..12).for_each(|n| bench.attach(n, ms(300)));
    assert_eq!(bench.starts().len(), 12);
}

#[test]
fn reads_of_one_vpc_share_the_next_call_whatever_their_class() {
    let mut bench = Bench::new(None);
    (0..40).for_each(|n| bench.read(if n % 2 == 0 { CallClass::Holding } else { CallClass::Background }, n));
    let started = bench.starts();
    assert_eq!(started.len(), 1);
    assert_eq!(started[0].1.len(), 40);
}

#[test]
fn reads_in_two_vpcs_take_two_calls_that_name_them() {
    let mut bench = Bench::new(None);
    (0..6).for_each(|n| bench.queue.learn(&id(n), if n < 3 { "vpc-1" } else { "vpc-2" }));
    (0..6).for_each(|n| bench.read(CallClass::Standby, n));
    let vpcs = |d: &Decision<usize>| match d {
        Decision::Start { vpc, items, .. } => (vpc.clone(), items.clone()),
        Decision::Refuse(..) => (None, vec![]),
    };
    let decided: Vec<_> = bench.decide().iter().map(vpcs).collect();
    assert_eq!(decided, [(Some("vpc-1".into()), vec![0, 1, 2]), (Some("vpc-2".into()), vec![3, 4, 5])]);
}

#[test]
fn a_read_joins_no_call_that_has_begun() {
    let mut bench = Bench::new(None);
    bench.read(CallClass::Claim, 0);
    assert_eq!(bench.starts().len(), 1);
    bench.read(CallClass::Claim, 1);
    let second = bench.starts();
    assert_eq!(second.len(), 1, "it has a call of its own");
    // Two are under way: the next ones wait for an end, and then go together.
    (2..5).for_each(|n| bench.read(CallClass::Claim, n));
    assert_eq!(bench.starts(), []);
    bench.end(&second, Ended::Answered);
    assert_eq!(bench.starts()[0].1, [2, 3, 4]);
}

#[test]
fn a_read_that_hangs_holds_up_the_next_one_for_half_a_second_only() {
    let mut bench = Bench::new(None);
    for n in 0..2 {
        bench.read(CallClass::Claim, n);
        assert_eq!(bench.starts().len(), 1);
    }
    bench.read(CallClass::Claim, 2);
    assert_eq!(bench.starts(), []);
    bench.now = bench.queue.wake_at(bench.now).expect("something waits");
    assert_eq!(bench.starts().len(), 1);
}

#[test]
fn a_claim_that_waits_keeps_its_turn_however_often_its_leadership_runs_out() {
    let mut bench = Bench::new(None);
    // The cloud pushes back until one call a second is all there is.
    for _ in 0..12 {
        bench.other(CallClass::Claim, ms(10), 99);
        let started = bench.starts();
        bench.now += ms(1);
        bench.end(&started, Ended::PushedBack);
        bench.now += ms(10);
    }
    let mut served = BTreeSet::new();
    let mut waits: Vec<usize> = (0..6).collect();
    for _ in 0..400 {
        // Each asks again as soon as it is refused, the last one first: the order of asking must not matter.
        for n in waits.drain(..).rev() {
            bench.attach(n, ms(60));
        }
        for step in [30, 30, 1] {
            bench.now += ms(step);
            for decision in bench.decide() {
                match decision {
                    Decision::Start { call, items, .. } => {
                        // A caller that had its turn wants the next one, too.
                        waits.extend(items.iter().filter(|n| **n < 6));
                        served.extend(items.into_iter().filter(|n| *n < 6));
                        bench.queue.ended(bench.now, call, Ended::PushedBack);
                    }
                    Decision::Refuse(n, _) => waits.push(n),
                }
            }
        }
        waits.sort_unstable();
    }
    assert_eq!(served, (0..6).collect(), "each had its turn");
}

#[test]
fn a_claim_that_has_begun_is_finished_before_the_next_one_begins() {
    let mut bench = Bench::new(None);
    (0..32).for_each(|n| bench.attach(n, ms(5000)));
    let first = bench.starts();
    let begun = first.len();
    assert!((4..32).contains(&begun), "{begun}");
    // The first one's read comes after all the others asked.
    bench.read(CallClass::Claim, 0);
    bench.end(&first[..1], Ended::Answered);
    assert_eq!(bench.starts()[0].1, [0]);
    assert_eq!(bench.queue.waiting(), 32 - begun);
}

#[test]
fn refusals_halve_the_rate_and_it_recovers_by_itself() {
    let made_in_a_second = |bench: &mut Bench, ended: Ended| {
        let mut made = 0;
        for _ in 0..100 {
            bench.other(CallClass::Standby, ms(5), 0);
            let started = bench.starts();
            made += started.len();
            bench.now += ms(10);
            bench.end(&started, ended);
        }
        made
    };
    let mut bench = Bench::new(None);
    assert_eq!(made_in_a_second(&mut bench, Ended::Answered), 100, "nothing bounds it before a refusal");
    let pushed = made_in_a_second(&mut bench, Ended::PushedBack);
    assert!(pushed < 80, "{pushed}");
    let least = (0..6).map(|_| made_in_a_second(&mut bench, Ended::PushedBack)).last().expect("made");
    assert!((1..=4).contains(&least), "{least}");
    let after: Vec<usize> = (0..40).map(|_| made_in_a_second(&mut bench, Ended::Answered)).collect();
    assert!(after[3] > least && after[3] < 40, "{after:?}");
    assert_eq!(after[39], 100, "{after:?}");
}

#[test]
fn a_claim_goes_at_once_when_the_cloud_has_just_pushed_back() {
    let mut bench = Bench::new(None);
    for _ in 0..5 {
        bench.other(CallClass::Background, ms(10), 0);
        let started = bench.starts();
        bench.now += ms(20);
        bench.end(&started, Ended::PushedBack);
    }
    bench.attach(1, ms(300));
    assert_eq!(bench.starts().len(), 1);
}

#[test]
fn calls_that_hang_leave_places_for_claims_and_for_the_holder() {
    let mut bench = Bench::new(None);
    (0..20).for_each(|n| bench.other(CallClass::Background, ms(5000), n));
    let hang = bench.starts().len();
    (0..20).for_each(|n| bench.other(CallClass::Standby, ms(5000), n));
    let more = bench.starts().len();
    (0..20).for_each(|n| bench.attach(n, ms(5000)));
    let claims = bench.starts().len();
    bench.read(CallClass::Holding, 30);
    assert_eq!(bench.starts().len(), 1);
    assert!(hang <= 4 && hang + more <= 8 && claims >= 8, "{hang} {more} {claims}");
}

#[test]
fn a_caller_that_asks_again_when_told_never_spins_and_the_queue_stays_bounded() {
    let mut bench = Bench::new(Some(2.0));
    let mut rng = fastrand::Rng::with_seed(7);
    let classes = [CallClass::Holding, CallClass::Claim, CallClass::Standby, CallClass::Background];
    let mut under_way = vec![];
    for n in 0..5_000 {
        let class = classes[rng.usize(0..4)];
        let subject = if rng.bool() { Subject::Havip(id(rng.usize(0..5))) } else { Subject::Other };
        bench.push(class, subject, ms(rng.u64(1..2_000)), n);
        under_way.extend(bench.starts());
        if rng.u32(0..3) == 0
            && let Some(call) = under_way.pop()
        {
            let ended = [Ended::Answered, Ended::PushedBack, Ended::Unanswered, Ended::Unused][rng.usize(0..4)];
            bench.end(&[call], ended);
            under_way.extend(bench.starts());
        }
        let wake = bench.queue.wake_at(bench.now);
        if let Some(at) = wake {
            assert!(at > bench.now, "it would spin");
            bench.now = if rng.bool() { at } else { bench.now };
            under_way.extend(bench.starts());
        }
    }
    assert!(bench.queue.waiting() < 200);
}
