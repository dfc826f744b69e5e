//! docs/recipes/patroni.md.

use crate::clock::wait;
use crate::fabric::HAVIPS;
use crate::host::{Host, PATIENCE};
use crate::postgresql::version;
use crate::{Lab, page};
use std::path::Path;
use std::process::Command;

const NAMES: [&str; 3] = ["pg1", "pg2", "vote"];
const PG2: usize = 1;
const VOTE: usize = 2;
const OWN: &[&str] = &["/etc/patroni", "/etc/default", "/var/lib/postgresql", "/var/lib/etcd"];

pub(crate) fn play(root: &Path) -> Result<(), String> {
    let mut lab = Lab::new("patroni", root, NAMES, OWN)?;
    let version = version(&lab.hosts[VOTE])?;
    let page = page("patroni", &[("postgresql/15/", &format!("postgresql/{version}/"))]);
    for host in &lab.hosts {
        host.install(&page, &["/etc/havipd", "/etc/patroni", "/etc/default"]);
        host.run("chown -R postgres:postgres /etc/patroni /var/lib/postgresql; chmod 0700 /var/lib/etcd")?;
    }
    lab.hosts[PG2].run(&page.commands("Copy them to `pg2`"))?;
    lab.hosts[VOTE].run(&page.commands("On `vote`, which has no Patroni"))?;
    lab.hosts.iter().try_for_each(power_on)?;
    events(&mut lab).map_err(|why| {
        lab.story(&format!("{why}\n{}\n{}", lab.hosts[0].said("patroni"), lab.hosts[PG2].said("patroni")))
    })
}

fn power_on(host: &Host) -> Result<(), String> {
    host.start("etcd", &["sh", "-c", "set -a; . /etc/default/etcd; exec etcd"])?;
    if host.name != NAMES[VOTE] {
        host.start("patroni", &["runuser", "-u", "postgres", "--", "patroni", "/etc/patroni/config.yml"])?;
    }
    host.start_havipd()
}

/// What the database behind the HAVIP says to that.
fn sql(lab: &Lab, text: &str) -> Result<String, String> {
    let conninfo = format!("host={} user=postgres password=change-me-1 connect_timeout=2", HAVIPS[0].address());
    let mut command = Command::new("nsenter");
    command.args(lab.hosts[VOTE].enter()).args(["psql", "-X", "-A", "-t", "-q", "-d"]).arg(conninfo).args(["-c", text]);
    let output = lab.network.client.inside(|| command.output()).map_err(|e| e.to_string())?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(said(&output.stdout)) } else { Err(said(&output.stderr)) }
}

/// The host that has the address and whose database takes writes, other than `not`.
fn follows(lab: &Lab, not: Option<usize>) -> Result<usize, String> {
    let found = wait("the HAVIP is with the leader", PATIENCE, || {
        let on = (0..2).filter(|&i| Some(i) != not && lab.hosts[i].is_on());
        let has = |i: &usize| lab.network.virtual_addresses(lab.hosts[*i].node).contains(&HAVIPS[0].address());
        let one = on.into_iter().find(has).ok_or("the address is nowhere")?;
        match sql(lab, "select pg_is_in_recovery()")?.as_str() {
            "f" => Ok(one),
            other => Err(format!("pg_is_in_recovery() is {other}")),
        }
    })?;
    lab.settle(found).map(|()| found)
}

/// Waits until Patroni says so of the standby.
fn synchronous(lab: &Lab, leader: usize) -> Result<(), String> {
    wait("the standby is synchronous", PATIENCE, || {
        let list = lab.hosts[leader].run("patronictl -c /etc/patroni/config.yml list prod")?;
        if list.contains("Sync Standby") { Ok(()) } else { Err(list) }
    })
}

fn events(lab: &mut Lab) -> Result<(), String> {
    let first = follows(lab, None)?;
    sql(lab, "create table ledger (n int)")?;
    synchronous(lab, first)?;
    sql(lab, "insert into ledger values (1)")?;

    // Both databases are well, and only one is the leader: the address cannot go to the other.
    let other = NAMES[PG2 - first];
    if lab.hosts[first].ctl(&format!("switchover pg --to {other}")).is_ok() {
        return Err(format!("{other} is no leader, and could be handed the address"));
    }
    lab.hosts[first].run("patronictl -c /etc/patroni/config.yml switchover prod --force")?;
    let second = follows(lab, Some(first))?;
    sql(lab, "insert into ledger values (2)")?;
    synchronous(lab, second)?;

    lab.hosts[second].power_off();
    follows(lab, Some(second))?;
    sql(lab, "insert into ledger values (4)")?;
    match sql(lab, "select sum(n) from ledger")?.as_str() {
        "7" => Ok(()),
        other => Err(format!("the rows come to {other}")),
    }
}
