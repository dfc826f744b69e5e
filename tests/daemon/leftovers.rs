//! What programs that a daemon runs leave behind.

use crate::lab::Daemon;
use std::fs;

/// Whether that process has not ended.
pub(crate) fn alive(pid: u32) -> bool {
    // A zombie has ended, too.
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// What a process has open, by kind: descriptors that are not given back would add up.
pub(crate) fn descriptors(daemon: &Daemon) -> usize {
    let of = |kind: &str| {
        let all = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().flatten();
        all.filter(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.to_string_lossy().contains(kind))).count()
    };
    of("pidfd") + of("pipe") + of("eventfd")
}

/// Processes that the daemon has started and not waited for.
pub(crate) fn children(daemon: &Daemon) -> usize {
    let tasks = fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap().flatten();
    let of = |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).unwrap_or_default();
    tasks.map(|task| of(task).split_whitespace().count()).sum()
}
