//! docs/recipes/postgresql.md.

use crate::clock::{Moment, wait};
use crate::fabric::HAVIPS;
use crate::host::{Host, PATIENCE};
use crate::network::Network;
use crate::page::Page;
use crate::session::Session;
use crate::{Lab, page};
use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

const NAMES: [&str; 3] = ["db1", "db2", "vote"];
const DB1: usize = 0;
const DB2: usize = 1;
const VOTE: usize = 2;
/// Directories that each host has for itself.
const OWN: &[&str] = &["/etc/postgresql", "/var/lib/postgresql", "/var/log/postgresql"];
/// A commit that is not acknowledged by then is given up, and the next one tried over another connection.
const COMMIT: Duration = Duration::from_secs(3);
/// Between two looks at a database.
const PACE: Duration = Duration::from_millis(20);

pub(crate) fn play(root: &Path) -> Result<(), String> {
    let mut lab = Lab::new("postgresql", root, NAMES, OWN)?;
    let version = version(&lab.hosts[VOTE])?;
    let page = page(
        "postgresql",
        &[
            ("/15/main", &format!("/{version}/main")),
            ("pg_ctlcluster 15 main", &format!("pg_ctlcluster {version} main")),
        ],
    );
    begin(&lab, &page, &version)?;
    let clients = Clients::start(&lab);
    let outcome = events(&mut lab, &page, &clients).map_err(|why| lab.story(&why));
    clients.done.store(true, Ordering::Relaxed);
    outcome
}

/// What Debian calls it.
pub(crate) fn version(host: &Host) -> Result<String, String> {
    let found = host.run("ls /usr/lib/postgresql | sort -n | tail -n 1")?;
    let version = found.trim().to_owned();
    let number: u32 =
        version.parse().map_err(|_| format!("PostgreSQL is missing: /usr/lib/postgresql has {version:?}"))?;
    if number < 14 { Err(format!("PostgreSQL {version} is too old for the recipe")) } else { Ok(version) }
}

/// As the page says: files, the first primary, the standby, havipd.
fn begin(lab: &Lab, page: &Page, version: &str) -> Result<(), String> {
    for host in &lab.hosts[..2] {
        // What the installation of Debian's package has done.
        host.run(&format!(
            "install -d -o postgres -g postgres /run/postgresql
             chown postgres:postgres /var/lib/postgresql /var/log/postgresql
             pg_createcluster --locale C.UTF-8 {version} main"
        ))?;
        host.install(page, &["/etc/havipd", "/etc/postgresql"]);
    }
    lab.hosts[VOTE].install(page, &["/etc/havipd/havipd.toml"]);
    let [db1, db2, _] = &lab.hosts;
    db1.run(&page.commands("The password of the replication is made"))?;
    db2.write("/etc/havipd/pgpass", &db1.run("cat /etc/havipd/pgpass")?, 0o600);
    db1.run(&page.commands("On `db1`:"))?;
    db1.run("psql -q -U postgres -c \"create role app login password 'app'\" -c 'create table ledger (n bigint primary key)' \
             -c 'grant insert, select on ledger to app' -c 'grant select on havipd_term to app'")?;
    db2.run(&page.commands("Then on `db2`:"))?;
    lab.hosts.iter().try_for_each(Host::start_havipd)
}

