//! What checks meet that they should not: programs, servers, files and hosts that misbehave, each with the real daemon. Every one
//! is counted and named, decides what it should, and leaves nothing.

use crate::lab::script::script;
use crate::lab::{Daemon, Lab, Options};
use crate::leftovers::{alive, children, descriptors};
use crate::reload_addresses::in_namespace;
use crate::wait::wait_for;
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A check: its name and keys, how its runs end, and a part of what is said of them.
struct Bad(&'static str, String, &'static str, &'static str);

/// Nodes `a` and `b` with these checks of `a`, each with a weight, so that none of them is a fault.
fn lab(dir: impl FnOnce(&Path) -> Vec<Bad>) -> (Lab, Vec<Bad>) {
    let mut lab = Lab::new(Options::default());
    let bad = dir(lab.dir.path());
    let names: Vec<&str> = bad.iter().map(|Bad(name, ..)| *name).collect();
    lab.options.group = format!("checks = {names:?}");
    for Bad(name, keys, ..) in &bad {
        let _ = write!(
            lab.options.tables,
            "[[check]]\nname = {name:?}\nnodes = [\"a\"]\n{keys}\nweight = 1\ninitial = \"up\"\n"
        );
    }
    lab.write_config();
    (lab, bad)
}

fn check<'a>(status: &'a Value, name: &str) -> Option<&'a Value> {
    status["effects"]["checks"].as_array()?.iter().find(|check| check["name"] == name)
}

/// Waits until a run of each check ended so, was counted, and `havipctl status` names what is wrong.
fn named(lab: &Lab, a: &Daemon, bad: &[Bad]) {
    for Bad(name, _, result, text) in bad {
        let status = a.wait_for(&format!("{name} is {result}: {text}"), |s| {
            check(s, name).is_some_and(|c| {
                c["last"]["result"] == *result && c["last"]["text"].as_str().is_some_and(|said| said.contains(text))
            })
        });
        let counted = &check(&status, name).unwrap()["runs"][result.replace('-', "_")];
        assert!(counted.as_u64() >= Some(1), "{name}: {counted}");
    }
    let wrong = bad.iter().filter(|Bad(_, _, result, _)| *result != "passed");
    let about: Vec<String> = wrong.map(|Bad(name, ..)| format!("check {name} ")).collect();
    wait_for("status names each", || {
        let said = String::from_utf8(lab.ctl(0, &["status", "--check"]).stdout).unwrap();
        about.iter().all(|about| said.lines().any(|line| line.starts_with(about.as_str()))).then_some(())
    });
}

/// Whatever ran for checks has gone once there are none: descriptors are what those of `b` are, which never had any.
fn nothing_is_left(lab: &mut Lab, a: &Daemon, b: &Daemon) {
    lab.options.group.clear();
    lab.options.tables.clear();
    lab.write_config();
    let reloaded = lab.ctl(0, &["reload"]);
    assert!(reloaded.status.success(), "{}", String::from_utf8_lossy(&reloaded.stderr));
    wait_for("nothing is left", || (children(a) == 0 && descriptors(a) == descriptors(b)).then_some(()));
    a.wait_for("the group is served", |s| !s["groups"][0]["active"].is_null());
}

/// How often a check runs that ends so: what is to end by itself has the time for it, however busy the host is.
fn often(result: &str) -> &'static str {
    if result == "timed-out" { "interval = \"200ms\"" } else { "interval = \"30s\"\nretry-interval = \"200ms\"" }
}

