//! The shipped completions, in a real bash, of a running daemon.

use crate::lab::{Lab, Options};
use std::path::Path;
use std::process::Command;

/// What bash offers for the last of `words`.
fn offered(words: &[&str]) -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/completions/havipctl.bash");
    let quoted: Vec<String> = words.iter().map(|w| format!("'{w}'")).collect();
    let ask = format!(
        "source '{}'; COMP_WORDS=({}); COMP_CWORD={}; \
         complete -p havipctl | grep -q -- '-F _havipctl_live ' || exit 9; \
         _havipctl_live \"${{COMP_WORDS[0]}}\" \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; \
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.display(),
        quoted.join(" "),
        words.len() - 1
    );
    let output = Command::new("bash").args(["--norc", "-c", &ask]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "silent, whatever happens");
    String::from_utf8(output.stdout).unwrap().lines().filter(|l| !l.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_completes_groups_and_nodes_of_the_running_daemon() {
    let lab = Lab::new(Options { more_groups: 2, ..Options::default() });
    let a = lab.start(0);
    a.wait_for("answers", |_| true);
    let socket = a.socket();
    let words = |more: &[&str]| {
        let words = [&[env!("CARGO_BIN_EXE_havipctl"), "--socket", socket.to_str().unwrap()], more].concat();
        offered(&words)
    };
    assert_eq!(words(&["why", ""]), ["web", "g0", "g1"]);
    assert_eq!(words(&["why", "g"]), ["g0", "g1"]);
    assert_eq!(words(&["drain", "--wait", "w"]), ["web"]);
    assert_eq!(words(&["switchover", "web", "--to", ""]), ["a", "b"]);
    assert_eq!(words(&["switchover", "--to", "b", "w"]), ["web"]);
    // What is no name is completed as before.
    assert!(!words(&["maintenance", "web", ""]).contains(&"web".to_owned()), "only the first word is a group");
    assert!(words(&["stat"]).contains(&"status".to_owned()));
    assert!(words(&["why", "--js"]).contains(&"--json".to_owned()));
    drop(a);
    assert_eq!(words(&["why", ""]), [""; 0], "nobody to ask");
}
