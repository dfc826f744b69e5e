//! The services around the core, with real pipes, sockets, disks and processes that misbehave.

#![expect(clippy::unwrap_used, reason = "a test that panics here has failed")]

#[path = "support/script.rs"]
mod script;
#[path = "support/wait.rs"]
mod wait;

use havipd::log::{Logging, Overrides, QUEUE_LINES};
use havipd::state::{self, Disk, Found, Loaded, StateError, StateFile, Unreadable};
use havipd::systemd::{Notifier, StopIntent, stop_intent};
use havipd_core::model::persisted::{Persisted, PersistedGroup};
use havipd_core::model::settings::{Log, LogFormat, LogLevel};
use havipd_core::model::time::Instant as Boottime;
use script::script;
use std::ffi::OsStr;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use wait::{PATIENCE, wait_for};

/// This test binary again, to run one `helper_...` below in a process of its own.
fn helper(name: &str, directory: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--ignored", "--nocapture"]).env("HELPER_DIR", directory).stdout(Stdio::null());
    command
}

fn helper_directory() -> Option<PathBuf> {
    std::env::var_os("HELPER_DIR").map(PathBuf::from)
}

fn exit_code(child: &mut Child) -> Option<i32> {
    wait_for("the process ended", || child.try_wait().unwrap()).code()
}

// ---- log ----

const INFO: Log = Log { level: LogLevel::Info, format: LogFormat::Text };

#[test]
#[ignore = "a helper that another test starts"]
fn helper_talkative_daemon() {
    let Some(dir) = helper_directory() else { return };
    let logging = Logging::init(Overrides::default(), INFO).unwrap();
    for i in 0..3 * QUEUE_LINES {
        tracing::info!(target: "havipd::talk", i, "{}", "x".repeat(200));
    }
    let panicked = std::thread::spawn(|| panic!("even this does not wait")).join().is_err();
    let flushed = logging.flush(Duration::from_millis(50));
    fs::write(dir.join("report.new"), format!("{panicked} {flushed} {}", logging.dropped() > 0)).unwrap();
    fs::rename(dir.join("report.new"), dir.join("report")).unwrap();
    wait_for("the other side reads", || dir.join("reading").exists().then_some(()));
    if dir.join("flush").exists() {
        assert!(logging.flush(PATIENCE));
        tracing::info!(target: "havipd::talk", "the last line");
        assert!(logging.flush(PATIENCE));
    }
    std::process::exit(0);
}

#[test]
fn a_log_that_nobody_reads_delays_neither_callers_nor_panics_nor_the_end() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("reading"), "").unwrap();
    let mut daemon = helper("helper_talkative_daemon", dir.path()).stderr(Stdio::piped()).spawn().unwrap();
    let never_read = daemon.stderr.take();
    assert_eq!(exit_code(&mut daemon), Some(0));
    assert_eq!(fs::read_to_string(dir.path().join("report")).unwrap(), "true false true");
    drop(never_read);
}

#[test]
fn lines_that_were_lost_are_reported_when_somebody_reads_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut daemon = helper("helper_talkative_daemon", dir.path()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the queue is full", || dir.path().join("report").exists().then_some(()));
    let mut pipe = daemon.stderr.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).map(|_| text)
    });
    fs::write(dir.path().join("flush"), "").unwrap();
    fs::write(dir.path().join("reading"), "").unwrap();
    assert_eq!(exit_code(&mut daemon), Some(0));
    let text = reader.join().unwrap().unwrap();
    let lost = text
        .lines()
        .find_map(|l| l.split_once("WARN ")?.1.strip_suffix(" log lines were dropped: they were not read fast enough"));
    let lost: usize = lost.expect("the loss is reported").parse().unwrap();
    let seen = text.lines().filter(|l| l.contains("xxxx")).count();
    // The panic, its flush and the last line went through or were lost like any other.
    assert!((3 * QUEUE_LINES..=3 * QUEUE_LINES + 1).contains(&(lost + seen)), "{lost} + {seen}");
    assert!(text.contains("INFO the last line"));
}

// ---- systemd ----

