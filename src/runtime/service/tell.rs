//! Questions of operators that change nothing.

use super::Service;
use crate::control::protocol::{Code, Response};
use crate::journal;
use crate::runtime::{ToCore, commands, why};
use crate::status::{CoreStatus, Status};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How long the core, or the disk, may take to say how things are.
const PATIENCE: Duration = Duration::from_secs(2);

impl Service {
    /// The status, whole or of one group.
    pub(super) fn tell_status(&self, group: Option<String>, reply: oneshot::Sender<Response>) {
        if let Some(name) = group.as_deref()
            && self.config.group_named(name).is_none()
        {
            return drop(reply.send(commands::unknown_group(&self.config, name)));
        }
        let effects = self.effects_status();
        self.ask_core(reply, move |mut status| {
            status.election.groups.retain(|g| group.as_ref().is_none_or(|name| g.name == *name));
            let line = status.line();
            with_data(line, &Status::new(status, effects))
        });
    }

    pub(super) fn tell_why(&self, group: String, reply: oneshot::Sender<Response>) {
        let config = Arc::clone(&self.config);
        let checks = self.checks.status();
        self.ask_core(reply, move |status| match why::explain(&config, &status.election, &checks, &group) {
            Some(explanation) => with_data(explanation.text(), &explanation),
            None => commands::unknown_group(&config, &group),
        });
    }

    /// Has the core asked for its state, and sends what `answer` makes of it.
    fn ask_core(&self, reply: oneshot::Sender<Response>, answer: impl FnOnce(CoreStatus) -> Response + Send + 'static) {
        let core = self.to_core.clone();
        tokio::spawn(async move {
            let response = match core_status(&core).await {
                Some(status) => answer(status),
                None => Response::new(Code::TryAgain, "the core does not answer"),
            };
            let _ = reply.send(response);
        });
    }

    pub(super) fn tell_history(&self, group: Option<String>, reply: oneshot::Sender<Response>) {
        if let Some(name) = group.as_deref()
            && self.config.group_named(name).is_none()
        {
            return drop(reply.send(commands::unknown_group(&self.config, name)));
        }
        // One reader at a time: on a disk that hangs they would only become more.
        let Ok(permit) = Arc::clone(&self.history_reader).try_acquire_owned() else {
            return drop(reply.send(Response::new(Code::TryAgain, "the history is just being read")));
        };
        let directory = self.journal.directory().to_path_buf();
        let reading = tokio::task::spawn_blocking(move || {
            let read = journal::read(&directory, group.as_deref());
            drop(permit);
            read
        });
        tokio::spawn(async move {
            let response = match tokio::time::timeout(PATIENCE, reading).await {
                Ok(Ok(Ok(entries))) => with_data(
                    match entries.len() {
                        1 => "1 entry".to_owned(),
                        n => format!("{n} entries"),
                    },
                    &entries,
                ),
                Ok(Ok(Err(error))) => Response::new(Code::No, format!("the history cannot be read: {error}")),
                _ => Response::new(Code::TryAgain, "the state directory does not answer"),
            };
            let _ = reply.send(response);
        });
    }
}

/// How the core is now; `None`: it does not answer.
pub(super) async fn core_status(core: &mpsc::Sender<ToCore>) -> Option<CoreStatus> {
    let (ask, told) = oneshot::channel();
    let asked = async {
        core.send(ToCore::Status(ask)).await.ok()?;
        told.await.ok()
    };
    tokio::time::timeout(PATIENCE, asked).await.ok().flatten()
}

pub(super) fn with_data(text: String, data: &impl Serialize) -> Response {
    match serde_json::to_value(data) {
        Ok(data) => Response::done(text).with_data(data),
        Err(error) => Response::new(Code::No, error.to_string()),
    }
}
