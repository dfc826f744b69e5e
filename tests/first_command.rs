//! What README's commands do on a machine that has little: `packaging/toolchain.sh` with programs that only say how they
//! were called. In a real minimal system: `packaging/test/first-command`.

#![expect(clippy::unwrap_used, reason = "a test that panics here has failed")]

#[path = "support/script.rs"]
mod script;

use script::script;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What the script uses of the system; everything else is missing.
const SYSTEM: [&str; 13] =
    ["bash", "cut", "env", "find", "flock", "head", "mkdir", "mktemp", "rm", "sed", "sort", "grep", "chown"];

/// A machine without anything.
struct Machine {
    directory: TempDir,
}

struct Ended {
    code: Option<i32>,
    stderr: String,
    /// Every call of a stub, in order.
    calls: Vec<String>,
    stdout: String,
}

impl Machine {
    fn bare() -> Self {
        let machine = Self { directory: TempDir::new().unwrap() };
        fs::create_dir_all(machine.path("bin")).unwrap();
        fs::create_dir_all(machine.path("home")).unwrap();
        for name in SYSTEM {
            let found = ["/usr/bin", "/bin"].iter().map(|d| Path::new(d).join(name)).find(|p| p.exists()).unwrap();
            symlink(found, machine.path("bin").join(name)).unwrap();
        }
        fs::write(machine.path("Cargo.toml"), "rust-version = \"1.95\"\n").unwrap();
        machine.program("bin/id", "echo 0");
        machine.program("bin/apt-get", "");
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A program that notes how it was called, then does `body`.
    fn program(&self, name: &str, body: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let note = if name == "bin/id" { "" } else { "echo \"${0##*/} $*\" >>\"$CALLS\"" };
        script(&path, &format!("#!{}/bin/bash\n{note}\n{body}\n", self.directory.path().display()));
    }

    fn cargo(&self, place: &str, version: &str) {
        self.program(&format!("{place}/cargo"), &format!("echo 'cargo {version}'"));
    }

    /// A compiler that links.
    fn compiler(&self) {
        self.program("bin/cc", "");
    }

    fn run(&self, variables: &[(&str, &str)]) -> Ended {
        let all = "need_compiler; need_rust; install_missing; echo \"${CARGO_HOME-none}\"; command -v cargo";
        self.run_script(all, variables)
    }

    fn run_script(&self, script: &str, variables: &[(&str, &str)]) -> Ended {
        let script = format!(". {ROOT}/packaging/toolchain.sh; {script}");
        let mut command = Command::new(self.path("bin/bash"));
        command.args(["-euo", "pipefail", "-c", &script, "tests/run"]).current_dir(self.directory.path()).env_clear();
        command.env("PATH", self.path("bin")).env("HOME", self.path("home")).env("CALLS", self.path("calls"));
        let output = command.envs(variables.iter().copied()).stdin(Stdio::null()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        Ended {
            code: output.status.code(),
            stderr: text(output.stderr),
            stdout: text(output.stdout),
            calls: calls
                .lines()
                .filter(|c| !c.starts_with("cargo ") && !c.starts_with("cc "))
                .map(Into::into)
                .collect(),
        }
    }
}

#[test]
fn a_compiler_that_cannot_link_gets_the_headers_of_libc() {
    let machine = Machine::bare();
    machine.program("bin/cc", "exit 1");
    machine.cargo("bin", "1.95.0 (abc 2026-01-01)");
    let ended = machine.run(&[]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.calls[0], "apt-get update -q");
    assert!(
        ended.calls[1].starts_with("apt-get install -q -y --no-install-recommends gcc libc6-dev"),
        "{:?}",
        ended.calls
    );
}

#[test]
fn nothing_is_installed_where_nothing_is_missing() {
    let machine = Machine::bare();
    machine.compiler();
    machine.cargo("bin", "1.100.0");
    let ended = machine.run(&[]);
    assert_eq!((ended.code, ended.calls), (Some(0), vec![]), "{}", ended.stderr);
}

#[test]
fn lists_that_cannot_be_fetched_are_said_and_do_not_end_it() {
    let machine = Machine::bare();
    machine.program("bin/apt-get", "[ \"$1\" != update ]");
    machine.cargo("bin", "1.95.0");
    let ended = machine.run(&[]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("tests/run: apt-get update failed"), "{}", ended.stderr);
    assert_eq!(ended.calls.len(), 2, "{:?}", ended.calls);
}

#[test]
fn a_user_who_is_not_root_installs_by_sudo_or_is_told_what_to_install() {
    let machine = Machine::bare();
    machine.program("bin/id", "echo 1000");
    machine.cargo("bin", "1.95.0");
    let ended = machine.run(&[]);
    assert_eq!((ended.code, ended.calls.len()), (Some(77), 0), "{}", ended.stderr);
    assert!(ended.stderr.contains("As root: apt-get update && apt-get install gcc libc6-dev"), "{}", ended.stderr);
    machine.program("bin/sudo", "\"$@\"");
    let ended = machine.run(&[]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let sudo: Vec<_> = ended.calls.iter().filter(|c| c.starts_with("sudo ")).collect();
    assert_eq!(sudo[0], "sudo apt-get update -q");
    assert!(sudo[1].starts_with("sudo env DEBIAN_FRONTEND=noninteractive apt-get install"), "{sudo:?}");
}

#[test]
fn with_dnf_the_packages_have_their_names_there() {
    let machine = Machine::bare();
    fs::remove_file(machine.path("bin/apt-get")).unwrap();
    machine.cargo("bin", "1.95.0");
    let ended = machine.run(&[]);
    assert_eq!(ended.code, Some(69), "{}", ended.stderr);
    assert!(ended.stderr.contains("neither apt-get nor dnf"), "{}", ended.stderr);
    machine.program("bin/dnf", "");
    let ended = machine.run(&[]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.calls[0].starts_with("dnf install -q -y gcc glibc-devel"), "{:?}", ended.calls);
}

#[test]
fn rust_is_found_in_the_home_and_under_sudo_in_the_callers() {
    let machine = Machine::bare();
    machine.compiler();
    // What a distribution has is often too old.
    machine.cargo("bin", "1.63.0");
    machine.cargo("home/.cargo/bin", "1.95.1");
    let found = machine.run(&[]);
    assert_eq!(found.code, Some(0), "{}", found.stderr);
    assert_eq!(found.stdout, format!("none\n{}\n", machine.path("home/.cargo/bin/cargo").display()));

    fs::remove_dir_all(machine.path("home/.cargo")).unwrap();
    machine.cargo("caller/.cargo/bin", "1.95.1");
    machine.program("bin/getent", &format!("echo u:x:1000:1000::{}:/bin/sh", machine.path("caller").display()));
    let found = machine.run(&[("SUDO_USER", "u"), ("SUDO_UID", "1000")]);
    assert_eq!(found.code, Some(0), "{}", found.stderr);
    let home = machine.path("caller/.cargo");
    assert_eq!(found.stdout, format!("{}\n{}\n", home.display(), home.join("bin/cargo").display()));
}

#[test]
fn what_was_built_under_sudo_is_given_back() {
    let machine = Machine::bare();
    let caller = machine.path("caller");
    machine.program("bin/getent", &format!("echo u:x:1000:1000::{}:/bin/sh", caller.display()));
    fs::remove_file(machine.path("bin/chown")).unwrap();
    machine.program("bin/chown", "");
    let built =
        [machine.path("target/debug"), caller.join(".cargo/registry"), machine.path("target/packaging/debian/etc")];
    built.iter().for_each(|place| fs::create_dir_all(place).unwrap());
    let caller = caller.to_str().unwrap();
    let sudo = [("SUDO_USER", "u"), ("SUDO_UID", "1000"), ("SUDO_GID", "1001")];
    let cargo_home = format!("{caller}/.cargo");
    // As `sudo -E` has it, and as `sudo` does, where the caller's Rust was found.
    for named in [("HOME", caller), ("CARGO_HOME", cargo_home.as_str())] {
        let ended = machine.run_script("give_back", &[&sudo[..], &[named]].concat());
        let given = ended.calls.last().unwrap();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(given.starts_with("chown -h 1000:1001 target ") && given.contains("target/debug"), "{given}");
        assert!(given.contains(&format!("{caller}/.cargo/registry")), "{given}");
        assert!(!given.contains("debian"), "a tree of another system: {given}");
        fs::remove_file(machine.path("calls")).unwrap();
    }
    let ended = machine.run_script("give_back", &[]);
    assert_eq!((ended.code, ended.calls), (Some(0), vec![]), "not under sudo");
}

#[test]
fn rust_is_not_installed_without_being_asked_for() {
    let machine = Machine::bare();
    machine.compiler();
    machine.cargo("bin", "1.63.0");
    let ended = machine.run(&[]);
    assert_eq!(ended.code, Some(69), "{}", ended.stderr);
    let text = "tests/run: Rust 1.95 or newer is missing. Install it from https://rustup.rs, or let this do it: \
                tests/run --yes";
    assert!(ended.stderr.contains(text), "{}", ended.stderr);
    assert!(!ended.calls.iter().any(|c| c.starts_with("curl ")), "{:?}", ended.calls);
}

#[test]
fn rust_is_installed_once_that_is_agreed_to() {
    let machine = Machine::bare();
    machine.compiler();
    machine.cargo("made", "1.95.0");
    let installs = "echo 'mkdir -p $HOME/.cargo/bin && mv made/cargo $HOME/.cargo/bin/cargo'";
    machine.program("bin/curl", installs);
    for name in ["sh", "mv"] {
        symlink(Path::new("/bin").join(name), machine.path("bin").join(name)).unwrap();
    }
    let ended = machine.run(&[("yes", "1")]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.ends_with(&format!("{}\n", machine.path("home/.cargo/bin/cargo").display())));
}

#[test]
fn the_commands_of_the_readme_are_there() {
    let readme = fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    for (heading, command) in [("## Try it", "packaging/sandbox"), ("## Run all tests", "tests/run")] {
        let rest = &readme[readme.find(heading).unwrap()..];
        let block = rest.split("```sh\n").nth(1).unwrap();
        assert_eq!(block.split("```").next().unwrap().trim(), command, "under {heading}");
        let mode = fs::metadata(Path::new(ROOT).join(command)).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{command} cannot be run");
    }
}
