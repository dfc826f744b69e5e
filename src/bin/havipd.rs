//! The daemon.

fn main() -> std::process::ExitCode {
    havipd::daemon::main()
}
