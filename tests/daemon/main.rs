//! Real daemons against the emulated cloud: what a user of havipd sees.

mod lab;

use lab::{Lab, Options};

#[test]
fn the_survivor_takes_over_when_the_active_node_is_killed() {
    let lab = Lab::new(Options::default());
    let (a, b) = (lab.start(0), lab.start(1));
    a.wait_role("active");
    b.wait_role("backup");
    assert_eq!(lab.holder().as_deref(), Some("i-a"));
    a.signal(9);
    b.wait_role("active");
    assert_eq!(lab.holder().as_deref(), Some("i-b"));
}

#[test]
fn show() {
    let lab = Lab::new(Options::default());
    let (a, b) = (lab.start(0), lab.start(1));
    a.wait_role("active");
    b.wait_role("backup");
    a.signal(9);
    b.wait_role("active");
    eprintln!("{}\n{}\n{}", a.log(), b.log(), serde_json::to_string_pretty(&b.status()).unwrap());
}
