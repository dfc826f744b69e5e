//! The cloud: the emulator, the route that follows it, and the ear for gratuitous ARP.

use crate::clock::Moment;
use crate::network::{CLOUD, NODES, Network, Node};
use havipd_lab::emulator::{CallRecord, Command, Control, Emulator, EmulatorConfig};
use havipd_lab::simulation::cloud::{Fault, FaultRule, HavipView, MasterChange, Operation, Profile, Scope};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{broadcast, oneshot};

/// Port of the API.
pub(crate) const PORT: u16 = 8089;

/// How long the ear listens before it looks whether it is still wanted.
const LISTEN: Duration = Duration::from_millis(100);

/// `ETH_P_ARP`.
const ARP: u16 = 0x0806;

/// A HAVIP of the lab; the position is that of its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Havip(pub(crate) usize);

/// Every HAVIP of the lab.
pub(crate) const HAVIPS: [Havip; 2] = [Havip(0), Havip(1)];

impl Havip {
    pub(crate) fn id(self) -> &'static str {
        ["havip-lab1", "havip-lab2"][self.0]
    }

    pub(crate) fn address(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, 100 + u8::try_from(self.0).expect("two of them"))
    }
}

/// How many HAVIPs there are besides, for cases that give them groups of their own.
pub(crate) const MORE: usize = 8;

/// As many groups as a file may have.
pub(crate) const LARGE: usize = 250;

/// One of those, or of the many that [`Fabric::create_to`] adds: its id and its address.
pub(crate) fn more(n: usize) -> (String, Ipv4Addr) {
    let (net, host) = (n / 100, n % 100);
    let octet = |n: usize| u8::try_from(n).expect("a few hundred of them");
    (format!("havip-more{n}"), Ipv4Addr::new(10, 77, octet(2 * net), 110 + octet(host)))
}

/// The first `count` HAVIPs of the region: id and address.
pub(crate) fn havips(count: usize) -> Vec<(String, Ipv4Addr)> {
    let usual = HAVIPS.into_iter().map(|h| (h.id().to_owned(), h.address()));
    usual.chain((0..).map(more)).take(count).collect()
}

/// Packets went elsewhere.
#[derive(Debug, Clone)]
pub(crate) struct Move {
    /// When the route had been changed.
    pub(crate) at: Moment,
    pub(crate) havip: String,
    pub(crate) to: Option<Node>,
}

/// The running cloud; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Fabric {
    pub(crate) control: Control,
    moves: Arc<Mutex<Vec<Move>>>,
    stop: Option<oneshot::Sender<()>>,
    done: Arc<AtomicBool>,
    deaf_to: Arc<Mutex<Vec<Node>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Fabric {
    pub(crate) fn start(network: &Network, profile: Profile) -> Self {
        let moves = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = sync_channel(1);
        let cloud = network.router.thread({
            let moves = moves.clone();
            move || serve(profile, &ready, stopped, &moves)
        });
        let control = started.recv().expect("the emulator starts");
        let done = Arc::new(AtomicBool::new(false));
        let deaf_to = Arc::new(Mutex::new(Vec::new()));
        let ear = network.router.thread({
            let (control, done, deaf_to) = (control.clone(), done.clone(), deaf_to.clone());
            move || listen(&control, &done, &deaf_to)
        });
        Self { control, moves, stop: Some(stop), done, deaf_to, threads: vec![cloud, ear] }
    }

    /// Adds HAVIPs to the region until there are so many.
    pub(crate) fn create_to(&self, count: usize) {
        let known = self.control.view().havips;
        for (havip, address) in havips(count).into_iter().filter(|(id, _)| known.iter().all(|h| h.id != *id)) {
            self.control.apply(Command::Create { havip, address }).expect("is new");
        }
    }

    /// Deletes those that [`Self::create_to`] added.
    pub(crate) fn delete_created(&self) {
        for (havip, _) in havips(LARGE).into_iter().skip(HAVIPS.len() + MORE) {
            // It may never have been there.
            let _ = self.control.apply(Command::Delete { havip });
        }
    }

    /// Has the cloud answer so late from now on.
    pub(crate) fn slow(&self, delay: Duration) {
        if !delay.is_zero() {
            self.control.add_fault(FaultRule::new(Scope::Any, Fault::Slow { delay }));
        }
    }

    /// The HAVIP as the cloud has it now.
    pub(crate) fn havip(&self, havip: Havip) -> HavipView {
        let view = self.control.view();
        view.havips.into_iter().find(|h| h.id == havip.id()).expect("the lab's HAVIPs are never deleted")
    }

    /// From now on no announcement of `node` is heard.
    pub(crate) fn ignore(&self, node: Node) {
        self.deaf_to.lock().expect("nobody panics with it").push(node);
    }

    /// Ends every `ignore`.
    pub(crate) fn hear_all(&self) {
        self.deaf_to.lock().expect("nobody panics with it").clear();
    }

    /// Every change of where packets go since `then`.
    pub(crate) fn moves_since(&self, havip: Havip, then: Moment) -> Vec<Move> {
        let moves = self.moves.lock().expect("nobody panics with it");
        moves.iter().filter(|m| m.at >= then && m.havip == havip.id()).cloned().collect()
    }

    /// The same of every HAVIP.
    pub(crate) fn all_moves_since(&self, then: Moment) -> Vec<Move> {
        let moves = self.moves.lock().expect("nobody panics with it");
        moves.iter().filter(|m| m.at >= then).cloned().collect()
    }

    /// Calls of one node since `then`, whatever they are for.
    pub(crate) fn all_calls_since(&self, then: Moment, by: Node) -> Vec<CallRecord> {
        let mut calls = self.control.calls(0);
        calls.retain(|call| call.at_us * 1000 >= then.0 && call.caller.is(by.name()));
        calls
    }

    /// Calls for a HAVIP since `then`, by one node or by all.
    pub(crate) fn calls_since(&self, havip: Havip, then: Moment, by: Option<Node>) -> Vec<CallRecord> {
        let mut calls = self.control.calls(0);
        let wanted = |call: &CallRecord| {
            call.at_ms * 1_000_000 >= then.0
                && call.target.contains(havip.id())
                && by.is_none_or(|node| call.caller.is(node.name()))
        };
        calls.retain(wanted);
        calls
    }

    /// The writes among them.
    pub(crate) fn writes_since(&self, havip: Havip, then: Moment, by: Option<Node>) -> Vec<CallRecord> {
        let mut calls = self.calls_since(havip, then, by);
        calls.retain(|call| call.operation.is_some_and(Operation::writes));
        calls
    }
}

