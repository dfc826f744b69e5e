//! What is this daemon's own, and not that of the programs it runs.
//!
//! The unit keeps the kernel from ending the daemon when memory is short, and may allow it a real-time priority and locked
//! memory. A hook, and whatever it starts, is a program like any other: it would take memory under a protection that it was
//! never meant to have. Of the rest, real-time priority ends with `fork` and locked memory with `execve`.

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};
use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::OnceLock;

/// What the kernel gives to everybody else, in bytes.
const MEMLOCK: u64 = 8 << 20;
/// The limit of core dumps before [`super::harden`]; `None` is no limit.
static CORE: OnceLock<Option<u64>> = OnceLock::new();

/// Called by [`super::harden`], which takes it away.
pub(super) fn remember_core_limit(current: Option<u64>) {
    // Told twice, the first has it right.
    let _ = CORE.set(current);
}

/// Gives the program the limits of others.
pub fn before_exec(command: &mut Command) {
    let core = CORE.get().copied();
    #[expect(unsafe_code, reason = "the only way to run code between fork and exec")]
    // SAFETY: between fork and exec only async-signal-safe calls are allowed. `limits` makes plain system calls,
    // allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(move || limits(core));
    }
}

fn limits(core: Option<Option<u64>>) -> io::Result<()> {
    for (resource, limit) in wanted(core).into_iter().flatten() {
        setrlimit(resource, limit)?;
    }
    Ok(())
}

/// The limits that others have, as far as this process has another one.
fn wanted(core: Option<Option<u64>>) -> [Option<(Resource, Rlimit)>; 3] {
    let lower = |resource, most: u64| {
        let now = getrlimit(resource);
        let at_most = |limit: Option<u64>| Some(limit.map_or(most, |limit| limit.min(most)));
        let limit = Rlimit { current: at_most(now.current), maximum: at_most(now.maximum) };
        (limit != now).then_some((resource, limit))
    };
    let before = core.and_then(|core| {
        let now = getrlimit(Resource::Core);
        (now.current != core).then_some((Resource::Core, Rlimit { current: core, maximum: now.maximum }))
    });
    [lower(Resource::Rtprio, 0), lower(Resource::Memlock, MEMLOCK), before]
}

/// Gives a program that was just started the limits of others. For a moment it has those of this process.
pub fn limit(program: Pid) {
    for (resource, limit) in wanted(CORE.get().copied()).into_iter().flatten() {
        if let Err(error) = prlimit(Some(program), resource, limit) {
            tracing::debug!("a check's program keeps a limit of the daemon: {error}");
        }
    }
}

/// Takes the protection from being ended for want of memory off the program that was just started. It cannot do so itself:
/// until `execve` its own files in `/proc` belong to root, as those of every process that keeps debuggers away.
pub fn after_exec(program: Pid) {
    let path = format!("/proc/{}/oom_score_adj", program.as_raw_nonzero());
    let protected = fs::read_to_string(&path).ok().and_then(|score| score.trim().parse::<i32>().ok());
    if protected.is_some_and(|score| score < 0)
        && let Err(error) = fs::write(&path, "0")
    {
        tracing::debug!("a hook keeps the daemon's OOM score: {path}: {error}");
    }
}
