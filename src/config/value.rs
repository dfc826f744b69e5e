//! Single values: durations, addresses, endpoints, interfaces, regions.

use super::diagnostic::quote;
use crate::plain::{is_odd, quote_url};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

/// Reads `"500ms"`: a whole number and one unit of `ms s m h`. `None` if it is anything else.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let per_unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(per_unit).map(Duration::from_millis)
}

/// Reads `"16MiB"`: a whole number and one unit of `KiB MiB GiB`; in bytes. `None` if it is anything else.
#[must_use]
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let per_unit = match unit {
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(per_unit)
}

/// A heartbeat address: an IP address, with or without a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) ip: IpAddr,
    pub(super) port: Option<u16>,
}

impl Address {
    /// With `port` where the file gives none.
    pub(super) fn or_port(self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip, self.port.unwrap_or(port))
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let (ip, port) = if let Ok(ip) = s.parse::<IpAddr>() {
            (ip, None)
        } else if let Ok(socket) = s.parse::<SocketAddr>() {
            (socket.ip(), Some(socket.port()))
        } else {
            let q = quote(s);
            return Err(format!(
                "{q} is not an IP address: write \"10.0.0.11\", \"10.0.0.11:11200\" or \"[fd00::1]:11200\""
            ));
        };
        if port == Some(0) {
            return Err(format!("{} has port 0: use 1 to 65535", quote(s)));
        }
        let broadcast = ip == IpAddr::V4(Ipv4Addr::BROADCAST);
        let link_local = matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
        let mapped = matches!(ip, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
        if ip.is_unspecified() || ip.is_multicast() || broadcast || link_local || mapped {
            return Err(format!("{} is not the address of one node, reachable from the others", quote(s)));
        }
        Ok(Self { ip, port })
    }
}

/// Where a check connects to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TcpTarget(pub(super) SocketAddr);

impl FromStr for TcpTarget {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let q = quote(s);
        match s.parse::<SocketAddr>() {
            Ok(address) if address.port() == 0 => Err(format!("{q} has port 0: use 1 to 65535")),
            Ok(address) => Ok(Self(address)),
            Err(_) => Err(format!("{q} is not an IP address with a port: write \"127.0.0.1:5432\" or \"[::1]:5432\"")),
        }
    }
}

/// What a check asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CheckUrl(pub(super) String);

impl FromStr for CheckUrl {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        // Not quoted: it may have a password in it.
        let wrong = |why: &str| format!("{why}; write \"http://127.0.0.1:8080/healthz\" or \"https://...\"");
        // A parser of URLs takes out line breaks, repairs missing slashes and completes addresses: another host would be
        // asked than the one that is read here.
        if s.chars().any(|c| c.is_whitespace() || is_odd(c)) {
            return Err(wrong("it has a blank, or a character that cannot be printed"));
        }
        let (_, rest) = scheme_of(s).ok_or_else(|| wrong("it begins with neither http:// nor https://"))?;
        let authority = &rest[..rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len())];
        if authority.is_empty() {
            return Err(wrong("it names no host"));
        }
        if authority.contains('@') {
            return Err(wrong("it names a user: use \"headers\" instead"));
        }
        if rest.contains('#') {
            return Err(wrong("it has a fragment (#...), which no server is told"));
        }
        if let Host::Address(ip) = host_of(authority).map_err(wrong)?
            && answers_nobody(ip)
        {
            return Err(format!("nobody accepts connections at {ip}"));
        }
        reqwest::Url::parse(s).map_err(|e| wrong(&format!("it is not a URL: {e}")))?;
        Ok(Self(s.to_owned()))
    }
}

/// The host that a check asks for, at the address of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostName(pub(super) String);

impl FromStr for HostName {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        if is_host_name(s) {
            return Ok(Self(s.to_owned()));
        }
        Err(format!("{} is not the name of a host: write \"www.example.com\", without scheme and port", quote(s)))
    }
}

