//! Which interface the addresses go on: the same name on all nodes, or each node's own.

use super::OutNode;
use super::group::Draft;
use crate::import::note::{Kind, Notes};
use crate::import::read::Node;
use crate::import::words;
use std::net::IpAddr;

/// Says it at the HAVIPs where the files agree, else at the nodes.
pub(super) fn interfaces(nodes: &[Node], out: &mut [OutNode], groups: &mut [Draft], notes: &mut Notes) {
    let mut differs = false;
    // Per node: every interface that it puts an address on.
    let mut own: Vec<Vec<String>> = vec![Vec::new(); nodes.len()];
    for draft in groups.iter_mut() {
        let addresses: Vec<Option<IpAddr>> = draft.group.havips.iter().map(|h| h.address.map(Into::into)).collect();
        for (index, address) in addresses.into_iter().enumerate() {
            let mut found: Vec<String> = Vec::new();
            for (n, own) in own.iter_mut().enumerate() {
                let dev = match address {
                    Some(address) => {
                        let vip = draft.on(n, nodes).flat_map(|i| &i.vips).find(|v| v.ip == address);
                        vip.and_then(|v| v.dev.clone())
                    }
                    // Of a HAVIP that a hook names: the interface of the instance.
                    None => {
                        let own = draft.on(n, nodes).find_map(|i| i.interface.as_deref()).map(words::interface);
                        own.map(|(link, _)| link).filter(|link| words::is_interface(link)).map(str::to_owned)
                    }
                };
                let Some(dev) = dev else { continue };
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
        let name = havip.address.map_or_else(|| havip.id.clone().unwrap_or_default(), |address| address.to_string());
        notes.add(Kind::Assumed, None, format!("interface of {name}"), why);
    }
}
