//! What happens to the two nodes, and where the HAVIPs have to be afterwards.

use crate::Lab;
use crate::clock::{Moment, wait};
use crate::fabric::HAVIPS;
use crate::host::PATIENCE;
use crate::network::Node;
use std::time::Duration;

/// The one with the higher VRRP priority, and the other.
const A: Node = Node(0);
const B: Node = Node(1);
/// How long a state of things is watched that must not change.
const WATCH: Duration = Duration::from_secs(3);

/// Begins and ends with the HAVIPs on the first node; gives how long they were on their way, if they were.
pub(crate) type Case = fn(&mut Lab) -> Result<Option<Duration>, String>;

pub(crate) const CASES: &[(&str, Case)] = &[
    ("both_killed_and_back", both_killed_and_back),
    ("link_down_and_up", link_down_and_up),
    ("keepalived_killed", keepalived_killed),
    ("keepalived_restarted", keepalived_restarted),
    ("havipd_restarted_while_master", havipd_restarted_while_master),
    ("havipd_killed_while_master", havipd_killed_while_master),
    ("elected_while_havipd_is_down", elected_while_havipd_is_down),
    ("split_of_vrrp_then_healed", split_of_vrrp_then_healed),
    ("partition_then_healed", partition_then_healed),
];

/// From `began` until both HAVIPs are on `node`.
fn took(lab: &Lab, began: Moment, node: Node) -> Result<Option<Duration>, String> {
    lab.settle(node)?;
    let moves = HAVIPS.iter().filter_map(|h| lab.fabric.moves_since(*h, began).last().map(|m| m.at));
    Ok(moves.max().map(|at| at.since(began)))
}

fn both_killed_and_back(lab: &mut Lab) -> Result<Option<Duration>, String> {
    let began = Moment::now();
    lab.host(A).kill_keepalived();
    lab.host(A).kill_havipd();
    let took = took(lab, began, B)?;
    lab.start_havipd(A);
    lab.start_keepalived(A);
    lab.settle(A)?;
    Ok(took)
}

fn link_down_and_up(lab: &mut Lab) -> Result<Option<Duration>, String> {
    let began = Moment::now();
    lab.network.disconnect(A);
    let took = took(lab, began, B)?;
    lab.network.connect(A);
    lab.settle(A)?;
    Ok(took)
}

/// Its havipd lives, and must not wait for a word that never comes.
fn keepalived_killed(lab: &mut Lab) -> Result<Option<Duration>, String> {
    let began = Moment::now();
    lab.host(A).kill_keepalived();
    wait("its death is noticed", PATIENCE, || lab.says(A, "fault"))?;
    let took = took(lab, began, B)?;
    lab.start_keepalived(A);
    lab.settle(A)?;
    Ok(took)
}

fn keepalived_restarted(lab: &mut Lab) -> Result<Option<Duration>, String> {
    let began = Moment::now();
    lab.host(A).stop_keepalived()?;
    let took = took(lab, began, B)?;
    // In the variant with a FIFO keepalived has removed it, and makes a new one.
    lab.start_keepalived(A);
    lab.settle(A)?;
    Ok(took)
}

fn havipd_restarted_while_master(lab: &mut Lab) -> Result<Option<Duration>, String> {
    let began = Moment::now();
    lab.host(A).stop_havipd()?;
    lab.start_havipd(A);
    lab.settle(A)?;
    lab.stayed(began, A)
}

fn havipd_killed_while_master(lab: &mut Lab) -> Result<Option<Duration>, String> {
    let began = Moment::now();
    lab.host(A).kill_havipd();
    lab.start_havipd(A);
    lab.settle(A)?;
    lab.stayed(began, A)
}

/// keepalived's decision waits in the spool, or in the FIFO.
fn elected_while_havipd_is_down(lab: &mut Lab) -> Result<Option<Duration>, String> {
    lab.host(B).kill_havipd();
    lab.host(A).kill_keepalived();
    wait("nobody serves", PATIENCE, || lab.says(A, "fault"))?;
    wait("the other keepalived is master", PATIENCE, || lab.carries_vip(B))?;
    let began = Moment::now();
    lab.start_havipd(B);
    let took = took(lab, began, B)?;
    lab.start_keepalived(A);
    lab.settle(A)?;
    Ok(took)
}

/// The routers do not hear each other, the daemons do: the last to become master has the HAVIP, once, and the end of it
/// brings it to the one that keepalived keeps, which is told nothing.
fn split_of_vrrp_then_healed(lab: &mut Lab) -> Result<Option<Duration>, String> {
    let split = Moment::now();
    lab.network.router.nft("add rule inet lab loss meta l4proto 112 drop\n");
    lab.settle(B)?;
    wait("both keepaliveds are master", PATIENCE, || lab.carries_vip(A).and_then(|()| lab.carries_vip(B)))?;
    split.after(WATCH).rest_until();
    lab.settle(B)?;
    lab.moved_at_most(split, 1)?;
    let healed = Moment::now();
    lab.network.heal();
    took(lab, healed, A)
}

/// Neither routers nor daemons hear each other; both reach the cloud.
fn partition_then_healed(lab: &mut Lab) -> Result<Option<Duration>, String> {
    lab.network.silence(A, B);
    lab.network.silence(B, A);
    wait("the cloud names the other", PATIENCE, || lab.named(B))?;
    wait("the first gives way", PATIENCE, || lab.says(A, "backup"))?;
    wait("the cloud still names the other", PATIENCE, || lab.named(B))?;
    let given_way = Moment::now();
    given_way.after(WATCH).rest_until();
    lab.named(B)?;
    lab.moved_at_most(given_way, 0)?;
    let healed = Moment::now();
    lab.network.heal();
    took(lab, healed, A)
}
