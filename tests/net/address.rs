use crate::support::{in_namespace, interface, ip, until_address, within};
use havipd::clock::now;
use havipd::net::address::{AddressError, Addresses, Put, PutOutcome};
use havipd::net::interface::Snapshot;
use havipd::net::monitor::Monitor;
use havipd::net::owner::{AddressOwner, Kind, Outcome};
use havipd_core::model::time::Instant;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);

fn put(address: Ipv4Addr, interface: u32, seconds: Option<u64>) -> Put {
    Put { address, interface, lifetime: seconds.map(Duration::from_secs), leadership_until: Instant::FAR_FUTURE }
}

fn all() -> Vec<String> {
    let snapshot = Snapshot::take().expect("a snapshot");
    let mut all: Vec<_> = snapshot
        .addresses
        .iter()
        .filter(|a| a.address.is_ipv4() && !a.address.is_loopback())
        .map(|a| format!("{} {}/{}", snapshot.links[&a.interface].name, a.address, a.prefix))
        .collect();
    all.sort();
    all
}

#[test]
fn an_address_is_put_renewed_and_taken_off() {
    in_namespace(|| async {
        let interface = interface("eth0");
        let mut addresses = Addresses::open().unwrap();
        let lifetime = |addresses: &mut Addresses| {
            let found = addresses.find(VIP).unwrap();
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!((found[0].interface, found[0].prefix), (interface, 32));
            assert_ne!(found[0].flags & libc::IFA_F_NOPREFIXROUTE, 0);
            found[0].lifetime
        };
        for (seconds, least) in [(Some(30), Some(20)), (Some(600), Some(500)), (None, None), (Some(40), Some(30))] {
            assert_eq!(addresses.put(&put(VIP, interface, seconds)).unwrap(), PutOutcome::Done);
            let left = lifetime(&mut addresses).map(|d| d.as_secs());
            assert!(left <= seconds.or(left) && left >= least, "{left:?} left of {seconds:?}");
            assert_eq!(left.is_none(), seconds.is_none());
        }
        assert_eq!(addresses.remove(VIP).unwrap().len(), 1);
        assert_eq!(addresses.find(VIP).unwrap(), []);
        assert_eq!(addresses.remove(VIP).unwrap(), [], "taking off what is not there is no error");
    });
}

#[test]
fn the_kernel_takes_an_address_off_that_nobody_renews() {
    in_namespace(|| async {
        let interface = interface("eth0");
        let mut monitor = Monitor::open().unwrap();
        let mut addresses = Addresses::open().unwrap();
        addresses.put(&put(VIP, interface, Some(1))).unwrap();
        until_address(&mut monitor, VIP, true).await;
        until_address(&mut monitor, VIP, false).await;
        assert_eq!(addresses.find(VIP).unwrap(), []);
    });
}

#[test]
fn nothing_is_put_once_leadership_has_run_out() {
    in_namespace(|| async {
        let interface = interface("eth0");
        let mut addresses = Addresses::open().unwrap();
        let late = Put { leadership_until: now(), ..put(VIP, interface, None) };
        assert_eq!(addresses.put(&late).unwrap(), PutOutcome::LeadershipLost);
        assert_eq!(addresses.find(VIP).unwrap(), []);

        let (owner, mut reports) = AddressOwner::start().unwrap();
        let id = owner.put(late);
        let report = within(reports.recv()).await.unwrap();
        assert_eq!((report.id, report.kind, report.address), (id, Kind::Put, VIP));
        assert!(matches!(report.outcome, Outcome::LeadershipLost), "{report:?}");
        assert_eq!(addresses.find(VIP).unwrap(), []);
    });
}

/// The kernel makes callers wait for its lock: leadership is looked at again once it has answered.
#[test]
fn a_put_that_outlasts_its_leadership_is_undone() {
    in_namespace(|| async {
        let interface = interface("eth0");
        let mut addresses = Addresses::open().unwrap();
        let leadership_until = now() + Duration::from_secs(60);
        let mut times = [now(), leadership_until].into_iter();
        let late = Put { leadership_until, ..put(VIP, interface, None) };
        assert_eq!(addresses.put_by(&late, || times.next().unwrap()).unwrap(), PutOutcome::LeadershipLost);
        assert_eq!(addresses.find(VIP).unwrap(), []);
    });
}

