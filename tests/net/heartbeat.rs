use crate::support::{in_namespace, interface, ip, until_address, within};
use havipd::clock;
use havipd::net::address::{Addresses, Put};
use havipd::net::heartbeat::{HeartbeatSockets, Layout, Sent};
use havipd::net::monitor::Monitor;
use havipd_core::model::time::Instant;
use havipd_core::wire::heartbeat::MAX_DATAGRAM;
use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::rc::Rc;
use std::time::Duration;

const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 11);
const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);
const PORT: u16 = 11200;

fn at(address: &str) -> SocketAddr {
    address.parse().expect("an address")
}

fn layout<'a>(own: &'a [SocketAddr], havips: &'a [Ipv4Addr]) -> Layout<'a> {
    Layout { own, havips, port: PORT, ..Layout::default() }
}

/// A peer's socket on this host.
fn peer() -> UdpSocket {
    let peer = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    peer.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    peer
}

#[test]
fn a_socket_comes_goes_and_moves_with_its_address() {
    in_namespace(|| async {
        interface("eth0");
        interface("eth1");
        let peer = peer();
        let to = peer.local_addr().unwrap();
        let mut monitor = Monitor::open().unwrap();
        let mut sockets = HeartbeatSockets::open(layout(&[at("127.0.0.1:11200"), at("10.0.0.11:11200")], &[]));
        assert_eq!(sockets.paths_up(), [true, false]);
        assert_eq!(sockets.send(1, to, b"x"), Sent::NoSocket);
        assert_eq!(sockets.send(7, to, b"x"), Sent::NoSocket);
        assert!(sockets.paths()[1].error.is_some());

        for interface in ["eth0", "eth1"] {
            ip(&format!("address add 10.0.0.11/24 dev {interface}"));
            until_address(&mut monitor, OWN, true).await;
            sockets.address_changed(OWN.into(), true);
            assert_eq!(sockets.paths_up(), [true, true]);
            assert_eq!(sockets.paths()[1].error, None);

            assert_eq!(sockets.send(1, to, b"heartbeat"), Sent::Sent);
            let mut bytes = [0; 64];
            let (length, from) = peer.recv_from(&mut bytes).unwrap();
            assert_eq!((&bytes[..length], from), (&b"heartbeat"[..], at("10.0.0.11:11200")));
            peer.send_to(b"answer", from).unwrap();
            let received = within(sockets.recv(|_| true)).await;
            assert_eq!((received.path, received.from, &received.bytes[..]), (Some(1), to, &b"answer"[..]));
            assert_eq!(received.to, from);

            ip(&format!("address del 10.0.0.11/24 dev {interface}"));
            until_address(&mut monitor, OWN, false).await;
            sockets.address_changed(OWN.into(), false);
            assert_eq!(sockets.paths_up(), [true, false]);
            assert_eq!(sockets.send(1, to, b"x"), Sent::NoSocket);
        }
        assert_eq!(sockets.send(0, to, b"x"), Sent::Sent, "the other path never noticed");
    });
}

#[test]
fn netlink_is_believed_before_the_route_to_an_address_exists() {
    in_namespace(|| async {
        let mut sockets = HeartbeatSockets::open(layout(&[at("10.0.0.11:11200")], &[]));
        sockets.address_changed(Ipv4Addr::new(10, 0, 0, 1).into(), true);
        assert_eq!(sockets.paths_up(), [false], "another address");
        sockets.address_changed(OWN.into(), true);
        assert_eq!(sockets.paths_up(), [true]);
        let peer = peer();
        assert!(matches!(sockets.send(0, peer.local_addr().unwrap(), b"x"), Sent::Failed(_)));
        ip("address add 10.0.0.11/32 dev lo");
        assert_eq!(sockets.send(0, peer.local_addr().unwrap(), b"x"), Sent::Sent);
    });
}

