//! `havipctl notify`: keepalived's notify command. What the daemon cannot be told now, it finds when it starts.

use crate::control::client::Client;
use crate::control::protocol::{Code, Notified, Request, Response};
use crate::keepalived::kept::Kept;
use crate::keepalived::stamp::Stamp;
use crate::systemd::directory;
use clap::Args;
use havipd_core::model::vrrp::Notice;
use std::path::Path;
use std::time::Duration;

/// keepalived waits for nobody, but what hangs here would stay.
const PATIENCE: Duration = Duration::from_secs(2);

/// For `--help`.
pub(super) const HELP: &str = "\
Examples:
  havipctl notify INSTANCE VI_1 MASTER 150
      as keepalived calls it; by hand, to say what it did not

In keepalived.conf, inside a vrrp_instance or a vrrp_sync_group:
  notify \"/usr/bin/havipctl notify\"
keepalived adds the four words itself. While havipd does not run, the
newest state of each name is kept in its state directory, so
keepalived has to run this as root or as havipd.

Exits 1 if keepalived has said something newer, and 75 if keepalived
does not run: the state does not count then.";

/// The four words of keepalived.
#[derive(Debug, Args)]
pub(super) struct Words {
    /// INSTANCE or GROUP.
    #[arg(value_name = "TYPE")]
    kind: String,
    /// Name of the vrrp_instance or the vrrp_sync_group.
    name: String,
    /// MASTER, BACKUP, FAULT, STOP, DELETED, MASTER_RX_LOWER_PRI, MASTER_PRIORITY or BACKUP_PRIORITY.
    state: String,
    /// The VRRP priority.
    priority: Option<String>,
}

/// Tells the daemon, or keeps the state for its next start.
pub(super) fn run(words: &Words, socket: &Path) -> Response {
    let notice = match Notice::from_words(&words.kind, &words.name, &words.state, words.priority.as_deref()) {
        Ok(notice) => notice,
        Err(error) => return Response::new(Code::Usage, error.to_string()),
    };
    let stamp = match Stamp::of_this_process() {
        Ok(stamp) => stamp,
        Err(error) => return Response::new(Code::No, format!("cannot tell when keepalived said this: {error}")),
    };
    let request = Request::Notify {
        kind: words.kind.clone(),
        name: words.name.clone(),
        state: words.state.clone(),
        priority: words.priority.clone(),
        stamp: Some((stamp.ticks, stamp.pid)),
    };
    let answer = Client::connect(socket, PATIENCE).and_then(|mut client| client.call(&request));
    let (code, why) = match answer {
        // The daemon has it, whether it counts or not.
        Ok(response) if response.code != Code::TryAgain || response.read::<Notified>().is_ok() => return response,
        Ok(response) => (response.code, response.message),
        Err(error) => (error.code(), error.to_string()),
    };
    let state_directory = directory("STATE_DIRECTORY", "/var/lib/havipd");
    match Kept::new(&state_directory).keep(&notice, stamp, false) {
        Ok(()) => Response::done(format!("kept for havipd's next start: {why}")),
        Err(error) => Response::new(code, format!("{why}; and {error}")),
    }
}
