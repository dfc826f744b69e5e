//! Maintenance that ends by itself, across a restart of the node that was told.

use crate::lab::{Lab, Options};

#[test]
fn maintenance_ends_by_itself_on_every_node_across_a_restart() {
    let lab = Lab::new(Options::default());
    let (mut a, b) = lab.pair();
    for wrong in [&["maintenance", "web", "off", "--for", "2h"][..], &["maintenance", "web", "on", "--for", "500ms"]] {
        assert_eq!(lab.ctl(0, wrong).status.code(), Some(64), "{wrong:?}");
    }
    let told = lab.ctl(0, &["maintenance", "web", "on", "--for", "6s"]);
    let text = String::from_utf8(told.stdout).unwrap();
    assert!(text.contains("this node ends it after 6 s"), "{text}");
    b.wait_for("hears of it", |s| s["groups"][0]["maintenance"] == true);
    let ends = a.group()["maintenance_ends_ms"].as_u64().expect("a knows when");
    assert!(ends <= 6_000, "{ends}");
    let shown = String::from_utf8(lab.ctl(0, &["status"]).stdout).unwrap();
    assert!(shown.contains("maintenance ends by itself in"), "{shown}");
    a.wait_for("has it on disk", |s| s["effects"]["state"]["unsaved"] == false);
    a.signal(9);
    a.ended();
    drop(a);
    let a = lab.start(0);
    a.wait_for("still knows", |s| {
        s["groups"][0]["maintenance"] == true
            && s["groups"][0]["maintenance_ends_ms"].as_u64().is_some_and(|ms| ms <= 6_000)
    });
    b.wait_for("hears that it is over", |s| s["groups"][0]["maintenance"] == false);
    a.wait_log("maintenance has ended by itself, after 6 s");
}
