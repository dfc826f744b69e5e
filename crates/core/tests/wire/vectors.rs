//! The fixed test vectors of the wire format, checked both ways.
//!
//! They were made by an encoder that shares no code with this one.

use havipd_core::health::{CheckNote, CheckNotes};
use havipd_core::model::digest::Digest;
use havipd_core::model::ids::{BootId, ClusterName, Epoch, KeyId};
use havipd_core::model::role::Role;
use havipd_core::model::secret::Secret;
use havipd_core::model::settings::HeartbeatKey;
use havipd_core::model::tag::Tag;
use havipd_core::wire::auth::KeyRing;
use havipd_core::wire::heartbeat::{DecodeError, decode, encode, encode_forwarded, encode_probe};
use havipd_core::wire::{Datagram, Echo, Entry, Flags, Forwarded, Grant, Heartbeat, Leaving, Probe};
use serde::Deserialize;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    #[serde(rename = "what")]
    _what: String,
    cluster: String,
    keys: Vec<VectorKey>,
    heartbeat: Option<VectorHeartbeat>,
    probe: Option<VectorProbe>,
    forwarded: Option<VectorForwarded>,
    datagram: Option<String>,
    #[serde(default)]
    refused: Vec<Refusal>,
}

#[derive(Deserialize)]
struct VectorKey {
    id: u8,
    secret: String,
}