#[test]
fn only_whole_addresses_match_and_foreign_ones_stay() {
    in_namespace(|| async {
        interface("eth0");
        interface("eth1");
        for (address, interface) in [
            ("10.0.0.1/24", "eth0"),
            ("10.0.0.10/32", "eth0"),
            ("10.0.0.100/32", "eth0"),
            ("10.0.0.101/32", "eth0"),
            ("10.0.0.1/32", "eth1"),
            ("110.0.0.1/32", "eth1"),
            ("10.0.0.50/24", "eth1"),
        ] {
            ip(&format!("address add {address} dev {interface}"));
        }
        let havips = ["10.0.0.1", "10.0.0.101", "10.0.0.7"].map(|a| a.parse().unwrap());
        let keep = ["10.0.0.101".parse().unwrap()];
        let removed = Addresses::open().unwrap().clean(&havips, &keep).unwrap();
        assert_eq!(removed.len(), 2, "{removed:?}");
        assert!(removed.iter().all(|a| a.address == IpAddr::from([10, 0, 0, 1])));
        assert_eq!(
            all(),
            ["eth0 10.0.0.10/32", "eth0 10.0.0.100/32", "eth0 10.0.0.101/32", "eth1 10.0.0.50/24", "eth1 110.0.0.1/32",]
        );
    });
}

#[test]
fn foreign_addresses_that_the_kernel_takes_along_are_put_back() {
    in_namespace(|| async {
        interface("eth0");
        std::fs::write("/proc/sys/net/ipv4/conf/eth0/promote_secondaries", "0").unwrap();
        for address in ["10.0.0.100/24", "10.0.0.11/24", "10.0.0.12/24", "10.0.0.100/32", "10.1.0.1/24"] {
            ip(&format!("address add {address} dev eth0"));
        }
        assert_eq!(Addresses::open().unwrap().remove(VIP).unwrap().len(), 2);
        assert_eq!(all(), ["eth0 10.0.0.11/24", "eth0 10.0.0.12/24", "eth0 10.1.0.1/24"]);
    });
}

#[test]
fn a_refusal_names_address_and_reason() {
    in_namespace(|| async {
        let error = Addresses::open().unwrap().put(&put(VIP, 4242, Some(5))).unwrap_err();
        assert!(matches!(error, AddressError::Put { .. }), "{error:?}");
        assert_eq!(error.to_string(), "cannot put 10.0.0.100 on interface 4242");
        let (owner, mut reports) = AddressOwner::start().unwrap();
        owner.put(put(VIP, 4242, Some(5)));
        assert!(matches!(within(reports.recv()).await.unwrap().outcome, Outcome::Failed(_)));
        // A failure is not the end of the owner.
        owner.put(put(VIP, interface("eth0"), Some(60)));
        assert!(matches!(within(reports.recv()).await.unwrap().outcome, Outcome::Done));
        assert_eq!(all(), ["eth0 10.0.0.100/32"]);
    });
}

#[test]
fn the_owner_moves_an_address_that_belongs_on_another_interface() {
    in_namespace(|| async {
        let (one, other) = (interface("eth0"), interface("eth1"));
        let (owner, mut reports) = AddressOwner::start().unwrap();
        for interface in [one, other] {
            owner.put(put(VIP, interface, None));
            assert!(matches!(within(reports.recv()).await.unwrap().outcome, Outcome::Done));
        }
        assert_eq!(all(), ["eth1 10.0.0.100/32"]);
    });
}

#[test]
fn a_drop_wins_over_every_put_that_was_given_before_it() {
    in_namespace(|| async {
        let interface = interface("eth0");
        let (owner, mut reports) = AddressOwner::start().unwrap();
        for round in 0..50 {
            for n in 0..20 {
                owner.put(put(VIP, interface, Some(60)));
                owner.put(put(Ipv4Addr::new(10, 0, 1, n), interface, Some(60)));
            }
            let dropped = owner.drop_address(VIP);
            let (mut open, mut done) = (0..41, false);
            while !done {
                open.next().expect("no command ends twice");
                let report = within(reports.recv()).await.unwrap();
                done = report.id == dropped;
                assert!(done || report.id < dropped);
                assert!(!matches!(report.outcome, Outcome::Failed(_)), "{report:?}");
            }
            let found = Addresses::open().unwrap().find(VIP).unwrap();
            assert_eq!(found, [], "round {round}");
            for _ in open {
                let report = within(reports.recv()).await.unwrap();
                assert!(report.address != VIP, "{report:?} after the drop");
            }
        }
        assert_eq!(owner.lost_reports(), 0);
    });
}

#[test]
fn what_is_queued_is_done_before_the_owner_goes() {
    in_namespace(|| async {
        let interface = interface("eth0");
        ip("address add 10.0.0.99/32 dev eth0");
        let (owner, reports) = AddressOwner::start().unwrap();
        owner.put(put(VIP, interface, Some(60)));
        owner.drop_address(Ipv4Addr::new(10, 0, 0, 99));
        drop(reports);
        drop(owner);
        assert_eq!(all(), ["eth0 10.0.0.100/32"]);
    });
}
