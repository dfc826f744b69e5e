//! Whole texts of findings: what a person reads must not change by accident.

use crate::{BASE, check_in, good, on_a, said, said_in, with};
use havipd::config::{Environment, LoadError};
use std::time::Duration;

#[track_caller]
fn says(text: &str, expected: &[&str]) {
    let said = said(text);
    assert_eq!(said.lines().collect::<Vec<_>>(), expected, "\n--\n{text}");
}

#[test]
fn the_smallest_file_has_nothing_to_say() {
    says(BASE, &[]);
    let loaded = check_in(BASE, &on_a()).expect("right");
    assert_eq!(
        loaded.report(),
        "this node is a, by its address 10.0.0.1\ngroup g: arbiter cloud, chosen by auto with 2 voters"
    );
}

#[test]
fn everything_is_said_at_once_in_the_order_of_the_file() {
    let text = r#"
[cluster]
nam = "c"
[[node]]
name = "a b"
address = ["10.0.0.1", "host", 5]
prio = 3
[[node]]
name = "b"
address = "10.0.0.2"
instance = "x-1"
witness = "yes"
[heartbeat]
interval = "5ms"
dead-multiplier = 1.5
keys = [{ id = 1, file = "k", extra = 1 }, 7]
[clowd]
[[group]]
name = "g"
arbiter = "majority "
[[group.havip]]
preempt = true
[[check]]
name = "nginx"
"#;
    says(
        text,
        &[
            r#"havipd.toml:2:1: error: "name" is missing in [cluster] (it takes a name of 1 to 63 of a-z A-Z 0-9 - _ .)"#,
            r#"havipd.toml:3:1: error: unknown key "nam" in [cluster] (did you mean "name"?)"#,
            r#"havipd.toml:5:8: error: "name": "a b" is not a name: use 1 to 63 of a-z A-Z 0-9 - _ ."#,
            r#"havipd.toml:6:24: error: "address": "host" is not an IP address: write "10.0.0.11", "10.0.0.11:11200" or "[fd00::1]:11200""#,
            r#"havipd.toml:6:32: error: "address": every item must be a string, not 5"#,
            r#"havipd.toml:7:1: error: unknown key "prio" in [[node]] (the nearest is "priority"; known keys are name, address, instance, eni, interface, priority, witness)"#,
            r#"havipd.toml:11:12: error: "instance": "x-1" is not an instance id: expected "i-" followed by letters, digits or -"#,
            r#"havipd.toml:12:11: error: "witness" must be true or false, not "yes""#,
            r#"havipd.toml:14:12: error: "interval" must be a duration from 10ms to 1m, not "5ms""#,
            r#"havipd.toml:15:19: error: "dead-multiplier" must be a whole number from 2 to 100, not 1.5"#,
            r#"havipd.toml:16:31: error: unknown key "extra" in heartbeat.keys (known keys are id, file)"#,
            r#"havipd.toml:16:44: error: "keys" is a list of tables, not of 7"#,
            r#"havipd.toml:17:2: error: unknown key "clowd" (did you mean "cloud"?)"#,
            r#"havipd.toml:20:11: error: "arbiter" must be one of "auto", "cloud", "majority", "etcd", "keepalived", not "majority ""#,
            r#"havipd.toml:21:1: error: "id" is missing in [[group.havip]] (it takes a HAVIP id like "havip-w2d4kgc3x0y1")"#,
            r#"havipd.toml:22:1: error: unknown key "preempt" in [[group.havip]] (it belongs in [[group]])"#,
            r#"havipd.toml:23:1: error: a [[check]] has one of script, tcp, http, process, pidfile, unit, link, file, ping"#,
            r#"havipd.toml:24:8: warning: no group uses the check "nginx": it is never run (name it in the "checks" of a group)"#,
        ],
    );
}

