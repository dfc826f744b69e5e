//! More groups than the lab's two: what happens to one of them must not keep another from what it needs.

use super::{Case, Scene};
use crate::clock::{Moment, wait};
use crate::daemon::{self, Change, arbiter, cluster};
use crate::fabric::{HAVIPS, MORE, PORT, havips, more};
use crate::lab::{Lab, PATIENCE};
use crate::namespace::run;
use crate::network::{CLOUD, NODES, Node};
use havipd_lab::emulator::Command;
use havipd_lab::simulation::cloud::Profile;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Where they are tried: none of them depends on how packets come to move.
const PROFILES: &[&str] = &["attach-moves"];

pub(super) fn cases(profile: &Profile) -> Vec<Case> {
    let all: &[Case] = &[
        ("ten groups, heartbeats cut, a file of defaults", heartbeats_cut),
        ("crash while an interface of another group flaps", flapping),
    ];
    if PROFILES.contains(&profile.name.as_str()) { all.to_vec() } else { Vec::new() }
}

const PAIR: [Node; 2] = [NODES[0], NODES[1]];

/// How many groups the file of defaults has: one for each HAVIP that the region has from the start.
const TEN: usize = HAVIPS.len() + MORE;

/// As somebody writes it who leaves every default alone: nodes, and so many groups with a HAVIP each.
pub(super) fn defaults(nodes: &[Node], groups: usize) -> String {
    let mut text = cluster(nodes);
    let _ = writeln!(
        text,
        "[heartbeat]\nkeys = [{{ id = 1, file = \"heartbeat.key\" }}]\n\n\
         [cloud]\nregion = \"bj\"\nendpoint = \"http://{CLOUD}:{PORT}\"\nmetadata-endpoint = \"http://{CLOUD}:{PORT}\"\n\n\
         [cloud.credentials]\nsource = \"file\"\nfile = \"credentials.toml\"\n"
    );
    for (id, address) in havips(groups) {
        let _ = writeln!(text, "[[group]]\nname = \"{id}\"\n[[group.havip]]\nid = \"{id}\"\naddress = \"{address}\"\n");
    }
    text
}

/// No shorter than the silence after which a node is dead by that file.
const USUAL_DEAD_TIME: Duration = Duration::from_secs(5);

/// Each group's role on `node`, by the name of the group.
fn roles(lab: &mut Lab, node: Node) -> Result<BTreeMap<String, String>, String> {
    let groups = lab.daemon(node).groups()?;
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    Ok(groups.iter().map(|g| (text(&g["name"]), text(&g["role"]))).collect())
}

/// Waits until each of the first `count` groups is active on one of the nodes, the cloud agrees, and the address is there alone.
pub(super) fn one_active_each(lab: &mut Lab, nodes: &[Node], count: usize) -> Result<(), String> {
    wait("each group is active on one node", PATIENCE * 2, || {
        let roles = nodes.iter().map(|node| roles(lab, *node)).collect::<Result<Vec<_>, _>>()?;
        let there: Vec<Vec<Ipv4Addr>> = nodes.iter().map(|node| lab.network.virtual_addresses(*node)).collect();
        let masters: BTreeMap<String, Option<String>> =
            lab.fabric.control.view().havips.into_iter().map(|h| (h.id, h.master)).collect();
        for (id, address) in havips(count) {
            let active = nodes.iter().zip(&roles).filter(|(_, r)| r.get(&id).is_some_and(|role| role == "active"));
            let active: Vec<Node> = active.map(|(node, _)| *node).collect();
            let bearers = nodes.iter().zip(&there).filter(|(_, there)| there.contains(&address));
            let bearers: Vec<Node> = bearers.map(|(node, _)| *node).collect();
            let master = masters.get(&id).cloned().flatten();
            if active.len() != 1 || bearers != active || master != Some(active[0].instance()) {
                return Err(format!("{id}: active on {active:?}, its address on {bearers:?}, master {master:?}"));
            }
        }
        Ok(())
    })
}

/// Whether `node` hears the other one, and is heard.
fn in_touch(lab: &mut Lab, node: Node) -> Result<(), String> {
    wait("the two are in touch", PATIENCE, || {
        let answer = lab.daemon(node).ask(&json!({"command": "status"}))?;
        let state = answer["data"]["peers"][0]["state"].clone();
        (state == json!("up")).then_some(()).ok_or_else(|| format!("the session is {state}"))
    })
}