#[test]
fn an_ipv6_path_works_beside_an_ipv4_one() {
    in_namespace(|| async {
        ip("address add 10.0.0.11/32 dev lo");
        let own = [at("10.0.0.11:11200"), at("[fd00::11]:11200")];
        let mut monitor = Monitor::open().unwrap();
        let mut sockets = HeartbeatSockets::open(layout(&own, &[]));
        assert_eq!(sockets.paths_up(), [true, false]);
        ip("address add fd00::11/128 dev lo");
        until_address(&mut monitor, own[1].ip(), true).await;
        sockets.address_changed(own[1].ip(), true);
        assert_eq!(sockets.paths_up(), [true, true], "{:?}", sockets.paths());

        let peer = UdpSocket::bind("[fd00::11]:0").unwrap();
        // The kernel tells of an IPv6 address a moment before it adds the route to it.
        let arrived = async {
            loop {
                peer.send_to(b"six", own[1]).unwrap();
                if let Ok(received) = tokio::time::timeout(Duration::from_millis(50), sockets.recv(|_| true)).await {
                    break received;
                }
            }
        };
        let received = within(arrived).await;
        assert_eq!((received.path, &received.bytes[..]), (Some(1), &b"six"[..]));
        assert_eq!(sockets.send(1, peer.local_addr().unwrap(), b"six"), Sent::Sent);
    });
}

#[test]
fn a_probe_reaches_the_socket_of_a_havip_as_soon_as_the_address_is_here() {
    in_namespace(|| async {
        let interface = interface("eth0");
        ip("address add 10.0.0.11/24 dev eth0");
        let mut sockets = HeartbeatSockets::open(layout(&[at("10.0.0.11:11200")], &[VIP]));
        assert!(sockets.paths()[1].up, "bound before the address is here: {:?}", sockets.paths());
        assert_eq!(sockets.paths_up(), [true], "which is no path");
        let put = Put { address: VIP, interface, lifetime: None, leadership_until: Instant::FAR_FUTURE };
        Addresses::open().unwrap().put(&put).unwrap();
        let peer = peer();
        peer.send_to(b"probe", (VIP, PORT)).unwrap();
        let received = within(sockets.recv(|_| true)).await;
        assert_eq!((received.path, received.to), (None, SocketAddr::from((VIP, PORT))));
        assert_eq!(&received.bytes[..], b"probe");
    });
}

#[test]
fn a_datagram_that_is_too_long_is_counted_and_dropped() {
    in_namespace(|| async {
        let mut sockets = HeartbeatSockets::open(layout(&[at("127.0.0.1:11200")], &[]));
        let peer = peer();
        for length in [MAX_DATAGRAM + 1, 9000, MAX_DATAGRAM, 0] {
            peer.send_to(&vec![1; length], "127.0.0.1:11200").unwrap();
        }
        assert_eq!(within(sockets.recv(|_| true)).await.bytes.len(), MAX_DATAGRAM);
        assert_eq!(within(sockets.recv(|_| true)).await.bytes.len(), 0);
        assert_eq!((sockets.counters().oversized, sockets.counters().received), (2, 2));
    });
}

#[test]
fn a_flood_on_one_path_keeps_neither_the_others_nor_other_tasks_waiting() {
    in_namespace(|| async {
        let own = [at("127.0.0.1:11200"), at("127.0.0.2:11200"), at("127.0.0.3:11200")];
        let mut sockets = HeartbeatSockets::open(layout(&own, &[]));
        let peer = peer();
        for n in 0..200 {
            peer.send_to(&[0; 8], own[0]).unwrap();
            peer.send_to(&vec![0; 2 * MAX_DATAGRAM], own[1]).unwrap();
            if n < 3 {
                peer.send_to(b"heartbeat", own[2]).unwrap();
            }
        }
        let race = async {
            // Read once, so that the runtime knows every socket and all are ready from here on.
            let mut order = vec![sockets.recv(|_| true).await.path];
            let turn = Rc::new(Cell::new(false));
            let flag = Rc::clone(&turn);
            tokio::task::spawn_local(async move { flag.set(true) });
            while !turn.get() {
                order.push(sockets.recv(|_| true).await.path);
            }
            order
        };
        let order = tokio::task::LocalSet::new().run_until(race).await;
        let handled = sockets.counters().received + sockets.counters().oversized;
        // One turn, and the call that went on after it: that drops sixteen in a row at most before one that counts.
        assert!(handled <= 85, "{handled} datagrams before another task had its turn");
        let quiet = |path: &Option<usize>| *path == Some(2);
        assert_eq!(order.iter().filter(|p| quiet(p)).count(), 3);
        assert!(order.iter().rposition(quiet) <= Some(6), "the quiet path's three did not come first: {order:?}");
    });
}

