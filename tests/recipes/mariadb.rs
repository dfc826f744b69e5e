//! docs/recipes/mariadb.md.

use crate::clock::wait;
use crate::fabric::HAVIPS;
use crate::host::{Host, PATIENCE};
use crate::page::Page;
use crate::{Lab, page};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const NAMES: [&str; 3] = ["db1", "db2", "vote"];
const DB1: usize = 0;
const DB2: usize = 1;
const VOTE: usize = 2;
const CONFIGURATION: &str = "/etc/mysql/mariadb.conf.d";
const OWN: &[&str] = &[CONFIGURATION, "/var/lib/mysql"];
/// What the page's client is: an account that may do nothing special.
const CLIENT: &str = "create user app@'%' identified by 'change-me-2'; create database shop; grant all on shop.* to app@'%'; \
                      create table shop.ledger (n int primary key)";

pub(crate) fn play(root: &Path) -> Result<(), String> {
    let mut lab = Lab::new("mariadb", root, NAMES, OWN)?;
    let page = page("mariadb", &[]);
    for host in &lab.hosts {
        host.install(&page, &["/etc/havipd", "/etc/mysql"]);
    }
    lab.hosts[DB2].run(&page.commands("the number is another one"))?;
    for host in &lab.hosts[..VOTE] {
        host.run("chown mysql:mysql /var/lib/mysql; mariadb-install-db --user=mysql --skip-test-db >/dev/null")?;
        mariadb(host)?;
    }
    lab.hosts[DB1].run(&page.commands("the first to take writes"))?;
    lab.hosts[DB2].run(&page.commands("has to be empty"))?;
    lab.hosts[DB1].run(&format!("mariadb -e \"{CLIENT}\""))?;
    lab.hosts[DB1].start_havipd()?;
    lab.hosts[VOTE].start_havipd()?;
    lab.settle(DB1)?;
    lab.hosts[DB2].start_havipd()?;
    events(&mut lab, &page).map_err(|why| {
        let said = |i: usize| format!("\n-- {}\n{}", NAMES[i], lab.hosts[i].said("mariadb"));
        lab.story(&format!("{why}{}{}", said(DB1), said(DB2)))
    })
}

/// As the service of Debian starts it.
fn mariadb(host: &Host) -> Result<(), String> {
    host.run("mkdir -p /run/mysqld; chown mysql:mysql /run/mysqld")?;
    host.start("mariadb", &["mariadbd", "--defaults-file=/etc/mysql/mariadb.cnf", "--user=mysql"])?;
    wait("MariaDB answers", PATIENCE, || host.run("mariadb -e 'select 1'").map(drop))
}

/// A program of the software, in the network of the client.
fn client(lab: &Lab, program: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    command.args(lab.hosts[VOTE].enter()).args(program).stdin(Stdio::null());
    command
}

/// What the database behind the HAVIP says to that.
fn sql(lab: &Lab, text: &str) -> Result<String, String> {
    let address = HAVIPS[0].address().to_string();
    let mut command = client(lab, &["mariadb", "--batch", "--skip-column-names", "--connect-timeout=2"]);
    command.args(["--user=app", "--password=change-me-2", "--host", &address, "--execute", text]);
    let output = lab.network.client.inside(|| command.output()).map_err(|e| e.to_string())?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(said(&output.stdout)) } else { Err(said(&output.stderr)) }
}

/// A client that commits row after row, from 1, until one is not acknowledged, and prints each that is.
fn writer(lab: &Lab) -> Result<Child, String> {
    let script = format!(
        "n=1; while timeout 10 mariadb --user=app --password=change-me-2 --host {} --execute \
         \"insert into shop.ledger values ($n)\" 2>&1; do echo $n; n=$((n + 1)); done",
        HAVIPS[0].address()
    );
    let mut command = client(lab, &["sh", "-c", &script]);
    lab.network.client.inside(|| command.stdout(Stdio::piped()).spawn()).map_err(|e| e.to_string())
}

fn rows(lab: &Lab) -> Result<usize, String> {
    let text = sql(lab, "select count(*) from shop.ledger")?;
    text.parse().map_err(|_| format!("{text:?} is no number of rows"))
}

/// The primary waits for the replica before it acknowledges, and has told it the time.
fn in_step(lab: &Lab, primary: usize) -> Result<(), String> {
    wait("the replica has each commit", PATIENCE, || {
        let age = lab.hosts[DB1 + DB2 - primary]
            .run("mariadb -N -e 'select @@global.read_only, unix_timestamp() - at < 5 from havipd.pulse'")?;
        if age.split_whitespace().eq(["1", "1"]) { Ok(()) } else { Err(format!("read_only, fresh: {age}")) }
    })
}

/// No database but the one behind the address takes writes.
fn only(lab: &Lab, primary: usize) -> Result<(), String> {
    for i in [DB1, DB2].into_iter().filter(|&i| lab.hosts[i].is_on()) {
        let read_only = lab.hosts[i].run("mariadb -N -e 'select @@global.read_only'")?;
        if (read_only.trim() == "0") != (i == primary) {
            return Err(format!("{} has read_only = {read_only}", NAMES[i]));
        }
    }
    Ok(())
}

fn events(lab: &mut Lab, page: &Page) -> Result<(), String> {
    in_step(lab, DB1)?;
    only(lab, DB1)?;
    let writer = writer(lab)?;
    wait("rows are written", PATIENCE, || match rows(lab)? {
        0..20 => Err("fewer than 20".to_owned()),
        _ => Ok(()),
    })?;
    lab.hosts[DB1].power_off();
    lab.settle(DB2)?;
    only(lab, DB2)?;

    // What was acknowledged is there: all of it, and of what was not perhaps the last.
    let printed = writer.wait_with_output().map_err(|e| e.to_string())?.stdout;
    let printed = String::from_utf8_lossy(&printed).into_owned();
    let acknowledged = printed.lines().filter_map(|line| line.parse::<usize>().ok()).max().unwrap_or_default();
    let found = rows(lab)?;
    if acknowledged < 20 || found < acknowledged {
        return Err(format!("{found} of {acknowledged} acknowledged rows are left; the client saw {printed}"));
    }
    sql(lab, "insert into shop.ledger values (100001)")?;

    // The old primary comes back: it takes no writes, and follows once it is told to.
    lab.boot(DB1)?;
    mariadb(&lab.hosts[DB1])?;
    lab.hosts[DB1].start_havipd()?;
    only(lab, DB2)?;
    let follow = page.commands("follows from where it is").replace("$(hostname)", NAMES[DB1]);
    lab.hosts[DB1].run(&follow)?;
    in_step(lab, DB2)?;

    // And is handed the address again.
    wait("it may have the address", PATIENCE, || lab.hosts[DB2].ctl("switchover db --to db1").map(drop))?;
    lab.settle(DB1)?;
    only(lab, DB1)?;
    sql(lab, "insert into shop.ledger values (100002)")?;
    in_step(lab, DB1)?;
    let now = rows(lab)?;
    if now != found + 2 {
        return Err(format!("{now} rows are left, of {}", found + 2));
    }

    // The power of the replica is cut: commits wait for it, then go on without, and the address stays.
    let epoch = lab.hosts[DB1].group()?["epoch"].clone();
    lab.hosts[DB2].power_off();
    wait("a commit without the replica", PATIENCE, || {
        sql(lab, "insert ignore into shop.ledger values (100003)").map(drop)
    })?;
    lab.settle(DB1)?;
    match lab.hosts[DB1].group()?["epoch"].clone() {
        same if same == epoch => Ok(()),
        other => Err(format!("the term changed from {epoch} to {other}")),
    }
}
