//! What reads show: HAVIPs, interfaces, instances, metadata, and the whole region for its operator.

use super::binding::Binding;
use super::objects::{BoundTarget, InstanceSpec, InterfaceSpec, TargetKind};
use super::profile::MasterFlag;
use super::request::{ErrorReply, MAX_KEYS, Reply, Request};
use super::{CloudModel, FaultRule, Havip, Profile};
use havipd_core::model::cloud::{
    Bound, Eni, EniPage, HaVip, HaVipPage, Instance, InstanceDetail, InstanceEntry, InstancePage,
};
use havipd_core::model::time::Instant;
use serde::Serialize;
use std::net::Ipv4Addr;

/// One HAVIP as its operator sees it, without lag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HavipView {
    /// Its id.
    pub id: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Who is bound, in order.
    pub bound: Vec<BoundTarget>,
    /// Whom the control plane names.
    pub master: Option<String>,
    /// Who gets the packets.
    pub traffic: Option<String>,
}

/// The whole region at one instant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorldView {
    /// The profile in force.
    pub profile: Profile,
    /// Every HAVIP.
    pub havips: Vec<HavipView>,
    /// Every instance.
    pub instances: Vec<InstanceSpec>,
    /// Every interface.
    pub interfaces: Vec<InterfaceSpec>,
    /// Fault rules in force with their numbers.
    pub faults: Vec<(u64, FaultRule)>,
}

impl CloudModel {
    /// The whole region, without lag.
    #[must_use]
    pub fn view(&self, now: Instant) -> WorldView {
        WorldView {
            profile: self.profile.clone(),
            havips: self.havips.keys().filter_map(|id| self.havip(now, id)).collect(),
            instances: self.instances.values().cloned().collect(),
            interfaces: self.interfaces.values().cloned().collect(),
            faults: self.faults.rules().to_vec(),
        }
    }

    /// One HAVIP, without lag.
    #[must_use]
    pub fn havip(&self, now: Instant, id: &str) -> Option<HavipView> {
        let havip = self.havips.get(id)?;
        let binding = havip.timeline.current();
        Some(HavipView {
            id: id.to_owned(),
            address: havip.spec.address,
            bound: binding.bound.clone(),
            master: binding.master.clone(),
            traffic: self.traffic_goes_to(now, id).map(str::to_owned),
        })
    }

    /// Answers a read as of `then`, less the profile's lag; `lie` is named as master instead of the real one.
    pub(super) fn read(&self, then: Instant, request: &Request, lie: Option<&str>) -> Result<Reply, ErrorReply> {
        match request {
            Request::Detail { havip } => {
                let havip = self.havips.get(havip).ok_or_else(|| self.missing(havip))?;
                Ok(Reply::HaVip(self.document(then, havip, lie)))
            }
            Request::List { vpc, marker, max_keys } => {
                self.list(then, vpc.as_deref(), marker.as_deref(), *max_keys, lie)
            }
            Request::Instance { id } => {
                let known = self.instances.get(id).ok_or_else(|| self.missing(id))?;
                let instance = Instance { id: known.id.clone(), status: known.status.clone() };
                Ok(Reply::Instance(InstanceDetail { instance }))
            }
            Request::Instances { vpc, marker, max_keys } => {
                self.instance_list(vpc.as_deref(), marker.as_deref(), *max_keys)
            }
            Request::Enis { vpc, instance } => {
                let wanted = |i: &InterfaceSpec| i.vpc == *vpc && instance.as_ref().is_none_or(|n| *n == i.instance);
                Ok(self.enis(wanted))
            }
            Request::Interface { id } => {
                let found = self.interfaces.get(id).ok_or_else(|| self.missing(id))?;
                Ok(Reply::Interface(eni(found)))
            }
            Request::InstanceEnis { instance } => {
                let known = self.instances.get(instance).ok_or_else(|| self.missing(instance))?;
                Ok(self.enis(|i| i.instance == known.id))
            }
            Request::Metadata { instance, key } => {
                let known = self.instances.get(instance).ok_or_else(|| self.missing(instance))?;
                self.metadata(known, key)
            }
            Request::Attach { .. } | Request::Detach { .. } => {
                Err(ErrorReply::new(400, "InvalidHTTPRequest", "not a read"))
            }
        }
    }

    fn list(
        &self,
        then: Instant,
        vpc: Option<&str>,
        marker: Option<&str>,
        max_keys: usize,
        lie: Option<&str>,
    ) -> Result<Reply, ErrorReply> {
        check_max_keys(max_keys)?;
        let in_vpc = self.havips.values().filter(|h| vpc.is_none_or(|v| v == h.spec.vpc));
        let mut rest = in_vpc.filter(|h| marker.is_none_or(|m| h.spec.id.as_str() >= m)).peekable();
        let mut ha_vips = Vec::new();
        while ha_vips.len() < max_keys
            && let Some(havip) = rest.next()
        {
            ha_vips.push(self.document(then, havip, lie));
        }
        let next_marker = rest.peek().map(|h| h.spec.id.clone());
        Ok(Reply::Page(HaVipPage { ha_vips, is_truncated: next_marker.is_some(), next_marker }))
    }

