//! The failover that `docs/one-failover.md` walks through, in a real sandbox: every command of the page runs,
//! in the page's order, ends with the exit code that the page states, and says what the page says it says.
//!
//! `WRITE=1 cargo test --test operations` puts the new output, and the drawing, into the page.
//! Figures differ from run to run; what is compared is [`shape`].

#![expect(clippy::unwrap_used, reason = "a test that panics here has failed")]

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/one-failover.md");
const DRAWING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/failover.svg");

/// What happens to the cluster: the daemon of a is killed, others serve, and somebody starts it again.
const SCRIPT: &str = "\
wait active a
wait up a
pause 2s
kill a
wait active b
pause 1s
note alert
pause 30s
start a
wait up a
pause 3s
note mended
pause 60s
";

/// One command of the walk.
struct Step {
    /// The note of the script after which it is given.
    after: &'static str,
    /// On which node.
    node: &'static str,
    arguments: &'static [&'static str],
    code: i32,
    /// What its output must have, here and on the page, once figures are left out.
    says: &'static [&'static str],
}

const WALK: &[Step] = &[
    Step {
        after: "alert",
        node: "c",
        arguments: &["status", "--check"],
        code: 1,
        says: &["peer a: the session is down", "web: without b only N of N nodes is left, which is no majority"],
    },
    Step {
        after: "alert",
        node: "b",
        arguments: &["status"],
        code: 0,
        says: &["! peer a: the session is down", "web active b N", "a down", "c up", "held by i-b"],
    },
    Step {
        after: "alert",
        node: "b",
        arguments: &["why", "web"],
        code: 0,
        says: &["b is active for web", "a is dead; heard", "the cloud says that i-b (this node) has havip-sandbox"],
    },
    Step {
        after: "alert",
        node: "b",
        arguments: &["history", "web", "--since", "1m", "--svg", "failover.svg"],
        code: 0,
        says: &[
            "web backup -> claiming",
            "(peer-dead, a) a was active and is silent for its dead time",
            "last heartbeat of a heard",
            "a suspected: a heartbeat is missing",
            "a dead",
            "asks a majority for epoch N (peer-dead)",
            "epoch N begins, of those stored ahead",
            "attach of i-b sent",
            "write answered",
            "read back: holder i-b",
            "active (confirmed)",
        ],
    },
    Step {
        after: "alert",
        node: "c",
        arguments: &["history", "web", "-n", "1"],
        code: 0,
        says: &["web moved: b is active (epoch N), before it a"],
    },
    Step {
        after: "alert",
        node: "b",
        arguments: &["doctor"],
        code: 1,
        says: &[
            "failed peer.a a is not heard",
            "-> see that havipd runs there",
            "ok group.web web is active on b",
            "failed failover.web if b failed now, web would stay down",
        ],
    },
    Step { after: "mended", node: "b", arguments: &["status", "--check"], code: 0, says: &["ok"] },
    Step {
        after: "mended",
        node: "b",
        arguments: &["doctor"],
        code: 0,
        says: &["ok peer.a a is heard", "ok failover.web if b failed now, a would take web over", "N failed,"],
    },
    Step {
        after: "mended",
        node: "b",
        arguments: &["drill", "web", "--repeat", "3", "--yes"],
        code: 0,
        says: &["move N of N: b -> ", "in N ms", "ms min median pN max count", "web is active on b; the cloud"],
    },
];