/// Programs. Those that stay in spite of everything end with the file `stay`.
fn programs(dir: &Path) -> Vec<Bad> {
    let stays = "while test -e DIR/stay; do sleep 0.1; done";
    let texts = [
        ("hangs", "sleep 1000 & echo $! >>DIR/pids; wait", "timed-out", "ended by SIGKILL"),
        ("ignores", "trap '' TERM HUP INT; while :; do sleep 0.1; done", "timed-out", "ended by SIGKILL"),
        ("forks", "sleep 1000 & echo $! >>DIR/pids; sleep 1000 & echo $! >>DIR/pids; exit 3", "failed", "exit code 3"),
        ("floods", "yes flooding | head -c 3000000; exit 7", "failed", "exit code 7: flooding"),
        ("floods-well", "yes flooding | head -c 3000000", "passed", "exit code 0"),
        ("floods-on", "exec yes", "timed-out", "ended by SIGKILL: y"),
        ("binary", "head -c 100000 /dev/urandom; exit 1", "failed", "exit code 1"),
        ("crashes", "kill -SEGV $$", "failed", "ended by signal 11"),
        ("shell-finds-nothing", "/nowhere/at/all", "not-run", "exit code 127"),
        ("daemonises", &format!("setsid sh -c '{stays}' >/dev/null 2>&1 & exit 0"), "passed", "exit code 0"),
        ("holds-its-output", &format!("setsid sh -c '{stays}' & exit 0"), "passed", "exit code 0"),
    ];
    let mut bad = Vec::new();
    let place = dir.display().to_string();
    for (name, text, result, said) in texts {
        script(&dir.join(name), &format!("#!/bin/sh\n{}\n", text.replace("DIR", &place)));
        let keys = format!("script = [{:?}]\n{}", dir.join(name), often(result));
        bad.push(Bad(name, keys, result, said));
    }
    fs::write(dir.join("no-interpreter"), "#!/nowhere/at/all\n").unwrap();
    fs::write(dir.join("not-executable"), "#!/bin/sh\n").unwrap();
    fs::create_dir(dir.join("a-directory")).unwrap();
    fs::write(dir.join("garbage"), [0x7f, b'E', b'L', b'F', 1, 2, 3]).unwrap();
    for name in ["no-interpreter", "garbage"] {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let unable = [
        ("missing", "no such program"),
        ("no-interpreter", "no such program"),
        ("not-executable", "permission denied"),
        ("a-directory", "permission denied"),
        ("garbage", "not started"),
    ];
    bad.extend(unable.map(|(name, said)| {
        Bad(name, format!("script = [{:?}]\n{}", dir.join(name), often("not-run")), "not-run", said)
    }));
    bad
}

#[test]
fn programs_that_misbehave_are_named_and_nothing_of_them_is_left() {
    let (mut lab, bad) = lab(programs);
    let dir: PathBuf = lab.dir.path().to_path_buf();
    fs::write(dir.join("stay"), "").unwrap();
    let (a, b) = (lab.start(0), lab.start(1));
    named(&lab, &a, &bad);
    let status = a.wait_for("counts what holds its output", |s| {
        check(s, "holds-its-output").is_some_and(|c| c["left_behind"].as_u64() >= Some(1))
    });
    assert_eq!(check(&status, "daemonises").unwrap()["left_behind"], 0, "it holds nothing of ours");
    let shown = String::from_utf8(lab.ctl(0, &["status", "--check"]).stdout).unwrap();
    assert!(shown.contains("check holds-its-output left a process behind"), "{shown}");
    fs::remove_file(dir.join("stay")).unwrap();
    nothing_is_left(&mut lab, &a, &b);
    let pids = fs::read_to_string(dir.join("pids")).unwrap();
    for pid in pids.lines().map(|pid| pid.parse().unwrap()) {
        // What was killed is gone once the kernel has got to it.
        wait_for(&format!("{pid} has ended"), || (!alive(pid)).then_some(()));
    }
}

#[test]
fn a_program_that_changes_while_it_runs_is_the_new_one_in_the_next_run() {
    let (lab, _) = lab(|dir| {
        // It waits until it has been replaced.
        let text =
            format!("#!/bin/sh\ntouch {0}/begun\nwhile test ! -e {0}/replaced; do sleep 0.05; done\n", dir.display());
        script(&dir.join("changes"), &text);
        fs::copy("/bin/sleep", dir.join("written")).unwrap();
        let written = format!("script = [{:?}, \"0\"]\ninterval = \"1s\"", dir.join("written"));
        let changes = format!("script = [{:?}]\ninterval = \"10s\"", dir.join("changes"));
        vec![Bad("changes", changes, "failed", "exit code 5"), Bad("written", written, "not-run", "busy")]
    });
    let dir = lab.dir.path().to_path_buf();
    let a = lab.start(0);
    wait_for("it runs", || dir.join("begun").exists().then_some(()));
    script(&dir.join("new"), "#!/bin/sh\nexit 5\n");
    fs::rename(dir.join("new"), dir.join("changes")).unwrap();
    fs::write(dir.join("replaced"), "").unwrap();
    let status = a.wait_for("the new one has run", |s| {
        check(s, "changes").is_some_and(|c| c["runs"]["failed"].as_u64() >= Some(1))
    });
    assert_eq!(check(&status, "changes").unwrap()["runs"]["passed"], 1, "the old one ran to its end");

    // A program that somebody is writing cannot be run, which says nothing of the service.
    let state = |s: &Value| check(s, "written").map(|c| c["state"].clone());
    a.wait_for("written passes", |s| state(s).is_some_and(|state| state == "up"));
    // While it runs nobody may write it.
    let writer = wait_for("it is open", || fs::OpenOptions::new().append(true).open(dir.join("written")).ok());
    let status =
        a.wait_for("it cannot be run", |s| check(s, "written").unwrap()["runs"]["not_run"].as_u64() >= Some(2));
    assert_eq!(state(&status).unwrap(), "up");
    drop(writer);
    a.wait_for("it can be run again", |s| check(s, "written").unwrap()["last"]["result"] == "passed");
}

/// A server that reads a request, and then does this with the connection.
fn serve(act: impl Fn(TcpStream) + Send + Sync + Copy + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                act(stream);
            });
        }
    });
    address
}

