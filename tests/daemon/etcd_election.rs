//! An election of havipd's own in a real etcd: one key with a lease, whatever becomes of its holder, of etcd and of the key.

use crate::etcd::{Etcd, Tls, encode, says};
use crate::lab::{Daemon, Lab, Options};
use crate::wait::wait_for;
use serde_json::{Value, json};

const KEY: &str = "/havipd/lab/web";
/// Short, so that a test need not wait long until it ends.
const FAST: &str = "lease = \"4s\"\nrequest-timeout = \"1s\"\n";

fn lab(more: &str) -> (Lab, Etcd) {
    lab_with(more, false, &[])
}

/// With a certificate of etcd's, and arguments of its own.
fn lab_with(more: &str, tls: bool, arguments: &[&str]) -> (Lab, Etcd) {
    let mut lab = electing();
    let tls = tls.then(|| Tls::new(lab.dir.path(), lab.address(20)));
    let etcd = Etcd::start_with(&lab, tls, arguments);
    // The first endpoint is one where nobody answers.
    let nobody = etcd.endpoint().replace(&lab.address(20).to_string(), &lab.address(21).to_string());
    lab.options.tables = format!("[etcd]\nendpoints = [{nobody:?}, {:?}]\n{FAST}{more}", etcd.endpoint());
    lab.write_config();
    (lab, etcd)
}

fn electing() -> Lab {
    electing_of(Options::default())
}

fn electing_of(options: Options) -> Lab {
    let group = "arbiter = \"etcd\"\npreempt = false\n".to_owned();
    Lab::new(Options { group, ..options })
}

fn key(daemon: &Daemon) -> Value {
    daemon.group()["election_key"].take()
}

/// What etcd has: the value and its lease.
fn held(etcd: &Etcd) -> Option<(String, String)> {
    let answer = etcd.must("/v3/kv/range", json!({"key": encode(KEY)}));
    let kv = answer["kvs"].get(0)?;
    let text = |name: &str| kv[name].as_str().unwrap_or_default().to_owned();
    Some((text("value"), text("lease")))
}

fn is_held_by(etcd: &Etcd, node: &str) -> Option<()> {
    held(etcd).filter(|(value, lease)| *value == encode(node) && !lease.is_empty()).map(drop)
}

fn cause(daemon: &Daemon) -> String {
    daemon.group()["cause"].as_str().unwrap_or_default().to_owned()
}

fn active(lab: &Lab, etcd: &Etcd, daemon: &Daemon, node: &str) {
    daemon.wait_role("active");
    wait_for("the key is its own", || is_held_by(etcd, node));
    wait_for("the cloud names it", || lab.holder().filter(|holder| *holder == format!("i-{node}")));
}

#[test]
fn two_nodes_elect_and_a_holder_that_dies_is_replaced_when_its_lease_ends() {
    let (lab, etcd) = lab("");
    let (a, b) = (lab.start(0), lab.start(1));
    active(&lab, &etcd, &a, "a");
    let shown = key(&a);
    assert_eq!((&shown["ours"], &shown["value"]), (&json!(true), &json!("a")), "{shown}");
    assert_eq!(a.group()["epoch"], shown["revision"], "the revision is the epoch");
    b.wait_for("knows whose it is", |s| s["groups"][0]["election_key"]["value"] == "a");
    assert_eq!(key(&b)["ours"], false);
    let status = says(&lab, &["status"]);
    assert!(status.contains(&format!("etcd's {KEY} names a, written at revision ")), "{status}");
    assert!(status.contains("lease of this node for another"), "{status}");
    let why = says(&lab, &["why", "web"]);
    assert!(why.contains("this node's lease lasts for another"), "{why}");
    let doctor = says(&lab, &["doctor"]);
    assert!(doctor.contains(&format!("{KEY} names a")), "{doctor}");

    // A planned move passes the key on.
    let output = says(&lab, &["switchover", "web", "--to", "b"]);
    active(&lab, &etcd, &b, "b");
    a.wait_role("backup");
    assert_eq!((cause(&a), cause(&b)), ("handover-complete".to_owned(), "confirmed".to_owned()), "{output}");
    assert_eq!(b.group()["epoch"], key(&b)["revision"]);

    // b dies, and says nothing.
    b.signal(9);
    active(&lab, &etcd, &a, "a");
    let journal = says(&lab, &["history", "web"]);
    assert!(journal.contains("peer-dead"), "{journal}");
}

