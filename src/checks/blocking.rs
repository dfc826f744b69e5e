//! What takes a thread: one at a time for each check, whatever becomes of it.

use havipd_core::model::ids::CheckName;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One gate for each name of a check; it outlives reloads.
#[derive(Debug, Default)]
pub(super) struct Gates(BTreeMap<CheckName, Gate>);

impl Gates {
    /// The gate of a check.
    pub(super) fn of(&mut self, name: &CheckName) -> Gate {
        // Those of checks that are gone, and run no more, are forgotten.
        self.0.retain(|known, gate| known == name || Arc::strong_count(&gate.place) > 1);
        let new = || Gate { place: Arc::new(Semaphore::new(1)), begun: Arc::default() };
        self.0.entry(name.clone()).or_insert_with(new).clone()
    }
}

/// Lets one run through at a time.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    place: Arc<Semaphore>,
    begun: Arc<AtomicBool>,
}

impl Gate {
    /// What the run that is let through says once its program has been started. A host that is too busy to start one in
    /// time says nothing of the service.
    pub(super) fn begun(&self) -> &AtomicBool {
        &self.begun
    }

    /// Does `work` on a thread of its own, once the last one has come back, all within `patience`. `None`: it has not come
    /// back, or the one before has not. What is not waited for any longer is not stopped either; its result is dropped.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        patience: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let all = async {
            let permit: OwnedSemaphorePermit = Arc::clone(&self.place).acquire_owned().await.ok()?;
            let begun = Arc::clone(&self.begun);
            let done = tokio::task::spawn_blocking(move || {
                let done = work();
                begun.store(false, Ordering::Relaxed);
                drop(permit);
                done
            });
            done.await.ok()
        };
        tokio::time::timeout(patience, all).await.ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::script;
    use crate::checks::status::RunResult;
    use std::sync::Barrier;

    #[test]
    fn a_program_that_this_host_could_not_start_in_time_says_nothing_of_its_service() {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            let gate = Gates::default().of(&"web".parse().unwrap());
            let (soon, long) = (Duration::from_millis(1), Duration::from_secs(30));
            let barrier = Arc::new(Barrier::new(2));
            let held = Arc::clone(&barrier);
            // Nobody else gets a thread.
            let busy = tokio::task::spawn_blocking(move || held.wait());
            assert_eq!(gate.run(soon, || ()).await, None);
            assert_eq!(script::not_back(&gate, "it").result, RunResult::NotRun);
            barrier.wait();
            busy.await.unwrap();
            // This one has its thread, starts its program, and does not come back.
            let (held, own) = (Arc::clone(&barrier), gate.clone());
            let (tell, told) = tokio::sync::oneshot::channel();
            let run = gate.run(long, move || {
                own.begun().store(true, Ordering::Relaxed);
                let _ = tell.send(());
                held.wait()
            });
            let other = async {
                told.await.unwrap();
                let outcome = script::not_back(&gate, "it");
                barrier.wait();
                outcome
            };
            let (_, outcome) = tokio::join!(run, other);
            assert_eq!(outcome.result, RunResult::TimedOut);
            assert!(!gate.begun().load(Ordering::Relaxed), "it has come back");
        });
    }

    #[tokio::test]
    async fn while_one_has_not_come_back_there_is_no_second() {
        let mut gates = Gates::default();
        let name: CheckName = "web".parse().unwrap();
        let (soon, long) = (Duration::from_millis(1), Duration::from_secs(30));
        let barrier = Arc::new(Barrier::new(2));
        let held = Arc::clone(&barrier);
        assert_eq!(gates.of(&name).run(soon, move || held.wait().is_leader()).await, None);
        assert_eq!(gates.of(&name).run(soon, || 1).await, None, "a reload makes no second gate");
        barrier.wait();
        assert_eq!(gates.of(&name).run(long, || 2).await, Some(2));
    }
}
