//! What is known of a group's HAVIPs from run to run.

use crate::model::ids::HavipId;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// What the cloud told of the HAVIPs, in this run or an earlier one.
#[derive(Debug)]
pub(crate) struct KnownHavips {
    once_held: Vec<HavipId>,
    addresses: BTreeMap<String, Ipv4Addr>,
}

impl KnownHavips {
    /// As the last run left it.
    pub(crate) fn read(once_held: Vec<HavipId>, addresses: BTreeMap<String, Ipv4Addr>) -> Self {
        Self { once_held, addresses }
    }

    /// The disk has answered at last. What was learned since the start is newer.
    pub(crate) fn found(&mut self, once_held: Vec<HavipId>, mut addresses: BTreeMap<String, Ipv4Addr>) {
        for havip in once_held {
            self.note_held(&havip);
        }
        addresses.append(&mut self.addresses);
        self.addresses = addresses;
    }

    /// The address of a HAVIP as the cloud gave it last.
    pub(crate) fn address(&self, havip: &HavipId) -> Option<Ipv4Addr> {
        self.addresses.get(havip.as_str()).copied()
    }

    /// Whether a node of this cluster was seen to hold it (`strangers = "guard"`).
    pub(crate) fn once_held(&self, havip: &HavipId) -> bool {
        self.once_held.contains(havip)
    }

    /// The cloud gave a HAVIP this address. Says whether that is news.
    pub(crate) fn note_address(&mut self, havip: &HavipId, address: Ipv4Addr) -> bool {
        let news = self.address(havip) != Some(address);
        if news {
            self.addresses.insert(havip.as_str().to_owned(), address);
        }
        news
    }

    /// A node of this cluster holds it. Says whether that is news.
    pub(crate) fn note_held(&mut self, havip: &HavipId) -> bool {
        let news = !self.once_held(havip);
        if news {
            self.once_held.push(havip.clone());
        }
        news
    }

    /// For the disk.
    pub(crate) fn stored(&self) -> (Vec<HavipId>, BTreeMap<String, Ipv4Addr>) {
        (self.once_held.clone(), self.addresses.clone())
    }
}
