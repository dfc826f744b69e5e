//! docs/recipes/conntrackd.md.

use crate::clock::wait;
use crate::fabric::HAVIPS;
use crate::host::{Host, PATIENCE};
use crate::namespace::Namespace;
use crate::network::{NODES, Network, Node};
use crate::page::Page;
use crate::{Lab, page};
use havipd_lab::emulator::Control;
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;

const NAMES: [&str; 3] = ["gw1", "gw2", "vote"];
const GW1: usize = 0;
const GW2: usize = 1;
/// The witness; its network is that of the client as well.
const VOTE: usize = 2;
const OWN: &[&str] = &["/etc/conntrackd", "/etc/nftables.d", "/etc/sysctl.d"];
/// The server outside.
const SERVER: &str = "10.77.1.2:7000";
/// How long a line and its answer may take: a failover, and what TCP waits before it sends again.
const ANSWER: Duration = Duration::from_secs(60);
/// How long a line that must not be answered is waited for; TCP sends it again several times.
const UNHEARD: Duration = Duration::from_secs(5);

pub(crate) fn play(root: &Path) -> Result<(), String> {
    let mut lab = Lab::new("conntrackd", root, NAMES, OWN)?;
    let page = page("conntrackd", &[("10.0.1.", "10.78.0.")]);
    wire(&lab.network);
    route(&lab.network, &lab.fabric.control);
    serve(&lab.network.client);
    for host in &lab.hosts {
        host.install(&page, &["/etc/havipd", "/etc/conntrackd", "/etc/nftables.d", "/etc/sysctl.d"]);
    }
    lab.hosts[GW2].run(&page.commands("change places"))?;
    for gateway in [GW1, GW2] {
        power_on(&lab.hosts[gateway], &page)?;
    }
    lab.hosts[VOTE].start_havipd()?;
    events(&mut lab, &page).map_err(|why| {
        let said = |i: usize| format!("\n-- conntrackd of {}\n{}", NAMES[i], lab.hosts[i].said("conntrackd"));
        lab.story(&format!("{why}{}{}", said(GW1), said(GW2)))
    })
}

/// The second network interface of the gateways, and the client's route.
fn wire(network: &Network) {
    let [gw1, gw2, client] = &network.nodes;
    gw1.ip(&format!("link add eth1 type veth peer name eth1 netns {}\n", gw2.name()));
    for (gateway, address) in [(gw1, "10.78.0.11"), (gw2, "10.78.0.12")] {
        gateway.ip(&format!("address add {address}/24 dev eth1\nlink set eth1 up\n"));
    }
    client.ip(&format!("route add 10.77.1.0/24 via {}\n", HAVIPS[0].address()));
}

/// The route table of the VPC: what the client sends outside goes where the HAVIP is.
fn route(network: &Network, control: &Control) {
    let table = |to: Option<Node>| match to {
        Some(node) => {
            format!("route replace 10.77.1.0/24 via {} dev {} onlink table 100\n", node.address(), node.port())
        }
        None => "route replace blackhole 10.77.1.0/24 table 100\n".to_owned(),
    };
    network.router.ip(&format!("rule add iif {} lookup 100\n{}", NODES[VOTE].port(), table(None)));
    let mut changes = control.changes();
    // It ends with the cloud.
    network.router.thread(move || {
        loop {
            match changes.blocking_recv() {
                Ok(change) if change.havip == HAVIPS[0].id() => {
                    let commands = table(change.target.as_deref().and_then(Node::of_instance));
                    let mut ip =
                        Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().expect("ip runs");
                    ip.stdin.take().expect("is piped").write_all(commands.as_bytes()).expect("ip reads");
                    assert!(ip.wait().expect("ip ends").success(), "{commands}");
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    });
}

/// Answers each line with the address that it came from, and the line.
fn serve(outside: &Namespace) {
    let listener = outside.inside(|| TcpListener::bind(SERVER)).expect("a free port");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let peer = stream.peer_addr().expect("is connected");
                let lines = BufReader::new(stream.try_clone().expect("a descriptor")).lines();
                let mut stream = stream;
                for line in lines.map_while(Result::ok) {
                    if writeln!(stream, "{peer} {line}").is_err() {
                        return;
                    }
                }
            });
        }
    });
}

