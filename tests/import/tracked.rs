//! What keepalived does with what it tracks while it runs, where havipd does the same or says in what it differs: docs/checks.md has the
//! table, and this is what its rows about keepalived rest on.

use crate::script::script;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

/// Scripts: what they are called, what they do, and keys besides.
const SCRIPTS: &[(&str, &str, &str)] = &[
    ("well", "exit 0", "timeout 30"),
    // Each run is counted.
    ("counts", "echo >>DIR/count", "timeout 30"),
    ("hangs", "exec sleep 1000", ""),
    ("hangs-longer", "exec sleep 1000", "timeout 3"),
    // It is taken away while a run of it is held up: a run that begins would not find it, or would find it and not be able to read it.
    ("vanishes", "test ! -e DIR/hold || : >DIR/held\nwhile test -e DIR/hold; do sleep 0.1; done", "timeout 30"),
    // It has its first result when it may end.
    ("late", "while test ! -e DIR/go; do sleep 0.1; done", "timeout 60"),
    ("late-down", "while test ! -e DIR/go; do sleep 0.1; done", "timeout 60\n init_fail"),
];
/// Scripts that are not there, and cannot be run.
const NONE: &[&str] = &["missing", "not-executable"];

/// Runs keepalived in a directory: twice what it says of its instances, before and after `go` is there, and its log.
const RUN: &str = r#"
cd "$1" || exit 1
mount -t tmpfs none /run
ip link add eth0 type veth peer name eth1 && ip link set eth0 up && ip link set eth1 up && ip addr add 10.0.0.1/24 dev eth0
keepalived -n -l -D -f "$1/tracked.conf" >log 2>&1 &
keepalived=$!
until_said() { for try in $(seq 300); do grep -q "$1" log && return; sleep 0.1; done; echo "never said: $1"; cat log; kill $keepalived; exit 1; }
runs() { wc -l <count; }
until_run() { wanted=$(($(runs) + $1)); for try in $(seq 300); do test $(runs) -ge $wanted && return; sleep 0.1; done; }
data() {
    rm -f /tmp/keepalived.data
    kill -USR1 $keepalived
    for try in $(seq 100); do
        sleep 0.1
        grep -q 'VRRP Script = well' /tmp/keepalived.data 2>/dev/null && break
    done
    sed "s/^/$1 /" /tmp/keepalived.data
}
mount -t tmpfs none /tmp
until_said 'VRRP_Script(vanishes) succeeded'
# Which of the two it says depends on whether the end that it caused was seen first.
until_said 'VRRP_Script(hangs) \(timed_out\|failed\)'
until_said 'VRRP_Script(hangs-longer) \(timed_out\|failed\)'
: >hold
for try in $(seq 300); do test -e held && break; sleep 0.1; done
rm vanishes hold
# It would have run several times.
until_run 3
until_said '(well) Entering MASTER STATE'
ip -o -4 addr show dev eth0 | sed 's/^/addresses /'
data before
touch go
until_said 'VRRP_Script(late) succeeded'
until_said 'VRRP_Script(late-down) succeeded'
data after
sed 's/^/log /' log
kill -TERM $keepalived
wait $keepalived
"#;

fn file(dir: &Path) -> String {
    let place = dir.display();
    let mut text = "global_defs {\n router_id n1\n script_user root\n}\n".to_owned();
    let scripts = SCRIPTS.iter().map(|(name, _, keys)| (*name, *keys)).chain(NONE.iter().map(|name| (*name, "")));
    for (name, keys) in scripts.clone() {
        text += &format!("vrrp_script {name} {{\n script \"{place}/{name}\"\n interval 1\n {keys}\n}}\n");
    }
    text += &format!("track_file no-file {{\n file {place}/nowhere\n weight 0\n}}\n");
    let all = scripts.map(|(name, _)| ("script", name)).chain([("file", "no-file")]);
    for (id, (kind, name)) in (1..).zip(all) {
        text += &format!(
            "vrrp_instance {name} {{\n interface eth0\n virtual_router_id {id}\n priority 100\n \
             virtual_ipaddress {{\n  10.0.0.{}\n }}\n track_{kind} {{\n  {name}\n }}\n}}\n",
            100 + id
        );
    }
    text
}

