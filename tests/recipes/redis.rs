//! docs/recipes/redis.md.

use crate::clock::wait;
use crate::fabric::HAVIPS;
use crate::host::{Host, PATIENCE};
use crate::{Lab, line, page};
use std::path::Path;

const NAMES: [&str; 3] = ["r1", "r2", "r3"];
const OWN: &[&str] = &["/etc/redis", "/var/lib/redis"];

pub(crate) fn play(root: &Path) -> Result<(), String> {
    let mut lab = Lab::new("redis", root, NAMES, OWN)?;
    let page = page("redis", &[]);
    for host in &lab.hosts {
        host.install(&page, &["/etc/havipd", "/etc/redis"]);
    }
    for host in &lab.hosts[1..] {
        host.run(&page.commands("On `r2` and `r3`"))?;
    }
    lab.hosts.iter().try_for_each(power_on)?;
    events(&mut lab).map_err(|why| lab.story(&why))
}

fn power_on(host: &Host) -> Result<(), String> {
    host.start("redis", &["redis-server", "/etc/redis/redis.conf"])?;
    host.start("sentinel", &["redis-sentinel", "/etc/redis/sentinel.conf"])?;
    host.start_havipd()
}

/// The host that has the address, where Redis is the master, and only there: `not` is another one.
fn follows(lab: &Lab, not: Option<usize>) -> Result<usize, String> {
    wait("the HAVIP is with the master", PATIENCE, || {
        let on = (0..3).filter(|&i| lab.hosts[i].is_on());
        let bearers: Vec<usize> =
            on.filter(|&i| lab.network.virtual_addresses(lab.hosts[i].node).contains(&HAVIPS[0].address())).collect();
        let [one] = bearers[..] else { return Err(format!("the address is on {bearers:?}")) };
        let role = lab.hosts[one].run("redis-cli role | head -n 1")?;
        if role.trim() != "master" || Some(one) == not {
            return Err(format!("the address is on {}, which is {role}", lab.hosts[one].name));
        }
        Ok(one)
    })
    .and_then(|one| lab.settle(one).map(|()| one))
}

/// Waits until a write through the HAVIP is taken.
fn writes(lab: &Lab, key: &str) -> Result<(), String> {
    wait("a write through the HAVIP", PATIENCE, || {
        let answer = line::ask(&lab.network.client, 6379, &format!("SET {key} here\r\n"))?;
        if answer.starts_with("+OK") { Ok(()) } else { Err(answer) }
    })?;
    // On a replica, before anything happens to the master.
    wait("a replica has it", PATIENCE, || {
        let answer = line::ask(&lab.network.client, 6379, "WAIT 1 1000\r\n")?;
        if answer.starts_with(":0") { Err(answer) } else { Ok(()) }
    })
}

fn has(lab: &Lab, key: &str) -> Result<(), String> {
    let answer = line::ask(&lab.network.client, 6379, &format!("GET {key}\r\n"))?;
    if answer.contains("here") { Ok(()) } else { Err(format!("{key} is lost: {answer:?}")) }
}

fn events(lab: &mut Lab) -> Result<(), String> {
    let first = follows(lab, None)?;
    writes(lab, "one")?;
    wait("the sentinels know each other and the replicas", PATIENCE, || {
        let text = lab.hosts[first]
            .run("redis-cli -p 26379 sentinel ckquorum prod; redis-cli -p 26379 sentinel replicas prod")?;
        let replicas = text.matches("master-link-status").count();
        if text.contains("OK 3 usable") && replicas == 2 { Ok(()) } else { Err(text) }
    })?;

    lab.hosts[first].run("redis-cli -p 26379 sentinel failover prod")?;
    let second = follows(lab, Some(first))?;
    has(lab, "one")?;
    writes(lab, "two")?;

    lab.hosts[second].power_off();
    let third = follows(lab, Some(second))?;
    has(lab, "two")?;
    writes(lab, "three")?;

    // It comes back and is a replica: nothing moves.
    lab.boot(second)?;
    power_on(&lab.hosts[second])?;
    wait("it is a replica", PATIENCE, || {
        let role = lab.hosts[second].run("redis-cli role | head -n 1")?;
        if role.trim() == "slave" { Ok(()) } else { Err(role) }
    })?;
    let last = follows(lab, Some(second))?;
    if last == third { has(lab, "three") } else { Err(format!("the HAVIP went to {}", lab.hosts[last].name)) }
}
