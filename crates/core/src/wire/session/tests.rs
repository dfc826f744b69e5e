//! The rules of election.md §1 and §2 that concern sessions, a case each.

use super::*;
use crate::model::digest::Digest;
use crate::model::tag::Tag;

const US: BootId = BootId([1; 16]);
const THEM: BootId = BootId([2; 16]);
const THEM_AGAIN: BootId = BootId([3; 16]);
const INTERVAL: Duration = Duration::from_millis(100);
const MULTIPLIER: u32 = 5;

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Number `seq` of `boot`, which heard our number `echo` in our boot `US`; zero: nothing.
fn heard(boot: BootId, seq: u64, echo: u64) -> Heartbeat {
    let echo_boot = if echo == 0 { BootId::NONE } else { US };
    Heartbeat {
        newer: 0,
        key: KeyId(1),
        accepts: vec![KeyId(1)],
        path: 0,
        sender: Tag(2),
        receiver: Tag(1),
        boot,
        seq,
        echo: Echo { boot: echo_boot, seq: echo },
        interval: INTERVAL,
        uptime: ms(seq.saturating_mul(100)),
        digest: Digest::default(),
        leaving: Leaving::No,
        target: None,
        entries: Vec::new(),
    }
}

fn session() -> Session {
    Session::new(at(0), US, MULTIPLIER, INTERVAL)
}

/// Up since 1000 ms, with `THEM` at number 10; our number 2 was sent at 990 ms.
fn established() -> Session {
    let mut s = session();
    s.record_sent(at(970), 1);
    assert_eq!(s.receive(at(980), 0, &heard(THEM, 9, 0)), Verdict::Candidate);
    s.record_sent(at(990), 2);
    assert_eq!(s.receive(at(1000), 0, &heard(THEM, 10, 2)), Verdict::Counts { proven: true });
    assert_eq!(s.state(at(1000)), SessionState::Up);
    s
}

const COUNTS: Verdict = Verdict::Counts { proven: false };
const PROVEN: Verdict = Verdict::Counts { proven: true };

fn dropped(reason: Reason) -> Verdict {
    Verdict::Dropped(reason)
}

#[test]
fn a_boot_is_established_by_echoing_what_was_sent_after_hearing_of_it() {
    let mut s = session();
    assert_eq!((s.state(at(0)), s.echo(at(0))), (SessionState::Unproven, Echo::default()));
    s.record_sent(at(10), 1);
    // It heard our first datagram, but anybody could have recorded that.
    assert_eq!(s.receive(at(20), 0, &heard(THEM, 1, 1)), Verdict::Candidate);
    assert_eq!((s.state(at(20)), s.peer_boot()), (SessionState::Unproven, None));
    assert_eq!(s.echo(at(20)), Echo { boot: THEM, seq: 1 });
    s.record_sent(at(20), 2);
    assert_eq!(s.receive(at(30), 0, &heard(THEM, 2, 2)), PROVEN);
    assert_eq!((s.state(at(30)), s.peer_boot()), (SessionState::Up, Some(THEM)));
    assert_eq!(s.last_echoed(), Some(at(20)));
    assert_eq!((s.stats().counted, s.stats().proven, s.stats().candidates), (1, 1, 1));
}

/// ⚠ Recordings of an earlier boot, made during this boot of ours, name our boot: they must not replace
/// the boot that is alive.
#[test]
fn recordings_of_an_earlier_boot_do_not_replace_the_one_that_is_alive() {
    let mut s = established();
    let recorded: Vec<_> = (11..40).map(|seq| heard(THEM, seq, 2)).collect();
    s.record_sent(at(1100), 3);
    assert_eq!(s.receive(at(1110), 0, &heard(THEM_AGAIN, 1, 0)), Verdict::Candidate);
    s.record_sent(at(1120), 4);
    assert_eq!(s.receive(at(1130), 0, &heard(THEM_AGAIN, 2, 4)), PROVEN);
    for (i, old) in recorded.iter().enumerate() {
        let now = at(1140 + i as u64 * 100);
        s.record_sent(now, 5 + i as u64);
        assert_eq!(s.receive(now, 0, &heard(THEM_AGAIN, 3 + i as u64, 5 + i as u64)), COUNTS);
        assert!(!matches!(s.receive(now, 0, old), Verdict::Counts { .. }));
        assert_eq!((s.peer_boot(), s.state(now)), (Some(THEM_AGAIN), SessionState::Up));
    }
}

