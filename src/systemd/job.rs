//! Why we got SIGTERM: `systemctl stop` or `systemctl restart`?
//!
//! systemd sends the same signal for both. What tells them apart is the unit's queued job: while a
//! unit is stopped so that it can be started again its job is of type `restart`, and it stays
//! queued until the unit is down. Anybody may list jobs, over the system bus; `systemctl
//! list-jobs` does it for us, without a D-Bus library in this process.
//!
//! A bus that is missing, hangs or makes no sense means a plain stop: that hands the address over,
//! which is right for a stop and only costs a planned move at a restart.

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::Duration;
use tracing::debug;

/// The unit's name if the control group does not tell.
pub const DEFAULT_UNIT: &str = "havipd.service";
/// How long the answer may take.
pub const JOB_PATIENCE: Duration = Duration::from_millis(500);

/// What follows after we have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopIntent {
    /// Nothing, or we do not know: `on-stop`.
    Stop,
    /// We are started again: `on-restart`.
    Restart,
}

/// The unit that this process belongs to, from `/proc/self/cgroup`.
#[must_use]
pub fn unit_of_this_process() -> Option<String> {
    unit_in(&std::fs::read_to_string("/proc/self/cgroup").ok()?)
}

/// The unified hierarchy's line is `0::/system.slice/havipd.service`; there may be sub-groups below.
fn unit_in(cgroup: &str) -> Option<String> {
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::"))?;
    path.rsplit('/').find(|part| part.ends_with(".service")).map(str::to_owned)
}

/// Asks `systemctl` (a program name or path) what job `unit` has, for at most `patience`.
///
/// Needs a tokio runtime with I/O and time. Starts a process, so keep it off the heartbeat's thread.
pub async fn stop_intent(systemctl: &OsStr, unit: &str, patience: Duration) -> StopIntent {
    let mut command = tokio::process::Command::new(systemctl);
    command
        .args(["list-jobs", "--no-legend", "--no-pager", "--full", unit])
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .envs([("LC_ALL", "C"), ("SYSTEMD_COLORS", "0")])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    match tokio::time::timeout(patience, command.output()).await {
        Ok(Ok(output)) if output.status.success() => intent_in(&String::from_utf8_lossy(&output.stdout), unit),
        Ok(Ok(output)) => give_up(&output.status),
        Ok(Err(e)) => give_up(&e),
        Err(_) => give_up(&format_args!("no answer within {} ms", patience.as_millis())),
    }
}

fn give_up(why: &dyn std::fmt::Display) -> StopIntent {
    debug!("systemctl list-jobs: {why}; this counts as a stop");
    StopIntent::Stop
}

/// A line is `JOB UNIT TYPE STATE`.
fn intent_in(jobs: &str, unit: &str) -> StopIntent {
    let restart = jobs.lines().any(|line| {
        let mut words = line.split_whitespace().skip_while(|&word| word != unit).skip(1);
        matches!(words.next(), Some("restart" | "try-restart"))
    });
    if restart { StopIntent::Restart } else { StopIntent::Stop }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_the_innermost_service() {
        assert_eq!(unit_in("0::/system.slice/havipd.service\n").as_deref(), Some("havipd.service"));
        assert_eq!(unit_in("1:name=systemd:/x\n0::/system.slice/h@a.service/sub\n").as_deref(), Some("h@a.service"));
        assert_eq!(unit_in("0::/user.slice/session-1.scope\n"), None);
        assert_eq!(unit_in(""), None);
    }

    #[test]
    fn only_our_own_restart_is_a_restart() {
        let intent = |jobs| intent_in(jobs, "havipd.service");
        assert_eq!(intent("1042 havipd.service restart running\n"), StopIntent::Restart);
        assert_eq!(intent("  7 other.service restart running\n8 havipd.service stop running\n"), StopIntent::Stop);
        assert_eq!(intent("No jobs running.\n"), StopIntent::Stop);
        assert_eq!(intent("havipd.service"), StopIntent::Stop);
    }
}
