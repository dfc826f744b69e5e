//! `havipctl`: the operator's tool.

/// x
#[must_use]
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
