//! Talking to systemd: readiness, status, the watchdog, and why it stops us.
//!
//! Messages go through a thread, because a datagram to a service manager that does not read blocks
//! its sender. Between two of them only the newest status and the fact that a ping is due are kept.
//! Without `NOTIFY_SOCKET` everything here does nothing.
//!
//! Debian 12 has systemd 252, so the unit is `Type=notify` with a HUP reload, not `notify-reload`;
//! the `RELOADING=1` that newer ones want does no harm there.

mod job;

pub use job::{DEFAULT_UNIT, JOB_PATIENCE, StopIntent, stop_intent, stop_timeout, unit_of_this_process, unit_user};

use crate::clock;
use crate::worker::{Latest, Worker};
use havipd_core::model::time::Instant;
use sd_notify::NotifyState;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tracing::{info, warn};

/// The directory that systemd names in `variable` (`STATE_DIRECTORY`, `RUNTIME_DIRECTORY`), else
/// `default`. Of several, separated by colons, the first.
#[must_use]
pub fn directory(variable: &str, default: &str) -> PathBuf {
    let value = std::env::var(variable).unwrap_or_default();
    let first = value.split(':').next().filter(|d| d.starts_with('/'));
    PathBuf::from(first.unwrap_or(default))
}

/// What is wrong with the directories that the environment names: one that depends on where this process happens to run
/// is none. `None`: nothing.
#[must_use]
pub fn odd_directory() -> Option<String> {
    let odd = |variable: &&str| {
        let value = std::env::var_os(variable)?;
        let first = value.to_str().map(|text| text.split(':').next().unwrap_or_default());
        let absolute = value.is_empty() || first.is_some_and(|first| first.starts_with('/'));
        (!absolute).then(|| {
            let value = crate::plain::line(&value.to_string_lossy());
            format!("{variable} is \"{value}\", which is not an absolute path: set it to one, or unset it")
        })
    };
    ["RUNTIME_DIRECTORY", "STATE_DIRECTORY"].iter().find_map(odd)
}

/// The line to the service manager.
#[derive(Debug)]
pub struct Notifier {
    outbox: Option<Worker<Outbox>>,
    watchdog: Option<Watchdog>,
}

/// When the next ping is due.
#[derive(Debug)]
struct Watchdog {
    interval: Duration,
    /// Nanoseconds since boot.
    next: AtomicU64,
}

impl Watchdog {
    const fn new(limit: Duration) -> Self {
        Self { interval: limit.checked_div(2).expect("two is not zero"), next: AtomicU64::new(0) }
    }

    /// Whether a step completed at `now` is to be reported.
    fn due(&self, now: Instant) -> bool {
        let due = now.as_nanos() >= self.next.load(Ordering::Relaxed);
        if due {
            self.next.store((now + self.interval).as_nanos(), Ordering::Relaxed);
        }
        due
    }
}

#[derive(Debug, Default)]
struct Outbox {
    reloading: bool,
    ready: bool,
    stopping: bool,
    ping: bool,
    status: Option<String>,
    /// The status handed over last: the same again is not sent.
    known: Option<String>,
    sending: bool,
}

impl Outbox {
    const fn empty(&self) -> bool {
        !(self.reloading || self.ready || self.stopping || self.ping || self.status.is_some())
    }

    /// Takes out what waits. Of several states systemd takes the last, so the order is that of a life.
    fn take(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        for (flag, message) in [
            (&mut self.reloading, Message::Reloading),
            (&mut self.ready, Message::Ready),
            (&mut self.stopping, Message::Stopping),
            (&mut self.ping, Message::Ping),
        ] {
            if std::mem::take(flag) {
                messages.push(message);
            }
        }
        messages.extend(self.status.take().map(Message::Status));
        messages
    }
}

enum Message {
    Reloading,
    Ready,
    Stopping,
    Ping,
    Status(String),
}

