//! Links and addresses of this host, and which link a HAVIP's address belongs on.

use super::netlink::{Netlink, NetlinkError, attributes, u32_at};
use crate::plain::quote;
use havipd_core::model::settings;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::{LinkFlags, LinkMessage};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

/// `sizeof(struct ifinfomsg)`.
const LINK_HEADER: usize = 16;
/// `sizeof(struct ifaddrmsg)`.
const ADDRESS_HEADER: usize = 8;
/// An address that is still being checked for duplicates, or was found to be one, cannot be used.
const UNUSABLE: u32 = libc::IFA_F_TENTATIVE | libc::IFA_F_DADFAILED;

/// A hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = MacError;
    /// Reads six hexadecimal bytes between colons or hyphens, as the cloud and the kernel write them.
    fn from_str(s: &str) -> Result<Self, MacError> {
        let error = || MacError(s.to_owned());
        let mut bytes = [0; 6];
        let mut parts = s.split([':', '-']);
        for byte in &mut bytes {
            let part = parts.next().filter(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()));
            *byte = u8::from_str_radix(part.ok_or_else(error)?, 16).map_err(|_| error())?;
        }
        if parts.next().is_some() { Err(error()) } else { Ok(Self(bytes)) }
    }
}

/// Text that is no hardware address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not a hardware address: expected six hexadecimal bytes like 02:00:5e:10:00:01", quote(.0))]
pub struct MacError(String);

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The kernel's number for it, never used twice while the host is up.
    pub index: u32,
    /// Its name; may change.
    pub name: String,
    /// Its hardware address, if it has one of six bytes.
    pub mac: Option<Mac>,
    /// Is administratively up, has carrier, and is not waiting for anything (`IFF_UP`, `IFF_RUNNING`).
    pub up: bool,
    /// Speaks ARP over Ethernet, so that announcements make sense.
    pub ethernet: bool,
    /// The link that this one is built on (VLAN, macvlan), if any.
    pub parent: Option<u32>,
    /// The bridge or bond that this one is a port of, if any.
    pub controller: Option<u32>,
}

impl Link {
    /// Reads the payload of an `RTM_NEWLINK` or `RTM_DELLINK`; `None` when it is cut short.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let kind = u16::from_ne_bytes(payload.get(2..4)?.try_into().ok()?);
        let flags = LinkFlags::from_bits_retain(u32_at(payload, 8)?);
        let mut link = Self {
            index: u32_at(payload, 4)?,
            name: String::new(),
            mac: None,
            up: flags.contains(LinkFlags::Up | LinkFlags::Running),
            ethernet: kind == libc::ARPHRD_ETHER && !flags.intersects(LinkFlags::Noarp | LinkFlags::Loopback),
            parent: None,
            controller: None,
        };
        for (kind, value) in attributes(payload, LINK_HEADER) {
            match kind {
                libc::IFLA_IFNAME => {
                    let name = value.split(|&b| b == 0).next().unwrap_or_default();
                    link.name = String::from_utf8_lossy(name).into_owned();
                }
                libc::IFLA_ADDRESS => link.mac = value.try_into().ok().map(Mac),
                libc::IFLA_LINK => link.parent = u32_at(value, 0).filter(|&i| i != 0 && i != link.index),
                libc::IFLA_MASTER => link.controller = u32_at(value, 0).filter(|&i| i != 0),
                _ => {}
            }
        }
        Some(link)
    }
}

/// An address as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assigned {
    /// Index of the link.
    pub interface: u32,
    /// The host's own address (not the peer's, on a point-to-point link).
    pub address: IpAddr,
    /// Length of the prefix.
    pub prefix: u8,
    /// `IFA_F_*`.
    pub flags: u32,
    /// How long the kernel will keep it; `None` is for ever.
    pub lifetime: Option<Duration>,
}

impl Assigned {
    /// Reads the payload of an `RTM_NEWADDR` or `RTM_DELADDR`; `None` when it has no address.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let interface = u32_at(payload, 4)?;
        let mut flags = u32::from(payload[2]);
        let (mut own, mut other, mut lifetime) = (None, None, None);
        for (kind, value) in attributes(payload, ADDRESS_HEADER) {
            match kind {
                libc::IFA_LOCAL => own = ip(value),
                libc::IFA_ADDRESS => other = ip(value),
                libc::IFA_FLAGS => flags = u32_at(value, 0).unwrap_or(flags),
                libc::IFA_CACHEINFO => lifetime = u32_at(value, 4).filter(|&s| s != u32::MAX),
                _ => {}
            }
        }
        let lifetime = lifetime.map(|seconds| Duration::from_secs(seconds.into()));
        Some(Self { interface, address: own.or(other)?, prefix: payload[1], flags, lifetime })
    }

    /// Whether a socket can be bound to it: a fresh IPv6 address cannot, until it is known to be nobody else's.
    #[must_use]
    pub const fn usable(&self) -> bool {
        self.flags & UNUSABLE == 0
    }
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(value).ok()?)),
        16 => Some(IpAddr::from(<[u8; 16]>::try_from(value).ok()?)),
        _ => None,
    }
}

