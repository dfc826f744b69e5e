//! Which `[[node]]` of the file this host is.

use super::diagnostic::quote;
use super::environment::Environment;
use havipd_core::model::ids::NodeName;
use havipd_core::model::plural::there_are;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// How a node found itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placed {
    /// It was told by `--node`.
    Told,
    /// This heartbeat address is on a local interface.
    ByAddress(IpAddr),
    /// The host is called so.
    ByHostName(String),
}

impl fmt::Display for Placed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Told => f.write_str("as --node says"),
            Self::ByAddress(ip) => write!(f, "by its address {ip}"),
            Self::ByHostName(name) => write!(f, "by its host name {name}", name = quote(name)),
        }
    }
}

/// No `[[node]]` is this host, yet: an address may still appear.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub struct Unplaced {
    /// The addresses that would settle it, with their nodes.
    pub waiting_for: Vec<(NodeName, IpAddr)>,
    /// The host's name, which is no node's.
    pub host_name: Option<String>,
}

impl Unplaced {
    fn text(&self) -> String {
        let addresses: Vec<String> = self.waiting_for.iter().map(|(node, ip)| format!("{ip} ({node})")).collect();
        let host = self.host_name.as_deref().map_or_else(String::new, |h| format!(" and none is called {}", quote(h)));
        format!("no [[node]] is this host: none of its addresses is here{host}; waiting for {}", addresses.join(", "))
    }
}

/// Why a node was not found.
#[derive(Debug)]
pub(super) enum Miss {
    /// Waiting may help.
    NotYet(Unplaced),
    /// It will not.
    Never(String),
}

/// Finds this host among `nodes`: `--node`, else a local address, else the host name.
pub(super) fn locate(nodes: &[(NodeName, Vec<SocketAddr>)], env: &Environment) -> Result<(usize, Placed), Miss> {
    if let Some(told) = &env.node {
        let index = nodes.iter().position(|(name, _)| name.as_str() == told);
        return index.map(|i| (i, Placed::Told)).ok_or_else(|| {
            let names = there_are(nodes.iter().map(|(name, _)| name.as_str()));
            Miss::Never(format!("--node: no [[node]] is named {}; {names}", quote(told)))
        });
    }
    let here: Vec<(usize, IpAddr)> = nodes
        .iter()
        .enumerate()
        .filter_map(|(i, (_, addresses))| {
            let local = addresses.iter().map(SocketAddr::ip).find(|ip| env.local_addresses.contains(ip))?;
            Some((i, local))
        })
        .collect();
    match here.as_slice() {
        [] => {}
        [(index, ip)] => return Ok((*index, Placed::ByAddress(*ip))),
        several => {
            let all: Vec<String> = several.iter().map(|(i, ip)| format!("{} ({ip})", nodes[*i].0)).collect();
            return Err(Miss::Never(format!(
                "this host has the addresses of {}: say which with --node",
                all.join(" and ")
            )));
        }
    }
    if let Some(host) = &env.host_name {
        let named = |wanted: &str| nodes.iter().position(|(name, _)| name.as_str().eq_ignore_ascii_case(wanted));
        // A host may be called by its full name where the file has only the first label.
        let first = host.split('.').next().unwrap_or(host);
        if let Some(index) = named(host).or_else(|| named(first)) {
            return Ok((index, Placed::ByHostName(host.clone())));
        }
    }
    let waiting_for =
        nodes.iter().flat_map(|(name, all)| all.iter().map(move |a| (name.clone(), a.ip()))).collect::<Vec<_>>();
    Err(Miss::NotYet(Unplaced { waiting_for, host_name: env.host_name.clone() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes() -> Vec<(NodeName, Vec<SocketAddr>)> {
        let node = |name: &str, addresses: &[&str]| {
            (name.parse().expect("name"), addresses.iter().map(|a| a.parse().expect("address")).collect())
        };
        vec![node("a", &["10.0.0.1:1", "[fd00::1]:1"]), node("b", &["10.0.0.2:1"]), node("c.lan", &["10.0.0.3:1"])]
    }

    fn find(env: Environment) -> Result<(usize, Placed), String> {
        locate(&nodes(), &env).map_err(|miss| match miss {
            Miss::NotYet(unplaced) => unplaced.to_string(),
            Miss::Never(text) => text,
        })
    }

    #[test]
    fn being_told_beats_addresses_beats_the_host_name() {
        let ip = |s: &str| s.parse::<IpAddr>().expect("ip");
        let all = Environment {
            node: Some("b".into()),
            local_addresses: vec![ip("fd00::1")],
            host_name: Some("c.lan".into()),
            ..Environment::default()
        };
        assert_eq!(find(all.clone()), Ok((1, Placed::Told)));
        assert_eq!(find(Environment { node: None, ..all.clone() }), Ok((0, Placed::ByAddress(ip("fd00::1")))));
        let by_name = Environment { node: None, local_addresses: vec![ip("10.9.9.9")], ..all };
        assert_eq!(find(by_name.clone()), Ok((2, Placed::ByHostName("c.lan".into()))));
        let long = Environment { host_name: Some("B.example.com".into()), ..by_name };
        assert_eq!(find(long), Ok((1, Placed::ByHostName("B.example.com".into()))));
    }

    #[test]
    fn misses_say_what_would_help() {
        let ips = ["10.0.0.1", "10.0.0.2"].map(|s| s.parse::<IpAddr>().expect("ip")).to_vec();
        assert_eq!(
            find(Environment { local_addresses: ips, ..Environment::default() }).expect_err("ambiguous"),
            "this host has the addresses of a (10.0.0.1) and b (10.0.0.2): say which with --node"
        );
        assert_eq!(
            find(Environment { node: Some("x\n".into()), ..Environment::default() }).expect_err("unknown"),
            "--node: no [[node]] is named \"x \"; there are a, b, c.lan"
        );
        assert_eq!(
            find(Environment { host_name: Some("h".into()), ..Environment::default() }).expect_err("nowhere"),
            "no [[node]] is this host: none of its addresses is here and none is called \"h\"; \
             waiting for 10.0.0.1 (a), fd00::1 (a), 10.0.0.2 (b), 10.0.0.3 (c.lan)"
        );
    }
}
