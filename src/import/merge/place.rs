//! Which interface the addresses go on: the same name on all nodes, or each node's own.

use super::OutNode;
use super::group::Draft;
use crate::import::note::{Kind, Notes};
use crate::import::read::Node;
use std::net::IpAddr;

/// Says it at the HAVIPs where the files agree, else at the nodes.
pub(super) fn interfaces(nodes: &[Node], out: &mut [OutNode], groups: &mut [Draft], notes: &mut Notes) {
    let mut differs = false;
    // Per node: every interface that it puts an address on.
    let mut own: Vec<Vec<String>> = vec![Vec::new(); nodes.len()];
    for draft in groups.iter_mut() {
        let addresses: Vec<IpAddr> = draft.group.havips.iter().map(|h| h.address.into()).collect();
        for (index, address) in addresses.into_iter().enumerate() {
            let mut found: Vec<String> = Vec::new();
            for (n, own) in own.iter_mut().enumerate() {
                let vip = draft.on(n, nodes).flat_map(|i| &i.vips).find(|v| v.ip == address);
                let Some(dev) = vip.and_then(|v| v.dev.clone()) else { continue };
                if !own.contains(&dev) {
                    own.push(dev.clone());
                }
                if !found.contains(&dev) {
                    found.push(dev);
                }
            }
            differs |= found.len() > 1;
            draft.group.havips[index].interface = found.into_iter().next();
        }
    }
    if !differs {
        return;
    }
    if own.iter().all(|own| own.len() <= 1) {
        for (node, own) in out.iter_mut().zip(own) {
            node.interface = own.into_iter().next();
        }
        groups.iter_mut().flat_map(|d| &mut d.group.havips).for_each(|h| h.interface = None);
        return;
    }
    let why =
        "it has another name on another node, and a node with several cannot have one of its own: as in the first file";
    for havip in groups.iter().flat_map(|d| &d.group.havips).filter(|h| h.interface.is_some()) {
        notes.add(Kind::Assumed, None, format!("interface of {}", havip.address), why);
    }
}