#[test]
#[ignore = "a helper that another test starts"]
fn helper_notifying_daemon() {
    let Some(dir) = helper_directory() else { return };
    let notifier = Notifier::from_env().unwrap();
    assert_eq!(notifier.watchdog_interval(), Some(Duration::from_secs(1)));
    let flush = || assert!(notifier.flush(PATIENCE));
    notifier.status("waiting for\naddresses");
    flush();
    notifier.ready();
    notifier.status("backup");
    flush();
    notifier.status("backup");
    for ms in [60_000, 60_500, 60_999] {
        notifier.turn_completed(Boottime::from_millis(ms));
    }
    flush();
    notifier.turn_completed(Boottime::from_millis(61_000));
    flush();
    notifier.reloading();
    flush();
    notifier.ready();
    flush();
    notifier.stopping();
    flush();
    fs::write(dir.join("flushed"), "").unwrap();
    // From here on nobody reads: neither status lines nor pings may wait.
    for i in 0..100_000 {
        notifier.status(&format!("turn {i}"));
        notifier.turn_completed(Boottime::from_millis(70_000 + 1_000 * i));
    }
    assert!(!notifier.flush(Duration::from_millis(50)));
    fs::write(dir.join("done"), "").unwrap();
    std::process::exit(0);
}

#[test]
fn systemd_hears_what_it_must_and_cannot_hold_us_up() {
    let dir = tempfile::tempdir().unwrap();
    let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut daemon = helper("helper_notifying_daemon", dir.path())
        .env("NOTIFY_SOCKET", dir.path().join("notify"))
        .env("WATCHDOG_USEC", "2000000")
        .env_remove("WATCHDOG_PID")
        .spawn()
        .unwrap();
    // What is posted in one go may come in one datagram or in two.
    let mut heard: Vec<String> = Vec::new();
    while heard.last().is_none_or(|line| line != "STOPPING=1") {
        let mut buffer = [0; 4096];
        let n = socket.recv(&mut buffer).unwrap();
        heard.extend(String::from_utf8_lossy(&buffer[..n]).lines().map(str::to_owned));
    }
    let since = heard.remove(6);
    assert!(since.starts_with("MONOTONIC_USEC="), "{since}");
    let expected =
        "STATUS=waiting for addresses|READY=1|STATUS=backup|WATCHDOG=1|WATCHDOG=1|RELOADING=1|READY=1|STOPPING=1";
    assert_eq!(heard.join("|"), expected);
    assert_eq!(exit_code(&mut daemon), Some(0));
    assert!(dir.path().join("done").exists());
}

/// A program that stands in for `systemctl`.
fn fake_systemctl(dir: &Path, body: &str) -> PathBuf {
    let path = dir.join("systemctl");
    script(&path, &format!("#!/bin/sh\n{body}\n"));
    path
}

#[tokio::test]
async fn a_restart_is_told_from_a_stop() {
    let dir = tempfile::tempdir().unwrap();
    let jobs = r#"[ "$1 $5" = "list-jobs havipd.service" ] && echo "512 havipd.service JOB running""#;
    for (job, expected) in [("restart", StopIntent::Restart), ("stop", StopIntent::Stop)] {
        let systemctl = fake_systemctl(dir.path(), &jobs.replace("JOB", job));
        assert_eq!(stop_intent(systemctl.as_os_str(), "havipd.service", PATIENCE).await, expected);
    }
    let failing = fake_systemctl(dir.path(), "echo '1 havipd.service restart running'; exit 1");
    assert_eq!(stop_intent(failing.as_os_str(), "havipd.service", PATIENCE).await, StopIntent::Stop);
    let missing = OsStr::new("/nonexistent/systemctl");
    assert_eq!(stop_intent(missing, "havipd.service", PATIENCE).await, StopIntent::Stop);
}

#[tokio::test]
async fn a_bus_that_hangs_counts_as_a_stop_and_leaves_no_process() {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    let hanging = fake_systemctl(dir.path(), &format!("echo $$ > {}; exec sleep 1000", pid.display()));
    let patience = Duration::from_millis(500);
    assert_eq!(stop_intent(hanging.as_os_str(), "havipd.service", patience).await, StopIntent::Stop);
    // On a busy machine it may have been killed before it wrote that.
    let Some(pid) = fs::read_to_string(pid).ok().and_then(|text| text.trim().parse::<u32>().ok()) else { return };
    let proc = PathBuf::from(format!("/proc/{pid}/stat"));
    wait_for("it was killed", || {
        fs::read_to_string(&proc).map_or(Some(()), |stat| stat.contains(") Z ").then_some(()))
    });
}

