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

/// What there is, by name: "there is only web", "there are a, b".
#[must_use]
pub fn there_are<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<T> = names.into_iter().collect();
    match names.as_slice() {
        [] => "there is none".to_owned(),
        [one] => format!("there is only {}", one.as_ref()),
        all => format!("there are {}", all.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular() {
        assert_eq!([0, 1, 2].map(|n| plural(n, "peer")), ["0 peers", "1 peer", "2 peers"]);
        assert_eq!([0, 1, 2].map(are), ["are", "is", "are"]);
        let there = |names: &[&str]| there_are(names);
        assert_eq!(there(&[]), "there is none");
        assert_eq!(
            (there(&["web"]), there(&["a", "b"])),
            ("there is only web".to_owned(), "there are a, b".to_owned())
        );
    }
}