/// As its boot would: rules, conntrackd, havipd.
fn power_on(host: &Host, page: &Page) -> Result<(), String> {
    let rules = page.files().into_iter().find(|f| f.path.ends_with("nat.nft")).expect("the page has it").path;
    host.run(&format!("nft flush ruleset; nft -f {rules}; sysctl -q -p /etc/sysctl.d/90-nat-gateway.conf"))?;
    conntrackd(host)?;
    // Of this network the kernel has kept what it would have lost with the power.
    host.run("conntrackd -F")?;
    host.start_havipd()
}

fn conntrackd(host: &Host) -> Result<(), String> {
    host.run("rm -f /var/lock/conntrack.lock /var/run/conntrackd.ctl")?;
    host.start("conntrackd", &["conntrackd", "-C", "/etc/conntrackd/conntrackd.conf"])?;
    wait("conntrackd answers", PATIENCE, || host.run("conntrackd -s").map(drop))
}

/// A connection from the client to the server.
struct Talk {
    stream: TcpStream,
    said: u32,
    /// What the server takes the client for.
    peer: Option<SocketAddr>,
}

impl Talk {
    fn begin(lab: &Lab) -> Result<Self, String> {
        let connect = || TcpStream::connect_timeout(&SERVER.parse().expect("an address"), ANSWER);
        let stream =
            lab.network.node(lab.hosts[VOTE].node).inside(connect).map_err(|e| format!("no connection: {e}"))?;
        stream.set_read_timeout(Some(ANSWER)).map_err(|e| e.to_string())?;
        let mut talk = Self { stream, said: 0, peer: None };
        talk.goes_on()?;
        Ok(talk)
    }

    /// A line and its answer, which is for the same client as before.
    fn goes_on(&mut self) -> Result<SocketAddr, String> {
        self.said += 1;
        let said = |e: std::io::Error| format!("the connection broke at line {}: {e}", self.said);
        writeln!(self.stream, "{}", self.said).map_err(said)?;
        let mut answer = String::new();
        BufReader::new(&self.stream).read_line(&mut answer).map_err(said)?;
        let (peer, line) = answer.trim().split_once(' ').ok_or_else(|| format!("{answer:?} is no answer"))?;
        let peer: SocketAddr = peer.parse().map_err(|_| format!("{peer} is no address"))?;
        if peer.ip() != IpAddr::V4(HAVIPS[0].address()) {
            return Err(format!("the server sees {peer}"));
        }
        if line != self.said.to_string() || self.peer.is_some_and(|before| before != peer) {
            return Err(format!("line {} of {:?} is answered with {answer:?}", self.said, self.peer));
        }
        self.peer = Some(peer);
        Ok(peer)
    }
}

/// The gateway's conntrackd has been told of that connection, as one that is open.
fn knows(lab: &Lab, gateway: usize, talk: &Talk) -> Result<(), String> {
    let port = talk.stream.local_addr().map_err(|e| e.to_string())?.port().to_string();
    let host = &lab.hosts[gateway];
    wait(&format!("{} is told of the connection", host.name), PATIENCE, || {
        let told = host.run("conntrackd -e")?;
        let is = |line: &&str| line.contains("ESTABLISHED") && line.contains(&format!("sport={port} "));
        if told.lines().any(|line| is(&line)) { Ok(()) } else { Err(format!("it knows {told}")) }
    })
}