/// The name of a header that a check may send; else why not.
pub(super) fn header_name(name: &str) -> Result<(), String> {
    /// What belongs to the connection: another value would make a request that no server understands, or another one than
    /// is checked.
    const OWN: [&str; 9] = [
        "connection",
        "content-length",
        "expect",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    let quoted = quote(name);
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)) {
        return Err(format!("{quoted} is not the name of a header: use letters, digits, - and _"));
    }
    if name.eq_ignore_ascii_case("host") {
        return Err(format!("{quoted} has a key of its own: write host = \"www.example.com\""));
    }
    if OWN.iter().any(|own| name.eq_ignore_ascii_case(own)) {
        return Err(format!("{quoted} cannot be set: it belongs to the connection, and havipd sends what is right"));
    }
    Ok(())
}

/// A range of HTTP statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Statuses(pub(super) u16, pub(super) u16);

impl FromStr for Statuses {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let (from, to) = s.split_once('-').unwrap_or((s, s));
        let status = |text: &str| text.parse::<u16>().ok().filter(|n| (100..=599).contains(n));
        match (status(from), status(to)) {
            (Some(from), Some(to)) if from <= to => Ok(Self(from, to)),
            _ => Err(format!("{} is neither a status like \"200\" nor a range like \"200-399\"", quote(s))),
        }
    }
}

/// A word that a check looks for: a process, a unit, a host, a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word(pub(super) String);

impl FromStr for Word {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let usable = !s.is_empty() && s.len() <= 1024 && !s.chars().any(char::is_control);
        usable
            .then(|| Self(s.to_owned()))
            .ok_or_else(|| "it is empty, too long, or has characters that cannot be printed".to_owned())
    }
}

/// What keys in etcd begin with: a path, so that a role of etcd can permit what is below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyPrefix(pub(super) String);

impl FromStr for KeyPrefix {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let part = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| matches!(b, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.'))
        };
        let usable = s.len() <= 256 && s.strip_prefix('/').is_some_and(|rest| rest.split('/').all(part));
        usable
            .then(|| Self(s.to_owned()))
            .ok_or_else(|| format!("{} is no path like \"/havipd\": use a-z A-Z 0-9 - _ . between single /", quote(s)))
    }
}

impl fmt::Display for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Time between two looks of the doctor; `None` is `"0s"`: never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DoctorInterval(pub(super) Option<Duration>);

impl FromStr for DoctorInterval {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        const RANGE: std::ops::RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(24 * 3600);
        match parse_duration(s) {
            Some(Duration::ZERO) => Ok(Self(None)),
            Some(span) if RANGE.contains(&span) => Ok(Self(Some(span))),
            _ => Err(format!("{} is neither \"0s\" (off) nor a duration from 1m to 24h", quote(s))),
        }
    }
}

/// Where metrics are served, if anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listen(pub(super) Option<SocketAddr>);

impl FromStr for Listen {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        if s == "off" {
            return Ok(Self(None));
        }
        let q = quote(s);
        match s.parse::<SocketAddr>() {
            Ok(address) if address.port() == 0 => Err(format!("{q} has port 0: use 1 to 65535")),
            Ok(address) => Ok(Self(Some(address))),
            Err(_) => {
                Err(format!("{q} is not an address with a port: write \"127.0.0.1:11201\", \"[::1]:11201\" or \"off\""))
            }
        }
    }
}

/// Scheme, host and port of an HTTP service; no trailing slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) url: String,
    pub(super) plain_http_to_public: bool,
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!("{} is not an endpoint: {why}; write \"https://host\" or \"https://host:port\"", quote_url(s))
        };
        let (secure, rest) = scheme_of(s).ok_or_else(|| wrong("it begins with neither https:// nor http://"))?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains('@') {
            return Err(wrong("it names a user"));
        }
        if authority.contains('?') || authority.contains('#') {
            return Err(wrong("it has a query"));
        }
        if authority.contains('/') {
            return Err(wrong("it has a path"));
        }
        let near = match host_of(authority).map_err(wrong)? {
            Host::Address(ip) => is_near(ip),
            Host::Name(name) => name == "localhost" || name.ends_with(".localhost"),
        };
        let url = s.strip_suffix('/').unwrap_or(s).to_owned();
        Ok(Self { url, plain_http_to_public: !secure && !near })
    }
}

