//! Questions on a terminal; nowhere else.

use crate::control::protocol::{Code, Response};
use crate::ctl::say;
use crate::plain;
use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

/// No answer is longer.
const LONGEST: u64 = 4096;

/// Who asks, and whether somebody is there to answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker {
    on: bool,
    /// `--yes`.
    defaults: bool,
}

impl Asker {
    /// Asks where answers come from a terminal and questions are seen on one, unless the output is for programs.
    pub(super) fn new(defaults: bool, as_json: bool) -> Self {
        let on = !as_json && !defaults && io::stdin().is_terminal() && io::stderr().is_terminal();
        Self { on, defaults }
    }

    /// Whether questions are asked.
    pub(super) const fn is_on(self) -> bool {
        self.on
    }

    /// Whether what an empty answer stands for is taken without asking.
    pub(super) const fn takes_defaults(self) -> bool {
        self.defaults
    }

    /// A line for a person who answers; nothing where nobody does.
    pub(super) fn tell(self, text: &str) {
        if self.on {
            let text = say::fitted(&plain::lines(text), say::columns_of(io::stderr()));
            // A person who cannot read it cannot answer either.
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// Asks until an answer is understood. An empty one is `default`, if there is one.
    ///
    /// # Errors
    /// The terminal gives no more answers.
    pub(super) fn ask<T>(
        self,
        question: &str,
        default: Option<&str>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, Response> {
        let shown = default.map_or_else(String::new, |default| format!(" [{}]", plain::line(default)));
        loop {
            let _ = write!(io::stderr(), "{}{shown}: ", plain::line(question)).and_then(|()| io::stderr().flush());
            let answer = line()?;
            let answer = match (answer.trim(), default) {
                ("", Some(default)) => default,
                (answer, _) => answer,
            };
            match read(answer) {
                Ok(value) => return Ok(value),
                Err(why) => self.tell(&format!("  {why}")),
            }
        }
    }
}

/// One line of the terminal.
fn line() -> Result<String, Response> {
    let mut bytes = Vec::new();
    let read = io::stdin().lock().take(LONGEST).read_until(b'\n', &mut bytes);
    match read {
        Ok(0) => {
            let _ = writeln!(io::stderr());
            Err(Response::new(Code::No, "the questions were not answered: nothing is written"))
        }
        Ok(_) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) => Err(Response::new(Code::No, format!("no answer can be read: {error}; nothing is written"))),
    }
}