#[test]
fn an_empty_file_lacks_its_tables() {
    says(
        "",
        &[
            "havipd.toml: error: [cluster] is missing",
            "havipd.toml: error: [[node]] is missing",
            "havipd.toml: error: [heartbeat] is missing",
            "havipd.toml: error: [[group]] is missing",
        ],
    );
}

#[test]
fn syntax_errors_come_with_the_others_and_hide_nothing_beyond_their_lines() {
    let text = BASE.replacen("name = \"a\"", "name = = \"a\"", 1).replacen("#heartbeat", "intervall = \"1s\"", 1);
    let said = said(&text);
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("havipd.toml:5:8: error: "), "{said}");
    assert!(
        lines
            .contains(&r#"havipd.toml:14:1: error: unknown key "intervall" in [heartbeat] (did you mean "interval"?)"#),
        "{said}"
    );
    assert!(!said.contains("missing"), "{said}");
}

#[test]
fn a_key_that_is_there_twice_is_named() {
    let text = BASE.replacen("name = \"a\"", "name = \"a\"\n\"name\" = \"b\"", 1) + "[cluster]\n";
    let said = said(&text);
    assert!(said.contains("havipd.toml:6:1: error: duplicate key \"name\"\n"), "{said}");
    assert!(said.ends_with(":2: error: duplicate key \"cluster\""), "{said}");
}

