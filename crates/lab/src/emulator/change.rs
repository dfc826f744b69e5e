//! Runs a program whenever packets for a HAVIP go elsewhere, so that a laboratory's routes follow.

use super::state::Traffic;
use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::watch;

/// Longest that one run may take; then it is killed.
const RUN_MAX: Duration = Duration::from_secs(10);

/// Follows `traffic` for ever; runs `argv` with HAVIP, address and target appended, one run at a
/// time. States passed through while a run lasted are left out.
pub(super) async fn follow(argv: Vec<String>, mut traffic: watch::Receiver<Traffic>) {
    let Some((program, arguments)) = argv.split_first() else { return };
    let mut told: BTreeMap<String, Option<String>> = BTreeMap::new();
    loop {
        let latest = traffic.borrow_and_update().clone();
        let gone: Vec<String> =
            told.keys().filter(|id| !latest.routes.iter().any(|r| r.havip == **id)).cloned().collect();
        gone.iter().for_each(|id| drop(told.remove(id)));
        for route in latest.routes {
            let before = told.insert(route.havip.clone(), route.target.clone());
            if before.unwrap_or_default() == route.target {
                continue;
            }
            let address = route.address.to_string();
            let target = route.target.unwrap_or_default();
            run(program, arguments, [&route.havip, &address, &target]).await;
        }
        if traffic.changed().await.is_err() {
            return;
        }
    }
}

async fn run(program: &str, arguments: &[String], change: [&str; 3]) {
    let mut command = Command::new(program);
    command.args(arguments).args(change).stdin(Stdio::null()).kill_on_drop(true);
    let ended = match command.spawn() {
        Ok(mut child) => tokio::time::timeout(RUN_MAX, child.wait()).await,
        Err(error) => return tracing::warn!(program, "could not be started: {error}"),
    };
    let change = change.join(" ");
    match ended {
        Ok(Ok(status)) if status.success() => {}
        Ok(Ok(status)) => tracing::warn!(program, change, "ended with an error: {status}"),
        Ok(Err(error)) => tracing::warn!(program, change, "could not be waited for: {error}"),
        Err(_) => tracing::warn!(program, change, "took too long and was killed"),
    }
}
