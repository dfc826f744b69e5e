//! Real-time priority for one thread, and when to give it back.
//!
//! On a host whose processors are all busy a thread waits its turn, and a heartbeat that waits too long is a failure
//! to the peers. Under `SCHED_FIFO` the thread runs as soon as it has something to do, before everything that has no
//! such priority, the kernel's own housekeeping among it. Therefore two precautions:
//!
//! - Nothing inherits it (`SCHED_RESET_ON_FORK`): not the threads that this one starts, and no hook.
//! - A thread that has ever more to do, under a flood of datagrams say, would leave nothing to others on a host with
//!   few processors. It looks at itself once a second, and when it needed more than half of a processor it goes on
//!   without the priority until it was quiet for a while. What it cannot look at, a turn without end, is for
//!   systemd: the watchdog, and `LimitRTTIME=` of the drop-in.

use crate::clock;
use havipd_core::model::time::Instant;
use rustix::process::{Resource, getrlimit};
use rustix::thread::{CapabilitySet, capabilities};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::io;
use std::time::Duration;

/// Time between two looks at what the thread needed.
const LOOK: Duration = Duration::from_secs(1);
/// More than this share of a processor, in percent, is too much to keep others waiting for.
const TOO_MUCH: u64 = 50;
/// Not more than this share, in percent, is quiet.
const QUIET: u64 = 20;
/// So many quiet looks in a row give the priority back.
const CALM: u32 = 60;

/// Why a thread has no real-time priority.
#[derive(Debug, thiserror::Error)]
pub enum RealtimeError {
    /// Nobody gave this process the right to it.
    #[error("it needs RLIMIT_RTPRIO of at least {wanted}, which is {allowed}, or CAP_SYS_NICE")]
    NotAllowed {
        /// The priority.
        wanted: u8,
        /// `RLIMIT_RTPRIO`.
        allowed: u64,
    },
    /// This process has the right, and the kernel refuses all the same.
    #[error(
        "the kernel refuses it although this process may ({0}): the unit's sandbox forbids it (RestrictRealtime=, \
         SystemCallFilter=), or its control group has no real-time budget"
    )]
    Refused(#[source] io::Error),
}

/// How things are with the priority of a thread.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Realtime {
    /// Not asked for.
    #[default]
    Off,
    /// It has it.
    InForce {
        /// Under `SCHED_FIFO`.
        priority: u8,
    },
    /// It needed too much, and goes on without it until it is quiet.
    GivenUp {
        /// Of a processor, when it did.
        percent: u64,
    },
    /// It could not be had.
    Refused {
        /// Why.
        error: String,
    },
}

/// The priority of the thread that made it, and nobody else may use it.
#[derive(Debug)]
pub struct Scheduling {
    priority: u8,
    state: Realtime,
    governor: Governor,
}

impl Scheduling {
    /// Gives the calling thread this priority, 1 to 50; zero: leaves it as it is. A refusal is logged, with what
    /// to do about it, and the thread goes on as it was.
    #[must_use]
    pub fn of_this_thread(priority: u8) -> Self {
        let state = match priority {
            0 => Realtime::Off,
            _ => match schedule(priority) {
                Ok(()) => Realtime::InForce { priority },
                Err(error) => {
                    tracing::warn!(
                        "daemon.realtime-priority = {priority} is not in force: {error}; install the drop-in \
                         realtime.conf and restart, or remove the key"
                    );
                    Realtime::Refused { error: error.to_string() }
                }
            },
        };
        Self { priority, state, governor: Governor::new(clock::now(), used()) }
    }

    /// How things are.
    #[must_use]
    pub const fn state(&self) -> &Realtime {
        &self.state
    }

    /// Looks whether the thread may keep its priority, or have it again; for the thread itself, once a second or so.
    pub fn look(&mut self, now: Instant) {
        if matches!(self.state, Realtime::InForce { .. } | Realtime::GivenUp { .. }) {
            self.follow(now, used());
        }
    }

