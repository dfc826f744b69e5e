//! The kept connections to the API die without a sign, as when a NAT forgets them, just when the active node dies.

use crate::lab::{Lab, Options};
use crate::wait::wait_for;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Hands TCP connections on to `api`. Those that were accepted before [`Relay::forget`] carry nothing any more, and stay open.
struct Relay {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    /// Connections with a lower number are dead.
    alive_from: Arc<AtomicUsize>,
}

impl Relay {
    fn new(api: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay =
            Self { address: listener.local_addr().unwrap(), accepted: Arc::default(), alive_from: Arc::default() };
        let (accepted, alive_from) = (Arc::clone(&relay.accepted), Arc::clone(&relay.alive_from));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(&api) else { continue };
                let number = accepted.fetch_add(1, Ordering::SeqCst);
                let ends = [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)];
                for (from, to) in ends {
                    let alive_from = Arc::clone(&alive_from);
                    std::thread::spawn(move || carry(from, to, || number >= alive_from.load(Ordering::SeqCst)));
                }
            }
        });
        relay
    }

    fn forget(&self) {
        self.alive_from.store(self.accepted.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

/// Until one side ends. What arrives for a dead connection is swallowed.
fn carry(mut from: TcpStream, mut to: TcpStream, is_alive: impl Fn() -> bool) {
    let mut buffer = [0; 4096];
    while let Ok(size @ 1..) = from.read(&mut buffer) {
        if is_alive() && to.write_all(&buffer[..size]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}

#[test]
fn a_claim_waits_for_no_connection_that_has_died() {
    const REQUEST_TIMEOUT_MS: f64 = 10_000.0;
    let options =
        Options { cloud: "request-timeout = \"10s\"\nconnect-timeout = \"5s\"".to_owned(), ..Options::default() };
    let mut lab = Lab::new(options);
    let relay = Relay::new(lab.api().to_owned());
    lab.set_endpoint(format!("http://{}", relay.address));
    let (a, b) = lab.pair();
    let before = relay.accepted.load(Ordering::SeqCst);
    relay.forget();
    a.signal(9);
    b.wait_role("active");
    assert_eq!(lab.holder().as_deref(), Some("i-b"));
    assert!(relay.accepted.load(Ordering::SeqCst) > before, "over a connection of its own");
    let last = wait_for("the move is written", || {
        let shown = lab.ctl(1, &["history", "web", "--json"]).stdout;
        let history: serde_json::Value = serde_json::from_slice(&shown).unwrap();
        history["data"]["entries"].as_array().unwrap().iter().rev().find(|e| e["to"] == "active").cloned()
    });
    let steps = last["steps"].as_array().unwrap();
    let took = steps.last().unwrap()["ms"].as_f64().unwrap();
    say(&format!(
        "active {took:.1} ms after the last heartbeat; each kept connection costs up to {REQUEST_TIMEOUT_MS:.0} ms"
    ));
    // One time-out for each of them, one after the other, is what it cost once.
    assert!(took < REQUEST_TIMEOUT_MS, "active after {took} ms: {steps:?}");
}

#[expect(clippy::print_stdout, reason = "the figure that the test is about")]
fn say(text: &str) {
    println!("{text}");
}