/// Everything at one instant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// By index.
    pub links: BTreeMap<u32, Link>,
    /// In the kernel's order.
    pub addresses: Vec<Assigned>,
}

/// Why no interface was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The named interface does not exist.
    #[error("there is no interface {}", quote(.0))]
    NoSuchInterface(String),
    /// No interface has the ENI's hardware address.
    #[error("no interface has the hardware address {0} of the ENI")]
    NoSuchMac(Mac),
    /// Several have it, and which one is meant cannot be told.
    #[error("interfaces {names} all have the hardware address {mac} of the ENI: name one with \"interface\"")]
    AmbiguousMac {
        /// The address.
        mac: Mac,
        /// Which ones.
        names: String,
    },
    /// None of the node's addresses is on an interface.
    #[error("none of the node's addresses ({0}) is on an interface")]
    NoSuchAddress(String),
}

impl Snapshot {
    /// Asks the kernel.
    ///
    /// # Errors
    /// When it cannot be asked, or does not answer.
    pub fn take() -> Result<Self, NetlinkError> {
        Self::take_with(&mut Netlink::open()?)
    }

    pub(super) fn take_with(netlink: &mut Netlink) -> Result<Self, NetlinkError> {
        let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let links = netlink.dump("the list of interfaces", &request, |links: &mut BTreeMap<_, _>, payload| {
            links.extend(Link::read(payload).map(|l| (l.index, l)));
        })?;
        let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let addresses = netlink.dump("the list of addresses", &request, |all: &mut Vec<_>, payload| {
            all.extend(Assigned::read(payload));
        })?;
        Ok(Self { links, addresses })
    }

