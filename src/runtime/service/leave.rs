//! The end of the daemon: what is still to be done once the core has left.

use super::Service;
use crate::runtime::signals::{Signal, Signals};
use crate::runtime::stale;
use std::sync::Arc;
use std::time::Duration;

/// Beyond their own timeout hooks get this long to end.
const HOOKS_MORE: Duration = Duration::from_secs(3);
/// How long the disk may take for the last state.
const STATE_PATIENCE: Duration = Duration::from_secs(3);

/// How a daemon ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// In order: handed over, kept for a restart, or released.
    Left,
    /// Told twice: addresses are off, nothing was handed over.
    Abandoned,
    /// The core thread died.
    Crashed,
}

impl Service {
    /// Waits for the hooks and the disk, each for a bounded time.
    pub(super) async fn leave(self, thread: std::thread::JoinHandle<()>, signals: &mut Signals) -> End {
        // It ends once every address command is done.
        let ended = tokio::task::spawn_blocking(move || thread.join());
        let crashed = !matches!(ended.await, Ok(Ok(())));
        let end = match (self.left, self.terminated) {
            (true, _) => End::Left,
            (false, 2..) if !crashed => End::Abandoned,
            _ => End::Crashed,
        };
        if end != End::Left {
            return end;
        }
        let patience = self.config.groups.iter().map(|g| g.hooks.timeout).max().unwrap_or_default() + HOOKS_MORE;
        let (hooks, state) = (self.hooks, Arc::clone(&self.state));
        let finish = tokio::task::spawn_blocking(move || {
            let stored = state.flush(STATE_PATIENCE);
            (stored, hooks.wait_idle(patience))
        });
        let (stored, idle) = tokio::select! {
            done = finish => done.unwrap_or((false, false)),
            () = told_again(signals) => (true, false),
        };
        if !stored {
            tracing::warn!("the last state is not on the disk");
        }
        if !idle {
            tracing::warn!("a hook still runs; not waited for any longer");
        }
        if let Some(sealing) = self.sealing {
            // What it stores must not outlive us.
            let _ = tokio::time::timeout(STATE_PATIENCE, sealing).await;
        }
        if let Err(error) = stale::forget(&self.runtime_directory) {
            tracing::warn!("{error}");
        }
        end
    }
}

async fn told_again(signals: &mut Signals) {
    while signals.next().await != Signal::Terminate {}
}
