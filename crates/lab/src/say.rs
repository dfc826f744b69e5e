//! How the laboratory answers: as `havipctl` does, under its own name.

use havipd::control::protocol::{Code, Response};
use havipd_core::model::plain::{in_words, lines};
use std::io::{self, Write as _};

pub(crate) use havipd::ctl::say::{print, show, whole};

/// Says what a command came to.
pub(crate) fn tell(response: &Response, as_json: bool) -> Code {
    if as_json || response.code == Code::Done {
        return havipd::ctl::say::tell(response, as_json);
    }
    complain(&response.message);
    response.code
}

/// A line for people, beside whatever is printed. Whatever it quotes, it does nothing to a terminal.
pub(crate) fn complain(text: &str) {
    // Nowhere is left to say that this failed.
    let _ = writeln!(io::stderr(), "havipd-lab: {}", lines(&in_words(text)));
}
