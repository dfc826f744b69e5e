//! What this process does about itself: no core dumps, no children that outlive it, of which hooks inherit nothing ([`like_others`]), and as PID 1 of
//! a container a parent for what they leave behind ([`init`]); on a busy host a thread that
//! does not wait its turn ([`realtime`]) and memory that stays ([`memory`]); of programs that people look at, whether
//! somebody still does ([`audience`]); of listeners, whom they have room for ([`places`]).
//!
//! Heartbeat keys and cloud credentials live in this process' memory. A core file, or a debugger
//! of another program of the same user, would give them away.

pub mod audience;
pub mod init;
pub mod like_others;
pub mod memory;
pub mod places;
pub mod realtime;

use rustix::process::{
    DumpableBehavior, Pid, Resource, Rlimit, Signal, getpid, getppid, getrlimit, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit,
};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Why the process could not be made safe.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// `prctl(PR_SET_DUMPABLE)` failed.
    #[error("cannot forbid debuggers and core dumps")]
    Dumpable(#[source] io::Error),
    /// `setrlimit(RLIMIT_CORE)` failed.
    #[error("cannot set the size limit of core dumps to zero")]
    CoreLimit(#[source] io::Error),
}

/// Keeps secrets out of core dumps and away from debuggers of the same user (`PR_SET_DUMPABLE`,
/// `RLIMIT_CORE`). Call it before the first secret is read.
///
/// Hooks get neither: the dumpable flag ends with `execve`, and [`like_others`] gives the limit back.
///
/// # Errors
/// The kernel refused. Nothing else has changed; carrying on is safe but for core dumps.
pub fn harden() -> Result<(), ProcessError> {
    let before = getrlimit(Resource::Core);
    like_others::remember_core_limit(before.current);
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: before.maximum })
        .map_err(|e| ProcessError::CoreLimit(e.into()))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|e| ProcessError::Dumpable(e.into()))
}

/// Whether a signal was ignored when this process began, as `nohup` has it: then it is to stay so.
#[must_use]
pub fn ignores(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    (mask >> (signal.as_raw() - 1)) & 1 == 1
}

/// Makes the kernel send SIGKILL to the child when the *thread* that starts it ends
/// (`PR_SET_PDEATHSIG`), which covers every way in which this process can die.
///
/// Start the child from a thread that lives as long as the child may. Grandchildren are not
/// covered: under systemd the unit's control group takes care of them.
pub fn end_with_parent(command: &mut Command) {
    let parent = getpid();
    #[expect(unsafe_code, reason = "the only way to run code between fork and exec")]
    // SAFETY: between fork and exec only async-signal-safe calls are allowed. `die_with` makes two
    // plain system calls, allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(move || die_with(parent));
    }
}

/// How many processes are in a process group, as far as this user may see them; zombies count.
#[must_use]
pub fn processes_of_group(group: Pid) -> usize {
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let of = |stat: String| stat.rsplit_once(')')?.1.split_whitespace().nth(2)?.parse::<i32>().ok();
    all.filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit))
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok().and_then(of))
        .filter(|found| *found == group.as_raw_nonzero().get())
        .count()
}

fn die_with(parent: Pid) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have died before the signal was armed; then nobody would ever send it.
    if getppid() == Some(parent) { Ok(()) } else { Err(rustix::io::Errno::SRCH.into()) }
}