    fn follow(&mut self, now: Instant, used: Duration) {
        match self.governor.judge(now, used) {
            Verdict::Stay => {}
            Verdict::GiveUp { percent } => {
                if let Err(error) = schedule(0) {
                    // It was ours to give back; if not even that works, nothing else will.
                    tracing::warn!("cannot give up the real-time priority: {error}");
                    return;
                }
                self.state = Realtime::GivenUp { percent };
                tracing::warn!(
                    "the heartbeat thread needed {percent} % of a processor: it gives up its real-time priority until it \
                     is quiet, so that it does not keep the host waiting"
                );
            }
            Verdict::TakeBack => match schedule(self.priority) {
                Ok(()) => {
                    self.state = Realtime::InForce { priority: self.priority };
                    tracing::info!("the heartbeat thread has its real-time priority again");
                }
                Err(error) => {
                    tracing::warn!("the heartbeat thread does not get its real-time priority again: {error}");
                    self.state = Realtime::Refused { error: error.to_string() };
                }
            },
        }
    }
}

/// Processor time that the calling thread has had.
fn used() -> Duration {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    let part = |n: i64| u64::try_from(n).unwrap_or_default();
    Duration::from_secs(part(t.tv_sec)) + Duration::from_nanos(part(t.tv_nsec))
}

/// `SCHED_FIFO` with this priority for the calling thread, or what everybody has with zero.
fn schedule(priority: u8) -> Result<(), RealtimeError> {
    let policy = if priority == 0 { libc::SCHED_OTHER } else { libc::SCHED_FIFO };
    let parameters = libc::sched_param { sched_priority: i32::from(priority) };
    #[expect(unsafe_code, reason = "no crate that we have offers a thread's scheduling with its flag")]
    // SAFETY: the kernel reads `parameters`, which outlives the call, and changes nothing of ours. Zero is the
    // calling thread.
    let result = unsafe { libc::sched_setscheduler(0, policy | libc::SCHED_RESET_ON_FORK, &raw const parameters) };
    if result == 0 { Ok(()) } else { Err(refusal(priority, io::Error::last_os_error())) }
}

fn refusal(wanted: u8, error: io::Error) -> RealtimeError {
    let limit = getrlimit(Resource::Rtprio).current;
    let capable = capabilities(None).is_ok_and(|c| c.effective.contains(CapabilitySet::SYS_NICE));
    match limit {
        Some(allowed) if allowed < u64::from(wanted) && !capable => RealtimeError::NotAllowed { wanted, allowed },
        _ => RealtimeError::Refused(error),
    }
}

/// What follows from a look.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Stay,
    GiveUp { percent: u64 },
    TakeBack,
}

/// Decides by what a thread needed since the last look.
#[derive(Debug)]
struct Governor {
    looked: Instant,
    used: Duration,
    /// Quiet looks in a row; `None` while the thread has its priority.
    quiet: Option<u32>,
}

impl Governor {
    const fn new(now: Instant, used: Duration) -> Self {
        Self { looked: now, used, quiet: None }
    }

