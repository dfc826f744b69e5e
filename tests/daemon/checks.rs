//! Checks that decide: real services die, hang and flap, and the address goes where one is well.

use crate::lab::script::script;
use crate::lab::{Lab, Options};
use crate::wait::wait_for;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A service of one node, which ends with the test.
struct Service(Child);

impl Service {
    fn start(pid_file: &Path) -> Self {
        let child = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
        std::fs::write(pid_file, format!("{}\n", child.id())).unwrap();
        Self(child)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A lab whose nodes run a script that passes on those that have a file of their name.
fn lab(group: &str, check: &str) -> Lab {
    let mut lab = Lab::new(Options { group: format!("checks = [\"web\"]\n{group}"), ..Options::default() });
    let program = lab.dir.path().join("well");
    script(&program, &format!("#!/bin/sh\ntest -e {}/well-$HAVIPD_NODE\n", lab.dir.path().display()));
    lab.options.tables = format!(
        "[[check]]\nname = \"web\"\nscript = [{program:?}]\ninterval = \"500ms\"\nretry-interval = \"100ms\"\nfall = 2\n{check}"
    );
    lab.write_config();
    for name in ["a", "b"] {
        well(&lab, name, true);
    }
    lab
}

fn well(lab: &Lab, node: &str, is: bool) {
    let file = lab.dir.path().join(format!("well-{node}"));
    if is { std::fs::write(file, "").unwrap() } else { std::fs::remove_file(file).unwrap() }
}

fn check<'a>(status: &'a Value, name: &str) -> &'a Value {
    status["effects"]["checks"].as_array().unwrap().iter().find(|c| c["name"] == name).unwrap()
}

#[test]
fn a_service_that_dies_moves_the_group_to_a_node_whose_service_lives() {
    let mut lab = Lab::new(Options { group: "checks = [\"of-a\", \"of-b\"]".to_owned(), ..Options::default() });
    let place = |name: &str| lab.dir.path().join(format!("{name}.pid"));
    let (mut of_a, _of_b) = (Service::start(&place("a")), Service::start(&place("b")));
    let table =
        |name: &str| format!("[[check]]\nname = \"of-{name}\"\nnodes = [{name:?}]\npidfile = {:?}\n", place(name));
    let (first, second) = (table("a"), table("b"));
    lab.options.tables = first + &second;
    lab.write_config();
    let (a, b) = lab.pair();
    let status = a.wait_for("of-a is up", |s| check(s, "of-a")["state"] == "up");
    assert_eq!(check(&status, "of-b")["here"], false, "it runs on b");

    of_a.0.kill().unwrap();
    of_a.0.wait().unwrap();
    b.wait_role("active");
    assert_eq!(lab.holder().as_deref(), Some("i-b"));
    let status = a.wait_role("fault");
    assert_eq!(status["groups"][0]["cause"], "check-failed");
    assert_eq!(status["groups"][0]["detail"], "checks that fail: of-a");
    assert_eq!(check(&status, "of-a")["last"]["result"], "failed");
    let why = String::from_utf8(lab.ctl(0, &["why", "web"]).stdout).unwrap();
    assert!(why.contains("of-a"), "{why}");
    assert!(why.contains("does not run"), "the last result is named: {why}");

    // The other node knows which check it is, and says so.
    let of_a = |s: &Value| {
        let members = s["groups"][0]["members"].as_array().unwrap().clone();
        members.into_iter().find(|m| m["node"] == "a").unwrap()["checks"].clone()
    };
    let told = b.wait_for("knows the check", |s| !of_a(s).is_null());
    let expected = json!([{ "name": "of-a", "state": "down", "fault": true, "flapping": false }]);
    assert_eq!(of_a(&told), expected);
    for command in [&["why", "web"][..], &["status"], &["switchover", "web"]] {
        let output = lab.ctl(1, command);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(said.contains("of-a fails"), "{command:?}: {said}");
    }

    let _again = Service::start(&place("a"));
    a.wait_role("backup");
    b.wait_for("knows that it passes again", |s| of_a(s).is_null());
    let told = wait_for("its history has both", || {
        let text = String::from_utf8(lab.ctl(0, &["history", "web"]).stdout).unwrap();
        (text.contains("check-fails") && text.contains("check of-a passes")).then_some(text)
    });
    assert!(told.contains("check of-a fails: "), "{told}");
}

