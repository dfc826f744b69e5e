//! A thread beside the runtimes for work that may block, fed by its latest value.
//!
//! A caller changes the value and returns; the thread takes from it what is next. Nothing queues up, nothing is dropped
//! for want of room, and no caller waits: the value says what is to be done, however often it was changed meanwhile.
//! What is to be done one by one lies in the value as a bounded queue, and the value's own type says what happens when
//! that is full.

use crate::clock;
use havipd_core::model::time::Instant;
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// A thread and the value that it works from. Dropped, it lets the thread end once nothing is left to do.
pub struct Worker<T> {
    latest: Latest<T>,
    thread: Option<JoinHandle<()>>,
}

/// The value that a worker and its callers share.
pub struct Latest<T>(Arc<Shared<T>>);

struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    value: T,
    closed: bool,
}

impl<T: Send + 'static> Worker<T> {
    /// Starts a thread with this name, which runs `work` on `value`.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(name: &str, value: T, work: impl FnOnce(&Latest<T>) + Send + 'static) -> io::Result<Self> {
        let state = Mutex::new(State { value, closed: false });
        let latest = Latest(Arc::new(Shared { state, changed: Condvar::new() }));
        let for_thread = Latest(Arc::clone(&latest.0));
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || work(&for_thread))?;
        Ok(Self { latest, thread: Some(thread) })
    }
}

impl<T> Worker<T> {
    /// Changes the value, and wakes the thread. Never waits for the work.
    pub fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        self.latest.change(change)
    }

    /// What `f` makes of the value.
    pub fn read<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        f(&self.latest.state().value)
    }

    /// Waits until `done` holds of the value, but not beyond `deadline`; returns whether it does.
    #[must_use]
    pub fn wait(&self, deadline: Instant, done: impl Fn(&T) -> bool) -> bool {
        let mut state = self.latest.state();
        while !done(&state.value) {
            let Some(left) = clock::left(deadline) else { return false };
            state = self.latest.0.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Waits for the end of the thread, which comes once nothing is left to do.
    pub fn finish(&mut self) {
        self.close();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed by the panic hook; there is nothing left to undo here.
            let _ = thread.join();
        }
    }

    fn close(&self) {
        self.latest.state().closed = true;
        self.latest.0.changed.notify_all();
    }
}

impl<T> Drop for Worker<T> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<T> Latest<T> {
    /// Changes the value, and wakes those who wait for that.
    pub fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.state().value);
        self.0.changed.notify_all();
        result
    }

    /// Waits for what `take` finds to do next. `None`: nothing is left, and nothing will come.
    pub fn next<W>(&self, mut take: impl FnMut(&mut T) -> Option<W>) -> Option<W> {
        let mut state = self.state();
        loop {
            if let Some(work) = take(&mut state.value) {
                return Some(work);
            }
            if state.closed {
                return None;
            }
            state = self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Pauses for `span`, whatever comes meanwhile; ends early, with `false`, when the worker is dropped.
    pub fn pause(&self, span: Duration) -> bool {
        let open = |state: &mut State<T>| !state.closed;
        let paused = self.0.changed.wait_timeout_while(self.state(), span, open);
        !paused.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    /// A panic elsewhere leaves the value usable: no change to it has a step that could fail halfway.
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: fmt::Debug> fmt::Debug for Worker<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Worker").field(&self.latest.state().value).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_dropped_worker_does_what_is_left_and_a_pause_of_it_ends() {
        let (done, results) = mpsc::sync_channel(8);
        let work = move |latest: &Latest<Vec<u32>>| {
            while let Some(n) = latest.next(Vec::pop) {
                let _ = done.send(n);
            }
            assert!(!latest.pause(Duration::from_secs(3600)), "nobody is left to work for");
            let _ = done.send(0);
        };
        let mut worker = Worker::start("test", vec![], work).expect("a thread");
        worker.change(|value| value.extend([3, 2, 1]));
        worker.finish();
        assert_eq!(results.iter().collect::<Vec<_>>(), [1, 2, 3, 0]);
    }
}
