//! What `/metrics` and `/healthz` are made of: the last published status, and counts of its own.

use super::status::{NetworkStatus, Published, Status};
use crate::certificates::{Watch, named};
use crate::clock;
use crate::cloud::client::Client;
use crate::config::model::Config;
use crate::doctor::Finding;
use crate::election::action::Transition;
use crate::metrics::http::{Limits, Source, serve};
use crate::metrics::render::{Facts, page};
use crate::metrics::tally::Tally;
use crate::time::Instant;
use hyper::body::Bytes;
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
    /// The page of the status that was published at that instant: however many ask, it is made once.
    made: Mutex<Option<(Instant, Bytes)>>,
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
    error: Option<String>,
    doctor: Option<(f64, Vec<(String, &'static str)>)>,
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

    /// The doctor has looked.
    pub(super) fn examined(&self, findings: &[Finding]) {
        let found = findings.iter().map(|f| (f.id.clone(), f.level.as_str())).collect();
        self.shared.state().doctor = Some((wall_time(), found));
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

impl Source for Shared {
    fn page(&self) -> Option<Bytes> {
        let state = self.state();
        let (at, published) = state.published.as_ref()?;
        let Published::Running(status) = published.as_ref() else { return None };
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, text)) = &*made
            && of == at
        {
            return Some(text.clone());
        }
        let text = Bytes::from(page(&status.core.election, &facts(self.started, &state, status), &state.tally));
        *made = Some((*at, text.clone()));
        Some(text)
    }

    fn health(&self) -> Result<(), String> {
        let state = self.state();
        let Some((at, _)) = &state.published else { return Err("the core has not turned yet".to_owned()) };
        let age = clock::now().since(*at);
        if age <= state.interval * 2 + STILL {
            return Ok(());
        }
        Err(format!("the core has not turned for {} ms", age.as_millis()))
    }

    fn listening(&self, error: Option<String>) {
        self.state().error = error;
    }
}

fn facts(started: f64, state: &State, status: &Status) -> Facts {
    let NetworkStatus { sockets, datagrams, .. } = &status.core.network;
    let (network, effects) = (&status.core.network, &status.effects);
    Facts {
        version: status.version,
        started,
        config_loaded: state.config_loaded,
        reload_refused: effects.reload_error.is_some(),
        interval: state.interval,
        dead_time: state.dead_time,
        sockets: sockets.iter().map(|s| (s.address.to_string(), s.up)).collect(),
        sent: datagrams.sent,
        unsent: vec![
            ("blocked", datagrams.send_blocked),
            ("no-socket", datagrams.send_without_socket),
            ("failed", datagrams.send_failed),
        ],
        received: datagrams.received,
        hooks: effects.hooks.iter().map(|(g, h)| (g.to_string(), h.runs, h.failures, h.replaced)).collect(),
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
