//! What the last run left: taken over once this process is the daemon, and waited for as long as the disk takes.

use crate::runtime::ToCore;
use crate::state::{Loaded, PATIENCE, StateFile};
use havipd_core::model::event::Event;
use havipd_core::model::persisted::Persisted;
use havipd_core::model::settings::Config;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// What the state directory has said so far.
pub(super) enum Remembered {
    /// This.
    Known(Box<Loaded>),
    /// Nothing yet.
    Late(Late),
}

/// The answer that is still to come.
pub(super) struct Late(oneshot::Receiver<Loaded>);

impl Remembered {
    /// Takes it over. A directory that did not answer a moment ago is not waited for again.
    pub(super) async fn take(state: &StateFile, answers: bool) -> Self {
        let mut answer = state.take();
        let patience = if answers { PATIENCE } else { Duration::ZERO };
        match tokio::time::timeout(patience, &mut answer).await {
            Ok(Ok(loaded)) => Self::Known(Box::new(loaded)),
            Err(_) => Self::Late(Late(answer)),
            Ok(Err(_)) => Self::Late(Late(state.take())),
        }
    }

    pub(super) fn tell(&self, config: &Config, directory: &Path) {
        match self {
            Self::Known(loaded) => tell(loaded, config, directory),
            Self::Late(_) => tracing::warn!(
                "{} does not answer: starting without the state of the last run, drained until it is known; \
                 havipctl undrain ends that",
                directory.display()
            ),
        }
    }

    /// What there is for the core, and what is to come.
    pub(super) fn split(self) -> (Option<Persisted>, Option<Late>) {
        match self {
            Self::Known(loaded) => (Some(loaded.0), None),
            Self::Late(late) => (None, Some(late)),
        }
    }
}

impl Late {
    /// Tells the core once the directory has answered.
    pub(super) async fn wait(self, config: Arc<Config>, directory: PathBuf, core: mpsc::Sender<ToCore>) {
        // Without an answer the daemon ends.
        let Ok(loaded) = self.0.await else { return };
        tell(&loaded, &config, &directory);
        let _ = core.send(ToCore::Event(Event::StateFound(Box::new(loaded.0)))).await;
    }
}

fn tell((state, found): &Loaded, config: &Config, directory: &Path) {
    if found.is_wrong() {
        tracing::warn!("{found}");
    } else {
        tracing::info!("{found}");
    }
    if let Some(whose) = state.of_another(config) {
        let (place, own) = (directory.display(), &config.local_node().name);
        tracing::warn!("{place} has the state of {whose}: it is not used here, and will be that of {own} from now on");
    }
}
