//! The values of keepalived's keywords.

use std::net::IpAddr;
use std::path::Path;

/// Seconds, with or without a fraction, as milliseconds.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |t: &str| t.chars().all(|c| c.is_ascii_digit());
    if whole.is_empty() || whole.len() > 9 || !digits(whole) || !digits(part) {
        return None;
    }
    let millis: String = part.chars().chain("000".chars()).take(3).collect();
    Some(whole.parse::<u64>().ok()? * 1000 + millis.parse::<u64>().ok()?)
}

/// An address, with or without the length of a prefix.
pub(super) fn address(text: &str) -> Option<(IpAddr, Option<u8>)> {
    let (ip, prefix) = match text.split_once('/') {
        Some((ip, prefix)) => (ip, Some(prefix.parse::<u8>().ok()?)),
        None => (text, None),
    };
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
    let ok = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '/' | ':');
    (1..=15).contains(&name.len()) && name.chars().all(ok) && !matches!(name, "." | ".." | "none")
}

/// A command as a list: what stands in quotes is taken apart like a shell's words, without a shell.
pub(super) fn command(text: &str) -> Vec<String> {
    let (mut all, mut word, mut quote) = (Vec::new(), None::<String>, None::<char>);
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (_, '\\') => word.get_or_insert_default().extend(rest.next()),
            (None, c) if c.is_whitespace() => all.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    all.extend(word);
    all
}

/// The last part of a program's path.
pub(super) fn program(argv: &[String]) -> &str {
    argv.first().and_then(|first| Path::new(first).file_name()).and_then(|name| name.to_str()).unwrap_or_default()
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
        for (text, millis) in
            [("1", Some(1000)), ("0.25", Some(250)), ("3.6019", Some(3601)), (".5", None), ("-1", None), ("1s", None)]
        {
            assert_eq!(seconds(text), millis, "{text}");
        }
        assert_eq!(seconds("99999999999999999999"), None);
        assert_eq!(address("10.0.0.1/24"), Some(("10.0.0.1".parse().expect("ip"), Some(24))));
        assert_eq!(address("fd00::1").map(|(ip, _)| ip.is_ipv6()), Some(true));
        assert_eq!((address("10.0.0"), address("10.0.0.1/x")), (None, None));
        assert_eq!(command(r#"/bin/sh -c "a 'b'" c\ d ''"#), ["/bin/sh", "-c", "a 'b'", "c d", ""]);
        assert_eq!(name("VI 1/a").as_deref(), Some("VI-1-a"));
        assert_eq!((name(""), name("é"), name("--")), (None, None, None));
        assert_eq!(name("<edge>").as_deref(), Some("edge"));
        assert_eq!(name("_VI_1-").as_deref(), Some("_VI_1-"));
        assert_eq!(name(&"a-".repeat(40)).map(|n| n.len()), Some(63));
    }
}
