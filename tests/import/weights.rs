//! The arithmetic of weights, against keepalived's own: it tracks scripts, files, processes and links with weights of every kind and
//! says what priority each instance has by that; the checks that the same file becomes have to come to the same.

use crate::promise::filled;
use havipd::config::check::{Source, check};
use havipd::config::{Disk, Environment};
use havipd_core::health::{Judge, Reading, combine};
use havipd_core::model::secret::Secret;
use havipd_core::model::settings::{Config, Probe};
use havipd_core::model::time::Instant;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What instances track: what kind, what it is called, and what stands behind it.
const CASES: &[&[(&str, &str, &str)]] = &[
    &[("script", "good", "")],
    &[("script", "bad", "")],
    &[("script", "good", "weight 10")],
    &[("script", "bad", "weight 10")],
    &[("script", "good", "weight -10")],
    &[("script", "bad", "weight -10")],
    &[("script", "good", "weight 10 reverse")],
    &[("script", "bad", "weight 10 reverse")],
    &[("script", "good", "weight -10 reverse")],
    &[("script", "bad", "weight -10 reverse")],
    &[("script", "good", "weight 0 reverse")],
    &[("script", "bad", "weight 0 reverse")],
    &[("script", "good", "weight 253")],
    &[("script", "bad", "weight -253")],
    &[("script", "good", "weight 10"), ("script", "bad", "weight -30"), ("file", "three", "weight 2")],
    &[("script", "good", "weight 253"), ("file", "three", "weight -80")],
    &[("file", "three", "")],
    &[("file", "three", "weight 0")],
    &[("file", "three", "weight 5")],
    &[("file", "three", "weight -5")],
    &[("file", "three", "weight 5 reverse")],
    &[("file", "three", "weight -5 reverse")],
    &[("file", "three", "weight 100")],
    &[("file", "none", "weight 0")],
    &[("file", "none", "weight 5")],
    &[("process", "gone", "")],
    &[("process", "gone", "weight 10")],
    &[("process", "gone", "weight -10")],
    &[("interface", "eth1", "weight 10")],
    &[("interface", "eth1", "weight -10")],
    &[("interface", "eth2", "weight 10")],
    &[("interface", "eth2", "weight -10")],
    &[("interface", "eth2", "")],
];

/// Runs keepalived until every script has run, and prints what it says of its instances.
const RUN: &str = r#"
mount -t tmpfs none /run && cp "$1" /run/weights.conf && mount -t tmpfs none /tmp && echo 3 >/tmp/three
ip link add eth0 type veth peer name eth1 && ip link add eth2 type veth peer name eth3
ip link set eth0 up && ip link set eth1 up && ip addr add 10.0.0.1/24 dev eth0 && ip addr add 10.0.1.1/24 dev eth1
keepalived -n -l -D -f /run/weights.conf >/run/log 2>&1 &
keepalived=$!
data=
for try in $(seq 200); do
    sleep 0.1
    # Until both scripts have run, a signal may come before anybody handles it.
    grep -q 'VRRP_Script(good) succeeded' /run/log && grep -q 'VRRP_Script(bad) failed' /run/log || continue
    # It writes the file anew for each signal.
    kill -USR1 $keepalived
    data=$(cat /tmp/keepalived.data 2>/dev/null)
    case $data in *"State = INIT"*) ;; *"VRRP Script = bad"*) break ;; esac
done
printf '%s\n' "$data"
kill -TERM $keepalived
wait $keepalived
"#;

/// How an instance stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Fault,
    Priority(i32),
}

