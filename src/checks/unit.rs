//! `unit`: a systemd unit that is active, as systemctl says.
//!
//! It is asked at every `interval`, and at once when the kernel tells that the unit's main process has ended (a pidfd), or,
//! of a unit without one, that all of its processes have (`cgroup.events`). Why not over D-Bus, by signal: docs/decisions.

use super::blocking::Gate;
use super::{Context, Outcome, RunResult, script};
use crate::net::readiness::readable;
use crate::program::Ended;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::io::unix::AsyncFd;

/// systemctl is waited for a little longer than it may take.
const MORE: Duration = Duration::from_millis(500);
/// All that is asked for is shorter.
const MOST_LINES: usize = 8;
/// The kernel tells of an end before systemd has taken note of it: then systemd is asked again, after this.
const AGAIN: Duration = Duration::from_millis(10);
/// And so often. What it says after that counts.
const TIMES: u32 = 50;
/// Where the control groups are that systemd names.
const CONTROL_GROUPS: &str = "/sys/fs/cgroup";

pub(super) async fn watch(context: Context, unit: String, gate: Gate) {
    let mut cadence = context.cadence();
    loop {
        let mut asked = ask(&context, &unit, &gate).await;
        for _ in 0..TIMES {
            if asked.outcome.result != RunResult::Passed || !asked.ends.have_come() {
                break;
            }
            tokio::time::sleep(AGAIN).await;
            asked = ask(&context, &unit, &gate).await;
        }
        // An end that systemd makes nothing of is no news any more.
        let ends = if asked.ends.have_come() { Ends::default() } else { asked.ends };
        cadence.ended_unless(asked.outcome, ends.come()).await;
    }
}

/// What systemctl said, and what would tell that it is so no longer.
struct Asked {
    outcome: Outcome,
    ends: Ends,
}

async fn ask(context: &Context, unit: &str, gate: &Gate) -> Asked {
    let timeout = context.check.timeout;
    let environment = script::environment(context);
    let properties = "--property=LoadState,ActiveState,SubState,MainPID,ControlGroup";
    let argv = ["systemctl", "show", properties, "--", unit].map(str::to_owned);
    let own = gate.clone();
    let done = gate.run(timeout + MORE, move || {
        let mut lines = Vec::new();
        let mut keep = |line: &str| {
            if lines.len() < MOST_LINES {
                lines.push(line.to_owned());
            }
        };
        let report = script::run(&argv, &environment, timeout, &own, &mut keep);
        (report.ended, lines)
    });
    let outcome = match done.await {
        None => script::not_back(gate, "systemctl"),
        Some((Ended::Exited { code: 0 }, lines)) => {
            let outcome = judge(unit, &lines);
            let ends =
                if outcome.result == RunResult::Passed { Ends::of(&lines, CONTROL_GROUPS) } else { Ends::default() };
            return Asked { outcome, ends };
        }
        Some((ended @ (Ended::TimedOut { .. } | Ended::Stuck), _)) => {
            Outcome::timed_out(format!("systemctl: {}", script::in_words(&ended)))
        }
        Some((ended, lines)) => Outcome::not_run(format!("systemctl: {ended}: {}", lines.join(" "))),
    };
    Asked { outcome, ends: Ends::default() }
}

fn property<'a>(lines: &'a [String], key: &str) -> Option<&'a str> {
    lines.iter().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
}

fn judge(unit: &str, lines: &[String]) -> Outcome {
    let of = |key: &str| property(lines, key).unwrap_or("unknown");
    let (active, sub) = (of("ActiveState"), of("SubState"));
    match (of("LoadState"), active) {
        ("loaded", "active" | "reloading") => Outcome::passed(format!("{unit} is {active} ({sub})")),
        ("loaded", _) => Outcome::failed(format!("{unit} is {active} ({sub})")),
        ("not-found", _) => Outcome::not_run(format!("there is no unit {unit}")),
        (load, _) => Outcome::not_run(format!("{unit} is {load}")),
    }
}

/// What the kernel tells of the end of a unit. A unit without processes has nothing of it, and neither has one whose
/// processes this host hides: then systemd's word at the next run is what there is.
#[derive(Default)]
struct Ends {
    /// It had ended before it could be watched.
    gone: bool,
    main: Option<AsyncFd<OwnedFd>>,
    group: Option<AsyncFd<OwnedFd>>,
}