/// ⚠ A datagram of a boot that died on trial, delivered after the next boot had proven itself.
#[test]
fn a_proof_that_comes_after_a_later_boot_has_proven_itself_is_void() {
    let mut s = established();
    assert_eq!(s.receive(at(1010), 0, &heard(THEM_AGAIN, 1, 0)), Verdict::Candidate);
    s.record_sent(at(1020), 3);
    let delayed = heard(THEM_AGAIN, 2, 3);
    let third = BootId([4; 16]);
    assert_eq!(s.receive(at(1030), 0, &heard(third, 1, 0)), Verdict::Candidate);
    s.record_sent(at(1040), 4);
    assert_eq!(s.receive(at(1050), 0, &heard(third, 2, 4)), PROVEN);
    assert_eq!(s.receive(at(1060), 0, &delayed), Verdict::Candidate);
    assert_eq!(s.peer_boot(), Some(third));
}

#[test]
fn a_restarted_peer_proves_itself_while_its_old_boot_still_counts_as_alive() {
    let mut s = established();
    let mut last = heard(THEM, 11, 2);
    last.leaving = Leaving::Restarting(Duration::from_secs(15));
    assert_eq!(s.receive(at(1010), 0, &last), COUNTS);
    assert_eq!((s.dead_time(), s.dead_at()), (Duration::from_secs(15), at(16_010)));
    assert_eq!(s.suspected_at(), Some(at(16_010 - 500 + 150)));
    assert_eq!(s.state(at(16_009)), SessionState::Up, "silent, but announced");
    assert_eq!(s.state(at(16_010)), SessionState::Down);
    assert_eq!(s.receive(at(3000), 0, &heard(THEM_AGAIN, 1, 0)), Verdict::Candidate);
    assert_eq!(s.echo(at(3000)).boot, THEM, "the established boot is named until another has proven itself");
    s.record_sent(at(3000), 3);
    assert_eq!(s.receive(at(3010), 0, &heard(THEM_AGAIN, 2, 3)), PROVEN);
    assert_eq!((s.dead_time(), s.state(at(3010))), (ms(500), SessionState::Up));
    assert_eq!(s.echo(at(3010)), Echo { boot: THEM_AGAIN, seq: 2 });
}

#[test]
fn a_number_counts_once_and_only_upwards() {
    let mut s = established();
    assert_eq!(s.receive(at(1010), 0, &heard(THEM, 10, 2)), dropped(Reason::Replayed));
    assert_eq!(s.receive(at(1020), 0, &heard(THEM, 12, 2)), COUNTS);
    assert_eq!(s.receive(at(1030), 0, &heard(THEM, 11, 2)), Verdict::Late);
    assert_eq!(s.receive(at(1040), 0, &heard(THEM, 11, 2)), dropped(Reason::Replayed));
    assert_eq!(s.last_heard(), Some(at(1020)));
    assert_eq!((s.stats().replayed, s.stats().overtaken), (2, 1));
}

#[test]
fn the_first_copy_counts_and_the_session_lives_while_any_path_does() {
    let mut s = established();
    let copy = |seq, path| Heartbeat { path, ..heard(THEM, seq, 2) };
    assert_eq!(s.receive(at(1100), 1, &copy(11, 1)), COUNTS);
    assert_eq!(s.receive(at(1101), 0, &copy(11, 0)), Verdict::Late);
    assert_eq!(s.receive(at(1102), 1, &copy(11, 0)), dropped(Reason::Replayed), "made for the other path");
    assert_eq!(s.receive(at(1200), 1, &copy(13, 1)), COUNTS);
    assert_eq!(s.state(at(1250)), SessionState::Up);
    let paths: Vec<_> = s.stats().paths.iter().map(|p| (p.received, p.lost, p.age(at(1300)))).collect();
    assert_eq!(paths, [(2, 0, Some(ms(199))), (2, 1, Some(ms(100)))]);
}