// ---- state ----

fn sample(epoch: u64) -> Persisted {
    let group = PersistedGroup { epoch_reserved: epoch, ..PersistedGroup::default() };
    // Of this boot: what an earlier one left is written anew when it is read.
    let machine_boot = havipd::clock::machine_boot().unwrap();
    Persisted { groups: [("web".to_owned(), group)].into(), machine_boot, ..Persisted::default() }
}

/// A disk of a test's: what reading gives, and what becomes of what is written.
struct Made<L, W> {
    load: L,
    write: W,
}

impl<L, W> Disk for Made<L, W>
where
    L: FnMut() -> Result<Loaded, Unreadable> + Send + 'static,
    W: FnMut(&Persisted) -> Result<(), StateError> + Send + 'static,
{
    fn load(&mut self) -> Result<Loaded, Unreadable> {
        (self.load)()
    }

    fn write(&mut self, state: &Persisted) -> Result<(), StateError> {
        (self.write)(state)
    }
}

/// A state file whose disk had nothing, on which states are kept with `write`.
fn kept_by(write: impl FnMut(&Persisted) -> Result<(), StateError> + Send + 'static) -> StateFile {
    let load = || Ok((Persisted::default(), Found::State));
    let file = StateFile::with(Made { load, write }, "unread".to_owned()).unwrap();
    file.take().blocking_recv().unwrap();
    file
}

fn opened(dir: &std::path::Path) -> StateFile {
    let file = StateFile::open(dir.to_owned()).unwrap();
    file.take().blocking_recv().unwrap();
    file
}

#[test]
fn the_newest_state_reaches_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let file = opened(dir.path());
    for epoch in 1..=1000 {
        file.store(sample(epoch));
    }
    assert!(file.flush(PATIENCE));
    assert_eq!(state::load(dir.path()), Ok((sample(1000), Found::State)));
    assert!(!file.status().unsaved && file.status().error.is_none());
}

#[test]
fn nothing_is_written_before_the_file_was_read_and_neither_overtakes_the_other() {
    let (asked, asking) = mpsc::sync_channel(16);
    let (answer, answers) = mpsc::sync_channel::<Result<Loaded, Unreadable>>(16);
    let (wrote, written) = mpsc::sync_channel(16);
    let load = move || {
        asked.send(()).unwrap();
        answers.recv().unwrap()
    };
    let write = move |state: &Persisted| {
        wrote.send(state.groups["web"].epoch_reserved).unwrap();
        Ok(())
    };
    let file = StateFile::with(Made { load, write }, "unread".to_owned()).unwrap();
    let status = file.status();
    assert_eq!((status.found.as_deref(), status.unsaved), (Some("unread"), true));
    file.store(sample(1));
    let taken = file.take();
    asking.recv_timeout(PATIENCE).unwrap();
    file.store(sample(2));
    assert!(!file.flush(Duration::from_secs(60)), "that is known without waiting");
    answer.send(Err(Unreadable("the disk is on fire".to_owned()))).unwrap();
    // A failure is tried again; meanwhile nothing takes its place.
    asking.recv_timeout(PATIENCE).unwrap();
    assert!(file.status().found.unwrap().starts_with("the disk is on fire; this node counts as drained"));
    answer.send(Ok((sample(7), Found::State))).unwrap();
    assert_eq!(taken.blocking_recv().unwrap(), (sample(7), Found::State));
    assert_eq!(file.status().found, None);
    file.store(sample(8));
    assert!(file.flush(PATIENCE));
    assert_eq!(written.try_iter().collect::<Vec<_>>(), [8], "what was stored before anybody knew is of the past");
}

#[test]
fn a_disk_that_hangs_holds_up_nobody_and_is_noticed() {
    let (started, starting) = mpsc::sync_channel(16);
    let (release, released) = mpsc::sync_channel::<()>(1);
    let file = kept_by(move |state| {
        let _ = started.try_send(state.groups["web"].epoch_reserved);
        let _ = released.recv();
        Ok(())
    });
    file.store(sample(1));
    assert_eq!(starting.recv_timeout(PATIENCE), Ok(1));
    // Its thread is stuck now; the caller that stores is not.
    let status = wait_for("the hang is noticed", || {
        file.store(sample(2));
        file.store(sample(3));
        Some(file.status()).filter(|s| s.hangs)
    });
    assert!(status.unsaved && status.written == 0);
    assert!(!file.flush(Duration::from_millis(10)));
    drop(release);
    assert!(file.flush(PATIENCE));
    assert_eq!(starting.recv_timeout(PATIENCE), Ok(3), "the one between was overtaken");
    assert!(!file.status().hangs);
}

