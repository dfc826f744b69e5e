//! `havipd-lab emulator`: the emulated cloud as a program of its own.
//!
//! It serves HAVIPs, instances and metadata, checks every signature, and runs a program when packets go elsewhere.

use crate::emulator::{Emulator, EmulatorConfig};
use crate::{say, text};
use havipd::control::protocol::{Code, Response};
use havipd::runtime::signals::Arrivals;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::path::PathBuf;

/// Shown below the options.
pub(crate) const HELP: &str = "\
Prints its endpoint once it serves. Its control API is below
/_emulator/, unsigned.";

/// `havipd-lab emulator`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// What the cloud holds (TOML): HAVIPs, nodes, keys, the profile.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Serves until SIGTERM or SIGINT.
pub(crate) fn run(options: &Options, as_json: bool) -> Code {
    let ended = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string());
    match ended.and_then(|runtime| runtime.block_on(serve(options))) {
        Ok(()) => Code::Done,
        Err(text) => say::tell(&Response::new(Code::Configuration, text), as_json),
    }
}

async fn serve(options: &Options) -> Result<(), String> {
    let text = text::read(&options.file)?;
    let config: EmulatorConfig =
        toml::from_str(&text).map_err(|e| format!("{}: {}", options.file.display(), text::wrong(&text, &e)))?;
    let mut terminate = Arrivals::of(SIGTERM).map_err(|e| e.to_string())?;
    let mut interrupt = Arrivals::of(SIGINT).map_err(|e| e.to_string())?;
    let emulator = Emulator::start(config).await.map_err(|e| e.to_string())?;
    say::print(&emulator.endpoint());
    let stop = async {
        tokio::select! {
            () = terminate.next() => {}
            () = interrupt.next() => {}
        }
    };
    emulator.run(stop).await;
    Ok(())
}
