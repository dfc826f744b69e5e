//! `link`: an interface that is up, has carrier and an address that can be used.

use super::{Context, Outcome};
use crate::net::interface::Snapshot;
use crate::net::monitor::Monitor;
use std::time::Duration;
use tokio::sync::watch;

/// Time between attempts to hear the kernel.
const AGAIN: Duration = Duration::from_secs(1);

/// Tells the links and addresses of this host, each time they change; nothing while they cannot be told.
pub(super) async fn monitor(links: watch::Sender<Option<Snapshot>>) {
    loop {
        if let Ok(mut monitor) = Monitor::open() {
            loop {
                links.send_replace(Some(monitor.snapshot().clone()));
                if monitor.next().await.is_err() {
                    break;
                }
            }
        }
        links.send_replace(None);
        tokio::time::sleep(AGAIN).await;
    }
}

pub(super) async fn watch(context: Context, interface: String, mut links: watch::Receiver<Option<Snapshot>>) {
    let mut last = None;
    loop {
        let outcome = match &*links.borrow_and_update() {
            Some(host) => judge(host, &interface),
            None => Outcome::not_run("the kernel does not tell the links of this host"),
        };
        context.observe(outcome, &mut last);
        if links.changed().await.is_err() {
            return;
        }
    }
}

fn judge(host: &Snapshot, name: &str) -> Outcome {
    let Some(link) = host.links.values().find(|link| link.name == name) else {
        return Outcome::failed(format!("there is no interface {name}"));
    };
    let addressed = host.addresses.iter().any(|a| a.interface == link.index && a.usable());
    match (link.up, addressed) {
        (false, _) => Outcome::failed(format!("{name} is down, or has no carrier")),
        (true, false) => Outcome::failed(format!("{name} has no address")),
        (true, true) => Outcome::passed(format!("{name} is up and has an address")),
    }
}
