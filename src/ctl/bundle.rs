//! `bundle`: what somebody who helps needs to see, in one archive, without a secret.
//!
//! Every member is text. Whatever the secrets of this node are (heartbeat keys, keys of the API), none of them
//! is in it in any usual encoding: each is looked for, and taken out, everywhere. An archive in which one is
//! found all the same is not written.

mod gather;
mod redact;

use super::say::{self, complain};
use crate::control::protocol::{Code, Response};
use gather::Member;
use redact::Secrets;
use serde_json::json;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

pub(super) const HELP: &str = "\
Status, why, history, doctor's findings, the configuration file, the
last lines of the log, the unit's state and what the kernel says of the
process; what cannot be had is left out and named in the file README.
Where no daemon answers, the history is the journal on disk, and the
doctor examines the file. Run it as root, so that every secret is known
and can be taken out. Look through it before you pass it on.

Examples:
  havipctl bundle --out /tmp/havipd.tar && tar -xOf /tmp/havipd.tar |
      less
  havipctl bundle --json
      for programs: data.path, data.members, and in data.notes what is
      missing";

/// How it is called.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Where to write it, mode 0600; an existing file is left alone. Else havipd-bundle-TIME.tar in this directory.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Configuration file; else the one that the daemon was started with, else /etc/havipd/havipd.toml.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Which `[[node]]` of the file this host is, for the doctor's look at the file where no daemon answers.
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// The state directory of a daemon that does not answer; else the one that its process was given, or STATE_DIRECTORY, or
    /// /var/lib/havipd.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

/// Why there is no archive.
#[derive(Debug, thiserror::Error)]
enum BundleError {
    #[error("{} exists, and is left alone: name another file with --out, or take that one away", path.display())]
    Exists { path: PathBuf },
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("not written: {0} still holds a secret after it was taken out; please report this")]
    Secret(String),
}

impl BundleError {
    fn code(&self) -> Code {
        match self {
            Self::Write { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => Code::Permission,
            Self::Exists { .. } | Self::Write { .. } | Self::Secret(_) => Code::No,
        }
    }
}

/// Gathers and writes.
pub(super) fn run(socket: &Path, options: &Options, as_json: bool) -> Code {
    let mut daemon = gather::Daemon::at(socket);
    let config =
        options.config.clone().or_else(|| daemon.file()).unwrap_or_else(|| PathBuf::from("/etc/havipd/havipd.toml"));
    let secrets = Secrets::of(&config);
    let (mut members, mut notes) = gather::all(socket, &mut daemon, options, &config);
    notes.extend(secrets.unknown.iter().cloned());
    members.push(readme(&notes));
    for member in &mut members {
        member.text = secrets.redact(&member.text);
    }
    let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let path = options.out.clone().unwrap_or_else(|| PathBuf::from(format!("havipd-bundle-{time}.tar")));
    if let Err(error) = write(&path, &members, &secrets) {
        return say::tell(&Response::new(error.code(), error.to_string()), as_json);
    }
    if !as_json {
        notes.iter().for_each(|line| complain(line));
    }
    let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
    let data = json!({ "path": path, "members": names, "notes": notes });
    let text = format!("{}: look through it before you pass it on", path.display());
    say::tell(&Response::done(text).with_data(data), as_json)
}

fn readme(notes: &[String]) -> Member {
    let mut text = format!(
        "Made by havipctl {} at {}.\nSecrets are replaced by [redacted].\n",
        env!("CARGO_PKG_VERSION"),
        jiff::Timestamp::now()
    );
    for line in notes {
        text.push_str(line);
        text.push('\n');
    }
    Member { name: "README".to_owned(), text }
}

fn write(path: &Path, members: &[Member], secrets: &Secrets) -> Result<(), BundleError> {
    if let Some(member) =
        members.iter().find(|m| secrets.shows_in(m.text.as_bytes()) || secrets.shows_in(m.name.as_bytes()))
    {
        return Err(BundleError::Secret(member.name.clone()));
    }
    let failed = |source: io::Error| {
        let path = path.to_owned();
        if source.kind() == io::ErrorKind::AlreadyExists {
            BundleError::Exists { path }
        } else {
            BundleError::Write { path, source }
        }
    };
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    let mut archive = tar::Builder::new(file);
    let put = |archive: &mut tar::Builder<_>, member: &Member| {
        let mut header = tar::Header::new_ustar();
        header.set_size(member.text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default());
        archive.append_data(&mut header, format!("havipd-bundle/{}", member.name), member.text.as_bytes())
    };
    let written = members.iter().try_for_each(|member| put(&mut archive, member));
    written.and_then(|()| archive.into_inner()).and_then(|mut file| file.flush()).map_err(failed)
}
