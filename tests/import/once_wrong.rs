//! Files that were once read in another way than keepalived reads them, each with what is right.

use serde_json::Value;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/keepalived/once-wrong").join(name)
}

struct Answer {
    code: Option<i32>,
    toml: String,
    /// One a line.
    notes: String,
    message: String,
}

/// Runs it; one that does not end is a failure, and ended.
fn import(directory: &Path, arguments: &[&str]) -> Answer {
    let mut command = Command::new(env!("CARGO_BIN_EXE_havipctl"));
    command.arg("import").args(arguments).arg("--json").current_dir(directory);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let _ = out.read_to_string(&mut text);
        let _ = done.send(text);
    });
    let Ok(text) = ended.recv_timeout(Duration::from_secs(60)) else {
        child.kill().unwrap();
        panic!("{}: {arguments:?} does not end", directory.display());
    };
    let answer: Value = serde_json::from_str(&text).unwrap();
    let notes = answer["data"]["notes"].as_array().cloned().unwrap_or_default();
    let line = |n: &Value| {
        format!(
            "{} {}: {}: {}\n",
            n["kind"].as_str().unwrap(),
            n["what"].as_str().unwrap(),
            n["places"][0].as_str().unwrap_or("-"),
            n["why"].as_str().unwrap()
        )
    };
    Answer {
        code: child.wait().unwrap().code(),
        toml: answer["data"]["toml"].as_str().unwrap_or_default().to_owned(),
        notes: notes.iter().map(line).collect(),
        message: answer["message"].as_str().unwrap_or_default().to_owned(),
    }
}

impl Answer {
    /// The values of a key, in order.
    fn values(&self, key: &str) -> String {
        let start = format!("{key} = ");
        let values = self.toml.lines().filter_map(|line| line.strip_prefix(&start)).map(|v| v.replace('"', ""));
        values.collect::<Vec<_>>().join(" ")
    }

    #[track_caller]
    fn says(&self, words: &[&str]) -> &Self {
        for words in words {
            assert!(self.notes.contains(words), "{words}: {}", self.notes);
        }
        self
    }

    #[track_caller]
    fn has(&self, values: &[(&str, &str)]) -> &Self {
        assert_eq!(self.code, Some(0), "{} {}", self.message, self.notes);
        for (key, value) in values {
            assert_eq!(self.values(key), *value, "{key}: {}\n{}", self.toml, self.notes);
        }
        self
    }
}

#[test]
fn names_that_are_cut_or_repeated_end() {
    let names = import(&case("hang-long-names"), &["names.conf"]);
    names.has(&[("address", "... ... 10.0.0.101 10.0.0.102 10.0.0.103")]);
    let groups: std::collections::BTreeSet<&str> =
        names.toml.lines().filter(|l| l.starts_with("name = \"vrrp-")).collect();
    assert_eq!(groups.len(), 3, "{groups:?}");
    import(&case("hang-long-names"), &["same.conf"])
        .has(&[("address", "... ... 10.0.1.1")])
        .says(&["it is defined already: keepalived takes the first"]);
}

