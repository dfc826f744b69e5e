//! `havipctl init` against the emulated cloud: in scripts, on a terminal, and where it must say no.

use crate::lab::{HAVIP, Lab, Options};
use crate::pty::Pty;
use havipd_lab::emulator::{Command as Order, EmulatorConfig, Permission};
use havipd_lab::simulation::cloud::{Fault, FaultRule, Scope};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A node of the emulated cloud on which nothing is configured.
struct Fresh {
    lab: Lab,
    dir: TempDir,
}

impl Fresh {
    fn new() -> Self {
        Self::of(Options::default())
    }

    fn of(options: Options) -> Self {
        Self { lab: Lab::new(options), dir: TempDir::new().unwrap() }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("havipd.toml")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_havipctl"));
        command.args(["init", "--endpoint", &format!("http://{}", self.lab.api())]);
        if !arguments.contains(&"--timeout") {
            command.args(["--timeout", "5s"]);
        }
        if !arguments.contains(&"--metadata-endpoint") {
            command.args(["--metadata-endpoint", self.lab.metadata()]);
        }
        command.arg("--out").arg(self.file()).args(arguments).env_clear().stdin(Stdio::null());
        command.env("BCE_ACCESS_KEY_ID", "ak-a").env("BCE_SECRET_ACCESS_KEY", "sk-a").env("HOME", self.dir.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        told(&self.command(arguments).output().unwrap())
    }

    /// What is there, by name.
    fn left(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Refused with that code, with all of these words, and nothing was written.
    fn refuses(&self, arguments: &[&str], code: i32, words: &[&str]) {
        let (ended, text) = self.run(arguments);
        assert_eq!(ended, Some(code), "{arguments:?}: {text}");
        words.iter().for_each(|word| assert!(text.contains(word), "{arguments:?}: {word:?} is not in {text}"));
        assert!(self.left().is_empty(), "{arguments:?} left {:?}", self.left());
    }

    /// Binds targets as somebody else does.
    fn bind(&self, instance: &str) {
        let output = Command::new(env!("CARGO_BIN_EXE_havipctl"))
            .args(["attach", HAVIP, "--instance", instance, "--force"])
            .args(["--endpoint", &format!("http://{}", self.lab.api())])
            .env_clear()
            .env("BCE_ACCESS_KEY_ID", "ak-a")
            .env("BCE_SECRET_ACCESS_KEY", "sk-a")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// What the daemon says of the file.
    fn checked(&self) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_havipd"));
        command.arg("--check-config").arg("--config").arg(self.file()).args(["--node", "a"]).env_clear();
        told(&command.output().unwrap())
    }

    fn toml(&self) -> toml::Table {
        fs::read_to_string(self.file()).unwrap().parse().unwrap()
    }
}

fn told(output: &Output) -> (Option<i32>, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

fn nodes(toml: &toml::Table) -> Vec<&str> {
    toml["node"].as_array().unwrap().iter().map(|node| node["name"].as_str().unwrap()).collect()
}

#[test]
fn two_options_make_a_file_that_the_daemon_accepts_without_a_warning() {
    let fresh = Fresh::new();
    let (code, text) = fresh.run(&["--havip", HAVIP, "--peer", "b", "--witness", "w=127.0.0.99"]);
    assert_eq!(code, Some(0), "{text}");
    let (code, check) = fresh.checked();
    assert_eq!(code, Some(0), "{check}");
    assert!(!check.contains("warning") && check.contains("majority, chosen by auto with 3 voters"), "{check}");
    let toml = fresh.toml();
    assert_eq!(nodes(&toml), ["a", "b", "w"]);
    assert_eq!(toml["node"][1]["instance"].as_str(), Some("i-b"));
    assert_eq!(toml["node"][1]["address"].as_str(), Some(fresh.lab.address(1).to_string().as_str()));
    assert_eq!(
        (toml["node"][0]["priority"].as_integer(), toml["node"][1]["priority"].as_integer()),
        (Some(150), Some(100))
    );
    assert_eq!(toml["node"][2]["witness"].as_bool(), Some(true));
    assert_eq!(toml["cloud"]["region"].as_str(), Some("bj"));
    assert_eq!(toml["group"][0]["havip"][0]["id"].as_str(), Some(HAVIP));
    // The file is for everybody, the key for nobody, and no secret is in what was said or written.
    let key = fresh.dir.path().join("heartbeat.key");
    assert_eq!((mode(&fresh.file()), mode(&key) & 0o037), (0o644, 0));
    let secret = fs::read_to_string(&key).unwrap();
    let written = fs::read_to_string(fresh.file()).unwrap();
    for secret in [secret.trim(), "sk-a"] {
        assert!(!text.contains(secret) && !written.contains(secret));
    }
    for said in
        ["in, UDP port 11200, from 127.", "this shell's environment, which the service does not have", "havipctl join"]
    {
        assert!(text.contains(said), "{said:?} is not in {text}");
    }
}

#[test]
fn an_answer_that_nobody_gives_is_named_with_what_it_could_be() {
    let fresh = Fresh::new();
    fresh.refuses(&[], 64, &["--havip ID", HAVIP, "--peer WHO", "i-b (b)"]);
    fresh.refuses(&["--yes"], 64, &["--peer WHO", "i-c (c)"]);
    fresh.refuses(&["--havip", "havip-elsewhere", "--peer", "b"], 1, &["is no HAVIP of vpc-sandbox", HAVIP]);
    fresh.refuses(&["--havip", HAVIP, "--peer", "nobody"], 1, &["no instance of vpc-sandbox is called \"nobody\""]);
    fresh.refuses(&["--havip", HAVIP, "--peer", "i-a"], 1, &["i-a is this node itself"]);
    fresh.refuses(&["--havip", HAVIP, "--peer", "i-zzz"], 1, &["the cloud does not know i-zzz in this region"]);
    fresh.refuses(&["--havip", HAVIP, "--peer", "x=127.9.9.9", "--peer", "y=127.9.9.9"], 1, &["x and y are one node"]);
    fresh.refuses(&["--havip", HAVIP, "--peer", "b", "--priority", "z=1"], 64, &["z is no node", "a and b"]);
    let json = fresh.command(&["--json"]).output().unwrap();
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert!(json["code"] == 64 && json["message"].as_str().unwrap().contains("--havip ID"), "{json}");
}

#[test]
fn those_who_are_bound_are_the_nodes() {
    let fresh = Fresh::new();
    fresh.bind("i-b");
    let (code, text) = fresh.run(&["--yes"]);
    assert_eq!((code, nodes(&fresh.toml())), (Some(0), vec!["a", "b"]), "{text}");
}

#[test]
fn a_havip_that_somebody_else_has_is_told_before_it_is_a_fault() {
    let fresh = Fresh::new();
    fresh.bind("i-c");
    let told = ["is bound to i-c, which is no node of this cluster", "--peer i-c", "--strangers detach"];
    fresh.refuses(&["--havip", HAVIP, "--peer", "b"], 1, &told);
    let (code, text) = fresh.run(&["--havip", HAVIP, "--peer", "b", "--strangers", "detach"]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(fresh.toml()["group"][0]["havip"][0]["strangers"].as_str(), Some("detach"));
}

#[test]
fn nothing_that_is_there_is_written_over() {
    let fresh = Fresh::new();
    fs::write(fresh.file(), "mine").unwrap();
    let (code, text) = fresh.run(&["--havip", HAVIP, "--peer", "b"]);
    assert!(code == Some(1) && text.contains("is left alone"), "{text}");
    assert_eq!(
        (fs::read_to_string(fresh.file()).unwrap().as_str(), fresh.left()),
        ("mine", vec!["havipd.toml".into()])
    );
    // What would be written can be looked at all the same, and makes no key.
    let output = fresh.command(&["--havip", HAVIP, "--peer", "b", "--dry-run"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let printed: toml::Table = std::str::from_utf8(&output.stdout).unwrap().parse().unwrap();
    assert_eq!((nodes(&printed), fresh.left()), (vec!["a", "b"], vec!["havipd.toml".into()]));
}

#[test]
fn no_metadata_another_cloud_and_an_empty_vpc_are_told_apart() {
    let fresh = Fresh::new();
    let asked = ["--havip", HAVIP, "--peer", "b", "--metadata-endpoint"];
    let with = |service: &'static str| [&asked[..], &[service][..]].concat();
    fresh.refuses(&with("http://127.0.0.1:9"), 69, &["no metadata service answers", "--instance, --vpc and --address"]);
    // What is no node of the emulated cloud is answered 404, as another cloud answers for a key that it does not have.
    let other = format!("http://{}", fresh.lab.api());
    fresh.refuses(&[&asked[..], &[other.as_str()][..]].concat(), 1, &["may be in another cloud"]);
    fresh.refuses(&["--vpc", "vpc-empty", "--peer", "b"], 1, &["vpc-empty has no HAVIP in region bj"]);
    let given = ["--instance", "i-a", "--vpc", "vpc-sandbox", "--address", "127.0.0.1"];
    let (code, text) = fresh.run(&[&given[..], &with("http://127.0.0.1:9")[..]].concat());
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn a_refusal_names_what_is_to_be_allowed() {
    let fresh = Fresh::new();
    let flags = ["--havip", HAVIP, "--peer", "b"];
    let only_instances = Fault::Status {
        status: 403,
        code: "AccessDenied".into(),
        message: "no".into(),
        retry_after: None,
        applied: false,
    };
    fresh.lab.cloud.apply(Order::Fault { rule: FaultRule::new(Scope::Instance, only_instances) }).unwrap();
    fresh.refuses(&flags, 1, &["allow GET /v2/instance", "NAME=ADDRESS"]);
    let by_address = format!("b={}", fresh.lab.address(1));
    let (code, text) = fresh.run(&["--havip", HAVIP, "--peer", &by_address, "--dry-run"]);
    assert!(code == Some(0) && text.contains("could not be listed"), "{text}");
    fresh.lab.cloud.apply(Order::ClearFaults {}).unwrap();
    fresh.lab.cloud.apply(Order::Permission { access_key: "ak-a".into(), permission: Permission::Nothing }).unwrap();
    fresh.refuses(&flags, 77, &["allow GET /v1/havip (list HAVIPs)", "(env)"]);
    let mut unknown = fresh.command(&flags);
    let (code, text) = told(&unknown.env("BCE_SECRET_ACCESS_KEY", "sk-wrong").output().unwrap());
    assert!(code == Some(77) && text.contains("the keys are those of this shell's environment"), "{text}");
    assert!(!text.contains("sk-wrong"), "{text}");
}

#[test]
fn a_cloud_that_hangs_is_not_waited_for() {
    let fresh = Fresh::new();
    fresh.lab.cloud.apply(Order::Fault { rule: FaultRule::new(Scope::List, Fault::Hang) }).unwrap();
    fresh.refuses(&["--havip", HAVIP, "--peer", "b", "--timeout", "1s"], 69, &["--region or --endpoint"]);
}

#[test]
fn a_clock_that_is_off_is_noted() {
    let fresh = Fresh::new();
    fresh.lab.cloud.apply(Order::Clock { offset_ms: 120_000 }).unwrap();
    let (code, text) = fresh.run(&["--havip", HAVIP, "--peer", "b"]);
    assert!(code == Some(0) && text.contains("s behind the cloud's"), "{text}");
}

#[test]
fn what_names_of_the_cloud_do_to_a_terminal_is_nothing() {
    let evil = |config: &mut EmulatorConfig| {
        config.world.havips[0].name = "web\u{1b}]0;owned\u{7}\n[cluster]".to_owned();
        config.world.instances[1].name = "b\u{1b}[2J\nid = \"x\"".to_owned();
    };
    let fresh = Fresh::of(Options { world: Some(evil), ..Options::default() });
    let (code, text) = fresh.run(&[]);
    assert!(code == Some(64) && !text.contains(['\u{1b}', '\u{7}']), "{text:?}");
    let (code, text) = fresh.run(&["--havip", HAVIP, "--peer", "i-b"]);
    assert!(code == Some(0) && !text.contains(['\u{1b}', '\u{7}']), "{text:?}");
    let written = fs::read_to_string(fresh.file()).unwrap();
    assert!(!written.contains(['\u{1b}', '\u{7}']), "{written}");
    // Such names are nobody's name here.
    assert_eq!(nodes(&fresh.toml()), ["a", "i-b"]);
    assert_eq!(fresh.toml()["cluster"]["name"].as_str(), Some(HAVIP));
    assert_eq!(fresh.checked().0, Some(0));
}

#[test]
fn what_the_page_on_the_sandbox_shows_works() {
    let page = include_str!("../../docs/sandbox.md").split("## A first configuration").nth(1).unwrap();
    let block = |fence: &str| page.split(fence).nth(1).unwrap().split("```").next().unwrap();
    let mut config: EmulatorConfig = toml::from_str(block("```toml")).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:18089");
    config.listen.set_port(0);
    let (_cloud, endpoint, _, _stop) = crate::lab::serve(config, "web-1");
    let dir = TempDir::new().unwrap();
    let line = |program: &str| -> Vec<String> {
        let line = block("```sh").lines().find(|line| line.starts_with(program)).unwrap();
        line.split(' ').skip(1).map(|word| word.replace("$CLOUD", &endpoint)).collect()
    };
    let answers = page.split("the options\nanswer: `").nth(1).unwrap().split('`').next().unwrap().split(' ');
    let run = |program: &str, arguments: Vec<String>| {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().env("BCE_ACCESS_KEY_ID", "ak").env("BCE_SECRET_ACCESS_KEY", "sk");
        told(&command.current_dir(dir.path()).stdin(Stdio::null()).output().unwrap())
    };
    let init = [line("havipctl init"), answers.map(str::to_owned).collect()].concat();
    let (code, text) = run(env!("CARGO_BIN_EXE_havipctl"), init);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = run(env!("CARGO_BIN_EXE_havipd"), line("havipd --config"));
    assert!(code == Some(0) && text.starts_with("this node is web-1, by its address 127.0.0.1"), "{text}");
}

/// Somebody at a terminal.
struct Person {
    pty: Pty,
    child: std::process::Child,
}

impl Person {
    fn at(fresh: &Fresh) -> Self {
        let pty = Pty::open();
        let program = fresh.command(&[]);
        // A session of its own, whose terminal this is: Ctrl-C is then what it is for everybody.
        // A person who runs the tests may have it ignored.
        let mut command = Command::new("env");
        command
            .args(["--default-signal=INT", "setsid", "--wait", "--ctty"])
            .arg(program.get_program())
            .args(program.get_args())
            .env_clear();
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("PATH", std::env::var("PATH").unwrap());
        command.stdin(pty.end()).stdout(pty.end()).stderr(pty.end());
        let child = command.spawn().unwrap();
        Self { pty, child }
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn on_a_terminal_it_asks_until_it_understands() {
    let fresh = Fresh::new();
    let mut person = Person::at(&fresh);
    person.pty.shows(&format!("1  {HAVIP}"));
    person.pty.shows(&format!("[{HAVIP}]: "));
    person.pty.types("7\n");
    person.pty.shows("\"7\" is not in the list");
    person.pty.types("1\n");
    person.pty.shows("i-b (b)");
    person.pty.shows("NAME=ADDRESS): ");
    person.pty.types("nobody\n");
    person.pty.shows("no instance of vpc-sandbox is called");
    person.pty.types("db=b\n");
    person.pty.shows("A witness");
    person.pty.types("w=127.0.0.99\n");
    person.pty.shows("Name of the cluster");
    person.pty.types("prod web\n");
    person.pty.shows("is not a name");
    person.pty.types("prod-web\n");
    person.pty.shows("[a]: ");
    person.pty.types("db\n");
    // Where the line is broken depends on the name of the file.
    person.pty.shows("written,");
    // A command is never broken into lines.
    person.pty.shows(&format!("havipctl join --config {} --expect ", fresh.file().display()));
    assert!(person.child.wait().unwrap().success());
    let toml = fresh.toml();
    assert_eq!((nodes(&toml), toml["cluster"]["name"].as_str()), (vec!["a", "db", "w"], Some("prod-web")));
    assert_eq!(
        (toml["node"][0]["priority"].as_integer(), toml["node"][1]["priority"].as_integer()),
        (Some(100), Some(150))
    );
    assert_eq!(fresh.checked().0, Some(0));
}

#[test]
fn ctrl_c_and_the_end_of_the_answers_leave_nothing() {
    let fresh = Fresh::new();
    for (key, ended) in [("\u{3}", "^C"), ("\u{4}", "nothing is written")] {
        let mut person = Person::at(&fresh);
        person.pty.shows(&format!("[{HAVIP}]: "));
        person.pty.types("1\n");
        person.pty.shows("NAME=ADDRESS): ");
        person.pty.types(key);
        person.pty.shows(ended);
        let status = person.child.wait().unwrap();
        assert!(!status.success() || status.signal().is_some(), "{status:?}");
        assert!(fresh.left().is_empty(), "{:?}", fresh.left());
    }
}
