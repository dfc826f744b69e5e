//! Where each HAVIP's address belongs on this host, and whether it is there: netlink's facts in the
//! core's terms.

use crate::net::interface::{Link, Mac, Snapshot};
use crate::status::PlaceStatus;
use havipd_core::model::event::Event;
use havipd_core::model::ids::{GroupIndex, HavipIndex, Target};
use havipd_core::model::settings::{Config, Interface};
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};

/// One HAVIP of one group.
#[derive(Debug)]
struct Place {
    group: GroupIndex,
    havip: HavipIndex,
    address: Option<Ipv4Addr>,
    link: Result<Option<Link>, String>,
    /// What the core was told last.
    told_up: Option<(bool, Option<String>)>,
    told_present: Option<bool>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Places {
    all: Vec<Place>,
    target_mac: Option<Mac>,
    /// The target is an ENI: without its hardware address an interface cannot be found.
    by_mac: bool,
}

impl Places {
    /// Begins anew for another configuration: everything will be told again.
    pub(super) fn reset(&mut self, addresses: impl Iterator<Item = (GroupIndex, HavipIndex, Option<Ipv4Addr>)>) {
        let place = |(group, havip, address)| Place {
            group,
            havip,
            address,
            link: Ok(None),
            told_up: None,
            told_present: None,
        };
        self.all = addresses.map(place).collect();
    }

    /// The core may have learned addresses; says whether it has.
    pub(super) fn learn(
        &mut self,
        addresses: impl Iterator<Item = (GroupIndex, HavipIndex, Option<Ipv4Addr>)>,
    ) -> bool {
        let mut news = false;
        for (place, (_, _, address)) in self.all.iter_mut().zip(addresses) {
            if place.address != address {
                place.address = address;
                place.told_present = None;
                news = true;
            }
        }
        news
    }

    /// What this node binds, as far as it is known.
    pub(super) fn set_target(&mut self, target: Option<&Target>) {
        self.by_mac = matches!(target, Some(Target::Eni(_)));
    }

    /// The hardware address of the ENI became known.
    pub(super) fn set_target_mac(&mut self, mac: Mac) {
        self.target_mac = Some(mac);
    }

    /// Looks at everything again, and gives what the core does not know yet. `host` is `None` while
    /// netlink cannot be heard: then no link is known to be usable.
    pub(super) fn refresh(&mut self, config: &Config, host: Option<&Snapshot>) -> Vec<Event> {
        let present: BTreeSet<IpAddr> = host.into_iter().flat_map(|h| &h.addresses).map(|a| a.address).collect();
        let mut resolved: HashMap<Interface, Result<Option<Link>, String>> = HashMap::new();
        let mut events = Vec::new();
        for place in &mut self.all {
            let settings = &config.groups[place.group.0].havips[place.havip.0];
            if settings.interface == Interface::None {
                continue;
            }
            let found = resolved.entry(settings.interface.clone());
            let (by_mac, mac) = (self.by_mac, self.target_mac);
            place.link = found.or_insert_with(|| resolve(config, host, &settings.interface, by_mac, mac)).clone();
            let up = matches!(&place.link, Ok(Some(link)) if link.up);
            let missing = place.link.as_ref().err().cloned();
            let (group, havip) = (place.group, place.havip);
            if place.told_up.as_ref() != Some(&(up, missing.clone())) {
                place.told_up = Some((up, missing.clone()));
                events.push(Event::LinkChanged { group, havip, up, missing });
            }
            let (Some(address), Some(_)) = (place.address, host) else { continue };
            let present = present.contains(&IpAddr::V4(address));
            if place.told_present != Some(present) {
                place.told_present = Some(present);
                events.push(Event::AddressObserved { group, havip, present });
            }
        }
        events
    }

    /// The link that an address goes on, if it is known.
    pub(super) fn link(&self, group: GroupIndex, havip: HavipIndex) -> Option<&Link> {
        let place = self.all.iter().find(|p| p.group == group && p.havip == havip)?;
        place.link.as_ref().ok()?.as_ref()
    }

    /// The HAVIP whose address that is.
    pub(super) fn of(&self, address: Ipv4Addr) -> Option<(GroupIndex, HavipIndex)> {
        let place = self.all.iter().find(|p| p.address == Some(address))?;
        Some((place.group, place.havip))
    }

    /// Every address that this host may have because of us.
    pub(super) fn addresses(&self, config: &Config) -> Vec<Ipv4Addr> {
        let ours = |p: &&Place| {
            let group = &config.groups[p.group.0];
            let member = group.member(config.local).is_some_and(|m| !m.witness);
            member && !group.observe && group.havips[p.havip.0].interface != Interface::None
        };
        self.all.iter().filter(ours).filter_map(|p| p.address).collect()
    }

    /// Every address, ours to put or not.
    pub(super) fn known_addresses(&self) -> Vec<Ipv4Addr> {
        self.all.iter().filter_map(|p| p.address).collect()
    }

    /// For status.
    pub(super) fn status(&self, config: &Config) -> Vec<PlaceStatus> {
        let status = |p: &Place| PlaceStatus {
            havip: config.groups[p.group.0].havips[p.havip.0].id.to_string(),
            interface: p.link.as_ref().ok().and_then(Option::as_ref).map(|l| l.name.clone()),
            error: p.link.as_ref().err().cloned(),
        };
        self.all.iter().map(status).collect()
    }
}

fn resolve(
    config: &Config,
    host: Option<&Snapshot>,
    interface: &Interface,
    by_mac: bool,
    mac: Option<Mac>,
) -> Result<Option<Link>, String> {
    let Some(host) = host else { return Err("the kernel's links and addresses cannot be read".to_owned()) };
    let node = config.local_node();
    if by_mac && mac.is_none() && *interface == Interface::Discover && node.interface.is_none() {
        return Err("the hardware address of this node's ENI is not known yet; set node.interface".to_owned());
    }
    host.resolve(interface, node, mac.filter(|_| by_mac)).map(Option::<&Link>::cloned).map_err(|e| e.to_string())
}
