//! Between keepalived and the core: which group follows whom.

use super::ToCore;
use crate::config::model::{Arbiter, Config};
use crate::control::protocol::{Code, Request, Response};
use crate::election::event::Event;
use crate::ids::GroupIndex;
use crate::keepalived::follow::{Followed, News, Told, follow};
use crate::keepalived::parse::{Notice, Vrrp as Name};
use crate::keepalived::stamp::Stamp;
use std::collections::BTreeMap;
use std::path::Path;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Notify commands, and reports, that wait.
const QUEUE: usize = 256;

/// The tasks that follow keepalived; they end when it is dropped.
#[derive(Debug)]
pub(super) struct Vrrp {
    followed: Followed,
    groups: BTreeMap<Name, Vec<GroupIndex>>,
    told: mpsc::Sender<Told>,
    tasks: [JoinHandle<()>; 2],
}

impl Vrrp {
    /// Follows what `config` says; what is followed in the same way already goes on undisturbed.
    pub(super) fn follow(
        running: Option<Self>,
        config: &Config,
        state_directory: &Path,
        core: &mpsc::Sender<ToCore>,
    ) -> Option<Self> {
        let keepalived = &config.keepalived;
        let mut groups: BTreeMap<Name, Vec<GroupIndex>> = BTreeMap::new();
        for (i, group) in config.groups.iter().enumerate() {
            let holds = group.member(config.local).is_some_and(|member| !member.witness);
            if holds && group.arbiter == Arbiter::Keepalived {
                groups.entry(group.vrrp.clone()).or_default().push(GroupIndex(i));
            }
        }
        let followed = Followed {
            names: groups.keys().cloned().collect(),
            fifo: keepalived.fifo.clone(),
            pid_file: keepalived.pid_file.clone(),
            state_directory: state_directory.to_owned(),
        };
        if followed.names.is_empty() {
            return None;
        }
        if let Some(running) = running
            && running.followed == followed
            && running.groups == groups
        {
            return Some(running);
        }
        let (told, commands) = mpsc::channel(QUEUE);
        let (news, reports) = mpsc::channel(QUEUE);
        let tasks = [
            tokio::spawn(follow(followed.clone(), commands, news)),
            tokio::spawn(pass_on(reports, groups.clone(), core.clone())),
        ];
        Some(Self { followed, groups, told, tasks })
    }
}

impl Drop for Vrrp {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn pass_on(
    mut reports: mpsc::Receiver<News>,
    groups: BTreeMap<Name, Vec<GroupIndex>>,
    core: mpsc::Sender<ToCore>,
) {
    while let Some(News { vrrp, report }) = reports.recv().await {
        for group in groups.get(&vrrp).into_iter().flatten() {
            if core.send(ToCore::Event(Event::VrrpReported { group: *group, report })).await.is_err() {
                return;
            }
        }
    }
}

/// The answer to a notify command. keepalived's own configuration may well have instances that no group follows.
pub(super) fn notified(running: Option<&Vrrp>, request: &Request) -> Response {
    let Request::Notify { kind, name, state, priority, stamp } = request else {
        return Response::new(Code::Usage, "not a notify command");
    };
    let notice = match Notice::from_words(kind, name, state, priority.as_deref()) {
        Ok(notice) => notice,
        Err(error) => return Response::new(Code::Usage, error.to_string()),
    };
    let Some(running) = running.filter(|r| r.groups.contains_key(&notice.vrrp)) else {
        return Response::done(format!("no group follows {}", notice.vrrp));
    };
    let text = format!("{} is {}", notice.vrrp, notice.word.as_str());
    let stamp = Stamp { ticks: stamp.0, pid: stamp.1 };
    match running.told.try_send(Told { notice, stamp }) {
        Ok(()) => Response::done(text),
        Err(_) => Response::new(Code::TryAgain, "too many states wait"),
    }
}
