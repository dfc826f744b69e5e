//! Programs that decide: a check that hangs on the active node, and gates around a restart and a move.

use super::leaving::restart;
use super::{Case, Scene};
use crate::clock::wait;
use crate::daemon::configuration;
use crate::fabric::HAVIPS;
use crate::lab::{Lab, PATIENCE};
use crate::network::{NODES, Node};
use havipd_lab::simulation::cloud::Profile;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where they are tried: with an attachment that moves packets, and with an announcement that does.
const PROFILES: &[&str] = &["attach-moves", "garp-required"];

pub(super) fn cases(profile: &Profile) -> Vec<Case> {
    let all: &[Case] =
        &[("a check hangs, forks and floods its output", hanging_check), ("a restart and a move behind a gate", gated)];
    if PROFILES.contains(&profile.name.as_str()) { all.to_vec() } else { Vec::new() }
}

/// A program in a directory of `node`.
fn script(lab: &mut Lab, node: Node, name: &str, text: &str) -> PathBuf {
    let dir = lab.daemon(node).log().with_file_name("programs");
    fs::create_dir_all(&dir).expect("a directory");
    let (path, new) = (dir.join(name), dir.join(format!("{name}.new")));
    fs::write(&new, text.replace("DIR", &dir.display().to_string())).expect("can be written");
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).expect("can be made executable");
    fs::rename(&new, &path).expect("can be renamed");
    path
}

/// Has every node take over the usual file with these keys of each group, and these tables.
fn configure(lab: &mut Lab, mut of: impl FnMut(&mut Lab, Node) -> (String, String)) -> Result<(), String> {
    for node in NODES {
        let (keys, tables) = of(lab, node);
        let text = configuration().replace("max-moves = 0\n", &format!("max-moves = 0\n{keys}"));
        lab.daemon(node).configure(&format!("{text}\n{tables}"));
        lab.daemon(node).reload()?;
    }
    Ok(())
}

fn usual(lab: &mut Lab) -> Result<(), String> {
    configure(lab, |_, _| (String::new(), String::new()))
}

fn effects(lab: &mut Lab, node: Node) -> Result<Value, String> {
    Ok(lab.daemon(node).ask(&json!({"command": "status"}))?["data"]["effects"].take())
}

fn alive(pid: &str) -> bool {
    // A zombie has ended, too.
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// It is killed at its timeout with all that it started, counted, and the groups go where the check passes.
fn hanging_check(scene: &mut Scene<'_>) -> Result<(), String> {
    let result = hang(scene);
    usual(scene.lab).and(result)
}

fn hang(scene: &mut Scene<'_>) -> Result<(), String> {
    configure(scene.lab, |lab, node| {
        let program = script(lab, node, "well", "#!/bin/sh\nexit 0\n");
        let check = format!("[[check]]\nname = \"web\"\nscript = [{program:?}]\ninterval = \"200ms\"\nfall = 2\n");
        ("checks = [\"web\"]\n".to_owned(), check)
    })?;
    for node in NODES {
        wait("the check passes", PATIENCE, || {
            let state = effects(scene.lab, node)?["checks"][0]["state"].take();
            (state == "up").then_some(()).ok_or_else(|| format!("on {} it is {state}", node.name()))
        })?;
    }
    let from = scene.lab.gather()?;
    let mark = scene.lab.mark();
    let text = "#!/bin/sh\ntrap '' TERM\necho $$ >> DIR/pids\nsh -c 'trap \"\" TERM; echo $$ >> DIR/pids; sleep 1000' &\nyes\n";
    let program = script(scene.lab, from, "well", text);
    for havip in HAVIPS {
        let rest: Vec<Node> = NODES.into_iter().filter(|n| *n != from).collect();
        let settled = scene.lab.settle(havip, &rest)?;
        scene.moved_once(havip, from, mark, settled)?;
        scene.claimed_because(havip, mark, settled, &["handed-over"])?;
    }
    let check = effects(scene.lab, from)?["checks"][0].take();
    let counted = check["runs"]["timed_out"].as_u64() >= Some(2) && check["state"] == "down";
    if !counted || check["last"]["result"] != "timed-out" {
        return Err(format!("{check} is not what hangs"));
    }
    script(scene.lab, from, "well", "#!/bin/sh\nexit 0\n");
    wait("it passes again", PATIENCE, || {
        let state = effects(scene.lab, from)?["checks"][0]["state"].take();
        (state == "up").then_some(()).ok_or_else(|| format!("it is {state}"))
    })?;
    let left: Vec<String> = lines(&program.with_file_name("pids")).into_iter().filter(|pid| alive(pid)).collect();
    if left.is_empty() { Ok(()) } else { Err(format!("processes {left:?} were left behind")) }
}

/// A gate writes down why it runs, and whether the address is on its host by then.
const GATE: &str = "#!/bin/sh\nhere=no\nip -4 addr show | grep -q \"inet $1/\" && here=yes\n\
    sleep 0.3\necho \"$HAVIPD_GATE $HAVIPD_CAUSE $here\" >> DIR/$HAVIPD_GROUP\n";

/// A restarted daemon passes its gate beside an address that is served all the while; one that takes over has it only afterwards.
fn gated(scene: &mut Scene<'_>) -> Result<(), String> {
    let result = behind_gates(scene);
    usual(scene.lab).and(result)
}

fn behind_gates(scene: &mut Scene<'_>) -> Result<(), String> {
    for havip in HAVIPS {
        let address = havip.address();
        let mut places = Vec::new();
        configure(scene.lab, |lab, node| {
            let program = script(lab, node, "gate", GATE);
            places.push(program.with_file_name(crate::daemon::group(havip)));
            (format!("before-active = [{program:?}, \"{address}\"]\n"), String::new())
        })?;
        let node = scene.lab.gather()?;
        let told = |at: Node| lines(&places[NODES.iter().position(|n| *n == at).expect("is one of them")]);
        let (before, mark) = (told(node).len(), scene.lab.mark());
        restart(scene, node)?;
        let settled = scene.lab.settle(havip, &NODES)?;
        let answered = scene.lab.probe.answerers(havip, mark.datagram..settled.datagram + 1);
        let new = told(node).split_off(before);
        if settled.node != node || answered != [node] || new != ["before-active resumed yes"] {
            let story = scene.lab.story(havip);
            return Err(format!("its gate was told {new:?}, answers came from {answered:?}\n{story}"));
        }
        let to = if node == NODES[0] { NODES[1] } else { NODES[0] };
        let (before, mark) = (told(to).len(), scene.lab.mark());
        scene.lab.switch_over(havip, node, to)?;
        wait("the switchover is over", PATIENCE, || match scene.lab.active(havip, &NODES)? {
            active if active == to => Ok(()),
            active => Err(format!("{} is active", active.name())),
        })?;
        let settled = scene.lab.settle(havip, &NODES)?;
        scene.moved_once(havip, node, mark, settled)?;
        let new = told(to).split_off(before);
        if new != ["before-active handed-over no"] {
            return Err(format!("the gate of {} was told {new:?}\n{}", to.name(), scene.lab.story(havip)));
        }
    }
    Ok(())
}
