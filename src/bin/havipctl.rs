//! The operator's tool.

fn main() -> std::process::ExitCode {
    havipd::ctl::main()
}
