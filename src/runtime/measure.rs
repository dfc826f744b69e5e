//! What the pages of the listener are made of: the last published status, and counts of its own.

use crate::certificates::{Watch, named};
use crate::clock;
use crate::cloud::client::Client;
use crate::doctor::Finding;
use crate::metrics::http::{Limits, Source, serve};
use crate::metrics::render::{Facts, page};
use crate::metrics::tally::Tally;
use crate::status::{NetworkStatus, Published, Status};
use crate::web::{self, Language};
use havipd_core::model::action::Transition;
use havipd_core::model::settings::Config;
use havipd_core::model::time::Instant;
use hyper::body::Bytes;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Beyond two heartbeat intervals nothing may be published for this long before the daemon counts as standing still.
const STILL: Duration = Duration::from_secs(3);

/// Time between two looks at files of certificates; they are read only when they have changed.
const LOOK_AT_FILES: Duration = Duration::from_secs(5);

/// Gathers, and serves what it gathered.
pub(super) struct Measure {
    shared: Arc<Shared>,
    watching: Option<JoinHandle<()>>,
    serving: Option<(SocketAddr, JoinHandle<()>)>,
}

#[derive(Default)]
struct Shared {
    started: f64,
    state: Mutex<State>,
    /// The pages of the status that was published at that instant: however many ask, each is made once.
    made: Mutex<Option<(Instant, BTreeMap<Kind, Bytes>)>>,
}

/// Which page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Metrics,
    Html(Language),
    Status,
}

