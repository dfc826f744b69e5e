use crate::support::{in_namespace, ip, link, veth};
use havipd::clock::now;
use havipd::net::garp::{AnnounceError, Announced, Announcer};
use havipd_core::model::time::Instant;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::Read;
use std::net::Ipv4Addr;
use std::time::Duration;

const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);

/// Every ARP frame that arrives at an interface of this namespace.
fn listen() -> Socket {
    let protocol = Protocol::from(i32::from((libc::ETH_P_ARP as u16).to_be()));
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(protocol)).expect("a packet socket");
    socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    socket
}

#[test]
fn the_other_end_of_the_wire_sees_the_announcement() {
    in_namespace(|| async {
        veth("eth0", "peer");
        ip("link set eth0 address 02:00:5e:10:00:01");
        let eth0 = link("eth0");
        let mut wire = listen();
        let announcer = Announcer::open().unwrap();

        // One whose leadership has run out is never seen: the first to arrive is the second.
        assert_eq!(announcer.announce(&eth0, Ipv4Addr::BROADCAST, now()).unwrap(), Announced::LeadershipLost);
        assert_eq!(announcer.announce(&eth0, VIP, Instant::FAR_FUTURE).unwrap(), Announced::Sent);

        let mut frame = [0; 128];
        let length = wire.read(&mut frame).unwrap();
        assert_eq!(
            hex::encode(&frame[..length]),
            "ffffffffffff02005e10000108060001080006040001\
             02005e1000010a000064\
             0000000000000a000064"
        );
    });
}

#[test]
fn neighbours_that_know_the_address_learn_where_it_is_now() {
    in_namespace(|| async {
        veth("eth0", "peer");
        ip("link set eth0 address 02:00:5e:10:00:01");
        ip("address add 10.0.0.1/24 dev peer");
        ip("neighbour add 10.0.0.100 lladdr 02:00:00:00:00:99 nud stale dev peer");
        let mut wire = listen();
        Announcer::open().unwrap().announce(&link("eth0"), VIP, Instant::FAR_FUTURE).unwrap();
        let mut frame = [0; 128];
        assert_ne!(wire.read(&mut frame).unwrap(), 0);
        let shown = std::process::Command::new("ip").args(["neighbour", "show", "10.0.0.100"]).output().unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert!(shown.contains("02:00:5e:10:00:01"), "{shown}");
    });
}

#[test]
fn an_interface_without_arp_is_refused_by_name() {
    in_namespace(|| async {
        let error = Announcer::open().unwrap().announce(&link("lo"), VIP, Instant::FAR_FUTURE).unwrap_err();
        assert!(matches!(error, AnnounceError::NotEthernet(..)));
        assert_eq!(error.to_string(), "interface lo is no Ethernet interface: 10.0.0.100 cannot be announced there");
    });
}
