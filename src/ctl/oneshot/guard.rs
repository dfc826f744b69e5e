//! Whether a havipd of this host has the HAVIP in its care: two owners would undo each other's work.

use crate::control::client::{Client, ClientError};
use crate::control::protocol::{Code, Request, Response};
use crate::status::Status;
use havipd_core::model::ids::HavipId;
use havipd_core::status::{GroupSnapshot, Snapshot};
use std::io;
use std::path::Path;
use std::time::Duration;

/// A daemon that runs answers at once.
const PATIENCE: Duration = Duration::from_secs(2);

/// `Err` is what to tell the operator if the daemon has it, or cannot be asked.
pub(super) fn free(socket: &Path, havip: &HavipId, most: Duration) -> Result<(), Response> {
    let answer = Client::connect(socket, PATIENCE.min(most)).and_then(|mut client| client.call(&Request::Status));
    let refuse = |code, why: String| Err(Response::new(code, format!("{why}; --force does it all the same")));
    match answer {
        // Nobody there: a file that is left over is as good as none.
        Err(ClientError::Unreachable { source, .. })
            if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) =>
        {
            Ok(())
        }
        Err(error) => refuse(error.code(), format!("cannot tell whether havipd has {havip} in its care: {error}")),
        Ok(reply) if reply.code != Code::Done => {
            refuse(Code::TryAgain, format!("havipd runs here and is not ready to say what it has: {}", reply.message))
        }
        Ok(reply) => match reply.read::<Status>().map(|status| owner(&status.core.election, havip)) {
            Err(error) => {
                let error = ClientError::from(error);
                refuse(error.code(), format!("cannot tell whether havipd has {havip} in its care: {error}"))
            }
            Ok(None) => Ok(()),
            Ok(Some(group)) => refuse(
                Code::No,
                format!(
                    "havipd runs here and has {havip} in its care (group {group}): use havipctl switchover, drain or \
                     maintenance"
                ),
            ),
        },
    }
}

/// The group that owns it. One that only observes writes nothing, so it is nobody's rival.
fn owner(status: &Snapshot, havip: &HavipId) -> Option<String> {
    let owns = |group: &&GroupSnapshot| !group.observe && group.havips.iter().any(|h| h.id == havip.as_str());
    status.groups.iter().find(owns).map(|group| group.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fixture;
    use havipd_core::status::HavipSnapshot;

    #[test]
    fn a_group_that_only_observes_owns_nothing() {
        let id: HavipId = "havip-1".parse().expect("valid");
        let status = |observe, havip: &str| {
            let mut status = fixture::status().core.election;
            status.groups[0].observe = observe;
            status.groups[0].havips.push(HavipSnapshot {
                id: havip.to_owned(),
                address: None,
                present: None,
                holder: None,
                bound: Vec::new(),
                read_ms: None,
                error: None,
                repairs: 0,
                repaired: None,
                contested: None,
            });
            status
        };
        assert_eq!(owner(&status(false, "havip-1"), &id).as_deref(), Some("web"));
        assert_eq!(owner(&status(true, "havip-1"), &id), None);
        assert_eq!(owner(&status(false, "havip-2"), &id), None);
    }
}
