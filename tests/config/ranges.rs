//! Both ends of every range, inside and outside. The figures are those of the reference, written here
//! again on purpose.

use crate::{BASE, said, with};

/// Marker or table, key, smallest, just below, largest, just above, range as the error names it.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str, &'static str, &'static str);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("node", "priority", "1", "0", "254", "255", "1 to 254"),
    ("heartbeat", "port", "1", "0", "65535", "65536", "1 to 65535"),
    ("heartbeat", "interval", "\"10ms\"", "\"9ms\"", "\"60s\"", "\"60001ms\"", "10ms to 1m"),
    ("heartbeat", "dead-multiplier", "2", "1", "100", "101", "2 to 100"),
    ("heartbeat", "send-key", "1", "0", "255", "256", "1 to 255"),
    ("heartbeat", "cold-start-wait", "\"1s\"", "\"999ms\"", "\"10m\"", "\"601s\"", "1s to 10m"),
    ("[cloud]", "connect-timeout", "\"50ms\"", "\"49ms\"", "\"30s\"", "\"31s\"", "50ms to 30s"),
    ("[cloud]", "request-timeout", "\"100ms\"", "\"99ms\"", "\"60s\"", "\"61s\"", "100ms to 1m"),
    ("[cloud]", "operation-timeout", "\"1s\"", "\"999ms\"", "\"10m\"", "\"11m\"", "1s to 10m"),
    ("[cloud]", "audit-interval", "\"1s\"", "\"999ms\"", "\"1h\"", "\"61m\"", "1s to 1h"),
    ("[cloud]", "requests-per-second", "0.1", "0.099", "1000", "1000.1", "0.1 to 1000"),
    ("group", "before-active-timeout", "\"1s\"", "\"999ms\"", "\"10m\"", "\"601s\"", "1s to 10m"),
    ("group", "before-release-timeout", "\"1s\"", "\"999ms\"", "\"10m\"", "\"601s\"", "1s to 10m"),
    ("group", "preempt-delay", "\"0s\"", "\"-1s\"", "\"24h\"", "\"1441m\"", "0s to 24h"),
    ("group", "keep-for", "\"1s\"", "\"0s\"", "\"10m\"", "\"601s\"", "1s to 10m"),
    ("group", "handover-timeout", "\"1s\"", "\"999ms\"", "\"5m\"", "\"301s\"", "1s to 5m"),
    ("group", "max-moves", "0", "-1", "1000", "1001", "0 to 1000"),
    ("group", "max-moves-window", "\"1m\"", "\"59s\"", "\"24h\"", "\"25h\"", "1m to 24h"),
    ("group", "reclaim-wait", "\"10s\"", "\"9s\"", "\"24h\"", "\"25h\"", "10s to 24h"),
    ("[local-address]", "lifetime", "\"2s\"", "\"1s\"", "\"1h\"", "\"2h\"", "2s to 1h"),
    ("[local-address]", "announce-count", "1", "0", "100", "101", "1 to 100"),
    ("[local-address]", "announce-interval", "\"1ms\"", "\"0s\"", "\"10s\"", "\"11s\"", "1ms to 10s"),
    ("[local-address]", "announce-refresh", "\"0s\"", "\"-1s\"", "\"1h\"", "\"61m\"", "0s to 1h"),
    ("[etcd]", "lease", "\"2s\"", "\"1s\"", "\"5m\"", "\"301s\"", "2s to 5m"),
    ("[etcd]", "request-timeout", "\"50ms\"", "\"49ms\"", "\"100s\"", "\"101s\"", "50ms to 100s"),
    ("[daemon]", "history-size", "\"1MiB\"", "\"1023KiB\"", "\"1GiB\"", "\"1025MiB\"", "1MiB to 1GiB"),
    ("[daemon]", "realtime-priority", "0", "-1", "50", "51", "0 to 50"),
    ("[[check]]", "interval", "\"100ms\"", "\"99ms\"", "\"1h\"", "\"61m\"", "100ms to 1h"),
    ("[[check]]", "timeout", "\"10ms\"", "\"9ms\"", "\"1h\"", "\"61m\"", "10ms to 1h"),
    ("[[check]]", "retry-interval", "\"10ms\"", "\"9ms\"", "\"1h\"", "\"61m\"", "10ms to 1h"),
    ("[[check]]", "fall", "1", "0", "100", "101", "1 to 100"),
    ("[[check]]", "rise", "1", "0", "100", "101", "1 to 100"),
    ("[[check]]", "weight", "-253", "-254", "253", "254", "-253 to 253"),
    ("[[check]]", "quorum", "1", "0", "16", "17", "1 to 16"),
    ("[hooks]", "timeout", "\"1s\"", "\"0s\"", "\"10m\"", "\"11m\"", "1s to 10m"),
];

