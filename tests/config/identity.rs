//! What the checked configuration holds, and the digest over it.

use crate::{BASE, check_in, good, on_a, with};
use havipd::config::Environment;
use havipd_core::model::digest::digest;
use havipd_core::model::settings::{Arbiter, CredentialSource, Interface, LogFormat, LogLevel, OnStop};
use std::path::PathBuf;
use std::time::Duration;

#[test]
fn defaults_are_those_of_the_reference() {
    let config = good(BASE);
    assert_eq!((config.heartbeat.port, config.heartbeat.dead_multiplier), (11200, 10));
    assert_eq!(config.heartbeat.interval, Duration::from_millis(300));
    assert_eq!(config.heartbeat.cold_start_wait, Duration::from_secs(30));
    assert_eq!(config.heartbeat.send_key.0, 1);
    assert!(config.heartbeat.fabric_probe);
    assert_eq!(config.nodes[0].addresses, ["10.0.0.1:11200".parse().expect("address")]);
    assert_eq!((config.nodes[0].priority, config.nodes[0].witness), (100, false));
    assert_eq!(config.cloud.metadata_endpoint, "http://169.254.169.254");
    assert_eq!(config.cloud.connect_timeout, Duration::from_secs(1));
    assert_eq!(config.cloud.request_timeout, Duration::from_secs(3));
    assert_eq!(config.cloud.operation_timeout, Duration::from_secs(20));
    assert_eq!(config.cloud.audit_interval, Duration::from_secs(30));
    assert_eq!(config.cloud.requests_per_second, None);
    assert_eq!(config.cloud.credentials, CredentialSource::Auto { file: None });
    let group = &config.groups[0];
    assert_eq!((group.arbiter, group.preempt, group.on_stop), (Arbiter::Cloud, true, OnStop::Handover));
    assert_eq!((group.keep_for, group.handover_timeout), (Duration::from_secs(15), Duration::from_secs(10)));
    assert_eq!((group.max_moves, group.max_moves_window), (6, Duration::from_secs(600)));
    assert_eq!((group.reclaim_wait, group.preempt_delay), (Duration::from_secs(300), Duration::from_secs(30)));
    assert_eq!(group.havips[0].interface, Interface::Discover);
    assert_eq!(config.local_address.lifetime, Some(Duration::from_secs(4)));
    assert_eq!(config.local_address.announce_count, 5);
    assert_eq!(config.local_address.announce_interval, Duration::from_millis(200));
    assert_eq!(config.local_address.announce_refresh, Duration::from_secs(10));
    assert_eq!((config.log.level, config.log.format), (LogLevel::Info, LogFormat::Text));
}

#[test]
fn what_is_written_arrives() {
    let text = with("group", "priorities = { b = 200 }\nobserve = true")
        .replacen("\"10.0.0.1\"", "[\"10.0.0.1\", \"[fd00::1]:7\"]", 1)
        .replacen("#heartbeat", "port = 9000\nsend-key = 2", 1)
        .replacen("file = \"k\" }", "file = \"k\" }, { id = 2, file = \"k2\" }", 1)
        .replacen("#havip", "interface = \"none\"\n[group.hooks]\nnotify-stop = [\"/s\", \"x\"]", 1)
        + "[hooks]\nnotify = \"n\"\nnotify-stop = \"/t\"\ntimeout = \"5s\"\n[cloud.credentials]\nsource = \"file\"\nfile = \"c\"\n";
    let config = good(&text);
    let addresses: Vec<String> = config.nodes[0].addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["10.0.0.1:9000", "[fd00::1]:7"]);
    let priorities: Vec<u8> = config.groups[0].members.iter().map(|m| m.priority).collect();
    assert_eq!(priorities, [100, 200]);
    assert!(config.groups[0].observe);
    assert_eq!(config.groups[0].havips[0].interface, Interface::None);
    let hooks = &config.groups[0].hooks;
    assert_eq!(hooks.notify.as_deref(), Some(&["/etc/havipd/n".to_owned()][..]));
    assert_eq!(hooks.notify_stop.as_deref(), Some(&["/s".to_owned(), "x".to_owned()][..]));
    assert_eq!(hooks.timeout, Duration::from_secs(5), "a group without a timeout has the common one");
    assert_eq!(config.heartbeat.send_key.0, 2);
    assert_eq!(config.heartbeat.keys[1].secret.expose(), [0xbb; 32]);
    assert_eq!(config.cloud.credentials, CredentialSource::File(PathBuf::from("/etc/havipd/c")));
    assert!(!format!("{config:?}").contains("bbbb") && !format!("{config:?}").contains("187"), "no key in Debug");
}

#[test]
fn the_digest_is_the_same_on_every_node() {
    let on_b = Environment { node: Some("b".into()), ..Environment::default() };
    let (a, b) = (check_in(BASE, &on_a()).expect("a").config, check_in(BASE, &on_b).expect("b").config);
    assert_ne!(a.local, b.local);
    assert_eq!(digest(&a), digest(&b));
    // Computed apart, with Python's hashlib, from the layout in the documentation.
    assert_eq!(hex::encode(digest(&a).0), EXPECTED);
}

const EXPECTED: &str = "6a474b1af7ff1b429bd2f977aeeca4f2";

#[test]
fn the_digest_changes_with_what_nodes_must_agree_on_and_with_nothing_else() {
    let third = "[[node]]\nname = \"w\"\naddress = \"10.0.0.3\"\n";
    let base = format!("{BASE}{third}");
    let of = |text: &str| digest(&good(text));
    let same = [
        base.replacen("#heartbeat", "port = 9\ncold-start-wait = \"1m\"", 1),
        base.replacen("#group", "preempt = false\npriorities = { a = 7 }\narbiter = \"majority\"", 1),
        base.replacen("#havip", "address = \"10.0.0.100\"\nstrangers = \"refuse\"", 1),
        base.replacen("#node", "instance = \"i-1\"", 1),
    ];
    for text in same {
        assert_eq!(of(&text), of(&base), "{text}");
    }
    let different = [
        format!("{base}witness = true\n"),
        base.replacen("#heartbeat", "interval = \"400ms\"", 1),
        base.replacen("#heartbeat", "dead-multiplier = 11", 1),
        base.replacen("#group", "keep-for = \"16s\"", 1),
        base.replacen("#group", "arbiter = \"cloud\"", 1),
        base.replacen("#group", "nodes = [\"a\", \"b\"]", 1),
        base.replacen("#havip", "binding = \"shared\"", 1),
        base.replacen("havip-1", "havip-2", 1),
        base.replacen("\"g\"", "\"h\"", 1),
        base.replacen("\"w\"", "\"x\"", 1),
        base.replacen("#havip", "[[group.havip]]\nid = \"havip-2\"", 1),
    ];
    let mut seen = vec![of(&base)];
    for text in different {
        let digest = of(&text);
        assert!(!seen.contains(&digest), "{text}");
        seen.push(digest);
    }
}
