//! The values of keepalived's keywords.

use crate::plain::is_odd;
use havipd_core::model::ids::HavipId;
use std::net::IpAddr;
use std::path::Path;

/// A number from `least` to `most`. `lenient` is what keepalived is with some keywords: letters behind the digits are
/// reported and passed over.
pub(super) fn number(text: &str, least: u32, most: u32, lenient: bool) -> Option<u32> {
    let text = text.trim_start_matches(|c: char| c.is_ascii_whitespace());
    let digits = text.strip_prefix('+').unwrap_or(text);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let whole = end == digits.len();
    // No digits at all are a zero for keepalived, which is out of range almost everywhere.
    let value = if end == 0 { 0 } else { digits[..end].parse::<u64>().ok()? };
    let value = u32::try_from(value).ok()?;
    ((whole || lenient) && (least..=most).contains(&value) && !text.starts_with('-')).then_some(value)
}

/// Seconds with up to six decimal places, as microseconds from `least` to `most`. keepalived moves the point out of the
/// text and reads what is then a whole number: `.5` and `2.` are numbers, and letters end one.
pub(super) fn micros(text: &str, least: u64, most: u64) -> Option<u64> {
    const PLACES: usize = 6;
    if text.starts_with('-') {
        return None;
    }
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let kept: String = part.chars().take(PLACES).collect();
    let up = part.chars().nth(PLACES).is_some() && part.chars().nth(PLACES).is_some_and(|c| c >= '5');
    let moved = format!("{whole}{kept}{}", "0".repeat(PLACES - kept.chars().count()));
    let moved = moved.trim_start_matches(|c: char| c.is_ascii_whitespace());
    let moved = moved.strip_prefix('+').unwrap_or(moved);
    let end = moved.find(|c: char| !c.is_ascii_digit()).unwrap_or(moved.len());
    let value = if end == 0 { 0 } else { moved[..end].parse::<u64>().ok()? };
    let value = value.checked_add(u64::from(up))?;
    (least..=most).contains(&value).then_some(value)
}

/// `true` and its like, `false` and its like; nothing at all is `true`.
pub(super) fn boolean(value: Option<&str>) -> Option<bool> {
    match value {
        None | Some("true" | "on" | "yes") => Some(true),
        Some("false" | "off" | "no") => Some(false),
        Some(_) => None,
    }
}

/// An address, and the text behind its slash.
pub(super) fn address(text: &str) -> Option<(IpAddr, Option<&str>)> {
    let (ip, prefix) = text.split_once('/').map_or((text, None), |(ip, prefix)| (ip, Some(prefix)));
    Some((ip.parse().ok()?, prefix))
}

/// Whether other nodes can reach a node by it without saying over which interface.
pub(super) fn is_reachable(ip: IpAddr) -> bool {
    let odd = match ip {
        IpAddr::V4(v4) => v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.to_ipv4_mapped().is_some(),
    };
    !(odd || ip.is_unspecified() || ip.is_multicast())
}

/// The interface of `eth0:1`, and whether there was an alias.
pub(super) fn interface(text: &str) -> (&str, bool) {
    text.split_once(':').map_or((text, false), |(link, _)| (link, true))
}

/// Whether the kernel, and havipd, take it as the name of an interface.
pub(super) fn is_interface(name: &str) -> bool {
    let ok = |c: char| !c.is_whitespace() && !is_odd(c) && !matches!(c, '/' | ':');
    (1..=15).contains(&name.len()) && name.chars().all(ok) && !matches!(name, "." | ".." | "none")
}

/// The last part of a program's path.
pub(super) fn program(argv: &[String]) -> &str {
    argv.first().and_then(|first| Path::new(first).file_name()).and_then(|name| name.to_str()).unwrap_or_default()
}

/// Ids of HAVIPs among the arguments of a program: `havip-...`, `--id=havip-...`, in a command for a shell, in a URL.
pub(super) fn havip_ids(argv: &[String]) -> Vec<String> {
    argv.iter().skip(1).flat_map(|word| ids_in(word)).collect()
}

/// Ids of HAVIPs in the text of a script, without its comments.
pub(super) fn havip_ids_of_script(text: &str) -> Vec<String> {
    text.lines().map(without_comment).flat_map(ids_in).collect()
}

/// What stands in a script and looks like the id of a HAVIP, though not as the cloud writes them: in capitals, without a
/// digit, or in a remark. Each once, and not many.
pub(super) fn almost_havip_ids(text: &str) -> Vec<String> {
    /// As long as ids are. Verbs and names of programs that begin alike, such as `havip-failover`, are shorter.
    const LEAST: usize = "havip-".len() + 12;
    let mut almost: Vec<String> = Vec::new();
    let is_one = |word: &String| is_havip(word) || (word.len() >= LEAST && word.parse::<HavipId>().is_ok());
    let lines = text.lines().map(str::to_ascii_lowercase);
    for word in lines.flat_map(|line| parts(&line)).filter(is_one) {
        if almost.len() < 3 && !almost.contains(&word) {
            almost.push(word);
        }
    }
    almost
}

/// `NAME=VALUE`, as a shell takes it before a program.
pub(super) fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

