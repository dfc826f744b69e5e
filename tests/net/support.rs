//! A namespace that vanishes with its thread, and small tools.

use havipd::net::interface::{Link, Snapshot};
use havipd::net::monitor::{Change, Monitor};
use std::future::Future;
use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

/// Longer than anything here takes on a busy machine; reached only when a test fails.
const DEADLINE: Duration = Duration::from_secs(30);

/// Runs `body` on a runtime whose thread, with all it starts, has a network namespace of its own.
/// The kernel removes the namespace with the thread, whatever happens.
pub(crate) fn in_namespace<F: Future<Output = ()>>(body: impl FnOnce() -> F + Send) {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test makes a network namespace and therefore needs root: run it with sudo"
    );
    let outcome = std::thread::scope(|scope| scope.spawn(|| isolated(body)).join());
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

fn isolated<F: Future<Output = ()>>(body: impl FnOnce() -> F) {
    unshare();
    ip("link set lo up");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { within(body()).await });
}

#[expect(unsafe_code, reason = "unshare has no safe wrapper")]
fn unshare() {
    // SAFETY: affects only which network namespace this thread is in; no memory is involved.
    let result = unsafe { libc::unshare(libc::CLONE_NEWNET) };
    assert_eq!(result, 0, "cannot make a network namespace: {}", std::io::Error::last_os_error());
}

/// Runs `ip` in the namespace of this thread.
pub(crate) fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().expect("ip (iproute2) is installed");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Two connected interfaces, up.
pub(crate) fn veth(one: &str, other: &str) {
    ip(&format!("link add {one} type veth peer name {other}"));
    ip(&format!("link set {one} up"));
    ip(&format!("link set {other} up"));
}

/// An interface with somebody at the other end of its wire, up; its index. (Not every kernel has `dummy`.)
pub(crate) fn interface(name: &str) -> u32 {
    veth(name, &format!("{name}-peer"));
    link(name).index
}

/// The interface as the kernel has it now.
pub(crate) fn link(name: &str) -> Link {
    Snapshot::take().expect("a snapshot").named(name).unwrap_or_else(|| panic!("no interface {name}")).clone()
}

/// The result of `future`, which must come before the deadline.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("the fact this test waits for did not come")
}

/// The next change of an IPv4 address. (Carrier and IPv6 addresses of a new interface come when they like.)
pub(crate) async fn next_ipv4(monitor: &mut Monitor) -> Change {
    within(async {
        loop {
            match monitor.next().await.expect("a change") {
                Change::Address { address: IpAddr::V6(_), .. } | Change::Link { .. } => {}
                change => return change,
            }
        }
    })
    .await
}

/// Reads changes until this one comes.
pub(crate) async fn until_address(monitor: &mut Monitor, address: impl Into<IpAddr>, wanted: bool) {
    let ip = address.into();
    let told = |change: &Change| matches!(*change, Change::Address { address, present, .. } if (address, present) == (ip, wanted));
    within(async { while !told(&monitor.next().await.expect("a change")) {} }).await;
    assert_eq!(monitor.has(ip), wanted);
}