#[derive(Default)]
struct State {
    published: Option<(Instant, Arc<Published>)>,
    tally: Tally,
    client: Option<Client>,
    config_loaded: f64,
    certificates: Vec<(String, i64)>,
    interval: Duration,
    dead_time: Duration,
    record_bound: Duration,
    doctor_interval: Option<Duration>,
    error: Option<String>,
    doctor: Option<(f64, Vec<(String, &'static str)>)>,
    findings: Vec<Finding>,
}

impl Measure {
    pub(super) fn new() -> Self {
        Self { shared: Arc::new(Shared { started: wall_time(), ..Shared::default() }), watching: None, serving: None }
    }

    /// Takes over a configuration, and listens where it says.
    pub(super) fn configure(&mut self, config: &Config, client: Option<&Client>) {
        let mut state = self.shared.state();
        state.client = client.cloned();
        state.config_loaded = wall_time();
        let watch = Watch::new(named(config));
        if watch.is_empty() {
            state.certificates.clear();
        }
        let following = (!watch.is_empty()).then(|| tokio::spawn(follow(Arc::clone(&self.shared), watch)));
        if let Some(before) = std::mem::replace(&mut self.watching, following) {
            before.abort();
        }
        state.interval = config.heartbeat.interval;
        state.dead_time = config.heartbeat.dead_time();
        // One look may be lost, and the next one late.
        state.record_bound = config.cloud.audit_interval * 2 + config.cloud.request_timeout * 2;
        state.doctor_interval = config.daemon.doctor_interval;
        state.tally.retain(|name| config.group_named(name).is_some());
        if self.serving.as_ref().map(|(listen, _)| *listen) == config.metrics {
            return;
        }
        state.error = None;
        drop(state);
        if let Some((_, task)) = self.serving.take() {
            task.abort();
        }
        let source: Arc<dyn Source> = Arc::<Shared>::clone(&self.shared);
        self.serving = config.metrics.map(|listen| (listen, tokio::spawn(serve(listen, source, Limits::default()))));
    }

    /// A status was published: both threads have turned.
    pub(super) fn published(&self, now: Instant, status: Arc<Published>) {
        self.shared.state().published = Some((now, status));
    }

    /// A role has changed.
    pub(super) fn record(&self, group: &str, transition: &Transition) {
        self.shared.state().tally.record(group, transition);
    }

    /// A step of a move onto this node came in late, so many milliseconds after its first one.
    pub(super) fn late(&self, group: &str, epoch: u64, ms: f64, what: &str) {
        self.shared.state().tally.late(group, epoch, ms, what);
    }

    /// The doctor has looked.
    pub(super) fn examined(&self, findings: &[Finding]) {
        let found = findings.iter().map(|f| (f.id.clone(), f.level.as_str())).collect();
        let mut state = self.shared.state();
        state.doctor = Some((wall_time(), found));
        state.findings = findings.to_vec();
    }

    /// Why nothing is served, while it should be.
    pub(super) fn error(&self) -> Option<String> {
        self.shared.state().error.clone()
    }
}

/// Keeps what is known of certificates as their files are. A disk that hangs only leaves it as it was.
async fn follow(shared: Arc<Shared>, mut watch: Watch) {
    loop {
        let looked = tokio::task::spawn_blocking(move || {
            let found = watch.look();
            (watch, found)
        });
        let Ok((same, found)) = looked.await else { return };
        watch = same;
        shared.state().certificates = found;
        tokio::time::sleep(LOOK_AT_FILES).await;
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How long nothing has been published, where that is too long to take what was last published for the present.
    fn still(&self, now: Instant) -> Option<Duration> {
        let (at, _) = self.published.as_ref()?;
        Some(now.since(*at)).filter(|age| *age > self.interval * 2 + STILL)
    }
}

impl Shared {
    fn page_at(&self, now: Instant, kind: Kind) -> Option<Bytes> {
        let state = self.state();
        let (at, published) = state.published.as_ref()?;
        // Another node may be active by now: what was true then is nobody's to compare with the present.
        if state.still(now).is_some() {
            return None;
        }
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.as_ref().is_none_or(|(of, _)| of != at) {
            *made = Some((*at, BTreeMap::new()));
        }
        let (_, pages) = made.as_mut()?;
        if let Some(page) = pages.get(&kind) {
            return Some(page.clone());
        }
        let text = match (kind, published.as_ref()) {
            (Kind::Metrics, Published::Running(status)) => {
                page(&status.core.election, &facts(self.started, &state, status), &state.tally)
            }
            (Kind::Metrics, Published::Waiting { .. }) => return None,
            (Kind::Html(language), published) => web::page(published, &state.findings, language),
            (Kind::Status, published) => serde_json::to_string(published).ok()?,
        };
        let text = Bytes::from(text);
        pages.insert(kind, text.clone());
        Some(text)
    }

    fn health_at(&self, now: Instant) -> Result<(), String> {
        let state = self.state();
        if state.published.is_none() {
            return Err("the core has not turned yet".to_owned());
        }
        match state.still(now) {
            None => Ok(()),
            Some(age) => Err(format!("the core has not turned for {} ms", age.as_millis())),
        }
    }
}

impl Source for Shared {
    fn page(&self) -> Option<Bytes> {
        self.page_at(clock::now(), Kind::Metrics)
    }

    fn html(&self, language: Language) -> Option<Bytes> {
        self.page_at(clock::now(), Kind::Html(language))
    }

    fn status(&self) -> Option<Bytes> {
        self.page_at(clock::now(), Kind::Status)
    }

    fn health(&self) -> Result<(), String> {
        self.health_at(clock::now())
    }

    fn listening(&self, error: Option<String>) {
        self.state().error = error;
    }
}

fn facts(started: f64, state: &State, status: &Status) -> Facts {
    let NetworkStatus { sockets, datagrams, .. } = &status.core.network;
    let (network, effects) = (&status.core.network, &status.effects);
    Facts {
        version: env!("CARGO_PKG_VERSION"),
        started,
        config_loaded: state.config_loaded,
        reload_refused: effects.reload_error.is_some(),
        interval: state.interval,
        dead_time: state.dead_time,
        record_bound: state.record_bound,
        doctor_interval: state.doctor_interval,
        sockets: sockets.iter().map(|s| (s.address.to_string(), s.up)).collect(),
        sent: datagrams.sent,
        unsent: vec![
            ("blocked", datagrams.send_blocked),
            ("no-socket", datagrams.send_without_socket),
            ("failed", datagrams.send_failed),
        ],
        received: datagrams.received,
        hooks: effects.hooks.iter().map(|(g, h)| (g.to_string(), h.runs, h.failures, h.replaced)).collect(),
        gates: effects.gates.iter().map(|(group, gates)| (group.to_string(), gates.clone())).collect(),
        checks: effects.checks.iter().filter(|c| c.here).cloned().collect(),
        calls: state.client.as_ref().map(Client::calls).unwrap_or_default(),
        credentials_end: state.client.as_ref().and_then(Client::credentials_end),
        certificates: state.certificates.clone(),
        clock_skew: state.client.as_ref().map(Client::clock_skew),
        turns: network.turns,
        address_failures: network.address_failures,
        netlink_overruns: network.netlink_overruns,
        dropped_actions: network.dropped_actions,
        state_unsaved: effects.state.unsaved,
        history_lost: effects.history_lost,
        log_lines_lost: effects.log_lines_lost,
        doctor: state.doctor.clone(),
    }
}

/// Seconds since 1970, for people only.
fn wall_time() -> f64 {
    jiff::Timestamp::now().as_duration().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::fixture::healthy;

    #[test]
    fn a_page_is_not_served_when_it_is_of_the_past() {
        let daemon = healthy().daemon.expect("a daemon");
        let shared = Shared::default();
        let at = Instant::from_millis(100_000);
        assert!(shared.page_at(at, Kind::Metrics).is_none() && shared.health_at(at).is_err(), "nothing yet");
        {
            let mut state = shared.state();
            state.interval = Duration::from_millis(500);
            state.published = Some((at, Arc::new(Published::Running(Box::new(daemon.after)))));
        }
        let (last, over) = (at + Duration::from_secs(4), at + Duration::from_millis(4001));
        assert!(shared.page_at(last, Kind::Metrics).is_some());
        let chinese = Kind::Html(Language::Chinese);
        let page = shared.page_at(last, chinese).expect("a page");
        assert!(page.starts_with(b"<!DOCTYPE html>") && shared.page_at(over, chinese).is_none());
        // However many ask, it is made once.
        assert_eq!(shared.page_at(last, chinese).expect("the same").as_ptr(), page.as_ptr());
        let status = shared.page_at(last, Kind::Status).expect("a status");
        assert!(serde_json::from_slice::<Published>(&status).is_ok());
        assert_eq!(shared.health_at(last), Ok(()));
        // Made a moment ago or not.
        assert!(shared.page_at(over, Kind::Metrics).is_none());
        assert_eq!(shared.health_at(over), Err("the core has not turned for 4001 ms".to_owned()));
    }
}
