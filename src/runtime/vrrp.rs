//! Between keepalived and the core: which group follows whom.

use super::ToCore;
use crate::control::protocol::{Code, Notified, Request, Response};
use crate::control::server::Peer;
use crate::keepalived::follow::{Followed, News, Taken, Told, follow};
use crate::keepalived::process::is_user_of_keepalived;
use crate::keepalived::stamp::Stamp;
use havipd_core::model::event::Event;
use havipd_core::model::ids::GroupIndex;
use havipd_core::model::leader::LeaderReport;
use havipd_core::model::settings::{Arbiter, Config};
use havipd_core::model::vrrp::{Notice, Vrrp as Name};
use std::collections::BTreeMap;
use std::path::Path;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Notify commands, and reports, that wait. When full: a command is answered with `try again`, and what follows
/// keepalived waits until the core has taken the reports, of which none is lost.
const QUEUE: usize = 256;
/// The answer to everybody else.
const NOT_ALLOWED: &str = "only root, the user that havipd runs as, the one that keepalived runs as, and keepalived_script \
    may tell a state of keepalived";

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
            if core
                .send(ToCore::Event(Event::LeaderReported { group: *group, report: LeaderReport::Keepalived(report) }))
                .await
                .is_err()
            {
                return;
            }
        }
    }
}

/// Answers a notify command, once it is known what became of it. keepalived's own configuration may well have instances
/// that no group follows. What the client says of itself counts for nothing: the kernel names its user, and its process,
/// which tells when it was started.
pub(super) fn notified(
    running: Option<&Vrrp>,
    config: &Config,
    request: &Request,
    peer: Peer,
    reply: oneshot::Sender<Response>,
) {
    let allowed = |uid| is_user_of_keepalived(uid, &config.keepalived.pid_file);
    let result = if peer.is_trusted() || peer.uid.is_some_and(allowed) {
        forward(running, request, peer)
    } else {
        Err(Response::new(Code::Permission, NOT_ALLOWED))
    };
    match result {
        Ok((text, taken)) => drop(tokio::spawn(async move {
            let response = match taken.await {
                Ok(taken) => told(&text, taken),
                // What follows keepalived has been replaced by a reload, or ends with the daemon.
                Err(_) => Response::new(Code::TryAgain, "what follows keepalived begins anew"),
            };
            let _ = reply.send(response);
        })),
        Err(response) => drop(reply.send(response)),
    }
}

/// Passes a state on; what it says in words, and where it is told what became of it.
fn forward(
    running: Option<&Vrrp>,
    request: &Request,
    peer: Peer,
) -> Result<(String, oneshot::Receiver<Taken>), Response> {
    let Request::Notify { kind, name, state, priority, stamp: _ } = request else {
        return Err(Response::new(Code::Usage, "not a notify command"));
    };
    let notice = Notice::from_words(kind, name, state, priority.as_deref())
        .map_err(|error| Response::new(Code::Usage, error.to_string()))?;
    let Some(running) = running.filter(|r| r.groups.contains_key(&notice.vrrp)) else {
        return Err(Response::done(format!("no group follows {}", notice.vrrp.shown())));
    };
    let text = format!("{} is {}", notice.vrrp.shown(), notice.word.as_str());
    let (answer, taken) = oneshot::channel();
    let told = Told { notice, stamp: Stamp::of(peer.pid), answer };
    running.told.try_send(told).map_err(|_| Response::new(Code::TryAgain, "too many states wait"))?;
    Ok((text, taken))
}

fn told(text: &str, taken: Taken) -> Response {
    let response = match &taken {
        Taken::Yes => Response::done(text),
        Taken::NotFollowed => Response::done("no group follows it"),
        Taken::Older(state) => {
            let state = state.as_str();
            Response::new(
                Code::No,
                format!("{text} does not count: keepalived has said {state} since, or what says it ran before"),
            )
        }
        Taken::NotRunning(why) => Response::new(Code::TryAgain, format!("{text} does not count now: {why}")),
    };
    response.with_data(serde_json::json!(Notified { taken: taken == Taken::Yes }))
}