    /// The interface of that name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Link> {
        self.links.values().find(|l| l.name == name)
    }

    /// The first interface that has exactly this address, ready for use.
    #[must_use]
    pub fn with_address(&self, address: IpAddr) -> Option<&Link> {
        let found = self.addresses.iter().find(|a| a.address == address && a.usable())?;
        self.links.get(&found.interface)
    }

    /// The interface that has this hardware address. Ports of bridges and bonds, and links built on
    /// another with the same address, do not count: packets for the ENI do not end there.
    ///
    /// # Errors
    /// None or several.
    pub fn with_mac(&self, mac: Mac) -> Result<&Link, ResolveError> {
        let has = |link: &&Link| link.mac == Some(mac);
        let inherited = |link: &Link| link.parent.and_then(|p| self.links.get(&p)).as_ref().is_some_and(has);
        let found: Vec<_> =
            self.links.values().filter(has).filter(|l| l.controller.is_none() && !inherited(l)).collect();
        match found[..] {
            [] => Err(ResolveError::NoSuchMac(mac)),
            [one] => Ok(one),
            _ => {
                let names = found.iter().map(|l| l.name.as_str()).collect::<Vec<_>>().join(", ");
                Err(ResolveError::AmbiguousMac { mac, names })
            }
        }
    }

    /// Where a HAVIP's address belongs on this node; `None` is nowhere (`interface = "none"`).
    ///
    /// `node.interface` wins over the HAVIP's own name, but does not bring back an address that the
    /// HAVIP is to do without. With no name the interface is the one with the ENI's hardware address
    /// (`target_mac`, when the target is an ENI), else the one with a heartbeat address of the node.
    ///
    /// # Errors
    /// Nothing fits; it may later, since interfaces and addresses come and go.
    pub fn resolve(
        &self,
        havip: &settings::Interface,
        node: &settings::Node,
        target_mac: Option<Mac>,
    ) -> Result<Option<&Link>, ResolveError> {
        let name = match (havip, &node.interface) {
            (settings::Interface::None, _) => return Ok(None),
            (_, Some(name)) | (settings::Interface::Named(name), None) => name,
            (settings::Interface::Discover, None) => return self.discover(node, target_mac).map(Some),
        };
        self.named(name).map(Some).ok_or_else(|| ResolveError::NoSuchInterface(name.clone()))
    }

    fn discover(&self, node: &settings::Node, target_mac: Option<Mac>) -> Result<&Link, ResolveError> {
        if let Some(mac) = target_mac {
            return self.with_mac(mac);
        }
        node.addresses.iter().find_map(|a| self.with_address(a.ip())).ok_or_else(|| {
            let tried: Vec<_> = node.addresses.iter().map(|a| a.ip().to_string()).collect();
            ResolveError::NoSuchAddress(tried.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac([2, 0, 0x5e, 0x10, 0, 1]);

    fn link(index: u32, name: &str, mac: Mac) -> Link {
        Link { index, name: name.into(), mac: Some(mac), up: true, ethernet: true, parent: None, controller: None }
    }

    fn at(interface: u32, address: &str) -> Assigned {
        Assigned { interface, address: address.parse().unwrap(), prefix: 24, flags: 0, lifetime: None }
    }

    fn host() -> Snapshot {
        let links = [link(2, "eth0", MAC), link(3, "eth1", Mac([2; 6]))];
        Snapshot {
            links: links.into_iter().map(|l| (l.index, l)).collect(),
            addresses: vec![at(3, "10.0.0.111"), at(2, "10.0.0.11")],
        }
    }

    fn node(interface: Option<&str>, addresses: &[&str]) -> settings::Node {
        settings::Node {
            name: "a".parse().unwrap(),
            addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
            target: None,
            interface: interface.map(str::to_owned),
            priority: 100,
            witness: false,
        }
    }

    fn name(result: Result<Option<&Link>, ResolveError>) -> Result<Option<String>, String> {
        result.map(|l| l.map(|l| l.name.clone())).map_err(|e| e.to_string())
    }

    #[test]
    fn the_nodes_interface_wins_over_the_havips_and_both_over_discovery() {
        use settings::Interface::{Discover, Named, None as Without};
        let host = host();
        let own = node(None, &["10.0.0.9:1", "10.0.0.11:1"]);
        let named = node(Some("eth1"), &["10.0.0.11:1"]);
        assert_eq!(name(host.resolve(&Discover, &own, None)), Ok(Some("eth0".into())));
        assert_eq!(name(host.resolve(&Named("eth1".into()), &own, None)), Ok(Some("eth1".into())));
        assert_eq!(name(host.resolve(&Named("eth0".into()), &named, Some(MAC))), Ok(Some("eth1".into())));
        assert_eq!(name(host.resolve(&Discover, &named, Some(MAC))), Ok(Some("eth1".into())));
        assert_eq!(name(host.resolve(&Discover, &node(None, &["10.0.0.111:1"]), Some(MAC))), Ok(Some("eth0".into())));
        assert_eq!(name(host.resolve(&Without, &named, Some(MAC))), Ok(None));
        assert_eq!(name(host.resolve(&Named("eth7".into()), &own, None)), Err("there is no interface \"eth7\"".into()));
        assert_eq!(
            name(host.resolve(&Discover, &node(None, &["10.0.0.1:1", "[fd00::1]:1"]), None)),
            Err("none of the node's addresses (10.0.0.1, fd00::1) is on an interface".into())
        );
    }

    #[test]
    fn an_address_that_is_not_ready_is_not_found() {
        let mut host = host();
        host.addresses[1].flags = libc::IFA_F_TENTATIVE;
        assert_eq!(host.with_address("10.0.0.11".parse().unwrap()), None);
    }

    #[test]
    fn links_that_share_an_enis_hardware_address_are_told_apart() {
        let mut host = host();
        host.links.insert(4, Link { parent: Some(2), ..link(4, "eth0.5", MAC) });
        assert_eq!(host.with_mac(MAC).map(|l| l.name.as_str()), Ok("eth0"));

        // eth0 becomes a port of a bridge, which takes its address over.
        host.links.insert(5, link(5, "br0", MAC));
        host.links.get_mut(&2).unwrap().controller = Some(5);
        host.links.remove(&4);
        assert_eq!(host.with_mac(MAC).map(|l| l.name.as_str()), Ok("br0"));

        host.links.insert(6, link(6, "dummy0", MAC));
        let error = host.with_mac(MAC).unwrap_err().to_string();
        assert!(error.contains("br0, dummy0"), "{error}");
        assert_eq!(host.with_mac(Mac([9; 6])), Err(ResolveError::NoSuchMac(Mac([9; 6]))));
    }

    #[test]
    fn hardware_addresses_are_read_as_they_are_written() {
        assert_eq!("02:00:5E:10:00:01".parse(), Ok(MAC));
        assert_eq!("02-00-5e-10-00-01".parse(), Ok(MAC));
        assert_eq!(MAC.to_string(), "02:00:5e:10:00:01");
        for bad in ["", "02:00:5e:10:00", "02:00:5e:10:00:01:02", "2:0:5e:10:0:1", "+2:00:5e:10:00:01"] {
            assert!(bad.parse::<Mac>().is_err(), "{bad:?}");
        }
    }
}
