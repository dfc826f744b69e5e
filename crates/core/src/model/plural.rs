//! Numbers of things, in words that agree with them.

use std::fmt::Display;
use std::time::Duration;

/// "1 warning", "2 warnings".
#[must_use]
pub fn plural(count: impl Display, what: &str) -> String {
    let count = count.to_string();
    let end = if count == "1" { "" } else { "s" };
    format!("{count} {what}{end}")
}

/// "is" of one, "are" of all others.
#[must_use]
pub fn are(count: impl Display) -> &'static str {
    if count.to_string() == "1" { "is" } else { "are" }
}

/// How long something lasts: "300 ms", "1.25 s". To the millisecond, below one to the microsecond.
#[must_use]
pub fn lasting(span: Duration) -> String {
    match span.as_millis() {
        0 if !span.is_zero() => format!("{} µs", span.as_micros()),
        ms @ 0..1000 => format!("{ms} ms"),
        ms => {
            let seconds = format!("{}.{:03}", ms / 1000, ms % 1000);
            format!("{} s", seconds.trim_end_matches('0').trim_end_matches('.'))
        }
    }
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
    fn times_are_told_in_words() {
        let told = |micros| lasting(Duration::from_micros(micros));
        assert_eq!([0, 7, 300_000, 999_999].map(told), ["0 ms", "7 µs", "300 ms", "999 ms"]);
        assert_eq!([1_000_000, 1_250_000, 90_010_000].map(told), ["1 s", "1.25 s", "90.01 s"]);
    }

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
