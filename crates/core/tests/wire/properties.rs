//! Properties of the wire format, for all values and for any bytes.

use havipd_core::health::{CheckNote, CheckNotes};
use havipd_core::model::digest::Digest;
use havipd_core::model::ids::{BootId, ClusterName, Epoch, KeyId, Target};
use havipd_core::model::maintenance;
use havipd_core::model::role::Role;
use havipd_core::model::secret::Secret;
use havipd_core::model::settings::{CheckState, HeartbeatKey};
use havipd_core::model::tag::Tag;
use havipd_core::wire::auth::KeyRing;
use havipd_core::wire::heartbeat::{
    EncodeError, MAX_BODY, MAX_DATAGRAM, MAX_ENTRIES, MAX_PARTS, decode, encode, encode_forwarded, encode_probe,
    entries_that_fit,
};
use havipd_core::wire::{Datagram, Echo, Entry, Flags, Forwarded, Grant, Heartbeat, Leaving, Probe};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use std::sync::Arc;
use std::time::Duration;

fn ring() -> KeyRing {
    let key = |id: u8| HeartbeatKey { id: KeyId(id), secret: Secret::new(vec![id; 32]) };
    KeyRing::new(&[key(1), key(2), key(255)], KeyId(2))
}

fn cluster() -> ClusterName {
    "prod-web".parse().expect("a name")
}

fn tag() -> impl Strategy<Value = Tag> {
    any::<u64>().prop_map(Tag)
}

fn boot() -> impl Strategy<Value = BootId> {
    (any::<[u8; 16]>()).prop_filter("a boot", |b| *b != [0; 16]).prop_map(BootId)
}

fn micros() -> impl Strategy<Value = Duration> {
    any::<u32>().prop_map(|us| Duration::from_micros(us.into()))
}

fn entry() -> impl Strategy<Value = Entry> {
    let role = prop::sample::select(vec![Role::Backup, Role::Claiming, Role::Active, Role::Releasing, Role::Fault]);
    let epoch = || prop_oneof![0..=Epoch::LAST.0, Just(Epoch::LAST.0)];
    let grant = (tag(), boot(), epoch(), any::<u64>()).prop_map(|(node, boot, epoch, seq)| Grant {
        node,
        boot,
        epoch: Epoch(epoch),
        seq,
    });
    let head = (tag(), role, any::<u16>(), any::<u8>(), any::<i16>());
    let tail = (
        epoch(),
        epoch(),
        option::of(tag()),
        option::of(micros()),
        option::of(grant),
        prop_oneof![Just(0), 0..=maintenance::LAST, Just(maintenance::LAST)],
        option::of(checks()),
    );
    (head, tail).prop_map(
        |((group, role, flags, priority, effective), (epoch, seen, successor, ask, grant, maintenance, checks))| {
            Entry {
                group,
                role,
                flags: Flags(flags),
                priority,
                effective,
                epoch: Epoch(epoch),
                seen: Epoch(seen),
                successor,
                lease_request: ask,
                grant,
                maintenance,
                checks: checks.map(Arc::new),
            }
        },
    )
}

/// As many names as there is room for.
fn checks() -> impl Strategy<Value = CheckNotes> {
    let state = prop::sample::select(vec![CheckState::Up, CheckState::Down, CheckState::Unknown]);
    let note = ("[a-zA-Z0-9._-]{1,63}", state, any::<bool>(), any::<bool>()).prop_map(|(name, state, fault, flaps)| {
        let (fault, flapping) = (fault && state == CheckState::Down, flaps || state == CheckState::Up);
        CheckNote { name: name.parse().expect("a name"), state, fault, flapping }
    });
    (vec(note, 1..9), any::<u8>()).prop_map(|(notes, more)| CheckNotes {
        named: CheckNotes::of(&notes).expect("one has room").named.clone(),
        more,
    })
}

fn target() -> impl Strategy<Value = Target> {
    ("(i|eni)-[A-Za-z0-9-]{1,64}").prop_map(|id| id.parse().expect("a target"))
}