/// The sandbox, ended when dropped.
struct Sandbox {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    directory: TempDir,
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_raw(self.child.id() as i32).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

impl Sandbox {
    fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let script = directory.path().join("script");
        std::fs::write(&script, SCRIPT).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_havipctl"));
        command.arg("sandbox").arg("--script").arg(&script).arg("--json").env("TMPDIR", directory.path());
        let mut child =
            command.env_remove("NOTIFY_SOCKET").stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, directory }
    }

    /// Waits until the script has said `note`.
    fn wait(&mut self, note: &str) {
        let said = |line: &str| line.contains("\"note\"") && line.contains(&format!("\"{note}\""));
        for line in self.lines.by_ref() {
            let line = line.unwrap();
            assert!(!line.contains("\"failed\""), "{line}");
            if said(&line) {
                return;
            }
        }
        panic!("the sandbox ended before {note:?}");
    }

    fn socket(&self, node: &str) -> PathBuf {
        let entries = std::fs::read_dir(self.directory.path()).unwrap().map(|e| e.unwrap().path());
        let mut sandboxes = entries.filter(|p| p.is_dir());
        sandboxes.next().unwrap().join(node).join("run/control.sock")
    }

    fn run(&self, step: &Step) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_havipctl"));
        command.arg("--socket").arg(self.socket(step.node)).args(step.arguments).current_dir(self.directory.path());
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        // The one thing that only this machine has.
        let text = text.replace(self.directory.path().to_str().unwrap(), "/tmp");
        (output.status.code().unwrap(), text.trim_end().to_owned())
    }
}

/// Numbers become N, bars and runs of blanks one blank.
fn shape(text: &str) -> String {
    let mut out = String::new();
    let mut number = false;
    for c in text.chars() {
        match c {
            '0'..='9' => {
                if !std::mem::replace(&mut number, true) {
                    out.push('N');
                }
            }
            '.' if number => {}
            '#' | '|' | ' ' | '\n' => {
                number = false;
                if !out.ends_with(' ') {
                    out.push(' ');
                }
            }
            _ => {
                number = false;
                out.push(c);
            }
        }
    }
    out
}

fn prompt(step: &Step) -> String {
    format!("{}$ havipctl {}", step.node, step.arguments.join(" "))
}

/// The page's blocks: command line, output, exit code.
fn blocks(page: &str) -> Vec<(String, String, i32)> {
    let parts = page.split("```console\n").skip(1).map(|part| part.split("\n```").next().unwrap());
    let block = |text: &str| {
        let (command, rest) = text.split_once('\n').unwrap();
        let (output, code) = rest.rsplit_once("(exit ").unwrap();
        (command.to_owned(), output.trim_end().to_owned(), code.trim_end_matches(')').parse().unwrap())
    };
    parts.map(block).collect()
}

fn written(page: &str, outputs: &[(i32, String)]) -> String {
    let mut parts = page.split("```console\n");
    let mut text = parts.next().unwrap().to_owned();
    for (part, (step, (code, output))) in parts.zip(WALK.iter().zip(outputs)) {
        let rest = part.split_once("\n```").unwrap().1;
        let _ = write!(text, "```console\n{}\n{output}\n(exit {code})\n```{rest}", prompt(step));
    }
    text
}

#[test]
fn the_page_walks_a_real_failover() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let commands: Vec<String> = blocks(&page).into_iter().map(|(command, ..)| command).collect();
    assert_eq!(commands, WALK.iter().map(prompt).collect::<Vec<_>>(), "the page's commands are the walk's");

    let mut sandbox = Sandbox::start();
    let (mut phase, mut outputs) = ("", Vec::new());
    for step in WALK {
        if step.after != phase {
            phase = step.after;
            sandbox.wait(phase);
        }
        let (code, output) = sandbox.run(step);
        assert_eq!(code, step.code, "{}:\n{output}", prompt(step));
        let seen = shape(&output);
        for says in step.says {
            assert!(seen.contains(says), "{}: {says:?} is not in\n{output}\nwhich is\n{seen}", prompt(step));
        }
        outputs.push((code, output));
    }
    let drawing = std::fs::read_to_string(sandbox.directory.path().join("failover.svg")).unwrap();
    assert!(drawing.starts_with("<svg") && drawing.contains("last heartbeat of a heard"));
    if std::env::var_os("WRITE").is_some() {
        std::fs::write(PAGE, written(&page, &outputs)).unwrap();
        std::fs::write(DRAWING, drawing).unwrap();
    }
}

#[test]
fn the_page_says_what_the_commands_say() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    for (step, (command, output, code)) in WALK.iter().zip(blocks(&page)) {
        assert_eq!(code, step.code, "{command}");
        let seen = shape(&output);
        for says in step.says {
            assert!(seen.contains(says), "{command}: {says:?} is not in\n{output}");
        }
    }
    assert!(Path::new(DRAWING).exists() && page.contains("failover.svg"));
}
