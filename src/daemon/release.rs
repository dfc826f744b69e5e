//! `havipd --release-stale`: what systemd runs after the daemon has ended, however it ended.

use crate::config::LoadError;
use crate::control::SOCKET;
use crate::control::protocol::Code;
use crate::control::server::{BindError, Server};
use crate::runtime::reload::{Known, load};
use crate::runtime::stale::{self, LastWord};
use crate::state;
use crate::systemd::directory;
use havipd_core::model::settings::{Config, Group, Interface};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::Path;

/// Does nothing after an end in order: what was left in place then was left on purpose.
pub(super) fn run(config: &Path, node: Option<String>) -> Code {
    if std::env::var_os("SERVICE_RESULT").is_some_and(|result| result == "success") {
        tracing::debug!("the daemon ended in order: nothing to release");
        return Code::Done;
    }
    let runtime_directory = directory("RUNTIME_DIRECTORY", "/run/havipd");
    if let Some(code) = still_running(&runtime_directory) {
        return code;
    }
    let mut word = LastWord::load(&runtime_directory).unwrap_or_else(|error| {
        tracing::warn!("{error}; peers will wait for the dead time");
        LastWord::default()
    });
    let known: BTreeSet<Ipv4Addr> = word.addresses.iter().copied().chain(configured(config, node)).collect();
    word.addresses = known.into_iter().collect();
    match word.carry_out() {
        Ok((removed, datagrams)) => {
            let removed: Vec<String> = removed.iter().map(ToString::to_string).collect();
            tracing::info!(removed = removed.join(", "), datagrams, "released what an unclean exit left behind");
            if let Err(error) = stale::forget(&runtime_directory) {
                tracing::warn!("{error}");
            }
            Code::Done
        }
        Err(error) => {
            tracing::error!("{error}; peers are not told, they wait for the dead time");
            Code::No
        }
    }
}

/// The lock of the control socket tells.
fn still_running(runtime_directory: &Path) -> Option<Code> {
    if !runtime_directory.exists() {
        return None;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().ok()?;
    let bound = runtime.block_on(async { Server::bind(&runtime_directory.join(SOCKET)) });
    match bound {
        Err(error @ BindError::InUse { .. }) => {
            tracing::error!("{error}; stop it instead");
            Some(Code::No)
        }
        _ => None,
    }
}

/// Addresses that the file and the state directory know of.
fn configured(path: &Path, node: Option<String>) -> Vec<Ipv4Addr> {
    // A disk that hangs must not keep an address here: then the sealed word has to do.
    let remembered = state::peek(&directory("STATE_DIRECTORY", "/var/lib/havipd"), state::PATIENCE);
    let remembered = remembered.ok().flatten().unwrap_or_default();
    match load(path, node, &Known::default()) {
        Ok(loaded) => of_config(&loaded.config, &remembered),
        Err(LoadError::Invalid(_) | LoadError::NotYet { .. }) => {
            // Nothing tells which of them are ours to put; the sealed word does, where there is one.
            Vec::new()
        }
    }
}

fn of_config(config: &Config, remembered: &havipd_core::model::persisted::Persisted) -> Vec<Ipv4Addr> {
    let member = |g: &&Group| g.member(config.local).is_some_and(|m| !m.witness);
    let addresses = config.groups.iter().filter(member).filter(|g| !g.observe).flat_map(|group| {
        let kept = remembered.groups.get(group.name.as_str());
        let ours = group.havips.iter().filter(|h| h.interface != Interface::None);
        ours.filter_map(move |h| h.address.or_else(|| kept?.addresses.get(h.id.as_str()).copied()))
    });
    addresses.collect()
}
