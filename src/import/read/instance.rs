//! One `vrrp_instance`.

use super::keywords;
use super::{Check, Instance, Vip, hook, tracked};
use crate::import::note::{Kind, Notes};
use crate::import::parse::Statement;
use crate::import::words;
use std::net::IpAddr;

/// Reads it; `usual` is the interface that `default_interface` names.
pub(super) fn read(statement: &Statement, checks: &[Check], usual: Option<&str>, notes: &mut Notes) -> Instance {
    let of = |key: &str| statement.inside().iter().find(|s| s.key() == key).and_then(Statement::value);
    let interface = of("interface").or(usual).map(str::to_owned);
    let mut instance = Instance {
        name: statement.value().unwrap_or_default().to_owned(),
        place: statement.place.clone(),
        interface: interface.clone(),
        ..Instance::default()
    };
    for inside in statement.inside() {
        if matches!(inside.key(), "virtual_ipaddress" | "virtual_ipaddress_excluded") {
            addresses(inside, interface.as_deref(), &mut instance.vips, notes);
        }
    }
    let own: Vec<String> = instance.vips.iter().filter_map(|v| v.dev.clone()).collect();
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    for inside in statement.inside() {
        if !simple(inside, &mut instance, notes)
            && !hook(inside, &mut instance.hooks, notes)
            && !tracked(inside, checks, &own, notes)
        {
            keywords::instance(inside, notes);
        }
    }
    instance
}

/// What has one value; `false` if it is none of these.
fn simple(statement: &Statement, instance: &mut Instance, notes: &mut Notes) -> bool {
    let (key, value) = (statement.key(), statement.value().unwrap_or_default());
    let number = |notes: &mut Notes, most: u32| {
        let read = value.parse::<u32>().ok().filter(|n| *n <= most);
        if read.is_none() {
            let why = format!("{value:?} is not a number up to {most}");
            notes.add(Kind::Lost, Some(statement.place.clone()), key.to_owned(), why);
        }
        read
    };
    match key {
        "interface" | "virtual_ipaddress" | "virtual_ipaddress_excluded" => {}
        "state" => {
            instance.starts_as_master = value.eq_ignore_ascii_case("MASTER");
            keywords::instance(statement, notes);
        }
        "virtual_router_id" => {
            instance.router_id = number(notes, 255).and_then(|n| u8::try_from(n).ok());
            keywords::instance(statement, notes);
        }
        "priority" => {
            let read = number(notes, 255).map(|n| n.clamp(1, 254));
            if read.is_some_and(|n| n.to_string() != value) {
                let why = "priorities are 1 to 254";
                notes.add(Kind::OwnWay, Some(statement.place.clone()), format!("priority {value}"), why);
            }
            instance.priority = read.and_then(|n| u8::try_from(n).ok());
        }
        "down_timer_adverts" => instance.down_timer = number(notes, 100),
        "advert_int" => instance.interval = duration(statement, notes),
        "preempt_delay" => instance.preempt_delay = duration(statement, notes),
        "nopreempt" => instance.no_preempt = true,
        "preempt" => instance.no_preempt = false,
        "unicast_src_ip" | "mcast_src_ip" => {
            instance.source = node_address(statement, value, notes).or(instance.source);
        }
        "unicast_peer" => {
            for entry in statement.inside() {
                // Options of a peer (min_ttl, max_ttl) follow its address.
                instance.peers.extend(node_address(entry, entry.key(), notes));
                let more = entry.words[1..].iter().filter(|w| words::address(&w.text).is_some());
                instance.peers.extend(more.filter_map(|w| node_address(entry, &w.text, notes)));
            }
        }
        _ => return false,
    }
    true
}

fn duration(statement: &Statement, notes: &mut Notes) -> Option<u64> {
    let value = statement.value().unwrap_or_default();
    let read = words::seconds(value);
    if read.is_none() {
        let why = format!("{value:?} is not a number of seconds");
        notes.add(Kind::Lost, Some(statement.place.clone()), statement.key().to_owned(), why);
    }
    read
}