/// It has not heard this one for so long that it forgot it, or it took a delayed datagram for the proof of an earlier one.
#[test]
fn a_boot_that_proved_itself_is_alive_whomever_it_names() {
    let mut s = established();
    let names = |boot, seq| Heartbeat { echo: Echo { boot, seq: 70 }, ..heard(THEM, seq, 2) };
    assert_eq!(s.receive(at(1400), 0, &names(BootId([9; 16]), 11)), COUNTS);
    assert_eq!(s.receive(at(1800), 0, &names(BootId::NONE, 12)), COUNTS);
    assert_eq!((s.last_heard(), s.state(at(1900))), (Some(at(1800)), SessionState::OneWay), "it does not hear us");
    assert_eq!(s.receive(at(1850), 0, &names(BootId([9; 16]), 12)), dropped(Reason::Replayed));
    assert_eq!(s.state(at(2300)), SessionState::Down);
}

#[test]
fn a_new_boot_proves_itself_by_an_echo_of_this_boot_alone() {
    let mut s = established();
    let names = |boot| Heartbeat { echo: Echo { boot, seq: 70 }, ..heard(THEM_AGAIN, 1, 2) };
    assert_eq!(s.receive(at(1010), 0, &names(BootId([9; 16]))), Verdict::Candidate);
    assert_eq!(s.peer_boot(), Some(THEM));
}

#[test]
fn silence_is_suspicious_after_one_and_a_half_intervals_and_dead_after_the_multiplier() {
    let s = established();
    assert_eq!((s.dead_time(), s.dead_at()), (ms(500), at(1500)));
    assert_eq!(s.suspected_at(), Some(at(1150)));
    assert_eq!(s.next_deadline(at(1000)), at(1150));
    assert_eq!(s.next_deadline(at(1150)), at(1500));
    assert_eq!(s.state(at(1499)), SessionState::Up);
    assert_eq!(s.state(at(1500)), SessionState::Down);
    assert_eq!(s.next_deadline(at(1500)), Instant::FAR_FUTURE);
}

#[test]
fn the_dead_time_follows_the_peers_interval_and_our_multiplier() {
    let mut s = established();
    let slower = Heartbeat { interval: ms(300), ..heard(THEM, 11, 2) };
    assert_eq!(s.receive(at(1010), 0, &slower), COUNTS);
    assert_eq!((s.dead_time(), s.peer_interval()), (ms(1500), ms(300)));
    s.set_multiplier(3);
    assert_eq!((s.dead_time(), s.dead_at()), (ms(900), at(1910)));
    assert_eq!(session().dead_time(), ms(500), "before it is proven: ours");
}

#[test]
fn a_peer_that_does_not_hear_us_is_one_way_and_never_dead() {
    let mut s = established();
    for i in 1..100 {
        let now = at(1000 + i * 100);
        s.record_sent(now, 2 + i);
        assert_eq!(s.receive(now, 0, &heard(THEM, 10 + i, 2)), COUNTS);
        let expected = if i < 5 { SessionState::Up } else { SessionState::OneWay };
        assert_eq!(s.state(now), expected, "{i}");
    }
    assert_eq!(s.receive(at(11_000), 0, &heard(THEM, 200, 100)), COUNTS);
    assert_eq!(s.state(at(11_000)), SessionState::Up);
}

/// While a peer that hears us is silent to us, recordings of its old boots must not make us stop naming
/// its boot: it would take us for deaf and dead.
#[test]
fn recordings_do_not_take_the_echo_from_a_silent_peer() {
    let mut s = established();
    for i in 0..50 {
        let now = at(2000 + u64::from(i) * 30);
        let _ = s.receive(now, 0, &heard(BootId([100 + i; 16]), 7, 1));
        assert_eq!(s.echo(now), Echo { boot: THEM, seq: 10 });
        s.record_sent(now, 3 + u64::from(i));
    }
    assert_eq!(s.state(at(3500)), SessionState::Down);
    assert_eq!(s.receive(at(3500), 0, &heard(THEM, 11, 52)), COUNTS, "no new proof is asked of the same boot");
    assert_eq!(s.state(at(3500)), SessionState::Up);
}