    fn instance_list(&self, vpc: Option<&str>, marker: Option<&str>, max_keys: usize) -> Result<Reply, ErrorReply> {
        check_max_keys(max_keys)?;
        let in_vpc = self.instances.values().filter(|i| vpc.is_none_or(|v| v == i.vpc));
        let mut rest = in_vpc.filter(|i| marker.is_none_or(|m| i.id.as_str() >= m)).peekable();
        let instances = rest.by_ref().take(max_keys).map(entry).collect();
        let next_marker = rest.peek().map(|i| i.id.clone());
        Ok(Reply::Instances(InstancePage { instances, is_truncated: next_marker.is_some(), next_marker }))
    }

    fn document(&self, then: Instant, havip: &Havip, lie: Option<&str>) -> HaVip {
        let binding = havip.timeline.at(then.before(self.profile.read_delay));
        let binding = lie.map_or_else(|| binding.clone(), |target| named_as_master(binding, target));
        let flag = |id: &str| {
            let master = binding.master.as_deref() == Some(id);
            match self.profile.master_flag {
                MasterFlag::Everywhere => Some(master),
                MasterFlag::OnlyMaster | MasterFlag::NullElsewhere => master.then_some(true),
                MasterFlag::Null | MasterFlag::Absent => None,
            }
        };
        let bound = |b: &BoundTarget| Bound {
            instance_id: b.id.clone(),
            instance_type: b.kind.api_type().to_owned(),
            master: flag(&b.id),
        };
        HaVip {
            ha_vip_id: havip.spec.id.clone(),
            name: havip.spec.name.clone(),
            vpc_id: havip.spec.vpc.clone(),
            subnet_id: havip.spec.subnet.clone(),
            status: if binding.bound.is_empty() { "available" } else { "binded" }.to_owned(),
            private_ip_address: Some(havip.spec.address),
            public_ip_address: None,
            binded_instances: binding.bound.iter().map(bound).collect(),
        }
    }

    fn enis(&self, wanted: impl Fn(&InterfaceSpec) -> bool) -> Reply {
        let enis = self.interfaces.values().filter(|i| wanted(i)).map(eni).collect();
        Reply::Enis(EniPage { enis, is_truncated: false, next_marker: None })
    }

    fn metadata(&self, instance: &InstanceSpec, key: &str) -> Result<Reply, ErrorReply> {
        let text = match key {
            "sts-credential" => return Ok(Reply::Credential),
            "instance-shortid" => instance.id.clone(),
            "instance-name" => instance.name.clone(),
            "instance-type-ex" => "bcc".to_owned(),
            "local-ipv4" => instance.address.to_string(),
            "azone" => format!("{}-a", self.region),
            "region" => self.region.clone(),
            "vpc-id" => instance.vpc.clone(),
            "subnet-id" => instance.subnet.clone(),
            _ => match key.strip_prefix("network/interfaces/macs") {
                Some(rest) => return self.interface_metadata(instance, rest.trim_matches('/')),
                None => String::new(),
            },
        };
        Ok(Reply::Text(text))
    }

    fn interface_metadata(&self, instance: &InstanceSpec, key: &str) -> Result<Reply, ErrorReply> {
        let primary = (instance.mac.as_str(), instance.address);
        let others = self.interfaces.values().filter(|i| i.instance == instance.id && i.mac != instance.mac);
        let interfaces: Vec<(&str, Ipv4Addr)> =
            std::iter::once(primary).chain(others.map(|i| (i.mac.as_str(), i.address))).collect();
        if key.is_empty() {
            return Ok(Reply::Text(interfaces.iter().map(|(mac, _)| format!("{mac}/\n")).collect()));
        }
        let (mac, rest) = key.split_once('/').unwrap_or((key, ""));
        let (_, address) =
            interfaces.iter().find(|(m, _)| m.eq_ignore_ascii_case(mac)).ok_or_else(|| self.missing(mac))?;
        let gateway = Ipv4Addr::from(u32::from(*address) & 0xffff_ff00 | 1);
        let text = match rest {
            "" => "fixed_ips/\n".to_owned(),
            "fixed_ips" => format!("{address}/\n"),
            _ => match rest.strip_prefix(&format!("fixed_ips/{address}/")) {
                Some("ip_type") => "primary".to_owned(),
                Some("mask") => "255.255.255.0".to_owned(),
                Some("gateway") => gateway.to_string(),
                _ => String::new(),
            },
        };
        Ok(Reply::Text(text))
    }
}

fn check_max_keys(max_keys: usize) -> Result<(), ErrorReply> {
    let text = || format!("maxKeys must be 1 to {MAX_KEYS}, not {max_keys}");
    if (1..=MAX_KEYS).contains(&max_keys) { Ok(()) } else { Err(ErrorReply::new(400, "InvalidHTTPRequest", &text())) }
}

fn entry(i: &InstanceSpec) -> InstanceEntry {
    InstanceEntry {
        id: i.id.clone(),
        name: i.name.clone(),
        status: i.status.clone(),
        internal_ip: i.address.to_string(),
        vpc_id: i.vpc.clone(),
    }
}

fn eni(i: &InterfaceSpec) -> Eni {
    Eni {
        eni_id: i.id.clone(),
        instance_id: i.instance.clone(),
        mac_address: i.mac.clone(),
        status: "inuse".to_owned(),
    }
}

/// What a lying read shows: `target` as master, and as bound if it is not.
fn named_as_master(binding: &Binding, target: &str) -> Binding {
    let mut binding = binding.clone();
    if !binding.binds(target) {
        let kind = if target.starts_with("eni-") { TargetKind::Eni } else { TargetKind::Server };
        binding.bound.push(BoundTarget { id: target.to_owned(), kind });
    }
    binding.force(target);
    binding
}