/// systemd is a stand-in: what it says of a unit whose process has ended is old for a while.
#[test]
fn a_unit_whose_process_ends_moves_the_group_at_once_whenever_systemd_is_asked_next() {
    let mut lab = Lab::new(Options { group: "checks = [\"app\"]".to_owned(), ..Options::default() });
    let dir = lab.dir.path().to_path_buf();
    let mut app = Service::start(&dir.join("app.pid"));
    let systemctl = format!(
        "#!/bin/sh\nread pid <{0}/app.pid\necho LoadState=loaded\n\
         if kill -0 $pid || ! {{ echo >>{0}/asked; test $(wc -l <{0}/asked) -gt 3; }}; then\n\
         echo ActiveState=active; echo SubState=running; echo MainPID=$pid\n\
         else echo ActiveState=failed; echo SubState=failed; echo MainPID=0; fi\n",
        dir.display()
    );
    std::fs::create_dir(dir.join("bin")).unwrap();
    script(&dir.join("bin/systemctl"), &systemctl);
    // By itself it would be asked again in an hour.
    lab.options.tables =
        "[[check]]\nname = \"app\"\nnodes = [\"a\"]\nunit = \"app.service\"\ninterval = \"1h\"\nfall = 1\nrise = 1\n"
            .to_owned();
    lab.write_config();
    let path = format!("{}:/usr/bin:/bin", dir.join("bin").display());
    let with_path = |command: &mut Command| {
        command.env("PATH", &path);
    };
    let (a, b) = (lab.start_with(0, with_path), lab.start_with(1, with_path));
    a.wait_role("active");
    b.wait_for("a is well", |s| s["groups"][0]["active"] == "a");
    app.0.kill().unwrap();
    app.0.wait().unwrap();
    b.wait_role("active");
    let status = a.wait_role("fault");
    assert_eq!(check(&status, "app")["last"]["text"], "app.service is failed (failed)");
    let asked = std::fs::read_to_string(dir.join("asked")).unwrap().lines().count();
    assert!(asked > 3, "it was asked until it knew: {asked}");
}

#[test]
fn where_every_node_fails_the_active_one_stays_unless_it_is_to_release() {
    for (word, role, holder) in [("keep", "active", Some("i-a")), ("release", "fault", None)] {
        let lab = lab(&format!("when-all-fail = {word:?}"), "");
        let (a, b) = lab.pair();
        well(&lab, "b", false);
        b.wait_role("fault");
        a.wait_for("knows that b fails", |s| s["groups"][0]["successor"].is_null());
        well(&lab, "a", false);
        let failing = |s: &Value| check(s, "web")["state"] == "down" && s["groups"][0]["role"] == role;
        a.wait_for(&format!("with {word} it is {role}"), failing);
        assert_ne!(b.group()["role"], "active");
        if holder.is_some() {
            assert_eq!(lab.holder().as_deref(), holder);
        }
        well(&lab, "a", true);
        a.wait_role("active");
    }
}

#[test]
fn a_check_that_hangs_is_killed_at_its_timeout_and_never_runs_twice_at_once() {
    let lab = lab("", "timeout = \"500ms\"\n");
    let dir = lab.dir.path().to_path_buf();
    let program = dir.join("well");
    // It ignores SIGTERM, has a child that does, too, and floods its output.
    let text = format!(
        "#!/bin/sh\ntrap '' TERM\ncd {}\nif test -e hang-$HAVIPD_NODE\nthen\n  echo $$ >> pids-$HAVIPD_NODE\n  \
         sleep 1000 &\n  yes\nfi\n",
        dir.display()
    );
    script(&program, &text);
    lab.write_config();
    let (a, b) = lab.pair();
    std::fs::write(dir.join("hang-a"), "").unwrap();
    b.wait_role("active");
    let status = a.wait_for("has counted it", |s| check(s, "web")["runs"]["timed_out"].as_u64() >= Some(5));
    assert_eq!(check(&status, "web")["state"], "down");
    assert_eq!(check(&status, "web")["last"]["result"], "timed-out");
    std::fs::remove_file(dir.join("hang-a")).unwrap();
    a.wait_role("backup");
    let pids = std::fs::read_to_string(dir.join("pids-a")).unwrap();
    for pid in pids.lines() {
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "{pid} was left behind");
    }
}