fn events(lab: &mut Lab, page: &Page, clients: &Clients) -> Result<(), String> {
    lab.settle(DB1)?;
    paired(lab, DB1, DB2)?;
    clients.writes_on("db1")?;

    // The host of the primary is gone, in the middle of commits.
    lab.hosts[DB1].power_off();
    lab.settle(DB2)?;
    clients.writes_on("db2")?;
    nothing_lost(lab, DB2, clients)?;

    // It comes back as a standby, and its data follow.
    lab.boot(DB1)?;
    power_on(&lab.hosts[DB1])?;
    lab.hosts[DB1].run(&page.commands("comes back** as a standby"))?;
    paired(lab, DB2, DB1)?;

    // A planned move.
    lab.hosts[DB2].ctl("switchover db --to db1")?;
    lab.settle(DB1)?;
    clients.writes_on("db1")?;
    nothing_lost(lab, DB1, clients)?;
    clients.moved(2)?;
    paired(lab, DB1, DB2)?;

    // The standby falls behind: its database is off until the primary commits alone, and comes back when that is gone.
    lab.hosts[DB2].run("set -- $(pg_lsclusters -h); pg_ctlcluster $1 $2 stop")?;
    clients.writes_on("db1")?;
    lab.hosts[DB1].power_off();
    lab.hosts[DB2].run("set -- $(pg_lsclusters -h); pg_ctlcluster $1 $2 start")?;
    wait("the gate refuses", PATIENCE, || {
        let said = lab.hosts[DB2].said("havipd");
        if said.contains("refused: other data may be newer") {
            Ok(())
        } else {
            Err("it says something else".to_owned())
        }
    })?;
    let bearers = lab.network.virtual_addresses(lab.hosts[DB2].node);
    if !bearers.is_empty() {
        return Err(format!("a standby that is behind has {bearers:?}"));
    }
    // Who has every row serves again.
    lab.boot(DB1)?;
    power_on(&lab.hosts[DB1])?;
    lab.settle(DB1)?;
    clients.writes_on("db1")?;
    nothing_lost(lab, DB1, clients)?;
    clients.moved(2)
}

/// What the system starts after power has come back: the database comes up as what its directory says, then havipd.
fn power_on(host: &Host) -> Result<(), String> {
    host.run(
        "set -- $(pg_lsclusters -h); install -d -o postgres -g postgres /run/postgresql; pg_ctlcluster $1 $2 start",
    )?;
    host.start_havipd()
}

/// Waits until `standby` counts as synchronous at `primary`, as the script on it has seen twice.
fn paired(lab: &Lab, primary: usize, standby: usize) -> Result<(), String> {
    let state = lab.hosts[standby].name;
    wait(&format!("{state} is synchronous with {}", lab.hosts[primary].name), PATIENCE, || {
        let text = lab.hosts[standby].run("cat /run/havipd-postgresql/synchronous")?;
        let twice = text.trim().split_once(' ').is_some_and(|(first, last)| first != last);
        if twice { Ok(()) } else { Err(format!("it has seen {text:?}")) }
    })
}

/// Every row that was acknowledged is in the data of `host`.
fn nothing_lost(lab: &Lab, host: usize, clients: &Clients) -> Result<(), String> {
    let acknowledged: Vec<u64> = clients.commits().into_iter().map(|(n, _)| n).collect();
    let text = lab.hosts[host].run("psql -q -X -A -t -U postgres -c 'select n from ledger'")?;
    let there: std::collections::BTreeSet<u64> = text.lines().filter_map(|l| l.parse().ok()).collect();
    let lost: Vec<&u64> = acknowledged.iter().filter(|n| !there.contains(n)).collect();
    if lost.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{} of {} acknowledged rows are not on {}: {lost:?}",
        lost.len(),
        acknowledged.len(),
        lab.hosts[host].name
    ))
}

