//! The last column of the reference, key by key.

use crate::{BASE, check_in, good, on_a, with};
use havipd::config::schema::{KEYS, Kind, Reload, Section};
use havipd::config::{Environment, diff};

use Reload::{Accept as A, Maintenance as M, Restart as R};

/// Section, key, class, and the two lines between which a reload changes.
#[rustfmt::skip]
const ROWS: &[(Section, &str, Reload, &str, &str)] = &[
    (Section::Cluster, "name", R, "name = \"c\"", "name = \"d\""),
    (Section::Node, "name", R, "name = \"b\"", "name = \"x\""),
    (Section::Node, "address", A, "address = \"10.0.0.2\"", "address = \"10.0.0.3\""),
    (Section::Node, "instance", M, "#node", "instance = \"i-1\""),
    (Section::Node, "eni", M, "#node", "eni = \"eni-1\""),
    (Section::Node, "interface", A, "#node", "interface = \"eth1\""),
    (Section::Node, "priority", A, "#node", "priority = 7"),
    (Section::Node, "witness", M, "#node-b", "witness = true"),
    (Section::Heartbeat, "port", R, "#heartbeat", "port = 5"),
    (Section::Heartbeat, "interval", M, "#heartbeat", "interval = \"1s\""),
    (Section::Heartbeat, "dead-multiplier", M, "#heartbeat", "dead-multiplier = 20"),
    (Section::Heartbeat, "keys", A, "file = \"k\"", "file = \"k2\""),
    (Section::Heartbeat, "send-key", A, "file = \"k\" }]", "file = \"k\" }, { id = 2, file = \"k2\" }]\nsend-key = 2"),
    (Section::Heartbeat, "cold-start-wait", A, "#heartbeat", "cold-start-wait = \"1m\""),
    (Section::Heartbeat, "fabric-probe", A, "#heartbeat", "fabric-probe = false"),
    (Section::Cloud, "region", R, "#root", "[cloud]\nregion = \"bj\""),
    (Section::Cloud, "endpoint", R, "#root", "[cloud]\nendpoint = \"https://h\""),
    (Section::Cloud, "metadata-endpoint", R, "#root", "[cloud]\nmetadata-endpoint = \"http://h\""),
    (Section::Cloud, "ca-file", A, "#root", "[cloud]\nca-file = \"ca.pem\""),
    (Section::Cloud, "connect-timeout", A, "#root", "[cloud]\nconnect-timeout = \"2s\""),
    (Section::Cloud, "request-timeout", A, "#root", "[cloud]\nrequest-timeout = \"2s\""),
    (Section::Cloud, "operation-timeout", A, "#root", "[cloud]\noperation-timeout = \"9s\""),
    (Section::Cloud, "audit-interval", A, "#root", "[cloud]\naudit-interval = \"2s\""),
    (Section::Cloud, "requests-per-second", A, "#root", "[cloud]\nrequests-per-second = 2.5"),
    (Section::Credentials, "source", A, "#root", "[cloud.credentials]\nsource = \"env\""),
    (Section::Credentials, "file", A, "#root", "[cloud.credentials]\nfile = \"f\""),
    (Section::Group, "name", R, "name = \"g\"", "name = \"h\""),
    (Section::Group, "nodes", M, "#group", "nodes = [\"a\"]"),
    (Section::Group, "arbiter", M, "#group", "arbiter = \"keepalived\"\n[keepalived]"),
    (Section::Group, "checks", A, "#group", "checks = [\"k\"]"),
    (Section::Group, "priorities", A, "#group", "priorities = { a = 7 }"),
    (Section::Group, "preempt", A, "#group", "preempt = false"),
    (Section::Group, "preempt-delay", A, "#group", "preempt-delay = \"1s\""),
    (Section::Group, "on-stop", A, "#group", "on-stop = \"keep\""),
    (Section::Group, "on-restart", A, "#group", "on-restart = \"handover\""),
    (Section::Group, "keep-for", M, "#group", "keep-for = \"9s\""),
    (Section::Group, "handover-timeout", A, "#group", "handover-timeout = \"9s\""),
    (Section::Group, "when-isolated", A, "#group", "when-isolated = \"release\""),
    (Section::Group, "when-all-fail", A, "#group", "when-all-fail = \"release\""),
    (Section::Group, "max-moves", A, "#group", "max-moves = 0"),
    (Section::Group, "max-moves-window", A, "#group", "max-moves-window = \"1h\""),
    (Section::Group, "reclaim-wait", A, "#group", "reclaim-wait = \"1h\""),
    (Section::Group, "vrrp", A, "#group", "vrrp = \"VI_1\""),
    (Section::Group, "before-active", A, "#group", "before-active = [\"/x\"]"),
    (Section::Group, "before-active-timeout", A, "#group", "before-active-timeout = \"1s\""),
    (Section::Group, "before-release", A, "#group", "before-release = [\"/x\"]"),
    (Section::Group, "before-release-timeout", A, "#group", "before-release-timeout = \"1s\""),
    (Section::Group, "before-release-failed", A, "#group", "before-release-failed = \"continue\""),
    (Section::Group, "observe", A, "#group", "observe = true"),
    (Section::Havip, "id", M, "id = \"havip-1\"", "id = \"havip-2\""),
    (Section::Havip, "binding", M, "#havip", "binding = \"shared\""),
    (Section::Havip, "address", A, "#havip", "address = \"10.0.0.9\""),
    (Section::Havip, "interface", A, "#havip", "interface = \"eth1\""),
    (Section::Havip, "strangers", A, "#havip", "strangers = \"refuse\""),
    (Section::LocalAddress, "lifetime", A, "#root", "[local-address]\nlifetime = \"9s\""),
    (Section::LocalAddress, "announce-count", A, "#root", "[local-address]\nannounce-count = 9"),
    (Section::LocalAddress, "announce-interval", A, "#root", "[local-address]\nannounce-interval = \"9ms\""),
    (Section::LocalAddress, "announce-refresh", A, "#root", "[local-address]\nannounce-refresh = \"9s\""),
    (Section::Hooks, "notify", A, "#root", "[hooks]\nnotify = \"n\""),
    (Section::Hooks, "notify-master", A, "#root", "[hooks]\nnotify-master = \"n\""),
    (Section::Hooks, "notify-backup", A, "#root", "[hooks]\nnotify-backup = \"n\""),
    (Section::Hooks, "notify-fault", A, "#root", "[hooks]\nnotify-fault = \"n\""),
    (Section::Hooks, "notify-stop", A, "#root", "[hooks]\nnotify-stop = \"n\""),
    (Section::Hooks, "timeout", A, "#root", "[hooks]\ntimeout = \"9s\""),
    // For a check, the whole table before and after.
    (Section::Check, "name", A, r#"name = "k"
http = "http://h/""#, r#"name = "l"
http = "http://h/""#),
    (Section::Check, "script", A, r#"name = "k"
http = "http://h/""#, r#"name = "k"
script = ["/x"]"#),
    (Section::Check, "tcp", A, r#"name = "k"
http = "http://h/""#, r#"name = "k"
tcp = "127.0.0.1:1""#),
    (Section::Check, "process", A, r#"name = "k"
http = "http://h/""#, r#"name = "k"
process = "p""#),
    (Section::Check, "pidfile", A, r#"name = "k"
http = "http://h/""#, r#"name = "k"
pidfile = "/p""#),
    (Section::Check, "unit", A, r#"name = "k"
http = "http://h/""#, r#"name = "k"
unit = "u.service""#),
    (Section::Check, "link", A, r#"name = "k"
http = "http://h/""#, r#"name = "k"
link = "eth0""#),
    (Section::Check, "file", A, r#"name = "k"
http = "http://h/""#, r#"name = "k"
file = "/f""#),
    (Section::Check, "ping", A, r#"name = "k"
http = "http://h/""#, r#"name = "k"
ping = ["10.0.0.1"]"#),
    (Section::Check, "http", A, r#"name = "k"
http = "http://h/""#, r#"name = "k"
http = "http://i/""#),
    (Section::Check, "nodes", A, r#"name = "k"
http = "http://h/""#, r#"name = "k"
http = "http://h/"
nodes = ["a"]"#),
    (Section::Check, "interval", A, r#"name = "k"
http = "http://h/""#, r#"name = "k"
http = "http://h/"
interval = "2s""#),
    (Section::Check, "timeout", A, r#"name = "k"
http = "http://h/""#, r#"name = "k"
http = "http://h/"
timeout = "500ms""#),
    (Section::Check, "fall", A, r#"name = "k"
http = "http://h/""#, r#"name = "k"
http = "http://h/"
fall = 4"#),
    (Section::Check, "rise", A, r#"name = "k"
http = "http://h/""#, r#"name = "k"
http = "http://h/"
rise = 4"#),
    (Section::Check, "retry-interval", A, r#"name = "k"
http = "http://h/""#, r#"name = "k"
http = "http://h/"
retry-interval = "500ms""#),
    (Section::Check, "initial", A, r#"name = "k"
http = "http://h/""#, r#"name = "k"
http = "http://h/"
initial = "up""#),
    (Section::Check, "weight", A, r#"name = "k"
http = "http://h/""#, r#"name = "k"
http = "http://h/"
weight = -120"#),
    (Section::Check, "on-error", A, r#"name = "k"
http = "http://h/""#, r#"name = "k"
http = "http://h/"
on-error = "fail""#),
    (Section::Check, "status", A, r#"name = "k"
http = "http://h/""#, r#"name = "k"
http = "http://h/"
status = "200""#),
    (Section::Check, "body", A, r#"name = "k"
http = "http://h/""#, r#"name = "k"
http = "http://h/"
body = "x""#),
    (Section::Check, "host", A, r#"name = "k"
http = "http://h/""#, r#"name = "k"
http = "http://h/"
host = "x""#),
    (Section::Check, "headers", A, r#"name = "k"
http = "http://h/""#, r#"name = "k"
http = "http://h/"
headers = { A = "b" }"#),
    (Section::Check, "tls-verify", A, r#"name = "k"
http = "https://h/""#, r#"name = "k"
http = "https://h/"
tls-verify = false"#),
    (Section::Check, "ca-file", A, r#"name = "k"
http = "https://h/""#, r#"name = "k"
http = "https://h/"
ca-file = "/c""#),
    (Section::Check, "cert-file", A, r#"name = "k"
http = "https://h/"
cert-file = "/c"
key-file = "/k""#, r#"name = "k"
http = "https://h/"
cert-file = "/d"
key-file = "/k""#),
    (Section::Check, "key-file", A, r#"name = "k"
http = "https://h/"
cert-file = "/c"
key-file = "/k""#, r#"name = "k"
http = "https://h/"
cert-file = "/c"
key-file = "/l""#),
    (Section::Check, "quorum", A, r#"name = "k"
ping = ["10.0.0.1", "10.0.0.2"]"#, r#"name = "k"
ping = ["10.0.0.1", "10.0.0.2"]
quorum = 2"#),
    (Section::Metrics, "listen", A, "#root", "[metrics]\nlisten = \"off\""),
    (Section::Daemon, "doctor-interval", A, "#root", "[daemon]\ndoctor-interval = \"5m\""),
    (Section::Daemon, "history-size", A, "#root", "[daemon]\nhistory-size = \"2MiB\""),
    (Section::Daemon, "realtime-priority", R, "#root", "[daemon]\nrealtime-priority = 10"),
    (Section::Daemon, "lock-memory", R, "#root", "[daemon]\nlock-memory = true"),
    (Section::Keepalived, "fifo", A, "#root", "[keepalived]\nfifo = \"/run/f\""),
    (Section::Keepalived, "pid-file", A, "#root", "[keepalived]\npid-file = \"/run/p\""),
    (Section::Group, "leader-key", A, "#group", "leader-key = \"/k\""),
    (Section::Group, "leader-value", A, "#group", "leader-key = \"/k\"\nleader-value = { a = \"pg-1\" }"),
    (Section::Etcd, "endpoints", A, "#root", "[etcd]\nendpoints = [\"http://10.0.0.1:2379\"]"),
    (Section::Etcd, "prefix", R, "#root", "[etcd]\nendpoints = [\"http://10.0.0.1:2379\"]\nprefix = \"/x\""),
    (Section::Etcd, "lease", A, "#root", "[etcd]\nendpoints = [\"http://10.0.0.1:2379\"]\nlease = \"20s\""),
    (Section::Etcd, "request-timeout", A, "#root", "[etcd]\nendpoints = [\"http://10.0.0.1:2379\"]\nrequest-timeout = \"2s\""),
    (Section::Etcd, "ca-file", A, "#root", "[etcd]\nendpoints = [\"https://h\"]\nca-file = \"ca.pem\""),
    (Section::Etcd, "cert-file", A, "#root", "[etcd]\nendpoints = [\"https://h\"]\ncert-file = \"c.pem\"\nkey-file = \"k.pem\""),
    (Section::Etcd, "key-file", A, "#root", "[etcd]\nendpoints = [\"https://h\"]\ncert-file = \"c.pem\"\nkey-file = \"k.pem\""),
    (Section::Etcd, "user", A, "#root", "[etcd]\nendpoints = [\"https://h\"]\nuser = \"u\"\npassword-file = \"p\""),
    (Section::Etcd, "password-file", A, "#root", "[etcd]\nendpoints = [\"https://h\"]\nuser = \"u\"\npassword-file = \"p\""),
    (Section::Log, "level", A, "#root", "[log]\nlevel = \"trace\""),
    (Section::Log, "format", A, "#root", "[log]\nformat = \"json\""),
];

fn changed(line: &str, to: &str) -> String {
    assert!(BASE.contains(line), "{line}");
    BASE.replacen(&format!("{line}\n"), &format!("{to}\n"), 1).replacen(
        line,
        to,
        usize::from(!BASE.contains(&format!("{line}\n"))),
    )
}

fn checked(check: &str) -> String {
    format!("{BASE}[[check]]\n{check}\n")
}

#[test]
fn every_key_has_its_class_both_ways() {
    for (section, name, class, before, after) in ROWS {
        let (old, new) = match section {
            Section::Check => (good(&checked(before)), good(&checked(after))),
            Section::Group if *name == "checks" => {
                let base = checked("name = \"k\"\nprocess = \"p\"");
                (good(&base), good(&base.replacen(before, after, 1)))
            }
            _ => (good(BASE), good(&changed(before, after))),
        };
        for (from, to) in [(&old, &new), (&new, &old)] {
            let running = diff(from, to, &|_| false);
            let frozen = diff(from, to, &|_| true);
            assert_eq!(running.is_ok(), *class == A, "{section} {name}: {running:?}");
            assert_eq!(frozen.is_ok(), *class != R, "{section} {name}: {frozen:?}");
            if let Ok(changes) = &frozen {
                assert!(
                    changes.0.iter().any(|c| (c.section, c.name) == (*section, *name)),
                    "{section} {name}: {changes:?}"
                );
            }
        }
        let unchanged = diff(&new, &new, &|_| false).expect("nothing to refuse");
        assert!(unchanged.is_empty());
    }
}

#[test]
fn every_key_is_tried_and_the_table_says_the_same() {
    for key in KEYS {
        if matches!(key.section, Section::Root | Section::HeartbeatKey)
            || matches!(key.kind, Kind::Later | Kind::Table(_) | Kind::Tables(..))
        {
            continue;
        }
        let row = ROWS.iter().find(|r| (r.0, r.1) == (key.section, key.name));
        assert_eq!(row.map(|r| r.2), Some(key.reload), "{} {}", key.section, key.name);
    }
}

#[track_caller]
fn refused(old: &str, new: &str, expected: &[&str]) {
    assert_eq!(diff(&good(old), &good(new), &|_| false).expect_err("refused"), expected);
}

#[test]
fn refusals_name_the_key_the_values_and_what_it_takes() {
    refused(
        BASE,
        &with("heartbeat", "port = 5\ninterval = \"1s\"").replacen("name = \"c\"", "name = \"d\"", 1),
        &[
            "\"name\" in [cluster] changes from c to d: this takes a restart",
            "\"interval\" in [heartbeat] changes from 300ms to 1s: this takes cluster-wide maintenance of group g \
             (havipctl maintenance GROUP on for it)",
            "\"port\" in [heartbeat] changes from 11200 to 5: this takes a restart",
        ],
    );
    refused(
        BASE,
        &with("group", "arbiter = \"keepalived\"\n[keepalived]"),
        &[
            "\"arbiter\" of group \"g\" changes from cloud to keepalived: this takes cluster-wide maintenance of group g \
           (havipctl maintenance GROUP on for it)",
        ],
    );
    refused(
        BASE,
        &format!("{BASE}[[node]]\nname = \"z\"\naddress = \"10.0.0.9\"\n").replacen(
            "#group",
            "nodes = [\"a\", \"b\"]",
            1,
        ),
        &["the list of [[node]] changes from a, b to a, b, z: this takes a restart"],
    );
    let second = "[[group.havip]]\nid = \"havip-2\"\n";
    refused(
        BASE,
        &format!("{BASE}{second}"),
        &["the list of HAVIPs of group \"g\" changes from havip-1 to havip-1, havip-2: this takes cluster-wide \
           maintenance of group g (havipctl maintenance GROUP on for it)"],
    );
}

#[test]
fn a_node_needs_maintenance_only_of_the_groups_it_is_in() {
    let two = format!(
        "{}[[group]]\nname = \"h\"\nnodes = [\"b\"]\n[[group.havip]]\nid = \"havip-2\"\n",
        with("group", "nodes = [\"a\"]")
    );
    let other = two.replacen("#node\n", "instance = \"i-9\"\n", 1);
    let (old, new) = (good(&two), good(&other));
    assert!(diff(&old, &new, &|group| group.as_str() == "g").is_ok());
    assert!(diff(&old, &new, &|group| group.as_str() == "h").is_err());
}

#[test]
fn what_all_must_agree_on_needs_maintenance_only_of_the_groups_this_node_is_in() {
    let two = format!(
        "{}[[group]]\nname = \"h\"\nnodes = [\"b\"]\n[[group.havip]]\nid = \"havip-2\"\n",
        with("group", "nodes = [\"a\"]")
    );
    let slower = two.replacen("#heartbeat\n", "interval = \"1s\"\n", 1);
    let (old, new) = (good(&two), good(&slower));
    assert!(diff(&old, &new, &|group| group.as_str() == "g").is_ok());
    assert!(diff(&old, &new, &|group| group.as_str() == "h").is_err());
}

#[test]
fn another_node_of_the_same_file_is_another_daemon() {
    let on_b = Environment { node: Some("b".into()), ..Environment::default() };
    let (a, b) = (check_in(BASE, &on_a()).expect("a").config, check_in(BASE, &on_b).expect("b").config);
    assert_eq!(
        diff(&a, &b, &|_| true).expect_err("refused"),
        ["this node would be \"b\" instead of \"a\": this takes a restart"]
    );
}

#[test]
fn a_changed_key_is_noticed_and_not_shown() {
    let (old, new) = (good(BASE), good(&changed("file = \"k\"", "file = \"k2\"")));
    let changes = diff(&old, &new, &|_| false).expect("accepted");
    assert_eq!(changes.0.len(), 1);
    assert!(changes.touches(Section::Heartbeat));
    assert_eq!(
        changes.0[0].text,
        "\"keys\" in [heartbeat] changes from 1 (and what is in their files) to 1 (and what is in their files)"
    );
}