/// Whether it is https, and what follows; `None` if it is neither that nor http.
fn scheme_of(url: &str) -> Option<(bool, &str)> {
    let secure = url.strip_prefix("https://").map(|rest| (true, rest));
    secure.or_else(|| url.strip_prefix("http://").map(|rest| (false, rest)))
}

/// Who is connected to.
enum Host<'a> {
    Address(IpAddr),
    Name(&'a str),
}

/// The host of `HOST` or `HOST:PORT` in a URL; else what is wrong with either.
fn host_of(authority: &str) -> Result<Host<'_>, &'static str> {
    if authority.parse::<Ipv6Addr>().is_ok() {
        return Err("an IPv6 address has brackets there, as in [fd00::1]");
    }
    let (host, port) = split_port(authority).ok_or("its host is not closed by ]")?;
    if let Some(port) = port
        && !(port.bytes().all(|b| b.is_ascii_digit()) && matches!(port.parse::<u16>(), Ok(1..)))
    {
        return Err("its port is not a number from 1 to 65535");
    }
    if let Some(v6) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        v6.parse().map(|v6| Host::Address(IpAddr::V6(v6))).map_err(|_| "its host is not an IPv6 address")
    } else if let Ok(v4) = host.parse::<Ipv4Addr>() {
        Ok(Host::Address(IpAddr::V4(v4)))
    } else if is_host_name(host) {
        Ok(Host::Name(host))
    } else {
        Err("its host is neither a name nor an address")
    }
}

/// Host and port; `None` if a bracket stays open.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if authority.starts_with('[') {
        let (host, rest) = authority.split_at(authority.find(']')? + 1);
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None if rest.is_empty() => Some((host, None)),
            None => None,
        };
    }
    Some(authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))))
}

fn is_host_name(host: &str) -> bool {
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    // What ends in a number is an address that did not parse, or that only some parsers take for one.
    let number = |l: &str| {
        let hex = l.strip_prefix("0x").or_else(|| l.strip_prefix("0X"));
        l.bytes().all(|b| b.is_ascii_digit()) || hex.is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    let numeric = host.rsplit('.').next().is_some_and(number);
    host.len() <= 253 && !numeric && host.split('.').all(label)
}

/// Addresses of several hosts, and those that say nothing without an interface.
pub(super) const fn answers_nobody(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_multicast() || v6.is_unicast_link_local(),
    }
}

/// Whether plain HTTP to this address stays on the host or in the private network.
fn is_near(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            // RFC 6598: carrier-grade NAT, which clouds use for their own services.
            let shared = a == 100 && (64..128).contains(&b);
            v4.is_loopback() || v4.is_private() || v4.is_link_local() || shared
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// The name of a network interface, as the kernel takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InterfaceName(pub(super) String);

impl FromStr for InterfaceName {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let odd = |c: char| c == '/' || c == ':' || c.is_whitespace() || is_odd(c);
        if s.is_empty() || s.len() > 15 || s == "." || s == ".." || s.contains(odd) {
            return Err(format!("{} is not the name of a network interface: use 1 to 15 characters", quote(s)));
        }
        Ok(Self(s.to_owned()))
    }
}

/// The interface of one node, for which "none" makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NodeInterface(pub(super) String);

impl FromStr for NodeInterface {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        if s == "none" {
            return Err("\"none\" is for the interface of a [[group.havip]], not for that of a node".to_owned());
        }
        s.parse::<InterfaceName>().map(|i| Self(i.0))
    }
}

/// A region; it becomes a part of a host name, and which ones exist is not ours to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Region(pub(super) String);