#[test]
fn a_stop_gives_the_key_back_and_a_restart_keeps_it() {
    let (lab, etcd) = lab("");
    let (a, mut b) = (lab.start(0), lab.start(1));
    active(&lab, &etcd, &a, "a");
    drop(says(&lab, &["switchover", "web", "--to", "b"]));
    active(&lab, &etcd, &b, "b");
    // In order, with nobody to hand over to but a: at once, and not when a lease ends.
    b.signal(15);
    active(&lab, &etcd, &a, "a");
    assert!(b.ended().success());
    let log = a.log();
    assert!(log.contains("handed-over") || log.contains("hands over"), "{log}");
}

#[test]
fn a_holder_lets_go_when_etcd_is_silent_and_recovers_by_itself() {
    let (lab, mut etcd) = lab("");
    let (a, b) = (lab.start(0), lab.start(1));
    active(&lab, &etcd, &a, "a");
    etcd.signal(rustix::process::Signal::STOP);
    // A lease after the last renewal that was sent.
    let status = a.wait_role("backup");
    assert_eq!(status["groups"][0]["cause"], "lease-lost", "{status}");
    let why = says(&lab, &["why", "web"]);
    assert!(why.contains("etcd cannot be asked"), "{why}");
    assert_ne!(b.group()["role"], "active");
    etcd.signal(rustix::process::Signal::CONT);
    wait_for("one of them leads", || [&a, &b].into_iter().find(|d| d.group()["role"] == "active").map(drop));

    etcd.kill();
    a.wait_for("nobody leads", |s| s["groups"][0]["role"] == "backup");
    b.wait_for("nobody leads", |s| s["groups"][0]["role"] == "backup");
    etcd.restart();
    wait_for("one of them leads", || [&a, &b].into_iter().find(|d| d.group()["role"] == "active").map(drop));
    wait_for("by the key", || held(&etcd).filter(|(_, lease)| !lease.is_empty()).map(drop));
}

#[test]
fn what_somebody_does_by_hand_is_noticed_said_and_overcome() {
    let (lab, etcd) = lab("");
    let (a, b) = (lab.start(0), lab.start(1));
    active(&lab, &etcd, &a, "a");
    let lost = |daemon: &Daemon, text: &str| {
        wait_for(text, || daemon.log().contains(text).then_some(()));
    };

    // Deleted: the first in rank is elected again.
    etcd.must("/v3/kv/deleterange", json!({"key": encode(KEY)}));
    lost(&a, &format!("there is no etcd's {KEY}, and this node did not give it up"));
    active(&lab, &etcd, &a, "a");

    // The lease revoked.
    let (_, lease) = held(&etcd).expect("held");
    etcd.must("/v3/lease/revoke", json!({"ID": lease}));
    wait_for("another lease", || held(&etcd).filter(|(value, now)| *value == encode("a") && *now != lease).map(drop));
    active(&lab, &etcd, &a, "a");

    // Overwritten: nobody leads until that is deleted, and it is said why.
    etcd.must("/v3/kv/put", json!({"key": encode(KEY), "value": encode("mine")}));
    a.wait_role("backup");
    assert_eq!(cause(&a), "lease-lost");
    let why = says(&lab, &["why", "web"]);
    assert!(why.contains("names mine for good: it has no lease"), "{why}");
    assert_ne!(b.group()["role"], "active");
    etcd.must("/v3/kv/deleterange", json!({"key": encode(KEY)}));
    wait_for("one of them leads", || [&a, &b].into_iter().find(|d| d.group()["role"] == "active").map(drop));
}

const PASSWORD: &str = "user = \"havipd\"\npassword-file = \"password\"\n";

