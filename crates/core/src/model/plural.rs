//! Numbers of things, in words that agree with them.

use std::fmt::Display;

/// "1 warning", "2 warnings".
#[must_use]
pub fn plural(count: impl Display, what: &str) -> String {
    let count = count.to_string();
    let end = if count == "1" { "" } else { "s" };
    format!("{count} {what}{end}")
}

/// "is" of one, "are" of all others.
#[must_use]
pub fn are(count: u64) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular() {
        assert_eq!([0, 1, 2].map(|n| plural(n, "peer")), ["0 peers", "1 peer", "2 peers"]);
        assert_eq!([0, 1, 2].map(are), ["are", "is", "are"]);
    }
}
