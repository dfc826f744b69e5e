//! Two heartbeat paths between each two nodes: as long as one of them is sound in each direction nothing moves.

use super::named::{SETTLED, apart, clusters, node, play};
use havipd_core::model::settings::{Arbiter, OnRestart};
use havipd_lab::simulation::StepKind;
use havipd_lab::simulation::cluster::Cluster;
use havipd_lab::simulation::network::Link;

const CUT: Link = Link { cut: true, loss_permille: 0, duplicate_permille: 0, delay_us: 200, jitter_us: 300 };

fn two_paths(nodes: usize) -> impl Iterator<Item = Cluster> {
    let all = clusters(nodes).into_iter().filter(|c| c.profile == "attach-moves");
    all.map(|c| Cluster { paths: 2, on_restart: OnRestart::Keep, ..c })
}

fn link(from: &str, to: &str, path: usize, link: Link) -> StepKind {
    StepKind::Link { from: node(from), to: node(to), path: Some(path), link }
}

/// Every direction between two of them.
fn directions(cluster: &Cluster) -> Vec<(String, String)> {
    let names = || cluster.machines.iter().map(|m| m.name.clone());
    names().flat_map(|a| names().map(move |b| (a.clone(), b))).filter(|(a, b)| a != b).collect()
}

#[test]
fn a_path_that_is_cut_moves_nothing() {
    for cluster in two_paths(2).chain(two_paths(3)) {
        for path in 0..2 {
            let all: Vec<_> = directions(&cluster).iter().map(|(a, b)| (SETTLED, link(a, b, path, CUT))).collect();
            play("a path is cut", cluster.clone(), &all, SETTLED + 60_000, "a", 0);
            for (a, b) in directions(&cluster) {
                let one_way = [(SETTLED, link(&a, &b, path, CUT))];
                play("a path is one-way", cluster.clone(), &one_way, SETTLED + 60_000, "a", 0);
                let crossed = [(SETTLED, link(&a, &b, path, CUT)), (SETTLED + 50, link(&b, &a, 1 - path, CUT))];
                play("each path is one-way", cluster.clone(), &crossed, SETTLED + 60_000, "a", 0);
            }
        }
    }
}

#[test]
fn paths_that_take_turns_move_nothing() {
    for cluster in two_paths(2).chain(two_paths(3)) {
        let mut steps = vec![];
        for round in 0..20 {
            let at = SETTLED + round * 3_000;
            let path = usize::from(round % 2 == 1);
            for (a, b) in directions(&cluster) {
                steps.extend([(at, link(&a, &b, path, CUT)), (at + 2_900, link(&a, &b, path, Link::default()))]);
            }
        }
        play("paths take turns", cluster, &steps, SETTLED + 90_000, "a", 0);
    }
}

#[test]
fn a_path_that_is_slow_and_lossy_moves_nothing() {
    let bad = Link { loss_permille: 500, jitter_us: 3_000_000, duplicate_permille: 300, ..Link::default() };
    for cluster in two_paths(3) {
        for path in 0..2 {
            let all: Vec<_> = directions(&cluster).iter().map(|(a, b)| (SETTLED, link(a, b, path, bad))).collect();
            play("a path is bad", cluster.clone(), &all, SETTLED + 90_000, "a", 0);
        }
    }
}

#[test]
fn both_paths_cut_is_a_partition() {
    for cluster in two_paths(3).filter(|c| c.arbiter == Arbiter::Majority) {
        let cut =
            |at, path| ["b", "c"].map(|n| [(at, link("a", n, path, CUT)), (at, link(n, "a", path, CUT))]).concat();
        let steps = [cut(SETTLED, 0), cut(SETTLED + 20_000, 1)].concat();
        play("one path after the other", cluster.clone(), &steps, SETTLED + 19_000, "a", 0);
        play("one path after the other", cluster.clone(), &steps, SETTLED + 50_000, "b", 1);
        play("a partition", cluster, &[(SETTLED, apart(&[&["a"], &["b", "c"]]))], SETTLED + 35_000, "b", 1);
    }
}