fn place(marker: &str, line: &str) -> String {
    if marker.starts_with('[') { format!("{BASE}{marker}\n{line}\n") } else { with(marker, line) }
}

#[test]
fn the_ends_of_every_range_are_inside_and_their_neighbours_outside() {
    for (marker, key, min, below, max, above, range) in ROWS {
        let wrong = format!("{key:?} must be ");
        for inside in [min, max] {
            let text = place(marker, &format!("{key} = {inside}"));
            assert!(!said(&text).contains(&wrong), "{key} = {inside}: {}", said(&text));
        }
        for outside in [below, above] {
            let said = said(&place(marker, &format!("{key} = {outside}")));
            let negative_span = outside.starts_with("\"-");
            let expected = if negative_span { format!("{outside} is not a duration") } else { format!("from {range}") };
            assert!(said.contains(&expected), "{key} = {outside}: {said}");
            assert!(said.contains(outside), "the value is named: {said}");
        }
    }
}

#[test]
fn every_range_of_the_table_is_tried() {
    use havipd::config::schema::{KEYS, Section};
    for key in KEYS.iter().filter(|k| k.kind.range().is_some() && k.section != Section::HeartbeatKey) {
        let row =
            ROWS.iter().find(|r| r.1 == key.name && key.section.header().trim_matches(['[', ']']) == section(r.0));
        assert_eq!(row.map(|r| r.6), key.kind.range().as_deref(), "{key:?}");
    }
}

fn section(marker: &str) -> &str {
    marker.trim_matches(['[', ']'])
}

#[test]
fn whole_seconds_are_whole() {
    for (marker, key) in [("group", "keep-for"), ("[local-address]", "lifetime")] {
        let said = said(&place(marker, &format!("{key} = \"6500ms\"")));
        assert!(said.contains(&format!("{key:?} must be a duration of whole seconds from ")), "{said}");
    }
    assert_eq!(said(&place("[local-address]", "lifetime = \"6000ms\"")), "");
}

#[test]
fn numbers_of_tables_are_limited() {
    let node = |i: usize| format!("[[node]]\nname = \"n{i}\"\naddress = \"10.1.0.{i}\"\n");
    let nodes = |count: usize| format!("{BASE}{}", (0..count - 2).map(|i| node(i + 1)).collect::<String>());
    assert!(!said(&nodes(16)).contains("error"), "{}", said(&nodes(16)));
    assert!(said(&nodes(17)).ends_with("error: [[node]] must be there 2 to 16 times, not 17"), "{}", said(&nodes(17)));

    let group = |i: usize| format!("[[group]]\nname = \"g{i}\"\n[[group.havip]]\nid = \"havip-g{i}\"\n");
    let groups = |count: usize| format!("{BASE}{}", (0..count - 1).map(group).collect::<String>());
    assert_eq!(said(&groups(250)), "");
    assert!(said(&groups(251)).contains("error: [[group]] must be there 1 to 250 times, not 251"));

    let havip = |i: usize| format!("[[group.havip]]\nid = \"havip-x{i}\"\n");
    let havips = |count: usize| with("havip", &(0..count - 1).map(havip).collect::<String>());
    assert_eq!(said(&havips(32)), "");
    assert!(said(&havips(33)).contains("error: [[group.havip]] must be there 1 to 32 times, not 33"));

    let keys = |count: usize| {
        let all: Vec<String> = (1..=count).map(|i| format!("{{ id = {i}, file = \"k\" }}")).collect();
        BASE.replacen("[{ id = 1, file = \"k\" }]", &format!("[{}]", all.join(", ")), 1)
    };
    assert_eq!(said(&keys(8)), "");
    assert!(said(&keys(9)).contains("error: heartbeat.keys must be there 1 to 8 times, not 9"));
    assert!(said(&keys(0)).contains("error: heartbeat.keys must be there 1 to 8 times, not 0"));

    let addresses = |count: usize| {
        let all: Vec<String> = (1..=count).map(|i| format!("\"10.0.{i}.1\"")).collect();
        BASE.replacen("\"10.0.0.1\"", &format!("[{}, \"10.0.0.1\"]", all.join(", ")), 1)
    };
    assert_eq!(said(&addresses(3)), "");
    assert!(said(&addresses(4)).contains("\"address\" must be an IP address or a list of 1 to 4 of them"));
}