fn heartbeat() -> impl Strategy<Value = Heartbeat> {
    let who = (1..=255_u8, vec(1..=255_u8, 1..=8), any::<u8>(), tag(), tag(), boot(), 1..=u64::MAX);
    let echo = option::of((boot(), 1..=u64::MAX))
        .prop_map(|echo| echo.map_or_else(Echo::default, |(boot, seq)| Echo { boot, seq }));
    let leaving = prop_oneof![Just(Leaving::No), micros().prop_map(Leaving::Restarting), Just(Leaving::Gone)];
    let what = (echo, 1..=u32::MAX, any::<u64>(), any::<[u8; 16]>(), leaving, option::of(target()));
    (who, what, vec(entry(), 0..12)).prop_map(
        |((newer, accepts, path, sender, receiver, boot, seq), (echo, us, ms, digest, leaving, target), entries)| {
            Heartbeat {
                newer: newer / 2,
                key: KeyId(1),
                accepts: accepts.into_iter().map(KeyId).collect(),
                path,
                sender,
                receiver,
                boot,
                seq,
                echo,
                interval: Duration::from_micros(us.into()),
                uptime: Duration::from_millis(ms),
                digest: Digest(digest),
                leaving,
                target,
                entries,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_encoded_is_what_is_decoded(hb in heartbeat(), key in prop::sample::select(vec![1, 2, 255])) {
        let hb = Heartbeat { key: KeyId(key), ..hb };
        let fits = entries_that_fit(hb.target.as_ref(), &hb.entries) == hb.entries.len();
        match encode(&hb, &ring(), &cluster()) {
            Ok(bytes) => {
                prop_assert!(fits && bytes.len() <= MAX_DATAGRAM);
                prop_assert_eq!(decode(&bytes, &ring(), &cluster()), Ok(Datagram::Heartbeat(hb)));
            }
            Err(EncodeError::TooLong(len)) => prop_assert!(!fits && len > MAX_DATAGRAM),
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn all_entries_go_out_in_as_many_datagrams_as_it_takes(hb in heartbeat(), entries in vec(entry(), 0..250)) {
        let mut rest = entries.as_slice();
        while !rest.is_empty() {
            let fit = entries_that_fit(hb.target.as_ref(), rest);
            prop_assert!((1..=MAX_ENTRIES).contains(&fit));
            let part = Heartbeat { entries: rest[..fit].to_vec(), ..hb.clone() };
            prop_assert!(encode(&part, &ring(), &cluster()).is_ok());
            if let Some(more) = rest.get(..fit + 1) {
                let too_much = Heartbeat { entries: more.to_vec(), ..hb.clone() };
                prop_assert!(encode(&too_much, &ring(), &cluster()).is_err(), "room was left unused");
            }
            rest = &rest[fit..];
        }
    }

    #[test]
    fn probes_survive_the_way(key in 1..=2_u8, a in tag(), b in tag(), c in tag(), nonce in any::<[u8; 16]>()) {
        prop_assume!(c != Tag::NONE);
        let answer = Probe { key: KeyId(key), sender: a, receiver: b, nonce, havip: b, node: c };
        let bytes = encode_probe(&answer, true, &ring(), &cluster()).expect("an answer");
        prop_assert_eq!(decode(&bytes, &ring(), &cluster()), Ok(Datagram::ProbeAnswer(answer)));
        let question = Probe { node: Tag::NONE, ..answer };
        let bytes = encode_probe(&question, false, &ring(), &cluster()).expect("a question");
        prop_assert_eq!(decode(&bytes, &ring(), &cluster()), Ok(Datagram::Probe(question)));
        prop_assert!(encode_probe(&answer, false, &ring(), &cluster()).is_err());
        prop_assert!(encode_probe(&question, true, &ring(), &cluster()).is_err());
    }

    #[test]
    fn forwarded_commands_and_answers_survive_the_way(
        who in (tag(), tag(), boot(), boot(), 1..=u64::MAX, 1..=u64::MAX),
        part in 0..MAX_PARTS,
        body in vec(any::<u8>(), 1..=MAX_BODY),
        len in prop::sample::select(vec![1, MAX_BODY]),
    ) {
        let (sender, receiver, boot, other, seq, id) = who;
        let echo = Echo { boot: other, seq };
        let body = if len == 1 { body } else { vec![7; MAX_BODY] };
        let command = Forwarded { key: KeyId(2), sender, receiver, boot, echo, id, part, parts: 0, body };
        let bytes = encode_forwarded(&command, false, &ring(), &cluster()).expect("a command");
        prop_assert!(bytes.len() <= MAX_DATAGRAM);
        prop_assert_eq!(decode(&bytes, &ring(), &cluster()), Ok(Datagram::Command(command.clone())));
        let answer = Forwarded { parts: MAX_PARTS, ..command.clone() };
        let bytes = encode_forwarded(&answer, true, &ring(), &cluster()).expect("an answer");
        prop_assert_eq!(decode(&bytes, &ring(), &cluster()), Ok(Datagram::Answer(answer.clone())));
        for cut in 24..bytes.len() - 32 {
            let sealed = [&bytes[..cut], &tag_of(&bytes[..cut])[..]].concat();
            prop_assert!(decode(&sealed, &ring(), &cluster()).is_err(), "cut to {}", cut);
        }
        prop_assert!(encode_forwarded(&answer, false, &ring(), &cluster()).is_err());
        prop_assert!(encode_forwarded(&command, true, &ring(), &cluster()).is_err());
        let long = Forwarded { body: vec![7; MAX_BODY + 1], ..command };
        prop_assert!(encode_forwarded(&long, false, &ring(), &cluster()).is_err());
    }

    #[test]
    fn another_cluster_or_key_refuses_it(hb in heartbeat()) {
        let hb = Heartbeat { entries: Vec::new(), ..hb };
        let bytes = encode(&hb, &ring(), &cluster()).expect("it fits");
        prop_assert!(decode(&bytes, &ring(), &"prod-db".parse().expect("a name")).is_err());
        let impostor = HeartbeatKey { id: KeyId(1), secret: Secret::new(vec![9; 32]) };
        prop_assert!(decode(&bytes, &KeyRing::new(&[impostor], KeyId(1)), &cluster()).is_err());
    }

    #[test]
    fn no_bytes_are_too_strange(bytes in vec(any::<u8>(), 0..1300)) {
        prop_assert!(decode(&bytes, &ring(), &cluster()).is_err());
    }

    /// Made by somebody who has the key: the body is read, and whatever is accepted has one encoding.
    #[test]
    fn no_sealed_bytes_are_too_strange(
        hb in heartbeat(),
        kind in 0..7_u8,
        edits in vec((24..700_usize, any::<u8>()), 0..4),
        cut in 0..40_usize,
    ) {
        let hb = Heartbeat { entries: hb.entries.into_iter().take(3).collect(), ..hb };
        let mut bytes = encode(&hb, &ring(), &cluster()).expect("three entries fit");
        bytes.truncate(bytes.len() - 32);
        if kind > 0 {
            bytes[5] = kind;
        }
        for (at, value) in edits {
            let at = at % bytes.len();
            if at >= 8 {
                bytes[at] = value;
            }
        }
        let len = bytes.len() - if cut < 30 { 0 } else { (cut - 30) * 8 };
        bytes.truncate(len);
        let sealed = [bytes.clone(), tag_of(&bytes)].concat();
        match decode(&sealed, &ring(), &cluster()) {
            Ok(Datagram::Heartbeat(hb)) => prop_assert_eq!(encode(&hb, &ring(), &cluster()), Ok(sealed)),
            Ok(Datagram::Probe(p)) => prop_assert_eq!(encode_probe(&p, false, &ring(), &cluster()), Ok(sealed)),
            Ok(Datagram::ProbeAnswer(p)) => prop_assert_eq!(encode_probe(&p, true, &ring(), &cluster()), Ok(sealed)),
            Ok(Datagram::Command(f)) => prop_assert_eq!(encode_forwarded(&f, false, &ring(), &cluster()), Ok(sealed)),
            Ok(Datagram::Answer(f)) => prop_assert_eq!(encode_forwarded(&f, true, &ring(), &cluster()), Ok(sealed)),
            Err(error) => prop_assert!(!error.to_string().contains("does not verify"), "{}", error),
        }
    }
}

// Each case tries every bit, or every length: a few cases are many datagrams.
proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_change_of_one_bit_is_refused(hb in heartbeat()) {
        let hb = Heartbeat { entries: hb.entries.into_iter().take(2).collect(), ..hb };
        let bytes = encode(&hb, &ring(), &cluster()).expect("two entries fit");
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(decode(&changed, &ring(), &cluster()).is_err(), "bit {}", bit);
        }
    }

    #[test]
    fn a_cut_or_lengthened_datagram_is_refused(hb in heartbeat(), more in vec(any::<u8>(), 1..64)) {
        let hb = Heartbeat { entries: Vec::new(), ..hb };
        let bytes = encode(&hb, &ring(), &cluster()).expect("it fits");
        for len in 0..bytes.len() {
            prop_assert!(decode(&bytes[..len], &ring(), &cluster()).is_err());
        }
        prop_assert!(decode(&[bytes.as_slice(), &more].concat(), &ring(), &cluster()).is_err());
    }
}

/// The tag over `bytes` with key 1, made from its definition.
fn tag_of(bytes: &[u8]) -> Vec<u8> {
    use hmac::{Hmac, KeyInit, Mac};
    let mac = Hmac::<sha2::Sha256>::new_from_slice(&[1; 32]).expect("any length");
    mac.chain_update(b"havipd v1\0prod-web\0").chain_update(bytes).finalize().into_bytes().to_vec()
}

#[test]
fn what_the_layout_cannot_carry_is_not_sent() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let good = heartbeat().new_tree(&mut runner).expect("a value").current();
    let good = Heartbeat { entries: Vec::new(), ..good };
    let lease = |ask| Entry { lease_request: Some(ask), ..entry_of() };
    let cases = [
        Heartbeat { key: KeyId(3), ..good.clone() },
        Heartbeat { accepts: Vec::new(), ..good.clone() },
        Heartbeat { accepts: vec![KeyId(1); 9], ..good.clone() },
        Heartbeat { accepts: vec![KeyId(0)], ..good.clone() },
        Heartbeat { boot: BootId::NONE, ..good.clone() },
        Heartbeat { seq: 0, ..good.clone() },
        Heartbeat { echo: Echo { boot: BootId::NONE, seq: 1 }, ..good.clone() },
        Heartbeat { echo: Echo { boot: BootId([1; 16]), seq: 0 }, ..good.clone() },
        Heartbeat { interval: Duration::from_nanos(999), ..good.clone() },
        Heartbeat { interval: Duration::from_secs(4295), ..good.clone() },
        Heartbeat { leaving: Leaving::Restarting(Duration::from_secs(4295)), ..good.clone() },
        Heartbeat { uptime: Duration::MAX, ..good.clone() },
        Heartbeat { entries: vec![lease(Duration::from_secs(4295))], ..good.clone() },
        Heartbeat { entries: vec![entry_of(); 300], ..good.clone() },
    ];
    assert!(encode(&good, &ring(), &cluster()).is_ok());
    for (i, case) in cases.iter().enumerate() {
        assert!(encode(case, &ring(), &cluster()).is_err(), "case {i}");
    }
}

fn entry_of() -> Entry {
    Entry {
        group: Tag(1),
        role: Role::Backup,
        flags: Flags::default(),
        priority: 100,
        effective: 100,
        epoch: Epoch(0),
        seen: Epoch(0),
        successor: None,
        lease_request: None,
        grant: None,
        maintenance: 0,
        checks: None,
    }
}