#[test]
fn keys_of_later_versions_are_refused_by_name() {
    let text = with("group", "\non-arbiter-loss = \"release\"");
    says(&text, &[r#"havipd.toml:18:1: error: "on-arbiter-loss" in [[group]] is not available in this version"#]);
    says(&format!("{BASE}[daemon]\n"), &[]);
}

#[test]
fn sizes_have_a_unit_and_everything_of_the_daemon_has_a_default() {
    let history = |size: &str| format!("{BASE}[daemon]\nhistory-size = {size}\n");
    for (written, bytes) in [("\"1024KiB\"", 1 << 20), ("\"3MiB\"", 3 << 20), ("\"1GiB\"", 1 << 30)] {
        assert_eq!(good(&history(written)).daemon.history_size, bytes, "{written}");
    }
    for bad in ["\"16\"", "\"16MB\"", "\"1.5MiB\"", "\"99999999999999999999GiB\"", "\"18446744073709551615GiB\""] {
        let how = "write a whole number and one of KiB, MiB, GiB, as in \"16MiB\"";
        says(&history(bad), &[&format!("havipd.toml:23:16: error: \"history-size\": {bad} is not a size: {how}")]);
    }
    let daemon = good(BASE).daemon;
    assert_eq!((daemon.history_size, daemon.realtime_priority, daemon.lock_memory), (16 << 20, 0, false));
    let daemon = good(&format!("{BASE}[daemon]\nrealtime-priority = 50\nlock-memory = true\n")).daemon;
    assert_eq!((daemon.realtime_priority, daemon.lock_memory), (50, true));
}

#[test]
fn the_doctor_looks_now_and_then_or_never() {
    let every = |what: &str| format!("{BASE}[daemon]\ndoctor-interval = {what}\n");
    for (written, read) in [("\"0s\"", None), ("\"1m\"", Some(60)), ("\"24h\"", Some(86_400))] {
        let read: Option<u64> = read;
        assert_eq!(good(&every(written)).daemon.doctor_interval, read.map(Duration::from_secs), "{written}");
    }
    assert_eq!(good(BASE).daemon.doctor_interval, Some(Duration::from_secs(3600)));
    for bad in ["\"59s\"", "\"25h\"", "\"never\""] {
        let text = format!(
            "havipd.toml:23:19: error: \"doctor-interval\": {bad} is neither \"0s\" (off) nor a duration from 1m to 24h"
        );
        says(&every(bad), &[&text]);
    }
}

#[test]
fn metrics_are_served_where_an_address_says_so() {
    let listen = |what: &str| format!("{BASE}[metrics]\nlisten = {what}\n");
    for good in ["\"off\"", "\"127.0.0.1:1\"", "\"[::1]:65535\"", "\"127.3.2.1:9\""] {
        says(&listen(good), &[]);
    }
    for (bad, why) in [
        (
            "\"localhost:9\"",
            r#""localhost:9" is not an address with a port: write "127.0.0.1:11201", "[::1]:11201" or "off""#,
        ),
        (
            "\"127.0.0.1\"",
            r#""127.0.0.1" is not an address with a port: write "127.0.0.1:11201", "[::1]:11201" or "off""#,
        ),
        ("\"127.0.0.1:0\"", r#""127.0.0.1:0" has port 0: use 1 to 65535"#),
    ] {
        says(&listen(bad), &[&format!("havipd.toml:23:10: error: \"listen\": {why}")]);
    }
    says(
        &listen("\"10.0.0.1:11201\""),
        &[
            "havipd.toml:23:10: warning: metrics are served on 10.0.0.1:11201, without TLS and to anybody who reaches it \
           (let only your Prometheus reach it)",
        ],
    );
}

#[test]
fn a_leader_key_its_arbiter_and_the_table_of_etcd_go_together() {
    let follows = |more: &str, table: &str| {
        with("group", &format!("arbiter = \"etcd\"\nleader-key = \"/service/pg/leader\"\n{more}")) + "[etcd]\n" + table
    };
    let endpoints = "endpoints = [\"http://10.0.0.21:2379\", \"http://10.0.0.22:2379/\"]\n";
    let config = crate::good(&follows("leader-value = { b = \"pg-2\" }", endpoints));
    let leader = config.groups[0].leader.clone().expect("it follows one");
    assert_eq!((leader.key.as_str(), leader.value.as_str()), ("/service/pg/leader", "a"), "by its own name");
    let etcd = config.etcd.expect("there");
    assert_eq!(etcd.endpoints, ["http://10.0.0.21:2379", "http://10.0.0.22:2379"]);
    assert_eq!((etcd.lease.as_secs(), etcd.request_timeout.as_secs()), (10, 1));
    let has = |text: &str, part: &str| {
        let said = crate::said(text);
        assert!(said.contains(part), "{part}: {said}");
    };
    let elects = |table: &str| with("group", "arbiter = \"etcd\"") + "[etcd]\n" + endpoints + table;
    let config = crate::good(&elects("prefix = \"/a/b\"\nlease = \"20s\"\n"));
    assert_eq!(config.groups[0].arbiter, havipd_core::model::settings::Arbiter::EtcdLease, "of its own");
    let key = config.election_key(havipd_core::model::ids::GroupIndex(0));
    assert_eq!(key, Some(format!("/a/b/{}/{}", config.cluster, config.groups[0].name)));
    has(
        &elects("lease = \"2s\"\nrequest-timeout = \"500ms\"\n"),
        "\"lease\" is 2s, less than the dead time of the heartbeats",
    );
    for prefix in ["", "havipd", "/", "/a/", "/a b", "/a//b"] {
        has(&elects(&format!("prefix = {prefix:?}\n")), "is no path like \"/havipd\"");
    }
    has(&follows("", &format!("{endpoints}prefix = \"/a\"\n")), "warning: \"prefix\" says nothing here");
    has(
        &(with("group", "arbiter = \"etcd\"\nleader-value = { a = \"pg-1\" }") + "[etcd]\n" + endpoints),
        "warning: \"leader-value\" says nothing here",
    );
    has(&follows("", ""), "error: \"arbiter\" = \"etcd\" needs \"endpoints\" in [etcd]");
    has(&with("group", "leader-key = \"/k\""), "warning: \"leader-key\" says nothing here");
    has(
        &format!("{BASE}[etcd]\n{endpoints}"),
        "warning: [etcd] says nothing here: no group has \"arbiter\" = \"etcd\"",
    );
    has(&follows("leader-value = \"pg\"", endpoints), "one value would name every node at once");
    has(&follows("leader-value = { x = \"pg\" }", endpoints), "no [[node]] is named \"x\"");
    has(
        &follows("leader-value = { a = \"b\" }", endpoints),
        "the value \"b\" of \"leader-key\" would name both a and b",
    );
    has(&follows("before-active = [\"/x\"]", endpoints), "the program that writes the leader key has decided by then");
    has(&follows("", &format!("{endpoints}user = \"h\"\n")), "error: \"user\" in [etcd] needs \"password-file\"");
    has(&follows("", &format!("{endpoints}cert-file = \"c\"\n")), "error: \"cert-file\" in [etcd] needs \"key-file\"");
    has(
        &follows("", &format!("{endpoints}lease = \"2s\"\n")),
        "\"request-timeout\" is 1s, more than a third of \"lease\", 2s",
    );
    has(
        &follows("", &format!("{endpoints}ca-file = \"c\"\n")),
        "error: \"ca-file\" has no meaning: no endpoint is https",
    );
    let files = format!("{endpoints}cert-file = \"c\"\nkey-file = \"k\"\n");
    has(&follows("", &files), "error: \"cert-file\" has no meaning: no endpoint is https");
    has(&follows("", &files), "error: \"key-file\" has no meaning: no endpoint is https");
    let mixed = "endpoints = [\"http://10.0.0.21:2379\", \"https://10.0.0.22:2379\"]\nca-file = \"c\"\n";
    assert!(!follows("", mixed).contains("no meaning"), "one of them is https");
    has(&follows("", "endpoints = [\"http://u:p@10.0.0.1\"]\n"), "it names a user");
    has(&follows("", "endpoints = [\"http://8.8.8.8:2379\"]\n"), "warning: plain http to a public address");
}

#[test]
fn keepalived_and_its_table_go_together() {
    says(
        &with("group", "arbiter = \"keepalived\""),
        &[
            r#"havipd.toml:17:11: error: "arbiter" = "keepalived" needs the table [keepalived] (add the table: fifo = "...", or nothing in it if keepalived calls havipctl notify)"#,
        ],
    );
    says(
        &with("group", "vrrp = \"VI_1\""),
        &[r#"havipd.toml:17:8: warning: "vrrp" says nothing here: only "arbiter" = "keepalived" follows keepalived"#],
    );
    says(
        &(with("group", "vrrp = \"GROUP:\"\narbiter = \"keepalived\"") + "[keepalived]\nfifo = \"\"\n"),
        &[
            r#"havipd.toml:17:8: error: "vrrp": a name of 1 to 255 characters without quotes or line breaks is needed, not """#,
            r#"havipd.toml:24:8: error: "fifo" must be the path of a file, or "credential:NAME", not """#,
        ],
    );
    let text = with("group", "arbiter = \"keepalived\"") + "[keepalived]\n";
    let config = crate::good(&text);
    assert_eq!(config.groups[0].vrrp.to_string(), config.groups[0].name.as_str());
    let keepalived = config.keepalived;
    assert_eq!((keepalived.fifo, keepalived.pid_file), (None, "/run/keepalived.pid".into()));
    let text =
        with("group", "arbiter = \"keepalived\"\nvrrp = \"GROUP:VG 1\"") + "[keepalived]\nfifo = \"/run/k.fifo\"\n";
    let config = crate::good(&text);
    assert_eq!(config.groups[0].vrrp.to_string(), "GROUP:VG 1");
    assert_eq!(config.keepalived.fifo, Some("/run/k.fifo".into()));
}

#[test]
fn brackets_are_corrected() {
    let text = BASE.replacen("[cluster]", "[[cluster]]", 1).replacen("[[group]]", "[group]", 1);
    says(
        &text,
        &[
            "havipd.toml:1:3: error: write [cluster] with single brackets: there is only one",
            "havipd.toml:15:2: error: write [[group]] with double brackets: there may be more than one",
        ],
    );
}

#[test]
fn things_that_are_there_twice() {
    let text = BASE.replacen("name = \"b\"\naddress = \"10.0.0.2\"", "name = \"a\"\naddress = \"10.0.0.1\"", 1)
        + "[[group]]\nname = \"g\"\nnodes = [\"a\", \"a\"]\n[[group.havip]]\nid = \"havip-1\"\n";
    says(
        &text,
        &[
            r#"havipd.toml:9:8: error: two nodes are named "a""#,
            r#"havipd.toml:10:11: error: the address 10.0.0.1:11200 is there twice"#,
            r#"havipd.toml:23:8: error: two groups are named "g""#,
            r#"havipd.toml:24:15: error: "a" is in "nodes" twice"#,
            r#"havipd.toml:26:6: error: the HAVIP "havip-1" is there twice"#,
            r#"havipd.toml: error: this host has the addresses of a (10.0.0.1) and a (10.0.0.1): say which with --node"#,
        ],
    );
    let twice = with(
        "havip",
        "address = \"10.0.0.9\"\n[[group.havip]]\nid = \"havip-2\"\naddress = \"10.0.0.9\"\n[[group.havip]]\nid = \"havip-3\"\naddress = \"10.0.0.2\"",
    );
    says(
        &twice,
        &[
            "havipd.toml:23:11: error: two HAVIPs have the address 10.0.0.9",
            "havipd.toml:26:11: error: 10.0.0.2 is a node's own address, so it cannot be a HAVIP's",
        ],
    );
    says(
        &with("node", "instance = \"i-1\"").replacen("#node-b", "instance = \"i-1\"", 1),
        &[r#"havipd.toml:11:12: error: two nodes have the target "i-1""#],
    );
    says(
        &with("heartbeat", "").replacen("file = \"k\" }", "file = \"k\" }, { id = 1, file = \"k\" }", 1),
        &["havipd.toml:13:40: error: two keys have the id 1"],
    );
}

#[test]
fn references_lead_somewhere() {
    says(&with("heartbeat", "send-key = 2"), &["havipd.toml:14:12: error: \"send-key\" is 2, and no key has that id"]);
    let long = BASE.replacen("name = \"a\"", "name = \"alpha\"", 1);
    says(
        &long.replacen("#group", "nodes = [\"alhpa\", \"z\"]\npriorities = { y = 1, b = 255 }", 1),
        &[
            r#"havipd.toml:17:10: error: no [[node]] is named "alhpa" (did you mean "alpha"?)"#,
            r#"havipd.toml:17:19: error: no [[node]] is named "z""#,
            r#"havipd.toml:18:27: error: a priority must be a whole number from 1 to 254, not 255"#,
        ],
    );
    says(
        &with("group", "nodes = [\"a\"]\npriorities = { b = 7, q = 7 }"),
        &[
            r#"havipd.toml:18:16: error: "b" is not in the "nodes" of this group"#,
            r#"havipd.toml:18:23: error: no [[node]] is named "q""#,
        ],
    );
    says(&with("group", "nodes = []"), &["havipd.toml:17:9: error: the group has no node that can hold its HAVIPs"]);
}

#[test]
fn a_witness_holds_nothing() {
    let text = with("node", "witness = true\ninstance = \"i-1\"\neni = \"eni-1\"\npriority = 5").replacen(
        "#group",
        "priorities = { a = 5 }",
        1,
    );
    says(
        &text,
        &[
            r#"havipd.toml:8:12: error: a witness never holds a HAVIP, so it takes no "instance""#,
            r#"havipd.toml:9:7: error: a node has an "instance" or an "eni", not both"#,
            r#"havipd.toml:9:7: error: a witness never holds a HAVIP, so it takes no "eni""#,
            r#"havipd.toml:10:12: error: a witness never holds a HAVIP, so it takes no "priority""#,
            r#"havipd.toml:20:16: error: "a" is a witness, which has no priority"#,
        ],
    );
    let both = with("node", "witness = true").replacen("#node-b", "witness = true", 1);
    says(&both, &["havipd.toml:15:1: error: the group has no node that can hold its HAVIPs"]);
}

#[test]
fn arbiters_fit_their_voters() {
    let third = "[[node]]\nname = \"c\"\naddress = \"10.0.0.3\"\nwitness = true\n";
    let fourth = "[[node]]\nname = \"d\"\naddress = \"10.0.0.4\"\n";
    says(
        &with("group", "arbiter = \"majority\""),
        &[
            r#"havipd.toml:17:11: error: "arbiter" = "majority" needs 3 or more voters, and the group has 2 (add a node, which may be a witness, or use "cloud")"#,
        ],
    );
    says(&format!("{BASE}{third}"), &[]);
    let short = with("heartbeat", "interval = \"1s\"\ndead-multiplier = 3");
    assert!(check_in(&short, &on_a()).is_ok(), "two nodes go by the cloud");
    says(
        &format!("{short}{third}"),
        &[
            r#"havipd.toml:15:19: error: "dead-multiplier" = 3 is too low for "arbiter" = "majority": one lost heartbeat would cost leadership (make it 4 or more; a shorter "interval" keeps the dead time short)"#,
        ],
    );
    let loaded = check_in(&format!("{BASE}{third}"), &on_a()).expect("right");
    assert!(loaded.report().ends_with("group g: arbiter majority, chosen by auto with 3 voters"));
    says(
        &format!("{}{third}{fourth}", with("group", "arbiter = \"majority\"")),
        &["havipd.toml:17:11: warning: 4 voters survive the loss of no more nodes than 3 do (add or remove a witness)"],
    );
    says(
        &with("group", "arbiter = \"none\""),
        &[
            r#"havipd.toml:17:11: error: "arbiter": "none" is gone, since nodes that cannot hear each other would all claim; use "auto", "cloud", "majority" or "keepalived""#,
        ],
    );
}

#[test]
fn targets_are_of_one_type_and_not_too_many() {
    // A node that asks its metadata service binds what the others do.
    says(&with("node", "eni = \"eni-1\""), &[]);
    let mixed = with("node", "eni = \"eni-1\"").replacen("#node-b", "instance = \"i-b\"#", 1);
    says(
        &mixed,
        &[
            "havipd.toml:15:1: warning: 1 of 2 members are bound by ENI and the others by instance (use one type of target in a group)",
        ],
    );
    says(
        &mixed.replacen("#havip", "binding = \"shared\"", 1),
        &[
            "havipd.toml:20:11: error: 1 of 2 members are bound by ENI and the others by instance: a shared HAVIP has targets of one type",
        ],
    );
    let node = |i: usize| format!("[[node]]\nname = \"n{i}\"\naddress = \"10.1.0.{i}\"\n");
    let many = |extra: usize| with("havip", "binding = \"shared\"") + &(1..=extra).map(node).collect::<String>();
    says(&many(3), &[]);
    assert_eq!(
        said(&many(4)).lines().last(),
        Some(
            "havipd.toml:20:11: error: a shared HAVIP has at most 5 targets, and the group has 6 nodes that may hold it \
             (list fewer in \"nodes\", or use \"exclusive\")"
        )
    );
}

#[test]
fn times_fit_each_other() {
    says(
        &with("heartbeat", "interval = \"3001ms\""),
        &[
            r#"havipd.toml:14:12: error: the dead time, interval x dead-multiplier = 30010ms, must not exceed "cold-start-wait", 30s"#,
        ],
    );
    says(&with("heartbeat", "interval = \"3s\""), &[]);
    says(
        &with("heartbeat", "dead-multiplier = 5"),
        &[
            r#"havipd.toml:14:19: warning: the dead time, interval x dead-multiplier = 1500ms, is shorter than the usual pauses of a VM, 3s: such a pause moves the HAVIP (raise "dead-multiplier" or "interval")"#,
        ],
    );
    says(&with("heartbeat", "dead-multiplier = 10"), &[]);
    let paused = Environment { longest_pause: Some(Duration::from_millis(6500)), ..on_a() };
    assert_eq!(
        said_in(BASE, &paused),
        "havipd.toml: warning: the dead time, interval x dead-multiplier = 3s, is shorter than the longest pause recorded \
         on this host, 6500ms: such a pause moves the HAVIP (raise \"dead-multiplier\" or \"interval\")"
    );
    says(
        &format!("{BASE}[local-address]\nlifetime = \"2s\"\n"),
        &[
            r#"havipd.toml:23:12: error: "lifetime" is 2s, shorter than the dead time, 3s: the address would vanish before a peer may take it"#,
        ],
    );
    says(&format!("{BASE}[local-address]\nlifetime = \"3s\"\n"), &[]);
    says(
        &format!("{BASE}[local-address]\nlifetime = \"forever\"\n"),
        &[
            r#"havipd.toml:23:12: warning: "lifetime" = "forever": if the daemon dies, the kernel keeps the address and two nodes answer"#,
        ],
    );
    says(
        &format!("{BASE}[cloud]\nconnect-timeout = \"4s\"\noperation-timeout = \"2s\"\n"),
        &[
            r#"havipd.toml:23:19: error: "request-timeout", 3s, must not be shorter than "connect-timeout", 4s"#,
            r#"havipd.toml:24:21: error: "operation-timeout", 2s, must not be shorter than "request-timeout", 3s"#,
        ],
    );
    let stop = Environment { stop_timeout: Some(Duration::from_secs(12)), ..on_a() };
    assert_eq!(
        said_in(BASE, &stop).lines().collect::<Vec<_>>(),
        [
            r#"havipd.toml:15:1: warning: "keep-for" is 15s, more than the unit's TimeoutStopSec, 12s (raise TimeoutStopSec in a drop-in of havipd.service)"#,
            r#"havipd.toml:15:1: warning: "handover-timeout" + "request-timeout" is 13s, more than the unit's TimeoutStopSec, 12s (raise TimeoutStopSec in a drop-in of havipd.service)"#,
        ]
    );
}

#[test]
fn the_cloud_is_reached_safely() {
    says(
        &format!("{BASE}[cloud]\nendpoint = \"http://bcc.bj.baidubce.com\"\n"),
        &[
            r#"havipd.toml:23:12: warning: "http://bcc.bj.baidubce.com" is plain HTTP beyond the private network (requests are signed, yet a session token and every answer can be read; use https://)"#,
        ],
    );
    says(&format!("{BASE}[cloud]\nendpoint = \"http://127.0.0.1:8089\"\n"), &[]);
    says(
        &format!("{BASE}[cloud]\nendpoint = \"http://127.0.0.1:8089\"\nca-file = \"c\"\n"),
        &["havipd.toml:24:11: error: \"ca-file\" has no meaning: the \"endpoint\" of [cloud] is no https URL"],
    );
    says(
        &format!("{BASE}[cloud.credentials]\nsource = \"file\"\n"),
        &[r#"havipd.toml:23:10: error: "source" = "file" needs a "file""#],
    );
    says(
        &format!("{BASE}[cloud.credentials]\nsource = \"env\"\nfile = \"missing\"\n"),
        &[r#"havipd.toml:24:8: warning: "file" is not used with "source" = "env""#],
    );
}

#[test]
fn files_that_this_node_needs_are_looked_at() {
    let text = format!(
        "{BASE}[cloud]\nca-file = \"missing\"\n[cloud.credentials]\nfile = \"missing\"\n[hooks]\nnotify = \"writable\"\nnotify-stop = [\"stop\", \"now\"]\n"
    );
    let expected = [
        "havipd.toml:23:11: error: /etc/havipd/missing: cannot be read: it is not there",
        "havipd.toml:25:8: error: /etc/havipd/missing: cannot be read: No such file or directory",
        r#"havipd.toml:27:10: warning: the hook "/etc/havipd/writable" can be written by others than root"#,
        r#"havipd.toml:28:15: warning: the hook "stop" is not an absolute path, so what runs depends on PATH"#,
    ];
    says(&text, &expected);
    let in_environment = Environment { credentials_in_environment: true, ..on_a() };
    assert!(!said_in(&text, &in_environment).contains(":23:8:"));
    let third = "[[node]]\nname = \"w\"\naddress = \"10.0.0.3\"\nwitness = true\n";
    let witness = Environment { node: Some("w".into()), ..Environment::default() };
    assert_eq!(said_in(&format!("{text}{third}"), &witness), "", "a witness calls neither cloud nor hooks");
}

#[test]
fn keys_are_secret_and_whole() {
    let said = said(&BASE.replacen("\"k\"", "\"missing\"", 1));
    assert_eq!(said, "havipd.toml:13:26: error: /etc/havipd/missing: cannot be read: No such file or directory");
    let credential = BASE.replacen("\"k\"", "\"credential:k\"", 1);
    assert_eq!(
        crate::said(&credential),
        "havipd.toml:13:26: error: \"credential:k\" needs $CREDENTIALS_DIRECTORY, which systemd sets for a unit with \
         LoadCredential=k:..."
    );
    let unit = Environment { credentials_directory: Some("/run/credentials/havipd.service".into()), ..on_a() };
    assert_eq!(said_in(&credential, &unit), "");
}

#[test]
fn a_host_that_is_no_node_yet_waits_only_if_the_file_is_right() {
    let nowhere = Environment { host_name: Some("z".into()), ..Environment::default() };
    match check_in(BASE, &nowhere) {
        Err(LoadError::NotYet { unplaced, .. }) => {
            assert_eq!(unplaced.waiting_for.len(), 2);
            assert_eq!(
                unplaced.to_string(),
                "no [[node]] is this host: none of its addresses is here and none is called \"z\"; \
                 waiting for 10.0.0.1 (a), 10.0.0.2 (b)"
            );
        }
        other => panic!("{other:?}"),
    }
    let wrong = check_in(&with("heartbeat", "port = 0"), &nowhere);
    assert!(matches!(wrong, Err(LoadError::Invalid(_))), "{wrong:?}");
}

#[test]
fn a_ceiling_by_which_audits_come_too_late_is_said_with_its_numbers() {
    let late = [("0.5", "2.0", "1s (while a member is not heard)"), ("0.1", "10.0", "5s (\"audit-interval\")")];
    for (limit, every, wanted) in late {
        let said = said(&format!("{BASE}\n[cloud]\naudit-interval = \"5s\"\nrequests-per-second = {limit}\n"));
        let expected = format!("be read every {every} s at best, not every {wanted}");
        assert!(said.contains("warning: \"requests-per-second\" = ") && said.contains(&expected), "{said}");
    }
    for enough in ["1", "\"adaptive\""] {
        says(&format!("{BASE}\n[cloud]\naudit-interval = \"5s\"\nrequests-per-second = {enough}\n"), &[]);
    }
}

#[test]
fn an_address_that_the_interface_follows_is_a_warning() {
    let there = Environment { losable_addresses: vec!["10.0.0.1".parse().expect("ip")], ..on_a() };
    let warns =
        |text: &str| said_in(text, &there).contains("is where 10.0.0.1 is: should that address be gone for 0.3 s");
    assert!(warns(BASE) && !said(BASE).contains("gone for"));
    assert!(!warns(&with("node", "interface = \"eth0\"")) && !warns(&with("havip", "interface = \"eth0\"")));
    assert!(!warns(&with("havip", "interface = \"none\"")));
}