/// Bounds, not speed: each of these took minutes, or all memory, where a list was searched for each line.
#[test]
fn large_files_end() {
    let dir = tempfile::TempDir::new().unwrap();
    let write = |name: &str, text: String| fs::write(dir.path().join(name), text).unwrap();
    let instance = |n: usize| {
        format!(
            "vrrp_instance V{n} {{\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {{\n 10.{}.{}.9\n }}\n}}\n",
            n / 250,
            n % 250
        )
    };
    write("instances.conf", (0..3000).map(instance).collect());
    write("lines.conf", "\n# x\n".repeat(500_000));
    write("unknown.conf", (0..150_000).map(|n| format!("word{n} x\n")).collect());
    write(
        "peers.conf",
        format!(
            "vrrp_instance V {{\n interface eth0\n virtual_router_id 1\n unicast_peer {{\n{}\n }}\n}}\n",
            (0..100_000).map(|n| format!("10.{}.{}.{}\n", n / 62_500, n / 250 % 250, n % 250)).collect::<String>()
        ),
    );
    write(
        "addresses.conf",
        format!(
            "vrrp_instance V {{\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {{\n{}\n }}\n}}\n",
            (0..100_000).map(|n| format!("10.{}.{}.{}\n", n / 62_500, n / 250 % 250, n % 250)).collect::<String>()
        ),
    );
    write("deep.conf", "vrrp_instance V {\n".repeat(60_000));
    write("definitions.conf", format!("$A=${{A}}${{A}}\n$B= \\\nx \\\n$B\n{}", "${A}\n".repeat(50_000)));
    write("work.conf", "~SEQ(A, 1, 19999) @nobody x\n".repeat(10_000));
    let plain = |n: usize, tracks: &str| {
        format!(
            "vrrp_instance T{n} {{\n interface eth0\n virtual_router_id {n}\n virtual_ipaddress {{\n 10.9.0.{n}\n }}\n{tracks}}}\n"
        )
    };
    let lines: String = (0..100_000).map(|n| format!("e{n}\n")).collect();
    write("links.conf", plain(1, &format!(" track_interface {{\n{lines} }}\n")));
    let scripts: String = (0..3000).map(|n| format!("vrrp_script s{n} {{\n script /bin/s{n}\n}}\n")).collect();
    let tracked: String = (0..3000).map(|n| format!("s{n}\n")).collect();
    let tracked = format!(" track_script {{\n{tracked} }}\n");
    write("scripts.conf", scripts + &(1..61).map(|n| plain(n, &tracked)).collect::<String>());
    write("sequence.conf", "~SEQ(A, 1, 9999999999) x$A\n".to_owned());
    write("loop.conf", format!("include loop.conf\ninclude *.con[f]\n{}", "x\n".repeat(100)));
    write("braces.conf", format!("include {}\n", "{a,b}".repeat(200)));
    for file in [
        "instances",
        "lines",
        "unknown",
        "peers",
        "addresses",
        "deep",
        "definitions",
        "work",
        "sequence",
        "loop",
        "braces",
        "links",
        "scripts",
    ] {
        let answer = import(dir.path(), &[&format!("{file}.conf")]);
        assert!(matches!(answer.code, Some(0 | 1 | 78)), "{file}: {:?} {}", answer.code, answer.message);
    }
}

#[test]
fn a_definition_in_a_comment_is_a_comment() {
    let answer = import(&case("commented-definition"), &["k.conf"]);
    answer.has(&[("address", "... ... 10.0.0.8")]);
    assert!(!answer.notes.contains("10.0.0.9"), "{}", answer.notes);
}

#[test]
fn lines_for_nodes_that_have_no_file_are_told() {
    let dropped = case("conditional-lines-dropped");
    import(&dropped, &["a=k.conf", "b=k.conf"]).has(&[("priority", "100 100")]).says(&[
        "lost lines for @lb1: k.conf:4: none of the nodes has that config-id",
        "as in lb1=FILE",
        "lost lines for @lb2: k.conf:5",
    ]);
    import(&dropped, &["lb1=k.conf", "lb2=k.conf"])
        .has(&[("priority", "150 110"), ("address", "10.0.0.1 10.0.0.2 10.0.0.100")]);
    // Without a name it is this host's, without its domain.
    let dir = tempfile::TempDir::new().unwrap();
    let host = rustix::system::uname().nodename().to_string_lossy().split('.').next().unwrap().to_owned();
    let text = fs::read_to_string(dropped.join("k.conf")).unwrap().replace("lb1", &host);
    fs::write(dir.path().join("k.conf"), text).unwrap();
    let answer = import(dir.path(), &["k.conf"]);
    assert!(answer.values("priority").starts_with("150 "), "{}", answer.toml);
    answer.says(&["its config-id is this host's name", "lost lines for @lb2"]);
}

#[test]
fn state_master_without_a_priority_is_first() {
    import(&case("master-without-priority"), &["a=a.conf", "b=b.conf"]).has(&[("priority", "254 120")]).says(&[
        "priority of VI_1: a.conf:1: keepalived takes state MASTER without a priority for priority 255",
        "254",
    ]);
}

