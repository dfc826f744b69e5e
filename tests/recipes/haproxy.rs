//! docs/recipes/haproxy.md.

use crate::clock::wait;
use crate::fabric::HAVIPS;
use crate::host::{Host, PATIENCE};
use crate::{Lab, line, page};
use std::path::Path;

const NAMES: [&str; 3] = ["lb1", "lb2", "web"];
const LB1: usize = 0;
const LB2: usize = 1;
const WEB: usize = 2;

pub(crate) fn play(root: &Path) -> Result<(), String> {
    let lab = Lab::new("haproxy", root, NAMES, &["/etc/haproxy"])?;
    let page = page("haproxy", &[]);
    lab.hosts[WEB].start("web", &["python3", "-m", "http.server", "8080", "--directory", "/run"])?;
    for host in &lab.hosts[..2] {
        host.install(&page, &["/etc/havipd", "/etc/haproxy"]);
        haproxy(host)?;
        host.start_havipd()?;
    }
    events(&lab).map_err(|why| lab.story(&why))
}

fn haproxy(host: &Host) -> Result<(), String> {
    host.start("haproxy", &["haproxy", "-f", "/etc/haproxy/haproxy.cfg"])
}

/// Whether a request through the HAVIP has that status.
fn answers(lab: &Lab, status: &str) -> Result<(), String> {
    wait(&format!("the HAVIP answers {status}"), PATIENCE, || {
        let answer = line::ask(&lab.network.client, 80, "GET / HTTP/1.0\r\n\r\n")?;
        if answer.split(' ').nth(1) == Some(status) { Ok(()) } else { Err(format!("it answers {answer:?}")) }
    })
}

fn events(lab: &Lab) -> Result<(), String> {
    // The one that is well first.
    let first = wait("one of the two has the address", PATIENCE, || {
        let has = |i: &usize| lab.network.virtual_addresses(lab.hosts[*i].node).contains(&HAVIPS[0].address());
        [LB1, LB2].into_iter().find(has).ok_or_else(|| "it is nowhere".to_owned())
    })?;
    let second = LB1 + LB2 - first;
    lab.settle(first)?;
    answers(lab, "200")?;

    lab.hosts[first].run("kill -KILL $(pidof haproxy)")?;
    lab.settle(second)?;
    answers(lab, "200")?;
    haproxy(&lab.hosts[first])?;
    is(lab, first, "backup")?;

    // It has its connections, and answers no more.
    lab.hosts[second].run("kill -STOP $(pidof haproxy)")?;
    lab.settle(first)?;
    answers(lab, "200")?;
    lab.hosts[second].run("kill -CONT $(pidof haproxy)")?;
    is(lab, second, "backup")?;

    // Nobody has a server: the address stays, and says so.
    lab.hosts[WEB].run("kill -KILL $(pidof python3)")?;
    answers(lab, "503")?;
    is(lab, second, "fault")?;
    is(lab, first, "active")?;
    lab.settle(first)
}

fn is(lab: &Lab, host: usize, role: &str) -> Result<(), String> {
    let host = &lab.hosts[host];
    wait(&format!("{} is {role}", host.name), PATIENCE, || match &host.group()?["role"] {
        found if found == role => Ok(()),
        found => Err(format!("it is {found}")),
    })
}
