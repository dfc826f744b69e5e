//! `havipctl drill` on a real data plane: the nodes that do not have the address watch where its packets go.

use super::{Case, Scene};
use crate::daemon::{group, members};
use crate::fabric::HAVIPS;
use crate::network::NODES;
use havipd_lab::simulation::cloud::Profile;
use serde_json::Value;

/// Where it was tried: one profile for each way in which packets can come to move.
const PROFILES: &[&str] = &["attach-moves", "garp-required", "eventual"];

pub(super) fn cases(profile: &Profile) -> Vec<Case> {
    if PROFILES.contains(&profile.name.as_str()) { vec![("drill", drill)] } else { Vec::new() }
}

fn drill(scene: &mut Scene<'_>) -> Result<(), String> {
    for havip in HAVIPS {
        let holder = scene.lab.settle(havip, &NODES)?.node;
        let output = scene.lab.daemon(holder).ctl(&["drill", group(havip), "--yes", "--json"])?;
        let answer: Value = serde_json::from_str(&output).map_err(|e| format!("{e}: {output}"))?;
        let report = &answer["data"];
        let moves = report["moves"].as_array().cloned().unwrap_or_default();
        if moves.len() != 2 || !report["stopped"].is_null() {
            return Err(format!("not there and back: {report:#}"));
        }
        for made in &moves {
            let watched: Vec<&str> =
                made["outages"].as_array().into_iter().flatten().filter_map(|o| o["from"].as_str()).collect();
            let (from, to) = (made["from"].as_str().unwrap_or_default(), made["to"].as_str().unwrap_or_default());
            // The old holder saw nothing before it gave the address away, the new one nothing after it got it.
            let expected = members(havip).iter().map(|n| n.name()).filter(|n| *n != from && *n != to);
            for node in expected {
                if !watched.contains(&node) {
                    return Err(format!("{node} did not see the packets move: {report:#}"));
                }
            }
        }
        let back = scene.lab.settle(havip, &NODES)?;
        if back.node != holder {
            return Err(format!("it is on {}: {report:#}", back.node.name()));
        }
    }
    Ok(())
}
