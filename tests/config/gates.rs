//! What is said of gates.

use crate::{said, with};

#[test]
fn a_gate_wants_an_arbiter_that_keeps_others_away() {
    for (keys, expected) in [
        ("before-active = [\"/x\"]", "nodes that cannot hear each other may both have passed it"),
        ("before-active = \"/x\"", "\"before-active\" must be a list of a program and its arguments"),
        ("before-active = []", "\"before-active\" must be a list"),
        ("before-active = [\"promote\"]", "the gate \"promote\" is not an absolute path"),
        ("before-release-failed = \"stay\"", "must be one of \"abort\", \"continue\""),
        ("before-active-timeout = \"5s\"", "\"before-active-timeout\" says nothing here"),
        ("before-release-timeout = \"5s\"", "\"before-release-timeout\" says nothing here"),
        ("before-release-failed = \"abort\"", "\"before-release-failed\" says nothing here"),
        ("arbiter = \"keepalived\"\nbefore-active = [\"/x\"]", "keepalived has decided by then"),
        ("arbiter = \"keepalived\"\nbefore-release = [\"/x\"]", "keepalived has decided by then"),
    ] {
        let said = said(&with("group", &format!("{keys}\n")));
        assert!(said.contains(expected), "{keys}: {said}");
    }
    let said = said(&with("group", "before-release = [\"/x\"]\n"));
    assert!(!said.contains("third voter"), "{said}");
}