#[test]
fn a_port_in_use_is_told_and_taken_when_it_is_free() {
    in_namespace(|| async {
        let other = UdpSocket::bind(("0.0.0.0", PORT)).unwrap();
        let mut sockets = HeartbeatSockets::open(layout(&[at("127.0.0.1:11200")], &[VIP]));
        assert_eq!(sockets.paths_up(), [false]);
        for path in sockets.paths() {
            assert!(path.error.as_ref().is_some_and(|e| e.contains("in use")), "{path:?}");
        }
        drop(other);
        let to = peer().local_addr().unwrap();
        within(async {
            while sockets.send(0, to, b"x") != Sent::Sent {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert!(sockets.paths().iter().all(|p| p.up && p.error.is_none()), "{:?}", sockets.paths());
        assert!(sockets.counters().bind_failures < 10, "tried without a pause");
    });
}

#[test]
fn a_reload_keeps_the_sockets_that_stay() {
    in_namespace(|| async {
        let own = [at("127.0.0.1:11200"), at("127.0.0.2:11200")];
        let mut sockets = HeartbeatSockets::open(layout(&own, &[]));
        let peer = peer();
        peer.send_to(b"kept", own[1]).unwrap();
        sockets.reconfigure(layout(&[own[1], at("127.0.0.3:11200")], &[VIP]));
        assert_eq!(sockets.counters().binds, 4);
        let received = within(sockets.recv(|_| true)).await;
        assert_eq!((received.path, &received.bytes[..]), (Some(0), &b"kept"[..]));
        assert!(UdpSocket::bind(own[0]).is_ok(), "the old address is free again");
        // From a HAVIP's socket to a path: bound anew, since a freely bound one proves nothing.
        sockets.reconfigure(layout(&[SocketAddr::from((VIP, PORT))], &[]));
        assert_eq!(sockets.paths_up(), [false]);
    });
}

#[test]
fn a_refusal_of_the_kernel_is_counted_not_fatal() {
    in_namespace(|| async {
        let mut sockets = HeartbeatSockets::open(layout(&[at("127.0.0.1:11200")], &[]));
        assert_eq!(sockets.send(0, at("203.0.113.1:1"), b"x"), Sent::Failed(libc::ENETUNREACH), "no route in here");
        assert_eq!(sockets.counters().send_failed, 1);
        assert!(sockets.paths()[0].error.is_some());
        let to = peer().local_addr().unwrap();
        assert_eq!(sockets.send(0, to, b"x"), Sent::Sent);
    });
}

/// More than any receive buffer here holds: the kernel drops the rest.
fn flood(to: SocketAddr) {
    let stranger = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    for _ in 0..20_000 {
        stranger.send_to(&[0x5a; 1000], to).expect("sent");
    }
}

#[test]
fn a_flood_from_elsewhere_takes_no_room_from_a_peer() {
    in_namespace(|| async {
        let own = [at("127.0.0.1:11200")];
        let (peer, silent) = (peer(), peer());
        let sources = [&peer, &silent].map(|p| (0, p.local_addr().unwrap()));
        let mut sockets = HeartbeatSockets::open(Layout { sources: &sources, ..layout(&own, &[]) });
        assert_eq!(sockets.counters().binds, 1, "a peer's socket is no path");
        flood(own[0]);
        for n in 0..5_u8 {
            peer.send_to(&[n; 8], own[0]).unwrap();
        }
        let mut refused = 0;
        for n in 0..5_u8 {
            let received = within(sockets.recv(|bytes| {
                refused += u64::from(bytes.len() > 8);
                bytes.len() == 8
            }));
            let received = received.await;
            assert_eq!((received.path, received.from, &received.bytes[..]), (Some(0), sources[0].1, &[n; 8][..]));
        }
        assert!(refused <= 20, "{refused} of the flood were read before five of a peer");
        assert_eq!(sockets.counters().refused, refused);
    });
}

#[test]
fn what_is_not_admitted_keeps_other_tasks_waiting_no_longer_than_what_is() {
    in_namespace(|| async {
        let own = [at("127.0.0.1:11200")];
        let mut sockets = HeartbeatSockets::open(layout(&own, &[]));
        let race = async {
            peer().send_to(b"first", own[0]).unwrap();
            assert_eq!(&sockets.recv(|_| true).await.bytes[..], b"first");
            flood(own[0]);
            let turn = Rc::new(Cell::new(None));
            let (flag, asked) = (Rc::clone(&turn), Rc::new(Cell::new(0)));
            let read = Rc::clone(&asked);
            tokio::task::spawn_local(async move { flag.set(Some(read.get())) });
            let reading = sockets.recv(|_| {
                asked.set(asked.get() + 1);
                false
            });
            tokio::select! {
                _ = reading => {}
                () = async { while turn.get().is_none() { tokio::task::yield_now().await; } } => {}
            }
            turn.get().expect("it had its turn")
        };
        let read = tokio::task::LocalSet::new().run_until(race).await;
        assert!(read <= 70, "{read} datagrams before another task had its turn");
    });
}

/// The sockets of one address allow each other for a moment only.
#[test]
fn no_other_program_gets_in_beside_the_sockets_of_peers() {
    in_namespace(|| async {
        let own = [at("127.0.0.1:11200")];
        let sources = [(0, peer().local_addr().unwrap()), (0, at("127.0.0.9:11200"))];
        let _sockets = HeartbeatSockets::open(Layout { sources: &sources, ..layout(&own, &[]) });
        let stranger = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
        stranger.set_reuse_address(true).unwrap();
        stranger.set_reuse_port(true).unwrap();
        let error = stranger.bind(&own[0].into()).expect_err("it is ours");
        assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    });
}

/// The kernel tells a connected socket that nobody listens at its peer: that is no fault of the socket.
#[test]
fn a_peer_that_is_not_there_costs_nothing() {
    in_namespace(|| async {
        let own = [at("127.0.0.1:11200")];
        let absent = peer().local_addr().unwrap();
        let sources = [(0, absent)];
        let mut sockets = HeartbeatSockets::open(Layout { sources: &sources, ..layout(&own, &[]) });
        for _ in 0..5 {
            assert_eq!(sockets.send(0, absent, b"heartbeat"), Sent::Sent);
        }
        let back = UdpSocket::bind(absent).unwrap();
        back.send_to(b"back", own[0]).unwrap();
        let received = within(sockets.recv(|_| true)).await;
        assert_eq!((received.from, &received.bytes[..]), (absent, &b"back"[..]));
        assert_eq!((sockets.counters().receive_failed, sockets.paths()[0].error.as_ref()), (0, None));
    });
}

/// A reload with another peer: its socket is made, that of the one that went is closed, and the shared one stays.
#[test]
fn peers_sockets_follow_a_reload() {
    in_namespace(|| async {
        let own = [at("127.0.0.1:11200")];
        let (before, after) = (peer(), peer());
        let mut sources = [(0, before.local_addr().unwrap())];
        let mut sockets = HeartbeatSockets::open(Layout { sources: &sources, ..layout(&own, &[]) });
        sources[0].1 = after.local_addr().unwrap();
        sockets.reconfigure(Layout { sources: &sources, ..layout(&own, &[]) });
        assert_eq!(sockets.counters().binds, 1);
        flood(own[0]);
        after.send_to(b"after", own[0]).unwrap();
        before.send_to(b"before", own[0]).unwrap();
        let received = within(sockets.recv(|bytes| bytes.len() < 10)).await;
        assert_eq!(&received.bytes[..], b"after", "the other one has no room of its own any more");
    });
}

/// What waited to be read is as old as it is.
#[test]
fn a_datagram_is_dated_by_its_arrival() {
    in_namespace(|| async {
        let to = at("127.0.0.1:11200");
        let mut sockets = HeartbeatSockets::open(layout(&[to], &[]));
        let peer = peer();
        // The kernel begins to date a little after the first socket of the host has asked it to; what it has not dated
        // counts from when it was read.
        loop {
            let before = clock::now();
            peer.send_to(b"early", to).unwrap();
            let sent = clock::now();
            while clock::now() < sent + Duration::from_millis(50) {
                std::hint::spin_loop();
            }
            let read = clock::now();
            let arrived = sockets.recv(|_| true).await.arrived;
            assert!(before <= arrived, "{before:?} {arrived:?}");
            if arrived < read {
                break;
            }
        }
    });
}