    fn judge(&mut self, now: Instant, used: Duration) -> Verdict {
        let passed = now.since(self.looked);
        if passed < LOOK {
            return Verdict::Stay;
        }
        let needed = used.saturating_sub(self.used).as_nanos() * 100 / passed.as_nanos();
        let percent = u64::try_from(needed).unwrap_or(u64::MAX);
        (self.looked, self.used) = (now, used);
        match self.quiet {
            None if percent > TOO_MUCH => {
                self.quiet = Some(0);
                Verdict::GiveUp { percent }
            }
            None => Verdict::Stay,
            Some(looks) => {
                let looks = if percent <= QUIET { looks + 1 } else { 0 };
                let calm = looks >= CALM;
                self.quiet = (!calm).then_some(looks);
                if calm { Verdict::TakeBack } else { Verdict::Stay }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks once a second; what was needed of each, in milliseconds.
    fn looks(needed: impl IntoIterator<Item = u64>) -> Vec<Verdict> {
        let mut used = Duration::from_secs(5);
        let mut governor = Governor::new(Instant::from_millis(0), used);
        let judge = |(second, ms): (u64, u64)| {
            used += Duration::from_millis(ms);
            governor.judge(Instant::from_millis(1000 * (second + 1)), used)
        };
        (0..).zip(needed).map(judge).filter(|v| *v != Verdict::Stay).collect()
    }

    #[test]
    fn a_thread_that_needs_little_keeps_its_priority() {
        assert_eq!(looks([0, 10, 500, 499, 3]), []);
    }

    #[test]
    fn one_that_needs_too_much_gives_it_up_until_it_was_quiet_for_long() {
        let given_up = || Verdict::GiveUp { percent: 90 };
        assert_eq!(looks([900]), [given_up()]);
        assert_eq!(looks([900; 100]), [given_up()], "once");
        let quiet = |n| std::iter::once(900).chain(std::iter::repeat_n(200, n));
        assert_eq!(looks(quiet(59)), [given_up()]);
        assert_eq!(looks(quiet(60)), [given_up(), Verdict::TakeBack]);
        let disturbed = quiet(59).chain([210]).chain(std::iter::repeat_n(0, 59));
        assert_eq!(looks(disturbed.clone()), [given_up()], "in a row");
        assert_eq!(looks(disturbed.chain([0, 900])), [given_up(), Verdict::TakeBack, given_up()]);
    }

    #[test]
    fn only_whole_looks_count_and_a_suspended_host_is_quiet() {
        let mut governor = Governor::new(Instant::from_millis(0), Duration::ZERO);
        assert_eq!(governor.judge(Instant::from_millis(900), Duration::from_millis(900)), Verdict::Stay);
        assert_eq!(governor.judge(Instant::from_millis(60_000), Duration::from_millis(950)), Verdict::Stay);
        let verdict = governor.judge(Instant::from_millis(61_000), Duration::from_millis(1950));
        assert_eq!(verdict, Verdict::GiveUp { percent: 100 });
    }

    /// The policy of the calling thread: 0 is `SCHED_OTHER`, 1 `SCHED_FIFO` (proc(5), field 41).
    fn policy() -> String {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("/proc");
        let fields = stat.rsplit_once(')').expect("a name").1.split_whitespace();
        fields.skip(38).take(1).collect()
    }

    #[test]
    fn a_thread_has_it_gives_it_up_and_has_it_again_and_its_children_never() {
        let on_a_thread_of_its_own = || {
            let mut scheduling = Scheduling::of_this_thread(1);
            if let Realtime::Refused { error } = scheduling.state() {
                assert!(error.contains("RLIMIT_RTPRIO") || error.contains("budget"), "{error}");
                return assert_eq!(policy(), "0", "who may not, goes on as before");
            }
            assert_eq!(policy(), "1");
            assert_eq!(std::thread::spawn(policy).join().expect("a policy"), "0");
            let (mut now, mut used) = (clock::now(), used());
            let mut after = |ms: u64, scheduling: &mut Scheduling| {
                (now, used) = (now + Duration::from_secs(1), used + Duration::from_millis(ms));
                scheduling.follow(now, used);
            };
            after(990, &mut scheduling);
            assert!(matches!(scheduling.state(), Realtime::GivenUp { .. }), "{scheduling:?}");
            assert_eq!(policy(), "0");
            (0..CALM).for_each(|_| after(0, &mut scheduling));
            assert_eq!((scheduling.state(), &*policy()), (&Realtime::InForce { priority: 1 }, "1"));
        };
        std::thread::spawn(on_a_thread_of_its_own).join().expect("as it should be");
        assert_eq!(*Scheduling::of_this_thread(0).state(), Realtime::Off);
    }

    #[test]
    fn what_this_thread_used_grows() {
        let before = used();
        while used() == before {
            std::hint::spin_loop();
        }
    }
}