/// The cloud answers both sides of the cut: each group that one side took is given up on the other, however many there
/// are. The looks by which the holder learns of it must not wait behind those for groups that it may have later.
fn heartbeats_cut(scene: &mut Scene<'_>) -> Result<(), String> {
    let lab = &mut *scene.lab;
    leave_behind(lab, &defaults(&PAIR, TEN));
    // A record that names the other node would make the first to start wait for it.
    for havip in HAVIPS {
        for target in lab.fabric.havip(havip).bound {
            let unbind = Command::Unbind { havip: havip.id().to_owned(), target: target.id };
            lab.fabric.control.apply(unbind).map_err(|e| e.to_string())?;
        }
    }
    let all = |roles: &BTreeMap<String, String>, role: &str| {
        roles.len() == havips(TEN).len() && roles.values().all(|found| found == role)
    };
    for (node, role) in PAIR.into_iter().zip(["active", "backup"]) {
        lab.start(node);
        wait(&format!("{} is {role} for every group", node.name()), PATIENCE * 2, || {
            let roles = roles(lab, node)?;
            all(&roles, role).then_some(()).ok_or_else(|| format!("it is {roles:?}"))
        })?;
    }
    PAIR.into_iter().try_for_each(|node| in_touch(lab, node))?;
    one_active_each(lab, &PAIR, TEN)?;

    let cut = Moment::now();
    lab.network.silence(PAIR[0], PAIR[1]);
    lab.network.silence(PAIR[1], PAIR[0]);
    wait("the other node takes a group", PATIENCE, || {
        let roles = roles(lab, PAIR[1])?;
        roles.values().any(|role| role == "active").then_some(()).ok_or_else(|| format!("it is {roles:?}"))
    })?;
    one_active_each(lab, &PAIR, TEN)?;
    let causes: Vec<String> = changes(lab, cut).into_iter().map(|c| c.cause).collect();
    if causes.iter().any(|cause| cause == "isolated") {
        return Err(format!("the cloud answered both all the time, and causes were {causes:?}"));
    }

    let healed = Moment::now();
    lab.network.heal();
    PAIR.into_iter().try_for_each(|node| in_touch(lab, node))?;
    Moment::now().after(USUAL_DEAD_TIME).rest_until();
    one_active_each(lab, &PAIR, TEN)?;
    let later = changes(lab, healed);
    if !later.is_empty() {
        return Err(format!("nothing was to move when the heartbeats were back: {later:?}"));
    }
    leave_behind(lab, &daemon::configuration());
    Ok(())
}

fn changes(lab: &mut Lab, since: Moment) -> Vec<Change> {
    PAIR.into_iter().flat_map(|node| lab.daemon(node).changes_since(since)).collect()
}

/// Time between two changes of the flapping link: often enough that no dead time passes without one.
const FLAP: Duration = Duration::from_millis(150);

/// The survivor's ear for the group that has to move is another interface than the one that comes and goes.
fn flapping(scene: &mut Scene<'_>) -> Result<(), String> {
    for node in PAIR {
        let commands = "link add eth1 type veth peer name eth1p\nlink set eth1 up\nlink set eth1p up\n";
        scene.lab.network.node(node).ip(commands);
    }
    let (id, address) = more(0);
    let aside = format!(
        "[[group]]\nname = \"aside\"\nnodes = [\"a\", \"b\"]\narbiter = \"cloud\"\npreempt = false\nmax-moves = 0\n\
         [[group.havip]]\nid = \"{id}\"\naddress = \"{address}\"\ninterface = \"eth1\"\n"
    );
    leave_behind(scene.lab, &format!("{}{aside}", daemon::configuration()));
    NODES.into_iter().for_each(|node| scene.lab.start(node));
    scene.lab.restore()?;
    let victim = scene.lab.gather()?;
    wait("the third group is active", PATIENCE, || {
        let roles = [roles(scene.lab, PAIR[0])?, roles(scene.lab, PAIR[1])?];
        let active = roles.iter().any(|r| r.get("aside").is_some_and(|role| role == "active"));
        active.then_some(()).ok_or_else(|| format!("roles are {roles:?}"))
    })?;

    let backup = if victim == PAIR[0] { PAIR[1] } else { PAIR[0] };
    let (namespace, over) = (scene.lab.network.node(backup).name().to_owned(), AtomicBool::new(false));
    let rest: Vec<Node> = NODES.into_iter().filter(|n| *n != victim).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for state in ["down", "up"].into_iter().cycle() {
                run("ip", &["-n", &namespace, "link", "set", "eth1p", state]);
                if state == "up" && over.load(Ordering::Relaxed) {
                    return;
                }
                Moment::now().after(FLAP).rest_until();
            }
        });
        let outcome = crash(scene, victim, backup, &rest);
        over.store(true, Ordering::Relaxed);
        outcome
    })?;
    leave_behind(scene.lab, &daemon::configuration());
    PAIR.into_iter().for_each(|node| scene.lab.network.node(node).ip("link delete eth1\n"));
    Ok(())
}

/// The holder is gone while the link flaps: both groups go to the node that is there.
fn crash(scene: &mut Scene<'_>, victim: Node, backup: Node, rest: &[Node]) -> Result<(), String> {
    wait("the flapping is seen", PATIENCE, || {
        let groups = scene.lab.daemon(backup).groups()?;
        let aside = groups.iter().find(|g| g["name"] == json!("aside")).ok_or("no group aside")?;
        (aside["cause"] == json!("link-down")).then_some(()).ok_or_else(|| format!("it says {}", aside["cause"]))
    })?;
    let mark = scene.lab.mark();
    scene.lab.daemon(victim).kill();
    scene.lab.network.disconnect(victim);
    for havip in HAVIPS {
        let settled = scene.lab.settle_among(havip, rest, rest)?;
        scene.moved_once(havip, victim, mark, settled)?;
        if arbiter(havip) == "cloud" {
            scene.claimed_because(havip, mark, settled, &["peer-dead"])?;
        }
    }
    Ok(())
}

/// Ends every daemon and puts another file in place for its next start: to add a group takes one.
pub(super) fn leave_behind(lab: &mut Lab, text: &str) {
    for node in NODES {
        lab.daemon(node).kill();
        lab.daemon(node).configure(text);
    }
}