#[derive(Deserialize)]
struct Refusal {
    what: String,
    error: String,
    datagram: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VectorHeartbeat {
    #[serde(default)]
    newer: u8,
    key: u8,
    accepts: Vec<u8>,
    path: u8,
    sender: String,
    receiver: String,
    boot: String,
    seq: u64,
    echo_boot: String,
    echo_seq: u64,
    interval_us: u64,
    uptime_ms: u64,
    digest: String,
    leaving: String,
    keep_for_us: u64,
    target: Option<String>,
    entries: Vec<VectorEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VectorEntry {
    group: String,
    role: String,
    flags: u16,
    priority: u8,
    effective: i16,
    epoch: u64,
    seen: u64,
    successor: Option<String>,
    ask_us: Option<u64>,
    grant: Option<VectorGrant>,
    maintenance: u32,
    checks: Option<VectorChecks>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VectorChecks {
    named: Vec<CheckNote>,
    more: u8,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VectorGrant {
    node: String,
    boot: String,
    epoch: u64,
    seq: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VectorProbe {
    key: u8,
    answer: bool,
    sender: String,
    receiver: Option<String>,
    nonce: String,
    havip: String,
    node: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VectorForwarded {
    key: u8,
    answer: bool,
    sender: String,
    receiver: String,
    boot: String,
    echo_boot: String,
    echo_seq: u64,
    id: u64,
    part: u8,
    parts: u8,
    body: String,
}

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).expect("hex").try_into().expect("the right length")
}

fn node(name: &str) -> Tag {
    Tag::node(&name.parse().expect("a node name"))
}

fn heartbeat(v: &VectorHeartbeat) -> Heartbeat {
    Heartbeat {
        newer: v.newer,
        key: KeyId(v.key),
        accepts: v.accepts.iter().copied().map(KeyId).collect(),
        path: v.path,
        sender: node(&v.sender),
        receiver: node(&v.receiver),
        boot: BootId(bytes(&v.boot)),
        seq: v.seq,
        echo: Echo { boot: BootId(bytes(&v.echo_boot)), seq: v.echo_seq },
        interval: Duration::from_micros(v.interval_us),
        uptime: Duration::from_millis(v.uptime_ms),
        digest: Digest(bytes(&v.digest)),
        leaving: match v.leaving.as_str() {
            "no" => Leaving::No,
            "restarting" => Leaving::Restarting(Duration::from_micros(v.keep_for_us)),
            "gone" => Leaving::Gone,
            other => panic!("{other:?} is no way to leave"),
        },
        target: v.target.as_deref().map(|id| id.parse().expect("a target")),
        entries: v.entries.iter().map(entry).collect(),
    }
}

fn entry(v: &VectorEntry) -> Entry {
    let roles = [Role::Backup, Role::Claiming, Role::Active, Role::Releasing, Role::Fault];
    Entry {
        group: Tag::group(&v.group.parse().expect("a group name")),
        role: roles.into_iter().find(|r| r.as_str() == v.role).expect("a role"),
        flags: Flags(v.flags),
        priority: v.priority,
        effective: v.effective,
        epoch: Epoch(v.epoch),
        seen: Epoch(v.seen),
        successor: v.successor.as_deref().map(node),
        lease_request: v.ask_us.map(Duration::from_micros),
        grant: v.grant.as_ref().map(|g| Grant {
            node: node(&g.node),
            boot: BootId(bytes(&g.boot)),
            epoch: Epoch(g.epoch),
            seq: g.seq,
        }),
        maintenance: v.maintenance,
        checks: v.checks.as_ref().map(|c| Arc::new(CheckNotes { named: c.named.clone(), more: c.more })),
    }
}

fn probe(v: &VectorProbe) -> Probe {
    Probe {
        key: KeyId(v.key),
        sender: node(&v.sender),
        receiver: v.receiver.as_deref().map_or(Tag::NONE, node),
        nonce: bytes(&v.nonce),
        havip: Tag::havip(&v.havip.parse().expect("a HAVIP id")),
        node: v.node.as_deref().map_or(Tag::NONE, node),
    }
}

fn forwarded(v: &VectorForwarded) -> Forwarded {
    Forwarded {
        key: KeyId(v.key),
        sender: node(&v.sender),
        receiver: node(&v.receiver),
        boot: BootId(bytes(&v.boot)),
        echo: Echo { boot: BootId(bytes(&v.echo_boot)), seq: v.echo_seq },
        id: v.id,
        part: v.part,
        parts: v.parts,
        body: v.body.clone().into_bytes(),
    }
}

/// Every file of the directory, by name.
fn vectors() -> Vec<(String, Vector)> {
    let dir = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("tests/data/wire");
    let mut files: Vec<_> = fs::read_dir(dir).expect("the vectors").map(|f| f.expect("a file").path()).collect();
    files.sort();
    let read = |path: PathBuf| {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let vector = serde_json::from_slice(&fs::read(&path).expect("readable")).expect(&name);
        (name, vector)
    };
    files.into_iter().map(read).collect()
}

fn context(v: &Vector) -> (KeyRing, ClusterName) {
    let key = |k: &VectorKey| HeartbeatKey { id: KeyId(k.id), secret: Secret::new(bytes::<32>(&k.secret).to_vec()) };
    let keys: Vec<_> = v.keys.iter().map(key).collect();
    (KeyRing::new(&keys, keys[0].id), v.cluster.parse().expect("a cluster name"))
}

#[test]
fn every_vector_encodes_and_decodes_to_itself() {
    let mut checked = 0;
    for (name, v) in vectors() {
        let Some(hex_datagram) = &v.datagram else { continue };
        let (ring, cluster) = context(&v);
        let (made, meant) = match (&v.heartbeat, &v.probe, &v.forwarded) {
            (Some(h), None, None) => (encode(&heartbeat(h), &ring, &cluster), Datagram::Heartbeat(heartbeat(h))),
            (None, Some(p), None) => {
                let meant = if p.answer { Datagram::ProbeAnswer(probe(p)) } else { Datagram::Probe(probe(p)) };
                (encode_probe(&probe(p), p.answer, &ring, &cluster), meant)
            }
            (None, None, Some(f)) => {
                let meant = if f.answer { Datagram::Answer } else { Datagram::Command };
                (encode_forwarded(&forwarded(f), f.answer, &ring, &cluster), meant(forwarded(f)))
            }
            _ => panic!("{name}: one of a heartbeat, a probe and a forwarded command"),
        };
        assert_eq!(&hex::encode(made.expect(&name)), hex_datagram, "{name}");
        assert_eq!(decode(&hex::decode(hex_datagram).expect("hex"), &ring, &cluster), Ok(meant), "{name}");
        checked += 1;
    }
    assert_eq!(checked, 12);
}

#[test]
fn every_refusal_is_for_the_reason_given() {
    let mut checked = 0;
    for (name, v) in vectors() {
        let (ring, cluster) = context(&v);
        for case in &v.refused {
            let error = decode(&hex::decode(&case.datagram).expect("hex"), &ring, &cluster).expect_err(&case.what);
            let word = match error {
                DecodeError::Foreign(_) => "foreign",
                DecodeError::Version(_) => "version",
                DecodeError::UnknownKey(_) => "unknown-key",
                DecodeError::BadTag(_) => "bad-tag",
                DecodeError::Malformed(_) => "malformed",
            };
            assert_eq!(word, case.error, "{name}: {}: {error}", case.what);
            checked += 1;
        }
    }
    assert!(checked >= 40, "{checked}");
}

#[test]
fn the_document_lists_every_vector_and_draws_the_layout_of_the_code() {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let document = fs::read_to_string(root.join("docs/wire-format.md")).expect("docs/wire-format.md");
    for (name, _) in vectors() {
        assert!(document.contains(&format!("`{name}`")), "{name} is not in docs/wire-format.md");
    }
    let code = fs::read_to_string(root.join("crates/core/src/wire/heartbeat.rs")).expect("src/wire/heartbeat.rs");
    let drawn = |text: &str| {
        let lines = text.lines().map(|l| l.trim_start_matches("//!").trim());
        lines.skip_while(|l| *l != "```text").skip(1).take_while(|l| *l != "```").map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(drawn(&code).len() > 30);
    assert_eq!(drawn(&code), drawn(&document));
}
