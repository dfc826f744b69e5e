//! What goes into the archive. Each part has its time, and what cannot be had is named and left out.

use super::super::history::{self, Source};
use super::Options;
use crate::control::client::{Client, ClientError};
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

/// What has the socket: asked once, however much is wanted, since one that is silent is silent to every question.
#[derive(Debug)]
pub(super) struct Daemon {
    /// Its status, and the connection for more; or why there is none, as `havipctl` exits and in words.
    answer: Result<(Client, Response), (Code, String)>,
    /// Its process, whether that answers or not, as far as it is known.
    process: Option<PathBuf>,
    /// Of one that is silent: where its state is, as far as that is known.
    state: Option<PathBuf>,
}

impl Daemon {
    /// Asks who is there.
    pub(super) fn at(socket: &Path) -> Self {
        let asked = Client::connect(socket, PATIENCE).and_then(|mut client| {
            let status = client.call(&Request::Status)?;
            Ok((client, status))
        });
        let pid = match &asked {
            Ok((_, status)) => status.read::<Status>().ok().map(|status| i64::from(status.pid)),
            Err(ClientError::Silent { silent, .. }) => silent.pid().map(i64::from),
            Err(_) => None,
        };
        let process = pid.map(|pid| PathBuf::from(format!("/proc/{pid}")));
        let state = match &asked {
            Err(ClientError::Silent { silent, .. }) => silent.state_directory(),
            _ => None,
        };
        Self { answer: asked.map_err(|error| (error.code(), error.to_string())), process, state }
    }

    /// The configuration file that it was started with.
    pub(super) fn file(&self) -> Option<PathBuf> {
        let named = PathBuf::from(OsStr::from_bytes(&self.argument(b"--config")?));
        if named.is_absolute() {
            return Some(named);
        }
        Some(std::fs::read_link(self.process.as_ref()?.join("cwd")).ok()?.join(named))
    }

    /// The value of an option in its command line.
    fn argument(&self, option: &[u8]) -> Option<Vec<u8>> {
        let words = std::fs::read(self.process.as_ref()?.join("cmdline")).ok()?;
        value_of(option, &words)
    }
}

/// The value of an option in a command line as the kernel has it.
fn value_of(option: &[u8], arguments: &[u8]) -> Option<Vec<u8>> {
    let mut words = arguments.split(|byte| *byte == 0);
    let word = words.find_map(|word| match word.strip_prefix(option)? {
        [] => Some(None),
        [b'=', rest @ ..] => Some(Some(rest)),
        _ => None,
    })?;
    let value = word.or_else(|| words.next()).filter(|value| !value.is_empty())?;
    Some(value.to_vec())
}

/// Every part, and in words what is missing or is not what it usually is.
pub(super) fn all(socket: &Path, daemon: &mut Daemon, options: &Options, config: &Path) -> (Vec<Member>, Vec<String>) {
    let mut parts = Parts::default();
    parts.put("havipd.toml", std::fs::read_to_string(config).map_err(|e| format!("{}: {e}", config.display())));
    parts.of_daemon(daemon);
    parts.past(socket, daemon, options);
    for file in ["loadavg", "meminfo", "pressure/cpu", "net/dev", "net/snmp", "version"] {
        let name = format!("host-{}.txt", file.replace('/', "-"));
        parts.put(&name, std::fs::read_to_string(format!("/proc/{file}")).map_err(|e| e.to_string()));
    }
    let mut doctor = Command::new(std::env::current_exe().unwrap_or_else(|_| "havipctl".into()));
    doctor.arg("--socket").arg(socket).args(["--json", "doctor"]);
    if daemon.answer.is_err() {
        doctor.arg("--config").arg(config);
        let node = options.node.clone().map(String::into_bytes).or_else(|| daemon.argument(b"--node"));
        doctor.args(node.iter().flat_map(|node| [OsStr::new("--node"), OsStr::from_bytes(node)]));
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

    /// What only a running daemon can say, and what the kernel says of its process.
    fn of_daemon(&mut self, daemon: &mut Daemon) {
        match &mut daemon.answer {
            Ok((client, answer)) => self.answers(client, answer.clone()),
            Err((_, why)) => self.put("status.json", Err(why.clone())),
        }
        let Some(process) = &daemon.process else { return };
        for file in ["status", "limits", "stat", "sched"] {
            let text = std::fs::read_to_string(process.join(file));
            self.put(&format!("proc-{file}.txt"), text.map_err(|e| e.to_string()));
        }
    }

    /// What it says of itself, and why its groups are as they are.
    fn answers(&mut self, client: &mut Client, answer: Response) {
        let running = answer.code == Code::Done;
        self.put("status.json", json(answer.clone()));
        // One that still waits for its address has none yet, and has said so.
        if !running {
            return;
        }
        let status = match answer.read::<Status>() {
            Ok(status) => status,
            Err(error) => return self.notes.push(format!("without what status names: {error}")),
        };
        for group in status.core.election.groups.iter().take(MOST_WHYS) {
            let why = client.call(&Request::Why { group: group.name.clone(), node: None });
            let silent = why.is_err();
            let why = why.map(|answer| answer.message).map_err(|error| error.to_string());
            self.put(&format!("why-{}.txt", group.name), why);
            if silent {
                // What comes late would be taken for an answer to the next question.
                return;
            }
        }
    }

    /// The history, which outlives the daemon, and with it what the daemon would begin with.
    fn past(&mut self, socket: &Path, daemon: &Daemon, options: &Options) {
        let past = match (&options.state, &daemon.answer) {
            (None, Err((code, why))) => history::left_behind(socket, daemon.state.clone(), None, *code, why.clone()),
            (state, _) => history::past(socket, state.as_deref(), None),
        };
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
        let of =
            |line: &str| value_of(b"--config", line.as_bytes()).map(|value| String::from_utf8(value).expect("text"));
        assert_eq!(of("/usr/bin/havipd\0--node\0a\0--config\0/x/y.toml\0").as_deref(), Some("/x/y.toml"));
        assert_eq!(of("havipd\0--config=y.toml\0").as_deref(), Some("y.toml"));
        assert_eq!(of("havipd\0--config-other\0z\0--config\0"), None);
        assert_eq!(of("havipd\0"), None);
    }
}