fn events(lab: &mut Lab, page: &Page) -> Result<(), String> {
    let first = wait("one of the two is active", PATIENCE, || {
        let is = |i: &usize| lab.hosts[*i].group().is_ok_and(|group| group["role"] == "active");
        [GW1, GW2].into_iter().find(is).ok_or_else(|| "neither is".to_owned())
    })?;
    let second = GW1 + GW2 - first;
    lab.settle(first)?;
    is(lab, second, "backup")?;
    let mut talk = Talk::begin(lab)?;
    knows(lab, second, &talk)?;

    // The power of the gateway is cut.
    lab.hosts[first].power_off();
    lab.settle(second)?;
    talk.goes_on()?;
    let mut new = Talk::begin(lab)?;

    // It comes back, is told of both, and is handed the address.
    lab.boot(first)?;
    power_on(&lab.hosts[first], page)?;
    is(lab, first, "backup")?;
    knows(lab, first, &talk)?;
    knows(lab, first, &new)?;
    let order = format!("switchover nat --to {}", NAMES[first]);
    wait("it may have the address", PATIENCE, || lab.hosts[second].ctl(&order).map(drop))?;
    lab.settle(first)?;
    talk.goes_on()?;
    new.goes_on()?;

    // conntrackd is killed on the gateway that is active.
    is(lab, second, "backup")?;
    knows(lab, second, &talk)?;
    lab.hosts[first].run("kill -KILL $(pidof conntrackd)")?;
    lab.settle(second)?;
    talk.goes_on()?;
    new.goes_on()?;

    // Neither has one any more: the address stays, and so do the connections.
    lab.hosts[second].run("kill -KILL $(pidof conntrackd)")?;
    is(lab, first, "fault")?;
    wait("the check of the active one fails", PATIENCE, || {
        let why = lab.hosts[second].ctl("why nat")?;
        if why.contains("- check conntrackd fails") { Ok(()) } else { Err(why) }
    })?;
    lab.settle(second)?;
    talk.goes_on()?;

    forwarding_is_looked_at(&lab.hosts[second])?;
    without_the_commit(lab, page, second, first, &mut talk)
}

/// The doctor says whether a gateway lets packets through.
fn forwarding_is_looked_at(gateway: &Host) -> Result<(), String> {
    let looked = |forwards: bool, level: &str| {
        gateway.run(&format!("sysctl -q net.ipv4.ip_forward={}", u8::from(forwards)))?;
        // Other findings are not of interest, but may fail.
        let said = gateway.run(&format!("{} doctor --json || true", env!("CARGO_BIN_EXE_havipctl")))?;
        let answer: Value = serde_json::from_str(&said).map_err(|e| format!("{said}: {e}"))?;
        let mut findings = answer["data"]["findings"].as_array().into_iter().flatten();
        let id = format!("gateway.{}", HAVIPS[0].id());
        match findings.find(|finding| finding["id"] == id) {
            Some(finding) if finding["level"] == level => Ok(()),
            other => Err(format!("forwarding is {forwards}, and the doctor says {other:?}: {said}")),
        }
    };
    looked(false, "failed")?;
    looked(true, "ok")
}

/// What the gate is for: a gateway that has not put the connections into its kernel serves, and drops what belongs to them.
fn without_the_commit(lab: &mut Lab, page: &Page, from: usize, to: usize, talk: &mut Talk) -> Result<(), String> {
    let place = "/etc/havipd/conntrack";
    let program = page.files().into_iter().find(|f| f.path == place).expect("the page has it").text;
    let without = program.replace("    conntrackd -c ", "    conntrackd -F ");
    assert_ne!(without, program, "the gate commits elsewhere");
    lab.hosts[to].write(place, &without, 0o755);
    // The active one is well first, or it would hand over to the other.
    conntrackd(&lab.hosts[from])?;
    wait("the check of the active one passes", PATIENCE, || {
        let why = lab.hosts[from].ctl("why nat")?;
        if why.contains("- check conntrackd passes") { Ok(()) } else { Err(why) }
    })?;
    // Its kernel has connections of the time when it was the active one.
    conntrackd(&lab.hosts[to])?;
    is(lab, to, "backup")?;
    lab.settle(from)?;
    lab.hosts[from].power_off();
    lab.settle(to)?;
    // Something new goes through: it is not the network that is broken.
    Talk::begin(lab)?;
    talk.stream.set_read_timeout(Some(UNHEARD)).map_err(|e| e.to_string())?;
    match talk.goes_on() {
        Err(_) => Ok(()),
        Ok(peer) => Err(format!("a connection goes on as {peer} without the commit")),
    }
}

fn is(lab: &Lab, host: usize, role: &str) -> Result<(), String> {
    let host = &lab.hosts[host];
    wait(&format!("{} is {role}", host.name), PATIENCE, || match &host.group()?["role"] {
        found if found == role => Ok(()),
        found => Err(format!("it is {found}")),
    })
}
