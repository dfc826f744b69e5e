//! Between etcd and the core: the keys by which groups elect. All are read together, in turn and when a watch rings, and what
//! the core asks about each is asked. Renewals of leases wait a moment for one another, so that hundreds of groups ask no more
//! often than a few.

use super::ToCore;
use super::leader_keys::Diary;
use crate::clock;
use crate::etcd::client::{Client, NoAnswer};
use crate::etcd::follow::{Pin, follow};
use crate::etcd::lease::{AT_ONCE, Question, key_found};
use crate::etcd::message::Keys;
use havipd_core::model::etcd::{EtcdAnswer, EtcdRequest, KeyRead, KeyState, LeaseId};
use havipd_core::model::event::Event;
use havipd_core::model::ids::{GroupIndex, OperationId};
use havipd_core::model::settings::{Config, Etcd};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A renewal waits for others at most this part of a lease, of which it needs one in four parts.
const GATHERED_IN: u32 = 40;

/// The keys of this node's groups; their tasks end when it is dropped.
#[derive(Debug)]
pub(super) struct ElectionKeys {
    etcd: Etcd,
    keys: BTreeMap<GroupIndex, String>,
    client: Arc<Client>,
    core: mpsc::Sender<ToCore>,
    renewals: mpsc::Sender<Renewal>,
    tasks: [JoinHandle<()>; 2],
}

/// A lease that is to be renewed, and who asks.
#[derive(Debug)]
struct Renewal {
    op: OperationId,
    group: GroupIndex,
    lease: LeaseId,
}

impl ElectionKeys {
    /// Reads what `config` says; what is read in the same way already goes on undisturbed.
    pub(super) fn follow(running: Option<Self>, config: &Config, core: &mpsc::Sender<ToCore>) -> Option<Self> {
        let etcd = config.etcd.clone()?;
        let groups = (0..config.groups.len()).map(GroupIndex);
        let keys: BTreeMap<GroupIndex, String> = groups
            .filter(|g| config.groups[g.0].member(config.local).is_some_and(|member| !member.witness))
            .filter_map(|g| Some((g, config.election_key(g)?)))
            .collect();
        if keys.is_empty() {
            return None;
        }
        if let Some(running) = running
            && running.etcd == etcd
            && running.keys == keys
        {
            return Some(running);
        }
        let client = Arc::new(Client::new(etcd.clone()));
        // The core asks again when it hears nothing of one that found no room.
        let (renewals, asked) = mpsc::channel(keys.len() * 2);
        let tasks = [
            tokio::spawn(read_keys(Arc::clone(&client), keys.clone(), core.clone())),
            tokio::spawn(renew(Arc::clone(&client), asked, core.clone())),
        ];
        Some(Self { etcd, keys, client, core: core.clone(), renewals, tasks })
    }

    /// Asks what the core asks about a group's key. A core that asks for another key by now drops the answer by its number.
    pub(super) fn ask(&self, op: OperationId, group: GroupIndex, request: &EtcdRequest) {
        let Some(key) = self.keys.get(&group).cloned() else { return };
        if let EtcdRequest::KeepAlive(lease) = request {
            drop(self.renewals.try_send(Renewal { op, group, lease: *lease }));
            return;
        }
        let Some(question) = Question::new(&key, request) else { return };
        let (client, core) = (Arc::clone(&self.client), self.core.clone());
        // The core asks again when it hears nothing for longer than all endpoints may take.
        tokio::spawn(async move {
            let (sent, answer) = match client.ask(&key, &question).await {
                Ok((answer, sent)) => (sent, Ok(answer)),
                Err(error) => (clock::now(), Err(error.to_string())),
            };
            if let Err(error) = &answer {
                tracing::debug!("{key} in etcd: {error}");
            }
            drop(core.send(ToCore::Event(Event::EtcdAnswered { group, op, sent, answer })).await);
        });
    }
}

impl Drop for ElectionKeys {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Renews leases for as long as the core listens, as many at once as have come in a moment.
async fn renew(client: Arc<Client>, mut asked: mpsc::Receiver<Renewal>, core: mpsc::Sender<ToCore>) {
    let moment = client.settings().lease / GATHERED_IN;
    while let Some(first) = asked.recv().await {
        let (until, mut all) = (clock::now() + moment, vec![first]);
        while all.len() < AT_ONCE {
            tokio::select! {
                biased;
                next = asked.recv() => match next {
                    Some(next) => all.push(next),
                    None => return,
                },
                () = clock::sleep_until(until) => break,
            }
        }
        // Whose answer is slow keeps none waiting.
        tokio::spawn(renew_at_once(Arc::clone(&client), all, core.clone()));
    }
}

async fn renew_at_once(client: Arc<Client>, all: Vec<Renewal>, core: mpsc::Sender<ToCore>) {
    let leases: Vec<LeaseId> = all.iter().map(|renewal| renewal.lease).collect();
    let (sent, answer) = match client.keep_alive(&leases).await {
        Ok((renewed, sent)) => (sent, Ok(renewed)),
        Err(error) => (clock::now(), Err(error.to_string())),
    };
    if let Err(error) = &answer {
        tracing::debug!("leases in etcd: {error}");
    }
    for Renewal { op, group, lease } in all {
        let left = |renewed: &BTreeMap<LeaseId, Duration>| renewed.get(&lease).copied();
        let answer = match &answer {
            Ok(renewed) => left(renewed).map(EtcdAnswer::KeptAlive).ok_or_else(|| format!("no answer about {lease}")),
            Err(error) => Err(error.clone()),
        };
        drop(core.send(ToCore::Event(Event::EtcdAnswered { group, op, sent, answer })).await);
    }
}

/// Reads the keys of this node's groups, all that the cluster has, for as long as the core listens.
///
/// ⚠ Another etcd counts only once two leases have passed without the one that was read before: a holder may have had its
/// lease renewed there after this node read it last, and leads for a lease from then. Of one that was restored from a backup
/// the core judges.
fn read_keys(
    client: Arc<Client>,
    keys: BTreeMap<GroupIndex, String>,
    core: mpsc::Sender<ToCore>,
) -> impl Future<Output = ()> + use<> {
    let pin = Pin::of_cluster(client.settings().lease * 2);
    // They differ in the name of the group alone.
    let asked = Keys::beside(keys.values().next().map_or("", String::as_str));
    let mut diary = Diary::new(asked.name(), keys.values().cloned().collect());
    let told = Arc::clone(&client);
    follow(client, asked, pin, move |answer| {
        diary.note(&answer);
        if let Ok(reading) = &answer {
            told.belongs_to(reading.range.cluster);
        }
        let read = |key: &str| match &answer {
            Ok(reading) => {
                let found = reading.range.of(key).map(key_found);
                let state = KeyState { revision: reading.range.revision, found };
                Ok(KeyRead { state, sent: reading.sent, endpoint: reading.endpoint.clone() })
            }
            Err(error) => Err(NoAnswer::to_string(error)),
        };
        let events: Vec<Event> =
            keys.iter().map(|(group, key)| Event::EtcdKeyRead { group: *group, read: read(key) }).collect();
        let core = core.clone();
        // The core may be busy: the keys are not read meanwhile, and what was said of them runs out.
        async move {
            for event in events {
                if core.send(ToCore::Event(event)).await.is_err() {
                    return false;
                }
            }
            true
        }
    })
}
