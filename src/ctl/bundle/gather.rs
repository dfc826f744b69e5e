//! What goes into the archive. Each part has its time, and what cannot be had is named and left out.

use super::super::history::{self, Source};
use super::Options;
use crate::control::client::Client;
use crate::control::protocol::{Code, Request, Response};
use crate::state;
use crate::status::Status;
use serde_json::Value;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

/// How long the daemon may take for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a program may take; doctor asks the cloud.
const PROGRAM: Duration = Duration::from_secs(60);
/// Lines of the log.
const LOG_LINES: &str = "5000";
/// Groups whose `why` is asked.
const MOST_WHYS: usize = 50;
/// What is asked of the unit; not its environment, which may hold credentials.
const PROPERTIES: &str = "--property=Id,LoadState,ActiveState,SubState,Result,NRestarts,MainPID,ExecMainStartTimestamp,\
                          ExecMainExitTimestamp,ExecMainStatus,WatchdogUSec,TimeoutStopUSec,FragmentPath,DropInPaths,User";

/// One file of the archive.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) text: String,
}

/// The configuration file that the running daemon was started with, if one runs and may be looked at.
pub(super) fn file_of_daemon(socket: &Path) -> Option<PathBuf> {
    let status = Client::connect(socket, PATIENCE).ok()?.call(&Request::Status).ok()?;
    let process = PathBuf::from(format!("/proc/{}", status.read::<Status>().ok()?.pid));
    let arguments = std::fs::read(process.join("cmdline")).ok()?;
    Some(std::fs::read_link(process.join("cwd")).ok()?.join(named_in(&arguments)?))
}

/// The value of `--config` in a command line as the kernel has it.
fn named_in(arguments: &[u8]) -> Option<PathBuf> {
    let mut words = arguments.split(|byte| *byte == 0);
    let word = words.find_map(|word| match word.strip_prefix(b"--config")? {
        [] => Some(None),
        [b'=', rest @ ..] => Some(Some(rest)),
        _ => None,
    })?;
    let value = word.or_else(|| words.next()).filter(|value| !value.is_empty())?;
    Some(PathBuf::from(OsStr::from_bytes(value)))
}

/// Every part, and in words what is missing or is not what it usually is.
pub(super) fn all(socket: &Path, options: &Options, config: &Path) -> (Vec<Member>, Vec<String>) {
    let mut parts = Parts::default();
    parts.put("havipd.toml", std::fs::read_to_string(config).map_err(|e| format!("{}: {e}", config.display())));
    let alive = parts.of_daemon(socket);
    parts.past(socket, options);
    for file in ["loadavg", "meminfo", "pressure/cpu", "net/dev", "net/snmp", "version"] {
        let name = format!("host-{}.txt", file.replace('/', "-"));
        parts.put(&name, std::fs::read_to_string(format!("/proc/{file}")).map_err(|e| e.to_string()));
    }
    let mut doctor = Command::new(std::env::current_exe().unwrap_or_else(|_| "havipctl".into()));
    doctor.arg("--socket").arg(socket).args(["--json", "doctor"]);
    if !alive {
        doctor.arg("--config").arg(config);
        doctor.args(options.node.iter().flat_map(|node| ["--node", node]));
    }
    parts.put("doctor.json", output(doctor));
    let mut unit = Command::new("systemctl");
    parts.put("unit.txt", output_of(unit.args(["--no-pager", "show", "havipd.service", PROPERTIES])));
    let mut log = Command::new("journalctl");
    let log = log.args(["--no-pager", "--output=short-iso", "--lines", LOG_LINES, "--unit=havipd.service"]);
    let advice = |why| if is_root() { why } else { format!("{why}; run it as root") };
    parts.put("log.txt", output_of(log).map_err(advice));
    (parts.members, parts.notes)
}

/// What was gathered so far.
#[derive(Debug, Default)]
struct Parts {
    members: Vec<Member>,
    notes: Vec<String>,
}

impl Parts {
    fn put(&mut self, name: &str, found: Result<String, String>) {
        match found {
            Ok(text) => self.members.push(Member { name: name.to_owned(), text }),
            Err(why) => self.notes.push(format!("without {name}: {why}")),
        }
    }