/// Why keepalived goes on without a command that begins with such a word.
pub(super) fn no_shell(word: &str) -> String {
    format!(
        "keepalived runs no shell, so it looks for a program called {word}, finds none and goes on without the script: write \
         /usr/bin/env before it"
    )
}

/// Whether a word, or a line of a script, has to do with HAVIPs.
pub(super) fn speaks_of_a_havip(text: &str) -> bool {
    text.to_ascii_lowercase().contains("havip")
}

/// A line of a script, of which `#` at the beginning of a word ends the part that counts. One in quotes does so too: an id
/// that is overlooked is asked for, one that is taken from a remark would be somebody else's.
pub(super) fn without_comment(line: &str) -> &str {
    let begins = |at: usize| line[..at].chars().next_back().is_none_or(|c| c.is_whitespace() || c == ';');
    line.match_indices('#').map(|(at, _)| at).find(|&at| begins(at)).map_or(line, |at| &line[..at])
}

fn ids_in(text: &str) -> Vec<String> {
    let mut ids = parts(text);
    ids.retain(|part| is_havip(part));
    ids
}

/// The words in which an id may stand. Parts of paths and names of files are none; parts of URLs are.
fn parts(text: &str) -> Vec<String> {
    let mut parts = Vec::new();
    for word in text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';')) {
        let url = word.contains("://");
        let joins = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') || (c == '/' && !url);
        for part in word.split(|c: char| !joins(c)) {
            // Of ${ID:-havip-...}, and of the end of a sentence.
            let part = part.trim_start_matches('-').trim_end_matches('.');
            if part.starts_with("havip-") {
                parts.push(part.to_owned());
            }
        }
    }
    parts
}

/// The cloud's ids have digits; verbs and file names like `havip-bind` have none.
fn is_havip(word: &str) -> bool {
    let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    plain && word.contains(|c: char| c.is_ascii_digit()) && word.parse::<HavipId>().is_ok()
}

/// Longest name of a node or group, in characters.
pub(super) const LONGEST_NAME: usize = 63;

/// A name as havipd takes it: other characters become `-`. It does not begin with `-`, which a command line would take
/// for an option, and what was replaced at its end is left out.
pub(super) fn name(text: &str) -> Option<String> {
    let ok = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let text = text.trim_end_matches(|c: char| !ok(c));
    let name: String = text.chars().map(|c| if ok(c) { c } else { '-' }).collect();
    let name = name.trim_start_matches(['-', '.']);
    let name = name.get(..LONGEST_NAME).unwrap_or(name);
    name.chars().any(|c| c.is_ascii_alphanumeric()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_as_keepalived_reads_them() {
        for (text, wanted) in [
            ("1", Some(1_000_000)),
            ("0.25", Some(250_000)),
            (".5", Some(500_000)),
            ("2.", Some(2_000_000)),
            ("3.6019", Some(3_601_900)),
            ("1.0000006", Some(1_000_001)),
            ("0.01", Some(10_000)),
            ("255", Some(255_000_000)),
            ("0.009999", None),
            ("0", None),
            ("255.1", None),
            ("1s", None),
            ("-1", None),
            ("", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(micros(text, 10_000, 255_000_000), wanted, "{text}");
        }
        for (text, strict, lenient) in [
            ("7", Some(7), Some(7)),
            (" 7", Some(7), Some(7)),
            ("+7", Some(7), Some(7)),
            ("7x", None, Some(7)),
            ("0x7", None, None),
            ("0", None, None),
            ("101", None, None),
            ("-7", None, None),
            ("", None, None),
            ("4294967297", None, None),
        ] {
            assert_eq!((number(text, 1, 100, false), number(text, 1, 100, true)), (strict, lenient), "{text}");
        }
        assert_eq!((boolean(None), boolean(Some("off")), boolean(Some("1"))), (Some(true), Some(false), None));
        assert_eq!(address("10.0.0.1/24"), Some(("10.0.0.1".parse().expect("ip"), Some("24"))));
        assert_eq!(address("fd00::1").map(|(ip, _)| ip.is_ipv6()), Some(true));
        assert_eq!((address("10.0.0"), address("010.0.0.1")), (None, None));
        for (text, ids) in [
            ("https://bcc.example.com/v1/havip/havip-w2d4kgc3x0y1?attach", "havip-w2d4kgc3x0y1"),
            ("curl 'https://x/y?havipId=havip-1a&z=havip-2b'", "havip-1a havip-2b"),
            ("ID=${1:-havip-1a}", "havip-1a"),
            ("x $#havip-1a # havip-2b", "havip-1a"),
            ("# havip-2b", ""),
            ("/opt/havip-2/bind havip-2.sh", ""),
        ] {
            assert_eq!(havip_ids_of_script(text).join(" "), ids, "{text}");
        }
        assert_eq!(name("VI 1/a").as_deref(), Some("VI-1-a"));
        assert_eq!((name(""), name("é"), name("--")), (None, None, None));
        assert_eq!(name("<edge>").as_deref(), Some("edge"));
        assert_eq!(name("_VI_1-").as_deref(), Some("_VI_1-"));
        assert_eq!(name(&"a-".repeat(40)).map(|n| n.len()), Some(63));
    }
}
