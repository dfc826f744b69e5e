//! `havipctl sandbox` and `havipctl simulate`: the laboratory does them, which is a program and a package of its own.

use super::say;
use crate::control::protocol::{Code, Response};
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

/// The program.
const PROGRAM: &str = "havipd-lab";

/// What it is given.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Words {
    /// As `havipd-lab sandbox --help` and `havipd-lab simulate --help` say.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    words: Vec<OsString>,
}

/// Becomes the laboratory. Comes back only where there is none.
pub(super) fn hand_over(verb: &str, given: &Words, as_json: bool) -> Code {
    let mut command = Command::new(program());
    command.arg(verb).args(&given.words);
    if as_json {
        command.arg("--json");
    }
    let error = command.exec();
    let text = if error.kind() == std::io::ErrorKind::NotFound {
        format!(
            "{PROGRAM} is not installed; it is a package of its own, {PROGRAM}, or from a checkout: \
             cargo run -p {PROGRAM} -- {verb}"
        )
    } else {
        format!("cannot run {PROGRAM}: {error}")
    };
    say::tell(&Response::new(Code::Unreachable, text), as_json)
}

/// The one beside this program, as in a checkout; else that of the search path.
fn program() -> PathBuf {
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name(PROGRAM));
    beside.filter(|path| path.is_file()).unwrap_or_else(|| PROGRAM.into())
}
