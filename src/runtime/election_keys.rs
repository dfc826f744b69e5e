//! Between etcd and the core: the keys by which groups elect. Each is read in turn and when a watch rings, and what the core
//! asks about it is asked.

use super::ToCore;
use super::leader_keys::Diary;
use crate::clock;
use crate::etcd::client::{Client, NoAnswer, Reading};
use crate::etcd::follow::{Pin, follow};
use crate::etcd::lease::{Question, key_found};
use havipd_core::model::etcd::{EtcdRequest, KeyRead, KeyState};
use havipd_core::model::event::Event;
use havipd_core::model::ids::{GroupIndex, OperationId};
use havipd_core::model::settings::{Config, Etcd};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// The keys of this node's groups; their tasks end when it is dropped.
#[derive(Debug)]
pub(super) struct ElectionKeys {
    etcd: Etcd,
    keys: BTreeMap<GroupIndex, String>,
    client: Arc<Client>,
    core: mpsc::Sender<ToCore>,
    tasks: Vec<JoinHandle<()>>,
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
        let tasks = keys
            .iter()
            .map(|(group, key)| tokio::spawn(read_key(Arc::clone(&client), key.clone(), *group, core.clone())));
        let tasks = tasks.collect();
        Some(Self { etcd, keys, client, core: core.clone(), tasks })
    }

    /// Asks what the core asks about a group's key. A core that asks for another key by now drops the answer by its number.
    pub(super) fn ask(&self, op: OperationId, group: GroupIndex, request: &EtcdRequest) {
        let Some(key) = self.keys.get(&group).cloned() else { return };
        let question = Question::new(&key, request);
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

/// Reads one key for as long as the core listens.
///
/// ⚠ Another etcd counts only once two leases have passed without the one that was read before: a holder may have had its
/// lease renewed there after this node read it last, and leads for a lease from then. Of one that was restored from a backup
/// the core judges.
fn read_key(
    client: Arc<Client>,
    key: String,
    group: GroupIndex,
    core: mpsc::Sender<ToCore>,
) -> impl Future<Output = ()> + use<> {
    let pin = Pin::of_cluster(client.settings().lease * 2);
    let mut diary = Diary::new(&key);
    let asked = Arc::clone(&client);
    follow(client, key, pin, move |answer| {
        diary.note(&answer);
        if let Ok(reading) = &answer {
            asked.belongs_to(reading.range.cluster);
        }
        let event = Event::EtcdKeyRead { group, read: read(answer) };
        let core = core.clone();
        // The core may be busy: this key is not read meanwhile, and what was said of it runs out.
        async move { core.send(ToCore::Event(event)).await.is_ok() }
    })
}

fn read(answer: Result<Reading, NoAnswer>) -> Result<KeyRead, String> {
    let Reading { range, sent, endpoint } = answer.map_err(|error| error.to_string())?;
    let state = KeyState { revision: range.revision, found: range.found.as_ref().map(key_found) };
    Ok(KeyRead { state, sent, endpoint })
}