/// An address that a node can be reached by.
fn node_address(statement: &Statement, text: &str, notes: &mut Notes) -> Option<IpAddr> {
    let Some((ip, _)) = words::address(text) else {
        not_an_address(statement, text, notes);
        return None;
    };
    if !words::is_reachable(ip) {
        let why = "it belongs to one link, or to no node: heartbeats need an address that the other nodes can reach";
        notes.add(Kind::Lost, Some(statement.place.clone()), format!("address {text}"), why);
        return None;
    }
    Some(ip)
}

fn not_an_address(statement: &Statement, text: &str, notes: &mut Notes) {
    let why = "it is not an IP address: write it out";
    notes.add(Kind::Lost, Some(statement.place.clone()), format!("address {text}"), why);
}

/// `ADDRESS[/LENGTH] [dev IF] [label X] [scope ...] ...`, one a line.
fn addresses(block: &Statement, usual: Option<&str>, vips: &mut Vec<Vip>, notes: &mut Notes) {
    for entry in block.inside() {
        let place = || Some(entry.place.clone());
        let Some((ip, prefix)) = words::address(entry.key()) else {
            not_an_address(entry, entry.key(), notes);
            continue;
        };
        let dev = options(entry, ip, notes).or(usual);
        if prefix.is_some_and(|p| p != 32) && ip.is_ipv4() {
            let why = "a HAVIP goes on its interface as /32; the subnet is reached by the instance's own address";
            notes.add(Kind::OwnWay, place(), format!("{}, its prefix", entry.key()), why);
        }
        let link = dev.map(words::interface);
        let named = link.map(|(link, _)| link).filter(|link| words::is_interface(link));
        if let (Some(dev), None) = (dev, named) {
            let why = "it cannot be the name of an interface: the one with the node's address is taken";
            notes.add(Kind::Lost, place(), format!("interface {dev}"), why);
        }
        if let (Some((link, true)), Some(dev), Some(_)) = (link, dev, named) {
            let why = format!("aliases are not interfaces: the address goes on {link}");
            notes.add(Kind::OwnWay, place(), format!("interface {dev}"), why);
        }
        match ip {
            IpAddr::V4(v4) if !v4.is_private() => {
                let why =
                    "it is not a private address, and a HAVIP has one: bind it to a HAVIP as its public address (EIP)";
                notes.add(Kind::Lost, place(), format!("address {ip}"), why);
            }
            IpAddr::V4(_) => {
                let dev = named.map(str::to_owned);
                vips.push(Vip { ip, dev, place: entry.place.clone() });
            }
            IpAddr::V6(_) => {
                let why = "HAVIPs of Baidu AI Cloud are IPv4";
                notes.add(Kind::Lost, place(), format!("address {ip}"), why);
            }
        }
    }
}

/// What stands behind an address: the interface is the only thing that is used.
fn options<'a>(entry: &'a Statement, ip: IpAddr, notes: &mut Notes) -> Option<&'a str> {
    let place = || Some(entry.place.clone());
    let mut dev = None;
    let mut rest = entry.words[1..].iter().map(|w| w.text.as_str());
    while let Some(word) = rest.next() {
        let value = if matches!(
            word,
            "brd" | "broadcast" | "dev" | "scope" | "label" | "peer" | "track_group" | "preferred_lft"
        ) {
            rest.next()
        } else {
            None
        };
        match (word, value) {
            ("dev", value) => dev = value.or(dev),
            ("label", Some(label)) => {
                let why = "havipd sets no labels: who looks for the alias has to look for the address";
                notes.add(Kind::Lost, place(), format!("label {label}"), why);
            }
            ("peer", Some(peer)) => {
                let why = "a HAVIP is an address of its own, without a peer";
                notes.add(Kind::Lost, place(), format!("{ip} peer {peer}"), why);
            }
            (word, value) => {
                let what = format!("{word} {}", value.unwrap_or_default()).trim_end().to_owned();
                let why = "an address goes on its interface without further options";
                notes.add(Kind::OwnWay, place(), what, why);
            }
        }
    }
    dev
}