/// Reads the name of a region.
///
/// # Errors
/// It is none; the text says what one is.
pub fn parse_region(text: &str) -> Result<String, String> {
    text.parse::<Region>().map(|region| region.0)
}

impl FromStr for Region {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let ok = (1..=32).contains(&s.len()) && s.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if ok {
            Ok(Self(s.to_owned()))
        } else {
            Err(format!("{} is not a region: use a-z, 0-9 and -, as in \"bj\"", quote(s)))
        }
    }
}

/// The address of a HAVIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct VirtualAddress(pub(super) Ipv4Addr);

impl FromStr for VirtualAddress {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        match s.parse::<Ipv4Addr>() {
            Ok(ip) if !(ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast()) => Ok(Self(ip)),
            Ok(_) => Err(format!("{} is not the address of one host", quote(s))),
            Err(_) => Err(format!("{} is not an IPv4 address, as in \"10.0.0.100\"", quote(s))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_exactly_one_unit() {
        for (text, millis) in [("500ms", 500), ("0s", 0), ("007s", 7000), ("2m", 120_000), ("1h", 3_600_000)] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        let wrong = [
            "",
            "5",
            "ms",
            "1.5s",
            "-1s",
            "+1s",
            "1s ",
            " 1s",
            "1 s",
            "1S",
            "1m30s",
            "1d",
            "1us",
            "18446744073709551615h",
        ];
        for text in wrong {
            assert_eq!(parse_duration(text), None, "{text:?}");
        }
    }

    #[test]
    fn addresses_are_of_one_node() {
        for good in ["10.0.0.1", "10.0.0.1:1", "fd00::1", "[fd00::1]:65535", "127.0.0.1:11201"] {
            assert!(good.parse::<Address>().is_ok(), "{good}");
        }
        let bad = [
            "",
            "a",
            "10.0.0",
            "10.0.0.1:0",
            "10.0.0.1:65536",
            "0.0.0.0",
            "::",
            "224.0.0.18",
            "255.255.255.255",
            "fe80::1",
            "::ffff:10.0.0.1",
            "10.0.0.1/24",
            "node-a:11200",
        ];
        for bad in bad {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }

    #[test]
    fn endpoints_are_scheme_host_and_port() {
        for (text, warned) in [
            ("https://bcc.bj.baidubce.com", false),
            ("http://bcc.bj.baidubce.com/", true),
            ("http://127.0.0.1:8089", false),
            ("http://10.1.2.3", false),
            ("http://172.32.0.1", true),
            ("http://100.64.0.1", false),
            ("http://[::1]:80", false),
            ("http://[2001:db8::1]", true),
            ("http://localhost:1", false),
            ("http://169.254.169.254", false),
        ] {
            let endpoint = text.parse::<Endpoint>().expect(text);
            assert_eq!(endpoint.plain_http_to_public, warned, "{text}");
            assert!(!endpoint.url.ends_with('/'));
        }
        let bad = [
            "",
            "bcc",
            "ftp://x",
            "https://",
            "https://u@h",
            "https://h/p",
            "https://h?q",
            "https://h#f",
            "https://h:0",
            "https://h:65536",
            "https://h:+80",
            "https://h:",
            "https://[::1",
            "https://[::1]x",
            "https://a b",
            "https://1.2.3",
            "https://0x7f",
            "https://fd00::1",
            "https://h//",
            "https://h\n",
            "HTTPS://h",
        ];
        for bad in bad {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
        }
        for secret in ["https://u:hunter2@h", "u:hunter2@h", "https://h?key=hunter2"] {
            let told = secret.parse::<Endpoint>().expect_err(secret);
            assert!(told.starts_with("what is given is not an endpoint: "), "{told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn urls_of_checks_name_one_host_as_it_is_read() {
        let good = [
            "http://127.0.0.1",
            "http://h/",
            "https://h:65535/a?b=c",
            "http://[fd00::1]:80/x",
            "http://a_b/?q=a@b",
            "http://h/%20x",
            "http://0.0.0.0/",
        ];
        for good in good {
            assert_eq!(good.parse::<CheckUrl>(), Ok(CheckUrl(good.to_owned())), "{good}");
        }
        for (bad, why) in [
            ("", "begins with neither"),
            ("h/x", "begins with neither"),
            ("ftp://h/", "begins with neither"),
            ("HTTPS://h/", "begins with neither"),
            ("http:/h", "begins with neither"),
            ("http:h", "begins with neither"),
            ("http://", "names no host"),
            ("http:///x", "names no host"),
            ("http://\\h/", "names no host"),
            ("http://?x", "names no host"),
            ("http://#x", "names no host"),
            ("http://u:hunter2@h/", "names a user"),
            ("http://@h/", "names a user"),
            ("http://h/#top", "has a fragment"),
            ("http://h:0/", "port is not a number"),
            ("http://h:70000/", "port is not a number"),
            ("http://h:/", "port is not a number"),
            ("http://h:+80/", "port is not a number"),
            ("http://::1/", "has brackets"),
            ("http://fd00::1/x", "has brackets"),
            ("http://[::1/", "not closed by ]"),
            ("http://[::1]x/", "not closed by ]"),
            ("http://[fe80::1%eth0]/", "not an IPv6 address"),
            ("http://127.1/", "neither a name nor an address"),
            ("http://1.2.3.4.5/", "neither a name nor an address"),
            ("http://0x7f/", "neither a name nor an address"),
            ("http://0x7f.0.0.1/", "neither a name nor an address"),
            ("http://%31.2.3.4/", "neither a name nor an address"),
            ("http://a..b/", "neither a name nor an address"),
            ("http://224.0.0.1/", "nobody accepts connections at 224.0.0.1"),
            ("http://[fe80::1]/", "nobody accepts connections at fe80::1"),
            ("http://a b/", "a blank"),
            (" http://h/", "a blank"),
            ("http://h/ ", "a blank"),
            ("http://h/a\nb", "a blank"),
            ("http://h\t/", "a blank"),
            ("http://h/\0", "cannot be printed"),
            ("http://h/\u{202e}x", "cannot be printed"),
        ] {
            let said = bad.parse::<CheckUrl>().expect_err(bad);
            assert!(said.contains(why), "{bad:?}: {said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
    }

    #[test]
    fn a_host_to_ask_for_is_a_name() {
        for good in ["www.example.com", "localhost", "a_b", "xn--bcher-kva.example"] {
            assert!(good.parse::<HostName>().is_ok(), "{good}");
        }
        for bad in
            ["", "a b", "h:80", "http://h", "h/x", "u@h", "10.0.0.1", "[::1]", "a\nb", ".", "-a", "0x7f", "b\u{fc}cher"]
        {
            assert!(bad.parse::<HostName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn headers_of_a_check_leave_the_connection_alone() {
        for good in ["Accept", "X-Probe", "user-agent", "Authorization", "x_y", "TEst"] {
            assert_eq!(header_name(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("", "not the name of a header"),
            ("A B", "not the name of a header"),
            ("A:", "not the name of a header"),
            ("A\r\nB", "not the name of a header"),
            ("Host", "has a key of its own"),
            ("hOST", "has a key of its own"),
            ("Content-Length", "cannot be set"),
            ("transfer-encoding", "cannot be set"),
            ("Connection", "cannot be set"),
            ("TE", "cannot be set"),
        ] {
            let said = header_name(bad).expect_err(bad);
            assert!(said.contains(why), "{bad:?}: {said}");
        }
    }

    #[test]
    fn interfaces_are_what_the_kernel_takes() {
        for good in ["eth0", "none", "eth0.100", "abcdefghijklmno"] {
            assert!(good.parse::<InterfaceName>().is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "eth0:1", "abcdefghijklmnop", "a\n"] {
            assert!(bad.parse::<InterfaceName>().is_err(), "{bad}");
        }
        assert!("none".parse::<NodeInterface>().is_err());
    }
}
