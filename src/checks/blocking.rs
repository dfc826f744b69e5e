//! What takes a thread: one at a time for each check, whatever becomes of it.

use havipd_core::model::ids::CheckName;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One gate for each name of a check; it outlives reloads.
#[derive(Debug, Default)]
pub(super) struct Gates(BTreeMap<CheckName, Gate>);

impl Gates {
    /// The gate of a check.
    pub(super) fn of(&mut self, name: &CheckName) -> Gate {
        // Those of checks that are gone, and run no more, are forgotten.
        self.0.retain(|known, gate| known == name || Arc::strong_count(&gate.0) > 1);
        self.0.entry(name.clone()).or_insert_with(|| Gate(Arc::new(Semaphore::new(1)))).clone()
    }
}

/// Lets one run through at a time.
#[derive(Debug, Clone)]
pub(super) struct Gate(Arc<Semaphore>);

impl Gate {
    /// Does `work` on a thread of its own, once the last one has come back, all within `patience`. `None`: it has not come
    /// back, or the one before has not. What is not waited for any longer is not stopped either; its result is dropped.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        patience: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let all = async {
            let permit: OwnedSemaphorePermit = Arc::clone(&self.0).acquire_owned().await.ok()?;
            let done = tokio::task::spawn_blocking(move || {
                let done = work();
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
    use std::sync::Barrier;

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
