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
    let arguments = ["list-jobs", "--no-legend", "--no-pager", "--full", unit];
    match ask(systemctl, &arguments, patience).await {
        Ok(text) => intent_in(&text, unit),
        Err(why) => {
            debug!("systemctl list-jobs: {why}; this counts as a stop");
            StopIntent::Stop
        }
    }
}

/// The unit's `TimeoutStopSec`, if systemd runs, knows the unit, and sets a limit.
///
/// Needs a tokio runtime with I/O and time, as [`stop_intent`].
pub async fn stop_timeout(systemctl: &OsStr, unit: &str, patience: Duration) -> Option<Duration> {
    let arguments = ["show", "--no-pager", "--property=LoadState", "--property=TimeoutStopUSec", unit];
    stop_timeout_in(&ask(systemctl, &arguments, patience).await.ok()?)
}

/// The number of the user that the unit runs as, if systemd runs, knows the unit, and it is not root.
///
/// Needs a tokio runtime with I/O and time, as [`stop_intent`].
pub async fn unit_user(systemctl: &OsStr, unit: &str, patience: Duration) -> Option<u32> {
    let arguments = ["show", "--no-pager", "--property=LoadState", "--property=User", unit];
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    user_in(&ask(systemctl, &arguments, patience).await.ok()?, &users)
}

async fn ask(systemctl: &OsStr, arguments: &[&str], patience: Duration) -> Result<String, String> {
    let mut command = tokio::process::Command::new(systemctl);
    command
        .args(arguments)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .envs([("LC_ALL", "C"), ("SYSTEMD_COLORS", "0")])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    match tokio::time::timeout(patience, command.output()).await {
        Ok(Ok(output)) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(Ok(output)) => Err(output.status.to_string()),
        Ok(Err(e)) => Err(e.to_string()),
        Err(_) => Err(format!("no answer within {} ms", patience.as_millis())),
    }
}

/// A line is `JOB UNIT TYPE STATE`.
fn intent_in(jobs: &str, unit: &str) -> StopIntent {
    let restart = jobs.lines().any(|line| {
        let mut words = line.split_whitespace().skip_while(|&word| word != unit).skip(1);
        matches!(words.next(), Some("restart" | "try-restart"))
    });
    if restart { StopIntent::Restart } else { StopIntent::Stop }
}

/// A user of a unit is a name or a number.
fn user_in(properties: &str, users: &str) -> Option<u32> {
    let value = |name: &str| properties.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let user = value("LoadState").filter(|state| *state == "loaded").and(value("User"))?;
    let mut users = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let found = users.find(|fields| fields.first() == Some(&user) || fields.get(2) == Some(&user))?;
    found.get(2)?.parse().ok().filter(|uid| *uid != 0)
}

/// Lines are `PROPERTY=VALUE`; of a unit that is not loaded the value is a default that nobody set.
fn stop_timeout_in(properties: &str) -> Option<Duration> {
    let value = |name: &str| properties.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    value("LoadState").filter(|state| *state == "loaded")?;
    span(value("TimeoutStopUSec")?)
}

/// A time span as systemd writes it (`1min 30s`; `infinity` is none).
fn span(text: &str) -> Option<Duration> {
    let part = |word: &str| {
        let digits = word.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = word.split_at(digits);
        let seconds = match unit {
            "us" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "min" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()
    };
    let parts: Option<Vec<Duration>> = text.split_whitespace().map(part).collect();
    parts.filter(|parts| !parts.is_empty()).map(|parts| parts.iter().sum())
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
    fn the_user_is_that_of_a_loaded_unit() {
        let users = "root:x:0:0::/root:/bin/sh\nhavipd:x:990:980::/:/sbin/nologin\n";
        assert_eq!(user_in("LoadState=loaded\nUser=havipd\n", users), Some(990));
        assert_eq!(user_in("User=990\nLoadState=loaded\n", users), Some(990));
        for none in
            ["LoadState=loaded\nUser=\n", "LoadState=loaded\nUser=root\n", "LoadState=not-found\nUser=havipd\n", ""]
        {
            assert_eq!(user_in(none, users), None, "{none:?}");
        }
    }

    #[test]
    fn the_stop_timeout_is_that_of_a_loaded_unit() {
        let of = |value: &str| stop_timeout_in(&format!("TimeoutStopUSec={value}\nLoadState=loaded\n"));
        assert_eq!(of("1min 30s"), Some(Duration::from_secs(90)));
        assert_eq!(of("2.5s"), Some(Duration::from_millis(2500)));
        for none in ["infinity", "", "5 parsecs", "5"] {
            assert_eq!(of(none), None, "{none:?}");
        }
        assert_eq!(stop_timeout_in("LoadState=not-found\nTimeoutStopUSec=1min 30s\n"), None);
        assert_eq!(stop_timeout_in(""), None);
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