/// Who commits through the HAVIP all the time, and who looks at both databases.
#[derive(Debug)]
struct Clients {
    /// Rows that were acknowledged, and by which node, in order.
    commits: Arc<Mutex<Vec<(u64, String)>>>,
    /// When a database was writable and its host had the address.
    writable: Arc<Mutex<Vec<(Moment, &'static str)>>>,
    done: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Clients {
    fn start(lab: &Lab) -> Self {
        let (commits, writable) = (Arc::default(), Arc::default());
        let done = Arc::new(AtomicBool::new(false));
        let mut clients = Self { commits, writable, done: Arc::clone(&done), threads: Vec::new() };
        // The host that is never off has the program.
        let vote = &lab.hosts[VOTE];
        let app = "user=app password=app dbname=postgres connect_timeout=2 tcp_user_timeout=2000";
        let conninfo = format!("host={} {app}", HAVIPS[0].address());
        let (commits, psql) = (Arc::clone(&clients.commits), psql(vote, conninfo));
        clients.threads.push(lab.network.client.thread(move || commit(&psql, &commits, &done)));
        for host in &lab.hosts[..2] {
            let psql = self::psql(vote, format!("host={} {app}", host.node.address()));
            let (name, writable, done) = (host.name, Arc::clone(&clients.writable), Arc::clone(&clients.done));
            let network: &Network = &lab.network;
            clients.threads.push(network.node(host.node).thread(move || look(name, &psql, &writable, &done)));
        }
        clients
    }

    fn commits(&self) -> Vec<(u64, String)> {
        self.commits.lock().expect("nobody panics with it").clone()
    }

    /// Waits until a row that was sent from now on is acknowledged by that node.
    fn writes_on(&self, name: &str) -> Result<(), String> {
        let before = self.commits().len();
        wait(&format!("a commit through the HAVIP on {name}"), PATIENCE, || {
            let commits = self.commits();
            // The first one may have been sent before.
            let new = commits.get(before + 1..).unwrap_or_default().iter().any(|(_, node)| node == name);
            if new { Ok(()) } else { Err(format!("the last of {} is {:?}", commits.len(), commits.last())) }
        })
    }

    /// Whether commits, and what was seen of the databases, went from one node to the other so many times, and never back
    /// and forth: two writable ones behind the address would alternate.
    fn moved(&self, times: usize) -> Result<(), String> {
        let by: Vec<String> = self.commits().into_iter().map(|(_, node)| node).collect();
        let mut seen = self.writable.lock().expect("nobody panics with it").clone();
        seen.sort_by_key(|(at, _)| *at);
        let seen: Vec<String> = seen.into_iter().map(|(_, name)| name.to_owned()).collect();
        for (what, mut nodes) in [("commits", by), ("writable with the address", seen)] {
            nodes.dedup();
            if nodes.len() != times + 1 {
                return Err(format!("{what}: {nodes:?}, and there were {times} moves"));
            }
        }
        Ok(())
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A panic in there was printed when it happened.
            let _ = thread.join();
        }
    }
}

/// A session of `psql` with the program of that host, in the network of its caller.
fn psql(host: &Host, conninfo: String) -> impl Fn() -> Command + Send + 'static {
    let enter = host.enter();
    move || {
        let mut command = Command::new("nsenter");
        command.args(&enter).args(["psql", "-X", "-A", "-t", "-q", "-n", "-d"]).arg(&conninfo);
        command
    }
}

fn commit(psql: &impl Fn() -> Command, commits: &Mutex<Vec<(u64, String)>>, done: &AtomicBool) {
    let mut session = None;
    let mut n = 0;
    while !done.load(Ordering::Relaxed) {
        n += 1;
        if session.is_none() {
            session = Session::start(psql()).ok();
        }
        let Some(asked) = session.as_mut() else { continue };
        // Statements end before the next begins: the answer is that of a transaction that is committed.
        let line = format!(
            "insert into ledger values ({n}) returning {n} || ' ' || (select node from havipd_term order by epoch desc limit 1);"
        );
        match asked.ask(&line, COMMIT) {
            Some(answer) if answer.starts_with(&format!("{n} ")) => {
                let node = answer.split_once(' ').map(|(_, node)| node.to_owned()).unwrap_or_default();
                commits.lock().expect("nobody panics with it").push((n, node));
            }
            _ => session = None,
        }
        Moment::now().after(PACE).rest_until();
    }
}

/// Looks at one database from its own host.
fn look(
    name: &'static str,
    psql: &impl Fn() -> Command,
    writable: &Mutex<Vec<(Moment, &'static str)>>,
    done: &AtomicBool,
) {
    let mut session = None;
    // Only on the host that has the address.
    let has = || UdpSocket::bind((HAVIPS[0].address(), 0)).is_ok();
    while !done.load(Ordering::Relaxed) {
        if session.is_none() {
            session = Session::start(psql()).ok();
        }
        let (before, at) = (has(), Moment::now());
        match session.as_mut().and_then(|s: &mut Session| s.ask("select pg_is_in_recovery();", COMMIT)) {
            Some(answer) if answer == "f" && before && has() => {
                writable.lock().expect("nobody panics with it").push((at, name));
            }
            Some(_) => {}
            None => {
                session = None;
                // Nobody is there.
                Moment::now().after(PACE * 10).rest_until();
            }
        }
        Moment::now().after(PACE).rest_until();
    }
}
