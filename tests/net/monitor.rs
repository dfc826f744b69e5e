use crate::support::{in_namespace, interface, ip, link, next_ipv4, until_address, veth, within};
use havipd::net::address::{Addresses, Put};
use havipd::net::monitor::{Change, Monitor};
use havipd_core::model::time::Instant;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::Duration;

const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);

fn put(interface: u32) -> Put {
    Put { address: VIP, interface, lifetime: Some(Duration::from_secs(60)), leadership_until: Instant::FAR_FUTURE }
}

#[test]
fn an_address_that_somebody_deletes_is_told_and_renewals_are_not() {
    in_namespace(|| async {
        let interface = interface("eth0");
        let mut addresses = Addresses::open().unwrap();
        addresses.put(&put(interface)).unwrap();
        let mut monitor = Monitor::open().unwrap();
        assert!(monitor.has(VIP.into()), "what is there at the start is in the snapshot");
        for _ in 0..200 {
            addresses.put(&put(interface)).unwrap();
        }
        ip("address add 10.0.0.101/24 dev eth0");
        ip("address del 10.0.0.100/32 dev eth0");
        let expected = [([10, 0, 0, 101], true), ([10, 0, 0, 100], false)];
        for (address, present) in expected {
            let change = next_ipv4(&mut monitor).await;
            assert_eq!(change, Change::Address { address: IpAddr::from(address), interface, present });
        }
        assert!(!monitor.has(VIP.into()));
    });
}

#[test]
fn an_address_stays_present_while_one_of_its_prefixes_does() {
    in_namespace(|| async {
        interface("eth0");
        let mut monitor = Monitor::open().unwrap();
        for command in ["add 10.0.0.100/24", "add 10.0.0.100/32", "del 10.0.0.100/24", "add 10.0.0.7/32"] {
            ip(&format!("address {command} dev eth0"));
        }
        until_address(&mut monitor, VIP, true).await;
        let change = next_ipv4(&mut monitor).await;
        assert!(
            matches!(change, Change::Address { address, .. } if address == IpAddr::from([10, 0, 0, 7])),
            "{change:?}"
        );
        assert!(monitor.has(VIP.into()));
    });
}

#[test]
fn links_are_followed_from_first_to_last() {
    in_namespace(|| async {
        let mut monitor = Monitor::open().unwrap();
        veth("eth0", "peer");
        let index = link("eth0").index;
        let next = async |monitor: &mut Monitor, what: &str, wanted: &dyn Fn(&str, bool, bool) -> bool| loop {
            match within(monitor.next()).await.unwrap() {
                Change::Link { link, exists } if link.index == index && wanted(&link.name, link.up, exists) => break,
                change => assert!(
                    !matches!(change, Change::Link { link, exists: false } if link.index == index),
                    "before {what}"
                ),
            }
        };
        next(&mut monitor, "up", &|name, up, exists| name == "eth0" && up && exists).await;
        ip("link set peer down");
        next(&mut monitor, "carrier lost", &|_, up, exists| !up && exists).await;
        assert!(!monitor.snapshot().named("eth0").unwrap().up);
        ip("link set peer up");
        next(&mut monitor, "carrier back", &|_, up, _| up).await;
        ip("link set eth0 down");
        next(&mut monitor, "down", &|_, up, exists| !up && exists).await;
        ip("link set eth0 name wan");
        next(&mut monitor, "renamed", &|name, _, _| name == "wan").await;
        ip("link del wan");
        next(&mut monitor, "deleted", &|_, up, exists| !up && !exists).await;
        assert!(!monitor.snapshot().links.contains_key(&index));
    });
}

#[test]
fn notifications_that_the_kernel_dropped_are_made_up_for() {
    in_namespace(|| async {
        let interface = interface("eth0");
        let mut monitor = Monitor::with_receive_buffer(4096).unwrap();
        ip("address add 10.9.0.1/32 dev eth0");
        until_address(&mut monitor, Ipv4Addr::new(10, 9, 0, 1), true).await;

        let mut addresses = Addresses::open().unwrap();
        let mut expected = BTreeSet::new();
        for n in 0..=255 {
            let address = Ipv4Addr::new(10, 8, 0, n);
            addresses.put(&Put { address, ..put(interface) }).unwrap();
            expected.insert((IpAddr::V4(address), true));
        }
        // Came and went while nobody looked: nothing to tell. Went: to be told.
        addresses.put(&put(interface)).unwrap();
        addresses.remove(VIP).unwrap();
        ip("address del 10.9.0.1/32 dev eth0");
        expected.insert((IpAddr::from([10, 9, 0, 1]), false));
        ip("link add late type veth peer name later");

        let (mut told, mut late) = (BTreeSet::new(), false);
        while told.len() < expected.len() || !late {
            match within(monitor.next()).await.unwrap() {
                // The interface's own address, which comes when it likes.
                Change::Address { address: IpAddr::V6(_), .. } => {}
                Change::Address { address, present, .. } => assert!(told.insert((address, present)), "{address} twice"),
                Change::Link { link, .. } => late |= link.name == "late",
            }
        }
        assert_eq!(told, expected);
        assert_eq!(monitor.overruns(), 1);

        // And it goes on as before.
        addresses.put(&put(interface)).unwrap();
        until_address(&mut monitor, VIP, true).await;
    });
}

#[test]
fn an_ipv6_address_is_present_once_it_can_be_bound() {
    in_namespace(|| async {
        veth("eth0", "peer");
        let mut monitor = Monitor::open().unwrap();
        let address: IpAddr = "fd00::11".parse().unwrap();
        ip("address add fd00::11/64 dev eth0");
        let told = |change: &Change| matches!(change, Change::Address { address: a, .. } if *a == address);
        loop {
            let change = within(monitor.next()).await.unwrap();
            if told(&change) {
                assert!(matches!(change, Change::Address { present: true, .. }), "{change:?}");
                break;
            }
        }
        UdpSocket::bind((address, 0)).unwrap();
    });
}
