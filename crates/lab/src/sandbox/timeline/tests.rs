use super::*;

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

fn transition(ms: u64, node: &str, to: &str, epoch: u64, cause: &str, steps: &[(u64, &str)]) -> Transition {
    Transition {
        at: at(ms),
        node: node.to_owned(),
        to: to.to_owned(),
        epoch,
        cause: cause.to_owned(),
        detail: String::new(),
        peer: None,
        steps: steps.iter().map(|(ms, text)| (at(*ms), (*text).to_owned())).collect(),
    }
}

fn started() -> Story {
    let mut story = Story::default();
    story.act(at(1000), "start".to_owned());
    assert_eq!(story.transition(&transition(1500, "a", "claiming", 1, "no-active", &[]), None), None);
    assert_eq!(story.packets(at(1510), Some("a")), None);
    let first = story.transition(&transition(1520, "a", "active", 1, "confirmed", &[]), None).unwrap();
    assert_eq!((first.from.as_deref(), first.to.as_str(), first.total_ms), (None, "a", 520.0));
    story
}

#[test]
fn a_crash_is_told_from_the_last_heartbeat_to_the_packets() {
    let mut story = started();
    story.act(at(2000), "b is killed (SIGKILL)".to_owned());
    story.act(at(5000), "a is killed (SIGKILL)".to_owned());
    story.gone(at(5002), "a", "signal 9");
    story.look(at(5150), "b");
    story.look(at(5650), "b");
    let claiming = [(6000, "claiming (peer-dead)")];
    story.transition(&transition(6000, "b", "claiming", 2, "peer-dead", &claiming), Some(at(4960)));
    story.write(at(6003), "b", "attach i-b", "200");
    assert_eq!(story.packets(at(6003), Some("b")), None);
    let steps = [(6000, "claiming (peer-dead)"), (6005, "write answered"), (6008, "read back: holder i-b")];
    let told = story.transition(&transition(6008, "b", "active", 2, "confirmed", &steps), None).unwrap();
    let expected = "move 1: a -> b, 1008.0 ms (peer-dead, epoch 2)
     -40.0 ms  last heartbeat of a reaches b
       0.0 ms  a is killed (SIGKILL)
       2.0 ms  a has ended: signal 9
     150.0 ms  b asks the cloud who has the HAVIP
    1000.0 ms  b claiming (peer-dead)
    1003.0 ms  b: attach i-b reaches the cloud: 200
    1003.0 ms  packets go to b
    1005.0 ms  b: write answered
    1008.0 ms  b: read back: holder i-b
    1008.0 ms  b active (confirmed)";
    assert_eq!(told.to_string(), expected);
    assert_eq!(story.packet_moves(), 1);
    assert_eq!(story.previous(Some("b")), Some("a"));
    assert_eq!(story.previous(None), Some("b"));
}

#[test]
fn a_move_ends_when_packets_arrive_if_they_come_last() {
    let mut story = started();
    story.act(at(3000), "switchover".to_owned());
    story.transition(&transition(3001, "a", "releasing", 1, "switchover", &[]), None);
    story.transition(&transition(3010, "b", "claiming", 2, "handed-over", &[]), Some(at(3005)));
    assert_eq!(story.transition(&transition(3020, "b", "active", 2, "confirmed", &[]), None), None);
    story.transition(&transition(3021, "a", "backup", 2, "handover-complete", &[]), None);
    let told = story.packets(at(3500), Some("b")).unwrap();
    assert_eq!(told.title(), "move 1: a -> b, 500.0 ms (handed-over, epoch 2)");
    assert_eq!(told.steps.iter().filter(|s| s.text.contains("SIGKILL")).count(), 0);
    assert_eq!(story.packets(at(3600), Some("b")), None);
}

#[test]
fn the_first_of_several_claims_counts() {
    let mut story = started();
    story.act(at(4000), "kill".to_owned());
    story.transition(&transition(5000, "b", "claiming", 2, "peer-dead", &[]), None);
    story.transition(&transition(6000, "b", "backup", 2, "claim-timed-out", &[]), None);
    story.act(at(6500), "the API works again".to_owned());
    story.transition(&transition(7000, "c", "claiming", 3, "rank-passed", &[]), None);
    story.packets(at(7001), Some("c"));
    let told = story.transition(&transition(7002, "c", "active", 3, "confirmed", &[]), None).unwrap();
    assert_eq!(told.title(), "move 1: a -> c, 3002.0 ms (rank-passed, epoch 3)");
}

#[test]
fn a_long_story_keeps_both_ends() {
    let mut story = started();
    story.act(at(4000), "kill".to_owned());
    story.transition(&transition(5000, "b", "claiming", 2, "peer-dead", &[]), None);
    (0..2000).for_each(|i| story.write(at(5001 + i), "b", "attach", "500"));
    story.packets(at(9000), Some("b"));
    let told = story.transition(&transition(9001, "b", "active", 2, "confirmed", &[]), None).unwrap();
    assert_eq!(told.steps.len(), STEPS_MAX + 1);
    assert_eq!(told.steps.last().map(|s| s.text.as_str()), Some("b active (confirmed)"));
}

#[test]
fn causes_come_before_effects_of_the_same_moment() {
    let mut story = started();
    story.act(at(4000), "kill".to_owned());
    story.transition(&transition(4990, "b", "claiming", 2, "peer-dead", &[]), None);
    story.write(at(5000), "b", "attach of b", "200");
    story.packets(at(5000), Some("b"));
    let steps = [
        (5000, "epoch 2 begins"),
        (5000, "attach of i-b queued"),
        (5000, "attach of i-b sent"),
        (5000, "write answered"),
    ];
    let told = story.transition(&transition(5001, "b", "active", 2, "confirmed", &steps), None).unwrap();
    let order: Vec<&str> = told.steps.iter().map(|s| s.text.as_str()).collect();
    let expected = [
        "kill",
        "b claiming (peer-dead)",
        "b: epoch 2 begins",
        "b: attach of i-b queued",
        "b: attach of i-b sent",
        "b: attach of b reaches the cloud: 200",
        "packets go to b",
        "b: write answered",
        "b active (confirmed)",
    ];
    assert_eq!(order, expected);

    // Half a millisecond of rounding; what is further apart stays as it was dated.
    let mut moments: Vec<Moment> =
        [(10_000, "b: attach of b reaches the cloud: 200"), (10_400, "b: attach of i-b sent")]
            .map(|(micros, text)| Moment {
                at: Instant::default() + Duration::from_micros(micros),
                what: What::Other,
                text: text.to_owned(),
            })
            .into();
    in_order(&mut moments);
    assert!(moments[0].text.ends_with("sent") && moments[0].at == moments[1].at, "{moments:?}");
    moments.rotate_left(1);
    moments[1].at = moments[0].at + SAME;
    in_order(&mut moments);
    assert!(moments[0].text.ends_with("200"), "{moments:?}");
}
