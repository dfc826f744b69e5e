//! The emulated cloud as a program of its own, for laboratories: it serves HAVIPs, instances and metadata,
//! checks every signature, and runs a program when packets go elsewhere.
//!
//! `cargo run --example emulator -- cloud.toml`, which holds an `EmulatorConfig`; `packaging/test` has one.
//! It serves until SIGTERM or SIGINT. Its control API is below `/_emulator/`, unsigned.

use havipd::sandbox::emulator::{Emulator, EmulatorConfig};
use std::io::Write as _;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            // Nobody reads it; the exit code still tells.
            let _ = writeln!(std::io::stderr(), "emulator: {text}");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), String> {
    let path = std::env::args_os().nth(1).ok_or("usage: emulator FILE")?;
    let shown = path.display();
    let text = std::fs::read_to_string(&path).map_err(|e| format!("cannot read {shown}: {e}"))?;
    let config: EmulatorConfig = toml::from_str(&text).map_err(|e| format!("{shown}: {e}"))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(|e| e.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|e| e.to_string())?;
    let emulator = Emulator::start(config).await.map_err(|e| e.to_string())?;
    writeln!(std::io::stdout(), "{}", emulator.endpoint()).map_err(|e| e.to_string())?;
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    emulator.run(stop).await;
    Ok(())
}