#[test]
fn failures_are_retried_until_the_newest_state_is_kept() {
    let (sender, kept) = mpsc::sync_channel(16);
    let (begun, beginning) = mpsc::sync_channel(16);
    let (fail, failing) = mpsc::sync_channel::<()>(1);
    let mut failures = 1;
    let file = kept_by(move |state| {
        if failures > 0 {
            failures -= 1;
            begun.send(()).unwrap();
            failing.recv().unwrap();
            let source = std::io::ErrorKind::StorageFull.into();
            return Err(StateError::Write { step: "write", path: "/state".into(), source });
        }
        sender.send(state.clone()).unwrap();
        Ok(())
    });
    file.store(sample(1));
    beginning.recv_timeout(PATIENCE).unwrap();
    file.store(sample(2));
    fail.send(()).unwrap();
    wait_for("the failure shows", || file.status().error);
    assert_eq!(kept.recv_timeout(PATIENCE), Ok(sample(2)));
    assert!(file.flush(PATIENCE));
    assert_eq!(file.status().error, None);
}

#[test]
#[ignore = "a helper that another test starts"]
fn helper_state_on_a_full_disk() {
    let Some(dir) = helper_directory() else { return };
    state::write(&dir, &sample(1)).unwrap();
    let mut ballast = fs::File::create(dir.join("ballast")).unwrap();
    while ballast.write_all(&[0; 512]).is_ok() {}
    drop(ballast);
    let mut large = sample(2);
    large.groups.extend((0..500).map(|i| (format!("group-{i}"), PersistedGroup::default())));

    let file = opened(&dir);
    file.store(large.clone());
    let error = wait_for("the error shows", || file.status().error);
    assert!(error.contains("No space left on device"), "{error}");
    assert_eq!(state::load(&dir), Ok((sample(1), Found::State)), "the old state is untouched");
    assert!(!dir.join("state.json.new").exists());

    fs::remove_file(dir.join("ballast")).unwrap();
    assert!(file.flush(PATIENCE));
    assert_eq!(state::load(&dir), Ok((large, Found::State)));
    assert_eq!(file.status().error, None);
}

#[test]
fn a_full_disk_keeps_the_old_state_and_takes_the_new_one_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    // The mount is seen by this command only, and goes with it.
    let script = r#"mount -t tmpfs -o size=256k tmpfs "$HELPER_DIR" && exec "$0" "$@""#;
    let inner = helper("helper_state_on_a_full_disk", dir.path());
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .arg(inner.get_program())
        .args(inner.get_args())
        .env("HELPER_DIR", dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn something_else_in_the_place_of_the_state_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(state::FILE);
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let refused = state::load(dir.path()).expect_err("it cannot be read").to_string();
    assert!(refused.ends_with("not a regular file"), "{refused}");
    assert_eq!(state::peek(dir.path(), PATIENCE), Ok(None));
}

// ---- process ----

#[test]
#[ignore = "a helper that another test starts"]
fn helper_hardened_daemon() {
    let Some(dir) = helper_directory() else { return };
    havipd::process::harden().unwrap();
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let core = limits.lines().find(|l| l.starts_with("Max core file size")).unwrap();
    let dumpable = rustix::process::dumpable_behavior().unwrap();
    let core = core.split_whitespace().skip(4).take(2).collect::<Vec<_>>().join(" ");
    fs::write(dir.join("report"), format!("{core} {dumpable:?}")).unwrap();
}

#[test]
fn secrets_cannot_reach_a_core_file() {
    let dir = tempfile::tempdir().unwrap();
    assert!(helper("helper_hardened_daemon", dir.path()).status().unwrap().success());
    // The other limit stays as it was: hooks get their own back.
    let report = fs::read_to_string(dir.path().join("report")).unwrap();
    assert!(report.starts_with("0 ") && report.ends_with(" NotDumpable"), "{report}");
}