/// A port at which nobody listens, and which nobody else is given.
fn refusing() -> SocketAddr {
    static HELD: OnceLock<Socket> = OnceLock::new();
    let held = HELD.get_or_init(|| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        socket
    });
    held.local_addr().unwrap().as_socket().unwrap()
}

/// Until nobody listens any more.
fn repeat(mut stream: &TcpStream, text: &str) {
    while stream.write_all(text.as_bytes()).is_ok() {}
}

fn servers(_: &Path) -> Vec<Bad> {
    let say = |text: &'static str| {
        serve(move |mut stream| {
            let _ = stream.write_all(text.as_bytes());
            // The one that asked ends it.
            let _ = stream.read(&mut [0; 1]);
        })
    };
    let close = |text: &'static str| serve(move |mut stream| drop(stream.write_all(text.as_bytes())));
    let endless_header = serve(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        repeat(&stream, "X-More: and more\r\n");
    });
    let endless_body = serve(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        repeat(&stream, "nothing that is looked for ");
    });
    let endless_chunks = serve(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        repeat(&stream, "1\r\nx\r\n");
    });
    let reset = serve(|stream| {
        let socket = Socket::from(stream);
        let _ = socket.set_linger(Some(std::time::Duration::ZERO));
    });
    let reset_later = serve(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nfi");
        let socket = Socket::from(stream);
        let _ = socket.set_linger(Some(std::time::Duration::ZERO));
    });
    let closed = refusing();
    let found = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n";
    let all = [
        ("silent", say(""), "timed-out", "no whole answer in time"),
        ("unfinished-header", say("HTTP/1.1 200 OK\r\nX-Never: ends"), "timed-out", "no whole answer in time"),
        (
            "unfinished-body",
            say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfi"),
            "timed-out",
            "no whole answer in time",
        ),
        ("continues", say("HTTP/1.1 100 Continue\r\n\r\n"), "timed-out", "no whole answer in time"),
        ("endless-header", endless_header, "failed", ""),
        ("endless-body", endless_body, "failed", "is not in the body"),
        ("endless-chunks", endless_chunks, "failed", "is not in the body"),
        ("redirects", say(found), "failed", "status 302, but"),
        ("resets", reset, "failed", "reset"),
        ("resets-later", reset_later, "failed", "status 200, then"),
        ("says-nothing", close(""), "failed", ""),
        ("no-http", close("SSH-2.0-OpenSSH_9.2\r\n"), "failed", ""),
        ("refuses", closed, "failed", "refused"),
        ("no-tls", say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"), "failed", ""),
    ];
    let checks = all.into_iter().map(|(name, address, result, said)| {
        let scheme = if name == "no-tls" { "https" } else { "http" };
        let keys = format!("http = \"{scheme}://{address}/\"\nbody = \"fine\"\n{}", often(result));
        Bad(name, keys, result, said)
    });
    let mut checks: Vec<Bad> = checks.collect();
    checks.push(Bad("tcp-refuses", format!("tcp = \"{closed}\"\n{}", often("failed")), "failed", "refused"));
    checks
}

