//! The cloud as far as a core can see it: who is bound to each HAVIP, and how calls end.

use super::cluster::Cluster;
use super::world::{Call, Work};
use havipd_core::model::action::{Write, WriteKind};
use havipd_core::model::cloud::{Bound, CallError, ErrorClass, HaVip};
use havipd_core::model::event::{InstanceState, OperationResult};
use std::time::Duration;

/// The record of one HAVIP.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// Ids, oldest first.
    pub bound: Vec<String>,
    /// The one that gets the traffic.
    pub master: Option<String>,
}

impl Record {
    /// Carries a write out.
    pub fn apply(&mut self, write: &Write) {
        for target in &write.targets {
            self.bound.retain(|b| b != target.id());
            if write.kind == WriteKind::Attach {
                self.bound.push(target.id().to_owned());
                self.master = Some(target.id().to_owned());
            }
        }
        if self.master.as_ref().is_none_or(|m| !self.bound.contains(m)) {
            self.master = self.bound.first().cloned();
        }
    }

    /// Gratuitous ARP turns the traffic to who is bound.
    pub fn announced(&mut self, target: &str) {
        if self.bound.iter().any(|b| b == target) {
            self.master = Some(target.to_owned());
        }
    }

    /// The document; `flags` are what a stingy cloud may leave out.
    #[must_use]
    pub fn document(&self, group: usize, flags: bool) -> HaVip {
        let bound = |id: &String| Bound {
            instance_id: id.clone(),
            instance_type: if id.starts_with("eni-") { "ENI" } else { "SERVER" }.to_owned(),
            master: flags.then(|| self.master.as_ref() == Some(id)),
        };
        HaVip {
            ha_vip_id: format!("havip-{group}"),
            name: String::new(),
            vpc_id: String::new(),
            subnet_id: String::new(),
            status: String::new(),
            private_ip_address: Some(Cluster::havip(group)),
            public_ip_address: None,
            binded_instances: self.bound.iter().map(bound).collect(),
        }
    }
}

/// How a call ends that does not end well; `kind` chooses.
#[must_use]
pub fn error(kind: usize) -> CallError {
    let class = [ErrorClass::Retry, ErrorClass::Ambiguous, ErrorClass::Refused][kind % 3];
    CallError {
        what: "call".to_owned(),
        detail: "made up".to_owned(),
        class,
        status: kind.is_multiple_of(2).then_some(500),
        code: None,
        retry_after: (kind % 5 == 4).then_some(Duration::from_secs(1)),
        denied: kind % 7 == 5,
        missing: kind % 7 == 6,
        busy: kind % 7 == 3,
        nothing_bound: kind % 7 == 4,
    }
}

/// How a call fails.
#[must_use]
pub fn failed(work: &Work, kind: usize) -> OperationResult {
    match work {
        Work::Read(_) => OperationResult::Havip(Err(error(kind))),
        Work::Instance => OperationResult::Instance(Err(error(kind))),
        Work::Write(_) => OperationResult::Written(Err(error(kind))),
    }
}

/// The end of `call` in one of many ways, true ones among them; writes change `records` as they say, or not.
#[must_use]
pub fn answer(records: &mut [Record], cluster: &Cluster, call: &Call, kind: u8) -> OperationResult {
    let way = usize::from(kind >> 3);
    match (&call.work, kind % 8) {
        (Work::Read(g), 0..=2) => OperationResult::Havip(Ok(records[*g].document(*g, kind % 8 != 2))),
        (Work::Read(g), 3) => OperationResult::Havip(Ok(Record::default().document(*g, true))),
        (Work::Read(g), 4 | 5) => {
            // Somebody else, a stranger among them.
            let mut others: Vec<String> = (0..cluster.nodes).map(|i| cluster.target(i)).collect();
            others.push("i-stranger".to_owned());
            let master = others[way % others.len()].clone();
            let bound = if kind % 8 == 4 { vec![master.clone()] } else { others };
            OperationResult::Havip(Ok(Record { bound, master: Some(master) }.document(*g, way % 2 == 0)))
        }
        (Work::Instance, 0..=3) => OperationResult::Instance(Ok(InstanceState::Running)),
        (Work::Instance, 4 | 5) => OperationResult::Instance(Ok(InstanceState::NotRunning)),
        (Work::Write(write), 0..=3) => {
            records[write.group.0].apply(write);
            OperationResult::Written(Ok(()))
        }
        (Work::Write(write), 4) => {
            records[write.group.0].apply(write);
            failed(&call.work, 1)
        }
        (Work::Write(_), 5) => OperationResult::Written(Ok(())),
        _ => failed(&call.work, way),
    }
}
