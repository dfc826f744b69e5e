//! What a drill needs before every move: a healthy cluster, and room in the budget of moves.

use super::Stop;
use crate::control::protocol::Code;
use serde_json::Value;

/// Which way a move goes, as seen from this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// From here to another.
    Away,
    /// From another to here.
    Back,
}

impl Direction {
    /// The move after it.
    pub(super) const fn back(self) -> Self {
        match self {
            Self::Away => Self::Back,
            Self::Back => Self::Away,
        }
    }
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) here: String,
    pub(super) active: String,
    /// The other end, where it is known before the first move.
    pub(super) other: Option<String>,
    pub(super) first: Direction,
}

impl Plan {
    /// The plan for `repeat` times there and back, or why that cannot work.
    pub(super) fn of(status: &Value, name: &str, repeat: u32) -> Result<Self, Stop> {
        let groups = status["groups"].as_array().map(Vec::as_slice).unwrap_or_default();
        let Some(g) = groups.iter().find(|g| g["name"] == name) else {
            let known: Vec<&str> = groups.iter().filter_map(|g| g["name"].as_str()).collect();
            let text = format!("there is no group {name:?}; there are {}", known.join(", "));
            return Err(Stop::Refused(text, Code::Usage));
        };
        let no = |text: String| Err(Stop::Refused(text, Code::No));
        let here = status["node"].as_str().unwrap_or_default().to_owned();
        let Some(active) = g["active"].as_str().map(str::to_owned) else {
            return no(format!("{name} is active on no node that is heard: havipctl why {name}"));
        };
        let first = if active == here { Direction::Away } else { Direction::Back };
        let (made, most) = (g["moves"].as_u64().unwrap_or_default(), g["max_moves"].as_u64().unwrap_or_default());
        let needed = u64::from(repeat) * 2;
        if most > 0 && made + needed > most {
            return no(format!(
                "{needed} moves are more than max-moves leaves: {made} of {most} are made within max-moves-window, and beyond it \
                 a node that fails its checks would keep the address; wait, raise max-moves, or use a smaller --repeat"
            ));
        }
        if let Err(doubt) = settled(status, name, first, &here) {
            return no(doubt);
        }
        let other = (first == Direction::Back).then(|| active.clone());
        Ok(Self { here, active, other, first })
    }
}

/// The group of that name; null if there is none.
pub(super) fn group<'a>(status: &'a Value, name: &str) -> &'a Value {
    let groups = status["groups"].as_array().map(Vec::as_slice).unwrap_or_default();
    groups.iter().find(|g| g["name"] == name).unwrap_or(&Value::Null)
}

/// Whether everything is as it should be for a move in this direction; else the first doubt.
pub(super) fn settled(status: &Value, name: &str, next: Direction, here: &str) -> Result<(), String> {
    let g = group(status, name);
    for (flag, text) in [
        ("maintenance", "is in maintenance"),
        ("observe", "is only observed here: nothing would move"),
        ("drained", "is drained here"),
        ("isolated", "is isolated: neither peers nor cloud answer"),
    ] {
        if g[flag] == true {
            return Err(format!("{name} {text}"));
        }
    }
    if status["stopping"] == true {
        return Err("havipd is leaving".to_owned());
    }
    for peer in status["peers"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let node = peer["node"].as_str().unwrap_or_default();
        if peer["state"] != "up" {
            return Err(format!("{node} is not heard both ways"));
        }
        if peer["same_digest"] == false {
            return Err(format!("{node} runs other timing, voters, arbiters, HAVIPs or bindings"));
        }
    }
    let role = g["role"].as_str().unwrap_or_default();
    match (next, role) {
        (Direction::Away, "active") => {}
        (Direction::Back, "backup") if g["active"].as_str().is_some_and(|a| a != here) => return Ok(()),
        (_, "fault") => return Err(format!("{here} is in fault: {}", g["detail"].as_str().unwrap_or_default())),
        _ => return Err(format!("{name} is between two nodes: {here} is {role}")),
    }
    for havip in g["havips"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let id = havip["id"].as_str().unwrap_or_default();
        if let Some(error) = havip["error"].as_str() {
            return Err(format!("{id} cannot be read: {error}"));
        }
        let ours = status["target"]["id"].as_str().unwrap_or_default();
        let bound = havip["bound"].as_array().is_some_and(|b| b.iter().any(|b| b == ours));
        if havip["holder"].as_str().map_or(!bound, |holder| holder != ours) {
            let holder = havip["holder"].as_str().unwrap_or("nobody");
            return Err(format!("{here} is active, but the cloud names {holder} for {id}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status() -> Value {
        json!({
            "node": "a", "target": {"id": "i-a"}, "stopping": false,
            "peers": [{"node": "b", "state": "up", "same_digest": true}],
            "groups": [{"name": "web", "role": "active", "active": "a", "moves": 1, "max_moves": 6,
                "havips": [{"id": "havip-x", "holder": "i-a", "bound": ["i-a"], "error": null}]}],
        })
    }

    fn why(change: impl FnOnce(&mut Value)) -> String {
        let mut status = status();
        change(&mut status);
        Plan::of(&status, "web", 1).expect_err("refused").to_string()
    }

    #[test]
    fn a_healthy_cluster_may_be_drilled_from_both_ends() {
        let plan = Plan::of(&status(), "web", 2).expect("a plan");
        assert_eq!((plan.first, plan.other), (Direction::Away, None));
        let mut other = status();
        other["groups"][0]["role"] = json!("backup");
        other["groups"][0]["active"] = json!("b");
        let plan = Plan::of(&other, "web", 1).expect("a plan");
        assert_eq!((plan.first, plan.other.as_deref()), (Direction::Back, Some("b")));
    }

    #[test]
    fn every_doubt_is_told() {
        assert!(Plan::of(&status(), "db", 1).is_err_and(|e| e.code() == Code::Usage));
        for flag in ["maintenance", "observe", "drained", "isolated"] {
            assert!(why(|s| s["groups"][0][flag] = json!(true)).contains("web is "), "{flag}");
        }
        assert!(why(|s| s["peers"][0]["state"] = json!("one-way")).contains("b is not heard both ways"));
        assert!(why(|s| s["peers"][0]["same_digest"] = json!(false)).contains("b runs other"));
        assert!(why(|s| s["groups"][0]["active"] = Value::Null).contains("no node that is heard"));
        assert!(why(|s| s["groups"][0]["role"] = json!("releasing")).contains("between two nodes"));
        assert!(why(|s| s["groups"][0]["havips"][0]["holder"] = json!("i-b")).contains("the cloud names i-b"));
        assert!(why(|s| s["groups"][0]["havips"][0]["error"] = json!("503")).contains("503"));
    }

    #[test]
    fn the_budget_of_moves_is_not_spent_on_rehearsals() {
        assert!(Plan::of(&status(), "web", 2).is_ok(), "1 + 4 of 6");
        let refused = Plan::of(&status(), "web", 3).expect_err("1 + 6 of 6").to_string();
        assert!(refused.contains("1 of 6 are made"), "{refused}");
        let mut free = status();
        free["groups"][0]["max_moves"] = json!(0);
        assert!(Plan::of(&free, "web", 100).is_ok());
    }
}