#[test]
fn names_that_keepalived_tells_have_to_be_alike() {
    let differ = case("beside-names-differ");
    import(&differ, &["a=a.conf", "b=b.conf", "--arbiter", "keepalived"])
        .has(&[("name", "imported a b VI_LEFT")])
        .says(&["lost vrrp_instance VI_RIGHT: b.conf:1: keepalived of node b tells havipd of VI_RIGHT, which no group follows", "call it VI_LEFT there"]);
    assert!(!import(&differ, &["a=a.conf", "b=b.conf"]).notes.contains("VI_RIGHT, which"));
}

#[test]
fn a_file_of_another_host_is_never_taken_in_silence() {
    let (dir, foreign) = (tempfile::TempDir::new().unwrap(), case("foreign-include"));
    let shared = dir.path().join("shared/conf.d");
    fs::create_dir_all(&shared).unwrap();
    fs::copy(foreign.join("a/vi.conf"), shared.join("vi.conf")).unwrap();
    let include = format!("include {}/*.conf\n", shared.display());
    for node in ["a", "b"] {
        fs::create_dir(dir.path().join(node)).unwrap();
        fs::write(dir.path().join(node).join("keepalived.conf"), &include).unwrap();
    }
    import(dir.path(), &["a=a/keepalived.conf", "b=b/keepalived.conf"]).has(&[("priority", "150 150")]).says(&[
        "assumed include",
        "was read from this host, for node a too",
        "was read from this host, for node b too: if the node has another one there, fetch it",
    ]);
    // The files of b below a directory that stands for its root.
    let root = dir.path().join("root");
    let (etc, conf_d) = (root.join("etc/keepalived"), root.join(shared.strip_prefix("/").unwrap()));
    fs::create_dir_all(&etc).unwrap();
    fs::create_dir_all(&conf_d).unwrap();
    fs::write(etc.join("keepalived.conf"), include + "include /etc/keepalived/out.conf\n").unwrap();
    fs::copy(foreign.join("b/vi.conf"), conf_d.join("vi.conf")).unwrap();
    std::os::unix::fs::symlink(shared.join("vi.conf"), etc.join("out.conf")).unwrap();
    let answer = import(dir.path(), &["a=a/keepalived.conf", "b=root"]);
    answer.has(&[("priority", "150 90")]).says(&["leads out of root, to a file of this host: it is left out"]);
    assert!(!answer.notes.contains("for node b too"), "{}", answer.notes);
}

#[test]
fn members_of_a_sync_group_that_differ_are_told() {
    let differ = case("sync-group-members-differ");
    import(&differ, &["prio.conf"])
        .says(&["the instances of G have different priorities (150, 90)", "that of A counts"]);
    import(&differ, &["nopreempt.conf"]).has(&[("preempt", "false")]).says(&["nopreempt of A only"]);
    import(&differ, &["missing.conf"]).says(&["G has a member C that is not defined"]);
}

#[test]
fn priorities_keep_their_order() {
    let dir = tempfile::TempDir::new().unwrap();
    for (node, priority) in [("a", 255), ("b", 254), ("c", 253), ("d", 100)] {
        let text = format!(
            "vrrp_instance V {{\n interface eth0\n virtual_router_id 1\n priority {priority}\n virtual_ipaddress {{\n 10.0.0.9\n }}\n}}\n"
        );
        fs::write(dir.path().join(format!("{node}.conf")), text).unwrap();
    }
    import(dir.path(), &["a=a.conf", "b=b.conf", "c=c.conf", "d=d.conf"])
        .has(&[("priority", "254 253 252 100")])
        .says(&["priority 254 of node b in group V", "so that the order of the nodes stays"]);
}

#[test]
fn numbers_are_those_that_keepalived_takes() {
    let numbers = case("numbers");
    for (file, key, value, note) in [
        ("zero.conf", "interval", "1s", "lost advert_int 0"),
        ("tiny.conf", "interval", "1s", "lost advert_int 0.001"),
        ("long.conf", "interval", "1s", "lost advert_int 300"),
        ("v2half.conf", "interval", "1s", "VRRP version 2 has whole seconds"),
        ("point.conf", "interval", "500ms", ""),
        ("prio0.conf", "priority", "100 100", "lost priority 0"),
    ] {
        import(&numbers, &[file]).has(&[(key, value)]).says(&[note]);
    }
}

