//! The kernel's half: the address on the interface and its announcements.

use super::{Place, Serve};
use crate::model::action::Action;
use crate::model::settings::{Heartbeat, LocalAddress};
use crate::model::step::ReconcileContext;
use crate::model::time::Instant;
use std::net::Ipv4Addr;
use std::time::Duration;

/// A removal that was not seen to work is repeated after this long.
const DROP_AGAIN: Duration = Duration::from_secs(1);
/// An address that vanished is put back after at most this long, and not more often.
const RESTORE_AFTER: Duration = Duration::from_millis(20);
/// The kernel may make a put wait for its lock for so long, however short the dead time is. The shortest lifetime that
/// an address can have is longer.
const PATIENCE: Duration = Duration::from_millis(500);
/// An announcement that fails again and again is tried again after this long at most.
const ANNOUNCE_AGAIN: Duration = Duration::from_secs(10);
/// An address without a lifetime is renewed as one of this lifetime is: that shows whether it can be put at all.
const FOREVER_RENEWED: Duration = Duration::from_secs(60);

/// What is known of one address on this host, and when what was last done about it.
#[derive(Debug, Default)]
pub(crate) struct Address {
    /// The address, once the configuration, the state directory or the cloud told it.
    pub(crate) ip: Option<Ipv4Addr>,
    /// Whether it belongs on an interface at all (`interface = "none"`: false).
    pub(crate) wanted: bool,
    /// As last observed; `None` before the first read.
    pub(crate) present: Option<bool>,
    put_at: Option<Instant>,
    /// Since when it is asked for without being had: the oldest put, or renewal, that nothing has borne out.
    asked: Option<Instant>,
    /// Until when the kernel leaves it there at least, by the oldest put that waits for its answer.
    would_last_until: Instant,
    /// The same by the last one that was borne out; `None` while none of this run was.
    lasts_until: Option<Instant>,
    /// What the kernel said to the last one, if that was no.
    refused: Option<String>,
    dropped_at: Option<Instant>,
    burst_left: u32,
    announce_at: Option<Instant>,
    /// The last announcement took a place of the burst.
    in_burst: bool,
    /// How many in a row did not leave this host, and whether the last one is among them.
    unsent: (u32, bool),
}

/// Time between two renewals of an address that is there: a third of its lifetime, but no more than half of what its lifetime
/// is longer than the dead time. ⚠ A pause shorter than the dead time moves nothing, so it must not take the address off
/// either; and an address that cannot be renewed for a dead time is handed over before it is gone.
fn renewal(settings: &LocalAddress, heartbeat: &Heartbeat) -> Duration {
    let lifetime = settings.lifetime.unwrap_or(FOREVER_RENEWED);
    (lifetime / 3).min(lifetime.saturating_sub(heartbeat.dead_time()) / 2).max(heartbeat.interval)
}

impl Address {
    /// An address that may be known already.
    pub(crate) fn new(ip: Option<Ipv4Addr>, wanted: bool) -> Self {
        Self { ip, wanted, ..Self::default() }
    }

    /// The address that may be on this host because of us.
    pub(crate) fn maybe_ours(&self) -> Option<Ipv4Addr> {
        let maybe_there = self.present != Some(false) || self.put_at.is_some();
        self.ip.filter(|_| self.wanted && maybe_there)
    }

    /// Takes `ip` for the address, unless one is known already.
    pub(crate) fn learn(&mut self, ip: Option<Ipv4Addr>) {
        self.ip = self.ip.or(ip);
    }

    /// A reload made it another address, or no address of this host: nothing that was known of it holds any more. Who
    /// has leadership announces the new one `announcements` times.
    pub(crate) fn replace(&mut self, now: Instant, ip: Option<Ipv4Addr>, wanted: bool, announcements: u32) {
        *self = Self { burst_left: announcements, announce_at: Some(now), ..Self::new(ip, wanted) };
    }

    /// Puts the address on, or renews its lifetime in time.
    pub(crate) fn put(&mut self, cx: &mut ReconcileContext<'_>, place: Place, leadership_until: Instant) {
        let (Some(ip), true) = (self.ip, self.wanted) else { return };
        let interval = cx.config.heartbeat.interval;
        // What did not help for an interval need not be repeated more often.
        let hopeful = self.asked.is_none_or(|since| cx.now < since + interval);
        let renewal = renewal(&cx.config.local_address, &cx.config.heartbeat);
        let again = match (self.put_at, self.present) {
            (None, _) => cx.now,
            (Some(at), Some(false)) if hopeful => at + RESTORE_AFTER,
            (Some(at), Some(true)) if self.asked.is_none() => at + renewal,
            (Some(at), _) => at + interval,
        };
        if cx.due(again) && cx.now < leadership_until {
            self.put_at = Some(cx.now);
            if self.asked.is_none() {
                self.asked = Some(cx.now);
                self.would_last_until = cx.config.local_address.lifetime.map_or(Instant::FAR_FUTURE, |l| cx.now + l);
            }
            self.dropped_at = None;
            cx.out.push(Action::PutAddress {
                group: place.group,
                havip: place.havip,
                address: ip,
                lifetime: cx.config.local_address.lifetime,
                leadership_until,
            });
            cx.wake(cx.now + interval);
        }
    }

    /// Renews the address while the kernel has it. ⚠ What the kernel removed meanwhile is not put back: the successor may serve
    /// by now. (I2, seed 81446) A host that stands still between this step and the renewal has not heard of the removal, so the
    /// renewal is not done once the lifetime before it has ended. (I2, seed 43565)
    pub(crate) fn keep(&mut self, cx: &mut ReconcileContext<'_>, place: Place, until: Instant) {
        if self.present != Some(false) {
            self.put(cx, place, self.lasts_until.map_or(until, |lasts| until.min(lasts)));
        }
    }

