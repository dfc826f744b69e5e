//! Between etcd and the core: which group follows which leader key.

use super::ToCore;
use crate::clock;
use crate::etcd::client::{Client, NoAnswer, Reading};
use crate::etcd::follow::{Pin, follow};
use crate::etcd::judge::Judge;
use crate::etcd::message::Keys;
use havipd_core::model::event::Event;
use havipd_core::model::ids::GroupIndex;
use havipd_core::model::leader::{KeyReport, LeaderKey, LeaderReport};
use havipd_core::model::plain;
use havipd_core::model::settings::{Config, Etcd};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// By key, the groups that follow it, each with the value in it that is this node.
type Followed = BTreeMap<String, Vec<(GroupIndex, LeaderKey)>>;

/// The tasks that follow leader keys; they end when it is dropped.
#[derive(Debug)]
pub(super) struct LeaderKeys {
    etcd: Etcd,
    followed: Followed,
    tasks: Vec<JoinHandle<()>>,
}

impl LeaderKeys {
    /// Follows what `config` says; what is followed in the same way already goes on undisturbed.
    pub(super) fn follow(running: Option<Self>, config: &Config, core: &mpsc::Sender<ToCore>) -> Option<Self> {
        let etcd = config.etcd.clone()?;
        let mut followed = Followed::new();
        for (i, group) in config.groups.iter().enumerate() {
            let holds = group.member(config.local).is_some_and(|member| !member.witness);
            if let Some(leader) = group.followed_key().filter(|_| holds) {
                followed.entry(leader.key.clone()).or_default().push((GroupIndex(i), leader.clone()));
            }
        }
        if followed.is_empty() {
            return None;
        }
        if let Some(running) = running
            && running.etcd == etcd
            && running.followed == followed
        {
            return Some(running);
        }
        let client = Arc::new(Client::new(etcd.clone()));
        let tasks = followed
            .iter()
            .map(|(key, groups)| tokio::spawn(follow_key(Arc::clone(&client), key.clone(), groups, core.clone())))
            .collect();
        Some(Self { etcd, followed, tasks })
    }
}

impl Drop for LeaderKeys {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// One key's follower, with what each of its groups makes of it.
fn follow_key(
    client: Arc<Client>,
    key: String,
    groups: &[(GroupIndex, LeaderKey)],
    core: mpsc::Sender<ToCore>,
) -> impl Future<Output = ()> + use<> {
    let (now, lease) = (clock::now(), client.settings().lease);
    let judges = groups.iter().map(|(group, leader)| (*group, Judge::new(leader.clone(), lease, now)));
    let mut judges: Vec<(GroupIndex, Judge)> = judges.collect();
    let mut diary = Diary::new(&key, vec![key.clone()]);
    follow(client, Keys::One(key), Pin::of_cluster_and_revision(lease), move |answer| {
        diary.note(&answer);
        let reports = judges.iter_mut().map(|(group, judge)| (*group, report(judge, &answer)));
        let reports: Vec<(GroupIndex, KeyReport)> = reports.collect();
        let core = core.clone();
        // The core may be busy: this key is not read meanwhile, and what was said of it runs out.
        async move {
            for (group, report) in reports {
                let event = Event::LeaderReported { group, report: LeaderReport::Etcd(report) };
                if core.send(ToCore::Event(event)).await.is_err() {
                    return false;
                }
            }
            true
        }
    })
}

fn report(judge: &mut Judge, answer: &Result<Reading, NoAnswer>) -> KeyReport {
    match answer {
        Ok(reading) => judge.answered(reading.clone()),
        Err(error) => judge.failed(error.to_string()),
    }
}

/// Tells the log what changed, and nothing twice.
pub(super) struct Diary {
    asked: String,
    /// What each key said last: nothing yet, or its value.
    keys: Vec<(String, Option<Option<String>>)>,
    trouble: Option<String>,
}

impl Diary {
    /// Of `keys`, which are read together, as `asked`.
    pub(super) fn new(asked: &str, keys: Vec<String>) -> Self {
        let keys = keys.into_iter().map(|key| (key, None)).collect();
        Self { asked: plain::line(asked), keys, trouble: None }
    }

    pub(super) fn note(&mut self, answer: &Result<Reading, NoAnswer>) {
        let asked = &self.asked;
        let reading = match answer {
            Ok(reading) => reading,
            Err(error) => {
                let text = error.to_string();
                if self.trouble.as_ref() != Some(&text) {
                    tracing::warn!("cannot read {asked} in etcd: {text}");
                    self.trouble = Some(text);
                }
                return;
            }
        };
        let (endpoint, revision) = (&reading.endpoint, reading.range.revision);
        if self.trouble.take().is_some() {
            tracing::info!("{asked} in etcd can be read again, from {endpoint}");
        }
        for (key, said) in &mut self.keys {
            let value = reading.range.of(key).map(|found| plain::line(&String::from_utf8_lossy(&found.value)));
            if said.as_ref() == Some(&value) {
                continue;
            }
            let key = plain::line(key);
            match &value {
                Some(value) => tracing::info!("{key} in etcd names {value:.100} (revision {revision}, {endpoint})"),
                None => tracing::info!("there is no {key} in etcd (revision {revision}, {endpoint})"),
            }
            *said = Some(value);
        }
    }
}