#[test]
fn variables_and_sequences_are_put_in() {
    let two = case("two-braced-variables");
    for (file, addresses, words) in [
        ("lst.conf", "10.0.0.100 10.0.1.2 10.0.3.4", ""),
        ("seq2.conf", "10.0.0.100 10.0.1.3 10.0.1.4 10.0.2.3 10.0.2.4", ""),
        ("random.conf", "10.0.0.100", "it has no value here"),
        ("pwd.conf", "10.0.0.100", ""),
    ] {
        let answer = import(&two, &[&format!("a={file}")]);
        answer.has(&[("address", &format!("... ... {addresses}"))]).says(&[words]);
    }
    let hook = format!("[{}/notify.a.sh]", two.display());
    import(&two, &["a=pwd.conf"]).has(&[("notify", &hook)]);
}

#[test]
fn includes_are_found_as_keepalived_finds_them() {
    let forms = case("include-forms");
    for (file, addresses) in [
        ("brace.conf", "10.0.0.101 10.0.0.102"),
        ("blank.conf", "10.0.0.100"),
        ("split.conf", "10.0.0.107"),
        ("pwd.conf", "10.0.0.101"),
    ] {
        import(&forms, &[file]).has(&[("address", &format!("... ... {addresses}"))]);
    }
    // keepalived passes over files that can be run, and hidden ones.
    let dir = tempfile::TempDir::new().unwrap();
    fs::write(dir.path().join("k"), "include *.conf\n").unwrap();
    let text = fs::read_to_string(forms.join("sub/one.conf")).unwrap();
    for (name, mode) in [("a.conf", 0o644), ("b.conf", 0o755), (".c.conf", 0o644)] {
        fs::write(dir.path().join(name), text.replace("ONE", name)).unwrap();
        fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let answer = import(dir.path(), &["a=k"]);
    answer.has(&[("name", "imported a peer a.conf")]).says(&["b.conf is left out: it is executable"]);
}

#[test]
fn an_import_of_nothing_says_why() {
    let nothing = case("nothing-says-why");
    for (file, code, message, note) in [
        ("public.conf", 1, "203.0.113.10", "lost address 203.0.113.10: public.conf:6: it is not a private address"),
        ("looks-private.conf", 1, "172.35.20.96", "it is not a private address"),
        ("missing.conf", 1, "there is no file vrrp.d/*.conf", "there is no file vrrp.d/*.conf"),
        ("seq.conf", 0, "10.0.0.11", ""),
        (
            "typo.conf",
            0,
            "10.0.0.9",
            "address 10.0.0.9/255.255.255.0: typo.conf:6: with that prefix it is not an IP address",
        ),
    ] {
        let answer = import(&nothing, &[file]);
        assert_eq!(answer.code, Some(code), "{file}: {}", answer.message);
        assert!(answer.message.contains(message), "{file}: {}", answer.message);
        answer.says(&[note]);
        let mut command = Command::new(env!("CARGO_BIN_EXE_havipctl"));
        let text = command.args(["import", file]).current_dir(&nothing).output().unwrap();
        let text = String::from_utf8(text.stderr).unwrap();
        assert!(code == 0 || text.contains("not carried over:\n"), "{file}: {text}");
    }
}

#[test]
fn a_hook_that_names_a_havip_makes_a_group() {
    let dir = tempfile::TempDir::new().unwrap();
    let file = |hook: &str| {
        let text = format!("vrrp_instance V {{\n interface eth1\n virtual_router_id 1\n {hook}\n}}\n");
        fs::write(dir.path().join("k.conf"), text).unwrap();
        import(dir.path(), &["a=k.conf"])
    };
    for hook in [
        "notify_master \"/usr/bin/havipctl attach havip-w2d4kgc3x0y1 --exclusive --self\"",
        "notify_master \"/usr/bin/python3 /opt/bind.py --havip=havip-w2d4kgc3x0y1\" root",
        "notify \"/bin/sh -c 'bce vpc havip-bind havip-w2d4kgc3x0y1; logger done'\"",
    ] {
        let answer = file(hook);
        answer.has(&[("id", "havip-w2d4kgc3x0y1"), ("address", "... ..."), ("interface", "eth1")]);
        answer.says(&["assumed HAVIP havip-w2d4kgc3x0y1 of group V"]);
    }
    // In the script itself.
    let script = dir.path().join("bind.sh");
    fs::write(&script, "#!/bin/sh\n# see havip-bind\nID=havip-w2d4kgc3x0y1\nexec /opt/bind \"$ID\"\n").unwrap();
    let answer = file(&format!("notify_master {}", script.display()));
    answer.has(&[("id", "havip-w2d4kgc3x0y1")]).says(&["its id stands in the script"]);
    file("notify_master /opt/attach_havip.sh").has(&[("id", "havip-...")]).says(&["fill-in HAVIP of group V"]);
    assert_eq!(file("notify_master /opt/other.sh").code, Some(1));
}

#[test]
fn small_things() {
    let small = case("small-things");
    import(&small, &["twice.conf"]).has(&[("interface", "eth1")]);
    import(&small, &["angle.conf"]).has(&[("name", "imported edge peer vi")]);
    import(&small, &["five.conf"]).says(&["lost address 10.0.5.1 of node five: -: a node has at most 4 addresses"]);
}

/// A node's file: an instance V with one address, a source, peers, and whatever else.
fn instance(priority: u8, source: &str, peers: &str, extra: &str) -> String {
    format!(
        "vrrp_instance V {{\n interface eth0\n virtual_router_id 51\n priority {priority}\n unicast_src_ip {source}\n \
         unicast_peer {{\n {peers}\n }}\n virtual_ipaddress {{\n 10.0.0.100\n }}\n{extra}\n}}\n"
    )
}

/// Imports two nodes, a and b.
fn two(a: &str, b: &str) -> Answer {
    let dir = tempfile::TempDir::new().unwrap();
    fs::write(dir.path().join("a.conf"), a).unwrap();
    fs::write(dir.path().join("b.conf"), b).unwrap();
    import(dir.path(), &["a=a.conf", "b=b.conf"])
}

/// Imports two nodes whose instances differ in what else they have.
fn pair(a: &str, b: &str) -> Answer {
    two(&instance(150, "10.0.0.1", "10.0.0.2", a), &instance(100, "10.0.0.2", "10.0.0.1", b))
}

#[test]
fn strict_is_strict_whatever_stands_behind_it() {
    for word in ["no", "false", "off", "0", "x"] {
        let answer = pair(" down_timer_adverts 7\n preempt_delay 30\n", "");
        answer.has(&[("dead-multiplier", "8"), ("preempt-delay", "30s")]);
        let strict = |text: String| format!("global_defs {{\n vrrp_strict {word}\n}}\n{text}");
        let text = instance(150, "10.0.0.1", "10.0.0.2", " down_timer_adverts 7\n preempt_delay 30\n");
        two(&strict(text), &strict(instance(100, "10.0.0.2", "10.0.0.1", "")))
            .has(&[("dead-multiplier", "4"), ("preempt-delay", "0s")])
            .says(&[&format!("assumed vrrp_strict {word}"), "keepalived ignores it in strict mode"]);
    }
}

#[test]
fn an_address_on_two_interfaces_is_told() {
    let extra = " virtual_ipaddress {\n 10.0.0.100 dev eth1\n }\n track_interface {\n eth1 weight -10\n eth0\n }\n";
    let answer = pair(extra, "");
    answer
        .has(&[("link", "eth1"), ("weight", "-10"), ("interface", "eth0")])
        .says(&["lost address 10.0.0.100 on eth1", "own-way track_interface eth0"]);
    assert!(!answer.notes.contains("track_interface eth1"), "{}", answer.notes);
}

#[test]
fn a_wait_at_the_start_that_is_another_one_is_told() {
    let delay = |seconds: u32, text: String| format!("global_defs {{\n vrrp_startup_delay {seconds}\n}}\n{text}");
    let (a, b) = (instance(150, "10.0.0.1", "10.0.0.2", ""), instance(100, "10.0.0.2", "10.0.0.1", ""));
    two(&delay(4000, a.clone()), &delay(4000, b.clone()))
        .has(&[("cold-start-wait", "10m")])
        .says(&["4000000 ms is a cold-start-wait of 600000 ms here: the longest that can be had"]);
    two(&delay(2, a.clone()), &delay(2, b.clone())).has(&[("cold-start-wait", "4s")]).says(&["the least"]);
    two(&delay(20, a.clone()), &b).has(&[("cold-start-wait", "20s")]).says(&["the longest of these files, 20000 ms"]);
    let alike = two(&delay(20, a), &delay(20, b));
    assert!(!alike.notes.contains("vrrp_startup_delay"), "{}", alike.notes);
}

#[test]
fn a_program_that_keepalived_cannot_find_is_no_check() {
    let script = "vrrp_script s {\n script \"A=1 /bin/true\"\n}\n".to_owned();
    let tracks = " track_script {\n s\n }\n";
    let a = script.clone() + &instance(150, "10.0.0.1", "10.0.0.2", tracks);
    let answer = two(&a, &(script + &instance(100, "10.0.0.2", "10.0.0.1", tracks)));
    answer.has(&[("script", "")]).says(&["lost track_script s", "a program called A=1"]);
}

#[test]
fn files_that_disagree_are_told() {
    let sync = |text: String, more: &str| format!("{text}vrrp_sync_group {more}\n");
    let (a, b) = (instance(150, "10.0.0.1", "10.0.0.2", ""), instance(100, "10.0.0.2", "10.0.0.1", ""));
    two(
        &sync(a, "GA {\n group {\n V\n }\n}"),
        &sync(b, "GB {\n group {\n V\n }\n notify_master /etc/b.sh\n track_interface {\n eth7\n }\n}"),
    )
    .has(&[("notify-master", "[/etc/b.sh]"), ("link", "eth7")])
    .says(&["assumed notify_master /etc/b.sh", "not all of the files have it; here it is a hook of all nodes"]);
    // Sync groups that have other members.
    let three = |priority: u8| {
        let one = |(n, name): (usize, &str)| {
            format!(
                "vrrp_instance {name} {{\n interface eth0\n virtual_router_id {n}\n priority {priority}\n \
                 virtual_ipaddress {{\n 10.0.0.10{n}\n }}\n}}\n"
            )
        };
        (1..).zip(["A", "B", "C"]).map(one).collect::<String>()
    };
    let apart = "G1 {\n group {\n A\n B\n }\n}\nvrrp_sync_group G2 {\n group {\n C\n }\n}";
    let together = "G {\n group {\n A\n B\n C\n }\n}";
    two(&sync(three(150), apart), &sync(three(100), together))
        .has(&[("name", "imported a b G1 G2")])
        .says(&["lost vrrp_sync_group G", "move together on node b; they are in G1 and G2"]);
    // What the first has alone, and the second together with another, is one group.
    two(&sync(three(150), "G1 {\n group {\n A\n }\n}"), &sync(three(100), "G2 {\n group {\n A\n B\n }\n}"))
        .has(&[("name", "imported a b G1 C")]);
    let answer = pair(" preempt_delay 10\n", " preempt_delay 60\n");
    answer.has(&[("preempt-delay", "10s")]).says(&["preempt_delay of group V", "the files disagree; a would preempt"]);
    assert!(!pair(" preempt_delay 10\n", " preempt_delay 10\n").notes.contains("the files disagree"));
    let answer = pair(" advert_int 2\n", " advert_int 3\n");
    answer.has(&[("interval", "2s")]).says(&["the shortest of these files, 2000 ms"]);
}

#[test]
fn peers_that_do_not_name_each_other_are_told() {
    two(&instance(150, "10.0.0.1", "10.0.0.2", ""), &instance(100, "10.0.0.2", "10.0.0.9", "")).says(&[
        "assumed unicast_peer of node b",
        "it names 10.0.0.9, and not node a (10.0.0.1)",
        "if an address is mistyped",
    ]);
    assert!(!pair("", "").notes.contains("mistyped"));
}

#[test]
fn no_two_nodes_have_one_name() {
    let dir = tempfile::TempDir::new().unwrap();
    let alone = "vrrp_instance V {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.9\n }\n}\n";
    fs::write(dir.path().join("k.conf"), alone).unwrap();
    import(dir.path(), &["peer=k.conf"]).has(&[("name", "imported peer peer-2 V")]);
    fs::write(dir.path().join("r.conf"), format!("global_defs {{\n router_id peer\n}}\n{alone}")).unwrap();
    import(dir.path(), &["r.conf"]).has(&[("name", "imported peer peer-2 V")]);
    fs::write(dir.path().join("u.conf"), instance(150, "10.0.0.1", "10.0.0.2", "")).unwrap();
    import(dir.path(), &["node-10.0.0.2=u.conf"]).has(&[("name", "imported node-10.0.0.2 node-10.0.0.2-2 V")]);
}

#[test]
fn a_directory_has_its_own_files_only() {
    let dir = tempfile::TempDir::new().unwrap();
    let etc = dir.path().join("root/etc/keepalived");
    fs::create_dir_all(&etc).unwrap();
    fs::write(dir.path().join("mine.conf"), instance(150, "10.0.0.1", "10.0.0.2", "")).unwrap();
    std::os::unix::fs::symlink(dir.path().join("mine.conf"), etc.join("keepalived.conf")).unwrap();
    let answer = import(dir.path(), &["b=root"]);
    assert_eq!(answer.code, Some(78), "{}", answer.toml);
    assert!(answer.message.contains("leads out of root, to a file of this host"), "{}", answer.message);
    // Within it a link is what it is on the node.
    fs::remove_file(etc.join("keepalived.conf")).unwrap();
    fs::rename(dir.path().join("mine.conf"), etc.join("k.conf")).unwrap();
    std::os::unix::fs::symlink("k.conf", etc.join("keepalived.conf")).unwrap();
    import(dir.path(), &["b=root"]).has(&[("priority", "150 100")]);
}

#[test]
fn a_script_is_found_behind_what_runs_it() {
    let dir = tempfile::TempDir::new().unwrap();
    let script = dir.path().join("move.txt");
    let ids = |command: &str, text: &str| {
        fs::write(&script, text).unwrap();
        let hook = command.replace("SCRIPT", script.to_str().unwrap());
        let text =
            format!("vrrp_instance V {{\n interface eth1\n virtual_router_id 1\n notify_master \"{hook}\"\n}}\n");
        fs::write(dir.path().join("k.conf"), text).unwrap();
        let answer = import(dir.path(), &["a=k.conf"]);
        assert_eq!(answer.code, Some(0), "{command}: {}", answer.message);
        (answer.values("id"), answer)
    };
    for command in [
        "SCRIPT",
        "/usr/bin/env python3 SCRIPT",
        "/usr/bin/python3 -u SCRIPT",
        "/usr/bin/sudo -n /usr/bin/timeout 30 SCRIPT",
        "/bin/sh -c 'SCRIPT && logger x'",
    ] {
        assert_eq!(ids(command, "#!/bin/sh\nbind havip-w2d4kgc3x0y1\n").0, "havip-w2d4kgc3x0y1");
    }
    let sourced = "#!/bin/sh\n. /etc/default/havip\nhavipctl attach \"$HAVIP_ID\"\n";
    assert_eq!(ids("SCRIPT", sourced).0, "havip-...");
    // What is in a comment is not moved; of several nobody knows which one is.
    assert_eq!(ids("SCRIPT", "#!/bin/sh\n# as havip-w2d4kgc3x0y1\nhavipctl attach $1\n").0, "havip-...");
    let (id, answer) = ids("SCRIPT", "#!/bin/sh\ncase $2 in\nV) I=havip-1a ;;\nW) I=havip-2b ;;\nesac\n");
    assert_eq!(id, "havip-...");
    answer.says(&["fill-in HAVIPs of group V", "havip-1a in the script", "havip-2b in the script"]);
    // However it is set.
    for set in [
        "export HAVIP=havip-w2d4kgc3x0y1",
        "declare -rx HAVIP='havip-w2d4kgc3x0y1'",
        "readonly HAVIP=\"havip-w2d4kgc3x0y1\"",
        ": ${HAVIP:=havip-w2d4kgc3x0y1}",
        "havip = \"havip-w2d4kgc3x0y1\"",
        "my $havip = q(havip-w2d4kgc3x0y1);",
        "curl -d '{\"haVipId\":\"havip-w2d4kgc3x0y1\"}' $URL",
        "curl -d \"{\\\"haVipId\\\":\\\"havip-w2d4kgc3x0y1\\\"}\" $URL",
    ] {
        assert_eq!(ids("SCRIPT", &format!("#!/bin/sh\n{set}\n")).0, "havip-w2d4kgc3x0y1", "{set}");
    }
    let url = "/usr/bin/curl -X PUT https://bcc.example.com/v1/havip/havip-w2d4kgc3x0y1?attach";
    assert_eq!(ids(url, "").0, "havip-w2d4kgc3x0y1");
}

#[test]
fn a_script_in_which_no_id_is_understood_is_told() {
    let dir = tempfile::TempDir::new().unwrap();
    let script = dir.path().join("move.sh");
    let notes = |command: &str, text: &str| {
        fs::write(&script, text).unwrap();
        let hook = command.replace("SCRIPT", script.to_str().unwrap());
        let text =
            format!("vrrp_instance V {{\n interface eth1\n virtual_router_id 1\n notify_master \"{hook}\"\n}}\n");
        fs::write(dir.path().join("k.conf"), text).unwrap();
        let answer = import(dir.path(), &["a=k.conf"]);
        format!("{}\n{}", answer.notes, answer.message).replace(script.to_str().unwrap(), "SCRIPT")
    };
    for (command, text, says) in [
        ("SCRIPT", "#!/bin/sh\n. /etc/ids\nhavipctl attach $ID\n", "does not name: the script SCRIPT names none"),
        (
            "SCRIPT",
            "#!/bin/sh\n. /etc/ids\ncurl $URL/$ID\n",
            "no hook that names a HAVIP: the script SCRIPT names none",
        ),
        ("SCRIPT", "#!/bin/sh\nattach HAVIP-W2D4KGC3X0Y1\n", "has havip-w2d4kgc3x0y1, which may be one"),
        ("SCRIPT", "#!/bin/sh\nattach havip-wxdrkgcvxoyl\n", "has havip-wxdrkgcvxoyl, which may be one"),
        ("SCRIPT", "#!/usr/bin/python3\nurl = \"x #havip-w2d4kgc3x0y1\"\n", "has havip-w2d4kgc3x0y1, which may be one"),
        ("/nonexistent/move.sh", "", "no hook that names a HAVIP: /nonexistent/move.sh is left out: No such file"),
        ("/bin/true x", "", "\"/bin/true\" of notify_master is no script that could be read"),
        (
            "HAVIP=havip-w2d4kgc3x0y1 SCRIPT",
            "#!/bin/sh\n",
            "looks for a program called HAVIP=havip-w2d4kgc3x0y1, finds none",
        ),
    ] {
        let notes = notes(command, text);
        assert!(notes.contains(says), "{says:?} is not in\n{notes}");
    }
}

#[test]
fn an_include_that_cannot_be_read_is_told_in_our_words() {
    let dir = tempfile::TempDir::new().unwrap();
    let text = format!("include conf.d/[b-\n{}", instance(150, "10.0.0.1", "10.0.0.2", ""));
    fs::write(dir.path().join("k.conf"), text).unwrap();
    let answer = import(dir.path(), &["a=k.conf"]);
    answer.says(&["is no pattern of file names"]);
    assert!(!answer.notes.contains("Pattern syntax error"), "{}", answer.notes);
}
