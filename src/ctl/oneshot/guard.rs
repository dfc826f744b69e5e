//! Whether a havipd of this host has the HAVIP in its care: two owners would undo each other's work.

use crate::control::client::{Client, ClientError};
use crate::control::protocol::{Code, Request, Response};
use havipd_core::model::ids::HavipId;
use serde_json::Value;
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
        Ok(reply) => match owner(&reply.data, havip) {
            None => Ok(()),
            Some(group) => refuse(
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
fn owner<'a>(status: &'a Value, havip: &HavipId) -> Option<&'a str> {
    let groups = status["groups"].as_array()?;
    let owns = |group: &&Value| {
        let has = |all: &Vec<Value>| all.iter().any(|h| h["id"] == havip.as_str());
        group["observe"] != true && group["havips"].as_array().is_some_and(has)
    };
    groups.iter().find(owns).map(|group| group["name"].as_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_group_that_only_observes_owns_nothing() {
        let id: HavipId = "havip-1".parse().expect("valid");
        let status = |observe| json!({"groups": [{"name": "web", "observe": observe, "havips": [{"id": "havip-1"}]}]});
        assert_eq!(owner(&status(false), &id), Some("web"));
        assert_eq!(owner(&status(true), &id), None);
        assert_eq!(owner(&json!({"groups": [{"name": "web", "havips": [{"id": "havip-2"}]}]}), &id), None);
        assert_eq!(owner(&json!({}), &id), None);
    }
}
