//! A HAVIP's address that somebody else put on this host: it is taken off, and that is said, since nobody asked for it.

use super::Driver;
use crate::log::RateLimit;
use crate::net::interface::Assigned;
use crate::net::monitor::Monitor;
use crate::status::StrayStatus;
use havipd_core::model::time::Instant;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

/// Between two lines about one address.
const PAUSE: Duration = Duration::from_secs(60);
/// Addresses that are remembered; there are as many as HAVIPs, and those of earlier configurations.
const MOST: usize = 256;

/// What was taken off, by address.
#[derive(Debug, Default)]
pub(super) struct Strays(BTreeMap<Ipv4Addr, Stray>);

#[derive(Debug)]
struct Stray {
    found: String,
    times: u64,
    last: Instant,
    lines: RateLimit,
}

impl Strays {
    /// Notes one, and says whether to tell it: after how many that were not told.
    fn note(&mut self, now: Instant, address: Ipv4Addr, found: &str) -> Option<u64> {
        if self.0.len() >= MOST && !self.0.contains_key(&address) {
            self.0.pop_first();
        }
        let new = || Stray { found: String::new(), times: 0, last: now, lines: RateLimit::new(1, PAUSE) };
        let stray = self.0.entry(address).or_insert_with(new);
        (stray.found, stray.last) = (found.to_owned(), now);
        stray.times += 1;
        stray.lines.allow(now)
    }

    /// All of them, for `status`.
    pub(super) fn status(&self, now: Instant) -> Vec<StrayStatus> {
        let of = |(address, stray): (&Ipv4Addr, &Stray)| StrayStatus {
            address: *address,
            found: stray.found.clone(),
            times: stray.times,
            ago_ms: u64::try_from(now.since(stray.last).as_millis()).unwrap_or(u64::MAX),
        };
        self.0.iter().map(of).collect()
    }
}

impl Driver {
    /// Tells what was taken off: which address, from where, why, and who may have put it there.
    pub(super) fn strayed(&mut self, now: Instant, address: Ipv4Addr, entries: &[Assigned]) {
        for entry in entries {
            let link = self.monitor.as_ref().ok().and_then(|m: &Monitor| m.snapshot().links.get(&entry.interface));
            let interface = link.map_or_else(|| format!("interface {}", entry.interface), |link| link.name.clone());
            let found = format!("{address}/{} on {interface}", entry.prefix);
            let Some(suppressed) = self.strays.note(now, address, &found) else { continue };
            let why = match self.places.of(address) {
                Some((group, havip)) => {
                    let settings = &self.core.config().groups[group.0];
                    let role = self.core.snapshot(now).groups.get(group.0).map(|g| g.role.to_string());
                    format!(
                        "it is the address of {} (group {}), where this node is {}, and belongs to the active node alone, on \
                         one interface",
                        settings.havips[havip.0].id,
                        settings.name,
                        role.unwrap_or_default()
                    )
                }
                None => "it is a HAVIP's address of an earlier configuration".to_owned(),
            };
            tracing::warn!(
                suppressed,
                "took off {found}, which havipd had not put there: {why}; take it out of whatever puts it there (netplan, \
                 ifcfg, a start script, keepalived)"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_once_a_minute_and_counted_each_time() {
        let mut strays = Strays::default();
        let (address, at) = (Ipv4Addr::new(10, 0, 0, 100), |s: u64| Instant::from_millis(s * 1000));
        assert_eq!(strays.note(at(1), address, "lo"), Some(0));
        assert_eq!(strays.note(at(2), address, "lo"), None);
        assert_eq!(strays.note(at(3), Ipv4Addr::LOCALHOST, "lo"), Some(0), "another address has lines of its own");
        assert_eq!(strays.note(at(62), address, "eth0"), Some(1));
        let status = strays.status(at(63));
        let of = status.iter().find(|s| s.address == address).expect("noted");
        assert_eq!((of.times, of.found.as_str(), of.ago_ms), (3, "eth0", 1000));
        for i in 0..1000 {
            let _ = strays.note(at(70), Ipv4Addr::from_bits(i), "lo");
        }
        assert_eq!(strays.0.len(), MOST);
    }
}
