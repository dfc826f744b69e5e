//! Scripts: the built-in one under every profile, actions of all kinds, and what fails.

use crate::harness::{Ended, run, run_script};
use crate::script::script;
use havipd_lab::simulation::cloud::Profile;
use std::thread;

fn passed(ended: &Ended, what: &str) {
    assert_eq!(ended.code, Some(0), "{what}:\n{}\n{}", ended.stdout, ended.stderr);
    assert_eq!(ended.left, [""; 0], "{what}");
}

/// The steps of a move, in the order in which they were printed.
fn steps(stdout: &str, title: &str) -> Vec<(f64, String)> {
    let lines = stdout.lines().skip_while(|l| !l.starts_with(title)).skip(1).take_while(|l| !l.is_empty());
    lines
        .map(|line| {
            let (ms, text) = line.split_once(" ms  ").unwrap();
            (ms.trim().parse().unwrap(), text.to_owned())
        })
        .collect()
}

#[test]
fn failover_ends_well_and_prints_the_timeline_of_every_move() {
    let ended = run(&["--script", "failover"]);
    passed(&ended, "failover");
    let steps = steps(&ended.stdout, "move 1: a -> b");
    assert!(steps.is_sorted_by(|a, b| a.0 <= b.0), "{steps:?}");
    let at = |what: &str| {
        let step = steps.iter().find(|(_, text)| text.contains(what));
        step.unwrap_or_else(|| panic!("no {what:?} in {steps:#?}")).0
    };
    assert!(at("last heartbeat of a reaches b") < at("b claiming (peer-dead)"));
    assert_eq!(at("a is killed (SIGKILL)").to_bits(), 0f64.to_bits());
    assert!(at("b claiming (peer-dead)") <= at("attach of b reaches the cloud: 200"));
    assert!(at("attach of b reaches the cloud: 200") <= at("b active (confirmed)"));
    assert!(at("packets go to b") > 0.0);
    assert!(ended.stdout.contains("move 2: b -> a"), "{}", ended.stdout);
    assert!(ended.stdout.contains("move 3: a -> "), "{}", ended.stdout);
}

#[test]
fn the_havip_follows_under_every_profile_that_can_be_won() {
    let profiles: Vec<String> = Profile::all().into_iter().filter(Profile::winnable).map(|p| p.name).collect();
    assert!(profiles.len() >= 8);
    // Two at a time: each is four processes.
    for pair in profiles.chunks(2) {
        thread::scope(|scope| {
            for profile in pair {
                scope.spawn(move || {
                    passed(&run(&["--script", "failover", "--profile", profile]), profile);
                });
            }
        });
    }
}

#[test]
fn two_nodes_let_the_cloud_decide() {
    let ended = run(&["--script", "failover", "--nodes", "2"]);
    passed(&ended, "two nodes");
    assert!(ended.stdout.contains("b asks the cloud who has the HAVIP"), "{}", ended.stdout);
}

#[test]
fn steps_have_their_effect() {
    let text = "
        wait active
        expect active a
        partition a                  # it loses its lease; the others have a majority
        wait active b
        expect moves 1
        heal
        wait up a
        expect active b
        api active 500               # a broken API alone moves nothing
        pause 1s
        expect holder b
        api all ok
        drain b
        wait active a
        undrain b
        stop a                       # frozen: dead to the others
        wait active
        cont previous
        wait up a
        within 10s expect packets active
        term active                  # leaves in order: hands over first
        wait holder standby
        wait active
        start previous
        wait up previous
        profile no-flags
        switchover previous
        expect packets active";
    let ended = run_script(text, &[]);
    passed(&ended, "deeds");
}

#[test]
fn one_way_deafness_moves_nothing_from_a_holder_that_is_heard() {
    let text = "
        wait active a
        wait up b
        partition b -> a,w
        pause 5s
        expect active a
        expect moves 0
        heal
        wait up b";
    passed(&run_script(text, &["--nodes", "2", "--witness"]), "one way");
}