impl Ends {
    fn of(lines: &[String], control_groups: &str) -> Self {
        let main = property(lines, "MainPID").and_then(|pid| Pid::from_raw(pid.parse().ok()?));
        let Some(main) = main else {
            let group = property(lines, "ControlGroup").filter(|group| group.starts_with('/'));
            return Self { group: group.and_then(|group| populated(control_groups, group)), ..Self::default() };
        };
        match pidfd_open(main, PidfdFlags::empty()) {
            Ok(fd) => Self { main: readable(fd).ok(), ..Self::default() },
            Err(Errno::SRCH) => Self { gone: true, ..Self::default() },
            Err(_) => Self::default(),
        }
    }

    /// Whether the main process has ended.
    fn have_come(&self) -> bool {
        let ended = |fd: &AsyncFd<OwnedFd>| {
            let mut fds = [PollFd::new(fd.get_ref(), PollFlags::IN)];
            matches!(poll(&mut fds, Some(&Timespec::default())), Ok(1..))
        };
        self.gone || self.main.as_ref().is_some_and(ended)
    }

    /// Waits for it, or, of a unit without a main process, until its control group has become empty, or is no more empty.
    async fn come(self) {
        let told = match (&self.main, &self.group) {
            (Some(main), _) => main.readable().await.is_ok(),
            (None, Some(group)) => {
                let told = group.readable().await.is_ok();
                // systemd is told at the same time.
                tokio::time::sleep(AGAIN).await;
                told
            }
            (None, None) => false,
        };
        // Whatever is wrong with a descriptor, there is another run at its time.
        if !told {
            std::future::pending::<()>().await;
        }
    }
}

/// What the kernel tells of whether a control group has processes.
fn populated(control_groups: &str, group: &str) -> Option<AsyncFd<OwnedFd>> {
    let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
    inotify::add_watch(&inotify, format!("{control_groups}{group}/cgroup.events"), WatchFlags::MODIFY).ok()?;
    readable(inotify).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::status::RunResult;

    #[test]
    fn only_an_active_unit_is_well() {
        for (load, active, result) in [
            ("loaded", "active", RunResult::Passed),
            ("loaded", "reloading", RunResult::Passed),
            ("loaded", "activating", RunResult::Failed),
            ("loaded", "failed", RunResult::Failed),
            ("not-found", "inactive", RunResult::NotRun),
            ("masked", "inactive", RunResult::NotRun),
        ] {
            let lines = [format!("LoadState={load}"), format!("ActiveState={active}"), "SubState=x".to_owned()];
            assert_eq!(judge("nginx.service", &lines).result, result, "{load} {active}");
        }
        assert_eq!(judge("nginx.service", &[]).result, RunResult::NotRun);
    }

    fn lines(text: &[&str]) -> Vec<String> {
        text.iter().map(|line| (*line).to_owned()).collect()
    }

    #[tokio::test]
    async fn the_end_of_the_main_process_is_told_at_once_also_when_it_came_before() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let of_child = lines(&[&format!("MainPID={}", child.id()), "ControlGroup=/system.slice/x.service"]);
        let (ends, late) = (Ends::of(&of_child, "/nowhere"), Ends::of(&of_child, "/nowhere"));
        assert!(!ends.have_come());
        child.kill().unwrap();
        ends.come().await;
        assert!(late.have_come(), "it is not reaped yet, and has ended");
        child.wait().unwrap();
        assert!(Ends::of(&of_child, "/nowhere").gone);
    }

    #[tokio::test]
    async fn a_unit_without_a_main_process_ends_with_its_control_group() {
        let dir = tempfile::tempdir().unwrap();
        let group = dir.path().join("x.scope");
        std::fs::create_dir(&group).unwrap();
        let events = group.join("cgroup.events");
        std::fs::write(&events, "populated 1\n").unwrap();
        let ends = Ends::of(&lines(&["MainPID=0", "ControlGroup=/x.scope"]), dir.path().to_str().unwrap());
        assert!(ends.group.is_some() && !ends.have_come());
        std::fs::write(&events, "populated 0\n").unwrap();
        ends.come().await;
        let none = Ends::of(&lines(&["MainPID=0", "ControlGroup="]), dir.path().to_str().unwrap());
        assert!(none.main.is_none() && none.group.is_none() && !none.gone, "a mount, a timer: asked at each interval");
    }
}