impl Drop for Fabric {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        drop(self.stop.take());
        for thread in self.threads.drain(..) {
            // A panic in there was printed when it happened.
            let _ = thread.join();
        }
    }
}

fn serve(profile: Profile, ready: &SyncSender<Control>, stopped: oneshot::Receiver<()>, moves: &Mutex<Vec<Move>>) {
    let mut config = EmulatorConfig::new(SocketAddr::from((CLOUD, PORT))).with_profile(profile);
    for node in NODES {
        config = config.with_node(node.name(), node.address());
    }
    for havip in HAVIPS {
        config = config.with_havip(havip.id(), havip.address());
    }
    for (id, address) in (0..MORE).map(more) {
        config = config.with_havip(&id, address);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let emulator = Emulator::start(config).await.expect("the emulator starts");
        let changes = emulator.control().changes();
        let mut routes = Routes::new();
        HAVIPS.into_iter().for_each(|havip| routes.set(havip.address(), None));
        ready.send(emulator.control()).expect("the lab waits for it");
        tokio::select! {
            () = follow(changes, &mut routes, moves) => {}
            _ = stopped => {}
        }
        emulator.shutdown().await;
    });
}

async fn follow(mut changes: broadcast::Receiver<MasterChange>, routes: &mut Routes, moves: &Mutex<Vec<Move>>) {
    while let Ok(change) = changes.recv().await {
        let to = change.target.as_deref().and_then(Node::of_instance);
        routes.set(change.address, to);
        let at = Moment::now();
        moves.lock().expect("nobody panics with it").push(Move { at, havip: change.havip, to });
    }
}

/// One `ip` that takes commands as they come, so that a route does not wait for a program to start.
#[derive(Debug)]
struct Routes {
    process: Child,
    input: Option<ChildStdin>,
}

impl Routes {
    fn new() -> Self {
        let mut command = std::process::Command::new("ip");
        let mut process = command.args(["-batch", "-"]).stdin(Stdio::piped()).spawn().expect("ip can be run");
        let input = process.stdin.take();
        Self { process, input }
    }

    fn set(&mut self, havip: Ipv4Addr, to: Option<Node>) {
        let command = match to {
            Some(node) => {
                let (via, port) = (node.address(), node.port());
                format!("route replace {havip}/32 via {via} dev {port} onlink\n")
            }
            None => format!("route replace blackhole {havip}/32\n"),
        };
        let input = self.input.as_mut().expect("open until dropped");
        input.write_all(command.as_bytes()).expect("ip lives");
    }
}

impl Drop for Routes {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.process.wait();
    }
}

/// Tells the emulator every gratuitous ARP that comes out of a node's cable.
fn listen(control: &Control, done: &AtomicBool, deaf_to: &Mutex<Vec<Node>>) {
    let protocol = Protocol::from(i32::from(ARP.to_be()));
    let mut socket = Socket::new(Domain::PACKET, Type::RAW, Some(protocol)).expect("a packet socket");
    socket.set_read_timeout(Some(LISTEN)).expect("has a timeout");
    let known: HashMap<Ipv4Addr, String> = havips(LARGE).into_iter().map(|(id, address)| (address, id)).collect();
    let mut frame = [0; 128];
    while !done.load(Ordering::Relaxed) {
        let Ok(length) = socket.read(&mut frame) else { continue };
        if let Some((node, address)) = announcement(&frame[..length])
            && let Some(havip) = known.get(&address)
            && !deaf_to.lock().expect("nobody panics with it").contains(&node)
        {
            control.announce(&node.instance(), havip);
        }
    }
}

/// Who announces which address, if that is what the frame is for (RFC 5227 §3: sender and target are the same).
fn announcement(frame: &[u8]) -> Option<(Node, Ipv4Addr)> {
    let field = |from: usize| <[u8; 4]>::try_from(frame.get(from..from + 4)?).ok().map(Ipv4Addr::from);
    let (sender, target) = (field(28)?, field(38)?);
    let node = NODES.into_iter().find(|n| frame[6..12] == n.mac())?;
    (sender == target).then_some((node, sender))
}
