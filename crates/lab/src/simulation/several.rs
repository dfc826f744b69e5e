//! Groups with two HAVIPs, one of which is not to be had, and a cloud that answers nonsense. tests/data/simulation has
//! longer ones of the same kind.

use crate::simulation::{Report, Scenario, run};

/// Plays steps (seconds, kind) on a cluster of two or three nodes; `text` is the rest of `[cluster]`.
fn play(text: &str, steps: &[(u64, &str)], until: u64) -> Report {
    let machines = r#"machines = [{ name = "a", priority = 150 }, { name = "b", priority = 140 }, { name = "c", priority = 130, witness = true }]"#;
    let mut scenario = format!("name = \"several\"\nquiet-ms = 1000000000\nend-ms = {}\n", until * 1000);
    scenario += &format!("[cluster]\npreempt = false\n{text}\n{machines}\n");
    for (at, kind) in steps {
        scenario += &format!("[[step]]\nat-ms = {}\ndo = {kind}\n", at * 1000);
    }
    let scenario = Scenario::parse(&scenario).expect("a scenario");
    scenario.check().expect("one that can be run");
    let report = run(&scenario);
    assert!(report.violation.is_none(), "{report}");
    report
}

fn active(report: &Report) -> Option<&str> {
    report.active[0].as_deref()
}

const MAJORITY: &str = "arbiter = \"majority\"\n";
const TWO: &str = "arbiter = \"majority\"\nhavips = 2";
const BY_CLOUD: &str = "arbiter = \"cloud\"\nhavips = 2";

fn unknown(caller: &str, operation: &str) -> String {
    format!(
        "{{ cloud-fault = {{ rule = {{ operation = \"{operation}\", {caller} fault = {{ kind = \"status\", \
         status = 404, code = \"NoSuchObject\", message = \"no such havip\", applied = false }} }} }} }}"
    )
}

#[test]
fn a_cloud_that_knows_no_havip_takes_none_away() {
    // To everybody, and to the holder alone: then there is somebody who could take over.
    for caller in ["", "caller = \"a\","] {
        let report = play(MAJORITY, &[(100, &unknown(caller, "read"))], 150);
        assert_eq!((active(&report), report.moves[0].len()), (Some("a"), 0), "{report}");
    }
}

#[test]
fn who_may_take_over_looks_again_soon_when_the_cloud_knew_no_havip() {
    for clear in (180..210).step_by(5) {
        let unknown = unknown("caller = \"b\",", "read");
        let steps = [(100, unknown.as_str()), (clear, "\"cloud-clear\""), (clear + 6, "{ crash = { node = \"a\" } }")];
        let report = play(MAJORITY, &steps, clear + 16);
        assert_eq!(active(&report), Some("b"), "cleared at {clear} s: {report}");
    }
}

#[test]
fn a_deleted_havip_leaves_the_others_where_they_are() {
    let report = play(TWO, &[(100, "{ delete-havip = { havip = 1 } }")], 200);
    assert_eq!((active(&report), report.moves[0].len()), (Some("a"), 0), "{report}");
}

#[test]
fn the_others_fail_over_without_the_deleted_one() {
    for cluster in [TWO, BY_CLOUD] {
        let steps = [(100, "{ delete-havip = { havip = 1 } }"), (150, "{ crash = { node = \"a\" } }")];
        let report = play(cluster, &steps, 200);
        assert_eq!(active(&report), Some("b"), "{report}");
    }
}

#[test]
fn what_nobody_else_could_make_whole_is_kept() {
    let refused = "{ cloud-fault = { rule = { operation = \"attach\", caller = \"b\", havip = \"havip-1\", fault = { kind \
                   = \"status\", status = 409, code = \"Refused\", message = \"x\", applied = false } } } }";
    let report = play(TWO, &[(90, refused), (100, "{ crash = { node = \"a\" } }")], 200);
    assert_eq!((active(&report), report.moves[0].len()), (Some("b"), 1), "{report}");
}

#[test]
fn what_somebody_else_can_make_whole_passes_on_to_him() {
    let refused = "{ cloud-fault = { rule = { operation = \"attach\", caller = \"b\", havip = \"havip-1\", fault = { kind \
                   = \"status\", status = 409, code = \"Refused\", message = \"x\", applied = false } } } }";
    let steps = [(90, refused), (100, "{ crash = { node = \"a\", back-ms = 20000, sweep = true } }")];
    let report = play(TWO, &steps, 300);
    assert_eq!(active(&report), Some("b"), "a was away, nobody could take over: {report}");
    let steps = [(90, refused), (100, "{ switchover = { group = 0, to = \"b\" } }")];
    let report = play(TWO, &steps, 200);
    assert_eq!(active(&report), Some("a"), "{report}");
}

#[test]
fn in_a_partition_each_havip_is_evidence_of_itself_alone() {
    let lie = "{ cloud-fault = { rule = { operation = \"attach\", caller = \"b\", havip = \"havip-0\", fault = { kind = \
               \"lie\" } } } }";
    let report = play(BY_CLOUD, &[(45, lie), (100, "{ partition = { sides = [[\"a\"], [\"b\", \"c\"]] } }")], 390);
    assert_eq!((active(&report), report.moves[0].len()), (Some("b"), 1), "{report}");
}