fn file() -> String {
    let mut text = String::from(
        "global_defs {\n router_id n1\n script_user root\n}\n\
         vrrp_script good {\n script \"/bin/true\"\n}\nvrrp_script bad {\n script \"/bin/false\"\n}\n\
         track_file three {\n file /tmp/three\n}\ntrack_file none {\n file /tmp/none\n}\n\
         vrrp_track_process gone {\n process no-such-one\n}\n",
    );
    for (i, tracks) in (1..).zip(CASES) {
        let _ = write!(
            text,
            "vrrp_instance V{i} {{\n interface eth0\n virtual_router_id {i}\n priority 100\n \
             virtual_ipaddress {{\n  10.0.0.{}\n }}\n",
            100 + i
        );
        for kind in ["script", "file", "process", "interface"] {
            let lines =
                tracks.iter().filter(|(k, _, _)| *k == kind).map(|(_, name, rest)| format!("  {name} {rest}\n"));
            let lines: String = lines.collect();
            if !lines.is_empty() {
                let _ = write!(text, " track_{kind} {{\n{lines} }}\n");
            }
        }
        text.push_str("}\n");
    }
    text
}

/// What keepalived makes of it.
fn judged(path: &Path) -> BTreeMap<String, Standing> {
    let output = Command::new("unshare")
        .args(["--net", "--mount", "--propagation", "private", "sh", "-c", RUN, "sh"])
        .arg(path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (mut all, mut name, mut state) = (BTreeMap::new(), String::new(), String::new());
    for line in text.lines() {
        match line.trim().split_once(" = ") {
            Some(("VRRP Instance", value)) => value.clone_into(&mut name),
            Some(("State", value)) => value.clone_into(&mut state),
            Some(("Effective priority", value)) => {
                let standing =
                    if state == "FAULT" { Standing::Fault } else { Standing::Priority(value.parse().unwrap()) };
                all.insert(name.clone(), standing);
            }
            _ => {}
        }
    }
    assert_eq!(all.len(), CASES.len(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    all
}

struct EveryFile;

impl Disk for EveryFile {
    fn secret(&self, _: &Path) -> Result<Secret, String> {
        Ok(Secret::from("a".repeat(64)))
    }

    fn readable(&self, _: &Path) -> Result<(), String> {
        Ok(())
    }

    fn objection(&self, _: &Path) -> Option<String> {
        None
    }
}

fn imported(path: &Path) -> Config {
    let output =
        Command::new(env!("CARGO_BIN_EXE_havipctl")).arg("import").arg(format!("n1={}", path.display())).output();
    let text = filled(&String::from_utf8(output.unwrap().stdout).unwrap());
    let source = Source { name: "havipd.toml", directory: Path::new("/etc/havipd"), text: &text };
    let env = Environment { node: Some("n1".to_owned()), ..Environment::default() };
    match check(source, &env, &EveryFile) {
        Ok(loaded) => loaded.config,
        Err(error) => panic!("{error}\n{text}"),
    }
}

/// What is seen where keepalived was run: programs are run here as well.
fn seen(probe: &Probe) -> Reading {
    let well = match probe {
        Probe::Script(argv) => Command::new(&argv[0]).args(&argv[1..]).status().unwrap().success(),
        Probe::File(path) => return Reading::Value(if path.ends_with("three") { 3 } else { 0 }),
        Probe::Link(name) => name == "eth1",
        Probe::Process(_) => false,
        other => panic!("{other:?} is nothing of keepalived's"),
    };
    if well { Reading::Passed } else { Reading::Failed }
}

#[test]
fn weights_come_to_what_they_come_to_with_keepalived() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("n1.conf");
    fs::write(&path, file()).unwrap();
    let (judged, config) = (judged(&path), imported(&path));
    let mut wrong = Vec::new();
    for (i, tracks) in (1..).zip(CASES) {
        let name = format!("V{i}");
        let group = config.groups.iter().find(|g| g.name.as_str() == name).unwrap();
        let judges: Vec<Judge> = group
            .checks
            .iter()
            .filter_map(|name| config.check_named(name))
            .map(|check| {
                let mut judge = Judge::new(check.rule, Instant::from_nanos(0));
                judge.record(Instant::from_nanos(0), seen(&check.probe));
                judge
            })
            .collect();
        let health = combine(&judges);
        let ours = if health.failed {
            Standing::Fault
        } else {
            Standing::Priority((100 + i32::from(health.weight)).clamp(1, 254))
        };
        if ours != judged[&name] {
            wrong.push(format!("{tracks:?}: {ours:?} here, {:?} with keepalived", judged[&name]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