#[test]
fn candidates_are_named_in_turn_so_that_recordings_cannot_starve_the_real_one() {
    let mut s = session();
    let mut named = Vec::new();
    for turn in 1..=8_u64 {
        let now = at(turn * 100);
        for old in 0..6 {
            let _ = s.receive(now, 0, &heard(BootId([50 + old; 16]), turn, 0));
        }
        let _ = s.receive(now, 0, &heard(THEM, turn, 0));
        named.push(s.echo(now + ms(1)).boot);
        s.record_sent(now + ms(1), turn * 2);
        named.push(s.echo(now + ms(50)).boot);
        s.record_sent(now + ms(50), turn * 2 + 1);
    }
    assert!(named.contains(&THEM), "{named:?}");
}

/// A peer that echoes a number sent a moment ago keeps its place, however many recordings pass by.
#[test]
fn a_candidate_that_is_not_a_recording_keeps_its_place() {
    let mut s = session();
    s.record_sent(at(100), 1);
    assert_eq!(s.receive(at(110), 0, &heard(THEM, 1, 1)), Verdict::Candidate);
    for old in 0..200 {
        let _ = s.receive(at(120), 0, &heard(BootId([50 + old; 16]), 7, 0));
    }
    s.record_sent(at(130), 2);
    assert_eq!(s.receive(at(140), 0, &heard(THEM, 2, 2)), PROVEN);
}

#[test]
fn recordings_make_us_answer_a_few_times_an_interval_only() {
    let mut s = established();
    let answered = |s: &mut Session, now| {
        let verdicts = (0..100).map(|i| s.receive(now, 0, &heard(BootId([50 + i; 16]), now.as_millis(), 0)));
        verdicts.filter(|v| *v == Verdict::Candidate).count()
    };
    assert_eq!(answered(&mut s, at(2000)), 4);
    assert_eq!(answered(&mut s, at(2050)), 0);
    assert_eq!(answered(&mut s, at(2100)), 4);
}

#[test]
fn the_answer_to_a_restarted_peer_uses_a_key_that_it_accepts() {
    let mut s = established();
    assert_eq!(s.peer_accepts(), [KeyId(1)]);
    let other_keys = Heartbeat { accepts: vec![KeyId(2)], ..heard(THEM_AGAIN, 1, 0) };
    assert_eq!(s.receive(at(1010), 0, &other_keys), Verdict::Candidate);
    assert_eq!(s.peer_accepts(), [KeyId(2)]);
    s.record_sent(at(1010), 3);
    assert_eq!(s.peer_accepts(), [KeyId(1)]);
    assert_eq!(session().peer_accepts(), []);
}

#[test]
fn an_echo_of_a_number_never_sent_is_told_and_changes_nothing() {
    let mut s = established();
    assert_eq!(s.receive(at(1010), 0, &heard(THEM, 11, 3)), dropped(Reason::ImpossibleEcho));
    assert_eq!(s.receive(at(1010), 0, &heard(THEM_AGAIN, 1, 3)), dropped(Reason::ImpossibleEcho));
    assert_eq!((s.last_heard(), s.stats().impossible_echo), (Some(at(1000)), 2));
    let again = BootId([7; 16]);
    s.rebooted(at(1020), again);
    assert_eq!((s.state(at(1020)), s.peer_boot(), s.last_echoed()), (SessionState::Unproven, None, None));
    assert_eq!(s.receive(at(1030), 0, &heard(THEM, 12, 3)), Verdict::Candidate, "it still names the boot before");
    s.record_sent(at(1040), 3);
    let proof = Heartbeat { echo: Echo { boot: again, seq: 3 }, ..heard(THEM, 13, 0) };
    assert_eq!(s.receive(at(1050), 0, &proof), PROVEN);
}