impl Notifier {
    /// The service manager that the environment names, if it names one (`NOTIFY_SOCKET`,
    /// `WATCHDOG_USEC`, `WATCHDOG_PID`).
    ///
    /// # Errors
    /// No thread to talk to it.
    pub fn from_env() -> std::io::Result<Self> {
        if std::env::var_os("NOTIFY_SOCKET").is_none() {
            return Ok(Self { outbox: None, watchdog: None });
        }
        let outbox = Worker::start("havipd-notify", Outbox::default(), work)?;
        Ok(Self { outbox: Some(outbox), watchdog: sd_notify::watchdog_enabled().map(Watchdog::new) })
    }

    /// Start-up, or a reload, is over.
    pub fn ready(&self) {
        self.post(|o| o.ready = true);
    }

    /// A reload begins; [`Self::ready`] ends it.
    pub fn reloading(&self) {
        self.post(|o| o.reloading = true);
    }

    /// The daemon is leaving.
    pub fn stopping(&self) {
        self.post(|o| o.stopping = true);
    }

    /// The line that `systemctl status` shows; the same one again is not sent.
    pub fn status(&self, text: &str) {
        self.post(|o| {
            if o.known.as_deref() != Some(text) {
                o.known = Some(text.to_owned());
                // A line break would begin another message.
                o.status = Some(crate::plain::line(text));
            }
        });
    }

    /// To be called after every step that did all its work, and from nowhere else: at most twice per
    /// `WatchdogSec` it becomes a ping, and without it systemd restarts us.
    pub fn turn_completed(&self, now: Instant) {
        if self.watchdog.as_ref().is_some_and(|w| w.due(now)) {
            self.post(|o| o.ping = true);
        }
    }

    /// How often a step must be completed at least, if systemd watches.
    #[must_use]
    pub fn watchdog_interval(&self) -> Option<Duration> {
        self.watchdog.as_ref().map(|w| w.interval)
    }

    /// Waits until everything has been handed to systemd, but not longer than `patience`.
    #[must_use]
    pub fn flush(&self, patience: Duration) -> bool {
        let Some(outbox) = &self.outbox else { return true };
        outbox.wait(clock::now() + patience, |o| o.empty() && !o.sending)
    }

    fn post(&self, change: impl FnOnce(&mut Outbox)) {
        if let Some(outbox) = &self.outbox {
            outbox.change(change);
        }
    }
}

fn work(latest: &Latest<Outbox>) {
    let mut failing = false;
    let take = |o: &mut Outbox| {
        o.sending = !o.empty();
        o.sending.then(|| o.take())
    };
    while let Some(messages) = latest.next(take) {
        let result = send(&messages);
        latest.change(|o| o.sending = false);
        match &result {
            Err(e) if !failing => warn!("cannot talk to systemd: {e}"),
            Ok(()) if failing => info!("systemd listens again"),
            Ok(()) | Err(_) => {}
        }
        failing = result.is_err();
    }
}

fn send(messages: &[Message]) -> std::io::Result<()> {
    let mut states = Vec::with_capacity(messages.len() + 1);
    for message in messages {
        match message {
            Message::Reloading => states.extend([NotifyState::Reloading, NotifyState::monotonic_usec_now()?]),
            Message::Ready => states.push(NotifyState::Ready),
            Message::Stopping => states.push(NotifyState::Stopping),
            Message::Ping => states.push(NotifyState::Watchdog),
            Message::Status(text) => states.push(NotifyState::Status(text)),
        }
    }
    sd_notify::notify(&states)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_is_due_twice_per_limit() {
        let watchdog = Watchdog::new(Duration::from_secs(10));
        let due = (0..30).filter(|s| watchdog.due(Instant::from_millis(60_000 + s * 1_000))).count();
        assert_eq!(due, 6);
    }

    #[test]
    fn without_systemd_nothing_happens() {
        let notifier = Notifier { outbox: None, watchdog: None };
        notifier.ready();
        notifier.turn_completed(Instant::from_millis(1));
        assert!(notifier.flush(Duration::ZERO));
        assert_eq!(notifier.watchdog_interval(), None);
    }
}