fn write_password(lab: &Lab, word: &str) {
    let file = lab.dir.path().join("password");
    std::fs::write(&file, format!("{word}\n")).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

/// What somebody who administers etcd grants the daemons' role.
fn permission(kind: &str) -> Value {
    let perm = json!({"permType": kind, "key": encode("/havipd/"), "range_end": encode("/havipd0")});
    json!({"name": "havipd", "perm": perm})
}

/// What there is to see of a holder that goes on: its role and its epoch.
fn term(daemon: &Daemon) -> (Value, Value) {
    let mut group = daemon.group();
    (group["role"].take(), group["epoch"].take())
}

/// The holder's lease is renewed after now.
fn wait_for_a_renewal(etcd: &Etcd, lease: &str) {
    let left = || {
        let answer = etcd.ask("/v3/kv/lease/timetolive", &json!({"ID": lease}))?;
        answer["TTL"].as_str()?.parse::<u64>().ok()
    };
    let mut before = wait_for("the lease", left);
    wait_for("a renewal", || {
        let now = left()?;
        (now > std::mem::replace(&mut before, now)).then_some(())
    });
}

#[test]
fn it_elects_over_tls_with_a_password_that_is_changed() {
    let files = "ca-file = \"ca.pem\"\ncert-file = \"shown.pem\"\nkey-file = \"shown.key\"\n";
    let (lab, mut etcd) = lab_with(&format!("{files}{PASSWORD}"), true, &[]);
    let show = |name: &str| {
        for kind in ["pem", "key"] {
            let file = |name: &str| lab.dir.path().join(format!("{name}.{kind}"));
            std::fs::copy(file(name), file("shown")).unwrap();
        }
    };
    show("named");
    write_password(&lab, "right");
    etcd.enable_auth();
    etcd.must("/v3/auth/role/grant", permission("READWRITE"));
    let (a, b) = (lab.start(0), lab.start(1));
    let common_name = "no certificate that has a common name";
    wait_for("it is said why", || says(&lab, &["why", "web"]).contains(common_name).then_some(()));
    wait_for("the doctor says so", || says(&lab, &["doctor"]).contains(common_name).then_some(()));
    show("client");
    active(&lab, &etcd, &a, "a");
    drop(says(&lab, &["switchover", "web", "--to", "b"]));
    active(&lab, &etcd, &b, "b");
    let doctor = says(&lab, &["doctor"]);
    assert!(doctor.contains(&format!("{KEY} names b")), "{doctor}");

    // Changed in etcd alone: nobody can ask it, and nobody leads for longer than the lease.
    etcd.must("/v3/auth/user/changepw", json!({"name": "havipd", "password": "another"}));
    b.wait_for("has no lease any more", |s| s["groups"][0]["role"] == "backup");
    wait_for("it says why", || says(&lab, &["why", "web"]).contains("knows no user \"havipd\"").then_some(()));
    write_password(&lab, "another");
    wait_for("one of them leads", || [&a, &b].into_iter().find(|d| d.group()["role"] == "active").map(drop));
}

#[test]
fn three_members_of_etcd_die_stand_still_and_come_back() {
    let mut lab = electing();
    let mut members = Etcd::three(&lab);
    let endpoints: Vec<String> = members.iter().map(Etcd::endpoint).collect();
    lab.options.tables = format!("[etcd]\nendpoints = {endpoints:?}\nlease = \"10s\"\nrequest-timeout = \"1s\"\n");
    lab.write_config();
    let (a, b) = (lab.start(0), lab.start(1));
    active(&lab, &members[0], &a, "a");
    let (before, (_, lease)) = (term(&a), held(&members[0]).expect("held"));
    let leader = |members: &[Etcd; 3]| wait_for("etcd has a leader", || members.iter().position(Etcd::leads));

    // Its leader dies, and comes back.
    let first = leader(&members);
    members[first].kill();
    wait_for_a_renewal(&members[(first + 1) % 3], &lease);
    assert_eq!(term(&a), before);
    members[first].restart();

    // The next one stands still: it takes connections, and answers nothing.
    let second = leader(&members);
    members[second].signal(rustix::process::Signal::STOP);
    wait_for_a_renewal(&members[(second + 1) % 3], &lease);
    assert_eq!(term(&a), before);
    members[second].signal(rustix::process::Signal::CONT);
    members[second].wait_until_it_answers();

    // One alone confirms nothing, whatever it knows.
    for member in &members[1..] {
        member.signal(rustix::process::Signal::STOP);
    }
    let status = a.wait_role("backup");
    assert_eq!(status["groups"][0]["cause"], "lease-lost", "{status}");
    assert_ne!(b.group()["role"], "active");
    for member in &members[1..] {
        member.signal(rustix::process::Signal::CONT);
    }
    wait_for("one of them leads", || [&a, &b].into_iter().find(|d| d.group()["role"] == "active").map(drop));
}

#[test]
fn a_full_etcd_keeps_its_holder_and_elects_again_when_there_is_room() {
    let (lab, etcd) = lab_with("", false, &["--quota-backend-bytes", "2097152"]);
    let (a, b) = (lab.start(0), lab.start(1));
    active(&lab, &etcd, &a, "a");
    let (before, (_, lease)) = (term(&a), held(&etcd).expect("held"));
    let value = encode(&"x".repeat(200_000));
    wait_for("etcd is full", || {
        let put = etcd.ask("/v3/kv/put", &json!({"key": encode("/else"), "value": value}));
        put.is_none().then_some(())
    });
    // Leases are renewed, and keys are read.
    wait_for_a_renewal(&etcd, &lease);
    assert_eq!(term(&a), before);

    // Nobody can take its place, and it is said why.
    a.signal(9);
    wait_for("b says why", || {
        let said = says_of(&lab, 1, &["why", "web"]);
        said.contains("etcd's database is full").then_some(())
    });
    assert_ne!(b.group()["role"], "active");
    let answer = etcd.must("/v3/kv/range", json!({"key": encode("/else")}));
    etcd.must("/v3/kv/compaction", json!({"revision": answer["header"]["revision"], "physical": true}));
    etcd.must("/v3/maintenance/defragment", json!({}));
    let alarms = etcd.must("/v3/maintenance/alarm", json!({"action": "GET"}));
    let member = &alarms["alarms"][0]["memberID"];
    etcd.must("/v3/maintenance/alarm", json!({"action": "DEACTIVATE", "alarm": "NOSPACE", "memberID": member}));
    active(&lab, &etcd, &b, "b");
}

/// What etcd was asked: requests that renew leases, and renewals in them.
fn asked(etcd: &Etcd) -> [u64; 2] {
    let page = wait_for("etcd tells its metrics", || etcd.metrics());
    let sum = |name: &str| {
        let of = page.lines().filter(|l| l.starts_with(name) && l.contains("grpc_method=\"LeaseKeepAlive\""));
        of.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64
    };
    [sum("grpc_server_started_total{"), sum("grpc_server_msg_received_total{")]
}

#[test]
fn many_groups_ask_together() {
    const MORE: u16 = 47;
    // A pause of this machine moves nothing meanwhile.
    let (dead_multiplier, cold_start_wait) = (Some(100), Some("6s"));
    let mut lab = electing_of(Options { more_groups: MORE, dead_multiplier, cold_start_wait, ..Options::default() });
    let etcd = Etcd::start(&lab, None);
    let endpoint = etcd.endpoint();
    lab.options.tables = format!("[etcd]\nendpoints = [{endpoint:?}]\nlease = \"10s\"\nrequest-timeout = \"2s\"\n");
    lab.write_config();
    let (_a, _b) = (lab.start(0), lab.start(1));
    let all = json!({"key": encode("/havipd/lab/"), "range_end": encode("/havipd/lab0"), "count_only": true});
    wait_for("each group has its key", || {
        let count = etcd.must("/v3/kv/range", all.clone())["count"].take();
        (count == json!((MORE + 1).to_string())).then_some(())
    });
    let before = asked(&etcd);
    let enough = 3 * u64::from(MORE + 1);
    let [requests, renewals] = wait_for("leases are renewed", || {
        let now = asked(&etcd);
        let since: [u64; 2] = std::array::from_fn(|i| now[i] - before[i]);
        (since[1] >= enough).then_some(since)
    });
    // Asked for one by one, there would be as many requests as there are renewals.
    assert!(requests * 2 < renewals, "{requests} requests for {renewals} renewals");
}

/// What `havipctl` of a node prints.
fn says_of(lab: &Lab, node: usize, arguments: &[&str]) -> String {
    String::from_utf8_lossy(&lab.ctl(node, arguments).stdout).into_owned()
}

#[test]
fn who_may_not_write_the_key_is_told_so() {
    let (lab, mut etcd) = lab(PASSWORD);
    write_password(&lab, "right");
    etcd.enable_auth();
    etcd.must("/v3/auth/role/grant", permission("READ"));
    let a = lab.start(0);
    a.wait_for("is told", |s| {
        s["groups"][0]["election_key"]["trouble"]
            .as_str()
            .is_some_and(|t| t.contains("does not permit \"havipd\" to read and write"))
            || s["groups"][0]["waiting"].as_str().is_some_and(|t| t.contains("was not heard since the start"))
    });
    wait_for("the doctor says so", || {
        says(&lab, &["doctor"])
            .contains(&format!("etcd does not permit \"havipd\" to read and write {KEY}"))
            .then_some(())
    });
    etcd.must("/v3/auth/role/grant", permission("READWRITE"));
    active(&lab, &etcd, &a, "a");
}