/// The states of the instances, as `word` has them.
fn states(text: &str, word: &str) -> BTreeMap<String, String> {
    let (mut all, mut name) = (BTreeMap::new(), None);
    for line in text.lines().filter_map(|line| line.strip_prefix(word)) {
        match line.trim().split_once(" = ") {
            Some(("VRRP Instance", value)) => name = Some(value.to_owned()),
            // Only the first is that of the instance.
            Some(("State", value)) => drop(name.take().map(|name| all.insert(name, value.to_owned()))),
            _ => {}
        }
    }
    all
}

#[test]
fn what_keepalived_does_with_what_it_tracks_is_what_the_page_says() {
    // keepalived writes to /tmp, and so each run of it has one of its own.
    let dir = tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for (name, text, _) in SCRIPTS {
        let text = text.replace("DIR", &dir.path().display().to_string());
        script(&dir.path().join(name), &format!("#!/bin/sh\n{text}\n"));
    }
    fs::write(dir.path().join("not-executable"), "#!/bin/sh\n").unwrap();
    fs::write(dir.path().join("count"), "").unwrap();
    fs::write(dir.path().join("tracked.conf"), file(dir.path())).unwrap();
    let output = Command::new("unshare")
        .args(["--net", "--mount", "--propagation", "private", "sh", "-c", RUN, "sh"])
        .arg(dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = |what: &str| text.lines().any(|line| line.starts_with("log ") && line.contains(what));
    let (before, after) = (states(&text, "before "), states(&text, "after "));
    let fault = |all: &BTreeMap<String, String>, name: &str| all.get(name).map(|state| state == "FAULT");
    let story = || format!("{text}{}", String::from_utf8_lossy(&output.stderr));

    assert_eq!(fault(&before, "well"), Some(false), "{}", story());
    // A run that is not over at its timeout, which is its interval, has failed; until then what is due is skipped.
    for name in ["hangs", "hangs-longer"] {
        assert_eq!(fault(&before, name), Some(true), "{name}: {}", story());
    }
    assert!(said("Track script hangs-longer is already running, expect idle - skipping run"), "{}", story());
    // What cannot be run is not tracked at all, and what goes later is as it was.
    for name in ["missing", "not-executable", "vanishes"] {
        assert_eq!(fault(&before, name), Some(false), "{name}: {}", story());
    }
    assert!(said("Disabling track script missing since not found/accessible"), "{}", story());
    assert!(said("not-executable' is not executable for uid:gid 0:0 - disabling"), "{}", story());
    assert!(!said("VRRP_Script(vanishes) failed"), "{}", story());
    // No result yet: the instance is in fault, with init_fail or without.
    for name in ["late", "late-down"] {
        assert_eq!((fault(&before, name), fault(&after, name)), (Some(true), Some(false)), "{name}: {}", story());
    }
    assert_eq!(fault(&before, "no-file"), Some(false), "{}", story());
    // In fault there is no address, also where nobody else could have it.
    let has = |name: &str| {
        let id = 1 + SCRIPTS.iter().position(|(script, ..)| *script == name).unwrap();
        let address = format!(" 10.0.0.{}/", 100 + id);
        text.lines().any(|line| line.starts_with("addresses ") && line.contains(&address))
    };
    assert_eq!(["well", "hangs", "hangs-longer"].map(has), [true, false, false], "{}", story());
}

/// Every row of the page about keepalived names a test of this directory, or a file of the corpus that keepalived has loaded.
#[test]
fn each_row_of_the_page_names_what_shows_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/checks.md")).unwrap();
    let section = page.split("## Beside keepalived\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 15, "{rows:?}");
    for row in rows {
        let shown = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let names: Vec<&str> = shown.split(", ").filter_map(|name| name.strip_prefix('`')?.strip_suffix('`')).collect();
        assert!(!names.is_empty(), "nothing shows {row}");
        for name in names {
            let test = root.join("tests/import").join(name).with_extension("rs");
            let loaded = root.join("tests/data/keepalived/corpus").join(name).with_extension("conf");
            assert!(test.exists() || loaded.exists(), "{name} is neither a test nor a file of the corpus: {row}");
        }
    }
}