    /// What only a running daemon can say; whether there is one.
    fn of_daemon(&mut self, socket: &Path) -> bool {
        let mut client = Client::connect(socket, PATIENCE);
        let mut ask = |request: &Request| match &mut client {
            Ok(client) => client.call(request).map_err(|e| e.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let status = ask(&Request::Status);
        self.put("status.json", status.clone().and_then(json));
        let alive = status.is_ok();
        // One that still waits for its address has none yet, and has said so.
        let status = status.ok().filter(|answer| answer.code == Code::Done).map(|answer| answer.read::<Status>());
        let status = match status {
            Some(Ok(status)) => status,
            Some(Err(error)) => {
                self.notes.push(format!("without what status names: {error}"));
                return alive;
            }
            None => return alive,
        };
        for group in status.core.election.groups.iter().take(MOST_WHYS) {
            let why = ask(&Request::Why { group: group.name.clone() });
            self.put(&format!("why-{}.txt", group.name), why.map(|answer| answer.message));
        }
        for file in ["status", "limits", "stat", "sched"] {
            let text = std::fs::read_to_string(format!("/proc/{}/{file}", status.pid));
            self.put(&format!("proc-{file}.txt"), text.map_err(|e| e.to_string()));
        }
        alive
    }

    /// The history, which outlives the daemon, and with it what the daemon would begin with.
    fn past(&mut self, socket: &Path, options: &Options) {
        let past = history::past(socket, options.state.as_deref(), None);
        let data = past.as_ref().map_err(|refusal| refusal.message.clone());
        self.put("history.json", data.and_then(|p| serde_json::to_string_pretty(p).map_err(|e| e.to_string())));
        let Ok(Source::Journal { directory, why }) = past.map(|p| p.source) else { return };
        let why = why.map_or_else(String::new, |why| format!("{why}; "));
        self.notes.push(format!("{why}history.json is the journal in {}", directory.display()));
        let state = directory.join(state::FILE);
        self.put(state::FILE, std::fs::read_to_string(&state).map_err(|e| format!("{}: {e}", state.display())));
    }
}

fn json(answer: Response) -> Result<String, String> {
    if answer.code != Code::Done {
        return Err(answer.message);
    }
    serde_json::to_string_pretty::<Value>(&answer.data).map_err(|e| e.to_string())
}

fn output_of(command: &mut Command) -> Result<String, String> {
    let mut owned = Command::new(command.get_program());
    owned.args(command.get_args());
    output(owned)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// What a program prints, within its time. One that says no may still have something to say.
fn output(mut command: Command) -> Result<String, String> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.map_err(|e| format!("{}: {e}", command.get_program().display()))?;
    let pid = rustix::process::Pid::from_child(&child);
    let (tell, told) = sync_channel(1);
    std::thread::spawn(move || {
        let _ = tell.send(child.wait_with_output());
    });
    match told.recv_timeout(PROGRAM) {
        Ok(Ok(output)) if output.stdout.is_empty() => Err(complaint(&output)),
        Ok(Ok(output)) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => {
            // The thread reaps it.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            Err(format!("no end within {} s", PROGRAM.as_secs()))
        }
    }
}

/// Why a program printed nothing: the last thing that it complained of.
fn complaint(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    match text.lines().map(str::trim).rfind(|line| !line.is_empty()) {
        Some(line) => format!("{line} ({})", output.status),
        None => format!("it said nothing ({})", output.status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_a_daemon_is_what_its_command_line_names() {
        let of = |line: &str| named_in(line.as_bytes()).map(|path| path.display().to_string());
        assert_eq!(of("/usr/bin/havipd\0--node\0a\0--config\0/x/y.toml\0").as_deref(), Some("/x/y.toml"));
        assert_eq!(of("havipd\0--config=y.toml\0").as_deref(), Some("y.toml"));
        assert_eq!(of("havipd\0--config-other\0z\0--config\0"), None);
        assert_eq!(of("havipd\0"), None);
    }
}
