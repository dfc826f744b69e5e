//! A thread beside the runtimes, for work that may block for long: one desk, on which only the newest counts.
//!
//! Whoever has something for it changes what lies on the desk and goes on; the thread takes from it what is next. So
//! nothing queues up, nothing is dropped for want of room, and nobody waits: what is on the desk says what is to be
//! done, however often it was changed meanwhile.

use crate::clock;
use havipd_core::model::time::Instant;
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The hand that puts things on the desk. Dropped, it lets the thread end once nothing is left to do.
pub struct Worker<T> {
    desk: Desk<T>,
    thread: Option<JoinHandle<()>>,
}

/// What a worker and those it works for share.
pub struct Desk<T>(Arc<Shared<T>>);

struct Shared<T> {
    papers: Mutex<Papers<T>>,
    changed: Condvar,
}

struct Papers<T> {
    on: T,
    closed: bool,
}

impl<T: Send + 'static> Worker<T> {
    /// Starts a thread with this name and desk, which does `life`.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(name: &str, on: T, life: impl FnOnce(&Desk<T>) + Send + 'static) -> io::Result<Self> {
        let desk = Desk(Arc::new(Shared { papers: Mutex::new(Papers { on, closed: false }), changed: Condvar::new() }));
        let for_thread = Desk(Arc::clone(&desk.0));
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || life(&for_thread))?;
        Ok(Self { desk, thread: Some(thread) })
    }
}

impl<T> Worker<T> {
    /// Changes what is on the desk, and wakes the thread. Never waits.
    pub fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        self.desk.change(change)
    }

    /// What `f` makes of what is on the desk.
    pub fn look<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        f(&self.desk.papers().on)
    }

    /// Waits until `done` says so of the desk, but not beyond `deadline`; says whether it does.
    #[must_use]
    pub fn wait(&self, deadline: Instant, done: impl Fn(&T) -> bool) -> bool {
        let mut papers = self.desk.papers();
        while !done(&papers.on) {
            let Some(left) = clock::left(deadline) else { return false };
            papers = self.desk.0.changed.wait_timeout(papers, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Waits for the end of the thread: until nothing is left to do.
    pub fn finish(&mut self) {
        self.close();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed by the panic hook; there is nothing left to undo here.
            let _ = thread.join();
        }
    }

    fn close(&self) {
        self.desk.papers().closed = true;
        self.desk.0.changed.notify_all();
    }
}

impl<T> Drop for Worker<T> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<T> Desk<T> {
    /// Changes what is on the desk, and wakes whoever waits for that.
    pub fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.papers().on);
        self.0.changed.notify_all();
        result
    }

    /// Waits for what `take` finds to do next; `None`: nothing is left, and nothing will come.
    pub fn next<W>(&self, mut take: impl FnMut(&mut T) -> Option<W>) -> Option<W> {
        let mut papers = self.papers();
        loop {
            if let Some(work) = take(&mut papers.on) {
                return Some(work);
            }
            if papers.closed {
                return None;
            }
            papers = self.0.changed.wait(papers).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Rests for `pause`, whatever comes meanwhile; says whether there is still anybody to work for.
    pub fn rest(&self, pause: Duration) -> bool {
        let rest = |papers: &mut Papers<T>| !papers.closed;
        let rested = self.0.changed.wait_timeout_while(self.papers(), pause, rest);
        !rested.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    /// A panic elsewhere leaves the desk usable: nothing on it is changed in more than one step that could fail.
    fn papers(&self) -> MutexGuard<'_, Papers<T>> {
        self.0.papers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: fmt::Debug> fmt::Debug for Worker<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Worker").field(&self.desk.papers().on).finish()
    }
}
