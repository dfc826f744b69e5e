//! The laboratory's program.

fn main() -> std::process::ExitCode {
    havipd_lab::main()
}
