//! Where the one line goes when nobody reads standard error: keepalived gives its scripts `/dev/null` and does not
//! log how they ended. Then the line goes to the system's log, where keepalived's own lines are.

use crate::control::protocol::{Code, Response};
use havipd_core::model::ids::HavipId;
use rustix::fs::{FileType, fstat};
use std::io;
use std::os::unix::net::UnixDatagram;

/// Where the system's log listens.
const LOG: &str = "/dev/log";
/// Facility `daemon` with severity `notice`, and with severity `err` (RFC 3164 §4.1.1).
const PRIORITY: (u8, u8) = (29, 27);
/// The kernel's number of `/dev/null`.
const NULL: (u32, u32) = (1, 3);
/// Longest line that every log takes.
const LONGEST: usize = 900;

/// Whether standard error leads nowhere.
fn unheard() -> bool {
    let Ok(facts) = fstat(io::stderr()) else { return true };
    let device = (rustix::fs::major(facts.st_rdev), rustix::fs::minor(facts.st_rdev));
    FileType::from_raw_mode(facts.st_mode) == FileType::CharacterDevice && device == NULL
}

/// Says how it ended, if nobody hears it otherwise.
pub(super) fn tell(verb: &str, havip: &HavipId, response: &Response) {
    if unheard() {
        // Without a log, the exit code is all that is left.
        let _ = send(&line(verb, havip, response, std::process::id()));
    }
}

fn send(line: &str) -> io::Result<usize> {
    let socket = UnixDatagram::unbound()?;
    // A log that stands still must not hold up a failover.
    socket.set_nonblocking(true)?;
    socket.send_to(line.as_bytes(), LOG)
}

fn line(verb: &str, havip: &HavipId, response: &Response, pid: u32) -> String {
    let priority = if response.code == Code::Done { PRIORITY.0 } else { PRIORITY.1 };
    let code = u8::from(response.code);
    let mut text = response.message.replace(['\n', '\r'], " ");
    text.truncate(text.floor_char_boundary(LONGEST));
    format!("<{priority}>havipctl[{pid}]: {verb} {havip}: {text} (exit code {code})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_with_a_priority() {
        let id: HavipId = "havip-1".parse().expect("valid");
        let done = line("attach", &id, &Response::done("havip-1 is on i-a already"), 7);
        assert_eq!(done, "<29>havipctl[7]: attach havip-1: havip-1 is on i-a already (exit code 0)");
        let failed = line("detach", &id, &Response::new(Code::TryAgain, "a\nb".repeat(1000)), 7);
        assert!(failed.starts_with("<27>havipctl[7]: detach havip-1: a ba b") && failed.ends_with("(exit code 75)"));
        assert!(failed.len() < 1000 && !failed.contains('\n'));
    }
}