#[test]
fn what_cannot_be_run_is_counted_and_decides_nothing() {
    let mut lab = lab("", "");
    lab.options.group = "checks = [\"web\", \"gone\", \"pipe\"]".to_owned();
    let pipe = lab.dir.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    let more = format!(
        "[[check]]\nname = \"gone\"\nscript = [\"/nonexistent\"]\ninitial = \"up\"\n\
         [[check]]\nname = \"pipe\"\nfile = {pipe:?}\ninitial = \"up\"\n"
    );
    lab.options.tables.push_str(&more);
    lab.write_config();
    let (a, _b) = lab.pair();
    let status = a.wait_for("has counted both", |s| {
        ["gone", "pipe"].iter().all(|name| check(s, name)["runs"]["not_run"].as_u64() >= Some(1))
    });
    assert_eq!(status["groups"][0]["role"], "active");
    assert_eq!(check(&status, "gone")["state"], "up");
    assert!(check(&status, "pipe")["last"]["text"].as_str().unwrap().contains("not a regular file"));
    a.wait_log("check gone could not be run");
}

#[test]
fn a_check_that_flaps_is_named_and_max_moves_bounds_what_it_does() {
    let lab = lab("max-moves = 2\npreempt-delay = \"0s\"", "rise = 1\n");
    let (a, b) = lab.pair();
    for _ in 0..4 {
        for (is, state) in [(false, "down"), (true, "up")] {
            well(&lab, "a", is);
            a.wait_for(state, |s| check(s, "web")["state"] == state);
        }
    }
    let status = a.wait_for("is called flapping", |s| check(s, "web")["flapping"] == true);
    assert!(check(&status, "web")["runs"]["failed"].as_u64() >= Some(6));
    a.wait_log("check web flaps");
    let moves = |s: &Value| s["groups"][0]["moves"].as_u64().unwrap();
    let most = b.wait_for("moves are counted", |s| moves(s) >= 1);
    assert!(moves(&most) <= 3, "{}", moves(&most));
}

#[test]
fn a_reload_begins_a_changed_check_anew_and_leaves_the_others_as_they_are() {
    let mut lab = lab("", "");
    lab.options.group = "checks = [\"web\", \"other\"]".to_owned();
    let before = lab.options.tables.clone();
    let other = |every: &str| format!("[[check]]\nname = \"other\"\nscript = [\"/bin/true\"]\ninterval = {every:?}\n");
    lab.options.tables = before.clone() + &other("1s");
    lab.write_config();
    let (a, _b) = lab.pair();
    let count = |s: &Value, name: &str| check(s, name)["runs"]["passed"].as_u64().unwrap();
    let ran = a.wait_for("both have run", |s| count(s, "web") >= 5 && count(s, "other") >= 2);
    let since = check(&ran, "web")["since_ms"].as_u64().unwrap();
    lab.options.tables = before + &other("1h");
    lab.write_config();
    assert!(lab.ctl(0, &["reload"]).status.success());
    let now = a.status().unwrap();
    assert!(count(&now, "web") >= count(&ran, "web"));
    assert!(check(&now, "web")["since_ms"].as_u64().unwrap() >= since);
    assert!(count(&now, "other") < 2, "it began anew");
    assert_eq!(now["groups"][0]["role"], "active", "what has not decided yet is no reason to release");
}

#[test]
fn answers_that_never_end_are_failures_in_time() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for (i, stream) in server.incoming().flatten().enumerate() {
            let mut stream = stream;
            // An answer that comes before its question is another failure.
            let _ = stream.read(&mut [0; 4096]);
            let begun = match i % 3 {
                0 => "HTTP/1.1 200 OK\r\nX-Never: ends",
                1 => "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n",
                _ => "HTTP/1.1 200 OK\r\n\r\nnothing that is looked for ",
            };
            let _ = stream.write_all(begun.as_bytes());
            kept.push(stream);
        }
    });
    let mut lab = lab("", "");
    lab.options.group = "checks = [\"page\"]".to_owned();
    lab.options.tables = format!(
        "[[check]]\nname = \"page\"\nhttp = \"http://{address}/\"\nbody = \"fine\"\ninterval = \"200ms\"\ninitial = \"up\"\n"
    );
    lab.write_config();
    let a = lab.start(0);
    let status = a.wait_for("it fails", |s| {
        !s["effects"]["checks"].as_array().is_none_or(Vec::is_empty) && check(s, "page")["state"] == "down"
    });
    assert!(check(&status, "page")["runs"]["timed_out"].as_u64() >= Some(1));
    wait_for("every kind of answer has come", || {
        let s = a.status()?;
        let runs = &check(&s, "page")["runs"];
        (runs["failed"].as_u64()? >= 2 && runs["timed_out"].as_u64()? >= 2).then_some(())
    });
}