#[test]
fn servers_that_misbehave_are_failures_in_time_and_nothing_of_them_is_left() {
    let (mut lab, bad) = lab(servers);
    let (a, b) = (lab.start(0), lab.start(1));
    named(&lab, &a, &bad);
    // A redirect is not followed, and no more is read than is looked at.
    let sockets = |daemon: &Daemon| {
        let all = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().flatten();
        all.filter(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"))).count()
    };
    assert!(sockets(&a) <= sockets(&b) + 2 * bad.len(), "{} of {} checks", sockets(&a), bad.len());
    nothing_is_left(&mut lab, &a, &b);
    wait_for("no connection is left", || (sockets(&a) <= sockets(&b) + 2).then_some(()));
}

fn files(dir: &Path) -> Vec<Bad> {
    let far: &[u8] = b"                                                                                5\n";
    let texts: [(&str, &[u8], &str, &str); 10] = [
        ("negative", b"-3\n", "passed", "the file holds -3"),
        ("largest", b"9223372036854775807\n", "passed", "the file holds 9223372036854775807"),
        ("smallest", b"-9223372036854775808\n", "passed", "the file holds -9223372036854775808"),
        ("huge", b"9223372036854775808\n", "not-run", "is not a whole number"),
        ("words", b"all is well\n", "not-run", "\"all is well\" is not a whole number"),
        ("fraction", b"0.5\n", "not-run", "is not a whole number"),
        ("bytes", b"\x00\xff\x1b[31m0\n", "not-run", "is not a whole number"),
        ("zeros", &[b'0'; 100_000], "not-run", "the file holds more than a number"),
        ("far-away", far, "not-run", "the file holds more than a number"),
        ("empty", b"", "passed", "the file is empty, which is 0"),
    ];
    let mut bad = Vec::new();
    for (name, text, result, said) in texts {
        fs::write(dir.join(name), text).unwrap();
        bad.push(Bad(name, format!("file = {:?}", dir.join(name)), result, said));
    }
    rustix::fs::mkfifoat(rustix::fs::CWD, dir.join("pipe"), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    std::os::unix::fs::symlink(dir.join("loop"), dir.join("loop")).unwrap();
    let places = [
        ("pipe", dir.join("pipe"), "not-run", "not a regular file"),
        ("a-directory", dir.to_path_buf(), "not-run", "not a regular file"),
        ("device", PathBuf::from("/dev/zero"), "not-run", "not a regular file"),
        ("loop", dir.join("loop"), "not-run", "cannot be read"),
        ("under-a-file", dir.join("words/below"), "not-run", "cannot be read"),
        ("nowhere", dir.join("nowhere/at/all"), "passed", "there is no file, which is 0"),
    ];
    bad.extend(places.map(|(name, path, result, said)| Bad(name, format!("file = {path:?}"), result, said)));
    let numbers: [(&str, &[u8], &str, &str); 5] = [
        ("pid-of-nobody", b"2147483647\n", "failed", "does not run"),
        ("pid-negative", b"-1\n", "not-run", "holds no number of a process"),
        ("pid-huge", b"99999999999999999999\n", "not-run", "holds no number of a process"),
        ("pid-words", b"nginx\n", "not-run", "holds no number of a process"),
        ("pid-empty", b"", "not-run", "holds no number of a process"),
    ];
    for (name, text, result, said) in numbers {
        fs::write(dir.join(name), text).unwrap();
        bad.push(Bad(name, format!("pidfile = {:?}", dir.join(name)), result, said));
    }
    bad.push(Bad("pid-pipe", format!("pidfile = {:?}", dir.join("pipe")), "not-run", "not a regular file"));
    bad.push(Bad("pid-nowhere", format!("pidfile = {:?}", dir.join("nowhere")), "failed", "there is no"));
    bad.push(Bad("nobody", "process = \"no-such-process\"".to_owned(), "failed", "no process is named"));
    bad.push(Bad("no-link", "link = \"nowhere0\"".to_owned(), "failed", "there is no interface nowhere0"));
    bad
}

#[test]
fn files_and_processes_that_are_not_what_they_should_be_are_named() {
    let (mut lab, bad) = lab(files);
    let (a, b) = (lab.start(0), lab.start(1));
    named(&lab, &a, &bad);
    // However large the numbers are, a priority ends at 1 and at 254.
    let status = a.status().unwrap();
    let priority = status["groups"][0]["priority"].as_u64();
    assert!(priority.is_some_and(|p| (1..=254).contains(&p)), "{priority:?}");
    nothing_is_left(&mut lab, &a, &b);
}

/// systemctl that is there and does not know the unit, answers nonsense, hangs, or is not there at all.
#[test]
fn a_unit_that_systemd_does_not_know_or_is_not_asked_of_decides_nothing() {
    let answers = [
        ("echo LoadState=not-found; echo ActiveState=inactive", "not-run", "there is no unit nowhere.service"),
        ("echo LoadState=masked; echo ActiveState=inactive", "not-run", "nowhere.service is masked"),
        ("echo Failed to connect to bus: No such file; exit 1", "not-run", "systemctl: exit code 1: Failed to connect"),
        ("yes LoadState | head -c 3000000", "not-run", "nowhere.service is unknown"),
        ("exec sleep 1000", "timed-out", "systemctl: timed out"),
        ("", "not-run", "systemctl: not started: no such program"),
    ];
    for (answer, result, said) in answers {
        let (lab, bad) = lab(|_| {
            let keys = format!("unit = \"nowhere.service\"\n{}", often(result));
            vec![Bad("nowhere", keys, result, said)]
        });
        let bin = lab.dir.path().join("bin");
        fs::create_dir(&bin).unwrap();
        // Nothing else of the system's is to be found.
        let mut path = bin.display().to_string();
        if !answer.is_empty() {
            script(&bin.join("systemctl"), &format!("#!/bin/sh\n{answer}\n"));
            path.push_str(":/usr/bin:/bin");
        }
        let a = lab.start_with(0, |command| {
            command.env("PATH", &path);
        });
        named(&lab, &a, &bad);
        let state = if result == "not-run" { "up" } else { "down" };
        a.wait_for(state, |s| check(s, "nowhere").is_some_and(|c| c["state"] == state));
    }
}

#[test]
fn where_no_icmp_is_permitted_the_targets_are_not_blamed() {
    in_namespace(|| {
        // As the kernel has it for a network namespace until somebody permits more.
        assert_eq!(fs::read_to_string("/proc/sys/net/ipv4/ping_group_range").unwrap(), "1\t0\n");
        let (mut lab, bad) = lab(|_| {
            let text = "no echo can be sent";
            vec![Bad("router", "ping = [\"127.0.0.1\", \"127.0.0.2\"]\ninterval = \"1s\"".to_owned(), "not-run", text)]
        });
        let (a, b) = (lab.start(0), lab.start(1));
        named(&lab, &a, &bad);
        let last = check(&a.status().unwrap(), "router").unwrap().clone();
        assert_eq!(last["state"], "up");
        assert!(last["last"]["text"].as_str().unwrap().contains("net.ipv4.ping_group_range"), "{last}");
        fs::write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647").unwrap();
        a.wait_for("it passes once it may", |s| check(s, "router").is_some_and(|c| c["last"]["result"] == "passed"));
        nothing_is_left(&mut lab, &a, &b);
    });
}
