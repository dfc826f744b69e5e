//! `process` and `pidfile`: a process that lives. Its end is noticed at once, through a pidfd; what does not run is looked
//! for again and again.

use super::blocking::Gate;
use super::{Context, Outcome, file};
use crate::net::readiness::readable;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::task::JoinSet;

/// Time between two looks for a process that does not run.
const EVERY: Duration = Duration::from_millis(500);
/// Processes that end as soon as they have begun are looked for no more often.
const REST: Duration = Duration::from_millis(20);
/// How long the disk may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Of more processes of one name only so many are watched.
const MOST: usize = 64;
/// The kernel cuts the names of processes here.
const COMM: usize = 15;

pub(super) async fn watch_name(context: Context, name: String, gate: Gate) {
    watch(context, gate, move || by_name(&name)).await;
}

pub(super) async fn watch_file(context: Context, path: PathBuf, gate: Gate) {
    watch(context, gate, move || by_file(&path)).await;
}

/// What was found: processes, or what to say.
type Found = Result<Vec<(Pid, OwnedFd)>, Outcome>;

async fn watch(context: Context, gate: Gate, find: impl Fn() -> Found + Clone + Send + 'static) {
    let mut last = None;
    loop {
        let (find, looked) = (find.clone(), tokio::time::Instant::now());
        let found = gate.run(PATIENCE, find).await;
        match living_of(found) {
            Ok((pid, living)) => {
                context.observe(Outcome::passed(format!("process {} lives", pid.as_raw_nonzero())), &mut last);
                // One of them has ended: whether another one goes on is to be seen.
                let mut ends = JoinSet::new();
                for fd in living {
                    ends.spawn(async move { fd.readable().await.is_ok() });
                }
                ends.join_next().await;
                tokio::time::sleep_until(looked + REST).await;
            }
            Err(outcome) => {
                context.observe(outcome, &mut last);
                tokio::time::sleep(EVERY).await;
            }
        }
    }
}

/// What came of a look; of one that did not come back in time nothing is known.
fn living_of(found: Option<Found>) -> Result<(Pid, Vec<AsyncFd<OwnedFd>>), Outcome> {
    match found {
        None => Err(Outcome::not_run(file::NOT_IN_TIME)),
        Some(Ok(all)) => watched(all).map_err(|e| Outcome::not_run(format!("cannot watch the process: {e}"))),
        Some(Err(outcome)) => Err(outcome),
    }
}

/// The first of them, and all as what can be waited for.
fn watched(all: Vec<(Pid, OwnedFd)>) -> io::Result<(Pid, Vec<AsyncFd<OwnedFd>>)> {
    let first = all.first().map(|(pid, _)| *pid).ok_or(io::ErrorKind::NotFound)?;
    Ok((first, all.into_iter().map(|(_, fd)| readable(fd)).collect::<io::Result<_>>()?))
}

fn by_name(name: &str) -> Found {
    let wanted: String = name.chars().take(COMM).collect();
    let hidden = || {
        Outcome::not_run(
            "this host hides its processes from havipd (ProtectProc=); docs/checks.md has the drop-in that ends it",
        )
    };
    let entries = std::fs::read_dir("/proc").map_err(|e| Outcome::not_run(format!("/proc cannot be read: {e}")))?;
    let pids = entries.flatten().filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    let named = pids.filter(|pid| {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end_matches('\n') == wanted)
    });
    let found: Vec<_> = named.filter_map(living).take(MOST).collect();
    match found.is_empty() {
        false => Ok(found),
        // The first process is always there; where it cannot be seen, neither can others'.
        true if !Path::new("/proc/1/comm").exists() => Err(hidden()),
        true => Err(Outcome::failed(format!("no process is named {name}"))),
    }
}

fn by_file(path: &Path) -> Found {
    let text = match file::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Outcome::failed(format!("there is no {}", path.display())));
        }
        Err(error) => return Err(Outcome::not_run(format!("{} cannot be read: {error}", path.display()))),
    };
    let first = text.lines().next().unwrap_or_default().trim();
    let Some(pid) = first.parse::<i32>().ok().filter(|pid| *pid > 0) else {
        return Err(Outcome::not_run(format!("{} holds no number of a process", path.display())));
    };
    living(pid).map(|found| vec![found]).ok_or_else(|| Outcome::failed(format!("process {pid} does not run")))
}

/// The process of that number, if it has not ended.
fn living(pid: i32) -> Option<(Pid, OwnedFd)> {
    let pid = Pid::from_raw(pid)?;
    let fd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    // What has ended, and was not waited for yet, can be read from already.
    let ended = matches!(poll(&mut fds, Some(&Timespec::default())), Ok(1..));
    (!ended).then_some((pid, fd))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::status::RunResult;

    #[test]
    fn what_a_busy_host_could_not_look_for_in_time_is_no_failure() {
        assert_eq!(living_of(None).unwrap_err().result, RunResult::NotRun);
        assert_eq!(living_of(Some(Err(Outcome::failed("gone")))).unwrap_err().result, RunResult::Failed);
    }
}