    /// The kernel was seen to have it, or not to. Says whether it has just come.
    pub(crate) fn observed(&mut self, present: bool) -> bool {
        if present {
            self.had();
        }
        let before = self.present.replace(present);
        present && before != Some(true)
    }

    /// A put was carried out, or refused with `error`. Says whether nothing follows: a renewal like those before it.
    pub(crate) fn answered(&mut self, error: Option<String>) -> bool {
        let quiet = error.is_none() && self.refused.is_none() && self.present == Some(true);
        match error {
            Some(_) => self.refused = error,
            // Else it is not there until it is seen to be.
            None if self.present != Some(false) => self.had(),
            None => {}
        }
        quiet
    }

    fn had(&mut self) {
        if self.asked.take().is_some() {
            self.lasts_until = Some(self.would_last_until);
        }
        self.refused = None;
    }

    /// Why it cannot be had, once it was asked for in vain for a dead time.
    pub(crate) fn failing(&self, cx: &mut ReconcileContext<'_>) -> Option<String> {
        let since = self.asked?;
        let patience = cx.config.heartbeat.dead_time().max(PATIENCE);
        cx.due(since + patience).then(|| {
            let why = self.refused.clone();
            let ip = self.ip.map_or_else(|| "the address".to_owned(), |ip| ip.to_string());
            why.unwrap_or_else(|| format!("{ip} is asked for in vain; what puts addresses on this host hangs"))
        })
    }

    /// Whether it is on this host for sure. ⚠ What was removed since it was put is not: before the gate of a claim that comes back
    /// nothing may put it there. (I14, seed 56634)
    pub(crate) fn there(&self) -> bool {
        self.present.unwrap_or(self.put_at.is_some() && self.asked.is_none())
    }

    /// Leaves the address for `keep_for`, for a restart. ⚠ What the kernel removed meanwhile is not put back: leadership may have
    /// ended with a handover that failed. (I2, seed 42385)
    pub(crate) fn leave(&mut self, cx: &mut ReconcileContext<'_>, place: Place, keep_for: Duration) {
        let (Some(ip), true) = (self.ip.filter(|_| self.present != Some(false)), self.wanted) else { return };
        cx.out.push(Action::PutAddress {
            group: place.group,
            havip: place.havip,
            address: ip,
            lifetime: Some(keep_for),
            leadership_until: cx.now + keep_for,
        });
    }

    /// Takes the address off, again and again until it is seen to be gone.
    pub(crate) fn drop(&mut self, cx: &mut ReconcileContext<'_>, place: Place) {
        self.burst_left = 0;
        self.announce_at = None;
        (self.asked, self.refused) = (None, None);
        let Some(ip) = self.ip.filter(|_| self.wanted) else { return };
        let maybe_there = self.present == Some(true) || (self.put_at.is_some() && self.dropped_at.is_none());
        if !maybe_there {
            self.put_at = None;
            return;
        }
        if cx.due(self.dropped_at.map_or(cx.now, |at| at + DROP_AGAIN)) {
            self.dropped_at = Some(cx.now);
            self.put_at = None;
            cx.out.push(Action::DropAddress { group: place.group, havip: place.havip, address: ip });
            cx.wake(cx.now + DROP_AGAIN);
        }
    }

    /// Whether the address is on, as far as we can tell without waiting for the kernel's word.
    pub(crate) fn on(&self) -> bool {
        !self.wanted || (self.put_at.is_some() && self.present != Some(false))
    }

    /// Begins a burst of announcements with the next [`Self::announce`].
    pub(crate) fn burst(&mut self, cx: &ReconcileContext<'_>) {
        self.burst_left = cx.config.local_address.announce_count;
        self.announce_at = Some(cx.now);
    }

    /// Sends the announcement that is due, if one is; none while the address is not there.
    pub(crate) fn announce(&mut self, cx: &mut ReconcileContext<'_>, place: Place, serve: &Serve) {
        let (Some(ip), Some(at), true) = (self.ip, self.announce_at, self.wanted) else { return };
        if self.put_at.is_none() || !self.there() || !serve.announce || !cx.due(at) || cx.now >= serve.leadership_until
        {
            return;
        }
        let leadership_until = serve.leadership_until;
        cx.out.push(Action::Announce { group: place.group, havip: place.havip, address: ip, leadership_until });
        self.in_burst = self.burst_left > 0;
        self.burst_left = self.burst_left.saturating_sub(1);
        // What is not heard to have failed was sent.
        if !std::mem::take(&mut self.unsent.1) {
            self.unsent.0 = 0;
        }
        let settings = &cx.config.local_address;
        let gap = if self.burst_left > 0 { settings.announce_interval } else { settings.announce_refresh };
        self.announce_at = (!gap.is_zero()).then(|| cx.now + gap);
        if let Some(next) = self.announce_at {
            cx.wake(next);
        }
    }

    /// The last announcement did not leave this host: it used up no place in its burst, and is sent again after
    /// `interval`, or later the more often it has failed.
    pub(crate) fn announce_failed(&mut self, now: Instant, interval: Duration) {
        if self.put_at.is_none() {
            return;
        }
        self.burst_left += u32::from(std::mem::take(&mut self.in_burst));
        let again = interval * 2_u32.pow(self.unsent.0.min(10));
        self.unsent = (self.unsent.0.saturating_add(1), true);
        self.announce_at = Some(now + again.min(ANNOUNCE_AGAIN.max(interval)));
    }
}