#[test]
fn an_expectation_that_is_wrong_ends_with_1_and_the_logs() {
    let ended = run_script("wait active\nexpect moves 7", &[]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let all = [
        "FAILED: line 2: expect moves 7: is not so: active: a; master: a; packets to: a; moves: 0",
        "end of the log of c",
    ];
    for expected in all {
        assert!(ended.stdout.contains(expected), "no {expected:?} in:\n{}", ended.stdout);
    }
    assert_eq!(ended.left, [""; 0]);
}

#[test]
fn a_wait_that_is_in_vain_ends_with_1_in_time() {
    let ended = run_script("wait active\nwithin 300ms wait active c", &[]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stdout.contains("within 300ms wait active c: was not so within 300 ms"), "{}", ended.stdout);
}

#[test]
fn a_deed_without_sense_ends_with_1() {
    let ended = run_script("wait active\nstart a", &[]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stdout.contains("start a: a runs already"), "{}", ended.stdout);
}

#[test]
fn what_cannot_be_read_starts_nothing() {
    let ended = run_script("klil a\nwait active q", &[]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(64), ""), "{}", ended.stderr);
    assert!(ended.stderr.contains("script:1:1: there is no command \"klil\""), "{}", ended.stderr);
    assert!(ended.stderr.contains("script:2:13: there is no node \"q\""), "{}", ended.stderr);
    let missing = run(&["--script", "/nonexistent/script"]);
    assert_eq!(missing.code, Some(64), "{}", missing.stderr);
    let two = run(&["--arbiter", "majority", "--nodes", "2"]);
    assert_eq!(two.code, Some(64), "{}", two.stderr);
}

#[test]
fn a_daemon_that_cannot_be_started_is_said_so() {
    for (program, says) in [
        ("/nonexistent/havipd", "\"/nonexistent/havipd\" cannot be run: No such file or directory"),
        ("no-such-havipd", "no directory of PATH has a program \"no-such-havipd\""),
        ("./Cargo.toml", "\"./Cargo.toml\" is not a program"),
    ] {
        let ended = run(&["--script", "failover", "--havipd", program]);
        assert_eq!(ended.code, Some(64), "{}", ended.stderr);
        assert!(ended.stderr.contains(says) && ended.stderr.contains("--havipd takes the path"), "{}", ended.stderr);
        assert_eq!(ended.left, [""; 0]);
    }
    let broken = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    script(&broken, "#!/nonexistent/shell\n");
    let ended = run(&["--script", "failover", "--havipd", broken.to_str().unwrap()]);
    assert_eq!(ended.code, Some(69), "{}", ended.stderr);
    assert!(ended.stderr.contains("cannot start the daemon of node a"), "{}", ended.stderr);
    assert_eq!(ended.left, [""; 0]);
}

#[test]
fn the_daemon_of_another_program_can_be_run() {
    // As somebody in a checkout writes it; the daemons themselves run in other directories.
    let here = std::env::current_dir().unwrap();
    let up = "../".repeat(here.components().count() - 1);
    let program = format!("{up}{}", env!("CARGO_BIN_EXE_havipd-lab").trim_start_matches('/'));
    let ended = run_script("wait active\nexpect holder active", &["--havipd", &program]);
    passed(&ended, "--havipd");
}

#[test]
fn json_is_one_object_a_line() {
    let directory_free = run_script("note begin\nwait active", &["--json"]);
    passed(&directory_free, "--json");
    let lines: Vec<serde_json::Value> =
        directory_free.stdout.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines[0]["note"], "begin");
    let told = lines.iter().find_map(|l| l.get("move")).expect("a move");
    assert_eq!((told["to"].as_str(), told["number"].as_u64()), (Some("a"), Some(0)), "the start is no move");
    assert!(told["steps"].as_array().is_some_and(|s| s.iter().all(|s| s["ms"].is_number())));
}

/// Where announcements move packets, a node that goes on after a stop must not take them back before it has spoken.
#[test]
fn a_node_that_was_frozen_takes_no_packets_back() {
    let text = "
        wait active a
        stop a
        wait active b
        pause 10s
        cont a
        wait up a
        pause 3s
        expect packets b
        expect moves 1";
    let ended = run_script(text, &["--nodes", "2", "--profile", "eventual"]);
    passed(&ended, "frozen");
}