#[test]
fn a_last_datagram_ends_the_session_at_once_and_only_another_boot_begins_it_again() {
    let mut s = established();
    let last = Heartbeat { leaving: Leaving::Gone, ..heard(THEM, u64::MAX, 2) };
    assert_eq!(s.receive(at(1010), 0, &last), COUNTS);
    assert_eq!((s.state(at(1010)), s.leaving()), (SessionState::Down, Leaving::Gone));
    assert_eq!((s.suspected_at(), s.next_deadline(at(1010))), (None, Instant::FAR_FUTURE));
    assert_eq!(s.receive(at(1020), 0, &heard(THEM, 11, 2)), Verdict::Late);
    assert_eq!(s.state(at(1020)), SessionState::Down);
    assert!(s.stats().paths[0].lost < 10, "the number of a last datagram is no measure of loss");
    assert_eq!(s.receive(at(1030), 0, &heard(THEM_AGAIN, 1, 2)), Verdict::Candidate);
    s.record_sent(at(1030), 3);
    assert_eq!(s.receive(at(1040), 0, &heard(THEM_AGAIN, 2, 3)), PROVEN);
    assert_eq!(s.state(at(1040)), SessionState::Up);
}

/// ⚠ After this host was away, silence and missing echoes count from its return.
#[test]
fn silence_counts_from_our_return_for_those_who_were_alive() {
    let mut s = established();
    assert_eq!(s.state(at(9000)), SessionState::Down);
    s.silence_restarts(at(9000));
    assert_eq!((s.state(at(9000)), s.dead_at()), (SessionState::Up, at(9500)));
    assert_eq!(s.last_heard(), Some(at(1000)), "what was heard stays what it was");
    assert_eq!(s.state(at(9500)), SessionState::Down);
    s.record_sent(at(9600), 3);
    s.silence_restarts(at(20_000));
    assert_eq!(s.state(at(20_000)), SessionState::Down, "dead before we left");
}

/// What was read late is no newer for that.
#[test]
fn silence_counts_from_the_arrival() {
    let mut s = established();
    assert_eq!(s.receive(at(1100), 0, &heard(THEM, 11, 2)), COUNTS);
    assert_eq!((s.last_heard(), s.dead_at()), (Some(at(1100)), at(1600)));
    s.silence_restarts(at(9000));
    assert_eq!(s.receive(at(1200), 0, &heard(THEM, 12, 2)), COUNTS);
    assert_eq!((s.last_heard(), s.dead_at()), (Some(at(1200)), at(9500)), "we only listen since");
}

/// Once in a silence; what is heard begins another one.
#[test]
fn a_silence_is_heard_out_once() {
    let mut s = established();
    s.hear_out(at(1010), at(1050));
    assert_eq!(s.dead_at(), at(1500), "there is time enough for its next datagram");
    s.hear_out(at(1300), at(1480));
    assert_eq!(s.dead_at(), at(1630));
    s.hear_out(at(1490), at(1620));
    assert_eq!(s.dead_at(), at(1630));
    assert_eq!(s.receive(at(1625), 0, &heard(THEM, 11, 2)), COUNTS);
    s.hear_out(at(1700), at(2100));
    assert_eq!(s.dead_at(), at(2250));
}

/// The peer proved itself to us and then took a delayed datagram for the proof of an earlier boot of ours.
/// It names that boot until we prove ourselves, which takes an echo of what it sends meanwhile.
#[test]
fn datagrams_that_name_an_earlier_boot_are_echoed_too() {
    let mut s = established();
    let names_old = Heartbeat { echo: Echo { boot: BootId([9; 16]), seq: 70 }, ..heard(THEM, 15, 2) };
    assert_eq!(s.receive(at(1100), 0, &names_old), COUNTS);
    assert_eq!(s.echo(at(1100)), Echo { boot: THEM, seq: 15 });
    assert_eq!(s.receive(at(1110), 0, &heard(THEM, 14, 2)), Verdict::Late);
    assert_eq!(s.echo(at(1110)), Echo { boot: THEM, seq: 15 });
}
